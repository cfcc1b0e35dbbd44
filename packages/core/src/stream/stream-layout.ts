/**
 * The stream format: one file, coded, without a store. Numbers are little-endian.
 *
 *   header, 24 bytes                        frames, back to back              end, 56 bytes
 *     0  u8[4]  magic "TCSF"                as in packs: codec's frame          0  u8[4]   magic "TCSE"
 *     4  u16    version: 0                  header draws them. Their            4  u32     reserved: 0
 *     6  u16    flags: 0                    chunks, one after the other,        8  u64     bytes of the original
 *     8  u64    bytes of the original,      are the original                   16  u8[32]  SHA-256 of the original
 *               or 2^64 - 1: not known                                         48  u64     xxHash64 of bytes 0-48
 *    16  u64    xxHash64 of bytes 0-16
 *
 * A frame and the end both have 56 bytes at least, and their first bytes differ, so a reader takes 56 bytes and knows what
 * it has. Nothing may follow the end. Without the end a stream is truncated, wherever it stops: each frame says that its chunk is
 * right, only the end says that the chunks are all there, in order.
 */
import { ByteReader, ByteWriter, checksum64, DamageError, equalBytes } from "@tensorcask/codec";

export const STREAM_HEADER_BYTES = 24;
/** Bytes of the end of a stream; a frame's header has as many, without its extension. */
export const STREAM_END_BYTES = 56;

const VERSION = 0;
const headerMagic: Uint8Array = new TextEncoder().encode("TCSF");
const endMagic: Uint8Array = new TextEncoder().encode("TCSE");
const SIZE_AT = 8;
const HEADER_CHECKSUM_AT = 16;
const END_CHECKSUM_AT = 48;

/** What the end of a stream says. */
export interface StreamEnd {
  /** Length of the original. */
  readonly bytes: number;
  readonly sha256: Uint8Array;
}

/** The header of a stream. `size`: bytes of the original, undefined when not known yet. */
export function writeStreamHeader(size: number | undefined): Uint8Array {
  const writer = new ByteWriter(STREAM_HEADER_BYTES).bytes(headerMagic).u16(VERSION).u16(0);
  if (size === undefined) writer.u32(0xffffffff).u32(0xffffffff);
  else writer.u64(size);
  const header = writer.u64(0).finish();
  checksum64(header.subarray(0, HEADER_CHECKSUM_AT), header, HEADER_CHECKSUM_AT);
  return header;
}

/** The size that a header gives; undefined when it was not known. Throws `DamageError`. */
export function readStreamHeader(header: Uint8Array, where: string): number | undefined {
  const magic = header.subarray(0, headerMagic.length);
  if (header.length === 0) throw new DamageError(where, "it is empty: no Tensorcask stream");
  if (!equalBytes(magic, headerMagic.subarray(0, magic.length)))
    throw new DamageError(where, "it is not a Tensorcask stream");
  if (header.length < STREAM_HEADER_BYTES) throw new DamageError(where, "it ends within its header");
  const reader = new ByteReader(header, where);
  reader.bytes(headerMagic.length);
  const version = reader.u16();
  // Before the checksum: a newer version may have another header.
  if (version !== VERSION) {
    throw new DamageError(where, `stream version ${version} is newer than this Tensorcask understands`);
  }
  checkChecksum(header, HEADER_CHECKSUM_AT, where, "header");
  const flags = reader.u16();
  if (flags !== 0) throw new DamageError(where, `stream flags ${flags} are unknown`);
  const isKnown = header.subarray(SIZE_AT, HEADER_CHECKSUM_AT).some((byte) => byte !== 0xff);
  return isKnown ? length(reader, where) : undefined;
}

export function writeStreamEnd({ bytes, sha256 }: StreamEnd): Uint8Array {
  const end = new ByteWriter(STREAM_END_BYTES)
    .bytes(endMagic)
    .u32(0)
    .u64(bytes)
    .bytes(sha256)
    .u64(0)
    .finish();
  checksum64(end.subarray(0, END_CHECKSUM_AT), end, END_CHECKSUM_AT);
  return end;
}

/** Whether the `STREAM_END_BYTES` behind a frame are the end of the stream. */
export function isStreamEnd(bytes: Uint8Array): boolean {
  return equalBytes(bytes.subarray(0, endMagic.length), endMagic);
}

/** Throws `DamageError`. */
export function readStreamEnd(end: Uint8Array, where: string): StreamEnd {
  checkChecksum(end, END_CHECKSUM_AT, where, "end");
  const reader = new ByteReader(end, where);
  reader.bytes(endMagic.length);
  const reserved = reader.u32();
  if (reserved !== 0) throw new DamageError(where, `the reserved field of the end is ${reserved}`);
  const bytes = length(reader, where);
  return { bytes, sha256: reader.bytes(32).slice() };
}

function checkChecksum(bytes: Uint8Array, at: number, where: string, what: string): void {
  const computed = new Uint8Array(8);
  checksum64(bytes.subarray(0, at), computed, 0);
  if (!equalBytes(computed, bytes.subarray(at))) {
    throw new DamageError(where, `the checksum of the stream's ${what} is wrong`);
  }
}

/** A length; one beyond 2^53 - 1 that has a right checksum was written by nothing that exists. */
function length(reader: ByteReader, where: string): number {
  try {
    return reader.u64();
  } catch (error) {
    throw new DamageError(where, "the length of the original is beyond 2^53 - 1", { cause: error });
  }
}
