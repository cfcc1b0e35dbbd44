/**
 * Quantization of float32: 8-bit integers with a scale, ggml's blocks of 32 elements, and sums over the error. The work is done in blocks through
 * the scratch memory of `assembly/quantize.ts`; arrays may lie in shared memory.
 */
import { float16ToFloat32, float32ToFloat16 } from "./convert.ts";
import { modules, type QuantizeModule } from "./modules.ts";

/** Elements of a block of q8_0 and q4_0. */
const GROUP = 32;

/** What {@link errorSums} finds, over all elements. */
export interface ErrorSums {
  /** Largest |source - decoded|. */
  readonly largestError: number;
  /** Sum of (source - decoded)^2. */
  readonly noise: number;
  /** Sum of source^2. */
  readonly signal: number;
  /** Sum of decoded^2. */
  readonly energy: number;
  /** Sum of source x decoded. */
  readonly product: number;
}

/**
 * Sums over the differences of two arrays of equal length, in doubles. Not finite where an element is not.
 *
 * @throws RangeError when the lengths differ.
 */
export function errorSums(source: Float32Array, decoded: Float32Array): ErrorSums {
  if (source.length !== decoded.length) {
    throw new RangeError(`source has ${source.length} elements, decoded ${decoded.length}`);
  }
  const { quantize } = modules();
  const from = floats(quantize, quantize.SOURCE.value);
  const to = floats(quantize, quantize.DECODED.value);
  let largestError = 0;
  let noise = 0;
  let signal = 0;
  let energy = 0;
  let product = 0;
  for (let first = 0; first < source.length; first += from.length) {
    const end = Math.min(source.length, first + from.length);
    from.set(source.subarray(first, end));
    to.set(decoded.subarray(first, end));
    quantize.errorSums(end - first);
    largestError = Math.max(largestError, quantize.largestError.value);
    noise += quantize.noise.value;
    signal += quantize.signal.value;
    energy += quantize.energy.value;
    product += quantize.product.value;
  }
  return { largestError, noise, signal, energy, product };
}

/**
 * float32 to int8: round(value / scale) + zero, ties to even, from `least` to 127.
 *
 * @param values finite; |value / scale| below 2^31.
 * @param out as long as `values`.
 */
export function float32ToInt8(
  values: Float32Array,
  scale: number,
  zero: number,
  least: number,
  out: Int8Array,
): void {
  checkLength(out, values.length);
  const { quantize } = modules();
  const from = floats(quantize, quantize.SOURCE.value);
  const codes = new Int8Array(quantize.memory.buffer, quantize.CODES.value);
  for (let first = 0; first < values.length; first += from.length) {
    const end = Math.min(values.length, first + from.length);
    from.set(values.subarray(first, end));
    quantize.toInt8(end - first, scale, zero, least);
    out.set(codes.subarray(0, end - first), first);
  }
}

/**
 * int8 to float32: (value - zero) x scale, rounded once.
 *
 * @param scale a float32.
 * @param out as long as `values`.
 */
export function int8ToFloat32(values: Int8Array, scale: number, zero: number, out: Float32Array): void {
  checkLength(out, values.length);
  const { quantize } = modules();
  const to = floats(quantize, quantize.DECODED.value);
  const codes = new Int8Array(quantize.memory.buffer, quantize.CODES.value);
  for (let first = 0; first < values.length; first += to.length) {
    const end = Math.min(values.length, first + to.length);
    codes.set(values.subarray(first, end));
    quantize.fromInt8(end - first, scale, zero);
    out.set(to.subarray(0, end - first), first);
  }
}

/** A float of 4 to 8 bits: sign, exponent, mantissa, with subnormals. */
export interface SmallFloatFormat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** Bits of the largest finite number, without its sign. */
  readonly largestBits: number;
}

/**
 * float32 to floats of 4 to 8 bits, a byte each: rounded to nearest, ties to even; what is too large becomes the largest finite number.
 *
 * @param values finite, below 2^100.
 * @param out as long as `values`.
 */
export function float32ToSmallFloat(values: Float32Array, format: SmallFloatFormat, out: Uint8Array): void {
  checkLength(out, values.length);
  const { exponentBits, mantissaBits, largestBits } = format;
  // Biased by 127, the exponent of the smallest normal number.
  const leastExponent = 129 - 2 ** (exponentBits - 1);
  const { quantize } = modules();
  const from = floats(quantize, quantize.SOURCE.value);
  const codes = new Uint8Array(quantize.memory.buffer, quantize.CODES.value);
  for (let first = 0; first < values.length; first += from.length) {
    const end = Math.min(values.length, first + from.length);
    from.set(values.subarray(first, end));
    quantize.toSmallFloat(end - first, mantissaBits, leastExponent, largestBits, exponentBits + mantissaBits);
    out.set(codes.subarray(0, end - first), first);
  }
}

