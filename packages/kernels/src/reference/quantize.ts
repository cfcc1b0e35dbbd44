/** Quantization element by element: the numbers that a C compiler without fused multiply-add computes, and doubles for the rest. */

const f = Math.fround;

/** The two bytes of a number as float16, rounded to nearest even. */
function halfBytes(value: number): [number, number] {
  const view = new DataView(new ArrayBuffer(2));
  view.setFloat16(0, value, true);
  return [view.getUint8(0), view.getUint8(1)];
}

function inverseOf(scale: number): number {
  const inverse = scale === 0 ? 0 : f(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

/** See `errorSums` of the kernels. */
export function errorSums(
  source: Float32Array,
  decoded: Float32Array,
): { largestError: number; noise: number; signal: number; energy: number; product: number } {
  const sums = { largestError: 0, noise: 0, signal: 0, energy: 0, product: 0 };
  source.forEach((from, index) => {
    const to = decoded[index]!;
    sums.largestError = Math.max(sums.largestError, Math.abs(from - to));
    sums.noise += (from - to) ** 2;
    sums.signal += from ** 2;
    sums.energy += to ** 2;
    sums.product += from * to;
  });
  return sums;
}

/** See `float32ToInt8` of the kernels. */
export function float32ToInt8(
  values: Float32Array,
  scale: number,
  zero: number,
  least: number,
  out: Int8Array,
): void {
  values.forEach((value, index) => {
    const steps = value / scale;
    const below = Math.floor(steps);
    const rest = steps - below;
    const rounded = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
    out[index] = Math.max(least, Math.min(127, rounded + zero));
  });
}

/** See `float32ToSmallFloat` of the kernels. The nearest of all numbers of the format; of two, the one with even bits. */
export function float32ToSmallFloat(
  values: Float32Array,
  format: { exponentBits: number; mantissaBits: number; largestBits: number },
  out: Uint8Array,
): void {
  const { exponentBits, mantissaBits, largestBits } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const numbers = Array.from({ length: largestBits + 1 }, (_, bits) => {
    const exponent = bits >> mantissaBits;
    const mantissa = bits % 2 ** mantissaBits;
    if (exponent === 0) return mantissa * 2 ** (1 - bias - mantissaBits);
    return (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
  });
  values.forEach((value, index) => {
    // Seen from far beyond, all numbers would be equally near.
    const magnitude = Math.min(Math.abs(value), numbers[largestBits]!);
    let best = 0;
    numbers.forEach((number, bits) => {
      const closer = Math.abs(number - magnitude) - Math.abs(numbers[best]! - magnitude);
      if (closer < 0 || (closer === 0 && bits % 2 === 0)) best = bits;
    });
    const isNegative = value < 0 || Object.is(value, -0);
    out[index] = best + (isNegative ? 2 ** (exponentBits + mantissaBits) : 0);
  });
}

/** See `int8ToFloat32` of the kernels. */
export function int8ToFloat32(values: Int8Array, scale: number, zero: number, out: Float32Array): void {
  values.forEach((value, index) => {
    out[index] = (value - zero) * scale;
  });
}

/** See `quantizeQ8_0` of the kernels. */
export function quantizeQ8_0(values: Float32Array, out: Uint8Array): void {
  for (let block = 0; block < values.length / 32; block++) {
    const x = values.subarray(32 * block, 32 * block + 32);
    const scale = f(Math.max(...x.map(Math.abs)) / 127);
    out.set(halfBytes(scale), 34 * block);
    x.forEach((value, index) => {
      const product = f(value * inverseOf(scale));
      out[34 * block + 2 + index] = Math.sign(product) * Math.floor(Math.abs(product) + 0.5);
    });
  }
}

/** See `quantizeQ4_0` of the kernels. */
export function quantizeQ4_0(values: Float32Array, out: Uint8Array): void {
  for (let block = 0; block < values.length / 32; block++) {
    const x = values.subarray(32 * block, 32 * block + 32);
    const largest = Math.max(...x.map(Math.abs));
    const extreme = largest === 0 ? 0 : x.find((value) => Math.abs(value) === largest)!;
    const scale = f(extreme / -8);
    out.set(halfBytes(scale), 18 * block);
    const numbers = [...x].map((value) => Math.min(15, Math.trunc(f(f(value * inverseOf(scale)) + 8.5))));
    for (let index = 0; index < 16; index++) {
      out[18 * block + 2 + index] = numbers[index]! + 16 * numbers[index + 16]!;
    }
  }
}

/** See `dequantizeQ8_0` of the kernels. */
export function dequantizeQ8_0(blocks: Uint8Array, out: Float32Array): void {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.length);
  for (let index = 0; index < out.length; index++) {
    const block = 34 * Math.floor(index / 32);
    out[index] = view.getInt8(block + 2 + (index % 32)) * view.getFloat16(block, true);
  }
}

/** See `dequantizeQ4_0` of the kernels. */
export function dequantizeQ4_0(blocks: Uint8Array, out: Float32Array): void {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.length);
  for (let index = 0; index < out.length; index++) {
    const block = 18 * Math.floor(index / 32);
    const pair = blocks[block + 2 + (index % 16)]!;
    const number = index % 32 < 16 ? pair % 16 : Math.floor(pair / 16);
    out[index] = (number - 8) * view.getFloat16(block, true);
  }
}
