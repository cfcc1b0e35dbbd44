/**
 * Elements of the dtypes that are quantized, in the narrowest JavaScript float that holds them exactly: float16, bfloat16 and
 * float32 as Float32Array, float64 as Float64Array.
 */
import type { DType } from "../tensor/dtype.ts";
import { type FloatTarget, fromFloat32, toFloat32 } from "../tensor/float.ts";
import { bytesOf, typedArrayOf } from "../tensor/typed-array.ts";

/** Whether elements of this dtype are quantized at all: floats of 16 bits and more. */
export function isQuantizable(dtype: DType): boolean {
  return dtype.kind === "float" && dtype.bits >= 16;
}

/** Elements from their bytes; may be a view of them. */
export function realElements(dtype: DType, bytes: Uint8Array): Float32Array | Float64Array {
  return dtype.name === "float64" ? (typedArrayOf(dtype, bytes) as Float64Array) : toFloat32(dtype, bytes);
}

/** Bytes of elements that `realElements` would read; may be a view of them. */
export function bytesOfReal(dtype: DType, elements: Float32Array | Float64Array): Uint8Array {
  if (elements instanceof Float64Array) return bytesOf(elements);
  return fromFloat32(elements, dtype.name as FloatTarget);
}

/** Zeros, in the array that `realElements` gives for this dtype. */
export function emptyReals(
  dtype: DType,
  count: number,
): Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> {
  return dtype.name === "float64" ? new Float64Array(count) : new Float32Array(count);
}

/** The largest finite number of a float dtype. */
export function largestFinite(dtype: DType): number {
  return (2 - 2 ** -dtype.mantissaBits!) * 2 ** (2 ** (dtype.exponentBits! - 1) - 1);
}
