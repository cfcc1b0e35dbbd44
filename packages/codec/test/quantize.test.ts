import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { dequantizer, findQuantizer, quantizerOf, quantizers } from "../src/quantize/registry.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { byteLength } from "../src/tensor/shape.ts";
import { int8Of, numbersOf, quantize, range } from "./quantized.ts";

beforeAll(ready);

describe("registry", () => {
  it("finds quantizers by id and refuses unknown ones", () => {
    expect(quantizers.map((quantizer) => quantizer.id)).toEqual([
      "fp16",
      "bf16",
      "fp8_e4m3",
      "fp8_e5m2",
      "int8",
      "q8_0",
      "q4_0",
      "q4_1",
      "q4_k",
      "q6_k",
      "nf4",
      "nf4-dq",
      "mxfp8",
      "mxfp6",
      "mxfp4",
      "nvfp4",
      "prune",
      "palette",
    ]);
    expect(findQuantizer("int9")).toBeUndefined();
    expect(() => quantizerOf("int9", "preset.quantizer")).toThrow(
      /unknown quantizer "int9"; known: fp16, bf16, .*int8, /,
    );
    expect(() => dequantizer("int9", {}, { dtype: dtypeOf("float32"), shape: [] }, {})).toThrow(UsageError);
  });

  it("accepts floats that come out smaller, and nothing else", () => {
    const accepted = (id: string): string[] =>
      dtypes.filter((dtype) => quantizerOf(id).accepts(dtype)).map((dtype) => dtype.name);
    expect(accepted("fp16")).toEqual(["float32", "float64"]);
    expect(accepted("bf16")).toEqual(["float32", "float64"]);
    for (const { id } of quantizers.filter(({ id }) => id !== "fp16" && id !== "bf16")) {
      expect(accepted(id)).toEqual(["float16", "bfloat16", "float32", "float64"]);
    }
  });

  it("parses parameters to what is recorded, naming what is wrong", () => {
    expect(quantizerOf("fp16").parse({})).toEqual({});
    expect(quantizerOf("int8").parse({})).toEqual({ granularity: "auto" });
    expect(quantizerOf("int8").parse({ granularity: "tensor" })).toEqual({ granularity: "tensor" });
    expect(() => quantizerOf("fp16").parse({ roundin: "stochastic" })).toThrow(
      /fp16 has no parameter "roundin"; known: rounding, seed/,
    );
    expect(() => quantizerOf("q8_0").parse({ bits: 8 })).toThrow(
      /q8_0 has no parameter "bits"; it takes none/,
    );
    expect(() => quantizerOf("int8").parse({ granularty: "auto" })).toThrow(
      /int8 has no parameter "granularty"; known: granularity/,
    );
    expect(() => quantizerOf("int8").parse({ granularity: "row" })).toThrow(
      /"row"; it must be one of auto, tensor, channel/,
    );
  });
});

