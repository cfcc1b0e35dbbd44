/** What holds of every quantizer: special values, shapes, cuts, the measured error, and damage. */
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { JsonObject } from "../src/bytes/json.ts";
import { ready } from "../src/bytes/ready.ts";
import { DamageError } from "../src/errors/errors.ts";
import { dequantizer, quantizerOf, quantizers } from "../src/quantize/registry.ts";
import { type DTypeName, dtypeOf } from "../src/tensor/dtype.ts";
import { byteLength } from "../src/tensor/shape.ts";
import { type Outcome, quantize, range } from "./quantized.ts";

beforeAll(ready);

const KEEP_SPECIAL = ["fp16", "bf16", "prune"];
const FLOATS: readonly DTypeName[] = ["float16", "bfloat16", "float32", "float64"];

/** Every quantizer with each of its forms. */
const forms: readonly (readonly [string, JsonObject])[] = quantizers.flatMap(({ id }) => {
  const more: { readonly [id: string]: readonly JsonObject[] } = {
    fp8_e4m3: [{ granularity: "row" }],
    int8: [{ granularity: "tensor" }],
    mxfp8: [{ format: "e5m2" }],
    mxfp6: [{ format: "e3m2" }],
    prune: [{ threshold: 0.5 }],
    palette: [{ colours: 64 }, { colours: 256, rows: 4 }],
  };
  return [{}, ...(more[id] ?? [])].map((parameters) => [id, parameters] as const);
});

const taken = (id: string): readonly DTypeName[] =>
  FLOATS.filter((name) => quantizerOf(id).accepts(dtypeOf(name)));

/** Dependent on nothing but the index, of many magnitudes. */
const mixed = (index: number): number => Math.sin(index * 1.7) * (1 + (index % 7)) * 0.25;

function checkError({ plan, decoded, source }: Outcome): void {
  const finite = source.map((_, index) => index).filter((index) => Number.isFinite(source[index]!));
  const errors = finite.map((index) => Math.abs(source[index]! - decoded[index]!));
  const signal = finite.reduce((sum, index) => sum + source[index]! ** 2, 0);
  const noise = errors.reduce((sum, error) => sum + error ** 2, 0);
  const { maxAbsolute, rmse, snrDb, cosine } = plan!.error();
  expect(maxAbsolute).toBeCloseTo(Math.max(...errors), 12);
  expect(rmse).toBeCloseTo(Math.sqrt(noise / finite.length), 12);
  if (noise > 0) expect(snrDb).toBeCloseTo(10 * Math.log10(signal / noise), 6);
  else expect(snrDb).toBeNull();
  expect(cosine).toBeLessThanOrEqual(1);
  expect(cosine).toBeGreaterThan(0.8);
}

