/**
 * Tensors as PyTorch and numpy describe them: a storage, the first element, and how many elements lie between
 * neighbours along each axis. Where that is no plain run of the file, the elements are gathered.
 *
 *     strides of shape [2, 3]:  [3, 1] row-major   [1, 2] column-major   [6, 2] every second   [0, 1] one row twice
 */
import { type DType, InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import type { Extent } from "./extent.ts";

/** A tensor in its storage. Strides and `first` count elements. */
export interface StridedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly first: number;
  readonly storage: Extent;
  readonly bigEndian: boolean;
}

/** How a tensor's elements lie from its first to its last. */
type Order = "row-major" | "column-major" | "scattered";

/** Highest number of dimensions: numpy's and PyTorch's limit. */
export const MAX_RANK = 64;

/**
 * Bytes that are gathered in memory at a time: of a scattered tensor as it is put together, and of a storage that
 * can only be read from its beginning.
 */
export const GATHER_BYTES: number = 32 * 1024 * 1024;

/** How often a storage may be read over to gather a tensor, piece by piece. */
const MAX_PASSES = 128;

/** Bytes read at a time while gathering from a large storage. */
const WINDOW_BYTES = 256 * 1024;
/** Elements farther apart than this are read one by one: the bytes between them would be most of the reading. */
const FAR_BYTES = 4096;

/** Bytes of one element. All dtypes of PyTorch and numpy have whole bytes. */
export function elementBytes(tensor: StridedTensor): number {
  return tensor.dtype.bits / 8;
}

/** Number of elements. */
export function elementsOf({ shape }: Pick<StridedTensor, "shape">): number {
  return shape.reduce((product, length) => product * length, 1);
}

/**
 * Checks shape and strides against the storage and against what can be gathered. `name` is the tensor's, for
 * errors. Throws `InvalidFileError`: `shape`, `strides`, `outside-storage`, `overlapping-view`, `compressed-view`, `scattered-view`.
 */
export function checkStrided(file: string, name: string, tensor: StridedTensor): void {
  const { shape, strides, first, storage } = tensor;
  const fail = (rule: string, message: string): InvalidFileError =>
    new InvalidFileError(file, rule, message, { tensor: name });
  if (!shape.every(isCount))
    throw fail("shape", `its shape [${shape.join(", ")}] has an axis that is no size`);
  // Axis by axis, so that a zero does not hide what came before it.
  let elements = 1;
  for (const length of shape) {
    elements *= length;
    if (!Number.isSafeInteger(elements * elementBytes(tensor))) {
      throw fail("shape", `its shape [${shape.join(", ")}] has more than 2^53 - 1 bytes`);
    }
  }
  if (strides.length !== shape.length) {
    throw fail("strides", `it has ${shape.length} dimensions, but ${strides.length} strides`);
  }
  if (!strides.every(isCount) || !isCount(first)) {
    throw fail("strides", `its strides [${strides.join(", ")}] or its first element ${first} are not sizes`);
  }
  if (elements === 0) return;
  const held = Math.floor(storage.bytes / elementBytes(tensor));
  const last = first + lastElement(tensor);
  if (!(last < held)) {
    throw fail(
      "outside-storage",
      `its last element is number ${last} of its storage, which holds ${held} (shape [${shape.join(", ")}], strides [${strides.join(", ")}], first ${first})`,
    );
  }
  if (orderOf(tensor) === "row-major") return;
  if ((lastElement(tensor) + 1) * elementBytes(tensor) <= GATHER_BYTES) return;
  if (!isMonotonic(tensor)) {
    throw fail(
      "overlapping-view",
      `its strides [${strides.join(", ")}] reach the same elements in several ways; save a contiguous copy of it`,
    );
  }
  if (storage.offset === undefined) {
    throw fail(
      "compressed-view",
      `it is no plain run of its storage, which is compressed and has ${storage.bytes} bytes; save it again without compression, or a contiguous copy of it`,
    );
  }
  const { pieces, reach } = piecesOf(tensor, GATHER_BYTES);
  if (pieces * reach > MAX_PASSES * (lastElement(tensor) + 1)) {
    throw fail(
      "scattered-view",
      `its elements are so scattered that its storage would be read over ${Math.ceil((pieces * reach) / (lastElement(tensor) + 1))} times, the limit is ${MAX_PASSES}; save a contiguous copy of it`,
    );
  }
}

