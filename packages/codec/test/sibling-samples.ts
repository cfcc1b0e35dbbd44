/** Chunks and what became of them: seeded, as fine-tuning, patching and rounding leave them. */
import { normals, random } from "./codec-samples.ts";

const SIGMA = 0.02;

/** The bytes of an array. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView<ArrayBuffer>): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Weights, normally distributed. */
export function weights(count: number, seed: number): Float32Array<ArrayBuffer> {
  return normals(count, SIGMA, seed) as Float32Array<ArrayBuffer>;
}

/** Weights of the same seed, each moved by normally distributed steps of so much of their own spread. */
export function drifted(count: number, share: number, seed: number): Float32Array<ArrayBuffer> {
  const steps = normals(count, SIGMA * share, seed + 1000);
  return weights(count, seed).map((value, index) => value + steps[index]!);
}

/** `from` with `share` of its elements, at places all over, taken from `other`. */
export function scattered<Values extends Float32Array | Uint8Array>(
  from: Values,
  other: Values,
  share: number,
  seed: number,
): Values {
  const next = random(seed);
  return from.map((value, index) => (next() < share ? other[index]! : value)) as Values;
}

/** `from` with one run of its elements taken from `other`. */
export function patched<Values extends Float32Array | Uint8Array>(
  from: Values,
  other: Values,
  start: number,
  count: number,
): Values {
  const copy = from.slice() as Values;
  copy.set(other.subarray(start, start + count), start);
  return copy;
}
