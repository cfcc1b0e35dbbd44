/**
 * Quantizing super-blocks of 256 as ggml does, byte for byte: `quantize_row_q4_K_ref` and `quantize_row_q6_K_ref` of ggml/src/ggml-quants.c.
 * tensor/ggml-k-kernels.ts draws the blocks. The scales of the runs in a block are themselves integers times one or two float16.
 */
import { fitScales, fitScalesAndMinima, float16ToFloat32, float32ToFloat16 } from "@tensorcask/kernels";
import { readScalesQ4K } from "../tensor/ggml-k-kernels.ts";
import { bytesOf } from "../tensor/typed-array.ts";

const f = Math.fround;
const BLOCK = 256;
const LARGEST_SCALE = 63;
/** Scales below count as 0 (`GROUP_MAX_EPS`). */
const ZERO = f(1e-15);
/** Adding it rounds a float32 below 2^22 to an integer, ties to even: 1.5 x 2^23. */
const ROUNDER = 12582912;

function nearest(value: number): number {
  return f(value + ROUNDER) - ROUNDER;
}

export function quantizeQ4K(values: Float32Array, count: number, out: Uint8Array): void {
  const integers = new Uint8Array(BLOCK);
  const scales = new Float32Array(8);
  const minima = new Float32Array(8);
  const packed = new Uint8Array(16);
  for (let block = 0; block < count; block++) {
    const at = 144 * block;
    const run = values.subarray(BLOCK * block, BLOCK * (block + 1));
    fitScalesAndMinima(run, scales, minima, integers);
    const largestScale = scales.reduce((most, scale) => Math.max(most, scale), 0);
    const largestMinimum = minima.reduce((most, minimum) => Math.max(most, minimum), 0);
    const halves = writeHalfPair(out, at, f(largestScale / LARGEST_SCALE), f(largestMinimum / LARGEST_SCALE));
    writeScales(scales, minima, largestScale, largestMinimum, out, at + 4);
    readScalesQ4K(out, at + 4, packed);
    for (let index = 0; index < 8; index++) {
      const scale = f(halves[0]! * packed[index]!);
      if (scale === 0) continue;
      const minimum = f(halves[1]! * packed[index + 8]!);
      for (let element = 32 * index; element < 32 * (index + 1); element++) {
        const integer = nearest(f(f(run[element]! + minimum) / scale));
        integers[element] = Math.max(0, Math.min(15, integer));
      }
    }
    for (let element = 0, to = at + 16; element < BLOCK; element += 32) {
      for (const end = element + 32; element < end; element++, to++) {
        out[to] = integers[element]! | (integers[element + 32]! << 4);
      }
    }
  }
}

export function quantizeQ6K(values: Float32Array, count: number, out: Uint8Array): void {
  const integers = new Uint8Array(BLOCK);
  const scales = new Float32Array(16);
  for (let block = 0; block < count; block++) {
    const at = 210 * block;
    const run = values.subarray(BLOCK * block, BLOCK * (block + 1));
    fitScales(run, scales, integers);
    let extreme = 0;
    for (let index = 0; index < 16; index++) {
      const scale = scales[index]!;
      if (Math.abs(scale) > Math.abs(extreme)) extreme = scale;
    }
    if (Math.abs(extreme) < ZERO) {
      out.fill(0, at, at + 210);
      continue;
    }
    const inverse = f(-128 / extreme);
    const [half] = writeHalfPair(out, at + 208, f(1 / inverse), undefined);
    for (let index = 0; index < 16; index++) {
      const multiple = Math.min(127, nearest(f(inverse * scales[index]!)));
      out[at + 192 + index] = multiple;
      const scale = f(half! * multiple);
      if (scale === 0) continue;
      for (let element = 16 * index; element < 16 * (index + 1); element++) {
        const integer = nearest(f(run[element]! / scale));
        integers[element] = 32 + Math.max(-32, Math.min(31, integer));
      }
    }
    for (let half = 0; half < 2; half++)
      packQ6K(integers, 128 * half, out, at + 64 * half, at + 128 + 32 * half);
  }
}

/** Scales and minima of the runs, as 6-bit multiples of a 63rd of the largest ones. */
function writeScales(
  scales: Float32Array,
  minima: Float32Array,
  largestScale: number,
  largestMinimum: number,
  out: Uint8Array,
  at: number,
): void {
  const inverseScale = largestScale > 0 ? f(LARGEST_SCALE / largestScale) : 0;
  const inverseMinimum = largestMinimum > 0 ? f(LARGEST_SCALE / largestMinimum) : 0;
  for (let index = 0; index < 8; index++) {
    const scale = Math.min(LARGEST_SCALE, nearest(f(inverseScale * scales[index]!)) & 0xff);
    const minimum = Math.min(LARGEST_SCALE, nearest(f(inverseMinimum * minima[index]!)) & 0xff);
    if (index < 4) {
      out[at + index] = scale;
      out[at + index + 4] = minimum;
    } else {
      out[at + index + 4] = (scale & 15) | ((minimum & 15) << 4);
      out[at + index - 4]! |= (scale >> 4) << 6;
      out[at + index]! |= (minimum >> 4) << 6;
    }
  }
}

/** 128 integers of 6 bits: 64 bytes of their lower and 32 of their upper bits. */
function packQ6K(integers: Uint8Array, from: number, out: Uint8Array, low: number, high: number): void {
  for (let index = 0; index < 32; index++) {
    const first = integers[from + index]!;
    const second = integers[from + index + 32]!;
    const third = integers[from + index + 64]!;
    const fourth = integers[from + index + 96]!;
    out[low + index] = (first & 15) | ((third & 15) << 4);
    out[low + index + 32] = (second & 15) | ((fourth & 15) << 4);
    out[high + index] = (first >> 4) | ((second >> 4) << 2) | ((third >> 4) << 4) | ((fourth >> 4) << 6);
  }
}

/** Writes one or two float16 and gives them as they were rounded. */
function writeHalfPair(out: Uint8Array, at: number, first: number, second: number | undefined): Float32Array {
  const halves = float32ToFloat16(bytesOf(Float32Array.of(first, second ?? 0)));
  out.set(second === undefined ? halves.subarray(0, 2) : halves, at);
  const rounded = float16ToFloat32(halves);
  return new Float32Array(rounded.buffer, rounded.byteOffset, 2);
}
