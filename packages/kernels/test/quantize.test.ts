import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import {
  dequantizeQ4_0,
  dequantizeQ8_0,
  errorSums,
  fitScales,
  fitScalesAndMinima,
  float32ToInt8,
  float32ToSmallFloat,
  int8ToFloat32,
  kernelsReady,
  quantizeQ4_0,
  quantizeQ8_0,
} from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes, hostileCounts, normals, randomBytes } from "./buffers.ts";

beforeAll(kernelsReady);

const bytesOf = (array: ArrayBufferView): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Values whose products with inverses of scales end in ties, and any others. */
const value = fc.oneof(
  fc.constantFrom(0, -0, 127, -127, 8, -8),
  fc.integer({ min: -300, max: 300 }).map((steps) => steps / 2),
  fc.float({ noNaN: true, min: Math.fround(-1e30), max: Math.fround(1e30) }),
  fc.constantFrom(1e-38, -1e-40, 2 ** -149),
);
const blocks = fc
  .array(fc.array(value, { minLength: 32, maxLength: 32 }), { maxLength: 4 })
  .map((all) => Float32Array.from(all.flat()));

const formats = [
  ["q8_0", 34, quantizeQ8_0, dequantizeQ8_0, reference.quantizeQ8_0, reference.dequantizeQ8_0],
  ["q4_0", 18, quantizeQ4_0, dequantizeQ4_0, reference.quantizeQ4_0, reference.dequantizeQ4_0],
] as const;

describe.each(formats)("blocks of %s", (_, size, encode, decode, encodeReference, decodeReference) => {
  const both = (values: Float32Array): [Uint8Array, Uint8Array] => {
    const count = (values.length / 32) * size;
    const [actual, expected] = [new Uint8Array(count), new Uint8Array(count)];
    encode(values, actual);
    encodeReference(values, expected);
    return [actual, expected];
  };

  test("are those of the reference (property)", () => {
    fc.assert(
      fc.property(blocks, (values) => {
        const [actual, expected] = both(values);
        expect([...actual]).toEqual([...expected]);
      }),
    );
  });

  test("are those of the reference, more than fit into the scratch memory, in shared memory", () => {
    const values = normals(32 * 3001, 0.02, 5);
    const shared = new Float32Array(new SharedArrayBuffer(4 * values.length));
    shared.set(values);
    const [actual, expected] = both(shared);
    expectSameBytes(actual, expected);
  });

  test("decode as the reference says, whatever the bytes", () => {
    for (const count of [0, 1, 31, 1024, 1025, 2500]) {
      const bytes = randomBytes(count * size, count, 3);
      // Scales that are NaN have more than one pattern.
      for (let at = 1; at < bytes.length; at += size) bytes[at] = bytes[at]! & 0xbb;
      const [actual, expected] = [new Float32Array(32 * count), new Float32Array(32 * count)];
      decode(bytes, actual);
      decodeReference(bytes, expected);
      expectSameBytes(bytesOf(actual), bytesOf(expected), `${count} blocks`);
    }
  });

  test("refuse what is no whole blocks", () => {
    expect(() => encode(new Float32Array(33), new Uint8Array(2 * size))).toThrow(
      /33 elements are no whole blocks of 32/,
    );
    expect(() => encode(new Float32Array(32), new Uint8Array(size + 1))).toThrow(RangeError);
    expect(() => decode(new Uint8Array(size), new Float32Array(64))).toThrow(RangeError);
  });
});

describe("int8", () => {
  const scales = [1, 0.5, Math.fround(0.1), Math.fround(2.3e-5), 2 ** -149, Math.fround(1e30)];

  test("is that of the reference, at any count, and back", () => {
    for (const count of hostileCounts) {
      const scale = scales[count % scales.length]!;
      const values = normals(count, 1, count + 1).map((one) => Math.fround(Math.fround(one * 50) * scale));
      for (const [zero, least] of [
        [0, -127],
        [-383, -128],
        [1 << 29, -128],
      ] as const) {
        const [actual, expected] = [new Int8Array(count), new Int8Array(count)];
        float32ToInt8(values, scale, zero, least, actual);
        reference.float32ToInt8(values, scale, zero, least, expected);
        expectSameBytes(bytesOf(actual), bytesOf(expected), `${count} with ${zero}`);
        const [decoded, plain] = [new Float32Array(count), new Float32Array(count)];
        int8ToFloat32(actual, scale, zero, decoded);
        reference.int8ToFloat32(actual, scale, zero, plain);
        expectSameBytes(bytesOf(decoded), bytesOf(plain), `${count} decoded with ${zero}`);
      }
    }
  });

  test("rounds ties to even", () => {
    const out = new Int8Array(8);
    float32ToInt8(Float32Array.of(0.5, 1.5, -0.5, -1.5, 2.5, 126.5, 127.5, -128.5), 1, 0, -127, out);
    expect([...out]).toEqual([0, 2, 0, -2, 2, 126, 127, -127]);
  });

  test("refuses lengths that differ", () => {
    expect(() => float32ToInt8(new Float32Array(3), 1, 0, -127, new Int8Array(2))).toThrow(
      /an array of 2 is given, 3 are needed/,
    );
    expect(() => int8ToFloat32(new Int8Array(3), 1, 0, new Float32Array(4))).toThrow(RangeError);
  });
});

