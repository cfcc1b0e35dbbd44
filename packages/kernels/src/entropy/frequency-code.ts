/**
 * How frequency tables are written: differences to what is expected, in Exp-Golomb codes, least significant bits first.
 *
 *   u8  first, u8 last    the range of symbols that have a frequency; of their lower 7 bits if mirrored
 *   4 bits                order of the codes
 *   1 bit                 mirrored: symbols s + 128 follow, expected to be as frequent as s (floats of 8 bits, whose top bit is
 *                         the sign, and upper bytes whose top bit is a low bit of the mantissa)
 *   4 bits                if mirrored: order of their codes
 *   codes                 for each symbol of the range the difference to the symbol before (the first: to 0);
 *                         then, if mirrored, for each s + 128 the difference to s
 *   zeros up to a whole byte
 *
 * A difference d is the number v = 2 d, or -2 d - 1 if negative; v in the code of order k is q = (v >> k) + 1 as n - 1 zeros, a one, the
 * n - 1 lower bits of q and the k lower bits of v, where n is the number of bits of q.
 */
import { DamagedBlockError } from "./damaged.ts";
import { TOTAL } from "./frequencies.ts";

/** The most bytes that a written table takes: a code has at most 27 bits. */
export const TABLE_BYTES_LIMIT: number = 4 + Math.ceil((256 * 27) / 8);

const HIGHEST_ORDER = 12;

/** Writes a table at the start of `out`, which must hold `TABLE_BYTES_LIMIT` bytes; returns its length in bytes. */
export function writeFrequencies(frequencies: Uint16Array, out: Uint8Array): number {
  const isMirrored = mirrors(frequencies);
  let first = 255;
  let last = 0;
  for (let s = 0; s < 256; s++) {
    if (frequencies[s] === 0) continue;
    const at = isMirrored ? s & 127 : s;
    if (at < first) first = at;
    if (at > last) last = at;
  }
  out[0] = first;
  out[1] = last;
  const writer = new BitWriter(out, 2);
  const order = orderOf(frequencies, first, last, 0);
  writer.bits(order, 4);
  writer.bits(isMirrored ? 1 : 0, 1);
  const mirroredOrder = isMirrored ? orderOf(frequencies, first, last, 128) : 0;
  if (isMirrored) writer.bits(mirroredOrder, 4);
  let previous = 0;
  for (let s = first; s <= last; s++) {
    writer.golomb(zigzag(frequencies[s]! - previous), order);
    previous = frequencies[s]!;
  }
  if (isMirrored) {
    for (let s = first; s <= last; s++) {
      writer.golomb(zigzag(frequencies[s + 128]! - frequencies[s]!), mirroredOrder);
    }
  }
  return writer.finish();
}

/**
 * Reads a table at `at` of `block`, which must end before `end`, into 256 frequencies; returns the position behind it.
 *
 * @throws DamagedBlockError unless the frequencies sum to 4096 and none is above 4095.
 */
export function readFrequencies(
  block: Uint8Array,
  at: number,
  end: number,
  frequencies: Uint16Array,
): number {
  if (at + 3 > end) throw new DamagedBlockError("a frequency table is cut off");
  const first = block[at]!;
  const last = block[at + 1]!;
  const reader = new BitReader(block, at + 2, end);
  const order = reader.bits(4);
  const isMirrored = reader.bits(1) === 1;
  const mirroredOrder = isMirrored ? reader.bits(4) : 0;
  if (order > HIGHEST_ORDER || mirroredOrder > HIGHEST_ORDER || (isMirrored && last > 127)) {
    throw new DamagedBlockError("a frequency table has a wrong header");
  }
  frequencies.fill(0);
  let total = 0;
  let frequency = 0;
  for (let s = first; s <= last; s++) {
    frequency = checkedFrequency(frequency + unzigzag(reader.golomb(order)));
    frequencies[s] = frequency;
    total += frequency;
  }
  if (isMirrored) {
    for (let s = first; s <= last; s++) {
      frequency = checkedFrequency(frequencies[s]! + unzigzag(reader.golomb(mirroredOrder)));
      frequencies[s + 128] = frequency;
      total += frequency;
    }
  }
  if (total !== TOTAL) throw new DamagedBlockError(`the frequencies sum to ${total} instead of ${TOTAL}`);
  return reader.finish();
}

