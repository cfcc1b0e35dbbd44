/** The parts of lz4js that Tensorcask uses; the package has no types. */
declare module "lz4js" {
  /** Compresses to an LZ4 frame. */
  export function compress(source: Uint8Array): Uint8Array;
  /** Decompresses an LZ4 frame, without checking anything: for tests only. */
  export function decompress(source: Uint8Array): Uint8Array;
}

declare module "lz4js/xxh32.js" {
  /** XXH32 of `source[index, index + length)`. */
  export function hash(seed: number, source: Uint8Array, index: number, length: number): number;
}
