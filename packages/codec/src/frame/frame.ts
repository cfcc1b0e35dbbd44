/**
 * Chunks to frames and back. Writing codes the chunk by a policy; reading verifies the checksum over the
 * whole frame first, then decodes, then holds the chunk against what the caller expected. `header.ts` draws
 * the layout.
 */
import { CHECKSUM_BYTES, checksum64OfParts } from "../bytes/checksum.ts";
import { equalBytes } from "../bytes/compare.ts";
import { SHA256_BYTES, sha256 } from "../bytes/hash.ts";
import { toHex } from "../bytes/hex.ts";
import { varintBytes } from "../bytes/varint.ts";
import { MAX_STEPS, type Step } from "../codec/chain.ts";
import type { Sibling } from "../codec/codec.ts";
import { type CodecPolicy, decodeChunk, encodeChunk } from "../codec/policy.ts";
import { DamageError, LimitError, UsageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";
import {
  FRAME_CHECKSUM_AT,
  FRAME_FIXED_BYTES,
  type FrameHeader,
  frameBytesOf,
  MAX_CHUNK_BYTES,
  needsSibling,
  readFrameHeader,
  writeFrameHeader,
} from "./header.ts";

/** A chunk that another one is coded against: from its first element on, whatever its length and type. */
export interface SiblingChunk extends Sibling {
  /** Its SHA-256; taken on trust. */
  readonly hash: Uint8Array;
}

/** A chunk to be framed. */
export interface FrameInput {
  /** SHA-256 of `bytes`; taken on trust. */
  readonly hash: Uint8Array;
  readonly dtype: DType;
  readonly bytes: Uint8Array;
  readonly policy: CodecPolicy;
  /**
   * A chunk to code against where that gives a shorter frame, by policies that use siblings. It must not be coded against another one
   * itself.
   */
  readonly sibling?: SiblingChunk | undefined;
}

export interface DecodeFrameOptions {
  /** Also hash the decoded chunk and compare: finds what a coder did wrong before the checksum was taken. */
  readonly verifyHash?: boolean;
  /** The chunk that the header names as its sibling. Frames that name none do without it. */
  readonly sibling?: Pick<SiblingChunk, "hash" | "bytes"> | undefined;
  /** Room for the chunk, of exactly its length: the result may lie there. */
  readonly out?: Uint8Array;
}

/** Codes a chunk by a policy and frames it; raw if coding saves nothing. */
export function encodeFrame({ hash, dtype, bytes, policy, sibling }: FrameInput): Uint8Array {
  const { steps, payload } = encodeChunk(bytes, dtype, policy, { sibling });
  return frameOf(hash, dtype, bytes.length, steps, payload, sibling?.hash);
}

/**
 * Codes a chunk and frames it in place: the frame begins at `at` of `into`, which needs room for header and chunk
 * (`MAX_HEADER_BYTES` and its length, at most). Returns the length of the frame.
 */
export function encodeFrameInto(input: FrameInput, into: Uint8Array, at: number): number {
  const { hash, dtype, bytes, policy, sibling } = input;
  checkFrameInput(hash, bytes.length);
  // Where the payload lies if the chunk takes one step, which is the common case: nothing is moved then.
  const payloadAt = at + FRAME_FIXED_BYTES + 1 + varintBytes(bytes.length);
  const { steps, payload } = encodeChunk(bytes, dtype, policy, { out: into.subarray(payloadAt), sibling });
  const header = writeFrameHeader({
    hash,
    dtype,
    rawBytes: bytes.length,
    steps,
    payloadBytes: payload.length,
    siblingHash: needsSibling(steps) ? sibling?.hash : undefined,
  });
  const isInPlace =
    payload.buffer === into.buffer && payload.byteOffset === into.byteOffset + at + header.length;
  if (!isInPlace) into.set(payload, at + header.length);
  into.set(header, at);
  const frame = into.subarray(at, at + header.length + payload.length);
  checksum64OfParts(covered(frame), frame, FRAME_CHECKSUM_AT);
  return frame.length;
}

function checkFrameInput(hash: Uint8Array, rawBytes: number): void {
  if (hash.length !== SHA256_BYTES) throw new UsageError("hash", `a chunk's hash has ${SHA256_BYTES} bytes`);
  if (rawBytes > MAX_CHUNK_BYTES) throw new LimitError("chunk bytes", rawBytes, MAX_CHUNK_BYTES);
}

/**
 * The frame of a chunk that is coded already; `siblingHash` is looked at if the first step needs a sibling.
 * Throws `LimitError` for chunks over 16 MiB.
 */
export function frameOf(
  hash: Uint8Array,
  dtype: DType,
  rawBytes: number,
  steps: readonly Step[],
  payload: Uint8Array,
  siblingHash?: Uint8Array,
): Uint8Array {
  checkFrameInput(hash, rawBytes);
  if (payload.length > MAX_CHUNK_BYTES)
    throw new LimitError("payload bytes", payload.length, MAX_CHUNK_BYTES);
  if (steps.length > MAX_STEPS) throw new LimitError("steps", steps.length, MAX_STEPS);
  const outermost = steps[0]?.inputBytes ?? payload.length;
  if (outermost !== rawBytes)
    throw new UsageError("steps", `the steps code ${outermost} bytes, the chunk has ${rawBytes}`);
  const header = writeFrameHeader({
    hash,
    dtype,
    rawBytes,
    steps,
    payloadBytes: payload.length,
    siblingHash: needsSibling(steps) ? siblingHash : undefined,
  });
  const frame = new Uint8Array(header.length + payload.length);
  frame.set(header);
  frame.set(payload, header.length);
  checksum64OfParts(covered(frame), frame, FRAME_CHECKSUM_AT);
  return frame;
}

/**
 * The chunk in a frame. `frame` must be exactly one frame; `where` (pack and offset) goes into errors. Throws
 * `DamageError` when any byte of it is not as written, when the chunk is not the one that `expectedHash` names,
 * and when it is coded against another chunk than the one that is given.
 * The result is a view of `frame` when the chunk is stored raw.
 */
export function decodeFrame(
  frame: Uint8Array,
  where: string,
  expectedHash?: Uint8Array,
  options: DecodeFrameOptions = {},
): Uint8Array {
  const header = verifyFrame(frame, where);
  if (expectedHash !== undefined && !equalBytes(header.hash, expectedHash)) {
    throw new DamageError(where, `holds chunk ${toHex(header.hash)}, ${toHex(expectedHash)} was expected`);
  }
  const payload = frame.subarray(header.headerBytes);
  const bytes = decodeChunk(payload, header.steps, header.rawBytes, header.dtype, where, {
    out: options.out?.length === header.rawBytes ? options.out : undefined,
    sibling: siblingOf(header, where, options),
  });
  if (options.verifyHash === true && !equalBytes(sha256(bytes), header.hash)) {
    throw new DamageError(where, `the chunk's SHA-256 is not ${toHex(header.hash)}`);
  }
  return bytes;
}

/** The bytes that the chunk is coded against, if it is. */
function siblingOf(
  { sibling }: FrameHeader,
  where: string,
  { sibling: given }: DecodeFrameOptions,
): Uint8Array | undefined {
  if (sibling === undefined) return undefined;
  if (given === undefined) {
    throw new DamageError(where, `is coded against chunk ${toHex(sibling)}, which is missing`);
  }
  if (!equalBytes(given.hash.subarray(0, sibling.length), sibling)) {
    throw new DamageError(
      where,
      `is coded against chunk ${toHex(sibling)}, not against ${toHex(given.hash)}, which was given`,
    );
  }
  return given.bytes;
}

/**
 * Checks length and checksum of exactly one frame without decoding it, and returns its header. Throws
 * `DamageError`.
 */
export function verifyFrame(frame: Uint8Array, where: string): FrameHeader {
  const frameBytes = frameBytesOf(frame, where);
  if (frame.length !== frameBytes) {
    throw new DamageError(where, `a frame of ${frameBytes} bytes was expected, ${frame.length} are there`);
  }
  checksum64OfParts(covered(frame), computed, 0);
  if (!equalBytes(computed, frame.subarray(FRAME_CHECKSUM_AT, FRAME_FIXED_BYTES))) {
    throw new DamageError(where, "the frame's checksum is wrong");
  }
  return readFrameHeader(frame, where);
}

const computed = new Uint8Array(CHECKSUM_BYTES);

/** What the checksum covers: everything but itself. */
function covered(frame: Uint8Array): Uint8Array[] {
  return [frame.subarray(0, FRAME_CHECKSUM_AT), frame.subarray(FRAME_FIXED_BYTES)];
}
