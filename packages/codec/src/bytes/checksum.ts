/**
 * The checksum of frames: xxHash64 with seed 0, stored as 8 little-endian bytes. It finds damage at several GB/s before anything is
 * decoded; identity is SHA-256's business.
 */
import { createXXHash64, type IHasher } from "hash-wasm";
import { UsageError } from "../errors/errors.ts";

/** Length of a stored checksum. */
export const CHECKSUM_BYTES = 8;

let hasher: IHasher | undefined;

/** Loads the WebAssembly hash. `ready()` awaits it. */
export async function checksumReady(): Promise<void> {
  hasher ??= await createXXHash64();
}

/** Writes the checksum of `bytes` to `into[at, at + 8)`. `into` may be the same memory: it is written last. */
export function checksum64(bytes: Uint8Array, into: Uint8Array, at: number): void {
  checksum64OfParts([bytes], into, at);
}

/** As `checksum64`, over parts as if they lay one after the other. */
export function checksum64OfParts(parts: readonly Uint8Array[], into: Uint8Array, at: number): void {
  if (hasher === undefined) throw new UsageError("ready", "await ready() before taking checksums");
  hasher.init();
  for (const part of parts) hasher.update(part);
  // hash-wasm gives the most significant byte first.
  const digest = hasher.digest("binary");
  for (let index = 0; index < CHECKSUM_BYTES; index++) into[at + index] = digest[CHECKSUM_BYTES - 1 - index]!;
}

/** The checksum of `bytes`: 8 bytes, little-endian. */
export function checksum64Of(bytes: Uint8Array): Uint8Array {
  const checksum = new Uint8Array(CHECKSUM_BYTES);
  checksum64(bytes, checksum, 0);
  return checksum;
}
