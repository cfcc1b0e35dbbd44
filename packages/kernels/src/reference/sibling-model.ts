/** What a difference block says of its elements, plainly: words as numbers, classes, buckets, frequencies. See ../sibling/format.ts. */
import type { WordLayout } from "../entropy/encode.ts";

/** Elements that share a level, and classes of symbols. */
export const GROUP = 256;
export const CLASSES = 16;
export const EQUAL = -1;

/** The `i`-th word, little-endian; 0 behind the last one. */
export function wordAt(bytes: Uint8Array, width: number, i: number): number {
  let word = 0;
  for (let k = 0; k < width; k++) word += (bytes[i * width + k] ?? 0) * 256 ** k;
  return word;
}

export function putWord(bytes: Uint8Array, width: number, i: number, word: number): void {
  for (let k = 0; k < width; k++) bytes[i * width + k] = Math.floor(word / 256 ** k) % 256;
}

/** A word turned so that words on the other side of zero follow those on the sibling's own, downwards. */
function turned(word: number, sibling: number, width: number): number {
  const half = 2 ** (8 * width - 1);
  return word >= half === sibling >= half ? word % half : -1 - (word % half);
}

/** The difference of a word to its sibling, from -2^(bits - 1) on. */
export function differenceOf(word: number, sibling: number, width: number): number {
  const half = 2 ** (8 * width - 1);
  const difference = turned(word, sibling, width) - (sibling % half);
  return difference < -half ? difference + 2 * half : difference;
}

/** The inverse. */
export function wordFrom(difference: number, sibling: number, width: number): number {
  const half = 2 ** (8 * width - 1);
  const sign = sibling >= half;
  let place = (sibling % half) + difference;
  if (place < -half) place += 2 * half;
  if (place >= half) place -= 2 * half;
  return place >= 0 ? place + (sign ? half : 0) : -1 - place + (sign ? 0 : half);
}

/** The class of an element from its group's level and its sibling. */
export function classOf(level: number, sibling: number, layout: WordLayout): number {
  const mantissaBits = 8 * layout.elementBytes - 1 - layout.exponentBits;
  const exponent = Math.floor(sibling / 2 ** mantissaBits) % 2 ** layout.exponentBits;
  return Math.min(CLASSES - 1, Math.max(0, level - exponent));
}

/** How many bits a bucket leaves open. */
export function openBits(bucket: number, precision: number): number {
  return Math.max(0, Math.floor(bucket / 2 ** precision) - 1);
}

/** The lowest number of a bucket. */
export function lowestOf(bucket: number, precision: number): number {
  const open = openBits(bucket, precision);
  return (bucket - open * 2 ** precision) * 2 ** open;
}

/** The bucket of a number: the last one that does not begin above it. */
export function bucketOf(value: number, precision: number): number {
  let bucket = 0;
  while (lowestOf(bucket + 1, precision) <= value) bucket++;
  return bucket;
}

/** What a weight of a table is expected to be: bucket y of distances after y - 1. */
export function expectedWeight(before: number, y: number, precision: number): number {
  return openBits(y, precision) > openBits(y - 1, precision) ? Math.min(4096, 2 * before) : before;
}

/** 256 frequencies from weights that are not all zero. */
export function frequenciesOf(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight);
  const only = weights.indexOf(total);
  if (only >= 0) return weights.map((_, s) => (s === only ? 4095 : s === (only ^ 1) ? 1 : 0));
  const frequencies = weights.map((weight) =>
    weight === 0 ? 0 : Math.max(1, Math.floor((8192 * weight + total) / (2 * total))),
  );
  for (;;) {
    const left = 4096 - frequencies.reduce((sum, frequency) => sum + frequency);
    if (left === 0) return frequencies;
    const most = Math.max(...frequencies);
    const step = Math.max(1, Math.floor(most / 16));
    frequencies[frequencies.indexOf(most)] = most + Math.max(-step, Math.min(step, left));
  }
}

/** The first slot of each symbol. */
export function firstSlots(frequencies: readonly number[]): number[] {
  let first = 0;
  return frequencies.map((frequency) => {
    first += frequency;
    return first - frequency;
  });
}
