/** Contents of the golden blocks, in integer arithmetic only, so that they are the same on every platform. */
import type { WordLayout } from "../src/index.ts";
import { randomBytes } from "./buffers.ts";

const COUNT = 700;

/** Enough elements for joint coding to pay. */
const LARGER_COUNT = 5000;

/** Numbers in a bell curve: sums of four random bytes, from -510 to 510. */
function bell(count: number, seed: number): Int16Array {
  const bytes = randomBytes(4 * count, seed);
  return Int16Array.from({ length: count }, (_, i) => {
    const [a, b, c, d] = bytes.subarray(4 * i, 4 * i + 4);
    return a! + b! + c! + d! - 510;
  });
}

/** float32 with full mantissas around the bell curve, scaled by powers of two. */
function floats(seed: number, count = COUNT): Uint8Array {
  const noise = new Uint16Array(randomBytes(2 * count, seed + 1).buffer);
  const values = Float32Array.from(bell(count, seed), (value, i) => (value + noise[i]! / 65536) / 8192);
  return new Uint8Array(values.buffer);
}

/** The upper halves of float32 words, which are bfloat16 words. */
function upperHalves(words: Uint8Array): Uint8Array {
  const halves = new Uint16Array(words.buffer);
  return new Uint8Array(Uint16Array.from({ length: halves.length / 2 }, (_, i) => halves[2 * i + 1]!).buffer);
}

/** float32 that hold bfloat16. */
function widened(): Uint8Array {
  const words = floats(3, LARGER_COUNT);
  for (let i = 0; i < words.length; i += 4) words.fill(0, i, i + 2);
  return words;
}

/** float16 patterns with a few common exponents. */
function float16(): Uint8Array {
  const mantissas = new Uint16Array(randomBytes(2 * COUNT, 5).buffer);
  const words = Uint16Array.from(bell(COUNT, 4), (value, i) => {
    const exponent = 9 + (31 - Math.clz32(Math.abs(value) + 1)) / 2;
    return (value < 0 ? 0x8000 : 0) | (exponent << 10) | (mantissas[i]! & 1023);
  });
  return new Uint8Array(words.buffer);
}

/** What the golden blocks decode to. */
export const contents: Record<string, { layout: WordLayout; bytes: Uint8Array }> = {
  bfloat16: { layout: { elementBytes: 2, exponentBits: 8 }, bytes: upperHalves(floats(1)) },
  "larger bfloat16": {
    layout: { elementBytes: 2, exponentBits: 8 },
    bytes: upperHalves(floats(9, LARGER_COUNT)),
  },
  float32: { layout: { elementBytes: 4, exponentBits: 8 }, bytes: floats(2) },
  "float32 of bfloat16": { layout: { elementBytes: 4, exponentBits: 8 }, bytes: widened() },
  float16: { layout: { elementBytes: 2, exponentBits: 5 }, bytes: float16() },
  float64: {
    layout: { elementBytes: 8, exponentBits: 11 },
    bytes: new Uint8Array(Float64Array.from(bell(COUNT, 6)).buffer),
  },
  int16: { layout: { elementBytes: 2, exponentBits: 0 }, bytes: new Uint8Array(bell(COUNT, 7).buffer) },
  uint8: {
    layout: { elementBytes: 1, exponentBits: 0 },
    bytes: Uint8Array.from(bell(COUNT, 8), (value, i) => (i % 90 === 0 ? i : 128 + (value >> 4))),
  },
};

/** Words that differ from their siblings by a few of their last bits; from element 300 to 599 not at all. */
function stepped(sibling: Uint8Array, elementBytes: 2 | 4, shift: number): Uint8Array {
  const words =
    elementBytes === 2 ? new Uint16Array(sibling.slice().buffer) : new Uint32Array(sibling.slice().buffer);
  const steps = bell(words.length, 10);
  for (let i = 0; i < words.length; i++)
    if (i < 300 || i >= 600) words[i]! += Math.trunc(steps[i]! / 2 ** shift);
  return new Uint8Array(words.buffer);
}

/** What the golden differences decode to, and the siblings that this takes. */
export const differences: Record<string, { layout: WordLayout; sibling: Uint8Array; bytes: Uint8Array }> =
  Object.fromEntries(
    (
      [
        ["bfloat16", { elementBytes: 2, exponentBits: 8 }, upperHalves(floats(1)), 5],
        ["bfloat16 further away", { elementBytes: 2, exponentBits: 8 }, upperHalves(floats(1)), 2],
        ["float16", { elementBytes: 2, exponentBits: 5 }, float16(), 4],
        ["float32", { elementBytes: 4, exponentBits: 8 }, floats(2), 0],
        ["equal", { elementBytes: 2, exponentBits: 8 }, upperHalves(floats(1)), 12],
      ] as const
    ).map(([name, layout, sibling, shift]) => [
      name,
      { layout, sibling, bytes: stepped(sibling, layout.elementBytes, shift) },
    ]),
  );
