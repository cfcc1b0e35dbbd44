/** Quantizes and decodes small tensors as a store does, for the tests of quantizers. */
import type { JsonObject } from "../src/bytes/json.ts";
import type { QuantizePlan, SideArrays } from "../src/quantize/quantizer.ts";
import { dequantizer, quantizerOf } from "../src/quantize/registry.ts";
import { type DTypeName, dtypeOf } from "../src/tensor/dtype.ts";
import { fromFloat32, toFloat32 } from "../src/tensor/float.ts";
import { elementCount } from "../src/tensor/shape.ts";
import { bytesOf, typedArrayOf } from "../src/tensor/typed-array.ts";

export interface Outcome {
  readonly refused?: string;
  readonly plan?: QuantizePlan;
  /** The stored values. */
  readonly values: Uint8Array;
  readonly side: SideArrays;
  /** Decoded elements as numbers. */
  readonly decoded: number[];
  /** The source as numbers, after rounding to its dtype. */
  readonly source: number[];
}

export function bytesFrom(dtype: DTypeName, values: ArrayLike<number> & Iterable<number>): Uint8Array {
  if (dtype === "float64") return bytesOf(Float64Array.from(values));
  return fromFloat32(Float32Array.from(values), dtype as "float16" | "bfloat16" | "float32");
}

export function numbersOf(dtype: DTypeName, bytes: Uint8Array): number[] {
  if (dtype === "float64") return [...(typedArrayOf(dtypeOf(dtype), bytes) as Float64Array)];
  return [...toFloat32(dtypeOf(dtype), bytes)];
}

/** Weights from a normal distribution, the same ones for the same seed. */
export function normalWeights(count: number, seed: number, deviation = 0.02): Float32Array {
  let state = seed;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return ((state >>> 8) + 0.5) / 2 ** 24;
  };
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** Quantizes and decodes, cutting the elements into pieces of `piece` (at odd offsets of memory) in both passes. */
export function quantize(
  id: string,
  dtype: DTypeName,
  shape: readonly number[],
  numbers: ArrayLike<number> & Iterable<number>,
  { parameters = {}, piece = Number.POSITIVE_INFINITY }: { parameters?: JsonObject; piece?: number } = {},
): Outcome {
  const quantizer = quantizerOf(id);
  const parsed = quantizer.parse(parameters);
  const source = { dtype: dtypeOf(dtype), shape };
  const bytes = bytesFrom(dtype, numbers);
  const size = source.dtype.bits / 8;
  const count = elementCount(shape);
  const pieces: { first: number; bytes: Uint8Array }[] = [];
  for (let first = 0; first < count; first += piece) {
    const cut = bytes.subarray(first * size, Math.min(count, first + piece) * size);
    const odd = new Uint8Array(new SharedArrayBuffer(cut.length + 3), 3);
    odd.set(cut);
    pieces.push({ first, bytes: odd });
  }
  const scan = quantizer.begin(source, parsed);
  for (const { first, bytes: part } of pieces) scan.push(part, first);
  const plan = scan.finish();
  const original = numbersOf(dtype, bytes);
  if ("refused" in plan)
    return { refused: plan.refused, values: new Uint8Array(), side: {}, decoded: [], source: original };
  const encoded = pieces.map(({ first, bytes: part }) => ({ first, values: plan.encode(part, first) }));
  const values = Buffer.concat(encoded.map((part) => part.values));
  const decode = dequantizer(id, parsed, source, plan.side);
  const decoded = encoded.map((part) => decode(part.values, part.first));
  return {
    plan,
    values: new Uint8Array(values),
    side: plan.side,
    decoded: numbersOf(dtype, Buffer.concat(decoded)),
    source: original,
  };
}

export function int8Of(values: Uint8Array): number[] {
  return [...new Int8Array(values.buffer, values.byteOffset, values.length)];
}

export const range = (count: number, at: (index: number) => number): number[] =>
  Array.from({ length: count }, (_, index) => at(index));
