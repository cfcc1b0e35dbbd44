/** The form of `cluster` with centres and differences; cluster.ts has its layout. */
import { joinPlanes, splitPlanes } from "@tensorcask/kernels";
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { assignClusters, findClusters } from "./clusters.ts";
import { type Units, unitsOf } from "./elements.ts";
import { readIndices, writeIndices } from "./indices.ts";
import type { WordBytes } from "./planes.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

/** Writes centres, indices and differences; returns whether the indices are packed, undefined (nothing written) where there are no clusters. */
export function writeCentres(
  writer: ByteWriter,
  units: Units,
  wordBytes: WordBytes,
  floats: boolean,
): boolean | undefined {
  const values = orderedTops(units, wordBytes, floats);
  const clusters = findClusters(values);
  const { centres } = clusters;
  if (centres.length === 1) return undefined;
  const indices = assignClusters(values, clusters);
  const unused = wordBytes === 2 ? 16 : 0;
  for (let index = 0; index < values.length; index++) {
    const difference = ((values[index]! - centres[indices[index]!]!) << unused) >> unused;
    values[index] = (difference << 1) ^ (difference >> 31);
  }
  writer.u8(centres.length - 1);
  for (const centre of centres) {
    if (wordBytes === 2) writer.u16(centre & 0xffff);
    else writer.u32(centre >>> 0);
  }
  const isPacked = writeIndices(writer, indices, centres.length);
  const tops = wordBytes === 2 ? new Int16Array(values) : values;
  writePlanes(writer, new Uint8Array(tops.buffer), wordBytes === 2 ? 2 : 4);
  if (wordBytes === 8) writePlanes(writer, new Uint8Array(halves(units, 0).buffer), 4);
  return isPacked;
}

/** Reads what `writeCentres` wrote into the bytes of `words` words. */
export function readCentres(
  reader: ByteReader,
  { isPacked, floats }: { isPacked: boolean; floats: boolean },
  wordBytes: WordBytes,
  into: Uint8Array,
  words: number,
): void {
  const topBytes = wordBytes === 2 ? 2 : 4;
  const perWord = wordBytes === 8 ? 2 : 1;
  const centres = new Int32Array(reader.u8() + 1);
  for (let index = 0; index < centres.length; index++) {
    centres[index] = topBytes === 2 ? reader.u16() : reader.u32();
  }
  const indices = readIndices(reader, isPacked, centres.length, words);
  const differences = readPlanes(reader, topBytes, words);
  const units = unitsOf(into, topBytes, words * perWord);
  const unused = topBytes === 2 ? 16 : 0;
  const mask = topBytes === 2 ? 0x7fff : 0x7fffffff;
  for (let index = 0, at = perWord - 1; index < words; index++, at += perWord) {
    const coded = differences[index]!;
    const value = ((((coded >>> 1) ^ -(coded & 1)) + centres[indices[index]!]!) << unused) >> unused;
    units[at] = floats ? value ^ ((value >> 31) & mask) : value;
  }
  if (wordBytes < 8) return;
  const lower = readPlanes(reader, 4, words);
  for (let index = 0; index < words; index++) units[2 * index] = lower[index]!;
}

/** Words, or the upper halves of 8-byte words, as integers in the order of their values. */
function orderedTops(units: Units, wordBytes: WordBytes, floats: boolean): Int32Array {
  const shift = wordBytes === 2 ? 16 : 0;
  const mask = wordBytes === 2 ? 0x7fff : 0x7fffffff;
  const values = wordBytes === 8 ? halves(units, 1) : new Int32Array(units);
  for (let index = 0; index < values.length; index++) {
    const value = (values[index]! << shift) >> shift;
    values[index] = floats ? value ^ ((value >> 31) & mask) : value;
  }
  return values;
}

/** Lower (0) or upper (1) halves of 8-byte words. */
function halves(units: Units, half: 0 | 1): Int32Array {
  const values = new Int32Array(units.length / 2);
  for (let index = 0; index < values.length; index++) values[index] = units[2 * index + half]!;
  return values;
}

function writePlanes(writer: ByteWriter, words: Uint8Array, wordBytes: 2 | 4): void {
  const split = splitPlanes(words, wordBytes, false);
  const count = words.length / wordBytes;
  for (let plane = 0; plane < wordBytes; plane++) {
    writeStream(writer, encodeStream(split.subarray(plane * count, (plane + 1) * count), false));
  }
}

function readPlanes(reader: ByteReader, wordBytes: 2 | 4, count: number): Units {
  const split = new Uint8Array(wordBytes * count);
  for (let plane = 0; plane < wordBytes; plane++) split.set(readStream(reader, count), plane * count);
  return unitsOf(joinPlanes(split, wordBytes, false), wordBytes, count);
}
