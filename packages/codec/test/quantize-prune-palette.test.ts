import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { centresOf } from "../src/quantize/k-means.ts";
import { NearestValue } from "../src/quantize/nearest-value.ts";
import { quantizerOf } from "../src/quantize/registry.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { normalWeights, quantize, range } from "./quantized.ts";

beforeAll(ready);

describe("prune", () => {
  it("zeroes what is closer to 0 than the threshold, and keeps the rest bit by bit", () => {
    const source = [0.5, -0.5, 0.49, -0.49, 0, -0, Number.NaN, 1e-45, 3, ...range(20, () => 0)];
    const { decoded, plan } = quantize("prune", "float32", [29], source, { parameters: { threshold: 0.5 } });
    expect(decoded.slice(0, 9)).toEqual([0.5, -0.5, 0, 0, 0, 0, Number.NaN, 0, 3]);
    // Four are kept: 32 bits each, and a bit for every element.
    expect(plan!.bitsPerWeight).toBeCloseTo(1 + (4 * 32) / 29, 12);
  });

  it.each([0.3, 0.5, 0.92])("finds the threshold for a sparsity of %f", (sparsity) => {
    const weights = normalWeights(100_000, 3);
    for (const dtype of ["float32", "float64", "bfloat16"] as const) {
      const { decoded, source, plan } = quantize("prune", dtype, [100, 1000], weights, {
        parameters: { sparsity },
      });
      const zeros = decoded.filter((value) => value === 0).length / 100_000;
      expect(zeros).toBeLessThanOrEqual(sparsity);
      expect(zeros).toBeGreaterThan(sparsity - 0.01);
      const bits = dtypeOf(dtype).bits;
      expect(plan!.bitsPerWeight).toBeCloseTo(1 + bits * (1 - zeros), 2);
      const kept = source.filter((_, index) => decoded[index] !== 0).map(Math.abs);
      const lost = source.filter((_, index) => decoded[index] === 0).map(Math.abs);
      expect(lost.reduce((one, other) => Math.max(one, other))).toBeLessThan(
        kept.reduce((one, other) => Math.min(one, other)),
      );
    }
  });

  it("takes the bits that it says once `sparse` has packed it", () => {
    const { values, plan } = quantize("prune", "float32", [128, 512], normalWeights(65_536, 5), {
      parameters: { sparsity: 0.8 },
    });
    const dtype = dtypeOf("float32");
    const coded = encodeChunk(values, dtype, parsePolicy("sparse", "codec"));
    expect((8 * coded.payload.length) / 65_536).toBeLessThan(plan!.bitsPerWeight);
    expect(decodeChunk(coded.payload, coded.steps, values.length, dtype)).toEqual(values);
  });

  it("refuses what keeps all, and parameters that contradict each other", () => {
    const parse = (parameters: object) => () => quantizerOf("prune").parse({ ...parameters });
    expect(
      quantize(
        "prune",
        "float32",
        [64],
        range(64, () => 1),
      ).refused,
    ).toMatch(/keeps 64 of 64 elements/);
    expect(parse({ sparsity: 0.5, threshold: 1 })).toThrow(/sparsity and threshold contradict each other/);
    expect(parse({ sparsity: 1 })).toThrow(/sparsity is 1; it must be a number above 0 and below 1/);
    expect(parse({ threshold: "x" })).toThrow(/threshold is "x"; it must be a number above 0$/);
    expect(parse({ share: 0.5 })).toThrow(/prune has no parameter "share"; known: sparsity, threshold/);
    expect(parse({})()).toEqual({ sparsity: 0.5 });
  });
});

