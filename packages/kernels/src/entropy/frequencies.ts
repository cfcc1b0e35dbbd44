/**
 * Frequency tables of byte symbols for rANS: made from the counts of a sample, written into streams and read back.
 *
 * Frequencies sum to 4096 and none is above 4095. Symbols that the sample lacks have none: they are escaped, that is coded as the
 * escape symbol and listed as they are. Where the sample has nearly all symbols of a range, the rest of the range gets the
 * least frequency, since a table without holes makes looking for escapes cheaper.
 *
 *   u8 first, u8 last      the range of symbols that have a frequency
 *   then for each symbol of the range, in order:
 *     0, u8 k              this symbol and k more have none
 *     1..127               the frequency
 *     128 | f >> 8, f      the frequency, of two bytes
 */
import { DamagedBlockError } from "./damaged.ts";

/** Sum of all frequencies of a table. */
export const TOTAL: number = 4096;

/** The most bytes that a written table takes: two for each of 256 symbols and the range. */
export const TABLE_BYTES_LIMIT: number = 2 + 2 * 256;

/** So many holes in the range are filled. */
const HOLES_FILLED = 24;

/** A table for encoding. */
export interface FrequencyTable {
  /** 256 frequencies. */
  readonly frequencies: Uint16Array;
  /** The symbol that stands for escaped ones; -1 when every symbol has a frequency. It is not escaped itself and never means itself. */
  readonly escapeSymbol: number;
  /** The most frequent symbol. */
  readonly commonest: number;
  /** The range of symbols that need no escape; -1 for `first` when it has holes. */
  readonly first: number;
  readonly last: number;
}

/**
 * Makes a table from counts.
 *
 * @param counts 256 counts, not all zero.
 */
export function frequencyTable(counts: Uint32Array): FrequencyTable {
  const frequencies = new Uint16Array(256);
  let first = -1;
  let last = 0;
  let kinds = 0;
  let total = 0;
  let singles = 0;
  for (let s = 0; s < 256; s++) {
    const count = counts[s]!;
    if (count === 0) continue;
    if (first < 0) first = s;
    last = s;
    kinds++;
    total += count;
    if (count === 1) singles++;
  }
  const holes = last - first + 1 - kinds;
  const isWhole = holes <= HOLES_FILLED;
  let left = TOTAL;
  let commonest = first;
  for (let s = first; s <= last; s++) {
    const count = counts[s]!;
    if (count === 0 && !isWhole) continue;
    const frequency = Math.max(1, Math.round((count * TOTAL) / total));
    frequencies[s] = frequency;
    left -= frequency;
    if (frequency > frequencies[commonest]!) commonest = s;
  }
  let escapeSymbol = -1;
  if (first > 0) escapeSymbol = first - 1;
  else if (last < 255) escapeSymbol = last + 1;
  else if (!isWhole) escapeSymbol = frequencies.indexOf(0);
  if (escapeSymbol >= 0) {
    // Of what was seen once, as much again was not seen at all (Good and Turing); holes that are filled take most of it.
    const frequency = isWhole ? 1 : Math.max(1, Math.round((singles * TOTAL) / total));
    frequencies[escapeSymbol] = frequency;
    left -= frequency;
  }
  balance(frequencies, left);
  return { frequencies, escapeSymbol, commonest, first: isWhole ? first : -1, last };
}

/** Adds `left` to the frequencies in all, in parts of at most a sixteenth of the largest one at a time. */
function balance(frequencies: Uint16Array, left: number): void {
  while (left !== 0) {
    let largest = 0;
    for (let s = 1; s < 256; s++) if (frequencies[s]! > frequencies[largest]!) largest = s;
    const most = Math.max(1, frequencies[largest]! >> 4);
    const part = Math.max(-most, Math.min(most, left));
    frequencies[largest]! += part;
    left -= part;
  }
}

/** Writes a table at `at` of `out`; returns the position behind it. */
export function writeFrequencies(frequencies: Uint16Array, out: Uint8Array, at: number): number {
  let first = 0;
  let last = 255;
  while (frequencies[first] === 0) first++;
  while (frequencies[last] === 0) last--;
  out[at++] = first;
  out[at++] = last;
  for (let s = first; s <= last; s++) {
    const frequency = frequencies[s]!;
    if (frequency === 0) {
      let more = 0;
      while (frequencies[s + more + 1] === 0) more++;
      out[at++] = 0;
      out[at++] = more;
      s += more;
    } else if (frequency < 128) {
      out[at++] = frequency;
    } else {
      out[at++] = 128 | (frequency >> 8);
      out[at++] = frequency & 255;
    }
  }
  return at;
}

/**
 * Reads a table at `at` of `block`, which ends at `end`, into 256 frequencies; returns the position behind it.
 *
 * @throws DamagedBlockError unless the frequencies sum to 4096 and none is above 4095.
 */
export function readFrequencies(
  block: Uint8Array,
  at: number,
  end: number,
  frequencies: Uint16Array,
): number {
  if (at + 2 > end) throw new DamagedBlockError("a frequency table is cut off");
  const first = block[at++]!;
  const last = block[at++]!;
  frequencies.fill(0);
  let total = 0;
  for (let s = first; s <= last; s++) {
    if (at + 2 > end) throw new DamagedBlockError("a frequency table is cut off");
    const byte = block[at++]!;
    if (byte === 0) {
      s += block[at++]!;
      continue;
    }
    const frequency = byte < 128 ? byte : ((byte & 127) << 8) | block[at++]!;
    if (frequency >= TOTAL) throw new DamagedBlockError(`a frequency is ${frequency}`);
    frequencies[s] = frequency;
    total += frequency;
  }
  if (total !== TOTAL) throw new DamagedBlockError(`the frequencies sum to ${total} instead of ${TOTAL}`);
  return at;
}
