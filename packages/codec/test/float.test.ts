import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { UsageError } from "../src/errors/errors.ts";
import { type DTypeName, dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { type FloatTarget, fromFloat32, toFloat16Bits, toFloat32 } from "../src/tensor/float.ts";
import { packElements } from "../src/tensor/packed.ts";
import { bytesOf } from "../src/tensor/typed-array.ts";

beforeAll(ready);

/** The reference: reads a float's fields out of a string of its bits, in plain arithmetic, from the definition of its format. */
function reference(
  bits: number,
  width: number,
  exponentBits: number,
  bias: number,
  special: "ieee" | "fn" | "none" | "fnuz",
): number {
  const text = bits.toString(2).padStart(width, "0");
  const sign = text[0] === "1" ? -1 : 1;
  const exponentText = text.slice(1, 1 + exponentBits);
  const mantissaText = text.slice(1 + exponentBits);
  if (special === "fnuz" && sign < 0 && !text.slice(1).includes("1")) return Number.NaN;
  if (special === "fn" && !text.slice(1).includes("0")) return Number.NaN;
  if (special === "ieee" && !exponentText.includes("0")) {
    return mantissaText.includes("1") ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  }
  const subnormal = !exponentText.includes("1");
  let value = subnormal ? 0 : 1;
  for (let at = 0; at < mantissaText.length; at++) value += mantissaText[at] === "1" ? 2 ** -(at + 1) : 0;
  const exponent = (subnormal ? 1 : Number.parseInt(exponentText, 2)) - bias;
  return sign * value * 2 ** exponent;
}

const formats = [
  ["float4_e2m1fn", 4, 2, 1, "none"],
  ["float6_e2m3fn", 6, 2, 1, "none"],
  ["float6_e3m2fn", 6, 3, 3, "none"],
  ["float8_e4m3fn", 8, 4, 7, "fn"],
  ["float8_e5m2", 8, 5, 15, "ieee"],
  ["float8_e4m3fnuz", 8, 4, 8, "fnuz"],
  ["float8_e5m2fnuz", 8, 5, 16, "fnuz"],
  ["float16", 16, 5, 15, "ieee"],
  ["bfloat16", 16, 8, 127, "ieee"],
] as const;

/** Bytes of elements given by their bits. */
function encoded(width: number, bits: readonly number[]): Uint8Array {
  return width === 16 ? bytesOf(Uint16Array.from(bits)) : packElements(Uint8Array.from(bits), width);
}

describe("toFloat32", () => {
  it.each(formats)("reads every %s", (name, width, exponentBits, bias, special) => {
    const all = Array.from({ length: 2 ** width }, (_, bits) => bits);
    const values = toFloat32(dtypeOf(name), encoded(width, all));
    const wrong = all.filter(
      (bits) => !Object.is(values[bits], reference(bits, width, exponentBits, bias, special)),
    );
    expect(wrong).toEqual([]);
  });

  it("knows the published extremes", () => {
    const value = (name: DTypeName, bits: number): number =>
      toFloat32(dtypeOf(name), new Uint8Array([bits]), 1)[0]!;
    expect(value("float8_e4m3fn", 0x7e)).toBe(448);
    expect(value("float8_e4m3fn", 0x01)).toBe(2 ** -9);
    expect(value("float8_e5m2", 0x7b)).toBe(57344);
    expect(value("float8_e4m3fnuz", 0x7f)).toBe(240);
    expect(value("float8_e5m2fnuz", 0x7f)).toBe(57344);
    expect(value("float8_e8m0fnu", 127)).toBe(1);
    expect(value("float8_e8m0fnu", 0)).toBe(2 ** -127);
    expect(value("float8_e8m0fnu", 254)).toBe(2 ** 127);
    expect(value("float8_e8m0fnu", 255)).toBeNaN();
    expect(value("float6_e2m3fn", 0x1f)).toBe(7.5);
    expect(value("float6_e3m2fn", 0x1f)).toBe(28);
    expect(value("float4_e2m1fn", 0x7)).toBe(6);
  });

  it("reads integers, booleans and float64", () => {
    const values = (name: DTypeName, data: ArrayBufferView): number[] => [
      ...toFloat32(dtypeOf(name), bytesOf(data)),
    ];
    expect(values("bool", new Uint8Array([0, 1]))).toEqual([0, 1]);
    expect(values("int4", new Uint8Array([0x87, 0xf0]))).toEqual([7, -8, 0, -1]);
    expect(values("uint4", new Uint8Array([0x87, 0xf0]))).toEqual([7, 8, 0, 15]);
    expect(values("int8", new Int8Array([-128, 127]))).toEqual([-128, 127]);
    expect(values("uint8", new Uint8Array([255]))).toEqual([255]);
    expect(values("int16", new Int16Array([-32768]))).toEqual([-32768]);
    expect(values("uint16", new Uint16Array([65535]))).toEqual([65535]);
    expect(values("int32", new Int32Array([-2147483648, 16777217]))).toEqual([-2147483648, 16777216]);
    expect(values("uint32", new Uint32Array([4294967295]))).toEqual([4294967296]);
    expect(values("int64", new BigInt64Array([-5n, -(2n ** 63n)]))).toEqual([-5, -(2 ** 63)]);
    // Just above the middle between two float32 values, by less than a double sees.
    expect(values("uint64", new BigUint64Array([2n ** 63n + 2n ** 39n + 1n]))).toEqual([2 ** 63 + 2 ** 40]);
    expect(values("uint64", new BigUint64Array([2n ** 63n + 2n ** 39n]))).toEqual([2 ** 63]);
    expect(values("float64", new Float64Array([0.1, 1e300]))).toEqual([
      Math.fround(0.1),
      Number.POSITIVE_INFINITY,
    ]);
  });

  it("takes a count where the last byte of packed elements is not full", () => {
    expect([...toFloat32(dtypeOf("uint4"), new Uint8Array([0x21, 0x03]), 3)]).toEqual([1, 2, 3]);
    expect(() => toFloat32(dtypeOf("uint4"), new Uint8Array(2), 2)).toThrow(UsageError);
  });

  it("takes any alignment and shared memory", () => {
    for (const dtype of dtypes) {
      if (dtype.kind === "complex" || dtype.kind === "block") continue;
      const bytes = Uint8Array.from({ length: 48 }, (_, index) => (index * 37) & 0x3f);
      const odd = new Uint8Array(new SharedArrayBuffer(49), 1);
      odd.set(bytes);
      expect(toFloat32(dtype, odd)).toEqual(toFloat32(dtype, bytes));
    }
  });

  it("refuses complex numbers and broken elements", () => {
    expect(() => toFloat32(dtypeOf("complex64"), new Uint8Array(8))).toThrow(/complex64/);
    expect(() => toFloat32(dtypeOf("float32"), new Uint8Array(7))).toThrow(/7 bytes/);
  });
});

/** Rounds by looking for the two neighbours among all finite values of a 16-bit float. */
function nearest(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle;
    else high = middle;
  }
  const below = value - sorted[low]!;
  const above = sorted[high]! - value;
  // Index = bits: the even one of two has a last bit of 0.
  if (below === above) return low % 2 === 0 ? low : high;
  return below < above ? low : high;
}

