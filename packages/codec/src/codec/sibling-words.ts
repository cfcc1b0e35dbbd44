/**
 * The words of a sibling as those of the chunk that is coded against it. A float32 master and its bfloat16 or float16 copy have the
 * same elements in other widths: the sibling is converted first, rounded to nearest even where it gets narrower, so that a rounded
 * copy differs from it in nothing.
 */
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "@tensorcask/kernels";
import type { DType } from "../tensor/dtype.ts";

/** Types of words that differences are taken of, and that are converted to each other. */
export type DifferenceType = "float16" | "bfloat16" | "float32";

type Conversion = (bytes: Uint8Array) => Uint8Array;

const same: Conversion = (bytes) => bytes;

const conversions: { readonly [to in DifferenceType]: { readonly [from in DifferenceType]: Conversion } } = {
  float32: {
    float32: same,
    float16: (bytes) => float16ToFloat32(bytes),
    bfloat16: (bytes) => bfloat16ToFloat32(bytes),
  },
  bfloat16: {
    bfloat16: same,
    float32: (bytes) => float32ToBfloat16(bytes),
    float16: (bytes) => float32ToBfloat16(float16ToFloat32(bytes)),
  },
  float16: {
    float16: same,
    float32: (bytes) => float32ToFloat16(bytes),
    bfloat16: (bytes) => float32ToFloat16(bfloat16ToFloat32(bytes)),
  },
};

const wordBytes: { readonly [type in DifferenceType]: 2 | 4 } = { float16: 2, bfloat16: 2, float32: 4 };

/** The type of the words that elements of a dtype are made of, if differences are taken of those. */
export function differenceTypeOf({ name }: DType): DifferenceType | undefined {
  if (name === "complex64") return "float32";
  return name === "float16" || name === "bfloat16" || name === "float32" ? name : undefined;
}

/**
 * Whether elements of one dtype can be coded against those of another, element by element: of the same dtype always, else floats that are
 * converted.
 */
export function areConvertible(from: DType, to: DType): boolean {
  if (from === to) return true;
  return [from, to].every((dtype) => dtype.kind === "float" && differenceTypeOf(dtype) !== undefined);
}

/** The bytes of whole words of type `from`, as words of type `to`. */
export function convertedWords(bytes: Uint8Array, from: DifferenceType, to: DifferenceType): Uint8Array {
  return conversions[to][from](bytes.subarray(0, bytes.length - (bytes.length % wordBytes[from])));
}
