import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import {
  DamagedBlockError,
  decodeDifference,
  differenceBytes,
  encodeDifference,
  float32ToBfloat16,
  float32ToFloat16,
  kernelsReady,
  type WordLayout,
} from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes, normals, place, randomBytes, randomNumbers } from "./buffers.ts";

beforeAll(kernelsReady);

const layouts = {
  bfloat16: { elementBytes: 2, exponentBits: 8 },
  float16: { elementBytes: 2, exponentBits: 5 },
  float32: { elementBytes: 4, exponentBits: 8 },
} as const satisfies Record<string, WordLayout>;
const narrow = {
  bfloat16: float32ToBfloat16,
  float16: float32ToFloat16,
  float32: (bytes: Uint8Array) => bytes,
};
type Name = keyof typeof layouts;
const names = Object.keys(layouts) as Name[];

/** Counts around vectors, groups of 32 and 256, and the largest block. */
const counts = [
  ...Array.from({ length: 70 }, (_, n) => n),
  ...[127, 128, 129, 255, 256, 257, 287, 289, 300, 511, 512, 513, 1000, 4097, 16384, 131071, 131072],
];

/** Larger blocks are too slow for the reference, but for some. */
const REFERENCE_ELEMENTS = 1100;

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** Weights, and the same after a step of training that changes them by about `step`. */
function trained(
  name: Name,
  count: number,
  step: number,
  seed: number,
): [words: Uint8Array, sibling: Uint8Array] {
  const before = normals(count, 0.02, seed);
  const steps = normals(count, step, seed + 1);
  const after = before.map((value, i) => value + steps[i]!);
  return [narrow[name](bytesOf(after)), narrow[name](bytesOf(before))];
}

/** Words that arithmetic on floats goes wrong with, as fractions of all words. */
const special = [0, 0x8000, 1, 0x8001, 0x7f80, 0xff80, 0x7fc0, 0xffff, 0x7c00, 0xfc00, 0x7fff, 0x0080];

/** Pairs of words and sibling of any content: from random numbers, the first for the sibling and the second for the word. */
const contents: Record<string, (bits: number, random: () => number, i: number) => [number, number]> = {
  random: (bits, random) => [random() * 2 ** bits, random() * 2 ** bits],
  equal: (_, __, i) => [i * 77, i * 77],
  "sign turned": (bits, _, i) => [i * 99, (i * 99 + 2 ** (bits - 1)) % 2 ** bits],
  special: (bits, random) => {
    const pick = () => special[Math.floor(random() * special.length)]! * 2 ** (bits - 16);
    return [pick(), pick()];
  },
  "one far word": (bits, random, i) => [i * 3, i === 40 ? random() * 2 ** bits : i * 3],
  "equal groups": (bits, random, i) => [i * 31, i % 600 < 300 ? i * 31 : random() * 2 ** bits],
  "any step": (bits, random, i) => [i * 51, (i * 51 + Math.floor(2 ** (random() * bits))) % 2 ** bits],
  "zeros to ones": () => [0, 1],
};

function content(
  name: keyof typeof contents,
  width: number,
  count: number,
  seed: number,
): [Uint8Array, Uint8Array] {
  const random = randomNumbers(seed);
  const words = place(count * width, seed % 5, seed % 2 === 0);
  const sibling = place(count * width, seed % 3, seed % 3 === 0);
  for (let i = 0; i < count; i++) {
    const [before, after] = contents[name]!(8 * width, random, i);
    for (let k = 0; k < width; k++) {
      sibling[i * width + k] = before / 256 ** k;
      words[i * width + k] = after / 256 ** k;
    }
  }
  return [words, sibling];
}

