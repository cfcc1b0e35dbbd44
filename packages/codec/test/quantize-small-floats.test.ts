import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { roundedToOdd, SmallFloat } from "../src/quantize/small-float.ts";
import type { DTypeName } from "../src/tensor/dtype.ts";
import { quantize, range } from "./quantized.ts";

beforeAll(ready);

/** Name, bits of the largest finite number, that number, the smallest above 0. */
const formats: readonly (readonly [DTypeName, number, number, number])[] = [
  ["float4_e2m1fn", 7, 6, 0.5],
  ["float6_e2m3fn", 0x1f, 7.5, 0.125],
  ["float6_e3m2fn", 0x1f, 28, 0.0625],
  ["float8_e4m3fn", 0x7e, 448, 2 ** -9],
  ["float8_e5m2", 0x7b, 57344, 2 ** -16],
];

/** The bits of the nearest finite number, by looking at all of them; of two, the even ones. */
function nearestBits(table: Float32Array, largestBits: number, value: number): number {
  const magnitude = Math.abs(value);
  let best = 0;
  for (let bits = 1; bits <= largestBits; bits++) {
    const closer = Math.abs(table[bits]! - magnitude) - Math.abs(table[best]! - magnitude);
    if (closer < 0 || (closer === 0 && bits % 2 === 0)) best = bits;
  }
  return Object.is(Math.sign(value), -1) || Object.is(value, -0) ? best + table.length / 2 : best;
}

describe.each(formats)("%s", (name, largestBits, largest, smallest) => {
  const float = new SmallFloat(name, largestBits);
  const encode = (values: readonly number[]): number[] => {
    const out = new Uint8Array(values.length);
    float.encode(Float32Array.from(values), values.length, out);
    return [...out];
  };

  it("has the numbers of its specification", () => {
    const table = float.values();
    expect(table[largestBits]).toBe(largest);
    expect(table[1]).toBe(smallest);
    expect(2 ** float.largestExponent).toBeLessThanOrEqual(largest);
    expect(2 ** (float.largestExponent + 1)).toBeGreaterThan(largest);
  });

  it("keeps every number of its own, -0 too, and stays finite", () => {
    const table = float.values();
    const half = table.length / 2;
    const own = range(table.length, (bits) => bits).filter((bits) => bits % half <= largestBits);
    expect(encode(own.map((bits) => table[bits]!))).toEqual(own);
    expect(encode([1e30, -1e30, 1e-30, -1e-40, 0, -0])).toEqual([
      largestBits,
      largestBits + half,
      0,
      half,
      0,
      half,
    ]);
  });

  it("rounds to the nearest number, ties to even (property)", () => {
    const table = float.values();
    const tie = fc
      .tuple(fc.nat(largestBits - 1), fc.constantFrom(1, -1), fc.constantFrom(1, 1 + 2 ** -23, 1 - 2 ** -24))
      .map(([bits, sign, near]) => Math.fround(((table[bits]! + table[bits + 1]!) / 2) * near * sign));
    const any = fc.float({ noNaN: true, min: Math.fround(-2 * largest), max: Math.fround(2 * largest) });
    fc.assert(
      fc.property(fc.array(fc.oneof(tie, any), { minLength: 1 }), (values) => {
        expect(encode(values)).toEqual(values.map((value) => nearestBits(table, largestBits, value)));
      }),
    );
  });

  it("rounds stochastically: without bias, exact numbers as they are, whatever the cut", () => {
    const table = float.values();
    const [low, high] = [table[largestBits - 1]!, table[largestBits]!];
    const count = 20_000;
    const values = new Float32Array(count).fill(low + (high - low) * 0.25);
    const out = new Uint8Array(count);
    float.encodeStochastic(values, count, out, 7, 0);
    const up = out.reduce((sum, bits) => sum + (bits === largestBits ? 1 : 0), 0);
    expect(out.every((bits) => bits === largestBits || bits === largestBits - 1)).toBe(true);
    // Four standard deviations.
    expect(Math.abs(up / count - 0.25)).toBeLessThan(4 * Math.sqrt(0.1875 / count));
    const part = new Uint8Array(100);
    float.encodeStochastic(values, 100, part, 7, 5000);
    expect(part).toEqual(out.slice(5000, 5100));
    const own = new Uint8Array(largestBits + 1);
    float.encodeStochastic(table.slice(0, largestBits + 1), own.length, own, 3, 0);
    expect([...own]).toEqual(range(own.length, (bits) => bits));
  });
});

