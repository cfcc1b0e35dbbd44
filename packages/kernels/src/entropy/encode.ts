/** Encodes blocks (see format.ts). */

import { encodeFloatLadder } from "./float-ladder.ts";
import { BLOCK_ELEMENTS_LIMIT, encodedLimit, HEADER_BYTES, METHOD, restBytes } from "./format.ts";
import { entropyMemory, type Memory } from "./memory.ts";
import {
  entropyBits,
  jointPlan,
  LADDER_SAMPLE_GROUPS,
  SAMPLE_GROUPS,
  sampleStep,
  WORTHWHILE_BITS,
} from "./plan.ts";
import { type BlockCoder, encodeStream, LADDER_BITS_WORTHWHILE } from "./stream.ts";

/** How the elements of a block are built, which is all that coding needs to know of their type. */
export interface WordLayout {
  /** Bytes of an element; for types smaller than a byte, 1. */
  readonly elementBytes: 1 | 2 | 4 | 8;
  /** Exponent bits below the sign bit; 0 for what is no float. */
  readonly exponentBits: number;
}

/** Blocks of fewer elements are stored: tables and states would cost more than they save. */
const ELEMENTS_WORTHWHILE = 128;

/** Blocks of so few elements are coded both ways, since tables and states of rANS weigh much there. */
const SMALL_BLOCK_ELEMENTS = 8192;
const spare = new Uint8Array(encodedLimit(8 * SMALL_BLOCK_ELEMENTS));

/**
 * Encodes a block of elements without loss, in the smallest way that the coder has.
 *
 * @param input whole elements, at most 131,072 of them (a length that is no multiple of the element size is stored as it is).
 * @param coder how to code what is worth coding.
 * @param out room for `encodedLimit(input.length)` bytes. Must not overlap `input`.
 * @returns the length of the block in bytes, at most one more than `input` has.
 * @throws RangeError for too many elements, an unknown element size or too little room.
 */
export function encodeBlock(
  input: Uint8Array,
  layout: WordLayout,
  coder: BlockCoder,
  out: Uint8Array,
): number {
  const width = layout.elementBytes;
  if (width !== 1 && width !== 2 && width !== 4 && width !== 8) {
    throw new RangeError(`elementBytes is ${width}; blocks have elements of 1, 2, 4 or 8 bytes`);
  }
  if (out.length < encodedLimit(input.length)) {
    throw new RangeError(`out holds ${out.length} bytes; ${encodedLimit(input.length)} are needed`);
  }
  const count = input.length / width;
  if (count > BLOCK_ELEMENTS_LIMIT) {
    throw new RangeError(`input has ${count} elements; a block takes at most ${BLOCK_ELEMENTS_LIMIT}`);
  }
  if (!Number.isInteger(count) || count < ELEMENTS_WORTHWHILE) return store(input, out);
  const memory = entropyMemory();
  let end = encodeWords(memory, input, count, layout, coder, out);
  if (coder === "rans" && count <= SMALL_BLOCK_ELEMENTS) {
    const other = encodeWords(memory, input, count, layout, "ladder", spare);
    if (other < end) {
      out.set(spare.subarray(0, other));
      end = other;
    }
  }
  if (end > input.length) return store(input, out);
  out[1] = width;
  out[2] = count & 255;
  out[3] = (count >> 8) & 255;
  out[4] = count >> 16;
  out[5] = 0;
  return end;
}

function store(input: Uint8Array, out: Uint8Array): number {
  out[0] = METHOD.stored;
  out.set(input, 1);
  return 1 + input.length;
}

