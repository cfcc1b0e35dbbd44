import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import {
  BLOCK_ELEMENTS_LIMIT,
  type BlockCoder,
  DamagedBlockError,
  decodeBlock,
  encodeBlock,
  encodedLimit,
  float32ToBfloat16,
  float32ToFloat16,
  kernelsReady,
  type WordLayout,
} from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes, normals, place, randomBytes, randomNumbers } from "./buffers.ts";

beforeAll(kernelsReady);

const layouts: Record<string, WordLayout> = {
  bfloat16: { elementBytes: 2, exponentBits: 8 },
  float16: { elementBytes: 2, exponentBits: 5 },
  float32: { elementBytes: 4, exponentBits: 8 },
  float64: { elementBytes: 8, exponentBits: 11 },
  float8: { elementBytes: 1, exponentBits: 4 },
  int16: { elementBytes: 2, exponentBits: 0 },
  int32: { elementBytes: 4, exponentBits: 0 },
  int64: { elementBytes: 8, exponentBits: 0 },
  uint8: { elementBytes: 1, exponentBits: 0 },
};
const coders: readonly BlockCoder[] = ["rans", "ladder"];
const counts = [
  0, 1, 2, 63, 64, 65, 127, 128, 129, 159, 160, 161, 191, 193, 255, 256, 257, 1000, 4095, 4096, 4097, 30001,
  131071, 131072,
];

/** Larger blocks are too slow for the reference, but for some. */
const REFERENCE_BYTES = 20_000;

function encode(input: Uint8Array, layout: WordLayout, coder: BlockCoder = "rans"): Uint8Array {
  const out = new Uint8Array(encodedLimit(input.length));
  return out.slice(0, encodeBlock(input, layout, coder, out));
}

