/**
 * Few values, or values close to few. Words that take at most 256 values become a table and indices; words
 * that lie around up to 256 centres become the centre's index and the exact difference to it. Where neither
 * is smaller, they stay as they are.
 *
 *     0  u8  bits 0-1: log2 of the bytes of a word (0-3); bits 2-3: form; bit 4: indices are packed (palette.ts),
 *            else bytes; bit 5: words are floats (form 2); bits 6-7: bytes before the first word
 *
 *     form 0  the input
 *     form 1  u8 values - 1 | the values, ascending | a stream of indices, if there are two values or more
 *             | the bytes before the first and behind the last whole word
 *     form 2  u8 centres - 1 | the centres, as many bytes each as a word has, but 4 at most | a stream of
 *             indices, as above | a stream per byte of a word: the differences, least significant byte first,
 *             then the lower 4 bytes of 8-byte words | the bytes around the words
 *
 * Form 2 takes words as signed integers, floats as sign-ordered ones (as `delta` does), of 8-byte words the
 * upper half. A difference is zigzag-coded (0 -1 1 -2 2 as 0 1 2 3 4), modulo the word: whatever the centres
 * are, it is exact. Its upper bytes are zero as far as the clusters are narrow, and cost nothing.
 */
import { joinPlanes, splitPlanes } from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { assignClusters, findClusters } from "./clusters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { bytesParameter, type Units, unitBytesOf, unitsOf } from "./elements.ts";
import { indexBits, type Palette, packIndices, paletteOf, unpackIndices } from "./palette.ts";
import { type WordBytes, wordBytesOf } from "./planes.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

const WORD_BYTES: readonly WordBytes[] = [1, 2, 4, 8];
const PLAIN = 0;
const PALETTE = 1;
const CENTRES = 2;
const FORM_SHIFT = 2;
const PACKED = 0x10;
const FLOATS = 0x20;
/** Fewer words than this are not worth looking for clusters. */
const FEWEST_CLUSTERED_WORDS = 256;

export const cluster: Codec = {
  id: "cluster",
  code: 14,
  kind: "array-to-bytes",

  /** `wordBytes` overrides what the dtype says. */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["wordBytes"], "cluster");
    bytesParameter(parameters, "wordBytes", "cluster", WORD_BYTES);
    return parameters;
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const own = parameters.wordBytes as WordBytes | undefined;
    const wordBytes = own ?? wordBytesOf(context.dtype);
    const kind = context.dtype.kind;
    // Bytes that hold words of another width than they say are floats most of all.
    const floats =
      own !== undefined && own !== wordBytesOf(context.dtype)
        ? own > 1
        : kind === "float" || kind === "complex";
    const words = Math.floor(input.length / wordBytes);
    const tail = input.subarray(words * wordBytes);
    const unitBytes = unitBytesOf(wordBytes);
    const units = unitsOf(input, unitBytes, (words * wordBytes) / unitBytes);
    const perWord = wordBytes === 8 ? 2 : 1;
    const palette = words === 0 ? undefined : paletteOf(units, perWord, orderOf(unitBytes, perWord, floats));
    const log = Math.log2(wordBytes);
    let coded: Uint8Array | undefined;
    if (palette !== undefined) coded = encodePalette(palette, unitBytes, perWord, log, tail);
    else if (wordBytes > 1 && words >= FEWEST_CLUSTERED_WORDS) {
      coded = encodeCentres(units, wordBytes, log | (floats ? FLOATS : 0), tail);
    }
    if (coded !== undefined && coded.length <= input.length) return coded;
    const output = new Uint8Array(1 + input.length);
    output[0] = log | (PLAIN << FORM_SHIFT);
    output.set(input, 1);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "cluster");
    const flags = reader.u8();
    const wordBytes = WORD_BYTES[flags & 3]!;
    const form = (flags >> FORM_SHIFT) & 3;
    const words = Math.floor(context.bytes / wordBytes);
    const known = form === PLAIN || form === PALETTE || (form === CENTRES && wordBytes > 1);
    if (!known || flags > (FLOATS | 0x1f)) throw new DamageError("cluster", `unknown layout ${flags}`);
    let output: Uint8Array;
    if (form === PLAIN) output = reader.bytes(words * wordBytes);
    else if (form === PALETTE) output = decodePalette(reader, flags, wordBytes, context.bytes);
    else output = decodeCentres(reader, flags, wordBytes, context.bytes);
    const tail = context.bytes - words * wordBytes;
    if (reader.remaining !== tail) {
      throw new DamageError("cluster", `${reader.remaining} bytes follow the words, ${tail} were declared`);
    }
    if (form === PLAIN) return input.subarray(1);
    output.set(reader.bytes(tail), words * wordBytes);
    return output;
  },
};

/** Sign-ordered value of a word, for sorting a table: neighbours in it are then neighbours in value. */
function orderOf(
  unitBytes: 1 | 2 | 4,
  perWord: 1 | 2,
  floats: boolean,
): (value: { low: number; high: number }) => number {
  const top = 2 ** (8 * unitBytes - 1);
  const ordered = (unit: number) => {
    if (unit < top) return unit;
    return floats ? top - 1 - unit : unit - 2 * top;
  };
  return ({ low, high }) => (perWord === 1 ? ordered(low) : ordered(high) * 2 ** 32 + low);
}

