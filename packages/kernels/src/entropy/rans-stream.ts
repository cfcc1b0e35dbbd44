/**
 * Streams of byte symbols in rANS form (see assembly/rans.ts for the arithmetic): 32 states that take turns.
 *
 *   table      see frequencies.ts
 *   u8         escape symbol
 *   u24        number of escaped symbols (0: the escape symbol never occurs)
 *   bytes      escaped symbols in order
 *   32 x u32   states that decoding starts with; all are 2^15 after the last symbol
 *   u16 ...    words, to the stream's end
 *
 * Symbols are coded in groups of 32; the last group is filled up with any symbols, which decoding drops.
 */
import { DamagedBlockError } from "./damaged.ts";
import {
  type FrequencyTable,
  frequencyTable,
  readFrequencies,
  TABLE_BYTES_LIMIT,
  writeFrequencies,
} from "./frequencies.ts";
import type { Memory } from "./memory.ts";

const STATES_BYTES = 128;
const LOWEST_STATE = 2 ** 15;
const table = new Uint8Array(TABLE_BYTES_LIMIT);

/**
 * Encodes the plane of `count` symbols at `plane` of the kernels' memory.
 *
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
  const { kernels, bytes, escapes } = memory;
  const made = frequencyTable(counts);
  const escaped = listEscapes(memory, made, plane, count);
  const groups = (count + 31) & ~31;
  bytes.fill(made.commonest, plane + count, plane + groups);
  const words = kernels.ransEncode(plane, groups);
  const wordsBytes = memory.codedEnd - words;
  const tableBytes = writeFrequencies(made.frequencies, table, 0);
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
  const { kernels, bytes } = memory;
  at = readFrequencies(block, at, end, memory.frequencies);
  if (at + 4 + STATES_BYTES > end) throw new DamagedBlockError("a stream is cut off");
  const escapeSymbol = block[at]!;
  const escaped = block[at + 1]! | (block[at + 2]! << 8) | (block[at + 3]! << 16);
  at += 4;
  if (escaped > count || at + escaped + STATES_BYTES > end) {
    throw new DamagedBlockError(`${escaped} escaped symbols do not fit`);
  }
  const escapes = memory.block + at;
  at += escaped;
  bytes.copyWithin(memory.states, memory.block + at, memory.block + at + STATES_BYTES);
  at += STATES_BYTES;
  kernels.buildDecode();
  const read = kernels.ransDecode(memory.block + at, plane, (count + 31) & ~31);
  if (read !== memory.block + end)
    throw new DamagedBlockError("a stream is longer or shorter than its symbols");
  if (memory.stateWords.some((state) => state !== LOWEST_STATE)) {
    throw new DamagedBlockError("a stream does not end in its first states");
  }
  if (escaped > 0 && kernels.patchEscapes(plane, count, escapeSymbol, escapes) !== escaped) {
    throw new DamagedBlockError("the number of escaped symbols is wrong");
  }
}
