/**
 * The header of a frame, a chunk as it lies on disk. All numbers are little-endian.
 *
 *     0  u16      magic "TF"
 *     2  u8       version: 0
 *     3  u8       flags. Bit 0: the chunk is coded against another one, its sibling. Other bits: 0
 *     4  u32      payload bytes
 *     8  u32      raw bytes: length of the chunk
 *    12  u8       dtype code of the chunk's elements
 *    13  u8       n: number of coding steps
 *    14  u16      extension bytes: what lies between byte 56 and the payload
 *    16  u8[32]   SHA-256 of the chunk
 *    48  u64      xxHash64 of bytes 0-48 and of all bytes from 56 on
 *    56  extension: n x (codec code u8, input bytes varint), in the order of encoding
 *     .             with flag bit 0: u8[16], the first 16 bytes of the SHA-256 of the sibling
 *     .  payload
 *
 * The checksum covers everything but itself, so damage anywhere shows before anything is decoded. No steps:
 * the payload is the chunk. Frames lie back to back in packs, and a header alone tells where the next one
 * begins. A sibling is named by its hash, not by its id: frames are written before ids are given out, and the
 * sibling of a chunk may come with the same import. With a sibling the first step is one that needs it, without
 * one no step is.
 */
import { SHA256_BYTES } from "../bytes/hash.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { SIBLING_REFERENCE_BYTES } from "../codec/auto-sibling.ts";
import { MAX_STEP_BYTES, MAX_STEPS, type Step } from "../codec/chain.ts";
import { codecOfCode } from "../codec/registry.ts";
import { DamageError, LimitError, UsageError } from "../errors/errors.ts";
import { type DType, dtypeOfCode } from "../tensor/dtype.ts";

export const FRAME_MAGIC = 0x4654;
export const FRAME_VERSION = 0;
/** Bytes of a header without its extension. */
export const FRAME_FIXED_BYTES = 56;
/** Where the checksum lies in the header. */
export const FRAME_CHECKSUM_AT = 48;
const HASH_AT = 16;
const HAS_SIBLING = 1;

/**
 * Longest chunk: 1,048,576 elements (the largest chunk size) of 16 bytes. A decoder takes this much memory at
 * most on the word of a header.
 */
export const MAX_CHUNK_BYTES = 16_777_216;

/** Longest extension: 8 steps of a code and a length of at most 4 bytes, a sibling's 16 bytes, and room to spare. */
export const MAX_EXTENSION_BYTES = 128;

/**
 * A frame's header and extension fit in this many bytes: what to read at once where only headers are wanted.
 */
export const MAX_HEADER_BYTES: number = FRAME_FIXED_BYTES + MAX_EXTENSION_BYTES;

/**
 * Longest frame. Payloads are never longer than their chunks: what coding does not make smaller is stored
 * raw.
 */
export const MAX_FRAME_BYTES: number = MAX_HEADER_BYTES + MAX_CHUNK_BYTES;

/** What a header says. */
export interface FrameHeader {
  /** Bytes of the whole frame. */
  readonly frameBytes: number;
  /** Offset of the payload in the frame. */
  readonly headerBytes: number;
  readonly payloadBytes: number;
  /** Bytes of the chunk. */
  readonly rawBytes: number;
  readonly dtype: DType;
  /** SHA-256 of the chunk: a copy. */
  readonly hash: Uint8Array;
  readonly steps: readonly Step[];
  /** The codes of the steps. */
  readonly chain: readonly number[];
  /** First 16 bytes of the SHA-256 of the chunk that this one is coded against: a copy. */
  readonly sibling?: Uint8Array;
}

/** What a header is written from. */
export interface HeaderParts {
  readonly hash: Uint8Array;
  readonly dtype: DType;
  readonly rawBytes: number;
  readonly steps: readonly Step[];
  readonly payloadBytes: number;
  /** SHA-256 of the chunk that this one is coded against, if it is: the first step says so. */
  readonly siblingHash?: Uint8Array | undefined;
}

/**
 * Header and extension, the checksum still zero. Throws `UsageError` when the first step needs a sibling and there is none, or the
 * reverse.
 */
export function writeFrameHeader(parts: HeaderParts): Uint8Array<ArrayBuffer> {
  const extension = new ByteWriter(MAX_EXTENSION_BYTES);
  for (const { code, inputBytes } of parts.steps) extension.u8(code).varint(inputBytes);
  const { siblingHash } = parts;
  if (needsSibling(parts.steps) !== (siblingHash !== undefined))
    throw new UsageError("sibling", "a frame names a sibling if its first step needs one, and only then");
  if (siblingHash !== undefined) extension.bytes(siblingHash.subarray(0, SIBLING_REFERENCE_BYTES));
  return new ByteWriter(MAX_HEADER_BYTES)
    .u16(FRAME_MAGIC)
    .u8(FRAME_VERSION)
    .u8(siblingHash === undefined ? 0 : HAS_SIBLING)
    .u32(parts.payloadBytes)
    .u32(parts.rawBytes)
    .u8(parts.dtype.code)
    .u8(parts.steps.length)
    .u16(extension.length)
    .bytes(parts.hash)
    .u64(0)
    .bytes(extension.finish())
    .finish();
}