describe.each(forms)("%s %j", (id, parameters) => {
  it.each([[[4, 1024]], [[6, 700]], [[3, 7, 173]], [[5001]]])(
    "stores %j in the arrays that it names, with the error that a reader gets",
    (shape) => {
      const count = shape.reduce((product, length) => product * length, 1);
      for (const dtype of taken(id)) {
        const outcome = quantize(id, dtype, shape, range(count, mixed), { parameters });
        expect(outcome.refused).toBeUndefined();
        const { plan, side, values, decoded } = outcome;
        expect(decoded).toHaveLength(count);
        let bytes = 0;
        for (const array of plan!.arrays) {
          const stored = array.role === "values" ? values : side[array.role];
          expect(stored!.length).toBe(byteLength(array.dtype, array.shape));
          bytes += stored!.length;
        }
        // Where a codec packs them further, fewer.
        if (id === "prune" || (id === "palette" && parameters.colours === 64))
          expect(plan!.bitsPerWeight).toBeLessThan((8 * bytes) / count);
        else expect(Math.abs(plan!.bitsPerWeight - (8 * bytes) / count)).toBeLessThan(8 / count);
        checkError(outcome);
      }
    },
  );

  it("gives the same for any cut of the second pass at whole blocks, and any cut of the first", () => {
    const values = range(3000, mixed);
    const whole = quantize(id, "float32", [3, 1000], values, { parameters });
    for (const piece of [256, 1280]) {
      const cut = quantize(id, "float32", [3, 1000], values, { parameters, piece });
      expect(cut.values).toEqual(whole.values);
      expect(cut.side).toEqual(whole.side);
      expect(cut.decoded).toEqual(whole.decoded);
    }
    const quantizer = quantizerOf(id);
    const parsed = quantizer.parse(parameters);
    const source = { dtype: dtypeOf("float32"), shape: [3, 1000] };
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    const scan = quantizer.begin(source, parsed);
    // Odd pieces, the last ones first.
    for (let end = 3000; end > 0; end -= 77) {
      const first = Math.max(0, end - 77);
      scan.push(bytes.subarray(4 * first, 4 * end), first);
    }
    const plan = scan.finish();
    if ("refused" in plan) throw new Error(plan.refused);
    expect(plan.side).toEqual(whole.side);
    expect(new Uint8Array(plan.encode(bytes, 0))).toEqual(whole.values);
  });

  it("keeps zeros, -0 and denormals near zero, and constants near themselves", () => {
    for (const dtype of taken(id)) {
      const tiny = dtype === "float16" ? 2 ** -24 : 2 ** -133;
      const pattern = [0, -0, tiny, -tiny, 1, -1, 0.5, 0.75];
      const { decoded, refused } = quantize(
        id,
        dtype,
        [2, 2048],
        range(4096, (index) => pattern[index % 8]!),
        { parameters },
      );
      expect(refused).toBeUndefined();
      decoded.forEach((value, index) => {
        const error = Math.abs(value - pattern[index % 8]!);
        if (!(error <= (id === "prune" ? 0.75 : 0.15))) expect({ value, index }).toBe("near");
      });
      const constant = quantize(
        id,
        dtype,
        [4, 1024],
        range(4096, () => 0.5),
        { parameters },
      );
      if (constant.refused === undefined) {
        expect(Math.abs(constant.decoded[7]! - 0.5)).toBeLessThan(0.07);
      } else expect(id).toBe("prune");
      expect(
        quantize(
          id,
          dtype,
          [4, 1024],
          range(4096, () => 0),
          { parameters },
        ).decoded.every((one) => one === 0),
      ).toBe(true);
    }
  });

  it("keeps NaN and infinities, or refuses them by name and number", () => {
    for (const dtype of taken(id)) {
      const holding = (special: number): Outcome =>
        quantize(
          id,
          dtype,
          [2, 1024],
          range(2048, (index) => (index % 1000 === 5 ? special : mixed(index))),
          { parameters, piece: 256 },
        );
      for (const special of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const { refused, decoded } = holding(special);
        if (KEEP_SPECIAL.includes(id)) {
          expect([decoded[5], decoded[1005], decoded[2005]]).toEqual([special, special, special]);
        } else {
          expect(refused).toMatch(
            Number.isNaN(special) ? /cannot hold NaN \(3 of 2048 elements\)/ : /cannot hold infinities/,
          );
        }
      }
    }
  });

  it("refuses what gets no smaller: scalars, empty tensors", () => {
    for (const dtype of taken(id)) {
      expect(quantize(id, dtype, [3, 0], []).refused).toMatch(/empty|the tensor itself 0/);
      const { refused, decoded } = quantize(id, dtype, [], [0.5], { parameters });
      if (refused === undefined) expect(decoded[0]).toBeCloseTo(0.5, 2);
      else expect(refused).toMatch(/bytes, the tensor itself|keeps 1 of 1/);
    }
  });

  it("decodes to finite numbers whatever the source holds", () => {
    for (const dtype of taken(id)) {
      const largest = dtype === "float16" ? 65504 : dtype === "bfloat16" ? 3.38e38 : 3.4e38;
      const values = range(2048, (index) => (index % 3 === 0 ? largest : index % 3 === 1 ? -largest : 0));
      const { refused, decoded } = quantize(id, dtype, [2, 1024], values, { parameters });
      if (refused !== undefined) expect(refused).toMatch(/beyond/);
      else expect(decoded.every(Number.isFinite)).toBe(true);
    }
  });

  it("refuses scales that do not fit the shape", () => {
    const source = { dtype: dtypeOf("float32"), shape: [4, 1024] };
    const { side, plan } = quantize(id, "float32", [4, 1024], range(4096, mixed), { parameters });
    const parsed = quantizerOf(id).parse(parameters);
    expect(() => dequantizer(id, parsed, source, side)).not.toThrow();
    if (plan!.arrays.length === 1) return;
    for (const broken of [{}, { ...side, scales: side.scales!.subarray(1) }]) {
      expect(() => dequantizer(id, parsed, source, broken)).toThrow(DamageError);
    }
  });

  it("never throws on damaged values, whatever they are (property)", () => {
    const source = { dtype: dtypeOf("float32"), shape: [2, 512] };
    const { side, values } = quantize(id, "float32", [2, 512], range(1024, mixed), { parameters });
    const decode = dequantizer(id, quantizerOf(id).parse(parameters), source, side);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: values.length, maxLength: values.length }), (bytes) => {
        expect(decode(bytes, 0)).toHaveLength(4096);
      }),
      { numRuns: 10 },
    );
  });
});
