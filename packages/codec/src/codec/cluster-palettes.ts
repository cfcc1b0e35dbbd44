/** The forms of `cluster` with tables of values and indices; cluster.ts has their layout. */
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { dtypeOf } from "../tensor/dtype.ts";
import { type Units, unitBytesOf, unitsOf } from "./elements.ts";
import { checkIndices, readIndices, writeIndices } from "./indices.ts";
import type { Palette, Palettes, ValueOrder } from "./palette.ts";
import { planes, type WordBytes } from "./planes.ts";
import { encodeStream, readStream, writeStream } from "./streams.ts";

const uint8 = dtypeOf("uint8");

/** Sign-ordered value of a word, for sorting a table: neighbours in it are then neighbours in value. */
export function wordOrder(unitBytes: 1 | 2 | 4, perWord: 1 | 2, floats: boolean): ValueOrder {
  const top = 2 ** (8 * unitBytes - 1);
  const ordered = (unit: number) => {
    if (unit < top) return unit;
    return floats ? top - 1 - unit : unit - 2 * top;
  };
  return ({ low, high }) => (perWord === 1 ? ordered(low) : ordered(high) * 2 ** 32 + low);
}

/** Writes a single table and its indices; returns whether these are packed. */
export function writePalette(
  writer: ByteWriter,
  { palettes, indices }: Palettes,
  unitBytes: 1 | 2 | 4,
  perWord: 1 | 2,
): boolean {
  const table = tableOf(palettes, unitBytes, perWord);
  const values = palettes[0]!.values.length;
  writer.u8(values - 1).bytes(table);
  return writeIndices(writer, indices, values);
}

/** Reads what `writePalette` wrote into the bytes of `words` words. */
export function readPalette(
  reader: ByteReader,
  isPacked: boolean,
  wordBytes: WordBytes,
  into: Uint8Array,
  words: number,
): void {
  const unitBytes = unitBytesOf(wordBytes);
  const perWord = wordBytes === 8 ? 2 : 1;
  const values = reader.u8() + 1;
  const table = unitsOf(reader.bytes(values * wordBytes), unitBytes, values * perWord);
  const indices = readIndices(reader, isPacked, values, words);
  lookUp(indices, table, 0, unitsOf(into, unitBytes, words * perWord), 0, words, perWord);
}

/** Writes tables for stretches of words, and indices. */
export function writePalettes(
  writer: ByteWriter,
  { palettes, indices }: Palettes,
  wordBytes: WordBytes,
  floats: boolean,
): void {
  const perWord = wordBytes === 8 ? 2 : 1;
  const table = tableOf(palettes, unitBytesOf(wordBytes), perWord);
  const coded = planes.encode(table, { dtype: uint8 }, { wordBytes, rotate: floats });
  writer.varint(palettes.length - 1);
  for (const { values, words } of palettes) writer.varint(words).u8(values.length - 1);
  writer.varint(coded.length).bytes(coded);
  writeStream(writer, encodeStream(indices, false));
}

/** Reads what `writePalettes` wrote into the bytes of `words` words. */
export function readPalettes(
  reader: ByteReader,
  wordBytes: WordBytes,
  into: Uint8Array,
  words: number,
): void {
  const count = reader.varint() + 1;
  const palettes: { words: number; values: number }[] = [];
  let covered = 0;
  let entries = 0;
  for (let index = 0; index < count; index++) {
    const palette = { words: reader.varint(), values: reader.u8() + 1 };
    // So that tables take no more memory than the words.
    if (palette.values > palette.words) throw new DamageError("cluster", "a table is larger than its words");
    palettes.push(palette);
    covered += palette.words;
    entries += palette.values;
  }
  if (covered !== words) throw new DamageError("cluster", `tables for ${covered} of ${words} words`);
  const perWord = wordBytes === 8 ? 2 : 1;
  const unitBytes = unitBytesOf(wordBytes);
  const bytes = entries * wordBytes;
  const table = planes.decode(reader.bytes(reader.varint()), { dtype: uint8, bytes });
  const tableUnits = unitsOf(table, unitBytes, entries * perWord);
  const indices = readStream(reader, words);
  const units = unitsOf(into, unitBytes, words * perWord);
  let first = 0;
  let entry = 0;
  for (const palette of palettes) {
    const own = indices.subarray(first, first + palette.words);
    checkIndices(own, palette.values);
    lookUp(own, tableUnits, entry * perWord, units, first * perWord, palette.words, perWord);
    first += palette.words;
    entry += palette.values;
  }
}

/** The values of all palettes, one after the other, as bytes. */
function tableOf(palettes: readonly Palette[], unitBytes: 1 | 2 | 4, perWord: 1 | 2): Uint8Array {
  const values = palettes.flatMap((palette) => palette.values);
  const table = new Uint8Array(values.length * perWord * unitBytes);
  const units = unitsOf(table, unitBytes, values.length * perWord);
  for (const [index, { low, high }] of values.entries()) {
    units[index * perWord] = low;
    if (perWord === 2) units[index * 2 + 1] = high;
  }
  return table;
}

/** Writes the values that indices stand for. `from` and `at` count units, not words. */
function lookUp(
  indices: Uint8Array,
  table: Units,
  from: number,
  into: Units,
  at: number,
  words: number,
  perWord: 1 | 2,
): void {
  if (perWord === 1) {
    for (let index = 0; index < words; index++) into[at + index] = table[from + indices[index]!]!;
    return;
  }
  for (let index = 0; index < words; index++) {
    const entry = from + 2 * indices[index]!;
    into[at + 2 * index] = table[entry]!;
    into[at + 2 * index + 1] = table[entry + 1]!;
  }
}
