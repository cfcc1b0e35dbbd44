import { AmbiguousNameError, DamageError, LimitError, NotFoundError, UsageError } from "@tensorcask/codec";
import { CommanderError } from "commander";
import { describe, expect, it } from "vitest";
import { CommandUsageError, failureJson, failureLines, failureOf, isCancellation } from "../src/failure.ts";

describe("failureOf", () => {
  it("keeps tag and typed fields of the store's errors", () => {
    expect(failureOf(new NotFoundError("dataset", "llm"))).toEqual({
      tag: "not-found",
      message: 'there is no dataset "llm"',
      fields: { kind: "dataset", missing: "llm" },
      status: 1,
    });
    expect(failureOf(new AmbiguousNameError("w", ["a#w", "b#w"])).fields).toEqual({
      ambiguous: "w",
      candidates: ["a#w", "b#w"],
    });
  });

  it("calls wrong usage 2, whoever finds it", () => {
    expect(failureOf(new UsageError("slice", "axis 1")).status).toBe(2);
    expect(failureOf(new CommandUsageError("out", "no"))).toMatchObject({
      tag: "usage",
      fields: { field: "out" },
      status: 2,
    });
    expect(
      failureOf(new CommanderError(1, "commander.unknownOption", "error: unknown option '--x'")),
    ).toMatchObject({
      tag: "usage",
      message: "unknown option '--x'",
      status: 2,
    });
  });

  it("tells errors of the system from bugs", () => {
    const system = Object.assign(new Error("EACCES: permission denied"), { code: "EACCES", syscall: "open" });
    expect(failureOf(system)).toMatchObject({ tag: "storage", fields: { code: "EACCES" }, status: 1 });
    expect(failureOf(new TypeError("x is undefined"))).toMatchObject({ tag: "internal", status: 1 });
    expect(failureOf("text")).toMatchObject({ tag: "internal", message: "text" });
    expect(failureLines(failureOf(new TypeError("x"))).at(-1)).toContain("TENSORCASK_DEBUG");
  });

  it("gives JSON whatever the fields hold", () => {
    const failure = failureOf(new LimitError("rank", 5n, 3));
    expect(JSON.parse(JSON.stringify(failureJson(failure)))).toEqual({
      error: { tag: "limit", message: "rank is 5, the limit is 3", limit: "rank", value: "5", maximum: 3 },
    });
  });

  it("lists the tensors that damage hits, up to a limit", () => {
    const tensors = Array.from({ length: 12 }, (_, index) => `llm/t${index}`);
    const lines = failureLines(failureOf(new DamageError("pack x", "checksum", { tensors })));
    expect(lines[0]).toBe("error: pack x: checksum");
    expect(lines).toContain("  llm/t0");
    expect(lines.at(-1)).toBe("  and 2 more");
  });

  it("knows how operations end that were cancelled", () => {
    expect(isCancellation({ tag: "cancelled" })).toBe(true);
    expect(isCancellation(new DOMException("x", "AbortError"))).toBe(true);
    expect(isCancellation("SIGINT")).toBe(true);
    expect(isCancellation(new Error("x"))).toBe(false);
    expect(isCancellation(undefined)).toBe(false);
  });
});