function encodeWords(
  memory: Memory,
  input: Uint8Array,
  count: number,
  layout: WordLayout,
  coder: BlockCoder,
  out: Uint8Array,
): number {
  const { kernels, bytes, words, planes, planeStep } = memory;
  const width = layout.elementBytes;
  if (width === 1) {
    bytes.set(input, planes);
    out[0] = METHOD.planes;
    return encodeStream(memory, planes, count, coder, out, HEADER_BYTES);
  }
  bytes.set(input, words);
  if (layout.exponentBits === 8 && width <= 4) {
    const end =
      coder === "rans"
        ? encodeJoint(memory, count, width as 2 | 4, out)
        : encodeFloatLadder(memory, count, width as 2 | 4, out);
    if (end >= 0) return end;
  }
  if (coder === "ladder" && layout.exponentBits === 5 && width === 2) {
    const end = encodeHalf(memory, count, out);
    if (end >= 0) return end;
  }
  kernels.split(width, count);
  const isFloat = layout.exponentBits > 0;
  out[0] = isFloat ? METHOD.exchanged : METHOD.planes;
  const top = planes + (width - 1) * planeStep;
  if (isFloat) kernels.exchange(top, top - planeStep, count);
  let at = HEADER_BYTES;
  if (isFloat && width === 4) out[at++] = 1;
  for (let plane = 0; plane < width; plane++) {
    at = encodeStream(memory, planes + plane * planeStep, count, coder, out, at);
  }
  return at;
}

/** Method JOINT; -1 when the data are not fit for it. */
function encodeJoint(memory: Memory, count: number, width: 2 | 4, out: Uint8Array): number {
  const { kernels, bytes, words, planes, planeStep, rest } = memory;
  const step = sampleStep(count, SAMPLE_GROUPS);
  if (width === 2) kernels.sampleFloats2(words, count, step);
  else kernels.sampleFloats4(words, count, step);
  const plan = jointPlan(memory.exponentCounts, memory.mantissaCounts);
  if (plan === undefined) return -1;
  // Rests come in groups of 64; zeros fill up the last one, since they have a symbol under every base.
  const groups = (count + 63) & ~63;
  bytes.fill(0, words + count * width, words + groups * width);
  const symbols = planes + 2 * planeStep;
  const halves = rest + planeStep;
  const fits =
    width === 2
      ? kernels.splitJoint2(words, groups, plan.base, symbols, rest)
      : kernels.splitJoint4(words, groups, plan.base, symbols, rest, halves);
  if (!fits) return -1;
  out[0] = METHOD.joint;
  out[HEADER_BYTES] = plan.base;
  let at = encodeStream(memory, symbols, count, "rans", out, HEADER_BYTES + 1, plan.counts);
  const rests = restBytes(count);
  out.set(bytes.subarray(rest, rest + rests), at);
  at += rests;
  return width === 4 ? encodeHalves(memory, halves, count, out, at) : at;
}

/** Method HALF; -1 when the lower bytes are worth coding too, or nothing is. */
function encodeHalf(memory: Memory, count: number, out: Uint8Array): number {
  const { kernels, bytes, words, planes, planeStep, rest } = memory;
  kernels.sampleHalves(words, 2, count, sampleStep(count, LADDER_SAMPLE_GROUPS));
  if (entropyBits(memory.counts) < LADDER_BITS_WORTHWHILE) return -1;
  const groups = (count + 127) & ~127;
  bytes.fill(0, words + count * 2, words + groups * 2);
  const lower = planes + planeStep;
  kernels.splitHalf(words, groups, planes, lower, rest);
  out[0] = METHOD.half;
  let at = encodeStream(memory, planes, count, "ladder", out, HEADER_BYTES);
  const rests = restBytes(count / 2);
  if (at + rests > count) return -1;
  out.set(bytes.subarray(lower, lower + count), at);
  at += count;
  out.set(bytes.subarray(rest, rest + rests), at);
  return at + rests;
}

function encodeHalves(memory: Memory, halves: number, count: number, out: Uint8Array, at: number): number {
  const { kernels, bytes, planes, planeStep } = memory;
  kernels.sampleHalves(halves, 2, count, sampleStep(count, SAMPLE_GROUPS));
  if (entropyBits(memory.counts) > WORTHWHILE_BITS && entropyBits(memory.upperCounts) > WORTHWHILE_BITS) {
    out[at] = 0;
    out.set(bytes.subarray(halves, halves + 2 * count), at + 1);
    return at + 1 + 2 * count;
  }
  out[at] = 1;
  kernels.splitHalves(halves, count);
  at = encodeStream(memory, planes, count, "rans", out, at + 1);
  return encodeStream(memory, planes + planeStep, count, "rans", out, at);
}
