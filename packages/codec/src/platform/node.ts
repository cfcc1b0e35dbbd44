/** The platform under Node: node:crypto, node:zlib (zstd and brotli included) and native LZ4 blocks. See platform.ts for what each function promises. */
import { createHash, hash } from "node:crypto";
import {
  brotliCompressSync,
  brotliDecompressSync,
  constants,
  gunzipSync,
  gzipSync,
  zstdCompressSync,
  zstdDecompressSync,
} from "node:zlib";
import { compressSync } from "lz4-napi";
import { DamageError } from "../errors/errors.ts";
import { readGzipMember } from "./gzip-member.ts";
import { decodeLz4Frame, encodeLz4Frame, readLz4Frame } from "./lz4-frame.ts";
import type { Sha256, ZstdOptions, ZstdParameters } from "./platform.ts";
import { readZstdFrame } from "./zstd-frame.ts";

export type { Platform, Sha256, ZstdOptions, ZstdParameters } from "./platform.ts";

/** zlib refuses output chunks smaller than this. */
const MIN_CHUNK_BYTES = 64;
/** What lz4-napi writes before a block: the u32 length of its content. */
const LZ4_PREFIX_BYTES = 4;

const zstdParameterIds: { readonly [name in keyof Required<ZstdParameters>]: number } = {
  windowLog: constants.ZSTD_c_windowLog,
  hashLog: constants.ZSTD_c_hashLog,
  chainLog: constants.ZSTD_c_chainLog,
  searchLog: constants.ZSTD_c_searchLog,
  minMatch: constants.ZSTD_c_minMatch,
  targetLength: constants.ZSTD_c_targetLength,
  strategy: constants.ZSTD_c_strategy,
};

/** What node:zlib returns under `info: true`. */
interface Inflated {
  readonly buffer: Buffer;
  /** `bytesWritten` counts the input bytes that were consumed. */
  readonly engine: { readonly bytesWritten: number };
}

/** Nothing has to be loaded on this platform. */
export function platformReady(): Promise<void> {
  return Promise.resolve();
}

export function sha256(data: Uint8Array): Uint8Array {
  return plain(hash("sha256", data, "buffer"));
}

export function createSha256(): Sha256 {
  const state = createHash("sha256");
  return {
    update(data) {
      state.update(data);
    },
    digest() {
      return plain(state.digest());
    },
  };
}

export function gzip(data: Uint8Array, level: number): Uint8Array {
  return plain(gzipSync(data, { level }));
}

export function gunzip(data: Uint8Array, maxBytes: number): Uint8Array {
  const { contentBytes } = readGzipMember(data, maxBytes);
  // One byte more than the content, so that one call into zlib finds both all of it and the end.
  const chunkSize = Math.max(contentBytes + 1, MIN_CHUNK_BYTES);
  const result = inflated("gzip", data, () =>
    gunzipSync(data, { chunkSize, maxOutputLength: Math.max(1, contentBytes), info: true }),
  );
  if (result.length !== contentBytes) {
    throw new DamageError("gzip", `${result.length} bytes came out, ${contentBytes} were declared`);
  }
  return result;
}

export function zstd(data: Uint8Array, options: ZstdOptions = {}): Uint8Array {
  const params: Record<number, number> = { [constants.ZSTD_c_compressionLevel]: options.level ?? 3 };
  for (const [name, value] of Object.entries(options.parameters ?? {})) {
    params[zstdParameterIds[name as keyof ZstdParameters]] = value;
  }
  return plain(zstdCompressSync(data, { params, pledgedSrcSize: data.length }));
}

export function unzstd(data: Uint8Array, maxBytes: number): Uint8Array {
  const { contentBytes } = readZstdFrame(data, maxBytes);
  const chunkSize = Math.max((contentBytes ?? Math.min(maxBytes, 1 << 20)) + 1, MIN_CHUNK_BYTES);
  const result = inflated("zstd", data, () =>
    zstdDecompressSync(data, { chunkSize, maxOutputLength: Math.max(1, maxBytes), info: true }),
  );
  if (result.length > maxBytes) throw new DamageError("zstd", `more than ${maxBytes} bytes come out`);
  return result;
}

export function brotli(data: Uint8Array, quality: number): Uint8Array {
  // The window is the smallest that spans the data (RFC 7932: 2^10 to 2^24): decoders reserve memory by it.
  const window = Math.min(Math.max(Math.ceil(Math.log2(data.length + 16)), 10), 24);
  const params = {
    [constants.BROTLI_PARAM_QUALITY]: quality,
    [constants.BROTLI_PARAM_LGWIN]: window,
    [constants.BROTLI_PARAM_SIZE_HINT]: data.length,
  };
  return plain(brotliCompressSync(data, { params }));
}

export function unbrotli(data: Uint8Array, maxBytes: number): Uint8Array {
  const chunkSize = Math.max(Math.min(maxBytes, 1 << 20) + 1, MIN_CHUNK_BYTES);
  const result = inflated("brotli", data, () =>
    brotliDecompressSync(data, { chunkSize, maxOutputLength: Math.max(1, maxBytes), info: true }),
  );
  if (result.length > maxBytes) throw new DamageError("brotli", `more than ${maxBytes} bytes come out`);
  return result;
}

export function lz4Compress(data: Uint8Array, _level: number): Uint8Array {
  return encodeLz4Frame(data, (block) => plain(compressSync(buffer(block))).subarray(LZ4_PREFIX_BYTES));
}

/** Not the native frame decoder: that one cannot be capped, takes frames without an end mark, and measured slower. */
export function lz4Decompress(data: Uint8Array, maxBytes: number): Uint8Array {
  return decodeLz4Frame(data, readLz4Frame(data, maxBytes), maxBytes);
}

/** Runs a decoder of node:zlib and checks that it has consumed all of `data`. */
function inflated(where: string, data: Uint8Array, decode: () => unknown): Uint8Array {
  let result: Inflated;
  try {
    result = decode() as Inflated;
  } catch (cause) {
    throw new DamageError(where, "the data cannot be decoded", { cause });
  }
  if (result.engine.bytesWritten !== data.length) throw new DamageError(where, "bytes follow the data");
  return plain(result.buffer);
}

function buffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

/** A Buffer as a bare Uint8Array over the same memory, so that both platforms return the same class. */
function plain(data: Buffer): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
