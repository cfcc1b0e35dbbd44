/**
 * Where an array is cut into chunks, when it is cut by elements. Pure arithmetic, O(1) per question, so that
 * a slice of a terabyte tensor finds its chunks without a list of them.
 *
 *   row = the elements behind one index of axis 0 (shape [4096, 1024, 8]: 8,192; a scalar or vector: 1)
 *
 *   row <= chunkElements            whole rows: as many as fit         |row row row row|row row row row|row row|
 *   row >  chunkElements            within each row, restarting with each, so that a row touches its own chunks only:
 *                                   |piece piece rest|piece piece rest|
 *                                   pieces are multiples of the innermost axis where that fits, else of 64 elements
 *   row is no whole number of bytes (int4, float6): flat, multiples of 64 elements
 *
 * Where elements are blocks of several values (`dtype.block`), `chunkElements` counts the values, so that chunks
 * are about as large as those of other types of so many bits a value: 131,072 are 4,096 blocks of 32.
 *
 * Cuts depend on shape and element count only (for dtypes of whole bytes), so an fp32 master and its bf16
 * copy have chunks that cover the same elements: what sibling coding and slicing rely on.
 */
import { UsageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";

/**
 * Elements of a chunk unless a store says otherwise: 512 KiB of float32. Large enough that a header of 56
 * bytes and a catalog row are nothing, small enough that one row of a big tensor is read within a fraction of
 * a millisecond.
 */
export const DEFAULT_CHUNK_ELEMENTS = 131_072;

/**
 * Smallest chunk size in elements; also the unit that chunk sizes are multiples of, so that every sub-byte
 * cut falls on a whole byte.
 */
export const CHUNK_ELEMENTS_UNIT = 64;

/** Largest chunk size in elements: 16 MiB (`MAX_CHUNK_BYTES`) of the widest dtype, complex128. */
export const MAX_CHUNK_ELEMENTS = 1_048_576;

/** Checks a chunk size in elements. Throws `UsageError` naming `field`. */
export function checkChunkElements(chunkElements: number, field = "chunkElements"): void {
  const valid =
    Number.isSafeInteger(chunkElements) &&
    chunkElements >= CHUNK_ELEMENTS_UNIT &&
    chunkElements <= MAX_CHUNK_ELEMENTS &&
    chunkElements % CHUNK_ELEMENTS_UNIT === 0;
  if (!valid) {
    throw new UsageError(
      field,
      `${field} is ${chunkElements}; it must be a multiple of ${CHUNK_ELEMENTS_UNIT} from ${CHUNK_ELEMENTS_UNIT} to ${MAX_CHUNK_ELEMENTS}`,
    );
  }
}

/**
 * The chunks of one array that is cut by elements. Chunks are numbered from 0 in element order and leave
 * nothing out.
 */
export class ElementGeometry {
  readonly dtype: DType;
  /** Elements of the whole array. */
  readonly elements: number;
  /** Bytes of the whole array; a last odd sub-byte element takes a whole byte. */
  readonly bytes: number;
  readonly chunkCount: number;

  /** Elements that cuts restart after: one row when rows are cut within, else the whole array. */
  readonly #span: number;
  /** Elements of every chunk but the last one of each span. */
  readonly #piece: number;
  readonly #piecesPerSpan: number;

  /**
   * @param shape non-negative integers, row-major; `[]` is a scalar
   * @param chunkElements upper bound of elements in a chunk, of blocks of the values in them (but one block there
   * is); a multiple of 64
   */
  constructor(dtype: DType, shape: readonly number[], chunkElements: number = DEFAULT_CHUNK_ELEMENTS) {
    checkChunkElements(chunkElements);
    const limit = Math.max(1, Math.floor(chunkElements / (dtype.block?.elements ?? 1)));
    this.dtype = dtype;
    this.elements = product(shape, 0);
    this.bytes = bytesBefore(dtype, this.elements);
    const row = product(shape, 1);
    const innermost = shape.length > 1 ? shape[shape.length - 1]! : 0;

    if ((row * dtype.bits) % 8 !== 0) {
      this.#span = this.elements;
      this.#piece = limit;
    } else if (row <= limit) {
      this.#span = this.elements;
      this.#piece = row === 0 ? limit : Math.floor(limit / row) * row;
    } else {
      this.#span = row;
      const unit = wholeByteMultiple(innermost, dtype.bits);
      this.#piece = unit > 0 && unit <= limit ? Math.floor(limit / unit) * unit : limit;
    }
    this.#piecesPerSpan = Math.ceil(this.#span / this.#piece);
    this.chunkCount = this.elements === 0 ? 0 : (this.elements / this.#span) * this.#piecesPerSpan;
  }

  /** The chunk that holds this element. Throws `UsageError` outside [0, elements). */
  chunkOf(element: number): number {
    if (!(Number.isSafeInteger(element) && element >= 0 && element < this.elements)) {
      throw new UsageError("element", `element ${element} is out of range for ${this.elements} elements`);
    }
    const span = Math.floor(element / this.#span);
    return span * this.#piecesPerSpan + Math.floor((element - span * this.#span) / this.#piece);
  }

  /** Index of the first element of a chunk. */
  first(chunk: number): number {
    this.#check(chunk);
    const span = Math.floor(chunk / this.#piecesPerSpan);
    return span * this.#span + (chunk - span * this.#piecesPerSpan) * this.#piece;
  }

  /** Elements of a chunk. */
  count(chunk: number): number {
    this.#check(chunk);
    const withinSpan = chunk % this.#piecesPerSpan;
    return Math.min(this.#piece, this.#span - withinSpan * this.#piece);
  }

  /** The bytes [start, end) of the array that a chunk holds. Cuts always fall on whole bytes. */
  byteRange(chunk: number): { start: number; end: number } {
    const first = this.first(chunk);
    const count = this.count(chunk);
    return { start: bytesBefore(this.dtype, first), end: bytesBefore(this.dtype, first + count) };
  }

  #check(chunk: number): void {
    if (!(Number.isSafeInteger(chunk) && chunk >= 0 && chunk < this.chunkCount)) {
      throw new UsageError("chunk", `chunk ${chunk} is out of range for ${this.chunkCount} chunks`);
    }
  }
}

/**
 * Product of the axes from `from` on; 1 for none. Throws `UsageError` beyond 2^53 - 1 (a zero axis makes the
 * whole product 0).
 */
function product(shape: readonly number[], from: number): number {
  let elements = 1;
  for (let axis = 0; axis < shape.length; axis++) {
    const length = shape[axis]!;
    if (!(Number.isSafeInteger(length) && length >= 0)) {
      throw new UsageError("shape", `axis ${axis} of the shape is ${length}; axes are non-negative integers`);
    }
    if (axis >= from) elements *= length;
  }
  if (shape.slice(from).includes(0)) return 0;
  if (!Number.isSafeInteger(elements)) {
    throw new UsageError("shape", `shape [${shape.join(", ")}] has more than 2^53 - 1 elements`);
  }
  return elements;
}

/**
 * Bytes that hold the first `elements` elements. Splits the product so that it stays exact up to 2^53 bytes.
 */
function bytesBefore(dtype: DType, elements: number): number {
  const bytes = Math.floor(elements / 8) * dtype.bits + Math.ceil(((elements % 8) * dtype.bits) / 8);
  if (!Number.isSafeInteger(bytes)) {
    throw new UsageError("shape", `${elements} elements of ${dtype.name} are more than 2^53 - 1 bytes`);
  }
  return bytes;
}

/** The smallest multiple of `elements` that is a whole number of bytes. */
function wholeByteMultiple(elements: number, bits: number): number {
  let multiple = elements;
  while ((multiple * bits) % 8 !== 0) multiple += elements;
  return multiple;
}
