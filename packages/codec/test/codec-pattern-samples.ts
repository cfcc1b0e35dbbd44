/** Data with patterns of several scales, seeded, as tensors have it: what `hierarchical` and `pattern251` are for. */
import { noise, random } from "./codec-samples.ts";

/** `bytes` bytes that repeat `pattern`. */
export function periodic(bytes: number, pattern: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => pattern[index % pattern.length]!);
}

/** Tiles from a library of noise, in random order: kernels that a network uses again and again. */
export function tiles(bytes: number, tileBytes: number, libraryTiles: number, seed: number): Uint8Array {
  const library = noise(tileBytes * libraryTiles, seed);
  const next = random(seed + 1);
  const output = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += tileBytes) {
    const start = Math.floor(next() * libraryTiles) * tileBytes;
    output.set(library.subarray(start, start + Math.min(tileBytes, bytes - at)), at);
  }
  return output;
}

/** Blocks of 16 tiles of 36 bytes, both from libraries: patterns of patterns. */
export function tiledBlocks(bytes: number, seed: number): Uint8Array {
  const next = random(seed);
  const library = noise(36 * 64, seed + 1);
  const blocks = Array.from({ length: 40 }, () => {
    const block = new Uint8Array(16 * 36);
    for (let tile = 0; tile < 16; tile++) {
      const start = Math.floor(next() * 64) * 36;
      block.set(library.subarray(start, start + 36), tile * 36);
    }
    return block;
  });
  const output = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 16 * 36) {
    output.set(blocks[Math.floor(next() * blocks.length)]!.subarray(0, bytes - at), at);
  }
  return output;
}

/** Padding masks of float32, a row per sequence: zeros up to its length, then minus infinity. */
export function paddingMasks(bytes: number, columns: number, seed: number): Uint8Array {
  const next = random(seed);
  const mask = new Float32Array(bytes / 4);
  for (let row = 0; row < mask.length; row += columns) {
    mask.fill(Number.NEGATIVE_INFINITY, row + Math.floor(16 + next() * (columns - 16)), row + columns);
  }
  return new Uint8Array(mask.buffer);
}

/** The causal mask of `size` positions, once per head. */
export function causalMasks(bytes: number, size: number): Uint8Array {
  const mask = Float32Array.from({ length: bytes / 4 }, (_, index) => {
    const place = index % (size * size);
    return place % size <= Math.floor(place / size) ? 0 : Number.NEGATIVE_INFINITY;
  });
  return new Uint8Array(mask.buffer);
}

/** Records of 48 bytes: a counter, one of 50 names with its number, a random float32, one of 200 names. */
export function records(bytes: number, seed: number): Uint8Array {
  const next = random(seed);
  const types = Array.from({ length: 50 }, (_, index) => noise(14, seed + 100 + index));
  const classes = Array.from({ length: 200 }, (_, index) => noise(24, seed + 500 + index));
  const output = new Uint8Array(bytes);
  const view = new DataView(output.buffer);
  for (let at = 0; at + 48 <= bytes; at += 48) {
    const type = Math.floor(next() * types.length);
    view.setUint32(at, at / 48, true);
    view.setUint16(at + 4, type, true);
    output.set(types[type]!, at + 6);
    view.setFloat32(at + 20, next(), true);
    output.set(classes[Math.floor(next() * classes.length)]!, at + 24);
  }
  return output;
}