describe("small floats", () => {
  test.each([
    ["e2m1", { exponentBits: 2, mantissaBits: 1, largestBits: 7 }],
    ["e2m3", { exponentBits: 2, mantissaBits: 3, largestBits: 31 }],
    ["e3m2", { exponentBits: 3, mantissaBits: 2, largestBits: 31 }],
    ["e4m3", { exponentBits: 4, mantissaBits: 3, largestBits: 126 }],
    ["e5m2", { exponentBits: 5, mantissaBits: 2, largestBits: 123 }],
  ])("%s are those of the reference (property)", (_, format) => {
    // Numbers of few bits are ties of some format.
    const few = fc
      .tuple(fc.integer({ min: -63, max: 63 }), fc.integer({ min: -24, max: 12 }))
      .map(([mantissa, exponent]) => mantissa * 2 ** exponent);
    const any = fc.float({ noNaN: true, min: -70000, max: 70000 });
    const edge = fc.constantFrom(0, -0, 2 ** -149, -(2 ** -126), 1e30, -1e30);
    fc.assert(
      fc.property(fc.array(fc.oneof(few, any, edge), { maxLength: 70 }), (numbers) => {
        const values = Float32Array.from(numbers);
        const [actual, expected] = [new Uint8Array(values.length), new Uint8Array(values.length)];
        float32ToSmallFloat(values, format, actual);
        reference.float32ToSmallFloat(values, format, expected);
        expect([...actual]).toEqual([...expected]);
      }),
    );
  });
});

describe("scales of super-blocks", () => {
  const superBlock = fc
    .array(fc.array(value, { minLength: 32, maxLength: 32 }), { minLength: 8, maxLength: 8 })
    .map((runs) => Float32Array.from(runs.flat(), (one) => (Math.abs(one) > 1e15 ? 1 : one)));

  test("are those of the reference (property)", () => {
    fc.assert(
      fc.property(superBlock, (values) => {
        const found = [0, 1].map(() => ({
          scales: new Float32Array(16),
          minima: new Float32Array(8),
          integers: new Uint8Array(256),
        }));
        const [actual, expected] = [found[0]!, found[1]!];
        fitScalesAndMinima(values, actual.scales, actual.minima, actual.integers);
        reference.fitScalesAndMinima(values, expected.scales, expected.minima, expected.integers);
        expect(actual).toEqual(expected);
        fitScales(values, actual.scales, actual.integers);
        reference.fitScales(values, expected.scales, expected.integers);
        expect(actual).toEqual(expected);
      }),
    );
  });
});

describe("errorSums", () => {
  test("are those of the reference at any count, but for the order of summing", () => {
    for (const count of hostileCounts) {
      const source = normals(count, 1, count);
      const decoded = source.map((one, index) => one + (index % 5) / 64);
      const actual = errorSums(source, decoded);
      const expected = reference.errorSums(source, decoded);
      expect(actual.largestError).toBe(expected.largestError);
      for (const name of ["noise", "signal", "energy", "product"] as const) {
        expect(Math.abs(actual[name] - expected[name])).toBeLessThanOrEqual(
          1e-10 * (1 + Math.abs(expected[name])),
        );
      }
    }
  });

  test("show what is not finite", () => {
    const of = (from: number, to: number, count = 5) =>
      errorSums(new Float32Array(count).fill(from, 2, 3), new Float32Array(count).fill(to, 2, 3));
    for (const count of [3, 5, 40_000]) {
      expect(Number.isFinite(of(Number.NaN, 1, count).noise)).toBe(false);
      expect(Number.isFinite(of(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, count).noise)).toBe(
        false,
      );
    }
    expect(() => errorSums(new Float32Array(2), new Float32Array(3))).toThrow(RangeError);
  });
});
