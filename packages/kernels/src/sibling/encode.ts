/** Encodes differences to a sibling (see format.ts). */
import type { WordLayout } from "../entropy/encode.ts";
import { type Elements, elementsOf, place } from "./elements.ts";
import { EQUAL, GROUP, HEADER_BYTES, HELD_BYTES, LEVEL_LIMIT, METHOD, STATES_BYTES } from "./format.ts";
import { type Memory, siblingMemory } from "./memory.ts";
import { firstClass } from "./window.ts";

/** So many elements pay for the larger tables of precision 3. */
const ELEMENTS_FOR_PRECISION_3 = 16384;

/** Differences below an eighth of the last bit are so rare that one class is enough for all of them. */
const LOWEST_CLASS = 3;

/** What the 32 states hold at the end of coding, beyond what they begin with: 6.5 bits each, about. */
const BYTES_IN_STATES = 26;

/** The least that a block may take of which a plan says that it takes so many bytes. */
function leastBytes(planned: number): number {
  return planned * 0.998 - 16;
}

/** A block that is ready to be coded: symbols, raw bits, levels and tables are in the kernels' memory. */
interface Plan {
  readonly precision: number;
  readonly coded: number;
  readonly headerBytes: number;
  /** Of the whole block, closely. */
  readonly bytes: number;
}

/**
 * Bytes that `encodeDifference` would make of a block, to about 0.1 %, for a third less work. May be more than the block has.
 *
 * @throws RangeError as `encodeDifference`.
 */
export function differenceBytes(words: Uint8Array, sibling: Uint8Array, layout: WordLayout): number {
  const elements = elementsOf(words, sibling, layout);
  return planBlock(siblingMemory(), words, sibling, elements)?.bytes ?? 1;
}

/**
 * Encodes a block of floats without loss, given those of a sibling at the same places, of which most differ little.
 *
 * @param words elements of bfloat16, float16 or float32, little-endian, at most 131,072.
 * @param sibling as many elements of the same layout. Decoding needs the same.
 * @param out where the block goes. Must not overlap the others.
 * @returns the length of the block in bytes; undefined when it would not be shorter than `words`, or not fit `out`, which has not been
 *   written to then.
 * @throws RangeError for another layout, a sibling of another length, no whole elements, or too many of them.
 */
export function encodeDifference(
  words: Uint8Array,
  sibling: Uint8Array,
  layout: WordLayout,
  out: Uint8Array,
): number | undefined {
  const elements = elementsOf(words, sibling, layout);
  const memory = siblingMemory();
  const room = Math.min(out.length, words.length - 1);
  const plan = planBlock(memory, words, sibling, elements);
  if ((plan === undefined ? 1 : leastBytes(plan.bytes)) > room) return undefined;
  if (plan === undefined) {
    out[0] = METHOD.equal;
    return 1;
  }
  return writeBlock(memory, elements, plan, out.subarray(0, room));
}

/** Plans a block; undefined when all elements are the sibling's. */
function planBlock(
  memory: Memory,
  words: Uint8Array,
  sibling: Uint8Array,
  { width, mantissaBits, count }: Elements,
): Plan | undefined {
  const { kernels } = memory;
  place(memory, words, memory.words);
  place(memory, sibling, memory.sibling);
  if (width === 2) kernels.levels2(count, 23 - mantissaBits);
  else kernels.levels4(count);
  const levels = memory.levels.subarray(0, Math.ceil(count / GROUP));
  if (levels.every((level) => level === EQUAL)) return undefined;
  kernels.sampleLevels(count, width, mantissaBits);
  const first = firstClass(memory.sample, -mantissaBits - LOWEST_CLASS);
  for (let group = 0; group < levels.length; group++) {
    const level = levels[group]!;
    if (level !== EQUAL) levels[group] = Math.min(LEVEL_LIMIT, Math.max(1, level - first));
  }
  const precision = width === 4 || count < ELEMENTS_FOR_PRECISION_3 ? 2 : 3;
  const coded = width === 2 ? kernels.symbols2(precision, count, mantissaBits) : kernels.symbols4(count);
  kernels.countCodes(coded);
  const headerBytes = kernels.writeHeader(precision, levels.length);
  const wordsBytes = Math.ceil(kernels.symbolBits.value / 8) - BYTES_IN_STATES;
  const rawBytes = Math.max(0, Math.ceil(kernels.rawBits.value / 8) - HELD_BYTES);
  const bytes = HEADER_BYTES + headerBytes + STATES_BYTES + Math.max(0, wordsBytes) + rawBytes;
  return { precision, coded, headerBytes, bytes };
}

/** Codes a planned block; undefined when it does not fit `out` after all. */
function writeBlock(
  memory: Memory,
  { width }: Elements,
  { precision, coded, headerBytes }: Plan,
  out: Uint8Array,
): number | undefined {
  const { kernels, bytes, block, stateWords } = memory;
  const rawBits = width === 2 ? kernels.packBits2() : kernels.packBits4(coded);
  const rawBytes = Math.ceil(rawBits / 8);
  bytes.fill(0, block + rawBytes, block + HELD_BYTES);
  for (let k = 0; k < stateWords.length; k++) {
    stateWords[k] = 0x10000 | bytes[block + 2 * k]! | (bytes[block + 2 * k + 1]! << 8);
  }
  kernels.buildEncode();
  const start = kernels.encode(coded);
  const wordsBytes = memory.codedEnd - start;
  const parts = [
    bytes.subarray(memory.header, memory.header + headerBytes),
    bytes.subarray(memory.states, memory.states + STATES_BYTES),
    bytes.subarray(start, memory.codedEnd),
    bytes.subarray(block + HELD_BYTES, block + Math.max(HELD_BYTES, rawBytes)),
  ];
  if (parts.reduce((sum, part) => sum + part.length, HEADER_BYTES) > out.length) return undefined;
  out[0] = METHOD.coded;
  out[1] = precision;
  out[2] = wordsBytes & 255;
  out[3] = (wordsBytes >> 8) & 255;
  out[4] = wordsBytes >> 16;
  let at = HEADER_BYTES;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return at;
}
