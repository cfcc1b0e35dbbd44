/**
 * Elements of tensors as JavaScript values and as text. Floats of every width become numbers, 64-bit integers bigints, complex numbers
 * pairs, blocks the hexadecimal text of their bytes.
 */
import { bytesOf, type DType, dtypeOf, elementCount, type TensorData, toFloat32 } from "@tensorcask/codec";

/** One element: number, 64-bit integer, truth value, real and imaginary part, or the bytes of a block in hexadecimal. */
export type Scalar = number | bigint | boolean | string | readonly [real: number, imaginary: number];

/** Reads elements by their row-major position. */
export type ElementReader = (index: number) => Scalar;

/** A reader over a tensor. Narrow floats are converted once, as a whole. */
export function elementReader(tensor: TensorData): ElementReader {
  const dtype = dtypeOf(tensor.dtype);
  const { data } = tensor;
  if (dtype.name === "bool") {
    const flags = bytesOf(data);
    return (index) => flags[index] !== 0;
  }
  if (dtype.kind === "complex" && (data instanceof Float32Array || data instanceof Float64Array)) {
    return (index) => [data[2 * index] ?? 0, data[2 * index + 1] ?? 0];
  }
  if (dtype.kind === "block") {
    const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
    const size = dtype.bits / 8;
    return (index) => bytes.toString("hex", index * size, (index + 1) * size);
  }
  const plain = isPlain(dtype)
    ? (data as ArrayBufferView & { readonly [index: number]: number | bigint })
    : undefined;
  const numbers = plain ?? toFloat32(dtype, bytesOf(data), elementCount(tensor.shape));
  return (index) => numbers[index] ?? 0;
}

/** True when the typed array of a dtype holds the elements themselves rather than their bits. */
function isPlain(dtype: DType): boolean {
  const integer = dtype.kind === "int" || dtype.kind === "uint";
  return (integer && dtype.bits >= 8) || dtype.name === "float32" || dtype.name === "float64";
}

/** All elements of a tensor, row-major. */
export function elementsOf(tensor: TensorData): Scalar[] {
  const read = elementReader(tensor);
  return Array.from({ length: elementCount(tensor.shape) }, (_, index) => read(index));
}

/** An element as JSON: what JSON has no number for (NaN, infinities, integers over 2^53) is a string. */
export function elementJson(value: Scalar): unknown {
  if (typeof value === "bigint") {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (typeof value === "number") {
    return Number.isFinite(value) ? value : String(value);
  }
  return typeof value === "boolean" || typeof value === "string" ? value : value.map(elementJson);
}

/** Most characters of a block that a line shows: 8 bytes, where its scales mostly are. */
const BLOCK_CHARACTERS = 16;

/** Most digits behind the point. */
const FRACTION_DIGITS = 4;

interface FloatStyle {
  readonly exponent: boolean;
  readonly digits: number;
}

/** How floats of one print are written: all alike, as numpy does. Zero, NaN and infinities do not count. */
function floatStyle(values: readonly number[]): FloatStyle {
  let largest = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > 0 && Number.isFinite(size)) {
      largest = Math.max(largest, size);
      smallest = Math.min(smallest, size);
    }
  }
  const exponent = largest >= 1e8 || smallest < 1e-4 || (largest > 0 && largest / smallest > 1e5);
  let digits = 1;
  for (const value of values) {
    if (Number.isFinite(value)) {
      const text = exponent ? value.toExponential(FRACTION_DIGITS) : value.toFixed(FRACTION_DIGITS);
      const fraction = /\.(\d*?)0*(?:e|$)/.exec(text)?.[1]?.length ?? 0;
      digits = Math.max(digits, fraction);
    }
  }
  return { exponent, digits };
}

function floatText(value: number, { exponent, digits }: FloatStyle): string {
  if (!Number.isFinite(value)) {
    return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  }
  // toFixed writes -0 as "0.0" and -0.00001 as "-0.0": the sign of what rounds to zero is kept in both.
  const text = exponent ? value.toExponential(digits) : value.toFixed(digits);
  return Object.is(value, -0) ? `-${text}` : text;
}

/** Texts of elements, all of one width, right-aligned. `float` says whether numbers are floats (an integer 3 is `3`, a float 3 `3.0`). */
export function elementTexts(values: readonly Scalar[], float: boolean): string[] {
  const numbers = values.flatMap((value) =>
    typeof value === "number" ? [value] : typeof value === "object" ? [value[0], value[1]] : [],
  );
  const style = floatStyle(numbers);
  const texts = values.map((value) => {
    if (typeof value === "object") {
      const imaginary = floatText(value[1], style);
      return `${floatText(value[0], style)}${imaginary.startsWith("-") ? "" : "+"}${imaginary}j`;
    }
    if (typeof value === "string" && value.length > BLOCK_CHARACTERS) {
      return `${value.slice(0, BLOCK_CHARACTERS)}...`;
    }
    return typeof value === "number" && float ? floatText(value, style) : String(value);
  });
  const width = texts.reduce((widest, text) => Math.max(widest, text.length), 0);
  return texts.map((text) => text.padStart(width));
}
