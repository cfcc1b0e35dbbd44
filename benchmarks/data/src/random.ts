/** Seeded random numbers. */

/** Numbers from 0 to 2^32 - 1: sfc32, which passes PractRand and takes eight operations. */
export function randomWords(seed: number): () => number {
  let a = seed >>> 0;
  let b = 0x9e3779b9;
  let c = 0x243f6a88;
  let counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + sum) | 0;
    return sum >>> 0;
  };
  for (let skipped = 0; skipped < 16; skipped++) next();
  return next;
}

/** Whole numbers from 0 to below `count`, which is at most 2^21, so that the product is exact. */
export function randomBelow(random: () => number): (count: number) => number {
  return (count) => Math.floor((random() * count) / 2 ** 32);
}

/** Bytes without any structure. */
export function randomBytes(random: () => number, bytes: number): Uint8Array<ArrayBuffer> {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let at = 0; at < words.length; at++) words[at] = random();
  return new Uint8Array(words.buffer, 0, bytes);
}

const PLACES = 65_536;

/**
 * Numbers below `weights.length` as often as their weights say, at one table look-up each: 65,536 places are shared
 * out in proportion, at least one to each.
 */
export function weighted(random: () => number, weights: readonly number[]): () => number {
  const table = sharedOut(weights);
  return () => table[random() >>> 16]!;
}

function sharedOut(weights: readonly number[]): Uint16Array {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const spare = PLACES - weights.length;
  const table = new Uint16Array(PLACES);
  let at = 0;
  let before = 0;
  for (const [index, weight] of weights.entries()) {
    before += weight;
    const end = index + 1 + Math.floor((spare * before) / total);
    table.fill(index, at, end);
    at = end;
  }
  table.fill(weights.length - 1, at);
  return table;
}
