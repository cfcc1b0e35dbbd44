/**
 * Byte planes: byte k of every element lies in plane k. Bytes of one significance share a distribution, so coders do better
 * on a plane than on interleaved words.
 *
 *   elements  a0 a1 | b0 b1 | c0 c1        (little-endian, 2 bytes each)
 *   planes    a0 b0 c0 | a1 b1 c1          (plane 0 = least significant byte first)
 *
 * With `rotate` every word is first rotated left by one bit: the sign moves to bit 0 of plane 0, the rest up by one. The 8
 * exponent bits of bfloat16 and float32 then fill the top plane exactly. For float16 (5 exponent bits) the top plane holds the
 * exponent and the 3 top mantissa bits, for float64 (11 bits) it holds the 8 top exponent bits; that is still where the skew is.
 *
 * The work is done in blocks through the scratch memory of `assembly/planes.ts`; input and output may be shared memory, at any
 * alignment, but must not overlap.
 */
import { modules } from "./modules.ts";
import { outputOf } from "./output.ts";

/** Element sizes that have planes. */
export type PlaneElementBytes = 2 | 4 | 8;

/**
 * Splits elements into byte planes.
 *
 * @param input elements of `elementBytes` bytes, little-endian; the length must be a multiple of `elementBytes`.
 * @param rotate whether to rotate each word left by one bit first.
 * @param out where to write, at least as long as `input`; allocated when missing.
 * @returns the planes, as many bytes as `input` has (a view of `out` when given).
 * @throws RangeError for a length that is no multiple of `elementBytes`, another element size, or an `out` that is too short.
 */
export function splitPlanes(
  input: Uint8Array,
  elementBytes: PlaneElementBytes,
  rotate: boolean,
  out?: Uint8Array,
): Uint8Array {
  const count = elementsIn(input, elementBytes);
  const output = outputOf(out, input.length);
  const { planes } = modules();
  const split = elementBytes === 2 ? planes.split2 : elementBytes === 4 ? planes.split4 : planes.split8;
  const memory = new Uint8Array(planes.memory.buffer);
  const words: number = planes.WORDS.value;
  const scratch: number = planes.PLANES.value;
  const blockElements = planes.BLOCK.value / elementBytes;
  for (let first = 0; first < count; first += blockElements) {
    const n = Math.min(blockElements, count - first);
    const stride = (n + 15) & ~15;
    memory.set(input.subarray(first * elementBytes, (first + n) * elementBytes), words);
    split(n, rotate ? 1 : 0);
    for (let plane = 0; plane < elementBytes; plane++) {
      const from = scratch + plane * stride;
      output.set(memory.subarray(from, from + n), plane * count + first);
    }
  }
  return output;
}

/**
 * The inverse of {@link splitPlanes}: planes back to elements.
 *
 * @param input planes as `splitPlanes` gives them; the length must be a multiple of `elementBytes`.
 * @param rotate what `splitPlanes` was given.
 * @param out where to write, at least as long as `input`; allocated when missing.
 * @returns the elements (a view of `out` when given).
 * @throws RangeError as `splitPlanes`.
 */
export function joinPlanes(
  input: Uint8Array,
  elementBytes: PlaneElementBytes,
  rotate: boolean,
  out?: Uint8Array,
): Uint8Array {
  const count = elementsIn(input, elementBytes);
  const output = outputOf(out, input.length);
  const { planes } = modules();
  const join = elementBytes === 2 ? planes.join2 : elementBytes === 4 ? planes.join4 : planes.join8;
  const memory = new Uint8Array(planes.memory.buffer);
  const words: number = planes.WORDS.value;
  const scratch: number = planes.PLANES.value;
  const blockElements = planes.BLOCK.value / elementBytes;
  for (let first = 0; first < count; first += blockElements) {
    const n = Math.min(blockElements, count - first);
    const stride = (n + 15) & ~15;
    for (let plane = 0; plane < elementBytes; plane++) {
      const from = plane * count + first;
      memory.set(input.subarray(from, from + n), scratch + plane * stride);
    }
    join(n, rotate ? 1 : 0);
    output.set(memory.subarray(words, words + n * elementBytes), first * elementBytes);
  }
  return output;
}

function elementsIn(input: Uint8Array, elementBytes: number): number {
  if (elementBytes !== 2 && elementBytes !== 4 && elementBytes !== 8) {
    throw new RangeError(`elementBytes is ${elementBytes}; planes exist for 2, 4 and 8`);
  }
  const count = input.length / elementBytes;
  if (!Number.isInteger(count)) {
    throw new RangeError(
      `input is ${input.length} bytes, which is no multiple of elementBytes ${elementBytes}`,
    );
  }
  return count;
}
