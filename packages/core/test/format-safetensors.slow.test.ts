import { InvalidFileError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import { MAX_HEADER_BYTES, parseSafetensorsHeader } from "../src/format/safetensors/header.ts";
import { safetensors } from "../src/format/safetensors/plan.ts";
import type { Source } from "../src/model/plan.ts";
import { coveredBytes, entry, mutate, numbers, realHeaders } from "./format-safetensors-cases.ts";

describe("safetensors, at length", () => {
  it("100,000 mutated real headers are read or refused, each within a second", async () => {
    const headers = realHeaders();
    const random = numbers(2);
    let slowestMs = 0;
    for (let count = 0; count < 100_000; count++) {
      const { header, fileBytes } = headers[random(headers.length)]!;
      const mutated = mutate(header, random);
      const source: Source = {
        name: "mutated",
        bytes: fileBytes - header.length + mutated.length,
        async read(into, position) {
          into.set(mutated.subarray(position, position + into.length));
        },
      };
      const startMs = performance.now();
      try {
        expect(coveredBytes((await safetensors.plan(source)).parts)).toBe(source.bytes);
      } catch (error) {
        if (!(error instanceof InvalidFileError)) throw error;
      }
      slowestMs = Math.max(slowestMs, performance.now() - startMs);
    }
    expect(slowestMs).toBeLessThan(1000);
  });

  it("headers at the limit take seconds, not minutes", () => {
    const filler = (text: string): Uint8Array => {
      const start = new TextEncoder().encode(text);
      const json = new Uint8Array(MAX_HEADER_BYTES).fill(start.at(-1)!);
      json.set(start);
      return json;
    };
    // Runs of one byte up to the end: a name, white space, a number, brackets, escapes.
    for (const text of ['{"a', "{ ", '{"a":{"dtype":"U8","shape":[1', '{"a":{"x":[', '{"\\']) {
      const startMs = performance.now();
      expect(() => parseSafetensorsHeader("x", filler(text), MAX_HEADER_BYTES + 8)).toThrow(InvalidFileError);
      expect(performance.now() - startMs).toBeLessThan(20_000);
    }

    const entries: string[] = [];
    let jsonBytes = 2;
    for (let count = 0; ; count++) {
      const text = entry(`t${count}`, "U8", "[1]", count, count + 1);
      jsonBytes += text.length + 1;
      if (jsonBytes > MAX_HEADER_BYTES) break;
      entries.push(text);
    }
    // In reversed order, so that sorting by data has work to do.
    const json = new TextEncoder().encode(`{${entries.toReversed().join(",")}}`);
    const startMs = performance.now();
    const { tensors } = parseSafetensorsHeader("x", json, 8 + json.length + entries.length);
    expect(performance.now() - startMs).toBeLessThan(60_000);
    expect(tensors.length).toBe(entries.length);
  });
});
