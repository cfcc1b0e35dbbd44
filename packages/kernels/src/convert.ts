/**
 * Conversions between float32 and the 16-bit floats, and the range of float32 values. All take and give little-endian bytes, at any
 * alignment, in shared memory or not; the work is done in blocks through the scratch memory of `assembly/convert.ts`.
 *
 * Narrowing rounds to nearest, ties to even; what is too large becomes Infinity. NaN stays NaN with its sign and the top bits of
 * its payload. Widening is exact, so that widening and narrowing again returns every 16-bit pattern unchanged.
 */
import { type ConvertModule, modules } from "./modules.ts";
import { outputOf } from "./output.ts";

/**
 * float32 to float16, rounded to nearest even.
 *
 * @param input float32 elements, 4 bytes each.
 * @param out at least half as long as `input`; allocated when missing. Must not overlap `input`.
 * @returns float16 elements, 2 bytes each (a view of `out` when given).
 * @throws RangeError when `input` is not whole elements or `out` is too short.
 */
export function float32ToFloat16(input: Uint8Array, out?: Uint8Array): Uint8Array {
  const { convert } = modules();
  return narrow(convert, convert.float32ToFloat16, input, out);
}

/** float32 to bfloat16, rounded to nearest even; otherwise as {@link float32ToFloat16}. */
export function float32ToBfloat16(input: Uint8Array, out?: Uint8Array): Uint8Array {
  const { convert } = modules();
  return narrow(convert, convert.float32ToBfloat16, input, out);
}

/**
 * float16 to float32, exact.
 *
 * @param input float16 elements, 2 bytes each.
 * @param out at least twice as long as `input`; allocated when missing. Must not overlap `input`.
 * @returns float32 elements, 4 bytes each (a view of `out` when given).
 * @throws RangeError when `input` is not whole elements or `out` is too short.
 */
export function float16ToFloat32(input: Uint8Array, out?: Uint8Array): Uint8Array {
  const { convert } = modules();
  return widen(convert, convert.float16ToFloat32, input, out);
}

/** bfloat16 to float32, exact; otherwise as {@link float16ToFloat32}. */
export function bfloat16ToFloat32(input: Uint8Array, out?: Uint8Array): Uint8Array {
  const { convert } = modules();
  return widen(convert, convert.bfloat16ToFloat32, input, out);
}

/** What {@link float32Range} finds. */
export interface Float32Range {
  /** Smallest value that is no NaN, infinities included; Infinity when there is none. A zero is given as +0. */
  readonly minimum: number;
  /** Largest value that is no NaN, infinities included; -Infinity when there is none. A zero is given as +0. */
  readonly maximum: number;
  /** How many values are NaN. */
  readonly nanCount: number;
}

/**
 * Smallest and largest of float32 values, and how many are NaN.
 *
 * @param input float32 elements, 4 bytes each.
 * @throws RangeError when `input` is not whole elements.
 */
export function float32Range(input: Uint8Array): Float32Range {
  const count = elementsIn(input, 4);
  const { convert } = modules();
  const memory = new Uint8Array(convert.memory.buffer);
  const blockElements: number = convert.BLOCK.value;
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  let nanCount = 0;
  for (let first = 0; first < count; first += blockElements) {
    const n = Math.min(blockElements, count - first);
    memory.set(input.subarray(first * 4, (first + n) * 4), convert.WIDE.value);
    nanCount += convert.range(n);
    minimum = Math.min(minimum, convert.minimum.value);
    maximum = Math.max(maximum, convert.maximum.value);
  }
  // Adding +0 turns -0 into +0: which zero a reduction meets last depends on its order.
  return { minimum: minimum + 0, maximum: maximum + 0, nanCount };
}

function narrow(
  convert: ConvertModule,
  kernel: (count: number) => void,
  input: Uint8Array,
  out: Uint8Array | undefined,
): Uint8Array {
  return inBlocks(convert, kernel, input, 4, convert.WIDE.value, out, 2, convert.NARROW.value);
}

function widen(
  convert: ConvertModule,
  kernel: (count: number) => void,
  input: Uint8Array,
  out: Uint8Array | undefined,
): Uint8Array {
  return inBlocks(convert, kernel, input, 2, convert.NARROW.value, out, 4, convert.WIDE.value);
}

function inBlocks(
  convert: ConvertModule,
  kernel: (count: number) => void,
  input: Uint8Array,
  inputBytes: number,
  inputAt: number,
  out: Uint8Array | undefined,
  outputBytes: number,
  outputAt: number,
): Uint8Array {
  const count = elementsIn(input, inputBytes);
  const output = outputOf(out, count * outputBytes);
  const memory = new Uint8Array(convert.memory.buffer);
  const blockElements: number = convert.BLOCK.value;
  for (let first = 0; first < count; first += blockElements) {
    const n = Math.min(blockElements, count - first);
    memory.set(input.subarray(first * inputBytes, (first + n) * inputBytes), inputAt);
    kernel(n);
    output.set(memory.subarray(outputAt, outputAt + n * outputBytes), first * outputBytes);
  }
  return output;
}

function elementsIn(input: Uint8Array, elementBytes: number): number {
  const count = input.length / elementBytes;
  if (!Number.isInteger(count)) {
    throw new RangeError(`input is ${input.length} bytes, which is no multiple of ${elementBytes}`);
  }
  return count;
}