function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** Distance of the last element from the first. */
function lastElement({ shape, strides }: StridedTensor): number {
  return shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis]!, 0);
}

/** How the elements lie. Axes of length 1 have no say, and a tensor without elements is row-major. */
export function orderOf({ shape, strides }: StridedTensor): Order {
  if (shape.includes(0)) return "row-major";
  const isPlain = (axes: readonly number[]): boolean => {
    let stride = 1;
    for (const axis of axes) {
      if (shape[axis] !== 1 && strides[axis] !== stride) return false;
      stride *= shape[axis]!;
    }
    return true;
  };
  const axes = [...shape.keys()];
  if (isPlain(axes.toReversed())) return "row-major";
  return isPlain(axes) ? "column-major" : "scattered";
}

/** One axis of what is gathered: its length, and how far it moves in storage and result (in elements). */
interface Axis {
  readonly length: number;
  readonly from: number;
  readonly to: number;
}

/** The axes in the order of the storage: the largest steps first, repeated elements last. */
function inStorageOrder(axes: readonly Axis[]): Axis[] {
  return axes.filter(({ length }) => length > 1).sort((a, b) => b.from - a.from);
}

/** Whether walking the axes in storage order never goes back: no two of them interleave. */
function isMonotonic(tensor: StridedTensor): boolean {
  const axes = inStorageOrder(
    tensor.shape.map((length, axis) => ({ length, from: tensor.strides[axis]!, to: 0 })),
  );
  let reach = 0;
  for (const { length, from } of axes.toReversed()) {
    if (from !== 0 && from <= reach) return false;
    reach += (length - 1) * from;
  }
  return true;
}

/** How a tensor is gathered: each piece is a run of rows along the axis `cut`, with all axes behind it whole. */
interface Pieces {
  readonly cut: number;
  /** Length of the axis `cut`. */
  readonly rows: number;
  /** Elements of all axes behind it. */
  readonly rowElements: number;
  readonly rowsAtOnce: number;
  /** Number of pieces, and how many elements of the storage lie between the first and the last of one. */
  readonly pieces: number;
  readonly reach: number;
}

function piecesOf(tensor: StridedTensor, pieceBytes: number): Pieces {
  const { shape, strides } = tensor;
  const size = elementBytes(tensor);
  let cut = 0;
  let outer = 1;
  let rowElements = elementsOf({ shape: shape.slice(1) });
  while (rowElements * size > pieceBytes) {
    outer *= shape[cut++]!;
    rowElements /= shape[cut]!;
  }
  const rows = shape[cut] ?? 1;
  const rowsAtOnce = Math.min(rows, Math.floor(pieceBytes / (rowElements * size)));
  const reach = shape
    .slice(cut + 1)
    .reduce(
      (sum, length, axis) => sum + (length - 1) * strides[cut + 1 + axis]!,
      1 + (rowsAtOnce - 1) * (strides[cut] ?? 0),
    );
  return { cut, rows, rowElements, rowsAtOnce, pieces: outer * Math.ceil(rows / rowsAtOnce), reach };
}

/**
 * The elements of a checked tensor, row-major, in pieces of at most `pieceBytes`; byte order as in the storage.
 * Each piece is put together in the order of the storage, so that the file is read forward.
 */
