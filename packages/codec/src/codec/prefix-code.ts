/**
 * Canonical prefix codes (Huffman) over symbols of up to 16 bits, codes of at most 15 bits. Stored are the code
 * lengths; codes count up by length, then by symbol, and are written from their top bit on, into bytes that
 * fill from the lowest bit on.
 *
 *     lengths   a nibble per symbol, the first in the low one; 0 for symbols that do not occur
 *     bits      the codes
 */
import type { ByteReader } from "../bytes/reader.ts";
import { DamageError } from "../errors/errors.ts";

const MAX_CODE_BITS = 15;
/** Most symbols that may occur: codes of 15 bits for twice as many would leave nothing to choose. */
export const MAX_CODED_SYMBOLS = 16_384;

/** Code lengths for symbols that occur `counts[symbol]` times, at most `MAX_CODED_SYMBOLS` of them more than never. */
export function codeLengths(counts: Uint32Array): Uint8Array {
  const lengths = new Uint8Array(counts.length);
  const order = occurring(counts);
  if (order.length === 0) return lengths;
  if (order.length === 1) {
    lengths[order[0]!] = 1;
    return lengths;
  }
  // Huffman's tree with two queues: leaves by count, and nodes in the order they are made, which ascends too.
  const leaves = order.length;
  const weights = new Float64Array(2 * leaves - 1);
  const parents = new Uint32Array(2 * leaves - 1);
  for (let leaf = 0; leaf < leaves; leaf++) weights[leaf] = counts[order[leaf]!]!;
  let leaf = 0;
  let inner = leaves;
  for (let node = leaves; node < weights.length; node++) {
    for (let child = 0; child < 2; child++) {
      const takesLeaf = leaf < leaves && (inner === node || weights[leaf]! <= weights[inner]!);
      const taken = takesLeaf ? leaf++ : inner++;
      weights[node]! += weights[taken]!;
      parents[taken] = node;
    }
  }
  const depths = new Uint8Array(weights.length);
  for (let node = weights.length - 2; node >= 0; node--) {
    depths[node] = Math.min(depths[parents[node]!]! + 1, 255);
  }
  limitLengths(depths.subarray(0, leaves));
  for (let index = 0; index < leaves; index++) lengths[order[index]!] = depths[index]!;
  return lengths;
}

/** Symbols that occur, the rarest first. */
function occurring(counts: Uint32Array): number[] {
  const order: number[] = [];
  for (let symbol = 0; symbol < counts.length; symbol++) if (counts[symbol]! > 0) order.push(symbol);
  return order.sort((left, right) => counts[left]! - counts[right]!);
}

/** Cuts depths to the longest code and lengthens codes of the rarest symbols until all fit again. */
function limitLengths(depths: Uint8Array): void {
  let taken = 0;
  for (let index = 0; index < depths.length; index++) {
    depths[index] = Math.min(depths[index]!, MAX_CODE_BITS);
    taken += 1 << (MAX_CODE_BITS - depths[index]!);
  }
  const room = 1 << MAX_CODE_BITS;
  while (taken > room) {
    for (let index = 0; index < depths.length && taken > room; index++) {
      if (depths[index] === MAX_CODE_BITS) continue;
      depths[index]!++;
      taken -= 1 << (MAX_CODE_BITS - depths[index]!);
    }
  }
}

/** Bytes that `writeCode` writes. */
export function codedBytes(counts: Uint32Array, lengths: Uint8Array): number {
  let bits = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) bits += counts[symbol]! * lengths[symbol]!;
  return Math.ceil(lengths.length / 2) + Math.ceil(bits / 8);
}

/** The code of each symbol, its first bit lowest. */
function codesOf(lengths: Uint8Array): Uint16Array {
  const firsts = new Uint32Array(MAX_CODE_BITS + 2);
  for (const length of lengths) if (length > 0) firsts[length + 1]!++;
  for (let bits = 1; bits <= MAX_CODE_BITS + 1; bits++) {
    // So far the number of shorter codes of the length before; now the first code of this one.
    firsts[bits] = (firsts[bits - 1]! + firsts[bits]!) * (bits > MAX_CODE_BITS ? 1 : 2);
  }
  const codes = new Uint16Array(lengths.length);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length > 0) codes[symbol] = reversed(firsts[length]!++, length);
  }
  return codes;
}

function reversed(code: number, bits: number): number {
  let rest = code;
  let result = 0;
  for (let bit = 0; bit < bits; bit++) {
    result = (result << 1) | (rest & 1);
    rest >>= 1;
  }
  return result;
}

/** Writes lengths and codes of `symbols` to `into`, which has exactly `codedBytes` bytes. */
export function writeCode(symbols: Uint16Array, lengths: Uint8Array, into: Uint8Array): void {
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    into[symbol >> 1]! |= lengths[symbol]! << (4 * (symbol & 1));
  }
  const codes = codesOf(lengths);
  let at = Math.ceil(lengths.length / 2);
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < symbols.length; index++) {
    const symbol = symbols[index]!;
    pending |= codes[symbol]! << pendingBits;
    pendingBits += lengths[symbol]!;
    if (pendingBits < 16) continue;
    into[at] = pending;
    into[at + 1] = pending >> 8;
    at += 2;
    pending >>>= 16;
    pendingBits -= 16;
  }
  for (; pendingBits > 0; pendingBits -= 8, pending >>= 8) into[at++] = pending;
}

/** Reads `count` symbols, each below `symbolCount`. Throws `DamageError` when bits are missing or make no code. */
export function readCode(reader: ByteReader, symbolCount: number, count: number, what: string): Uint16Array {
  const nibbles = reader.bytes(Math.ceil(symbolCount / 2));
  const lengths = new Uint8Array(symbolCount);
  let longest = 1;
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    lengths[symbol] = (nibbles[symbol >> 1]! >> (4 * (symbol & 1))) & 15;
    longest = Math.max(longest, lengths[symbol]!);
  }
  const table = decodingTable(lengths, longest, what);
  const symbols = new Uint16Array(count);
  const bytes = reader.bytes(reader.remaining);
  const mask = table.length - 1;
  let at = 0;
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < count; index++) {
    if (pendingBits < MAX_CODE_BITS) {
      if (at + 2 <= bytes.length) {
        pending |= (bytes[at]! | (bytes[at + 1]! << 8)) << pendingBits;
        pendingBits += 16;
        at += 2;
      } else if (at < bytes.length) {
        pending |= bytes[at++]! << pendingBits;
        pendingBits += 8;
      }
    }
    const entry = table[pending & mask]!;
    const length = entry & 15;
    if (length === 0 || length > pendingBits) throw new DamageError(what, `no code at symbol ${index}`);
    symbols[index] = entry >>> 4;
    pending >>>= length;
    pendingBits -= length;
  }
  if (bytes.length - at > 0 || pendingBits >= 8 || pending !== 0) {
    throw new DamageError(what, "bits follow the codes");
  }
  return symbols;
}

/** For every `bits` bits to come: the symbol, and in the low four bits the length of its code; 0 for no code. */
function decodingTable(lengths: Uint8Array, bits: number, what: string): Uint32Array {
  let taken = 0;
  for (const length of lengths) if (length > 0) taken += 1 << (MAX_CODE_BITS - length);
  if (taken > 1 << MAX_CODE_BITS) throw new DamageError(what, "more codes than bits allow");
  const codes = codesOf(lengths);
  const table = new Uint32Array(1 << bits);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0) continue;
    const entry = (symbol << 4) | length;
    for (let at = codes[symbol]!; at < table.length; at += 1 << length) table[at] = entry;
  }
  return table;
}
