/**
 * The work that threads do: hash chunks, code chunks into frames, decode frames. Plain functions over a slot's buffers, so that the
 * calling thread can run them itself when there are no workers or the work is small.
 */
import {
  type CodecPolicy,
  decodeFrame,
  dtypeOfCode,
  encodeFrameInto,
  sha256,
  TensorcaskError,
} from "@tensorcask/codec";
import type { Slot } from "./slot.ts";

/** A chunk in a slot's input. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

/** A chunk to be coded. */
export interface EncodeItem extends ChunkRange {
  /** Dtype code of its elements. */
  readonly dtype: number;
  /** SHA-256 of its bytes. */
  readonly hash: Uint8Array;
}

/** A frame in a slot's input, to be decoded to `target` in the slot's output. */
export interface DecodeItem extends ChunkRange {
  readonly target: number;
  readonly rawBytes: number;
  readonly hash: Uint8Array;
  /** Where the frame lies, for error messages. */
  readonly where: string;
}

/** A frame that could not be decoded. */
export interface DecodeFailure {
  readonly index: number;
  readonly message: string;
}

/** SHA-256 of every chunk, 32 bytes each, one after the other. */
export function hashChunks(slot: Slot, ranges: readonly ChunkRange[]): Uint8Array {
  const hashes = new Uint8Array(ranges.length * 32);
  for (const [index, range] of ranges.entries()) {
    hashes.set(sha256(slot.input.subarray(range.start, range.end)), index * 32);
  }
  return hashes;
}

/** Codes chunks into frames, back to back in the slot's output; returns their lengths. */
export function encodeChunks(slot: Slot, items: readonly EncodeItem[], policy: CodecPolicy): number[] {
  const lengths: number[] = [];
  let at = 0;
  for (const item of items) {
    const dtype = dtypeOfCode(item.dtype);
    if (dtype === undefined) throw new RangeError(`dtype code ${item.dtype} is not known`);
    const bytes = slot.input.subarray(item.start, item.end);
    const length = encodeFrameInto({ hash: item.hash, dtype, bytes, policy }, slot.output, at);
    at += length;
    lengths.push(length);
  }
  return lengths;
}

/** Decodes frames into the slot's output; what fails is reported, the others are there. */
export function decodeFrames(slot: Slot, items: readonly DecodeItem[], rehash: boolean): DecodeFailure[] {
  const failures: DecodeFailure[] = [];
  for (const [index, item] of items.entries()) {
    try {
      const out = slot.output.subarray(item.target, item.target + item.rawBytes);
      const frame = slot.input.subarray(item.start, item.end);
      const bytes = decodeFrame(frame, item.where, item.hash, { verifyHash: rehash, out });
      if (bytes !== out) out.set(bytes);
    } catch (error) {
      if (!(error instanceof TensorcaskError)) throw error;
      failures.push({ index, message: error.message });
    }
  }
  return failures;
}
