/** bitshuffle, delta and rle: layouts, oracles, parameters. What all codecs promise is in codec-round-trip.test.ts. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { codecOf } from "../src/codec/registry.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { anyBytes, anyMutation, mutated, noise, normals } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";

beforeAll(() => ready());

const hex = (spaced: string): Uint8Array => fromHex(spaced.replaceAll(" ", ""));

describe("golden bytes", () => {
  test.each([
    ["rle", "uint16", {}, "0100 0100 0100 0200 0300 0300 99", "02 03 070205 0100 0200 0300 99"],
    ["rle", "uint8", {}, "0707 0708 0909 0a0a0a0a", "01 03 070609 07 080909 0a"],
    ["rle", "uint8", { elementBytes: 3 }, "010203 010203 01", "03 01 05 010203 01"],
    ["rle", "uint8", {}, "", "01 00"],
    ["bitshuffle", "uint8", {}, "01 02 04 08 10 20 40 80 ff", "01 0f 01 02 04 08 10 20 40 80 ff"],
    [
      "bitshuffle",
      "uint16",
      {},
      "0100 0100 0100 0100 0000 0000 0000 0080 abcd ef",
      "02 0f 0f 00000000000000 00000000000000 80 abcd ef",
    ],
    ["delta", "int16", {}, "0100 0300 0200 0200 ffff 07", "0200 0400 0100 0000 0500 07 01000000 02"],
    // 1.0, the next float, 1.0, -0.0: the last two differences are -1 and -(1.0's bits) - 1.
    [
      "delta",
      "float32",
      {},
      "0000803f 0100803f 0000803f 00000080",
      "0000803f 01000000 00000080 000080bf 01000000 14",
    ],
    ["delta", "uint8", { stride: 3 }, "01 02 03 05 07 09", "02 04 06 08 0a 0c 03000000 01"],
    [
      "delta",
      "float64",
      {},
      "000000000000f03f 010000000000f03f ffffffffffffef3f",
      "000000000000f03f 0100000000000000 0100000000000080 01000000 18",
    ],
    [
      "delta",
      "int64",
      {},
      "0100000000000000 0000000000000000 ffffffffffffffff",
      "0200000000000000 0100000000000000 0100000000000000 01000000 08",
    ],
  ])("%s of %s %j", (id, dtype, parameters, raw, coded) => {
    const codec = codecOf(id);
    const context = { dtype: dtypeOf(dtype) };
    expect(toHex(codec.encode(hex(raw), context, codec.parse(parameters)))).toBe(coded.replaceAll(" ", ""));
    const bytes = raw.replaceAll(" ", "").length / 2;
    expect(toHex(codec.decode(hex(coded), { ...context, bytes }))).toBe(raw.replaceAll(" ", ""));
  });
});

describe("bitshuffle", () => {
  /** Bit by bit, as the layout says. */
  function reference(input: Uint8Array, elementBytes: number): Uint8Array {
    const output = input.slice();
    for (let start = 0; start < input.length; start += 32_768) {
      const whole = Math.floor(Math.min(32_768, input.length - start) / (8 * elementBytes)) * 8;
      for (let row = 0; row < 8 * elementBytes; row++) {
        for (let index = 0; index < whole; index++) {
          const bit = (input[start + index * elementBytes + (row >> 3)]! >> (row & 7)) & 1;
          const at = start + row * (whole / 8) + (index >> 3);
          output[at] = (index & 7) === 0 ? bit : output[at]! | (bit << (index & 7));
        }
      }
    }
    return output;
  }

  test.each([1, 2, 4, 8, 16])("puts bits where the layout says, elements of %i bytes", (elementBytes) => {
    const codec = codecOf("bitshuffle");
    const dtype = dtypeOf("uint8");
    for (const bytes of [0, 1, 7, 8 * elementBytes, 40 * elementBytes + 3, 264 * elementBytes, 70_003]) {
      const input = noise(bytes + 1, bytes + 1).subarray(1);
      const coded = codec.encode(input, { dtype }, { elementBytes });
      expect(Buffer.compare(coded.subarray(2), reference(input, elementBytes)), `${bytes} bytes`).toBe(0);
      expect(Buffer.compare(codec.decode(coded, { dtype, bytes }), input)).toBe(0);
    }
  });

  test("small integers become runs for the codec behind", () => {
    const input = new Uint8Array(Int32Array.from(noise(40_000, 1), (byte) => byte & 7).buffer);
    const size = (policy: unknown) =>
      encodeChunk(input, dtypeOf("int32"), parsePolicy(policy)).payload.length;
    expect(size(["bitshuffle", "lz4"])).toBeLessThan(size("lz4") / 3);
    expect(size(["bitshuffle", "lz4"])).toBeLessThan(input.length / 9);
  });
});

