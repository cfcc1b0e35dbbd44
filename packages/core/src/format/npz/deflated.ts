/** Deflated arrays: inflated while they are read, and brought into the order in which tensors are stored. */
import { InvalidFileError } from "@tensorcask/codec";
import { componentBytes } from "../../model/part-layout.ts";
import type { DerivedTensor, Source } from "../../model/plan.ts";
import type { NpyArray } from "../npy/array.ts";
import type { ZipEntry } from "../zip/directory.ts";
import { entryElements } from "../zip/elements.ts";
import { MAX_SLAB_BYTES, MAX_SLABS, rowMajor, wholeElements } from "./row-major.ts";

/** The tensor of a deflated member of the archive `file`. Throws `InvalidFileError` (`column-major-limit`). */
export function deflatedArray(file: string, name: string, entry: ZipEntry, array: NpyArray): DerivedTensor {
  const { dtype, shape, bytes, layout } = array;
  const elementBytes = dtype.bits / 8;
  const columnMajor = layout?.columnMajor === true;
  if (columnMajor && bytes > MAX_SLABS * MAX_SLAB_BYTES) {
    throw new InvalidFileError(
      file,
      "column-major-limit",
      `it is deflated and column-major, and its ${bytes} bytes are over the ${MAX_SLABS * MAX_SLAB_BYTES} up to which such an array is turned; save it with np.savez, or as np.ascontiguousarray(array)`,
      { tensor: name },
    );
  }
  const inFileOrder = (source: Source): AsyncIterable<Uint8Array> => {
    const pieces = wholeElements(elementsOf(source, entry, array.offset), elementBytes);
    return layout?.bigEndian === true ? swapped(pieces, array) : pieces;
  };
  return {
    name,
    dtype,
    shape,
    bytes,
    elements: (source) =>
      columnMajor ? rowMajor(shape, elementBytes, () => inFileOrder(source)) : inFileOrder(source),
  };
}

/** The data of a member behind its header. */
async function* elementsOf(source: Source, entry: ZipEntry, headerBytes: number): AsyncGenerator<Uint8Array> {
  let skip = headerBytes;
  for await (const piece of entryElements(source, entry)) {
    const skipped = Math.min(skip, piece.length);
    skip -= skipped;
    if (skipped < piece.length) yield piece.subarray(skipped);
  }
}

/** Turns the bytes of each component around, in place. */
async function* swapped(pieces: AsyncIterable<Uint8Array>, { dtype }: NpyArray): AsyncGenerator<Uint8Array> {
  const width = componentBytes(dtype);
  for await (const piece of pieces) {
    const buffer = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    if (width === 2) buffer.swap16();
    else if (width === 4) buffer.swap32();
    else buffer.swap64();
    yield piece;
  }
}