describe.each(["float32", "float64"] as const)("fp16 of %s", (dtype) => {
  it("rounds to nearest even and reports the exact error", () => {
    const source = [0, -0, 1, 1 / 3, 65504, -65519, 2 ** -24, 6e-8, 1e-9, 1000.3];
    const { decoded, plan } = quantize("fp16", dtype, [10], source);
    expect(decoded).toEqual([0, -0, 1, 0.333251953125, 65504, -65504, 2 ** -24, 2 ** -24, 0, 1000.5]);
    expect(plan!.arrays).toEqual([{ role: "values", dtype: dtypeOf("float16"), shape: [10] }]);
    expect(plan!.bitsPerWeight).toBe(16);
    expect(plan!.error().maxAbsolute).toBe(15);
  });

  it("keeps infinities and NaN, which do not disturb the error", () => {
    const { decoded, plan } = quantize(
      "fp16",
      dtype,
      [4],
      [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2],
    );
    expect(decoded).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 2]);
    expect(plan!.error()).toEqual({ maxAbsolute: 0, rmse: 0, snrDb: null, cosine: 1 });
  });

  it("refuses finite values that would overflow, naming the worst", () => {
    expect(quantize("fp16", dtype, [3], [1, -70000, 65520], { piece: 1 }).refused).toMatch(
      /^-70000 is beyond/,
    );
    expect(quantize("fp16", dtype, [1], [65520]).refused).toMatch(/65520/);
    expect(quantize("fp16", dtype, [1], [65519]).refused).toBeUndefined();
  });

  it("refuses an empty tensor", () => {
    expect(quantize("fp16", dtype, [3, 0], []).refused).toMatch(/empty/);
  });

  it("gives the same for any cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -65504, max: 65504 }), { minLength: 1 }),
        fc.integer({ min: 1, max: 9 }),
        (values, piece) => {
          const whole = quantize("fp16", dtype, [values.length], values);
          const cut = quantize("fp16", dtype, [values.length], values, { piece });
          expect(cut.values).toEqual(whole.values);
          expect(cut.decoded).toEqual(whole.decoded);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe.each(["float16", "bfloat16", "float32", "float64"] as const)("int8 of %s", (dtype) => {
  // Half a unit in the last place of the dtype, relative: decoding rounds to it.
  const rounding = { float16: 2 ** -11, bfloat16: 2 ** -8, float32: 2 ** -24, float64: 2 ** -53 }[dtype];
  const scaleName = dtype === "float64" ? "float64" : "float32";

  it("keeps a range far from zero apart: [10..20] does not decode to all 10s", () => {
    const source = range(101, (index) => 10 + index / 10);
    const { decoded, source: rounded, values } = quantize("int8", dtype, [101], source);
    expect(new Set(decoded).size).toBeGreaterThan(80);
    expect(Math.min(...int8Of(values))).toBe(-128);
    expect(Math.max(...int8Of(values))).toBe(127);
    decoded.forEach((value, index) => {
      expect(Math.abs(value - rounded[index]!)).toBeLessThanOrEqual(10 / 255 / 2 + 20 * rounding + 1e-6);
    });
  });

  it("does not take a range of exactly 255 for a constant", () => {
    for (const start of [0, -100, 1]) {
      const source = range(256, (index) => start + index);
      const { decoded } = quantize("int8", dtype, [256], source);
      // bfloat16 holds integers up to 256 exactly.
      expect(decoded).toEqual(source);
    }
  });

  it.each([0.5, -0.5, 1, 0, 3.140625, -1024, 2 ** -14])("decodes the constant %d to itself", (constant) => {
    expect(
      quantize(
        "int8",
        dtype,
        [40],
        range(40, () => constant),
      ).decoded,
    ).toEqual(range(40, () => constant));
    const rows = quantize(
      "int8",
      dtype,
      [2, 40],
      range(80, (index) => (index < 40 ? constant : index)),
    );
    expect(rows.decoded.slice(0, 40)).toEqual(range(40, () => constant));
  });

  it("stores a vector per tensor and a matrix per channel, unless told otherwise", () => {
    const vector = quantize(
      "int8",
      dtype,
      [40],
      range(40, (index) => index - 7),
    );
    expect(vector.plan!.arrays).toEqual([
      { role: "values", dtype: dtypeOf("int8"), shape: [40] },
      { role: "scales", dtype: dtypeOf(scaleName), shape: [] },
      { role: "zeros", dtype: dtypeOf("int32"), shape: [] },
    ]);
    const scaleBits = dtype === "float64" ? 64 : 32;
    expect(vector.plan!.bitsPerWeight).toBeCloseTo(8 + (scaleBits + 32) / 40, 10);
    const matrix = quantize(
      "int8",
      dtype,
      [2, 20],
      range(40, (index) => index - 7),
    );
    expect(matrix.plan!.arrays).toEqual([
      { role: "values", dtype: dtypeOf("int8"), shape: [2, 20] },
      { role: "scales", dtype: dtypeOf(scaleName), shape: [2] },
    ]);
    expect(matrix.plan!.bitsPerWeight).toBe(8 + scaleBits / 20);
    for (const outcome of [vector, matrix]) {
      for (const array of outcome.plan!.arrays) {
        const stored = array.role === "values" ? outcome.values : outcome.side[array.role];
        expect(stored!.length).toBe(byteLength(array.dtype, array.shape));
      }
    }
    const told = (shape: readonly number[], granularity: string): number =>
      quantize(
        "int8",
        dtype,
        shape,
        range(40, (index) => index),
        { parameters: { granularity } },
      ).plan!.arrays.length;
    expect([
      told([40], "channel"),
      told([40], "tensor"),
      told([2, 20], "tensor"),
      told([2, 20], "channel"),
    ]).toEqual([3, 3, 3, 2]);
  });

  it("keeps a small channel beside a large one", () => {
    const source = range(80, (index) => (index < 40 ? index * 1000 : (index - 60) / 512));
    const { decoded, source: rounded } = quantize("int8", dtype, [2, 40], source);
    for (let index = 40; index < 80; index++) {
      expect(Math.abs(decoded[index]! - rounded[index]!)).toBeLessThanOrEqual(20 / 512 / 127);
    }
  });

  it("refuses NaN and infinities, saying how many", () => {
    const withBad = (bad: number, shape: readonly number[]): string | undefined =>
      quantize(
        "int8",
        dtype,
        shape,
        range(40, (index) => (index === 31 ? bad : index)),
        { piece: 8 },
      ).refused;
    for (const shape of [[40], [2, 20]]) {
      expect(withBad(Number.NaN, shape)).toBe("int8 cannot hold NaN (1 of 40 elements)");
      expect(withBad(Number.POSITIVE_INFINITY, shape)).toBe("int8 cannot hold infinities");
      expect(withBad(Number.NEGATIVE_INFINITY, shape)).toBe("int8 cannot hold infinities");
    }
  });

  it("refuses what would be no smaller", () => {
    expect(quantize("int8", dtype, [], [1]).refused).toMatch(/takes 9 bytes|takes 13 bytes/);
    expect(quantize("int8", dtype, [100, 1], range(100, Number)).refused).toMatch(
      /takes \d+ bytes, the tensor itself/,
    );
    expect(quantize("int8", dtype, [0], []).refused).toMatch(/the tensor itself 0/);
    expect(quantize("int8", dtype, [0, 5], []).refused).toMatch(/the tensor itself 0/);
    expect(quantize("int8", dtype, [5, 0], []).refused).toMatch(/the tensor itself 0/);
  });

  it("stays within half a step for any values, any shape, any cut", () => {
    const limit = dtype === "float16" ? 60000 : dtype === "float64" ? 1e300 : 1e38;
    const number = fc.oneof(
      fc.double({ min: -limit, max: limit, noNaN: true }),
      fc.double({ min: -1, max: 1, noNaN: true }),
      fc.integer({ min: -5, max: 5 }),
    );
    const tensor = fc
      .tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 20, max: 40 }), fc.boolean())
      .chain(([rows, columns, flat]) =>
        fc.tuple(
          fc.constant(flat ? [rows * columns] : [rows, columns]),
          fc.array(number, { minLength: rows * columns, maxLength: rows * columns }),
        ),
      );
    fc.assert(
      fc.property(tensor, fc.integer({ min: 1, max: 50 }), ([shape, numbers], piece) => {
        const whole = quantize("int8", dtype, shape, numbers);
        const cut = quantize("int8", dtype, shape, numbers, { piece });
        expect(cut.values).toEqual(whole.values);
        expect(cut.decoded).toEqual(whole.decoded);
        expect(cut.side).toEqual(whole.side);
        const { source, decoded } = whole;
        const width = shape.length === 1 ? source.length : shape[1]!;
        for (let first = 0; first < source.length; first += width) {
          const row = source.slice(first, first + width);
          const [low, high] = [Math.min(...row), Math.max(...row)];
          const largest = Math.max(-low, high);
          const step = shape.length === 1 ? high / 255 - low / 255 : largest / 127;
          const bound = step * 0.5001 + largest * (rounding + 2 ** -30);
          row.forEach((value, index) => {
            const error = Math.abs(value - decoded[first + index]!);
            if (!(error <= bound))
              expect({ value, decoded: decoded[first + index], step }).toBe("within half a step");
          });
        }
      }),
      { numRuns: 60 },
    );
  });

  it("survives the largest and the smallest numbers", () => {
    const largest = {
      float16: 65504,
      bfloat16: 3.3895313892515355e38,
      float32: 3.4028234663852886e38,
      float64: Number.MAX_VALUE,
    }[dtype];
    const smallest = {
      float16: 2 ** -24,
      bfloat16: 2 ** -133,
      float32: 2 ** -149,
      float64: Number.MIN_VALUE,
    }[dtype];
    for (const shape of [[40], [2, 20]]) {
      const huge = quantize(
        "int8",
        dtype,
        shape,
        range(40, (index) => (index % 2 === 0 ? largest : -largest)),
      );
      huge.decoded.forEach((value, index) => {
        expect(Math.abs(value / largest - (index % 2 === 0 ? 1 : -1))).toBeLessThan(0.01);
      });
      const single = quantize(
        "int8",
        dtype,
        shape,
        range(40, (index) => (index === 3 ? largest : 0)),
      );
      expect(single.decoded.every(Number.isFinite)).toBe(true);
      for (const factor of [1, 5, 7, 9, 200]) {
        const numbers = range(40, (index) => index * factor * smallest);
        quantize("int8", dtype, shape, numbers).decoded.forEach((value, index) => {
          const step = Math.ceil((40 * factor) / 127) * smallest;
          expect(Math.abs(value - numbers[index]!)).toBeLessThanOrEqual(step);
        });
      }
    }
  });

  it("keeps a narrow range far from zero", () => {
    // Neighbouring values of the dtype around 1000: zero would not fit an int32 without a wider scale.
    const ulp = 1024 * rounding;
    const source = range(40, (index) => 1000 + (index % 4) * ulp);
    const { decoded, source: rounded } = quantize("int8", dtype, [40], source);
    decoded.forEach((value, index) => {
      expect(Math.abs(value - rounded[index]!)).toBeLessThanOrEqual(Math.max(ulp, 1000 * 2 ** -30));
    });
  });

  it("measures the error that a reader gets", () => {
    const source = range(200, (index) => Math.sin(index) * 3 + 1);
    for (const shape of [[200], [4, 50]]) {
      const { plan, decoded, source: rounded } = quantize("int8", dtype, shape, source, { piece: 33 });
      const errors = decoded.map((value, index) => value - rounded[index]!);
      const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
      const noise = sum(errors.map((error) => error ** 2));
      const signal = sum(rounded.map((value) => value ** 2));
      const result = plan!.error();
      // What is not rounded to 16 bits is measured in float64 or float32.
      expect(result.maxAbsolute).toBeCloseTo(Math.max(...errors.map(Math.abs)), 12);
      expect(result.rmse).toBeCloseTo(Math.sqrt(noise / 200), 12);
      expect(result.snrDb).toBeCloseTo(10 * Math.log10(signal / noise), 8);
      expect(result.cosine).toBeGreaterThan(0.9999);
      expect(result.cosine).toBeLessThanOrEqual(1);
      expect(result.snrDb).toBeGreaterThan(30);
    }
  });

  it("refuses side arrays that do not fit", () => {
    const source = { dtype: dtypeOf(dtype), shape: [40] };
    const good = { scales: new Uint8Array(dtype === "float64" ? 8 : 4), zeros: new Uint8Array(4) };
    expect(() => dequantizer("int8", { granularity: "auto" }, source, good)).not.toThrow();
    for (const side of [
      {},
      { scales: good.scales },
      { ...good, zeros: new Uint8Array(3) },
      { ...good, scales: new Uint8Array(16) },
    ]) {
      expect(() => dequantizer("int8", { granularity: "auto" }, source, side)).toThrow(DamageError);
    }
  });
});

