/**
 * Palettes: the table of the few values that words take, and per word the index of its value. Indices are
 * coded as bytes or packed into as few bits as the table needs, least significant bits first.
 *
 *     word i in bits [i * bits, (i + 1) * bits) of the stream        5 values: 3 bits    1 value: none
 */
import type { Units } from "./elements.ts";

/** Most values: an index is at most one byte. */
export const MAX_VALUES = 256;
/** Four slots for each value keep lookups short. */
const SLOTS = 4 * MAX_VALUES;
/** In each slot of the hash table one more than the number of the value. */
const slotOf = new Uint16Array(SLOTS);
const lows = new Uint32Array(MAX_VALUES);
const highs = new Uint32Array(MAX_VALUES);

/** The values of words and, per word, which of them it is. */
export interface Palette {
  /** Lower (or only) and upper halves of the values, ascending. `high` is 0 for words of up to 4 bytes. */
  readonly values: readonly { readonly low: number; readonly high: number }[];
  readonly indices: Uint8Array;
}

/**
 * The palette of words of one unit or of two (lower half first); undefined when they take more than
 * `MAX_VALUES` values. `order` puts values into an order in which neighbours are alike.
 */
export function paletteOf(
  units: Units,
  perWord: 1 | 2,
  order: (value: { low: number; high: number }) => number,
): Palette | undefined {
  const count = units.length / perWord;
  const indices = new Uint8Array(count);
  let values = 0;
  slotOf.fill(0);
  for (let index = 0, at = 0; index < count; index++, at += perWord) {
    const low = units[at]!;
    const high = perWord === 2 ? units[at + 1]! : 0;
    let slot = Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> 22;
    let found = slotOf[slot]! - 1;
    while (found >= 0 && (lows[found] !== low || highs[found] !== high)) {
      slot = (slot + 1) & (SLOTS - 1);
      found = slotOf[slot]! - 1;
    }
    if (found < 0) {
      if (values === MAX_VALUES) return undefined;
      found = values++;
      lows[found] = low;
      highs[found] = high;
      slotOf[slot] = found + 1;
    }
    indices[index] = found;
  }
  const found = Array.from({ length: values }, (_, index) => ({
    low: lows[index]!,
    high: highs[index]!,
    index,
  }));
  found.sort((a, b) => order(a) - order(b));
  const rank = new Uint8Array(MAX_VALUES);
  for (const [place, { index }] of found.entries()) rank[index] = place;
  for (let index = 0; index < count; index++) indices[index] = rank[indices[index]!]!;
  return { values: found, indices };
}

/** Bits that an index into a table of `values` entries needs: 0 to 8. */
export function indexBits(values: number): number {
  return values <= 1 ? 0 : 32 - Math.clz32(values - 1);
}

/** Indices in `bits` bits each. */
export function packIndices(indices: Uint8Array, bits: number): Uint8Array {
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
export function unpackIndices(packed: Uint8Array, bits: number, count: number): Uint8Array {
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
