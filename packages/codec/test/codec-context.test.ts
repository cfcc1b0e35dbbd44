/** The context coder: golden bytes, what it is worth, parameters and damage. What all codecs promise is in codec-round-trip.test.ts. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256 } from "../src/bytes/hash.ts";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { context } from "../src/codec/context.ts";
import { BitDecoder, BitEncoder } from "../src/codec/context-coder.ts";
import { entropy } from "../src/codec/entropy.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { anyBytes, anyMutation, mutated, noise, normals, random, toBfloat16 } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";

beforeAll(() => ready());

const encode = (input: Uint8Array, dtype: string, parameters = {}): Uint8Array =>
  context.encode(input, { dtype: dtypeOf(dtype) }, context.parse(parameters));
const decode = (coded: Uint8Array, bytes: number): Uint8Array =>
  context.decode(coded, { dtype: dtypeOf("uint8"), bytes });

/** A matrix whose rows and columns have scales of their own, as weights of a trained model have. */
function scaled(rows: number, columns: number, seed: number): Float32Array {
  const next = random(seed);
  const ofRow = Float32Array.from({ length: rows }, () => 2 ** (2 * next()));
  const ofColumn = Float32Array.from({ length: columns }, () => 2 ** (4 * next()));
  return normals(rows * columns, 0.01, seed + 1).map(
    (value, index) => value * ofRow[Math.floor(index / columns)]! * ofColumn[index % columns]!,
  );
}

describe("golden bytes", () => {
  const text = new TextEncoder().encode("all work and no play makes jack a dull boy. ".repeat(3));
  const few = Float32Array.from({ length: 24 }, (_, index) => ((index % 7) - 3) / 4);

  test.each([
    [
      "bytes",
      "uint8",
      text,
      "01019e8d8d6b72fa01833b51238024bbae4694aad32678265f848f43b6b03b121bc6dca2975cc251c73216cdbb75c77035c4",
    ],
    ["float32", "float32", new Uint8Array(few.buffer), "0204000816017e0000000087ca22ee6db5668e32003bac"],
    ["bfloat16", "bfloat16", toBfloat16(few), "0202000806017e0000000087ca22ee6db5668e32003bac"],
    ["noise is stored", "uint8", Uint8Array.of(1, 250, 3), "0001fa03"],
  ])("%s", (_name, dtype, input, golden) => {
    expect(toHex(encode(input, dtype))).toBe(golden);
    expect(decode(fromHex(golden), input.length)).toEqual(input);
  });

  test.each([
    [
      "float32",
      new Uint8Array(scaled(40, 100, 5).buffer),
      "a2762e35f23719b914a1c029ae465e9fdfb5e6732bf71fb7c1471d3d42a8525f",
    ],
    [
      "bfloat16",
      toBfloat16(scaled(40, 100, 6)),
      "1241d4453a9eb12a72f64a58db05dcc4450c4953d336d901179dd19f26f4c74a",
    ],
    [
      "int32",
      new Uint8Array(Int32Array.from(noise(3000, 7), (byte) => byte * byte).buffer),
      "829b0a5105410140c8f54d15f2f274a4a2337b0fa02530d07c0da165f917babe",
    ],
  ])("%s, of thousands of elements", (dtype, input, golden) => {
    expect(toHex(sha256(encode(input, dtype)))).toBe(golden);
  });
});

describe("what it is worth", () => {
  const sizes = (input: Uint8Array, dtype: string): [number, number] => [
    encode(input, dtype).length,
    entropy.encode(input, { dtype: dtypeOf(dtype) }, {}).length,
  ];

  test("scales of rows and columns are found", () => {
    const values = scaled(256, 320, 8);
    for (const [dtype, input, saved] of [
      ["bfloat16", toBfloat16(values), 0.04],
      ["float32", new Uint8Array(values.buffer), 0.015],
      ["float16", new Uint8Array(new Float16Array(values).buffer), 0.02],
    ] as const) {
      const [ours, order0] = sizes(input, dtype);
      expect(ours, dtype).toBeLessThan(order0 * (1 - saved));
    }
  });

  test("plain normals cost no more than by entropy alone", () => {
    for (const [dtype, input] of [
      ["bfloat16", toBfloat16(normals(131_072, 0.02, 9))],
      ["float32", new Uint8Array(normals(131_072, 0.02, 9).buffer)],
    ] as const) {
      const [ours, order0] = sizes(input, dtype);
      expect(ours, dtype).toBeLessThan(order0 * 1.001);
    }
  });

  test("zeros and values beyond the range of steps are escapes", () => {
    const values = normals(20_000, 0.02, 10).map((value, index) =>
      index % 3 === 0
        ? 0
        : index % 1000 === 1
          ? Number.POSITIVE_INFINITY
          : index % 1000 === 2
            ? 1e-30
            : value,
    );
    const input = toBfloat16(values);
    const coded = encode(input, "bfloat16");
    expect(coded[0]).toBe(2);
    expect(coded.length).toBeLessThan(input.length * 0.55);
    expect(decode(coded, input.length)).toEqual(input);
  });
});

