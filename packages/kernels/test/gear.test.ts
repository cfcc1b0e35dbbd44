import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import { ContentCutter, CUT_SIZES, type CutSizes, kernelsReady } from "../src/index.ts";
import { cutEnds, gearTable } from "../src/reference.ts";
import { randomBytes } from "./buffers.ts";

beforeAll(kernelsReady);

function cutWhole(bytes: Uint8Array, sizes?: CutSizes): number[] {
  return new ContentCutter(sizes).push(bytes, true);
}

function cutInPieces(bytes: Uint8Array, pieces: Iterable<number>, sizes?: CutSizes): number[] {
  const cutter = new ContentCutter(sizes);
  const ends: number[] = [];
  let at = 0;
  for (const piece of pieces) {
    if (at + piece > bytes.length) break;
    ends.push(...cutter.push(bytes.subarray(at, at + piece), false));
    at += piece;
  }
  ends.push(...cutter.push(bytes.subarray(at), true));
  return ends;
}

const small: CutSizes = { minimumBytes: 65, averageBytes: 128, maximumBytes: 300 };

describe("ContentCutter", () => {
  test("has the documented table and golden cuts", () => {
    expect([...gearTable().subarray(0, 3)].map((entry) => entry.toString(16))).toMatchInlineSnapshot(`
      [
        "b80a429f6c17c0ce",
        "29788236df04ed06",
        "1ca49c31aab7d93e",
      ]
    `);
    expect(cutWhole(randomBytes(1_000_000, 7))).toMatchInlineSnapshot(`
      [
        71541,
        157837,
        239843,
        309467,
        381733,
        456363,
        526379,
        595074,
        681291,
        746884,
        822220,
        906994,
        980033,
        1000000,
      ]
    `);
    expect(cutWhole(new Uint8Array(600_000))).toEqual(cutEnds(new Uint8Array(600_000), CUT_SIZES));
  });

  test("agrees with the reference", () => {
    for (const seed of [1, 2]) {
      const bytes = randomBytes(1_500_000, seed, seed, seed === 1);
      expect(cutWhole(bytes)).toEqual(cutEnds(bytes, CUT_SIZES));
    }
  });

  test("agrees with the reference at small sizes, where every step of the loop matters", () => {
    const sizes = fc
      .tuple(
        fc.integer({ min: 65, max: 200 }),
        fc.integer({ min: 7, max: 9 }),
        fc.integer({ min: 1, max: 300 }),
      )
      .map(([minimumBytes, bits, more]) => {
        const averageBytes = Math.max(2 ** bits, 2 ** Math.ceil(Math.log2(minimumBytes + 1)));
        return { minimumBytes, averageBytes, maximumBytes: averageBytes + more };
      });
    fc.assert(
      fc.property(fc.nat(20_000), fc.nat(), sizes, (length, seed, sizes) => {
        const bytes = randomBytes(length, seed);
        expect(cutWhole(bytes, sizes)).toEqual(cutEnds(bytes, sizes));
      }),
    );
  });

  test.each([1, 37, 255, 4096, 262_144, 262_145])(
    "gives the same cuts when fed %i bytes at a time",
    (piece) => {
      const bytes = randomBytes(piece < 30 ? 300_000 : 1_200_000, 3);
      const pieces = new Array(Math.ceil(bytes.length / piece)).fill(piece);
      expect(cutInPieces(bytes, pieces)).toEqual(cutWhole(bytes));
    },
  );

  test("gives the same cuts for any feeding", () => {
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.nat(700), { maxLength: 60 }), (seed, pieces) => {
        const bytes = randomBytes(12_000, seed);
        expect(cutInPieces(bytes, pieces, small)).toEqual(cutWhole(bytes, small));
      }),
    );
  });

  test("keeps streams apart that take turns", () => {
    const a = randomBytes(400_000, 11);
    const b = randomBytes(400_000, 12);
    const first = new ContentCutter();
    const second = new ContentCutter();
    const ends: [number[], number[]] = [[], []];
    for (let at = 0; at < 400_000; at += 10_000) {
      ends[0].push(...first.push(a.subarray(at, at + 10_000), at === 390_000));
      ends[1].push(...second.push(b.subarray(at, at + 10_000), at === 390_000));
    }
    expect(ends).toEqual([cutWhole(a), cutWhole(b)]);
  });

  test("keeps to its sizes and comes out near the average", () => {
    const bytes = randomBytes(32 * 1024 * 1024, 5);
    const ends = cutWhole(bytes);
    let start = 0;
    for (const end of ends) {
      expect(end - start).toBeLessThanOrEqual(CUT_SIZES.maximumBytes);
      if (end !== bytes.length) expect(end - start).toBeGreaterThanOrEqual(CUT_SIZES.minimumBytes);
      start = end;
    }
    expect(start).toBe(bytes.length);
    const mean = bytes.length / ends.length;
    expect(mean).toBeGreaterThan(60_000);
    expect(mean).toBeLessThan(82_000);
  });

  test("finds its cuts again behind an insert", () => {
    const bytes = randomBytes(4_000_000, 6);
    const changed = new Uint8Array(bytes.length + 10);
    changed.set(bytes.subarray(0, 1_000_000));
    changed.set(randomBytes(10, 1), 1_000_000);
    changed.set(bytes.subarray(1_000_000), 1_000_010);
    const before = new Set(cutWhole(bytes));
    const moved = cutWhole(changed).filter((end) => !before.has(end <= 1_000_000 ? end : end - 10));
    expect(moved.length).toBeLessThanOrEqual(3);
  });

  test("handles streams without or with few bytes", () => {
    expect(cutWhole(new Uint8Array(0))).toEqual([]);
    expect(cutWhole(new Uint8Array(1))).toEqual([1]);
    expect(cutWhole(new Uint8Array(CUT_SIZES.maximumBytes))).toEqual([CUT_SIZES.maximumBytes]);
    const cutter = new ContentCutter();
    expect(cutter.push(new Uint8Array(5), false)).toEqual([]);
    expect(cutter.push(new Uint8Array(0), true)).toEqual([5]);
    expect(() => cutter.push(new Uint8Array(1), false)).toThrow(/has ended/);
  });

  test("refuses sizes that do not fit each other", () => {
    expect(() => new ContentCutter({ ...CUT_SIZES, minimumBytes: 64 })).toThrow(/the least is 65/);
    expect(() => new ContentCutter({ ...CUT_SIZES, averageBytes: 65_000 })).toThrow(/power of two/);
    expect(() => new ContentCutter({ ...CUT_SIZES, averageBytes: 16_384 })).toThrow(/more than minimumBytes/);
    expect(() => new ContentCutter({ ...CUT_SIZES, maximumBytes: 65_536 })).toThrow(/more than averageBytes/);
    expect(() => new ContentCutter({ ...CUT_SIZES, maximumBytes: 2 ** 31 })).toThrow(/whole number/);
  });
});
