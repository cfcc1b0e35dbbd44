/**
 * The platform without native parts, for browsers: fflate, lz4js, fzstd and @noble/hashes. Slow beside node.ts (SHA-256 73 MB/s
 * against 1,650), but it reads the same bytes. See platform.ts for what each function promises.
 *
 * lz4js and fflate return wrong bytes on damaged input without an error, so the LZ4 decoder is our own (lz4-frame.ts) and gzip's
 * length and CRC are checked here. fflate does not tell where the deflate stream ended, so bytes between it and a right trailer go
 * unnoticed; the frame's checksum, which covers them, does not.
 */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { gzipSync, inflateSync } from "fflate";
import { Decompress } from "fzstd";
import { createXXHash64, type IHasher } from "hash-wasm";
import { compress } from "lz4js";
import { DamageError, UsageError } from "../errors/errors.ts";
import { crc32, readGzipMember } from "./gzip-member.ts";
import { decodeLz4Frame, readLz4Frame } from "./lz4-frame.ts";
import type { Sha256, ZstdOptions } from "./platform.ts";
import { readZstdFrame } from "./zstd-frame.ts";

export type { Platform, Sha256, ZstdOptions, ZstdParameters } from "./platform.ts";

type GzipLevel = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;

let xxh64: IHasher | undefined;

/** Loads the hash that checks zstd frames with a checksum. */
export async function platformReady(): Promise<void> {
  xxh64 ??= await createXXHash64();
}

export function sha256(data: Uint8Array): Uint8Array {
  return nobleSha256(data);
}

export function createSha256(): Sha256 {
  const state = nobleSha256.create();
  return {
    update(data) {
      state.update(data);
    },
    digest() {
      return state.digest();
    },
  };
}

export function gzip(data: Uint8Array, level: number): Uint8Array {
  return gzipSync(data, { level: level as GzipLevel, mtime: 0 });
}

export function gunzip(data: Uint8Array, maxBytes: number): Uint8Array {
  const member = readGzipMember(data, maxBytes);
  // One spare byte shows content that is longer than the trailer says: fflate drops what does not fit.
  const out = new Uint8Array(member.contentBytes + 1);
  let content: Uint8Array;
  try {
    content = inflateSync(data.subarray(member.deflateStart, member.deflateEnd), { out });
  } catch (cause) {
    throw new DamageError("gzip", "the data cannot be decoded", { cause });
  }
  if (content.length !== member.contentBytes) throw new DamageError("gzip", "the content's length is wrong");
  if (crc32(content) !== member.crc32) throw new DamageError("gzip", "the content's checksum is wrong");
  return content;
}

export function zstd(_data: Uint8Array, _options: ZstdOptions = {}): Uint8Array {
  throw new UsageError("codec", "a browser cannot encode zstd; choose gzip or lz4, or let the server encode");
}

export function unzstd(data: Uint8Array, maxBytes: number): Uint8Array {
  const frame = readZstdFrame(data, maxBytes);
  const limit = frame.contentBytes ?? maxBytes;
  const pieces: Uint8Array[] = [];
  let total = 0;
  // Block by block, so that a few bytes that claim to be many are stopped at the limit.
  const decoder = new Decompress((piece) => {
    total += piece.length;
    if (total > limit) throw new DamageError("zstd", `more than ${limit} bytes come out`);
    pieces.push(piece);
  });
  try {
    decoder.push(data, true);
  } catch (cause) {
    if (cause instanceof DamageError) throw cause;
    throw new DamageError("zstd", "the data cannot be decoded", { cause });
  }
  if (frame.contentBytes !== undefined && total !== frame.contentBytes) {
    throw new DamageError("zstd", `${total} bytes came out, ${frame.contentBytes} were declared`);
  }
  const content = joined(pieces, total);
  if (frame.checksum !== undefined) verifyZstdChecksum(content, frame.checksum);
  return content;
}

export function brotli(_data: Uint8Array, _quality: number): Uint8Array {
  throw new UsageError(
    "codec",
    "a browser cannot encode brotli; choose gzip or lz4, or let the server encode",
  );
}

export function unbrotli(_data: Uint8Array, _maxBytes: number): Uint8Array {
  throw new UsageError("codec", "a browser cannot decode brotli; let the server decode, or store with zstd");
}

export function lz4Compress(data: Uint8Array, _level: number): Uint8Array {
  return compress(data);
}

export function lz4Decompress(data: Uint8Array, maxBytes: number): Uint8Array {
  return decodeLz4Frame(data, readLz4Frame(data, maxBytes), maxBytes);
}

function joined(pieces: readonly Uint8Array[], total: number): Uint8Array {
  const out = new Uint8Array(total);
  let at = 0;
  for (const piece of pieces) {
    out.set(piece, at);
    at += piece.length;
  }
  return out;
}

function verifyZstdChecksum(content: Uint8Array, checksum: number): void {
  if (xxh64 === undefined) throw new UsageError("ready", "await ready() before decoding");
  xxh64.init();
  xxh64.update(content);
  // hash-wasm writes the hash most significant byte first: the low half is the last four bytes.
  const digest = xxh64.digest("binary");
  const low = new DataView(digest.buffer, digest.byteOffset, 8).getUint32(4, false);
  if (low !== checksum) throw new DamageError("zstd", "the content's checksum is wrong");
}