describe("roundedToOdd", () => {
  it("keeps what float32 holds, and cuts the rest off with the last bit set", () => {
    const values = Float64Array.of(
      1,
      -0.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1 + 2 ** -30,
      1 - 2 ** -30,
      1e300,
      1e-60,
    );
    expect([...roundedToOdd(values)]).toEqual([
      1,
      -0.5,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1 + 2 ** -23,
      1 - 2 ** -24,
      (2 - 2 ** -23) * 2 ** 127,
      2 ** -149,
    ]);
  });
});

describe.each(["float32", "float64"] as const)("bf16 of %s", (dtype) => {
  it("rounds to nearest even and reports the exact error", () => {
    const source = [0, -0, 1, 1 + 2 ** -8, 1 + 3 * 2 ** -8, -(1 + 2 ** -8 + 2 ** -20), 2 ** -133, 2 ** -134];
    const { decoded, plan } = quantize("bf16", dtype, [8], source);
    expect(decoded).toEqual([0, -0, 1, 1, 1 + 2 ** -6, -(1 + 2 ** -7), 2 ** -133, 0]);
    expect(plan!.arrays).toEqual([
      { role: "values", dtype: expect.objectContaining({ name: "bfloat16" }), shape: [8] },
    ]);
    expect(plan!.error().maxAbsolute).toBe(2 ** -8);
    expect(plan!.bitsPerWeight).toBe(16);
  });

  it("keeps infinities and NaN, and refuses what would become infinite", () => {
    const special = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2];
    for (const parameters of [{}, { rounding: "stochastic", seed: 1 }]) {
      expect(quantize("bf16", dtype, [4], special, { parameters }).decoded).toEqual(special);
    }
    const refused = quantize("bf16", dtype, [2], [1, (2 - 2 ** -9) * 2 ** 127]).refused;
    expect(refused).toMatch(/is beyond the largest bfloat16, 3.3895e\+38/);
  });
});

it("bf16 and fp16 round a float64 once", () => {
  // Just above the middle of two neighbours: by way of float32 it would be in the middle, and go to the even one below.
  const source = [1 + 2 ** -8 + 2 ** -40, 1 + 2 ** -8 - 2 ** -40];
  expect(quantize("bf16", "float64", [2], source).decoded).toEqual([1 + 2 ** -7, 1]);
  const half = [1 + 2 ** -11 + 2 ** -40, 1 + 2 ** -11 - 2 ** -40];
  expect(quantize("fp16", "float64", [2], half).decoded).toEqual([1 + 2 ** -10, 1]);
});

describe("stochastic rounding of quantizers", () => {
  it.each([
    "fp16",
    "bf16",
    "fp8_e4m3",
    "fp8_e5m2",
    "int8",
    "nf4",
    "nf4-dq",
    "mxfp8",
    "mxfp6",
    "mxfp4",
    "nvfp4",
  ])("%s: the mean of many roundings comes to the value; seeds differ, cuts do not", (id) => {
    const count = 8192;
    const value = 0.3137;
    // The first two of each 16 are the range of every block and group.
    const isValue = (index: number): boolean => index % 16 > 1;
    const source = range(count, (index) => (isValue(index) ? value : 1 - 2 * (index % 16)));
    const run = (seed: number, piece?: number) =>
      quantize(id, "float32", [count], source, {
        parameters: { rounding: "stochastic", seed },
        ...(piece !== undefined && { piece }),
      });
    const whole = run(1);
    const values = whole.decoded.filter((_, index) => isValue(index));
    const mean = values.reduce((sum, one) => sum + one, 0) / values.length;
    const nearest = quantize(id, "float32", [count], source);
    const bias = Math.abs(nearest.decoded[2]! - value);
    expect(Math.abs(mean - value)).toBeLessThan(Math.max(bias / 2, 2e-3 * value));
    expect(new Set(values).size).toBe(2);
    expect(run(2).values).not.toEqual(whole.values);
    expect(run(1, 2048).values).toEqual(whole.values);
  });

  it.each(["q8_0", "q4_0", "q4_1", "q4_k", "q6_k"])("%s refuses it", (id) => {
    expect(() => quantize(id, "float32", [32], [], { parameters: { rounding: "stochastic" } })).toThrow(
      new RegExp(`${id} rounds as ggml does`),
    );
  });

  it("names what is wrong about seeds", () => {
    const attempt = (parameters: object) => () =>
      quantize("bf16", "float32", [1], [1], { parameters: { ...parameters } });
    expect(attempt({ seed: 1 })).toThrow(/seed is 1, but only rounding "stochastic" takes one/);
    expect(attempt({ rounding: "stochastic", seed: -1 })).toThrow(
      /seed is -1; it must be an integer from 0 to 4294967295/,
    );
    expect(attempt({ rounding: "up" })).toThrow(/"up"; it must be one of nearest-even, stochastic/);
  });
});