export async function* gather(
  source: Source,
  tensor: StridedTensor,
  pieceBytes: number = GATHER_BYTES,
): AsyncGenerator<Uint8Array> {
  const { shape, strides } = tensor;
  if (shape.includes(0)) return;
  const size = elementBytes(tensor);
  const { cut, rows, rowElements, rowsAtOnce } = piecesOf(tensor, pieceBytes);
  const step = strides[cut] ?? 0;
  const window = new StorageWindow(source, tensor, pieceBytes);
  await window.open();
  const piece = new Uint8Array(rowsAtOnce * rowElements * size);
  const outer = shape.slice(0, cut);
  const outerCount = elementsOf({ shape: outer });
  for (let index = 0; index < outerCount; index++) {
    const start = offsetOf(index, outer, strides);
    for (let row = 0; row < rows; row += rowsAtOnce) {
      const taken = Math.min(rowsAtOnce, rows - row);
      const axes: Axis[] = [{ length: taken, from: step, to: rowElements }];
      let to = rowElements;
      for (let axis = cut + 1; axis < shape.length; axis++) {
        to /= shape[axis]!;
        axes.push({ length: shape[axis]!, from: strides[axis]!, to });
      }
      await fillPiece(window, start + row * step, inStorageOrder(axes), piece, size);
      yield piece.subarray(0, taken * rowElements * size);
    }
  }
}

/** Where the run of a row-major index over the outer axes begins, in elements from the tensor's first. */
function offsetOf(index: number, outer: readonly number[], strides: readonly number[]): number {
  let rest = index;
  let offset = 0;
  for (let axis = outer.length - 1; axis >= 0; axis--) {
    offset += (rest % outer[axis]!) * strides[axis]!;
    rest = Math.floor(rest / outer[axis]!);
  }
  return offset;
}

/** Fills a piece whose first element is `start`, walking `axes` from the outermost to the innermost. */
async function fillPiece(
  window: StorageWindow,
  start: number,
  axes: readonly Axis[],
  piece: Uint8Array,
  size: number,
): Promise<void> {
  const last = axes.at(-1) ?? { length: 1, from: 0, to: 0 };
  const around = axes.slice(0, -1);
  const indices = new Array<number>(around.length).fill(0);
  const farApart = last.from * size > FAR_BYTES;
  let from = start;
  let to = 0;
  for (;;) {
    for (let count = 0; count < last.length; count++) {
      const at = (from + count * last.from) * size;
      if (!window.holds(at, size)) await window.move(at, farApart ? size : WINDOW_BYTES);
      let read = at - window.start;
      let write = (to + count * last.to) * size;
      for (let byte = 0; byte < size; byte++) piece[write++] = window.bytes[read++]!;
    }
    let axis = around.length - 1;
    for (; axis >= 0; axis--) {
      const { length, from: stepFrom, to: stepTo } = around[axis]!;
      from += stepFrom;
      to += stepTo;
      if (++indices[axis]! < length) break;
      from -= stepFrom * length;
      to -= stepTo * length;
      indices[axis] = 0;
    }
    if (axis < 0) return;
  }
}

/** A view into a tensor's storage that moves forward; all of it where it is small. Places count from the first element. */
class StorageWindow {
  /** Place of the first byte held. */
  start = 0;
  bytes = new Uint8Array(0);
  readonly #source: Source;
  readonly #storage: Extent;
  readonly #begin: number;
  readonly #end: number;
  readonly #maxBytes: number;

  constructor(source: Source, tensor: StridedTensor, maxBytes: number) {
    this.#maxBytes = maxBytes;
    this.#source = source;
    this.#storage = tensor.storage;
    this.#begin = tensor.first * elementBytes(tensor);
    this.#end = (lastElement(tensor) + 1) * elementBytes(tensor);
  }

  /** Reads a small storage whole; a large one is read when it is looked at. */
  async open(): Promise<void> {
    if (this.#end <= this.#maxBytes) await this.move(0, this.#end);
  }

  holds(at: number, bytes: number): boolean {
    return at >= this.start && at + bytes <= this.start + this.bytes.length;
  }

  async move(at: number, bytes: number): Promise<void> {
    const window = new Uint8Array(Math.min(bytes, this.#end - at));
    let filled = 0;
    const from = this.#begin + at;
    for await (const piece of this.#storage.stream(this.#source, from, from + window.length)) {
      window.set(piece, filled);
      filled += piece.length;
    }
    this.bytes = window;
    this.start = at;
  }
}
