/** Inputs that tests share: sizes and alignments that break kernels, and seeded random bytes. */

/** Element counts around the kernels' group sizes (16, 64) and block sizes (powers of two up to 256 KiB). */
export const hostileCounts: readonly number[] = [
  0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 1000, 4095, 4096, 4097, 16383, 16384, 16385,
  32767, 32768, 32769, 65535, 65536, 65537, 131071, 131072, 131073, 262145, 300001,
];

/** mulberry32: a stream of numbers in [0, 1). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Seeded random bytes, at `offset` bytes into a buffer of their own; `shared` puts them into shared memory. */
export function randomBytes(length: number, seed: number, offset = 0, shared = false): Uint8Array {
  const bytes = place(length, offset, shared);
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[i] = state;
  }
  bytes.set(new Uint8Array(words.buffer, 0, length));
  return bytes;
}

/** Zeroed bytes at `offset` bytes into a buffer of their own. */
export function place(length: number, offset = 0, shared = false): Uint8Array {
  const buffer = shared ? new SharedArrayBuffer(length + offset) : new ArrayBuffer(length + offset);
  return new Uint8Array(buffer, offset, length);
}

/** Standard normal numbers (Box-Muller) times `sigma`. */
export function normals(count: number, sigma: number, seed: number): Float32Array {
  const random = randomNumbers(seed);
  const values = new Float32Array(count + (count & 1));
  for (let i = 0; i < count; i += 2) {
    const radius = sigma * Math.sqrt(-2 * Math.log(random() + 1e-12));
    const angle = 2 * Math.PI * random();
    values[i] = radius * Math.cos(angle);
    values[i + 1] = radius * Math.sin(angle);
  }
  return values.subarray(0, count);
}

/** Fails with the first differing position; far faster than a deep comparison of large arrays. */
export function expectSameBytes(actual: Uint8Array, expected: Uint8Array, what = ""): void {
  if (actual.length !== expected.length) {
    throw new Error(`${what} ${actual.length} bytes instead of ${expected.length}`);
  }
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(`${what} byte ${at} is ${actual[at]} instead of ${expected[at]}`);
}