describe("parameters", () => {
  test("floats among opaque bytes, behind others", () => {
    const floats = new Uint8Array(normals(20_000, 0.02, 11).buffer);
    const plain = encode(floats, "float32").length;
    for (const skip of [0, 1, 2, 3]) {
      const input = new Uint8Array(skip + floats.length + 2);
      input.set(floats, skip);
      const coded = encode(input, "uint8", { wordBytes: 4, exponentBits: 8, skip });
      expect(coded.length).toBeLessThan(plain + 8);
      expect(decode(coded, input.length)).toEqual(input);
    }
  });

  test.each([
    [{ skip: 1 }, /skip is 1/],
    [{ wordBytes: 4, exponentBits: 8, skip: 4 }, /skip is 4/],
    [{ wordBytes: 3, exponentBits: 8 }, /wordBytes is 3/],
    [{ wordBytes: 4 }, /exponentBits/],
    [{ order: 2 }, /order/],
  ])("refuses %j", (parameters, message) => {
    expect(() => context.parse(parameters)).toThrow(UsageError);
    expect(() => context.parse(parameters)).toThrow(message);
  });

  test("any parameters give any bytes back", () => {
    const anyParameters = fc.constantFrom(
      { wordBytes: 2, exponentBits: 5, skip: 1 },
      { wordBytes: 2, exponentBits: 8 },
      { wordBytes: 4, exponentBits: 8, skip: 3 },
      { wordBytes: 4, exponentBits: 5 },
      { wordBytes: 8, exponentBits: 11, skip: 7 },
      { wordBytes: 1, exponentBits: 0 },
    );
    fc.assert(
      fc.property(anyBytes(2000), anyParameters, (input, parameters) => {
        expect(Buffer.compare(decode(encode(input, "uint8", parameters), input.length), input)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});

describe("damage", () => {
  test("bits of any probability come back", () => {
    const anyBits = fc.array(fc.tuple(fc.nat(1), fc.integer({ min: 32, max: 65_504 })), { maxLength: 500 });
    fc.assert(
      fc.property(anyBits, (bits) => {
        const encoder = new BitEncoder();
        for (const [bit, probability] of bits) encoder.code(bit, probability);
        const decoder = new BitDecoder(encoder.finish());
        for (const [bit, probability] of bits) expect(decoder.code(0, probability)).toBe(bit);
        decoder.finish();
      }),
      { numRuns: 300 },
    );
  });

  test.each([
    ["", /ends|short|bytes/],
    ["03", /model 3/],
    ["0100", /width of 0/],
    ["02 03 00 08 00 03 7e 00000000", /words of 3 bytes/],
    ["02 02 02 08 00 03 7e 00000000", /words of 2 bytes/],
    ["02 04 00 05 00 03 7e 00000000", /words of 4 bytes/],
    ["02 02 00 08 05 03 7e 00000000", /words of 2 bytes/],
    ["02 02 00 08 00 07 7e 21000000", /stride of 33 in 32 words/],
  ])("%j is damaged", (hex, message) => {
    const coded = fromHex(hex.replaceAll(" ", ""));
    expect(() => decode(coded, 64)).toThrow(DamageError);
    expect(() => decode(coded, 64)).toThrow(message);
  });

  test("bytes behind the coded ones, and lengths that are not believed", () => {
    const input = toBfloat16(scaled(10, 100, 12));
    const coded = encode(input, "bfloat16");
    const longer = new Uint8Array(coded.length + 5).fill(1);
    longer.set(coded);
    expect(() => decode(longer, input.length)).toThrow(/bytes follow/);
    expect(() => decode(coded, 2 ** 40)).toThrow(/limit/i);
  });

  test("damaged floats keep to their length and to a bounded time", () => {
    const input = toBfloat16(scaled(20, 64, 13));
    const coded = encode(input, "bfloat16");
    fc.assert(
      fc.property(fc.array(anyMutation, { minLength: 1, maxLength: 4 }), (mutations) => {
        const damaged = mutations.reduce(mutated, coded);
        expectContained(() => decode(damaged, input.length), input.length);
      }),
      { numRuns: 200 },
    );
  });
});
