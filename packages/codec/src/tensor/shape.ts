/** Sizes of tensors. Shapes are lists of axis lengths, row-major; `[]` is a scalar of one element. Counts stay exact: beyond 2^53 - 1 they are refused. */
import { UsageError } from "../errors/errors.ts";
import type { DType } from "./dtype.ts";

/** A shape as text, for messages: `[2, 3]`. */
export function shapeText(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/**
 * Elements of a tensor of this shape; 1 for a scalar, 0 when any axis is 0.
 *
 * @throws UsageError naming `field` when an axis is no non-negative integer, or the product exceeds 2^53 - 1.
 */
export function elementCount(shape: readonly number[], field = "shape"): number {
  let elements = 1;
  let empty = false;
  for (let axis = 0; axis < shape.length; axis++) {
    const length = shape[axis]!;
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new UsageError(field, `${field}: axis ${axis} is ${length}; axes are non-negative integers`);
    }
    if (length === 0) empty = true;
    elements *= length;
  }
  if (empty) return 0;
  if (!Number.isSafeInteger(elements)) {
    throw new UsageError(field, `${field}: ${shapeText(shape)} has more than 2^53 - 1 elements`);
  }
  return elements;
}

/**
 * Bytes that `elements` elements take, packed; a rest of under 8 bits takes a whole byte.
 *
 * @throws UsageError naming `field` beyond 2^53 - 1 bytes.
 */
export function bytesOfElements(dtype: DType, elements: number, field = "shape"): number {
  // Eight elements are always whole bytes: the product is split there so that it stays exact.
  const whole = Math.floor(elements / 8) * dtype.bits;
  const bytes = whole + Math.ceil(((elements % 8) * dtype.bits) / 8);
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError(
      field,
      `${field}: ${elements} elements of ${dtype.name} are more than 2^53 - 1 bytes`,
    );
  }
  return bytes;
}

/**
 * Bytes of a tensor of this dtype and shape.
 *
 * @throws UsageError as `elementCount` and `bytesOfElements` do.
 */
export function byteLength(dtype: DType, shape: readonly number[], field = "shape"): number {
  return bytesOfElements(dtype, elementCount(shape, field), field);
}

/** How many elements lie between neighbours along each axis. */
export function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}