/** All values from 0 to one step beyond the largest, which stands for infinity, by their bits. */
function ladder(exponentBits: number, bias: number): Float64Array {
  const infinity = 2 ** 15 - 2 ** (15 - exponentBits);
  const values = new Float64Array(infinity + 1);
  for (let bits = 0; bits < infinity; bits++) values[bits] = reference(bits, 16, exponentBits, bias, "ieee");
  values[infinity] = 2 * values[infinity - 1]! - values[infinity - 2]!;
  return values;
}

describe.each([
  ["float16" as const, 5, 15],
  ["bfloat16" as const, 8, 127],
])("fromFloat32 to %s", (name, exponentBits, bias) => {
  const bitsOf = (values: Float32Array): Uint16Array => {
    const bytes = fromFloat32(values, name);
    return new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
  };

  it("gives every value back with its bits, NaN included", () => {
    const all = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
    const back = bitsOf(toFloat32(dtypeOf(name), bytesOf(all)));
    const mantissa = 2 ** (15 - exponentBits) - 1;
    const wrong = all.filter((bits) => {
      const nan = (bits & 0x7fff) > (0x7fff ^ mantissa);
      return nan ? (back[bits]! & 0x7fff) <= (0x7fff ^ mantissa) : back[bits] !== bits;
    });
    expect([...wrong]).toEqual([]);
  });

  it("rounds to nearest even between all neighbours, and to infinity at the end", () => {
    const sorted = ladder(exponentBits, bias);
    const inputs: number[] = [];
    for (let bits = 0; bits + 1 < sorted.length; bits += exponentBits === 5 ? 1 : 3) {
      const middle = (sorted[bits]! + sorted[bits + 1]!) / 2;
      for (const value of [middle, middle * (1 - 2 ** -23), middle * (1 + 2 ** -23)]) {
        const single = Math.fround(value);
        if (Number.isFinite(single) && single <= sorted.at(-1)!) inputs.push(single);
      }
    }
    const got = bitsOf(Float32Array.from(inputs));
    const negative = bitsOf(Float32Array.from(inputs, (value) => -value));
    const wrong = inputs.filter((value, index) => {
      const expected = nearest(sorted, value);
      return got[index] !== expected || negative[index] !== (expected | 0x8000);
    });
    expect(wrong).toEqual([]);
    expect(bitsOf(Float32Array.of(3.4028234663852886e38, Number.POSITIVE_INFINITY))[1]).toBe(
      sorted.length - 1,
    );
  });
});