describe("centresOf", () => {
  it("takes the numbers themselves where they are few", () => {
    expect([...centresOf(Float32Array.of(-1, -0, 0, 0, 2, 2), 16)]).toEqual([-1, -0, 2]);
    expect([...centresOf(new Float32Array(0), 16)]).toEqual([]);
  });

  it("finds clusters that lie apart", () => {
    const sorted = Float32Array.from(
      range(16 * 100, (index) => Math.floor(index / 100) * 10 + (index % 100) / 100),
    ).sort();
    centresOf(sorted, 16).forEach((centre, index) => {
      expect(centre).toBeCloseTo(index * 10 + 0.495, 4);
    });
  });

  it("comes within a twentieth of a dB of the best 16 values for a normal distribution (Max 1960: 20.22 dB)", () => {
    const weights = normalWeights(200_000, 9, 1);
    const centres = centresOf(weights.slice().sort(), 16);
    const numbers = new Uint8Array(weights.length);
    new NearestValue(centres).encode(weights, 0, weights.length, 1, numbers);
    let noise = 0;
    let signal = 0;
    weights.forEach((value, index) => {
      noise += (value - centres[numbers[index]!]!) ** 2;
      signal += value ** 2;
    });
    expect(Math.abs(10 * Math.log10(signal / noise) - 20.22)).toBeLessThan(0.05);
  });
});

describe("NearestValue", () => {
  it("finds the nearest value, the lower one of two", () => {
    const values = Float32Array.of(-3, -1, -0.999, 0, 0.5, 100);
    const nearest = new NearestValue(values);
    const asked = Float32Array.from([-10, -2, -1.9, -0.9995, -0.25, 0.25, 0.26, 50, 50.3, 51, 1000, -1]);
    const found = new Uint8Array(asked.length);
    nearest.encode(asked, 0, asked.length, 1, found);
    const expected = [...asked].map((one) => {
      const distances = [...values].map((value) => Math.abs(value - one));
      return distances.indexOf(Math.min(...distances));
    });
    expect([...found]).toEqual(expected);
    new NearestValue(Float32Array.of(7)).encode(asked, 0, asked.length, 1, found);
    expect([...found]).toEqual(range(asked.length, () => 0));
  });
});

describe("palette", () => {
  it("is exact where a tensor has no more values than colours", () => {
    const source = range(4000, (index) => (index % 16) / 8 - 1);
    const { decoded, plan } = quantize("palette", "float32", [4, 1000], source);
    expect(decoded).toEqual(source);
    expect(plan!.arrays.map(({ role, dtype, shape }) => [role, dtype.name, shape])).toEqual([
      ["values", "uint4", [4, 1000]],
      ["scales", "float32", [1, 16]],
    ]);
  });

  it("has a palette for each group of rows, the last of which may be shorter", () => {
    const source = range(5 * 1000, (index) => 10 ** Math.floor(index / 2000) * ((index % 16) - 7));
    const apart = quantize("palette", "float32", [5, 1000], source, { parameters: { rows: 2 } });
    expect(apart.decoded).toEqual(source);
    expect(apart.plan!.arrays[1]!.shape).toEqual([3, 16]);
    const together = quantize("palette", "float32", [5, 1000], source);
    expect(together.plan!.error().maxAbsolute).toBeGreaterThan(0);
  });

  it("finds centres of a sample where there is more, and names too many palettes", () => {
    const weights = normalWeights(1_100_000, 11);
    const { plan } = quantize("palette", "float32", [1100, 1000], weights, { parameters: { colours: 256 } });
    expect(plan!.error().snrDb!).toBeGreaterThan(42);
    const many = quantize(
      "palette",
      "float32",
      [5000, 8],
      range(40_000, () => 1),
      { parameters: { rows: 1 } },
    );
    expect(many.refused).toMatch(/5000 palettes are more than 4096; take more rows for each/);
  });

  it("names what is wrong about parameters", () => {
    const parse = (parameters: object) => () => quantizerOf("palette").parse({ ...parameters });
    expect(parse({ colours: 17 })).toThrow(/colours is 17; it must be 16, 64 or 256/);
    expect(parse({ rows: 0.5 })).toThrow(/rows is 0.5; it must be a positive integer/);
    expect(parse({ colors: 16 })).toThrow(/palette has no parameter "colors"; known: colours, rows/);
  });
});