function encodePalette(
  { values, indices }: Palette,
  unitBytes: 1 | 2 | 4,
  perWord: 1 | 2,
  log: number,
  tail: Uint8Array,
): Uint8Array {
  const table = new Uint8Array(values.length * perWord * unitBytes);
  const tableUnits = unitsOf(table, unitBytes, values.length * perWord);
  for (const [index, { low, high }] of values.entries()) {
    tableUnits[index * perWord] = low;
    if (perWord === 2) tableUnits[index * 2 + 1] = high;
  }
  const { flag, write } = codeIndices(indices, values.length);
  const writer = new ByteWriter(64 + table.length + indices.length);
  writer
    .u8(log | (PALETTE << FORM_SHIFT) | flag)
    .u8(values.length - 1)
    .bytes(table);
  write(writer);
  return writer.bytes(tail).finish();
}

function decodePalette(reader: ByteReader, flags: number, wordBytes: WordBytes, bytes: number): Uint8Array {
  const words = Math.floor(bytes / wordBytes);
  const unitBytes = unitBytesOf(wordBytes);
  const count = reader.u8() + 1;
  const table = unitsOf(reader.bytes(count * wordBytes), unitBytes, (count * wordBytes) / unitBytes);
  const output = new Uint8Array(bytes);
  const units = unitsOf(output, unitBytes, (words * wordBytes) / unitBytes);
  if (count === 1 && wordBytes < 8) {
    units.fill(table[0]!);
    return output;
  }
  const indices = readIndices(reader, flags, count, words);
  if (wordBytes < 8) {
    for (let index = 0; index < words; index++) units[index] = table[indices[index]!]!;
  } else {
    for (let index = 0; index < words; index++) {
      const entry = 2 * indices[index]!;
      units[2 * index] = table[entry]!;
      units[2 * index + 1] = table[entry + 1]!;
    }
  }
  return output;
}

function encodeCentres(
  units: Units,
  wordBytes: WordBytes,
  flags: number,
  tail: Uint8Array,
): Uint8Array | undefined {
  const floats = (flags & FLOATS) !== 0;
  const values = orderedTops(units, wordBytes, floats);
  const clusters = findClusters(values);
  const { centres } = clusters;
  if (centres.length === 1) return undefined;
  const indices = assignClusters(values, clusters);
  const shift = wordBytes === 2 ? 16 : 0;
  for (let index = 0; index < values.length; index++) {
    const difference = ((values[index]! - centres[indices[index]!]!) << shift) >> shift;
    values[index] = (difference << 1) ^ (difference >> 31);
  }
  const { flag, write } = codeIndices(indices, centres.length);
  const writer = new ByteWriter(1024 + units.byteLength);
  writer.u8(flags | (CENTRES << FORM_SHIFT) | flag).u8(centres.length - 1);
  for (const centre of centres) {
    if (wordBytes === 2) writer.u16(centre & 0xffff);
    else writer.u32(centre >>> 0);
  }
  write(writer);
  const top = wordBytes === 2 ? new Int16Array(values) : values;
  writePlanes(writer, new Uint8Array(top.buffer), wordBytes === 2 ? 2 : 4);
  if (wordBytes === 8) writePlanes(writer, new Uint8Array(halves(units, 0).buffer), 4);
  return writer.bytes(tail).finish();
}

function decodeCentres(reader: ByteReader, flags: number, wordBytes: WordBytes, bytes: number): Uint8Array {
  const words = Math.floor(bytes / wordBytes);
  const count = reader.u8() + 1;
  const centres = new Int32Array(count);
  for (let index = 0; index < count; index++) centres[index] = wordBytes === 2 ? reader.u16() : reader.u32();
  const indices = readIndices(reader, flags, count, words);
  const topBytes = wordBytes === 2 ? 2 : 4;
  const output = new Uint8Array(bytes);
  const difference = readPlanes(reader, topBytes, words);
  const perWord = wordBytes === 8 ? 2 : 1;
  const units = unitsOf(output, topBytes, words * perWord);
  const mask = topBytes === 2 ? 0x7fff : 0x7fffffff;
  const shift = topBytes === 2 ? 16 : 0;
  const floats = (flags & FLOATS) !== 0;
  for (let index = 0, at = perWord - 1; index < words; index++, at += perWord) {
    const coded = difference[index]!;
    const value = ((((coded >>> 1) ^ -(coded & 1)) + centres[indices[index]!]!) << shift) >> shift;
    units[at] = floats ? value ^ ((value >> 31) & mask) : value;
  }
  if (wordBytes === 8) {
    const lower = readPlanes(reader, 4, words);
    for (let index = 0; index < words; index++) units[2 * index] = lower[index]!;
  }
  return output;
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

/** Codes indices as bytes or packed, whichever is smaller; a single value needs none. */
function codeIndices(
  indices: Uint8Array,
  values: number,
): { flag: number; write: (writer: ByteWriter) => void } {
  const bits = indexBits(values);
  if (bits === 0) return { flag: 0, write: () => undefined };
  const asBytes = encodeStream(indices, false);
  if (bits === 8) return { flag: 0, write: (writer) => writeStream(writer, asBytes) };
  const packed = encodeStream(packIndices(indices, bits), false);
  const isPacked = packed.payload.length < asBytes.payload.length;
  const smaller = isPacked ? packed : asBytes;
  return { flag: isPacked ? PACKED : 0, write: (writer) => writeStream(writer, smaller) };
}

/** Indices below `count`, or `DamageError`. */
function readIndices(reader: ByteReader, flags: number, count: number, words: number): Uint8Array {
  const bits = indexBits(count);
  if (bits === 0) return new Uint8Array(words);
  const indices =
    (flags & PACKED) === 0
      ? readStream(reader, words)
      : unpackIndices(readStream(reader, Math.ceil((words * bits) / 8)), bits, words);
  let largest = 0;
  for (let index = 0; index < words; index++) if (indices[index]! > largest) largest = indices[index]!;
  if (largest >= count) throw new DamageError("cluster", `index ${largest} of ${count} values`);
  return indices;
}
