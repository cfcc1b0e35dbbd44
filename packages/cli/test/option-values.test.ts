import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InvalidArgumentError } from "commander";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  collectNames,
  parseBytes,
  parseCount,
  parseDuration,
  parseRows,
  parseShape,
  parseVersion,
  readJsonObject,
} from "../src/option-values.ts";

describe("sizes", () => {
  it.each([
    ["0", 0],
    ["1000", 1000],
    ["10b", 10],
    ["256MB", 256e6],
    ["256mb", 256e6],
    ["64MiB", 64 * 2 ** 20],
    ["64M", 64 * 2 ** 20],
    ["1.5 GB", 1.5e9],
    ["2k", 2048],
    ["1TB", 1e12],
  ])("%s", (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  it.each([
    "",
    "MB",
    "-1",
    "1e9",
    "5x",
    "1,5MB",
    "0x10",
    "99999999TB",
    "constructor",
    "1 constructor",
    "NaN",
  ])("refuses %j", (text) => {
    expect(() => parseBytes(text)).toThrow(InvalidArgumentError);
  });
});

describe("durations", () => {
  it.each([
    ["60s", 60_000],
    ["60", 60_000],
    ["500ms", 500],
    ["0.5s", 500],
    ["5m", 300_000],
    ["5min", 300_000],
    ["12h", 43_200_000],
    ["30d", 30 * 86_400_000],
    ["2w", 14 * 86_400_000],
    ["0", 0],
  ])("%s", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  it.each(["", "s", "-5s", "5 years", "1:30"])("refuses %j", (text) => {
    expect(() => parseDuration(text)).toThrow(InvalidArgumentError);
  });
});

describe("counts, versions, shapes, rows, names", () => {
  it("takes whole numbers", () => {
    expect(parseCount("0")).toBe(0);
    expect(parseCount("42")).toBe(42);
    for (const text of ["", "-1", "1.5", "1e3", " 1", "9".repeat(16)]) {
      expect(() => parseCount(text)).toThrow(InvalidArgumentError);
    }
  });

  it("tells version numbers from tags", () => {
    expect(parseVersion("3")).toBe(3);
    expect(parseVersion("v3")).toBe("v3");
    expect(parseVersion("3a")).toBe("3a");
    expect(parseVersion("")).toBe("");
  });

  it("takes shapes with and without brackets", () => {
    expect(parseShape("3,256,256")).toEqual([3, 256, 256]);
    expect(parseShape("[3, 0]")).toEqual([3, 0]);
    expect(parseShape("")).toEqual([]);
    expect(parseShape("[]")).toEqual([]);
    expect(() => parseShape("3,,4")).toThrow(InvalidArgumentError);
    fc.assert(
      fc.property(fc.array(fc.nat()), (shape) => {
        expect(parseShape(shape.join(","))).toEqual(shape);
      }),
    );
  });

  it("takes rows and collects names", () => {
    expect(parseRows("5,17, 99")).toEqual([5, 17, 99]);
    expect(() => parseRows("")).toThrow(InvalidArgumentError);
    expect(() => parseRows("-1")).toThrow(InvalidArgumentError);
    expect(collectNames("c", collectNames("a, b.d,"))).toEqual(["a", "b.d", "c"]);
  });
});

describe("JSON objects", () => {
  it("are typed or read from a file", async () => {
    const folder = await mkdtemp(join(tmpdir(), "tensorcask-cli-"));
    try {
      const path = join(folder, "x.json");
      await writeFile(path, '{"label": 3}');
      expect(await readJsonObject('{"a":[1]}', "--metadata")).toEqual({ a: [1] });
      expect(await readJsonObject(`@${path}`, "--metadata")).toEqual({ label: 3 });
      await expect(readJsonObject(`@${path}.none`, "--metadata")).rejects.toMatchObject({ code: "ENOENT" });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.each(["", "{", "[1]", "null", "3", '"x"'])("refuses %j, naming the option", async (text) => {
    await expect(readJsonObject(text, "--metadata")).rejects.toMatchObject({
      tag: "usage",
      field: "--metadata",
      message: expect.stringContaining("--metadata"),
    });
  });
});
