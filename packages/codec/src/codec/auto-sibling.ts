/**
 * Coding a chunk against a sibling, or plainly, by what is smaller. Fine-tunes and later checkpoints shrink to a third or less; of
 * chunks that have nothing to do with each other differences are larger than the chunk itself. So before anything is coded, plain
 * coding is estimated from a sample and differences from their histograms; only what is near the best is coded. Ways against the sibling:
 *
 *   sibling                differences of floats
 *   xor, then any chain    bytes that are mostly the same, and numbers that are no floats
 *   patch                  opaque bytes: what was inserted, replaced and moved in a file
 */
import { varintBytes } from "../bytes/varint.ts";
import type { DType } from "../tensor/dtype.ts";
import { encodeLossless, isEntropyCoded } from "./auto.ts";
import { encodeArchive } from "./auto-archive.ts";
import { type CodedChunk, chainLink, encodeChain } from "./chain.ts";
import { chunkFacts, sampleWords, type WordFacts } from "./chunk-facts.ts";
import type { Sibling } from "./codec.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { encodePatch, patch } from "./patch.ts";
import { copiedBytes, findCopies } from "./patch-copies.ts";
import { planes, wordBytesOf } from "./planes.ts";
import { rle } from "./rle.ts";
import { trialSample } from "./sampling.ts";
import { sibling as difference, encodeDifferences } from "./sibling.ts";
import { differenceTypeOf } from "./sibling-words.ts";
import { sparse } from "./sparse.ts";
import { xor } from "./xor.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

/** Bytes that name the sibling in a frame. */
export const SIBLING_REFERENCE_BYTES = 16;

/** What plain coding makes of weights, as a fraction of a sample's order-0 entropy: 0.98 to 1.009, measured. */
const LEAST_PLAIN = 0.97;
const MOST_PLAIN = 1.01;
/** Chunks up to this length are coded in every way: tables weigh in them, and they take no time. */
const SHORT_BYTES = 16_384;
/** Bytes of a sample that tells what XOR leaves. */
const SAMPLE_BYTES = 32_768;
/** Floats of which fewer are the same as the sibling's than this have differences everywhere, which XOR tells less of. */
const MANY_EQUAL = 0.5;
/** Words that are looked at for that. */
const EQUAL_WORDS = 512;

/** Longer chunks, and those with longer siblings, are not patched: the places of these are all in memory, and opaque chunks are shorter. */
const PATCHED_BYTES = 1_048_576;
/** A chunk of which less is found in the sibling has nothing to do with it. */
const LEAST_COPIED = 1 / 16;
/** A patch that takes less of its chunk is taken at once: there is little left that another way could save. */
const CLEAR_PATCH = 1 / 64;

export type SiblingEffort = "lossless" | "archive";
/** The automatic coders that a chunk is coded plainly by; `archive` tries every way, whatever estimates say. */
const plainCoders: {
  readonly [effort in SiblingEffort]: (bytes: Uint8Array, dtype: DType, out?: Uint8Array) => CodedChunk;
} = {
  lossless: encodeLossless,
  archive: encodeArchive,
};

export interface AgainstOptions {
  readonly effort: SiblingEffort;
  /** What coding against the sibling must save at least, as a fraction of the frame that the chunk takes by itself; 0 unless given. */
  readonly minSaving?: number | undefined;
  /** Room that the payload may lie in. */
  readonly out?: Uint8Array | undefined;
}

/**
 * Codes a chunk plainly or against `sibling`, whichever gives the shorter frame; in the latter case the first step needs the sibling.
 */
export function encodeAgainst(
  bytes: Uint8Array,
  dtype: DType,
  sibling: Sibling,
  { effort, minSaving = 0, out }: AgainstOptions,
): CodedChunk {
  const encodePlain = plainCoders[effort];
  const everything = effort === "archive" || bytes.length <= SHORT_BYTES || minSaving > 0;
  const patched = patchOf(bytes, dtype, sibling);
  if (patched !== undefined && !everything && patched.payload.length < bytes.length * CLEAR_PATCH)
    return patched;
  const facts = chunkFacts(bytes, dtype);
  const plainBytes = orderZeroBytes(facts.words, bytes.length);
  const limit = everything ? bytes.length : plainBytes * MOST_PLAIN;
  const best = shorter(
    // Of several results the first must stay, so only that one can lie in the caller's room.
    differenceOf(bytes, dtype, sibling, limit, out?.subarray(SIBLING_REFERENCE_BYTES)) ?? patched,
    xoredOf(bytes, dtype, sibling, limit, effort),
  );
  if (best === undefined) return encodePlain(bytes, dtype, out);
  const isClear = best.payload.length < plainBytes * LEAST_PLAIN;
  if (isClear && !everything && isEntropyCoded(facts)) return best;
  const plain = encodePlain(bytes, dtype);
  return frameBytes(best) < frameBytes(plain) * (1 - minSaving) ? best : plain;
}

