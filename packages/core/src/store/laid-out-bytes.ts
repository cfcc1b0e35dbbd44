/** The bytes of a part of a file as they are stored: row-major and little-endian, however they lie in the file. */
import { byteLength, type DType } from "@tensorcask/codec";
import { AS_STORED, BIG_ENDIAN, COLUMN_MAJOR, componentBytes } from "../model/part-layout.ts";
import { ColumnMajorReader } from "./column-major.ts";
import { reverseAxes, swapByteOrder } from "./reverse-axes.ts";
import type { ReadBytes, TensorBytes } from "./tensor-bytes.ts";

/** Bytes that are read at a time only to be hashed. */
const SKIMMED_BYTES = 1024 * 1024;

/**
 * Undoes a layout. `file` gives the part's bytes as they lie in the file; its `first` gets all of them, once, in order, before any other is
 * given out, because it hashes the file. Column-major tensors of more than `blockBytes` are turned in blocks.
 */
export function laidOutBytes(
  file: TensorBytes,
  dtype: DType,
  shape: readonly number[],
  layout: number,
  blockBytes: number,
): TensorBytes {
  if (layout === AS_STORED) return file;
  const swapped = (layout & BIG_ENDIAN) === 0 ? file : swappedBytes(file, componentBytes(dtype));
  return (layout & COLUMN_MAJOR) === 0 ? swapped : turnedBytes(file, swapped, dtype, shape, blockBytes);
}

function swappedBytes({ first, again }: TensorBytes, component: number): TensorBytes {
  const swapping =
    (read: ReadBytes): ReadBytes =>
    async (into, offset) => {
      await read(into, offset);
      swapByteOrder(into, component);
    };
  return { first: swapping(first), again: swapping(again) };
}

function turnedBytes(
  file: TensorBytes,
  swapped: TensorBytes,
  dtype: DType,
  shape: readonly number[],
  blockBytes: number,
): TensorBytes {
  const bytes = byteLength(dtype, shape);
  const elementBytes = dtype.bits / 8;
  if (bytes > blockBytes) {
    const { read } = bound(new ColumnMajorReader(swapped.again, shape, elementBytes, blockBytes));
    return { first: afterwards(() => skim(file.first, bytes), read), again: read };
  }
  let whole: Uint8Array | undefined;
  const read: ReadBytes = async (into, offset) => {
    into.set(whole!.subarray(offset, offset + into.length));
  };
  const load = async (): Promise<void> => {
    const found = new Uint8Array(bytes);
    await swapped.first(found, 0);
    whole = new Uint8Array(bytes);
    reverseAxes(found, whole, shape, elementBytes);
  };
  return { first: afterwards(load, read), again: read };
}

/** Reads once `before` has been done, which is done once. */
function afterwards(before: () => Promise<void>, read: ReadBytes): ReadBytes {
  let done: Promise<void> | undefined;
  return async (into, offset) => {
    done ??= before();
    await done;
    await read(into, offset);
  };
}

function bound(reader: ColumnMajorReader): { readonly read: ReadBytes } {
  return { read: (into, offset) => reader.read(into, offset) };
}

/** Takes all bytes and keeps none. */
async function skim(read: ReadBytes, bytes: number): Promise<void> {
  const buffer = new Uint8Array(Math.min(bytes, SKIMMED_BYTES));
  for (let at = 0; at < bytes; at += buffer.length) {
    await read(buffer.subarray(0, Math.min(buffer.length, bytes - at)), at);
  }
}