describe("delta", () => {
  test("differences are numcodecs' for integers", () => {
    const input = Int32Array.from(noise(4000, 4), (byte, index) => byte * 1e6 - index);
    const codec = codecOf("delta");
    const coded = codec.encode(new Uint8Array(input.buffer), { dtype: dtypeOf("int32") }, { stride: 1 });
    const words = new Uint32Array(coded.slice(0, -5).buffer);
    for (let index = 1; index < input.length; index++) {
      const difference = (input[index]! - input[index - 1]!) | 0;
      expect(words[index]).toBe(((difference << 1) ^ (difference >> 31)) >>> 0);
    }
  });

  test("every bit pattern of 8- and 16-bit words survives any neighbour", () => {
    const all = Uint16Array.from({ length: 65_536 }, (_, index) => index);
    const shuffled = all.map((value) => (value * 40_503) & 0xffff);
    const codec = codecOf("delta");
    for (const input of [all, shuffled]) {
      const bytes = new Uint8Array(input.buffer);
      for (const dtype of ["float16", "bfloat16", "int16", "uint16", "float8_e4m3fn", "int8"].map((name) =>
        dtypeOf(name),
      )) {
        const decoded = codec.decode(codec.encode(bytes, { dtype }, { stride: 1 }), {
          dtype,
          bytes: bytes.length,
        });
        expect(Buffer.compare(decoded, bytes)).toBe(0);
      }
    }
  });

  test("with a row's length as stride, equal rows are zero", () => {
    const row = new Uint8Array(normals(100, 1, 2).buffer);
    const rows = new Uint8Array(10 * row.length);
    for (let at = 0; at < rows.length; at += row.length) rows.set(row, at);
    const codec = codecOf("delta");
    const coded = codec.encode(rows, { dtype: dtypeOf("float32") }, codec.parse({ stride: 100 }));
    expect(coded.subarray(row.length, rows.length).every((byte) => byte === 0)).toBe(true);
    expect(toHex(coded.subarray(0, row.length))).toBe(toHex(row));
  });

  test("sorted numbers: chained with planes, far smaller than planes alone", () => {
    let sum = 0n;
    const input = BigInt64Array.from(noise(20_000, 5), (byte) => {
      sum += BigInt(byte);
      return sum;
    });
    const size = (policy: unknown) =>
      encodeChunk(new Uint8Array(input.buffer), dtypeOf("int64"), parsePolicy(policy)).payload.length;
    expect(size(["delta", "planes"])).toBeLessThan(input.length * 1.2);
    expect(size(["delta", "planes"])).toBeLessThan(size("planes") * 0.75);
  });
});

describe("rle", () => {
  test("a constant costs a few bytes, noise a few more than it has", () => {
    const codec = codecOf("rle");
    const dtype = dtypeOf("complex128");
    expect(codec.encode(new Uint8Array(1 << 20), { dtype }, {}).length).toBe(1 + 1 + 3 + 16);
    const random = noise(100_001, 3);
    expect(codec.encode(random, { dtype }, {}).length).toBeLessThan(random.length + 16);
    expect(codec.encode(random, { dtype: dtypeOf("uint8") }, {}).length).toBeLessThan(random.length * 1.01);
  });

  test("runs of elements are found at their width only", () => {
    const codec = codecOf("rle");
    const element = noise(12, 6);
    const input = new Uint8Array(12 * 1000);
    for (let at = 0; at < input.length; at += 12) input.set(element, at);
    expect(codec.encode(input, { dtype: dtypeOf("uint8") }, { elementBytes: 12 }).length).toBe(
      1 + 1 + 2 + 12,
    );
  });

  test("a bomb is refused: a run is never longer than what was declared", () => {
    const bomb = hex("01 04 ffffff7f 00");
    expect(() => codecOf("rle").decode(bomb, { dtype: dtypeOf("uint8"), bytes: 1000 })).toThrow(/declared/);
  });
});

const variants: readonly [string, object][] = [
  ...[1, 2, 3, 5, 7, 8, 12, 16].map((elementBytes): [string, object] => ["rle", { elementBytes }]),
  ...[1, 2, 4, 8, 16].map((elementBytes): [string, object] => ["bitshuffle", { elementBytes }]),
  ...[1, 2, 4, 8].flatMap((wordBytes): [string, object][] => [
    ["delta", { wordBytes, floats: true, stride: 3 }],
    ["delta", { wordBytes, floats: false, stride: 1 }],
  ]),
  ["delta", { stride: 16_777_216 }],
];

test.each(variants)("%s %j gives any bytes back and contains damage", (id, json) => {
  const codec = codecOf(id);
  const parameters = codec.parse({ ...json });
  fc.assert(
    fc.property(anyBytes(700), fc.constantFrom(...dtypes), anyMutation, (input, dtype, mutation) => {
      const coded = codec.encode(input, { dtype }, parameters);
      expect(Buffer.compare(codec.decode(coded, { dtype, bytes: input.length }), input)).toBe(0);
      const damaged = mutated(coded, mutation);
      expectContained(() => codec.decode(damaged, { dtype, bytes: input.length }), input.length);
    }),
    { numRuns: 60 },
  );
});

test.each(["rle", "bitshuffle", "delta", "sparse", "cluster"])(
  "%s gives megabytes of odd length back",
  (id) => {
    const input = noise(2_500_003, 40);
    input.fill(0, 100_001, 900_000);
    input.fill(7, 1_200_000, 1_900_001);
    const bytes = input.subarray(1);
    const codec = codecOf(id);
    for (const dtype of [dtypeOf("float32"), dtypeOf("complex128")]) {
      const coded = codec.encode(bytes, { dtype }, codec.parse({}));
      expect(coded.length).toBeLessThan(bytes.length + 64);
      expect(Buffer.compare(codec.decode(coded, { dtype, bytes: bytes.length }), bytes)).toBe(0);
    }
  },
);

test.each([
  ["rle", { elementBytes: 17 }, /elementBytes is 17/],
  ["bitshuffle", { elementBytes: 3 }, /elementBytes is 3; it must be 1, 2, 4, 8 or 16/],
  ["delta", { stride: 0 }, /stride is 0/],
  ["delta", { wordBytes: 16 }, /wordBytes is 16/],
  ["delta", { floats: "yes" }, /floats is "yes"/],
])("%s refuses %j", (id, parameters, message) => {
  expect(() => codecOf(id).parse(parameters)).toThrow(message);
});
