/**
 * Frequency tables of byte symbols for rANS, made from the counts of a sample. (How they are written: frequency-code.ts.)
 *
 * Frequencies sum to 4096 and none is above 4095. Symbols that the sample lacks have none: they are escaped, that is coded as the
 * escape symbol and listed as they are. Where the sample has nearly all symbols of a range, the rest of the range gets the
 * least frequency, since a table without holes makes looking for escapes cheaper.
 */

/** Sum of all frequencies of a table. */
export const TOTAL: number = 4096;

/** So many holes in the range are filled; each takes 0.00035 bits from every symbol. */
const HOLES_FILLED = 8;

/**
 * Symbols that the block has fewer times, as far as the sample tells, are escaped: an escape takes about 20 bits, a frequency of 1
 * takes 0.00035 bits from each of up to 131,072 symbols and 12 bits whenever the symbol comes up.
 */
const LEAST_OCCURRENCES = 5;

/** A table for encoding. */
export interface FrequencyTable {
  /** 256 frequencies. */
  readonly frequencies: Uint16Array;
  /** The symbol that stands for escaped ones; -1 when every symbol has a frequency. It never means itself. */
  readonly escapeSymbol: number;
  /** The range of symbols that need no escape; -1 for `first` when it has holes. */
  readonly first: number;
  readonly last: number;
}

/**
 * Makes a table from counts.
 *
 * @param counts 256 counts of a sample, not all zero; may be changed.
 * @param symbols how many symbols the table is for.
 */
export function frequencyTable(counts: Uint32Array, symbols: number): FrequencyTable {
  const frequencies = new Uint16Array(256);
  mirror(counts);
  let total = 0;
  let commonest = 0;
  for (let s = 0; s < 256; s++) {
    total += counts[s]!;
    if (counts[s]! > counts[commonest]!) commonest = s;
  }
  const least = Math.min((LEAST_OCCURRENCES * total) / symbols, counts[commonest]!);
  let first = -1;
  let last = 0;
  let kinds = 0;
  let dropped = 0;
  let singles = 0;
  for (let s = 0; s < 256; s++) {
    const count = counts[s]!;
    if (count === 1) singles++;
    if (count < least) {
      dropped += count;
      continue;
    }
    if (count === 0) continue;
    if (first < 0) first = s;
    last = s;
    kinds++;
    frequencies[s] = Math.max(1, Math.round((count * TOTAL) / total));
  }
  const isWhole = last - first + 1 - kinds <= HOLES_FILLED;
  if (isWhole) for (let s = first; s <= last; s++) frequencies[s] ||= 1;
  // Next to the range, where it costs least to write.
  const escapeSymbol = first > 0 ? first - 1 : last < 255 ? last + 1 : frequencies.indexOf(0);
  if (escapeSymbol >= 0) {
    // Of what was seen once, as much again was not seen at all (Good and Turing); in tails, about half of it.
    frequencies[escapeSymbol] = Math.max(1, Math.round(((dropped + singles / 2) * TOTAL) / total));
  }
  balance(frequencies);
  return { frequencies, escapeSymbol, first: isWhole ? first : -1, last };
}

/**
 * Where the counts of s and s + 128 differ by no more than chance explains (chi-squared), gives both their sum: floats of 8 bits are as
 * often negative as positive, and twice the sample tells frequencies better.
 */
function mirror(counts: Uint32Array): void {
  let difference = 0;
  let kinds = 0;
  for (let s = 0; s < 128; s++) {
    const both = counts[s]! + counts[s + 128]!;
    if (both === 0) continue;
    difference += (counts[s]! - counts[s + 128]!) ** 2 / both;
    kinds++;
  }
  if (kinds < 2 || difference > kinds + 2 * Math.sqrt(2 * kinds)) return;
  for (let s = 0; s < 128; s++) {
    const both = counts[s]! + counts[s + 128]!;
    counts[s] = both;
    counts[s + 128] = both;
  }
}

/** Makes the frequencies sum to 4096, by changes of at most a sixteenth of the largest one at a time. */
function balance(frequencies: Uint16Array): void {
  let left = TOTAL;
  for (const frequency of frequencies) left -= frequency;
  while (left !== 0) {
    let largest = 0;
    for (let s = 1; s < 256; s++) if (frequencies[s]! > frequencies[largest]!) largest = s;
    const most = Math.max(1, frequencies[largest]! >> 4);
    const part = Math.max(-most, Math.min(most, left));
    frequencies[largest]! += part;
    left -= part;
  }
}