/** A block format: the bytes of a block, a float16 scale at first, and its kernels. */
interface BlockKernels {
  readonly bytes: number;
  encode(quantize: QuantizeModule, count: number): void;
  decode(quantize: QuantizeModule, count: number): void;
}

const q8_0: BlockKernels = {
  bytes: 34,
  encode: (quantize, count) => quantize.toQ8_0(count),
  decode: (quantize, count) => quantize.fromQ8_0(count),
};
const q4_0: BlockKernels = {
  bytes: 18,
  encode: (quantize, count) => quantize.toQ4_0(count),
  decode: (quantize, count) => quantize.fromQ4_0(count),
};

/**
 * float32 to blocks of q8_0, byte for byte those of ggml's `quantize_row_q8_0_ref`. A scale whose inverse is infinite makes integers of 0.
 *
 * @param values finite, whole blocks of 32.
 * @param out 34 bytes for each block.
 * @throws RangeError when `values` are no whole blocks or `out` has another length.
 */
export function quantizeQ8_0(values: Float32Array, out: Uint8Array): void {
  encodeBlocks(q8_0, values, out);
}

/** float32 to blocks of q4_0 (18 bytes), as `quantize_row_q4_0_ref`; otherwise as {@link quantizeQ8_0}. */
export function quantizeQ4_0(values: Float32Array, out: Uint8Array): void {
  encodeBlocks(q4_0, values, out);
}

/**
 * Blocks of q8_0 to float32, exact.
 *
 * @param blocks 34 bytes each.
 * @param out 32 elements for each block.
 * @throws RangeError when `out` is no whole blocks or `blocks` have another length.
 */
export function dequantizeQ8_0(blocks: Uint8Array, out: Float32Array): void {
  decodeBlocks(q8_0, blocks, out);
}

/** Blocks of q4_0 (18 bytes) to float32, exact; otherwise as {@link dequantizeQ8_0}. */
export function dequantizeQ4_0(blocks: Uint8Array, out: Float32Array): void {
  decodeBlocks(q4_0, blocks, out);
}

function encodeBlocks({ bytes, encode }: BlockKernels, values: Float32Array, out: Uint8Array): void {
  const groups = groupsIn(values);
  checkLength(out, groups * bytes);
  const { quantize } = modules();
  const from = floats(quantize, quantize.SOURCE.value);
  const memory = new Uint8Array(quantize.memory.buffer);
  const { value: codes } = quantize.CODES;
  const { value: scales } = quantize.SCALES;
  const most = from.length / GROUP;
  for (let first = 0; first < groups; first += most) {
    const count = Math.min(most, groups - first);
    from.set(values.subarray(first * GROUP, (first + count) * GROUP));
    encode(quantize, count * GROUP);
    const halves = float32ToFloat16(memory.subarray(scales, scales + 4 * count));
    for (let group = 0, at = codes; group < count; group++, at += bytes) {
      memory[at] = halves[2 * group]!;
      memory[at + 1] = halves[2 * group + 1]!;
    }
    out.set(memory.subarray(codes, codes + count * bytes), first * bytes);
  }
}

function decodeBlocks({ bytes, decode }: BlockKernels, blocks: Uint8Array, out: Float32Array): void {
  const groups = groupsIn(out);
  checkLength(blocks, groups * bytes);
  const { quantize } = modules();
  const to = floats(quantize, quantize.DECODED.value);
  const memory = new Uint8Array(quantize.memory.buffer);
  const { value: codes } = quantize.CODES;
  const { value: scales } = quantize.SCALES;
  const most = to.length / GROUP;
  const halves = new Uint8Array(2 * Math.min(most, groups));
  for (let first = 0; first < groups; first += most) {
    const count = Math.min(most, groups - first);
    memory.set(blocks.subarray(first * bytes, (first + count) * bytes), codes);
    for (let group = 0, at = codes; group < count; group++, at += bytes) {
      halves[2 * group] = memory[at]!;
      halves[2 * group + 1] = memory[at + 1]!;
    }
    float16ToFloat32(halves.subarray(0, 2 * count), memory.subarray(scales, scales + 4 * count));
    decode(quantize, count * GROUP);
    out.set(to.subarray(0, count * GROUP), first * GROUP);
  }
}

function groupsIn(values: Float32Array): number {
  const groups = values.length / GROUP;
  if (Number.isInteger(groups)) return groups;
  throw new RangeError(`${values.length} elements are no whole blocks of ${GROUP}`);
}

function checkLength(array: { readonly length: number }, expected: number): void {
  if (array.length !== expected)
    throw new RangeError(`an array of ${array.length} is given, ${expected} are needed`);
}

/** The elements of one of the areas of float32. */
function floats({ memory, BLOCK }: QuantizeModule, at: number): Float32Array {
  return new Float32Array(memory.buffer, at, BLOCK.value);
}
