/** Numbers of 4 bits, two per byte as tensor/packed.ts has them: the first one in the lower half. Faster than packing any width. */

/** Packs numbers below 16; the upper half of the last byte is 0 where their count is odd. */
export function packPairs(numbers: Uint8Array): Uint8Array {
  const out = new Uint8Array(Math.ceil(numbers.length / 2));
  const whole = numbers.length >> 1;
  for (let index = 0; index < whole; index++)
    out[index] = numbers[2 * index]! | (numbers[2 * index + 1]! << 4);
  if (numbers.length % 2 === 1) out[whole] = numbers[2 * whole]!;
  return out;
}
