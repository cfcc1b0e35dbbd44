/**
 * Reading a tensor block by block, so that one of many gigabytes can be written without ever being in memory as a whole.
 */
import type { SliceSpec } from "@tensorcask/codec";

/** Bytes of one block: large enough to keep all workers busy decoding its chunks. */
export const BLOCK_BYTES: number = 32 * 2 ** 20;

/**
 * Slices which one after the other are the whole tensor, row-major, each of at most `blockBytes` (or of one element run that cannot be
 * cut). Sub-byte dtypes come as one block: their rows need not end at whole bytes. Pure.
 */
export function* tensorBlocks(
  shape: readonly number[],
  elementBits: number,
  blockBytes: number = BLOCK_BYTES,
): Generator<SliceSpec> {
  yield* elementBits % 8 === 0 ? blocksOf(shape, elementBits / 8, blockBytes, []) : [[]];
}

function* blocksOf(
  shape: readonly number[],
  elementBytes: number,
  blockBytes: number,
  prefix: readonly number[],
): Generator<SliceSpec> {
  const axis = prefix.length;
  const length = shape[axis];
  const rowBytes = shape.slice(axis + 1).reduce((product, dimension) => product * dimension, elementBytes);
  if (length === undefined || length * rowBytes <= blockBytes) {
    yield prefix;
  } else if (rowBytes <= blockBytes) {
    const rows = Math.floor(blockBytes / rowBytes);
    for (let start = 0; start < length; start += rows) {
      yield [...prefix, [start, Math.min(length, start + rows)]];
    }
  } else {
    for (let index = 0; index < length; index += 1) {
      yield* blocksOf(shape, elementBytes, blockBytes, [...prefix, index]);
    }
  }
}
