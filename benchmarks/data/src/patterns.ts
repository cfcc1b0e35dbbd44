/** What comes again: a tile of noise over and over, and patterns of patterns of patterns. And noise, in which nothing does. */
import { randomBelow, randomBytes, randomWords } from "./random.ts";
import { type Kind, opaque } from "./sample.ts";

/** No multiple of an element's size, and prime to all powers of two. */
const TILE_BYTES = 999;

/** How many patterns there are of each scale, and of how many of the scale below each is made. */
const ATOM_BYTES = 36;
const SCALE_PATTERNS: readonly number[] = [64, 40, 24];
const PARTS = 12;

function periodic(seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const tile = randomBytes(randomWords(seed), TILE_BYTES);
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += TILE_BYTES) data.set(tile.subarray(0, bytes - at), at);
  return data;
}

function multiScale(seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const random = randomWords(seed);
  const below = randomBelow(random);
  let patterns: Uint8Array[] = [];
  for (const [scale, count] of SCALE_PATTERNS.entries()) {
    const parts = patterns;
    patterns = Array.from({ length: count }, () =>
      scale === 0
        ? randomBytes(random, ATOM_BYTES)
        : Buffer.concat(Array.from({ length: PARTS }, () => parts[below(parts.length)]!)),
    );
  }
  const data = new Uint8Array(bytes);
  for (let at = 0; at < bytes; ) {
    const pattern = patterns[below(patterns.length)]!;
    data.set(pattern.subarray(0, bytes - at), at);
    at += pattern.length;
  }
  return data;
}

export const patternKinds: readonly Kind[] = [
  {
    name: "periodic",
    description: "a tile of 999 bytes of noise, over and over",
    origin: "seeded",
    generate: (seed, bytes) => opaque(periodic(seed, bytes)),
  },
  {
    name: "multi-scale",
    description: "patterns made of patterns made of patterns of 36 bytes, in no order",
    origin: "seeded",
    generate: (seed, bytes) => opaque(multiScale(seed, bytes)),
  },
  {
    name: "random",
    description: "random bytes, which nothing makes smaller",
    origin: "seeded",
    generate: (seed, bytes) => opaque(randomBytes(randomWords(seed), bytes)),
  },
];
