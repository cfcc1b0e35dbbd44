import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { DamagedBlockError } from "../src/entropy/damaged.ts";
import { frequencyTable, TOTAL } from "../src/entropy/frequencies.ts";
import { readFrequencies, TABLE_BYTES_LIMIT, writeFrequencies } from "../src/entropy/frequency-code.ts";
import { ladderPlan, RUNGS_LIMIT } from "../src/entropy/ladder-plan.ts";
import { entropyBits, jointPlan, sampleStep } from "../src/entropy/plan.ts";

/** 256 counts, of which any number is zero and some are huge. */
const someCounts = fc
  .array(fc.oneof(fc.constant(0), fc.nat(3), fc.nat(200), fc.nat(40000)), { minLength: 256, maxLength: 256 })
  .map((list) => Uint32Array.from(list))
  .filter((counts) => counts.some((count) => count > 0));

describe("frequency tables", () => {
  test("sum to 4096, leave room for escapes, and are read back as written", () => {
    fc.assert(
      fc.property(someCounts, fc.integer({ min: 64, max: 131072 }), (counts, symbols) => {
        const table = frequencyTable(counts.slice(), symbols);
        const { frequencies, escapeSymbol, first, last } = table;
        expect(frequencies.reduce((sum, frequency) => sum + frequency)).toBe(TOTAL);
        expect(Math.max(...frequencies)).toBeLessThan(TOTAL);
        if (escapeSymbol >= 0) expect(frequencies[escapeSymbol]).toBeGreaterThan(0);
        else expect(Math.min(...frequencies)).toBeGreaterThan(0);
        if (first >= 0) {
          for (let s = 0; s < 256; s++) {
            const isInside = s >= first && s <= last;
            expect(frequencies[s]! > 0 && s !== escapeSymbol, `symbol ${s}`).toBe(isInside);
          }
        }
        const out = new Uint8Array(TABLE_BYTES_LIMIT);
        const bytes = writeFrequencies(frequencies, out);
        const back = new Uint16Array(256).fill(1);
        expect(readFrequencies(out, 0, bytes, back)).toBe(bytes);
        expect(back).toEqual(frequencies);
        expect(() => readFrequencies(out, 0, bytes - 1, back)).toThrow(DamagedBlockError);
      }),
    );
  });

  test("from any bytes are refused or sound", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const frequencies = new Uint16Array(256);
        try {
          const end = readFrequencies(bytes, 0, bytes.length, frequencies);
          expect(end).toBeLessThanOrEqual(bytes.length);
          expect(frequencies.reduce((sum, frequency) => sum + frequency)).toBe(TOTAL);
          expect(Math.max(...frequencies)).toBeLessThan(TOTAL);
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedBlockError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test("treat both signs alike when chance explains the difference", () => {
    const counts = new Uint32Array(256);
    for (let s = 0; s < 20; s++) {
      counts[s] = 1000 - 40 * s + (s % 3);
      counts[s + 128] = 1000 - 40 * s - (s % 2);
    }
    const { frequencies } = frequencyTable(counts, 131072);
    let difference = 0;
    for (let s = 0; s < 20; s++) difference += Math.abs(frequencies[s]! - frequencies[s + 128]!);
    expect(difference).toBeLessThan(20);
  });
});

describe("plans", () => {
  test("entropy of known distributions", () => {
    expect(entropyBits(Uint32Array.of(0, 5, 0))).toBe(0);
    expect(entropyBits(new Uint32Array(256).fill(100_000))).toBeCloseTo(8, 3);
    expect(entropyBits(Uint32Array.of(50_000, 50_000))).toBeCloseTo(1, 3);
  });

  test("joint coding wants exponents within 63 of each other", () => {
    const plan = (list: [exponent: number, count: number][]) => {
      const exponents = new Uint32Array(1024);
      for (const [exponent, count] of list)
        exponents.set([4 * count, 3 * count, 2 * count, count], 4 * exponent);
      return jointPlan(exponents, new Uint32Array(256).fill(40));
    };
    const usual = plan([
      [0, 3],
      [110, 5],
      [120, 900],
      [121, 1000],
    ])!;
    expect(usual.base).toBe(121 + 4 - 63);
    expect(usual.counts[0]).toBe(12);
    expect(usual.counts[4 * (121 - usual.base)]).toBe(4000);
    expect(usual.counts.reduce((sum, count) => sum + count)).toBe(10 * 1908);
    expect(plan([[255, 1000]])!.base).toBe(255 - 63);
    expect(plan([[1, 1000]])!.base).toBe(0);
    expect(
      plan([
        [20, 10],
        [82, 10],
      ])!.base,
    ).toBe(19);
    expect(
      plan([
        [20, 10],
        [83, 10],
      ]),
    ).toBeUndefined();
    expect(plan([[0, 10]])).toBeUndefined();
  });

  test("sample all of small blocks, about the wished number of groups of large ones", () => {
    expect(sampleStep(100, 512)).toBe(16);
    expect(sampleStep(131072, 512)).toBe(16 * 17);
    expect((sampleStep(100_000, 512) / 16) % 2).toBe(1);
  });

  test("ladders of any counts have different symbols on every rung and are no worse than storing", () => {
    fc.assert(
      fc.property(someCounts, (counts) => {
        const { rungs, bits } = ladderPlan(counts);
        expect(rungs.length).toBeLessThanOrEqual(RUNGS_LIMIT);
        for (const rung of rungs) expect(new Set(rung).size).toBe(rung.length);
        expect(bits).toBeLessThanOrEqual(8);
        expect(bits).toBeGreaterThanOrEqual(entropyBits(counts) - 0.2);
      }),
    );
    const bell = new Uint32Array(256);
    bell.set([60, 120, 250, 320, 270, 10], 100);
    expect(ladderPlan(bell).rungs[0]).toEqual([103, 104, 102]);
  });
});