/** Encodes, checks the length, decodes by kernel and reference; returns the block. */
function roundTrip(input: Uint8Array, layout: WordLayout, coder: BlockCoder, what: string): Uint8Array {
  const block = encode(input, layout, coder);
  if (block.length > input.length + 1) throw new Error(`${what}: grew to ${block.length}`);
  const out = place(input.length, 1, true);
  decodeBlock(block, out);
  expectSameBytes(out, input, `${what}: kernel`);
  if (input.length <= REFERENCE_BYTES || what.includes("reference")) {
    expectSameBytes(reference.decodeBlock(block, input.length), input, `${what}: reference`);
  }
  return block;
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** Kinds of content, each as 32-bit words that are cut down to the element size. */
const contents: Record<string, (i: number, random: () => number) => number> = {
  zeros: () => 0,
  ones: () => 0x3f803f80,
  random: (_, random) => random() * 2 ** 32,
  "two values": (_, random) => (random() < 0.9 ? 0x3f803f80 : 0xbf80bf80),
  "mostly zero": (_, random) => (random() < 0.92 ? 0 : random() * 2 ** 32),
  "any exponent": (_, random) => (random() * 256) << 23,
  "one far exponent": (i, random) => (i === 777 ? 0x7f800000 : 0x3c000000 + random() * 0x2000000),
  "NaN among infinities": (_, random) => (random() < 0.1 ? 0x7fc07fc0 : 0xff80ff80),
  period: (i, random) => (i % 272 < 16 ? 0x3d003d00 : random() * 2 ** 32),
  counting: (i) => i,
  "rare symbols": (i, random) => (i % 1000 === 999 ? random() * 2 ** 32 : 0x3c003c00 + random() * 0x400),
};

describe.each(coders)("blocks coded by %s", (coder) => {
  test.each(Object.entries(layouts))(
    "%s of all contents and sizes round trip and do not grow",
    (_, layout) => {
      for (const [name, content] of Object.entries(contents)) {
        for (const count of counts) {
          if (count > 5000 && count * layout.elementBytes > 600_000) continue;
          const random = randomNumbers(count + name.length);
          const words = Uint32Array.from({ length: Math.ceil((count * layout.elementBytes) / 4) }, (_, i) =>
            content(i, random),
          );
          roundTrip(
            bytesOf(words).subarray(0, count * layout.elementBytes),
            layout,
            coder,
            `${name} ${count}`,
          );
        }
      }
    },
  );

  test("normal weights round trip at any alignment, and get smaller", () => {
    for (const count of [1000, 4097, 131072]) {
      const values = bytesOf(normals(count, 0.02, count));
      const inputs: [keyof typeof layouts, Uint8Array, number][] = [
        ["float32", values, 1.18],
        ["bfloat16", float32ToBfloat16(values), 1.4],
        ["float16", float32ToFloat16(values), 1.12],
      ];
      for (const [name, bytes, ratio] of inputs) {
        const input = place(bytes.length, 3, true);
        input.set(bytes);
        const block = roundTrip(input, layouts[name]!, coder, `${name} ${count}, reference`);
        if (count > 4000) expect(bytes.length / block.length, name).toBeGreaterThan(ratio);
      }
    }
  });

  test("any bytes under any layout round trip", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 3000 }),
        fc.constantFrom(...Object.values(layouts)),
        fc.integer({ min: 1, max: 40 }),
        (bytes, layout, kinds) => {
          roundTrip(
            bytes.map((byte) => byte % kinds),
            layout,
            coder,
            "any",
          );
        },
      ),
    );
  });

  test("the largest block round trips", () => {
    const layout = layouts.float64!;
    const values = Float64Array.from(normals(BLOCK_ELEMENTS_LIMIT, 1, 1));
    roundTrip(bytesOf(values), layout, coder, "float64");
    expect(() => encode(new Uint8Array(8 * BLOCK_ELEMENTS_LIMIT + 8), layout, coder)).toThrow(
      /at most 131072/,
    );
  });

  test("damage never crashes, hangs or writes elsewhere", () => {
    const random = randomNumbers(5);
    const inputs: [Uint8Array, WordLayout][] = [
      [float32ToBfloat16(bytesOf(normals(3000, 0.02, 1))), layouts.bfloat16!],
      [float32ToFloat16(bytesOf(normals(3000, 0.02, 1))), layouts.float16!],
      [bytesOf(normals(3000, 0.02, 2)), layouts.float32!],
      [
        bytesOf(Float32Array.from(normals(3000, 0.02, 2), (value) => Math.round(value * 100))),
        layouts.float32!,
      ],
      [bytesOf(Uint8Array.from(normals(9000, 10, 3), Math.abs)), layouts.uint8!],
      [bytesOf(Float64Array.from(normals(500, 10, 3))), layouts.float64!],
    ];
    for (const [input, layout] of inputs) {
      const block = encode(input, layout, coder);
      for (let round = 0; round < 400; round++) {
        let damaged = block.slice();
        const flips = 1 + random() * 4;
        for (let k = 0; k < flips; k++) {
          // Half of the damage near the start, where headers and tables are.
          const reach = random() < 0.5 ? 300 : damaged.length;
          damaged[Math.floor(random() * Math.min(reach, damaged.length))] = random() * 256;
        }
        if (round % 5 === 0) damaged = damaged.subarray(0, random() * damaged.length);
        const out = new Uint8Array(input.length + 64).fill(7);
        try {
          decodeBlock(damaged, out.subarray(0, input.length));
        } catch (error) {
          expect(error).toBeInstanceOf(DamagedBlockError);
        }
        expect(out.subarray(input.length).every((byte) => byte === 7)).toBe(true);
      }
      // Nothing is left behind that would harm the next block.
      roundTrip(input, layout, coder, "after damage");
    }
  });

  test("random bytes are no valid block, whatever they say", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 6, maxLength: 2000 }),
        fc.integer({ min: 1, max: 5 }),
        fc.constantFrom(1, 2, 4, 8),
        fc.integer({ min: 1, max: 2000 }),
        (bytes, method, width, count) => {
          bytes.set([method, width, count & 255, count >> 8, 0, 0]);
          try {
            decodeBlock(bytes, new Uint8Array(count * width));
          } catch (error) {
            expect(error).toBeInstanceOf(DamagedBlockError);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("blocks", () => {
  test("of the wrong length are refused", () => {
    const input = float32ToBfloat16(bytesOf(normals(1000, 0.02, 1)));
    const block = encode(input, layouts.bfloat16!);
    expect(() => decodeBlock(block, new Uint8Array(1998))).toThrow(DamagedBlockError);
    expect(() => decodeBlock(block.subarray(0, block.length - 1), new Uint8Array(2000))).toThrow(
      DamagedBlockError,
    );
    expect(() => decodeBlock(new Uint8Array(0), new Uint8Array(0))).toThrow(DamagedBlockError);
    expect(() => encodeBlock(input, layouts.bfloat16!, "rans", new Uint8Array(2000))).toThrow(
      /2256 are needed/,
    );
    expect(() => encode(input, { elementBytes: 3 as 4, exponentBits: 8 })).toThrow(/1, 2, 4 or 8/);
  });

  test("of no whole elements are stored", () => {
    const input = randomBytes(1001, 1);
    expect(encode(input, layouts.float32!)[0]).toBe(0);
    roundTrip(input, layouts.float32!, "rans", "odd");
  });
});