function checkedFrequency(frequency: number): number {
  if (frequency < 0 || frequency >= TOTAL) throw new DamagedBlockError(`a frequency is ${frequency}`);
  return frequency;
}

/** Whether symbols 128 apart have more similar frequencies than neighbours. */
function mirrors(frequencies: Uint16Array): boolean {
  let mirrored = 0;
  let plain = frequencies[128]!;
  for (let s = 129; s < 256; s++) plain += Math.abs(frequencies[s]! - frequencies[s - 1]!);
  for (let s = 0; s < 128; s++) mirrored += Math.abs(frequencies[s + 128]! - frequencies[s]!);
  return mirrored < plain;
}

/** The order that suits the differences of a half: about the logarithm of their mean. */
function orderOf(frequencies: Uint16Array, first: number, last: number, offset: number): number {
  let sum = 0;
  for (let s = first; s <= last; s++) {
    const expected = offset > 0 ? frequencies[s]! : s > first ? frequencies[s - 1]! : 0;
    sum += Math.abs(frequencies[s + offset]! - expected);
  }
  const mean = sum / (last - first + 1);
  return Math.min(HIGHEST_ORDER, Math.max(0, Math.round(Math.log2(mean + 0.25))));
}

function zigzag(difference: number): number {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}

function unzigzag(value: number): number {
  return value & 1 ? -((value + 1) >>> 1) : value >>> 1;
}

class BitWriter {
  readonly #out: Uint8Array;
  #at: number;
  #pending = 0;
  #count = 0;

  constructor(out: Uint8Array, at: number) {
    this.#out = out;
    this.#at = at;
  }

  /** The lower `count` (at most 16) bits of `value`. */
  bits(value: number, count: number): void {
    this.#pending |= value << this.#count;
    this.#count += count;
    while (this.#count >= 8) {
      this.#out[this.#at++] = this.#pending & 255;
      this.#pending >>>= 8;
      this.#count -= 8;
    }
  }

  golomb(value: number, order: number): void {
    const q = (value >>> order) + 1;
    const more = 31 - Math.clz32(q);
    this.bits(0, more);
    this.bits(1, 1);
    this.bits(q & ((1 << more) - 1), more);
    this.bits(value & ((1 << order) - 1), order);
  }

  finish(): number {
    if (this.#count > 0) this.#out[this.#at++] = this.#pending;
    return this.#at;
  }
}

class BitReader {
  readonly #block: Uint8Array;
  readonly #end: number;
  #at: number;
  #pending = 0;
  #count = 0;

  constructor(block: Uint8Array, at: number, end: number) {
    this.#block = block;
    this.#at = at;
    this.#end = end;
  }

  bits(count: number): number {
    while (this.#count < count) {
      if (this.#at >= this.#end) throw new DamagedBlockError("a frequency table is cut off");
      this.#pending |= this.#block[this.#at++]! << this.#count;
      this.#count += 8;
    }
    const value = this.#pending & ((1 << count) - 1);
    this.#pending >>>= count;
    this.#count -= count;
    return value;
  }

  golomb(order: number): number {
    let more = 0;
    while (this.bits(1) === 0) {
      if (++more > HIGHEST_ORDER + 1) throw new DamagedBlockError("a frequency table has a wrong code");
    }
    const q = (1 << more) | this.bits(more);
    return ((q - 1) << order) | this.bits(order);
  }

  finish(): number {
    return this.#at;
  }
}
