/**
 * What differs between Node and browsers. `#platform` in package.json's `imports` map picks the file: `node.ts` (node:zlib,
 * node:crypto, native LZ4) or `portable.ts` (fflate, lz4js, fzstd, @noble/hashes). Each side decodes what the other wrote;
 * encoders may differ in bytes. The functions are synchronous, and usable once `platformReady()` has resolved.
 *
 * Inputs may be views over shared memory at any offset. Results are fresh, but may be views into a larger buffer.
 */

/** Names of zstd's advanced parameters; values as in zstd.h. A parameter of 0 is zstd's default. */
export interface ZstdParameters {
  readonly windowLog?: number;
  readonly hashLog?: number;
  readonly chainLog?: number;
  readonly searchLog?: number;
  readonly minMatch?: number;
  readonly targetLength?: number;
  readonly strategy?: number;
}

/** How to encode zstd: `level` 1 to 22 (3 if absent), and parameters that override what the level implies. */
export interface ZstdOptions {
  readonly level?: number;
  readonly parameters?: ZstdParameters;
}

/** SHA-256 of data that comes in pieces. After `digest` it must not be used any more. */
export interface Sha256 {
  update(data: Uint8Array): void;
  digest(): Uint8Array;
}

/** The functions that each platform file exports. Decoders throw `DamageError`, also when more than `maxBytes` would come out. */
export interface Platform {
  /** Awaits what must be loaded before the other functions work. */
  platformReady(): Promise<void>;
  /** SHA-256 (32 bytes). */
  sha256(data: Uint8Array): Uint8Array;
  createSha256(): Sha256;
  /** One RFC 1952 member without name or time, `level` 1 to 9. */
  gzip(data: Uint8Array, level: number): Uint8Array;
  /** Exactly one member; its CRC is checked. Browsers do not see a second member with the same content behind it. */
  gunzip(data: Uint8Array, maxBytes: number): Uint8Array;
  /** One zstd frame that declares its content size. Throws `UsageError` in browsers. */
  zstd(data: Uint8Array, options?: ZstdOptions): Uint8Array;
  /** Exactly one frame without dictionary, nothing behind it. */
  unzstd(data: Uint8Array, maxBytes: number): Uint8Array;
  /** A brotli stream, `quality` 0 to 11. Throws `UsageError` in browsers. */
  brotli(data: Uint8Array, quality: number): Uint8Array;
  /** Exactly one brotli stream, nothing behind it. Throws `UsageError` in browsers. */
  unbrotli(data: Uint8Array, maxBytes: number): Uint8Array;
  /** An LZ4 frame. Both encoders know one effort only, so every `level` gives the same bytes. */
  lz4Compress(data: Uint8Array, level: number): Uint8Array;
  /** Exactly one LZ4 frame, nothing behind it; checksums in it are checked. */
  lz4Decompress(data: Uint8Array, maxBytes: number): Uint8Array;
}
