import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { frequencyTable } from "../src/entropy/frequencies.ts";
import { viewsOf } from "../src/entropy/memory.ts";
import type { EntropyModule } from "../src/modules.ts";
import { expectSameBytes, randomBytes } from "./buffers.ts";

// The plain and the relaxed build of the entropy module, side by side on the same work.

function load(name: string) {
  const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, `../wasm/${name}.wasm`)));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const kernels = instance.exports as unknown as EntropyModule;
  kernels.prepare();
  return viewsOf(kernels);
}

const builds = [load("entropy"), load("entropy-relaxed")] as const;
const COUNT = 64 * 100;

/** Symbols whose probability halves from one to the next. */
function skewed(seed: number): Uint8Array {
  return randomBytes(COUNT, seed).map(
    (byte, i) => Math.clz32(byte | 1) - 24 + (i % 50 === 0 ? byte & 63 : 0),
  );
}

describe("relaxed SIMD", () => {
  test("gives the same rANS words, states and symbols", () => {
    for (let seed = 1; seed < 20; seed++) {
      const symbols = skewed(seed);
      const results = builds.map(
        ({ kernels, bytes, planes, frequencies, stateWords, codedEnd, escapes, block }) => {
          const counts = new Uint32Array(256);
          for (const symbol of symbols) counts[symbol]!++;
          const table = frequencyTable(counts, COUNT);
          frequencies.set(table.frequencies);
          kernels.buildEncode(table.escapeSymbol < 0 ? 256 : table.escapeSymbol);
          bytes.set(symbols, planes);
          const escaped = kernels.collectEscapes(planes, COUNT, escapes);
          stateWords.fill(0x12345);
          const words = kernels.ransEncode(planes, COUNT);
          const coded = bytes.slice(words, codedEnd);
          const states = stateWords.slice();
          bytes.set(coded, block);
          kernels.buildDecode();
          expect(kernels.ransDecode(block, planes, COUNT)).toBe(block + coded.length);
          expect(stateWords.every((state) => state === 0x12345)).toBe(true);
          expect(kernels.patchEscapes(planes, COUNT, table.escapeSymbol, escapes)).toBe(escaped);
          expectSameBytes(bytes.subarray(planes, planes + COUNT), symbols);
          return { coded, states };
        },
      );
      expectSameBytes(results[0]!.coded, results[1]!.coded);
      expect(results[0]!.states).toEqual(results[1]!.states);
    }
  });

  test("gives the same ladders", () => {
    for (let seed = 1; seed < 20; seed++) {
      const symbols = skewed(seed);
      const results = builds.map(({ kernels, bytes, planes, planeStep, block, rungs }) => {
        bytes.set(symbols, planes);
        const escaped = kernels.downThree1(planes, COUNT, block, rungs, 0, 1, 2);
        const codes = bytes.slice(block, block + COUNT / 4);
        const left = bytes.slice(rungs, rungs + escaped);
        expect(kernels.upThree1(block, COUNT, rungs, planes + planeStep, 0, 1, 2)).toBe(escaped);
        expectSameBytes(bytes.subarray(planes + planeStep, planes + planeStep + COUNT), symbols);
        const one = kernels.downOne(planes, COUNT, block, rungs, 0);
        expect(kernels.upOne(block, COUNT, rungs, planes + planeStep, 0)).toBe(one);
        expectSameBytes(bytes.subarray(planes + planeStep, planes + planeStep + COUNT), symbols);
        return { codes, left };
      });
      expectSameBytes(results[0]!.codes, results[1]!.codes);
      expectSameBytes(results[0]!.left, results[1]!.left);
    }
  });
});
