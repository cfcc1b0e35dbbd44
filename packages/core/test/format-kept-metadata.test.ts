import { LimitError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import { metadataText, RECORDS_KEY, recordsMetadata, recordsOf } from "../src/format/kept-metadata.ts";

describe("metadata of tensors as text", () => {
  it("comes back by the names of the tensors, those without any left out", () => {
    const tensors = [
      { name: "a", metadata: { label: 3, tags: ["x", null] } },
      { name: "none" },
      { name: "empty", metadata: {} },
      { name: "__proto__", metadata: { deep: { er: true } } },
    ];
    const kept = recordsMetadata(tensors);
    expect(Object.keys(kept)).toEqual([RECORDS_KEY]);
    expect(recordsOf(kept)).toEqual(
      new Map<string, unknown>([
        ["a", { label: 3, tags: ["x", null] }],
        ["__proto__", { deep: { er: true } }],
      ]),
    );
    expect(recordsMetadata([{ name: "none" }])).toEqual({});
  });

  it("is text like any other where it is none of ours", () => {
    for (const text of [
      "",
      "no json",
      "[]",
      "3",
      "null",
      '{"a":3}',
      '{"a":[]}',
      '{"a":{}',
      `{"a":${'{"b":'.repeat(80)}1${"}".repeat(81)}`,
    ]) {
      expect(recordsOf({ [RECORDS_KEY]: text }), text).toBeUndefined();
    }
    expect(recordsOf(undefined)).toBeUndefined();
    expect(recordsOf({ format: "pt" })).toBeUndefined();
    expect(recordsOf(Object.create({ [RECORDS_KEY]: "{}" }))).toBeUndefined();
  });

  it("is limited to what can be read back", () => {
    const metadata = { text: "x".repeat(1_000_000) };
    const tensors = Array.from({ length: 40 }, (_, index) => ({ name: String(index), metadata }));
    expect(() => recordsMetadata(tensors)).toThrow(LimitError);
    expect(recordsOf(recordsMetadata(tensors.slice(0, 16)))?.size).toBe(16);
    const brackets = { text: `${'"[{\\'.repeat(1000)}` };
    expect(recordsOf(recordsMetadata([{ name: "[[[", metadata: brackets }]))?.get("[[[")).toEqual(brackets);
    const startMs = performance.now();
    expect(recordsOf({ [RECORDS_KEY]: `{"a":${"[".repeat(8e6)}${"]".repeat(8e6)}}` })).toBeUndefined();
    expect(performance.now() - startMs).toBeLessThan(1000);
  });

  it("of files: strings as they are, anything else as JSON", () => {
    expect(metadataText("pt")).toBe("pt");
    expect(metadataText(3)).toBe("3");
    expect(metadataText({ a: [null] })).toBe('{"a":[null]}');
  });
});
