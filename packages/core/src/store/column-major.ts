/**
 * Tensors that lie in column-major order in their files: read as they are to be stored, and laid out again. In blocks (layout-blocks.ts) where
 * they are large. Byte order is not looked at here.
 *
 * A file in column-major order is the row-major order of the reversed shape, so both directions turn blocks of one side into the other's:
 *
 *   import   block of the stored order   <- elements picked from the file, strided
 *   export   block of the file's order   <- a slice of the stored tensor
 *
 * What that costs for large tensors: an import reads each file twice (once for its hash), and where less than a page of neighbours is wanted
 * at a time, pages more often. An export decodes the chunks that a block touches for each block: all of them, where rows are shorter than a chunk.
 */
import type { SliceSpec } from "@tensorcask/codec";
import { type Block, LayoutBlocks } from "./layout-blocks.ts";
import { reverseAxes } from "./reverse-axes.ts";
import { readStrided, type Steps } from "./strided-read.ts";
import type { ReadBytes } from "./tensor-bytes.ts";
import type { TensorReader, VisitBytes } from "./tensor-reader.ts";

/** What a slice needs for an element at most: a run of its own is listed with 8 bytes. */
const RUN_BYTES = 8;

/** Gives the row-major bytes of a tensor whose column-major bytes `read` gives. One block is held, so reads should rise. */
export class ColumnMajorReader {
  readonly #read: ReadBytes;
  readonly #shape: readonly number[];
  readonly #elementBytes: number;
  readonly #blocks: LayoutBlocks;
  #number = -1;
  #start = 0;
  #block = new Uint8Array(0);

  /** `shape` has no axis of 0. */
  constructor(read: ReadBytes, shape: readonly number[], elementBytes: number, blockBytes: number) {
    this.#read = read;
    this.#shape = shape;
    this.#elementBytes = elementBytes;
    this.#blocks = new LayoutBlocks(shape, elementBytes, blockBytes);
  }

  /** Fills `into` with the row-major bytes from `offset` on. */
  async read(into: Uint8Array, offset: number): Promise<void> {
    for (let filled = 0; filled < into.length; ) {
      const at = offset + filled - this.#start;
      if (this.#number < 0 || at < 0) await this.#load(0);
      else if (at >= this.#block.length) await this.#load(this.#number + 1);
      else {
        const found = this.#block.subarray(at, at + into.length - filled);
        into.set(found, filled);
        filled += found.length;
      }
    }
  }

  async #load(number: number): Promise<void> {
    const block = this.#blocks.at(number);
    const size = this.#elementBytes;
    // Taken out first: the one before is not needed any more.
    this.#block = new Uint8Array(0);
    const picked = new Uint8Array(block.elements * size);
    const { first, outer, inner } = whereInFile(this.#shape, block);
    await readStrided(this.#read, picked, size, first, outer, inner);
    const turned = new Uint8Array(picked.length);
    const { prefix, from, to } = block;
    reverseAxes(picked, turned, [to - from, ...this.#shape.slice(prefix.length + 1)], size);
    this.#block = turned;
    this.#start = block.first * size;
    this.#number = number;
  }
}

/** Where the elements of a block of the row-major order lie in the column-major one. */
function whereInFile(
  shape: readonly number[],
  { prefix, from, to }: Block,
): { readonly first: number; readonly outer: Steps; readonly inner: Steps } {
  const axis = prefix.length;
  let step = 1;
  let first = 0;
  for (const [before, index] of prefix.entries()) {
    first += index * step;
    step *= shape[before]!;
  }
  const rows = to - from;
  const groups = shape.slice(axis + 1).reduce((product, length) => product * length, 1);
  return {
    first: first + from * step,
    outer: { count: groups, step: step * shape[axis]! },
    inner: { count: rows, step },
  };
}

/** Visits the column-major bytes of a stored tensor, in order; they are the visitor's own. `elementBytes` is that of its dtype; no axis is 0. */
export async function eachColumnMajor(
  reader: TensorReader,
  elementBytes: number,
  blockBytes: number,
  visit: VisitBytes,
): Promise<void> {
  const { shape } = reader;
  const reversed = shape.toReversed();
  const turn = (bytes: Uint8Array, axes: readonly number[], offset: number): void | Promise<void> => {
    const turned = new Uint8Array(bytes.length);
    reverseAxes(bytes, turned, axes, elementBytes);
    return visit(turned, offset);
  };
  if (reader.sourceBytes <= blockBytes) {
    await turn(await reader.bytes(), reversed, 0);
    return;
  }
  const blocks = new LayoutBlocks(reversed, Math.max(elementBytes, RUN_BYTES), blockBytes);
  for (let number = 0; number < blocks.count; number++) {
    const { prefix, from, to, first } = blocks.at(number);
    const whole: SliceSpec = new Array<null>(shape.length - prefix.length - 1).fill(null);
    const { bytes } = await reader.slice([...whole, [from, to], ...prefix.toReversed()]);
    await turn(bytes, [to - from, ...reversed.slice(prefix.length + 1)], first * elementBytes);
  }
}