/** Encodes; if that is not declined, checks length and decodes by kernel and reference. */
function roundTrip(
  words: Uint8Array,
  sibling: Uint8Array,
  layout: WordLayout,
  what: string,
): Uint8Array | undefined {
  const out = new Uint8Array(words.length + 64).fill(7);
  const length = encodeDifference(words, sibling, layout, out);
  if (length === undefined) {
    if (out.some((byte) => byte !== 7)) throw new Error(`${what}: declined, but written to`);
    return undefined;
  }
  if (length >= words.length) throw new Error(`${what}: ${length} bytes are no gain`);
  if (out.subarray(length).some((byte) => byte !== 7)) throw new Error(`${what}: written too far`);
  const block = out.slice(0, length);
  const back = place(words.length, 1, true);
  decodeDifference(block, sibling, layout, back);
  expectSameBytes(back, words, `${what}: kernel`);
  if (words.length / layout.elementBytes <= REFERENCE_ELEMENTS) {
    expectSameBytes(reference.decodeDifference(block, sibling, layout), words, `${what}: reference`);
  }
  return block;
}

describe.each(names)("differences of %s", (name) => {
  const layout = layouts[name];
  const width = layout.elementBytes;

  test("of all contents and sizes round trip, or are declined", () => {
    let coded = 0;
    for (const [index, kind] of Object.keys(contents).entries()) {
      for (const count of counts) {
        const [words, sibling] = content(kind, width, count, count + index);
        if (roundTrip(words, sibling, layout, `${kind} ${count}`) !== undefined) coded++;
      }
    }
    expect(coded).toBeGreaterThan(150);
  });

  test("of weights round trip at any alignment, and the smaller the nearer they are", () => {
    for (const count of [100, 1000, 20_000, 131_072]) {
      const sizes = [1e-2, 1e-3, 1e-4, 1e-5].map((step) => {
        const [words, sibling] = trained(name, count, step, count);
        const block = roundTrip(words, sibling, layout, `${count} by ${step}`);
        return (block?.length ?? words.length) / words.length;
      });
      if (count < 1000) continue;
      expect(sizes).toEqual(sizes.toSorted((a, b) => b - a));
      if (count > 1000) expect(sizes[3]).toBeLessThan(name === "float32" ? 0.55 : 0.2);
    }
  });

  test("are as large as said before", () => {
    for (const count of [600, 5000, 131_072]) {
      for (const step of [1e-3, 1e-5]) {
        const [words, sibling] = trained(name, count, step, 7);
        const block = roundTrip(words, sibling, layout, "said")!;
        const said = differenceBytes(words, sibling, layout);
        expect(Math.abs(said - block.length)).toBeLessThan(16 + block.length / 500);
      }
    }
  });

  test("that reference encoders make are decoded", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 700 }),
        fc.constantFrom(...Object.keys(contents)),
        fc.integer({ min: 2, max: width === 2 ? 3 : 2 }),
        fc.integer({ min: 0, max: 3 }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(fc.integer({ min: 1, max: 511 }), { minLength: 3, maxLength: 3 }),
        (count, kind, precision, weightPrecision, order, levels) => {
          const [words, sibling] = content(kind, width, count, count);
          const level = (group: number) => levels[group]!;
          const block = reference.encodeDifference(words, sibling, layout, {
            precision,
            weightPrecision,
            order,
            level,
          });
          const back = place(words.length, 3);
          decodeDifference(block, sibling, layout, back);
          expectSameBytes(back, words, "kernel");
          expectSameBytes(reference.decodeDifference(block, sibling, layout), words, "reference");
        },
      ),
      { numRuns: 150 },
    );
  });

  test("any bytes round trip against any bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 3000 }),
        fc.integer({ min: 0, max: 200 }),
        fc.integer({ min: 1, max: 255 }),
        (bytes, every, change) => {
          const words = bytes.subarray(0, bytes.length - (bytes.length % width));
          const sibling = words.map((byte, i) => (i % (every + 1) === every ? byte ^ change : byte));
          roundTrip(words, sibling, layout, "any");
        },
      ),
    );
  });

  test("damage never crashes, hangs or writes elsewhere", () => {
    const random = randomNumbers(5);
    for (const step of [1e-2, 1e-4]) {
      const [words, sibling] = trained(name, 3000, step, 1);
      sibling.set(words.subarray(0, 600), 0);
      const block = roundTrip(words, sibling, layout, "damage")!;
      let found = 0;
      for (let round = 0; round < 1000; round++) {
        let damaged = block.slice();
        const flips = 1 + random() * 4;
        for (let k = 0; k < flips; k++) {
          // Half of the damage near the start, where headers and tables are.
          const reach = random() < 0.5 ? 300 : damaged.length;
          damaged[Math.floor(random() * Math.min(reach, damaged.length))] = random() * 256;
        }
        if (round % 5 === 0) damaged = damaged.subarray(0, random() * damaged.length);
        const out = new Uint8Array(words.length + 64).fill(7);
        try {
          decodeDifference(damaged, sibling, layout, out.subarray(0, words.length));
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedBlockError);
          found++;
        }
        expect(out.subarray(words.length).every((byte) => byte === 7)).toBe(true);
      }
      expect(found).toBeGreaterThan(800);
      // Nothing is left behind that would harm the next block.
      roundTrip(words, sibling, layout, "after damage");
    }
  });

  test("random bytes are no valid block, whatever they say", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 2000 }),
        fc.integer({ min: 0, max: 4000 }),
        fc.integer({ min: 2, max: 3 }),
        (bytes, count, precision) => {
          bytes.set([1, precision, bytes[2]!, bytes[3]! & 7, 0]);
          const sibling = randomBytes(count * width, count);
          try {
            decodeDifference(bytes, sibling, layout, new Uint8Array(sibling.length));
          } catch (error) {
            expect(error).toBeInstanceOf(DamagedBlockError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("differences", () => {
  const layout = layouts.bfloat16;

  test("of equal arrays are one byte", () => {
    const words = randomBytes(2000, 1);
    expect([...roundTrip(words, words.slice(), layout, "equal")!]).toEqual([0]);
    expect(differenceBytes(words, words.slice(), layout)).toBe(1);
  });

  test("keep to the room they get", () => {
    const [words, sibling] = trained("bfloat16", 5000, 1e-4, 3);
    const length = roundTrip(words, sibling, layout, "room")!.length;
    expect(encodeDifference(words, sibling, layout, new Uint8Array(length))).toBe(length);
    const less = new Uint8Array(length - 1);
    expect(encodeDifference(words, sibling, layout, less)).toBeUndefined();
    expect(encodeDifference(words, words.slice(), layout, new Uint8Array(0))).toBeUndefined();
  });

  test("with another sibling give an error or other elements", () => {
    const [words, sibling] = trained("bfloat16", 5000, 1e-4, 3);
    const block = roundTrip(words, sibling, layout, "sibling")!;
    const out = new Uint8Array(words.length);
    expect(() => decodeDifference(block, trained("bfloat16", 5000, 1e-4, 8)[1], layout, out)).toThrow(
      DamagedBlockError,
    );
  });

  test("of the wrong length are refused", () => {
    const [words, sibling] = trained("bfloat16", 5000, 1e-4, 3);
    const block = roundTrip(words, sibling, layout, "lengths")!;
    const out = new Uint8Array(words.length);
    for (const wrong of [block.subarray(0, block.length - 1), Uint8Array.of(...block, 0), Uint8Array.of()]) {
      expect(() => decodeDifference(wrong, sibling, layout, out)).toThrow(DamagedBlockError);
    }
    expect(() => decodeDifference(Uint8Array.of(0, 0), sibling, layout, out)).toThrow(/left over/);
    expect(() => decodeDifference(new Uint8Array(600_000).fill(1), sibling, layout, out)).toThrow(
      DamagedBlockError,
    );
  });

  test("that make no sense are refused", () => {
    const refused = (words: number, sibling: number, layout: WordLayout, message: RegExp) => {
      const [a, b] = [new Uint8Array(words), new Uint8Array(sibling)];
      expect(() => encodeDifference(a, b, layout, new Uint8Array(words))).toThrow(message);
      expect(() => differenceBytes(a, b, layout)).toThrow(message);
      expect(() => decodeDifference(Uint8Array.of(0), b, layout, a)).toThrow(message);
    };
    refused(10, 12, layout, /10 bytes, their siblings 12/);
    refused(11, 11, layout, /no whole elements of 2 bytes/);
    refused(262_146, 262_146, layout, /at most 131072/);
    for (const [elementBytes, exponentBits] of [
      [8, 11],
      [1, 4],
      [4, 5],
      [2, 0],
      [4, 0],
    ] as const) {
      refused(16, 16, { elementBytes, exponentBits }, /only bfloat16, float16 and float32/);
    }
  });
});
