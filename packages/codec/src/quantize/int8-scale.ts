/**
 * Scales and zero points of int8, kept apart from the loops: decoded value = (q - zero) x scale.
 *
 * - symmetric: zero is 0, q in [-127, 127], scale = largest magnitude / 127.
 * - asymmetric: q in [-128, 127], scale = (maximum - minimum) / 255, zero = -128 - round(minimum / scale). Zero is an int32 and
 *   not clamped to a byte, so that a range far from 0 ([10, 20]: zero is -383) keeps all 255 steps. A range so narrow that zero would not fit an
 *   int32 gets a wider scale: 2^-30 of the largest magnitude, finer than float32 itself.
 * - a constant c, of a tensor or of a channel, is scale |c| and q 1 or -1, which decodes to c exactly.
 *
 * Scales are float32, and float64 for float64 tensors (whose constants and ranges float32 could not hold).
 */
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { largestFinite } from "./real-elements.ts";

/** Scale and zero point of one tensor or channel. */
export interface Int8Scale {
  readonly scale: number;
  readonly zero: number;
}

const SYMMETRIC_STEPS = 127;
const ASYMMETRIC_STEPS = 255;
/** |zero| stays below 2^30 + 255, well inside an int32. */
const FINEST_SCALE = 2 ** -30;

/** The dtype in which the scales of a tensor of `dtype` are stored. */
export function scaleDTypeOf(dtype: DType): DType {
  return dtypeOf(dtype.name === "float64" ? "float64" : "float32");
}

/** The symmetric scale for values from `minimum` to `maximum`, which must be finite. */
export function symmetricScale(minimum: number, maximum: number, dtype: DType): number {
  const largest = Math.max(-minimum, maximum);
  if (largest === 0) return 1;
  if (minimum === maximum) return largest;
  return storedScale(largest / SYMMETRIC_STEPS, largest, SYMMETRIC_STEPS, dtype);
}

/** The asymmetric scale for values from `minimum` to `maximum`, which must be finite. */
export function asymmetricScale(minimum: number, maximum: number, dtype: DType): Int8Scale {
  if (minimum === maximum) return { scale: Math.abs(minimum) || 1, zero: 0 };
  const largest = Math.max(Math.abs(minimum), Math.abs(maximum));
  // Divided before subtracting: the range of doubles can exceed the largest double.
  const step = Math.max(maximum / ASYMMETRIC_STEPS - minimum / ASYMMETRIC_STEPS, largest * FINEST_SCALE);
  const scale = storedScale(step, maximum - minimum, ASYMMETRIC_STEPS, dtype);
  return { scale, zero: -128 - roundHalfEven(minimum / scale) };
}

/** Rounds to nearest, ties to even; exact below 2^51. */
export function roundHalfEven(value: number): number {
  return value + 6755399441055744 - 6755399441055744;
}

/**
 * The largest magnitude that decoded values may have: the largest finite one of `dtype` when some value could decode to more (the
 * last half step of a range that spans everything), else Infinity, so that decoding need not look.
 */
export function decodedLimit(dtype: DType, scales: Float32Array | Float64Array, zero: number): number {
  let largestScale = 0;
  for (let index = 0; index < scales.length; index++)
    largestScale = Math.max(largestScale, Math.abs(scales[index]!));
  const reach = Math.max(Math.abs(-128 - zero), Math.abs(127 - zero));
  const limit = largestFinite(dtype);
  return reach * largestScale > limit ? limit : Number.POSITIVE_INFINITY;
}

/**
 * `step` as it can be stored, never so much smaller that `range` takes more steps than there are: among the smallest floats, and
 * only there, rounding a step down matters.
 */
function storedScale(step: number, range: number, steps: number, dtype: DType): number {
  const isDouble = dtype.name === "float64";
  const scale = isDouble ? step : Math.fround(step);
  if (range / scale <= steps + 0.01) return scale;
  return scale + (isDouble ? Number.MIN_VALUE : 2 ** -149);
}