describe("toFloat16Bits", () => {
  it("rounds float64 once", () => {
    // Through float32 these round up to a tie first, and then wrongly away from it.
    const cases: readonly (readonly [number, number])[] = [
      [1 + 2 ** -11 + 2 ** -40, 0x3c01],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11 - 2 ** -40, 0x3c01],
      [65519.99999999, 0x7bff],
      [65520, 0x7c00],
      [1e300, 0x7c00],
      [-1e-300, 0x8000],
      [2 ** -25, 0],
      [2 ** -25 * (1 + 2 ** -40), 1],
      [3 * 2 ** -25, 2],
      [2 ** -14 - 2 ** -26, 0x0400],
      [Number.NEGATIVE_INFINITY, 0xfc00],
    ];
    expect([...toFloat16Bits(Float64Array.from(cases, ([value]) => value))]).toEqual(
      cases.map(([, bits]) => bits),
    );
    expect(toFloat16Bits(Float64Array.of(Number.NaN))[0]! & 0x7fff).toBeGreaterThan(0x7c00);
  });

  it("agrees with the reference for any double", () => {
    const sorted = ladder(5, 15);
    const double = fc.oneof(
      fc.double({ min: 0, max: 65536, noNaN: true }),
      fc.double({ min: 0, max: 2 ** -13, noNaN: true }),
      fc.integer({ min: 0, max: 31743 }).map((bits) => (sorted[bits]! + sorted[bits + 1]!) / 2),
    );
    fc.assert(
      fc.property(fc.array(double, { minLength: 1 }), (values) => {
        const expected = values.map((value) => nearest(sorted, value));
        expect([...toFloat16Bits(Float64Array.from(values))]).toEqual(expected);
        expect([...toFloat16Bits(Float64Array.from(values, (value) => -value))]).toEqual(
          expected.map((bits) => bits | 0x8000),
        );
      }),
    );
  });

  it("takes float32 as fromFloat32 does", () => {
    const values = Float32Array.of(0.1, -65504, 1e-8, 7e4);
    expect(bytesOf(toFloat16Bits(values))).toEqual(fromFloat32(values, "float16"));
  });
});

it("fromFloat32 widens exactly", () => {
  const values = Float32Array.of(0.1, -0, Number.NaN);
  const wide: FloatTarget = "float64";
  expect(new Float64Array(fromFloat32(values, wide).buffer)).toEqual(Float64Array.from(values));
  expect(fromFloat32(values, "float32")).toEqual(bytesOf(values));
});
