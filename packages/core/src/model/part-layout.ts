/**
 * How the elements of a file's part lie, as one number: that is how the journal and the catalog keep it (docs/format.md, section 15). Only
 * what makes a difference to the bytes counts, so the same file has the same numbers whatever its format says about it.
 */
import type { DType } from "@tensorcask/codec";
import type { PartLayout } from "./plan.ts";

/** Row-major and little-endian: as it is stored. The other codes are bits. */
export const AS_STORED = 0;
export const BIG_ENDIAN = 1;
export const COLUMN_MAJOR = 2;

/** Largest code. */
export const MAX_LAYOUT: number = BIG_ENDIAN | COLUMN_MAJOR;

/** Whether elements of the dtype can lie in any other way: sub-byte elements and blocks cannot. */
export function canBeLaidOut(dtype: DType): boolean {
  return dtype.bits % 8 === 0 && dtype.kind !== "block";
}

/** Bytes that change their order together: an element, or one part of a complex number. */
export function componentBytes(dtype: DType): number {
  return dtype.bits / (dtype.kind === "complex" ? 16 : 8);
}

/** The code of a part's layout. Bytes have no order, and neither have axes of length 1. */
export function layoutCode(dtype: DType, shape: readonly number[], layout: PartLayout | undefined): number {
  if (layout === undefined || shape.includes(0)) return AS_STORED;
  const swapped = layout.bigEndian === true && componentBytes(dtype) > 1;
  const reversed = layout.columnMajor === true && shape.filter((length) => length > 1).length > 1;
  return (swapped ? BIG_ENDIAN : 0) | (reversed ? COLUMN_MAJOR : 0);
}