/** Opaque bytes by what they have in common with the sibling, wherever it lies; undefined where that is little. */
function patchOf(bytes: Uint8Array, dtype: DType, sibling: Sibling): CodedChunk | undefined {
  if (dtype.kind !== "uint" || dtype.bits !== 8) return undefined;
  if (Math.max(bytes.length, sibling.bytes.length) > PATCHED_BYTES) return undefined;
  const copies = findCopies(bytes, sibling.bytes);
  if (copiedBytes(copies) < bytes.length * LEAST_COPIED) return undefined;
  const payload = encodePatch(bytes, sibling.bytes, copies);
  return { steps: [{ code: patch.code, inputBytes: bytes.length }], payload };
}

/** Floats by their differences; undefined for other types, and where that takes more than `limit` bytes. */
function differenceOf(
  bytes: Uint8Array,
  dtype: DType,
  sibling: Sibling,
  limit: number,
  out?: Uint8Array,
): CodedChunk | undefined {
  if (differenceTypeOf(dtype) === undefined) return undefined;
  const payload = encodeDifferences(bytes, dtype, sibling, limit, out);
  return payload && { steps: [{ code: difference.code, inputBytes: bytes.length }], payload };
}

/** What XOR leaves; undefined where it does not look as if that came below `limit` bytes. */
function xoredOf(
  bytes: Uint8Array,
  dtype: DType,
  sibling: Sibling,
  limit: number,
  effort: SiblingEffort,
): CodedChunk | undefined {
  const wordBytes = wordBytesOf(dtype);
  const hasDifferences = differenceTypeOf(dtype) !== undefined;
  if (effort !== "archive" && hasDifferences && equalShare(bytes, sibling.bytes, wordBytes) < MANY_EQUAL)
    return undefined;
  const shared = Math.min(bytes.length, sibling.bytes.length);
  const sample = trialSample(bytes.subarray(0, shared), SAMPLE_BYTES, 16);
  const other = trialSample(sibling.bytes.subarray(0, shared), SAMPLE_BYTES, 16);
  const left = xor.encode(sample, { dtype, sibling: { bytes: other, dtype } }, {});
  const facts = sampleWords(left, { wordBytes, skip: 0 });
  if (orderZeroBytes(facts, bytes.length) > limit) return undefined;
  const whole = xor.encode(bytes, { dtype, sibling }, {});
  const coded = effort === "archive" ? encodeArchive(whole, dtype) : encodeLeftOver(whole, dtype, facts);
  if (coded.steps.length === 0) return undefined;
  return { ...coded, steps: [{ code: xor.code, inputBytes: bytes.length }, ...coded.steps] };
}

/** The share of words that are the same in both, from places all over. */
function equalShare(bytes: Uint8Array, other: Uint8Array, wordBytes: number): number {
  const words = Math.floor(Math.min(bytes.length, other.length) / wordBytes);
  const asked = Math.min(words, EQUAL_WORDS);
  let equal = 0;
  for (let index = 0; index < asked; index++) {
    const start = Math.floor((index * words) / asked) * wordBytes;
    let at = start;
    while (at < start + wordBytes && bytes[at] === other[at]) at++;
    if (at === start + wordBytes) equal++;
  }
  return equal / Math.max(1, asked);
}

/** Codes what XOR leaves: long runs or single words among zeros; where few are zero, each byte by its frequency. */
function encodeLeftOver(bytes: Uint8Array, dtype: DType, { zeros }: WordFacts): CodedChunk {
  const matching = chainLink(canEncodeZstd() ? zstd : gzip);
  const chains =
    zeros < MANY_EQUAL
      ? [[chainLink(entropy)], [chainLink(planes)]]
      : [[chainLink(rle), matching], [chainLink(sparse)]];
  let best: CodedChunk = { steps: [], payload: bytes };
  for (const chain of chains) {
    const coded = encodeChain(bytes, dtype, chain);
    if (coded.payload.length < best.payload.length) best = coded;
  }
  return best;
}

/** What coding each byte of the words by its own frequencies would make of `bytes` bytes. */
function orderZeroBytes({ placeBits, wordBytes }: WordFacts, bytes: number): number {
  return (placeBits.reduce((sum, bits) => sum + bits, 0) * bytes) / (8 * wordBytes);
}

/** Of two ways to code a chunk the one with the shorter frame, the first if both are as long. */
function shorter(first: CodedChunk | undefined, second: CodedChunk | undefined): CodedChunk | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  return frameBytes(second) < frameBytes(first) ? second : first;
}

/** What a chunk takes in a frame, without what all frames have. */
function frameBytes({ steps, payload }: CodedChunk): number {
  const first = steps[0]?.code;
  const namesSibling = [difference, xor, patch].some(({ code }) => code === first);
  return steps.reduce(
    (sum, { inputBytes }) => sum + 1 + varintBytes(inputBytes),
    payload.length + (namesSibling ? SIBLING_REFERENCE_BYTES : 0),
  );
}