it("int8 decodes by the recorded parameters, not by those of another preset", () => {
  const source = range(80, (index) => index - 11);
  const tensor = quantize("int8", "float32", [2, 40], source, { parameters: { granularity: "tensor" } });
  const recorded = { granularity: "tensor" };
  const shape = { dtype: dtypeOf("float32"), shape: [2, 40] };
  const decoded = dequantizer("int8", recorded, shape, tensor.side)(tensor.values, 0);
  expect(numbersOf("float32", decoded)).toEqual(tensor.decoded);
  expect(() => dequantizer("int8", { granularity: "auto" }, shape, tensor.side)).toThrow(DamageError);
});

it("int8 has golden bytes", () => {
  const vector = quantize(
    "int8",
    "float32",
    [11],
    range(11, (index) => 10 + index),
  );
  expect(int8Of(vector.values)).toEqual([-128, -103, -77, -52, -26, -1, 25, 50, 76, 101, 127]);
  expect(Buffer.from(vector.side.scales!).toString("hex")).toBe("a1a0203d");
  expect(Buffer.from(vector.side.zeros!).toString("hex")).toBe("81feffff");
  const matrix = quantize("int8", "float32", [2, 4], [1, -2, 0.5, 0, 254, -127, 3, 1]);
  expect(int8Of(matrix.values)).toEqual([64, -127, 32, 0, 127, -64, 2, 0]);
  expect(Buffer.from(matrix.side.scales!).toString("hex")).toBe("0402813c00000040");
});
