/**
 * What byte-pair encoding starts from: the different values of the input, in ascending order, and the input
 * as their numbers. Text is taken by bytes, token data by whole elements: a 64-bit token would take seven merges
 * of bytes before the first pair of tokens is seen.
 */
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { type Units, unitsOf } from "./elements.ts";

/** Bytes of a value. Of 8-byte integers only those are taken that 32 bits hold, sign included. */
export type ValueBytes = 1 | 2 | 4 | 8;

export const VALUE_BYTES: readonly ValueBytes[] = [1, 2, 4, 8];

/**
 * Most different values: half of all tokens, the rest is for pairs. With more, the table would outweigh what
 * it saves on any chunk.
 */
export const MAX_ALPHABET = 32_768;

/** The values in ascending order, as unsigned numbers, and the place in it of each value of the input. */
export interface Alphabet {
  readonly values: Uint32Array;
  readonly symbols: Uint16Array;
}

/** The alphabet of the whole values in `input`; undefined when there are too many, or one is too large. */
export function alphabetOf(input: Uint8Array, valueBytes: ValueBytes): Alphabet | undefined {
  const count = Math.floor(input.length / valueBytes);
  const units =
    valueBytes === 8 ? lowerHalves(input, count) : unitsOf(input, valueBytes === 1 ? 1 : valueBytes, count);
  if (units === undefined) return undefined;
  return valueBytes <= 2 ? narrowAlphabet(units, 256 ** valueBytes) : wideAlphabet(units);
}

/** The lower words of 8-byte integers; undefined when an upper one is not the sign of the lower. */
function lowerHalves(input: Uint8Array, count: number): Uint32Array | undefined {
  const words = unitsOf(input, 4, 2 * count);
  const lower = new Uint32Array(count);
  for (let index = 0; index < count; index++) {
    const low = words[2 * index]! | 0;
    if ((words[2 * index + 1]! | 0) !== low >> 31) return undefined;
    lower[index] = low;
  }
  return lower;
}

function narrowAlphabet(units: Units, possible: number): Alphabet | undefined {
  const symbolOf = new Uint16Array(possible);
  for (let index = 0; index < units.length; index++) symbolOf[units[index]!] = 1;
  const values: number[] = [];
  for (let value = 0; value < possible; value++) {
    if (symbolOf[value] === 0) continue;
    symbolOf[value] = values.length;
    values.push(value);
  }
  if (values.length > MAX_ALPHABET) return undefined;
  const symbols = new Uint16Array(units.length);
  for (let index = 0; index < units.length; index++) symbols[index] = symbolOf[units[index]!]!;
  return { values: Uint32Array.from(values), symbols };
}

/** Four slots for each value of the largest alphabet keep searches short. */
const SLOT_BITS = 17;

function wideAlphabet(units: Units): Alphabet | undefined {
  const slots = new Int32Array(1 << SLOT_BITS);
  const found = new Uint32Array(MAX_ALPHABET);
  const symbols = new Uint16Array(units.length);
  let count = 0;
  for (let index = 0; index < units.length; index++) {
    const value = units[index]!;
    let slot = Math.imul(value, 0x9e3779b1) >>> (32 - SLOT_BITS);
    while (slots[slot] !== 0 && found[slots[slot]! - 1] !== value) slot = (slot + 1) & (slots.length - 1);
    if (slots[slot] === 0) {
      if (count === MAX_ALPHABET) return undefined;
      found[count] = value;
      slots[slot] = ++count;
    }
    symbols[index] = slots[slot]! - 1;
  }
  // From the order of appearance to the order of values.
  const values = found.slice(0, count).sort();
  const rankOf = new Uint16Array(count);
  for (let index = 0; index < count; index++) rankOf[index] = rank(values, found[index]!);
  for (let index = 0; index < symbols.length; index++) symbols[index] = rankOf[symbols[index]!]!;
  return { values, symbols };
}

function rank(values: Uint32Array, value: number): number {
  let low = 0;
  for (let high = values.length - 1; low < high; ) {
    const middle = (low + high) >> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Writes the values: their number, then the distance of each from the one before, varints. */
export function writeAlphabet(writer: ByteWriter, values: Uint32Array): void {
  writer.varint(values.length);
  let next = 0;
  for (const value of values) {
    writer.varint(value - next);
    next = value + 1;
  }
}

/** Reads values of `valueBytes` bytes, and gives the bytes of each. */
export function readAlphabet(reader: ByteReader, valueBytes: ValueBytes): Uint8Array[] {
  const count = reader.varint();
  if (count > MAX_ALPHABET || count > reader.remaining) {
    throw new DamageError("bpe", `an alphabet of ${count} values`);
  }
  const limit = valueBytes === 8 ? 2 ** 32 : 256 ** valueBytes;
  const entries: Uint8Array[] = [];
  let next = 0;
  for (let index = 0; index < count; index++) {
    const value = next + reader.varint();
    if (value >= limit)
      throw new DamageError("bpe", `the value ${value} in an alphabet of ${valueBytes} bytes`);
    const words = Int32Array.of(value, (value | 0) >> 31);
    entries.push(new Uint8Array(words.buffer, 0, valueBytes));
    next = value + 1;
  }
  return entries;
}
