/**
 * By how much the values of two tensors differ: both are read in windows of some chunks, side by side, so that tensors of any size take little memory.
 */
import {
  type DType,
  dequantizeBlocks,
  dequantizedShape,
  ElementGeometry,
  equalBytes,
  toFloat32,
  typedArrayOf,
  UsageError,
  unpackElements,
} from "@tensorcask/codec";
import type { ValueDiff } from "./diff-types.ts";
import type { TensorReader } from "./tensor-reader.ts";

/** Values that are compared at once: 4 MiB of float32 of each tensor, enough chunks to keep a few threads busy. */
const WINDOW_VALUES = 1_048_576;

/** What a tensor is, as far as comparing goes. */
export interface TensorForm {
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Whether each value of one has a counterpart in the other: both are numbers, or both complex, of the same shape when blocks are read as values. */
export function haveSameValues(a: TensorForm, b: TensorForm): boolean {
  if ((a.dtype.kind === "complex") !== (b.dtype.kind === "complex")) return false;
  const [shapeA, shapeB] = [a, b].map(({ dtype, shape }) => dequantizedShape(dtype, shape));
  if (shapeA!.length !== shapeB!.length || !shapeA!.every((axis, index) => axis === shapeB![index]))
    return false;
  return a.dtype.name === b.dtype.name || (isReadable(a.dtype) && isReadable(b.dtype));
}

/** Whether this version can read elements of the dtype as numbers: there are blocks that it keeps and cannot decode. */
export function isReadable(dtype: DType): boolean {
  if (dtype.kind !== "block") return true;
  try {
    dequantizeBlocks(dtype, new Uint8Array(0));
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/**
 * Compares two tensors that `haveSameValues` and that can be read. `step` is called before each window with the bytes that were read; it throws to end the comparison.
 */
export async function compareValues(
  a: TensorReader,
  b: TensorReader,
  chunkElements: number,
  step: (bytes: number) => void,
): Promise<ValueDiff> {
  const sums = new ValueSums(a.dtype, b.dtype);
  let bytes = 0;
  for (const [from, to] of windows(a, b, chunkElements)) {
    step(bytes);
    const [left, right] = await Promise.all([readValues(a, from, to), readValues(b, from, to)]);
    sums.add(left, right, to - from);
    bytes += left.length + right.length;
  }
  return sums.result();
}

/** Ranges of values [from, to) that end where chunks and blocks do. */
function* windows(
  a: TensorReader,
  b: TensorReader,
  chunkElements: number,
): Generator<[from: number, to: number], void, void> {
  // Blocks are powers of two long: what is whole in the longer ones is whole in the others.
  const { dtype, shape } = blockValues(a.dtype) >= blockValues(b.dtype) ? a : b;
  const geometry = new ElementGeometry(dtype, shape, chunkElements);
  const values = blockValues(dtype);
  let from = 0;
  for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
    const to = (geometry.first(chunk) + geometry.count(chunk)) * values;
    if (to - from < WINDOW_VALUES && chunk + 1 < geometry.chunkCount) continue;
    yield [from, to];
    from = to;
  }
}

function blockValues(dtype: DType): number {
  return dtype.block?.elements ?? 1;
}

function readValues(reader: TensorReader, from: number, to: number): Promise<Uint8Array> {
  const values = blockValues(reader.dtype);
  return reader.range(from / values, (to - from) / values);
}

/** What `add` has seen so far. */
class ValueSums {
  readonly #a: DType;
  readonly #b: DType;
  /** Numbers of an element: a complex one has two. */
  readonly #parts: number;
  #elements = 0;
  #changed = 0;
  #nonFinite = 0;
  #squares = 0;
  #squaresOfChange = 0;
  #maxAbsolute = 0;

  constructor(a: DType, b: DType) {
    this.#a = a;
    this.#b = b;
    this.#parts = a.kind === "complex" ? 2 : 1;
  }

  /** Adds `count` elements of both. */
  add(a: Uint8Array, b: Uint8Array, count: number): void {
    this.#elements += count;
    const same = this.#a.name === this.#b.name;
    const left = numbersOf(this.#a, a, count);
    if (same && equalBytes(a, b)) {
      this.#addPair(left, left);
      return;
    }
    const right = numbersOf(this.#b, b, count);
    this.#addPair(left, right);
    this.#changed +=
      same && this.#a.kind !== "block"
        ? changedElements(a, b, this.#a.bits, count)
        : changedValues(left, right, this.#parts);
  }

  #addPair(a: Float32Array | Float64Array, b: Float32Array | Float64Array): void {
    const parts = this.#parts;
    let squares = 0;
    let squaresOfChange = 0;
    let maximum = this.#maxAbsolute;
    for (let first = 0; first < a.length; first += parts) {
      const last = first + parts - 1;
      const change = Math.abs(b[first]! - a[first]!);
      const other = Math.abs(b[last]! - a[last]!);
      // Infinity and NaN less themselves are NaN.
      if (change - change !== 0 || other - other !== 0) {
        this.#nonFinite += 1;
        continue;
      }
      squares += a[first]! * a[first]!;
      squaresOfChange += change * change;
      if (change > maximum) maximum = change;
      if (last === first) continue;
      squares += a[last]! * a[last]!;
      squaresOfChange += other * other;
      if (other > maximum) maximum = other;
    }
    this.#squares += squares;
    this.#squaresOfChange += squaresOfChange;
    this.#maxAbsolute = maximum;
  }

  result(): ValueDiff {
    const quotient = this.#squaresOfChange === 0 ? 0 : this.#squaresOfChange / this.#squares;
    return {
      elements: this.#elements,
      changed: this.#changed,
      changedFraction: this.#elements === 0 ? 0 : this.#changed / this.#elements,
      relativeL2: Number.isFinite(quotient) ? Math.sqrt(quotient) : null,
      maxAbsolute: this.#maxAbsolute,
      nonFinite: this.#nonFinite,
    };
  }
}

/** Elements as numbers, exactly but for 64-bit integers, which are rounded to doubles; real and imaginary parts of complex ones in turn. */
function numbersOf(dtype: DType, bytes: Uint8Array, count: number): Float32Array | Float64Array {
  if (dtype.kind === "block") return dequantizeBlocks(dtype, bytes);
  if (dtype.bits <= 8 || (dtype.kind === "float" && dtype.bits === 16)) return toFloat32(dtype, bytes, count);
  const elements = typedArrayOf(dtype, bytes);
  if (elements instanceof Float32Array || elements instanceof Float64Array) return elements;
  const numbers = new Float64Array(elements.length);
  for (let index = 0; index < numbers.length; index++) numbers[index] = Number(elements[index]!);
  return numbers;
}

/** Elements that differ in any bit. Both lists of bytes are aligned to 8. */
function changedElements(a: Uint8Array, b: Uint8Array, bits: number, count: number): number {
  if (bits % 8 !== 0)
    return changedWords(unpackElements(a, bits, 0, count), unpackElements(b, bits, 0, count), 1);
  if (bits === 8) return changedWords(a, b, 1);
  if (bits === 16)
    return changedWords(
      new Uint16Array(a.buffer, a.byteOffset, count),
      new Uint16Array(b.buffer, b.byteOffset, count),
      1,
    );
  const each = bits / 32;
  return changedWords(
    new Uint32Array(a.buffer, a.byteOffset, count * each),
    new Uint32Array(b.buffer, b.byteOffset, count * each),
    each,
  );
}

type Words = Uint8Array | Uint16Array | Uint32Array;

function changedWords(a: Words, b: Words, each: number): number {
  let changed = 0;
  if (each === 1) {
    for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) changed += 1;
    return changed;
  }
  for (let first = 0; first < a.length; first += each) {
    let index = first;
    while (index < first + each && a[index] === b[index]) index += 1;
    if (index < first + each) changed += 1;
  }
  return changed;
}

/** Elements that differ in value; NaN equals NaN, and zeros each other. */
function changedValues(
  a: Float32Array | Float64Array,
  b: Float32Array | Float64Array,
  parts: number,
): number {
  let changed = 0;
  for (let first = 0; first < a.length; first += parts) {
    for (let index = first; index < first + parts; index++) {
      const left = a[index]!;
      const right = b[index]!;
      if (left === right || (Number.isNaN(left) && Number.isNaN(right))) continue;
      changed += 1;
      break;
    }
  }
  return changed;
}
