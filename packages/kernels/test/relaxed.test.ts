import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { frequencyTable } from "../src/entropy/frequencies.ts";
import { viewsOf } from "../src/entropy/memory.ts";
import type { EntropyModule, SiblingModule } from "../src/modules.ts";
import { viewsOf as siblingViewsOf } from "../src/sibling/memory.ts";
import { expectSameBytes, randomBytes } from "./buffers.ts";

// The plain and the relaxed build of a module, side by side on the same work.

function load<Module extends { prepare(): void }>(name: string): Module {
  const bytes = new Uint8Array(readFileSync(join(import.meta.dirname, `../wasm/${name}.wasm`)));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const kernels = instance.exports as unknown as Module;
  kernels.prepare();
  return kernels;
}

const builds = ["entropy", "entropy-relaxed"].map((name) => viewsOf(load<EntropyModule>(name)));
const siblingBuilds = ["sibling", "sibling-relaxed"].map((name) => siblingViewsOf(load<SiblingModule>(name)));
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

  test.each([2, 4])("gives the same differences of %d bytes", (width) => {
    for (let seed = 1; seed < 10; seed++) {
      const sibling = randomBytes(COUNT * width, seed);
      const changes = skewed(seed);
      const words = sibling.map((byte, i) => (i % width === width - 1 ? byte : byte ^ changes[i % COUNT]!));
      const results = siblingBuilds.map(({ kernels, bytes, ...at }) => {
        bytes.set(words, at.words);
        bytes.set(sibling, at.sibling);
        if (width === 2) kernels.levels2(COUNT, 16);
        else kernels.levels4(COUNT);
        const coded = width === 2 ? kernels.symbols2(3, COUNT, 7) : kernels.symbols4(COUNT);
        const precision = width === 2 ? 3 : 2;
        kernels.countCodes(coded);
        const header = kernels.writeHeader(precision, COUNT / 256);
        const bits = width === 2 ? kernels.packBits2() : kernels.packBits4(coded);
        kernels.buildEncode();
        at.stateWords.fill(0x12345);
        const start = kernels.encode(coded);
        const parts = [
          bytes.slice(at.header, at.header + header),
          bytes.slice(at.states, at.states + 128),
          bytes.slice(start, at.codedEnd),
          bytes.slice(at.block, at.block + Math.ceil(bits / 8)),
        ];
        const block = Buffer.concat(parts);
        const raw = at.block + block.length - parts[3]!.length;
        bytes.set(block, at.block);
        bytes.fill(0, at.words, at.words + words.length);
        expect(kernels.readHeader(precision, COUNT / 256, at.block, raw)).toBe(at.block + header);
        expect(width === 2 ? kernels.tables2(COUNT, 7) : kernels.tables4(COUNT)).toBe(coded);
        expect(kernels.decode(at.block + header + 128, coded)).toBe(raw);
        expect(width === 2 ? kernels.words2(3, COUNT, raw) : kernels.words4(COUNT, raw)).toBe(bits);
        expectSameBytes(bytes.subarray(at.words, at.words + words.length), words);
        return block;
      });
      expectSameBytes(results[0]!, results[1]!);
    }
  });
});
