/**
 * The fast way for bfloat16 and float32: splitting words and the first rung of the ladder in one pass, and joining in one. It makes and
 * reads ordinary EXCHANGED blocks (see format.ts) in which the uppermost plane is a ladder and all else is stored.
 */
import { HEADER_BYTES, METHOD, MODE, STREAM_HEADER_BYTES } from "./format.ts";
import { ladderPlan } from "./ladder-plan.ts";
import { canJoin, decodeLadder, encodeLadder } from "./ladder-stream.ts";
import type { Memory } from "./memory.ts";
import { entropyBits, LADDER_SAMPLE_GROUPS, sampleStep } from "./plan.ts";
import { finishStream, LADDER_BITS_WORTHWHILE, readHeader, storeStream } from "./stream.ts";

/**
 * Encodes the words in memory as a whole block.
 *
 * @returns the length of the block; -1 when other ways may do better, Infinity when nothing in the block is worth coding.
 */
export function encodeFloatLadder(memory: Memory, count: number, width: 2 | 4, out: Uint8Array): number {
  const { kernels, bytes, words, rest, planeStep } = memory;
  const step = sampleStep(count, LADDER_SAMPLE_GROUPS);
  if (width === 4) {
    kernels.sampleHalves(words, 4, count, step);
    if (isWorthwhile(memory.counts) || isWorthwhile(memory.upperCounts)) return -1;
    kernels.sampleFloats4(words, count, step);
  } else {
    kernels.sampleFloats2(words, count, step);
  }
  if (isWorthwhile(memory.mantissaCounts)) return -1;
  const plan = ladderPlan(upperBytes(memory.exponentCounts));
  if (plan.bits > LADDER_BITS_WORTHWHILE) return Number.POSITIVE_INFINITY;
  if (plan.rungs[0]?.length !== 3) return -1;
  fillUp(bytes, words, count, width, plan.rungs[0][0]);
  const halves = rest + planeStep;
  const from = { width, symbols: words, lower: rest, halves };
  out[0] = METHOD.exchanged;
  let at = HEADER_BYTES;
  if (width === 4) at += 1 + 2 * count;
  const ladder = at + STREAM_HEADER_BYTES + count;
  const end = encodeLadder(memory, plan, from, count, out, ladder + STREAM_HEADER_BYTES);
  if (end < 0) return -1;
  finishStream(MODE.ladder, out, ladder, end);
  storeStream(memory, rest, count, out, at);
  if (width === 4) {
    out[HEADER_BYTES] = 0;
    out.set(bytes.subarray(halves, halves + 2 * count), HEADER_BYTES + 1);
  }
  return end;
}

/**
 * Decodes the streams at `at` into the words in memory, if they are as `encodeFloatLadder` makes them.
 *
 * @param halves address of the lower halves of 4-byte words.
 * @returns the position behind them, or -1 when they are others.
 */
export function decodeFloatLadder(
  memory: Memory,
  block: Uint8Array,
  at: number,
  width: 2 | 4,
  halves: number,
  count: number,
): number {
  const stored = readHeader(block, at);
  if (stored.mode !== MODE.stored || stored.end - stored.body !== count) return -1;
  const ladder = readHeader(block, stored.end);
  if (ladder.mode !== MODE.ladder || !canJoin(block, ladder.body)) return -1;
  const to = { width, symbols: memory.words, lower: memory.block + stored.body, halves };
  decodeLadder(memory, block, ladder.body, ladder.end, to, count);
  return ladder.end;
}

/** Whether a plane with these counts is too regular to be stored. */
function isWorthwhile(counts: Uint32Array): boolean {
  return entropyBits(counts) < LADDER_BITS_WORTHWHILE;
}

/** Counts of upper bytes after the exchange (e eeeeeee) from counts of exponent and two mantissa bits. */
function upperBytes(exponents: Uint32Array): Uint32Array {
  const counts = new Uint32Array(256);
  for (let e = 0; e < 256; e++) {
    const at = 4 * e;
    counts[((e & 1) << 7) | (e >> 1)] =
      exponents[at]! + exponents[at + 1]! + exponents[at + 2]! + exponents[at + 3]!;
  }
  return counts;
}

/** Fills the last group of 64 words with words whose upper byte is `symbol` after the exchange. */
function fillUp(bytes: Uint8Array, words: number, count: number, width: number, symbol: number): void {
  const end = words + ((count + 63) & ~63) * width;
  bytes.fill(0, words + count * width, end);
  for (let at = words + count * width; at < end; at += width) {
    bytes[at + width - 1] = symbol & 127;
    bytes[at + width - 2] = symbol & 128;
  }
}
