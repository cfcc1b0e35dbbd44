/**
 * Indices into tables of up to 256 values: a stream of bytes, or packed into as few bits as the table needs,
 * least significant bits first.
 *
 *     index i in bits [i * bits, (i + 1) * bits) of the stream        5 values: 3 bits    1 value: none
 */
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

/** Writes indices as bytes or packed, whichever is smaller (a single value needs none); returns whether packed. */
export function writeIndices(writer: ByteWriter, indices: Uint8Array, values: number): boolean {
  const bits = indexBits(values);
  if (bits === 0) return false;
  const asBytes = encodeStream(indices, false);
  const packed = bits === 8 ? asBytes : encodeStream(packIndices(indices, bits), false);
  const isPacked = packed.payload.length < asBytes.payload.length;
  writeStream(writer, isPacked ? packed : asBytes);
  return isPacked;
}

/** Indices below `count`, or `DamageError`. */
export function readIndices(reader: ByteReader, isPacked: boolean, count: number, words: number): Uint8Array {
  const bits = indexBits(count);
  if (bits === 0) return new Uint8Array(words);
  const indices = isPacked
    ? unpackIndices(readStream(reader, Math.ceil((words * bits) / 8)), bits, words)
    : readStream(reader, words);
  checkIndices(indices, count);
  return indices;
}

/** Throws `DamageError` unless all indices are below `count`. */
export function checkIndices(indices: Uint8Array, count: number): void {
  let largest = 0;
  for (let index = 0; index < indices.length; index++) largest = Math.max(largest, indices[index]!);
  if (largest >= count) throw new DamageError("cluster", `index ${largest} of ${count} values`);
}

/** Bits that an index into a table of `values` entries needs: 0 to 8. */
function indexBits(values: number): number {
  return values <= 1 ? 0 : 32 - Math.clz32(values - 1);
}

/** Indices in `bits` bits each. */
function packIndices(indices: Uint8Array, bits: number): Uint8Array {
  const packed = new Uint8Array(Math.ceil((indices.length * bits) / 8));
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (let index = 0; index < indices.length; index++) {
    pending |= indices[index]! << pendingBits;
    pendingBits += bits;
    if (pendingBits >= 8) {
      packed[at++] = pending;
      pending >>>= 8;
      pendingBits -= 8;
    }
  }
  if (pendingBits > 0) packed[at] = pending;
  return packed;
}

/** The inverse of `packIndices`, for `count` indices. */
function unpackIndices(packed: Uint8Array, bits: number, count: number): Uint8Array {
  const indices = new Uint8Array(count);
  const mask = (1 << bits) - 1;
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (pendingBits < bits) {
      pending |= packed[at++]! << pendingBits;
      pendingBits += 8;
    }
    indices[index] = pending & mask;
    pending >>>= bits;
    pendingBits -= bits;
  }
  return indices;
}
