/** Palettes: tables of the few values that words take, and per word the index of its value. */
import type { Units } from "./elements.ts";

/** Most values: an index is at most one byte. */
export const MAX_VALUES = 256;
/** Four slots for each value keep lookups short. */
const SLOTS = 4 * MAX_VALUES;
/** In each slot of the hash table one more than the number of the value. */
const slotOf = new Uint16Array(SLOTS);
const lows = new Uint32Array(MAX_VALUES);
const highs = new Uint32Array(MAX_VALUES);

/** A table, and how many words it is for. */
export interface Palette {
  /** Lower (or only) and upper halves of the values, ascending. `high` is 0 for words of up to 4 bytes. */
  readonly values: readonly { readonly low: number; readonly high: number }[];
  readonly words: number;
}

/** Tables for one stretch of words after the other, and each word's index into the table of its stretch. */
export interface Palettes {
  readonly palettes: readonly Palette[];
  readonly indices: Uint8Array;
}

/** Puts values into an order in which neighbours are alike. */
export type ValueOrder = (value: { low: number; high: number }) => number;

/** From how many words on a table of its own pays, and how many are looked at before that is judged. */
const WORTHY_WORDS = 512;

/**
 * The palettes of words of one unit or of two (lower half first): a new one whenever a value comes that the
 * table has no room for, so that rows with scales of their own have about one each. Undefined when they would
 * be for fewer than `WORTHY_WORDS` words on the average.
 */
export function palettesOf(units: Units, perWord: 1 | 2, order: ValueOrder): Palettes | undefined {
  const count = units.length / perWord;
  const indices = new Uint8Array(count);
  const palettes: Palette[] = [];
  let values = 0;
  let first = 0;
  slotOf.fill(0);
  for (let index = 0, at = 0; index < count; index++, at += perWord) {
    const low = units[at]!;
    const high = perWord === 2 ? units[at + 1]! : 0;
    const hashed = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 22;
    let slot = hashed;
    let found = slotOf[slot]! - 1;
    while (found >= 0 && (lows[found] !== low || highs[found] !== high)) {
      slot = (slot + 1) & (SLOTS - 1);
      found = slotOf[slot]! - 1;
    }
    if (found < 0) {
      if (values === MAX_VALUES) {
        if (index < WORTHY_WORDS * (palettes.length + 1)) return undefined;
        palettes.push(sortedPalette(values, indices.subarray(first, index), order));
        slotOf.fill(0);
        values = 0;
        first = index;
        slot = hashed;
      }
      found = values++;
      lows[found] = low;
      highs[found] = high;
      slotOf[slot] = found + 1;
    }
    indices[index] = found;
  }
  palettes.push(sortedPalette(values, indices.subarray(first), order));
  return { palettes, indices };
}

/** The first `values` of the table, sorted; `indices` then mean their places in that order. */
function sortedPalette(values: number, indices: Uint8Array, order: ValueOrder): Palette {
  const found = Array.from({ length: values }, (_, index) => ({
    low: lows[index]!,
    high: highs[index]!,
    index,
  }));
  found.sort((a, b) => order(a) - order(b));
  const rank = new Uint8Array(MAX_VALUES);
  for (const [place, { index }] of found.entries()) rank[index] = place;
  for (let index = 0; index < indices.length; index++) indices[index] = rank[indices[index]!]!;
  return { values: found, words: indices.length };
}
