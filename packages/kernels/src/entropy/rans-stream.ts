/**
 * Streams of byte symbols in rANS form (see assembly/rans.ts for the arithmetic): 32 states that take turns.
 *
 *   table      see frequency-code.ts
 *   u8         escape symbol
 *   u24        number of escaped symbols (0: the escape symbol never occurs)
 *   bytes      escaped symbols in order
 *   32 x u32   states that decoding starts with
 *   u16 ...    words, to the stream's end
 *
 * Symbols are coded in groups of 32. The last 33 to 64 symbols are not: they lie in the states that encoding starts with, which
 * would hold nothing else, and which decoding ends with. State k is 2^16 + symbol 2 k + 256 * symbol 2 k + 1 of them (0 if there are
 * fewer).
 */
import { DamagedBlockError } from "./damaged.ts";
import { type FrequencyTable, frequencyTable } from "./frequencies.ts";
import { readFrequencies, TABLE_BYTES_LIMIT, writeFrequencies } from "./frequency-code.ts";
import type { Memory } from "./memory.ts";

/** Shorter planes have no stream of this form. */
export const RANS_SYMBOLS_LEAST: number = 65;

const STATES_BYTES = 128;
const table = new Uint8Array(TABLE_BYTES_LIMIT);

/**
 * Encodes the plane of `count` symbols at `plane` of the kernels' memory.
 *
 * @param count at least `RANS_SYMBOLS_LEAST`.
 * @param counts 256 counts of a sample of it.
 * @param out where to write the stream, from `at` on; written to only if the stream is shorter than `count` bytes.
 * @returns the position behind it, or -1 when it is not shorter.
 */
export function encodeRans(
  memory: Memory,
  plane: number,
  count: number,
  counts: Uint32Array,
  out: Uint8Array,
  at: number,
): number {
  const { kernels, bytes, escapes, stateWords } = memory;
  const coded = codedSymbols(count);
  const made = frequencyTable(counts, coded);
  const escaped = listEscapes(memory, made, plane, coded);
  for (let k = 0, at = plane + coded, end = plane + count; k < 32; k++, at += 2) {
    stateWords[k] = 0x10000 | (at < end ? bytes[at]! : 0) | (at + 1 < end ? bytes[at + 1]! << 8 : 0);
  }
  const words = kernels.ransEncode(plane, coded);
  const wordsBytes = memory.codedEnd - words;
  const tableBytes = writeFrequencies(made.frequencies, table);
  if (tableBytes + 4 + escaped + STATES_BYTES + wordsBytes >= count) return -1;
  out.set(table.subarray(0, tableBytes), at);
  at += tableBytes;
  out[at++] = Math.max(0, made.escapeSymbol);
  out[at++] = escaped & 255;
  out[at++] = (escaped >> 8) & 255;
  out[at++] = escaped >> 16;
  out.set(bytes.subarray(escapes, escapes + escaped), at);
  at += escaped;
  out.set(bytes.subarray(memory.states, memory.states + STATES_BYTES), at);
  at += STATES_BYTES;
  out.set(bytes.subarray(words, memory.codedEnd), at);
  return at + wordsBytes;
}

/** How many of `count` symbols are coded in groups: all but the last 33 to 64. */
function codedSymbols(count: number): number {
  return (count - 33) & ~31;
}

/** Hands the table to the kernels and lists what needs an escape; returns how many symbols do. */
function listEscapes(memory: Memory, made: FrequencyTable, plane: number, count: number): number {
  const { kernels } = memory;
  memory.frequencies.set(made.frequencies);
  kernels.buildEncode(made.escapeSymbol < 0 ? 256 : made.escapeSymbol);
  if (made.escapeSymbol < 0) return 0;
  if (made.first < 0) return kernels.collectEscapes(plane, count, memory.escapes);
  return kernels.collectOutside(plane, count, made.first, made.last, memory.escapes);
}

/**
 * Decodes the stream at `at` .. `end` of `block`, which lies in the kernels' memory at `memory.block` too, into the `count` symbols of
 * the plane at `plane`.
 *
 * @throws DamagedBlockError
 */
export function decodeRans(
  memory: Memory,
  block: Uint8Array,
  at: number,
  end: number,
  plane: number,
  count: number,
): void {
  if (count < RANS_SYMBOLS_LEAST)
    throw new DamagedBlockError(`${count} symbols are too few for a coded stream`);
  const { kernels, bytes, stateWords } = memory;
  const coded = codedSymbols(count);
  at = readFrequencies(block, at, end, memory.frequencies);
  if (at + 4 + STATES_BYTES > end) throw new DamagedBlockError("a stream is cut off");
  const escapeSymbol = block[at]!;
  const escaped = block[at + 1]! | (block[at + 2]! << 8) | (block[at + 3]! << 16);
  at += 4;
  if (escaped > coded || at + escaped + STATES_BYTES > end) {
    throw new DamagedBlockError(`${escaped} escaped symbols do not fit`);
  }
  const escapes = memory.block + at;
  at += escaped;
  bytes.copyWithin(memory.states, memory.block + at, memory.block + at + STATES_BYTES);
  at += STATES_BYTES;
  kernels.buildDecode();
  const read = kernels.ransDecode(memory.block + at, plane, coded);
  if (read !== memory.block + end)
    throw new DamagedBlockError("a stream is longer or shorter than its symbols");
  if (escaped > 0 && kernels.patchEscapes(plane, coded, escapeSymbol, escapes) !== escaped) {
    throw new DamagedBlockError("the number of escaped symbols is wrong");
  }
  for (let k = 0, to = plane + coded, last = plane + count; k < 32; k++, to += 2) {
    const state = stateWords[k]!;
    if (state >>> 16 !== 1) throw new DamagedBlockError("a stream does not end in its first states");
    if (to < last) bytes[to] = state & 255;
    if (to + 1 < last) bytes[to + 1] = (state >> 8) & 255;
  }
}
