/**
 * Canonical prefix codes (Huffman) over symbols of up to 16 bits, codes of at most 15 bits. Stored are the code
 * lengths; codes count up by length, then by symbol, and are written from their top bit on, into bytes that
 * fill from the lowest bit on.
 *
 *     nibbles   a code length per symbol, the first in the low nibble; 0 for symbols that do not occur
 *     varint*3  bytes of the first three streams
 *     streams   four, each with the codes of a quarter of the symbols (rounded up; the last ones may have fewer)
 *
 * Where a code begins depends on the one before, so a single stream leaves a processor waiting: four are read
 * at once.
 */
import type { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";

const MAX_CODE_BITS = 15;
const STREAMS = 4;
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

/** About how many bytes `encodePrefix` gives. */
export function prefixBytes(counts: Uint32Array, lengths: Uint8Array): number {
  let bits = 0;
  for (let symbol = 0; symbol < counts.length; symbol++) bits += counts[symbol]! * lengths[symbol]!;
  return Math.ceil(lengths.length / 2) + Math.ceil(bits / 8) + STREAMS * 2;
}

/** The code of each symbol, its first bit lowest. */
function codesOf(lengths: Uint8Array): Uint16Array {
  const firsts = new Uint32Array(MAX_CODE_BITS + 2);
  for (const length of lengths) if (length > 0) firsts[length + 1]!++;
  for (let bits = 1; bits <= MAX_CODE_BITS; bits++) {
    // Until now the number of codes that are one bit shorter; from now on the first code of this length.
    firsts[bits] = 2 * (firsts[bits - 1]! + firsts[bits]!);
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

/** The symbols, each of which `lengths` has a code for, and the lengths. */
export function encodePrefix(symbols: Uint16Array, lengths: Uint8Array): Uint8Array {
  const nibbles = new Uint8Array(Math.ceil(lengths.length / 2));
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    nibbles[symbol >> 1]! |= lengths[symbol]! << (4 * (symbol & 1));
  }
  const codes = codesOf(lengths);
  const quarter = Math.ceil(symbols.length / STREAMS);
  const streams = Array.from({ length: STREAMS }, (_, stream) =>
    writeStream(symbols.subarray(stream * quarter, (stream + 1) * quarter), codes, lengths),
  );
  const writer = new ByteWriter(nibbles.length + streams.reduce((sum, { length }) => sum + length, 16));
  writer.bytes(nibbles);
  for (const stream of streams.slice(0, -1)) writer.varint(stream.length);
  for (const stream of streams) writer.bytes(stream);
  return writer.finish();
}

function writeStream(symbols: Uint16Array, codes: Uint16Array, lengths: Uint8Array): Uint8Array {
  const output = new Uint8Array(2 * symbols.length + 2);
  let at = 0;
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < symbols.length; index++) {
    const symbol = symbols[index]!;
    pending |= codes[symbol]! << pendingBits;
    pendingBits += lengths[symbol]!;
    if (pendingBits < 16) continue;
    output[at] = pending;
    output[at + 1] = pending >> 8;
    at += 2;
    pending >>>= 16;
    pendingBits -= 16;
  }
  for (; pendingBits > 0; pendingBits -= 8, pending >>= 8) output[at++] = pending;
  return output.subarray(0, at);
}

/**
 * Reads `count` symbols, each below `symbolCount`, up to the end. Throws `DamageError` when the streams do not hold
 * as many.
 */
export function decodePrefix(
  reader: ByteReader,
  symbolCount: number,
  count: number,
  what: string,
): Uint16Array {
  const nibbles = reader.bytes(Math.ceil(symbolCount / 2));
  const lengths = new Uint8Array(symbolCount);
  for (let symbol = 0; symbol < symbolCount; symbol++) {
    lengths[symbol] = (nibbles[symbol >> 1]! >> (4 * (symbol & 1))) & 15;
  }
  const table = decodingTable(lengths, what);
  const starts = [0];
  for (let stream = 1; stream < STREAMS; stream++) starts.push(starts[stream - 1]! + 8 * reader.varint());
  const bytes = reader.bytes(reader.remaining);
  const end = 8 * bytes.length;
  if (starts[STREAMS - 1]! > end) throw new DamageError(what, "a stream of codes ends early");
  // A word is read at a time, so some bytes must follow the last.
  const padded = new Uint8Array(bytes.length + 8);
  padded.set(bytes);
  const symbols = new Uint16Array(count);
  const ends = readStreams(new DataView(padded.buffer), table, symbols, starts, end, what);
  for (let stream = 0; stream < STREAMS; stream++) {
    const next = starts[stream + 1] ?? end;
    if (8 * Math.ceil(ends[stream]! / 8) !== next)
      throw new DamageError(what, "a stream has bits left or too few");
  }
  return symbols;
}

/** Reads the four streams that begin at the bits `starts`; returns where they end. */
function readStreams(
  view: DataView,
  table: Uint32Array,
  symbols: Uint16Array,
  starts: readonly number[],
  end: number,
  what: string,
): number[] {
  const mask = table.length - 1;
  const quarter = Math.ceil(symbols.length / STREAMS);
  const together = Math.max(0, symbols.length - (STREAMS - 1) * quarter);
  let [at0, at1, at2, at3] = starts as [number, number, number, number];
  for (let index = 0; index < together; index++) {
    if (at0 > end || at1 > end || at2 > end || at3 > end) throw new DamageError(what, "the codes end early");
    const entry0 = table[(view.getUint32(at0 >>> 3, true) >>> (at0 & 7)) & mask]!;
    const entry1 = table[(view.getUint32(at1 >>> 3, true) >>> (at1 & 7)) & mask]!;
    const entry2 = table[(view.getUint32(at2 >>> 3, true) >>> (at2 & 7)) & mask]!;
    const entry3 = table[(view.getUint32(at3 >>> 3, true) >>> (at3 & 7)) & mask]!;
    symbols[index] = entry0 >>> 4;
    symbols[index + quarter] = entry1 >>> 4;
    symbols[index + 2 * quarter] = entry2 >>> 4;
    symbols[index + 3 * quarter] = entry3 >>> 4;
    at0 += entry0 & 15;
    at1 += entry1 & 15;
    at2 += entry2 & 15;
    at3 += entry3 & 15;
  }
  // What the first streams have more than the last.
  const ends = [at0, at1, at2, at3];
  for (let stream = 0; stream < STREAMS - 1; stream++) {
    const stop = Math.min((stream + 1) * quarter, symbols.length);
    for (let index = stream * quarter + together; index < stop; index++) {
      const at = ends[stream]!;
      if (at > end) throw new DamageError(what, "the codes end early");
      const entry = table[(view.getUint32(at >>> 3, true) >>> (at & 7)) & mask]!;
      symbols[index] = entry >>> 4;
      ends[stream] = at + (entry & 15);
    }
  }
  return ends;
}

/**
 * For all bits that may come next, as many as the longest code has: the symbol, and in the low four bits the
 * length of its code. Bits that make no code give symbol 0 and length 0, and the stream does not end where it
 * should.
 */
function decodingTable(lengths: Uint8Array, what: string): Uint32Array {
  let taken = 0;
  let longest = 1;
  for (const length of lengths) {
    if (length > 0) taken += 1 << (MAX_CODE_BITS - length);
    if (length > longest) longest = length;
  }
  if (taken > 1 << MAX_CODE_BITS) throw new DamageError(what, "more codes than bits allow");
  const codes = codesOf(lengths);
  const table = new Uint32Array(1 << longest);
  for (let symbol = 0; symbol < lengths.length; symbol++) {
    const length = lengths[symbol]!;
    if (length === 0) continue;
    const entry = (symbol << 4) | length;
    for (let at = codes[symbol]!; at < table.length; at += 1 << length) table[at] = entry;
  }
  return table;
}