/**
 * Reads the header at the start of `bytes`, which may hold more or less than the frame but must hold header
 * and extension (`MAX_HEADER_BYTES` always do). The checksum is not looked at. Throws `DamageError` naming
 * `where`.
 */
export function readFrameHeader(bytes: Uint8Array, where: string): FrameHeader {
  try {
    return parseFrameHeader(bytes, where);
  } catch (error) {
    // A number that no frame can hold is damage like any other here.
    if (error instanceof LimitError) throw new DamageError(where, error.message, { cause: error });
    throw error;
  }
}

/**
 * Length of the frame at the start of `bytes` (at least 16 of them), from its length fields alone. Throws
 * `DamageError` over the limits.
 */
export function frameBytesOf(bytes: Uint8Array, where: string): number {
  const reader = new ByteReader(bytes, where);
  const magic = reader.u16();
  if (magic !== FRAME_MAGIC) throw new DamageError(where, "no frame begins here");
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw new DamageError(where, `frame version ${version} is unknown`);
  const flags = reader.u8();
  if (flags > HAS_SIBLING) throw new DamageError(where, `frame flags ${flags} are unknown`);
  const payloadBytes = reader.u32();
  reader.bytes(6);
  const extensionBytes = reader.u16();
  atMost(payloadBytes, MAX_CHUNK_BYTES, "payload bytes", where);
  atMost(extensionBytes, MAX_EXTENSION_BYTES, "extension bytes", where);
  return FRAME_FIXED_BYTES + extensionBytes + payloadBytes;
}

function parseFrameHeader(bytes: Uint8Array, where: string): FrameHeader {
  const frameBytes = frameBytesOf(bytes, where);
  const reader = new ByteReader(bytes, where);
  reader.bytes(3);
  const hasSibling = reader.u8() === HAS_SIBLING;
  const payloadBytes = reader.u32();
  const rawBytes = reader.u32();
  atMost(rawBytes, MAX_CHUNK_BYTES, "raw bytes", where);
  const dtypeCode = reader.u8();
  const dtype = dtypeOfCode(dtypeCode);
  if (dtype === undefined) throw new DamageError(where, `dtype code ${dtypeCode} is unknown`);
  const stepCount = reader.u8();
  atMost(stepCount, MAX_STEPS, "steps", where);
  const extensionBytes = reader.u16();
  reader.bytes(FRAME_FIXED_BYTES - HASH_AT);
  const extension = new ByteReader(reader.bytes(extensionBytes), where);
  const steps: Step[] = [];
  for (let index = 0; index < stepCount; index++) {
    const code = extension.u8();
    const inputBytes = extension.varint();
    atMost(inputBytes, MAX_STEP_BYTES, `input bytes of step ${index + 1}`, where);
    steps.push({ code, inputBytes });
  }
  const sibling = hasSibling ? extension.bytes(SIBLING_REFERENCE_BYTES).slice() : undefined;
  if (extension.remaining > 0)
    throw new DamageError(where, `${extension.remaining} unknown bytes in the header`);
  const outermost = steps[0]?.inputBytes ?? payloadBytes;
  if (outermost !== rawBytes)
    throw new DamageError(where, `codes ${outermost} bytes of a chunk of ${rawBytes}`);
  if (needsSibling(steps) !== hasSibling) {
    throw new DamageError(
      where,
      hasSibling
        ? "names a sibling that its first step does not need"
        : "names no sibling, which its first step needs",
    );
  }
  return {
    frameBytes,
    headerBytes: FRAME_FIXED_BYTES + extensionBytes,
    payloadBytes,
    rawBytes,
    dtype,
    hash: bytes.slice(HASH_AT, HASH_AT + SHA256_BYTES),
    steps,
    chain: steps.map((step) => step.code),
    ...(sibling !== undefined && { sibling }),
  };
}

/** Whether a chunk of these steps is coded against another one. */
export function needsSibling(steps: readonly Step[]): boolean {
  const first = steps[0];
  return first !== undefined && codecOfCode(first.code)?.needsSibling === true;
}

function atMost(value: number, maximum: number, what: string, where: string): void {
  if (value > maximum) throw new DamageError(where, `${what}: ${value}, the limit is ${maximum}`);
}
