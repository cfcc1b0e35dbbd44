/**
 * Quantizing blocks of 32 as ggml does, byte for byte: `quantize_row_q4_1_ref` of ggml/src/ggml-quants.c (q8_0 and q4_0 are kernels).
 * tensor/ggml-dequantize.ts draws the block. Every operation is rounded to float32, as there (built without fused multiply-add), and integers are
 * truncated after half a step is added. Where a scale is so small that its inverse is infinite, C leaves the result open; here it is zero.
 */
import { float32ToFloat16 } from "@tensorcask/kernels";
import { bytesOf } from "../tensor/typed-array.ts";

const BLOCK = 32;
const HALF_BLOCK = 16;

export function quantizeQ4_1(values: Float32Array, count: number, out: Uint8Array): void {
  const scales = new Float32Array(count);
  const minima = new Float32Array(count);
  for (let block = 0, from = 0, at = 4; block < count; block++, from += HALF_BLOCK, at += 4) {
    let least = values[from]!;
    let most = least;
    for (let index = from; index < from + BLOCK; index++) {
      least = Math.min(least, values[index]!);
      most = Math.max(most, values[index]!);
    }
    const scale = Math.fround(Math.fround(most - least) / 15);
    const inverse = inverseOf(scale);
    scales[block] = scale;
    minima[block] = least === 0 ? firstZero(values, from) : least;
    for (const end = from + HALF_BLOCK; from < end; from++, at++) {
      const lower = Math.fround(Math.fround(Math.fround(values[from]! - least) * inverse) + 0.5) | 0;
      const upper =
        Math.fround(Math.fround(Math.fround(values[from + HALF_BLOCK]! - least) * inverse) + 0.5) | 0;
      out[at] = Math.min(lower, 15) | (Math.min(upper, 15) << 4);
    }
  }
  writeHalves(scales, out, 0, 20);
  writeHalves(minima, out, 2, 20);
}

/** 0 or -0, whichever comes first: the one that ggml stores. */
function firstZero(values: Float32Array, from: number): number {
  let index = from;
  while (values[index] !== 0) index++;
  return values[index]!;
}

function inverseOf(scale: number): number {
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  return Number.isFinite(inverse) ? inverse : 0;
}

/** Writes numbers as float16, one every `stride` bytes from `at` on. */
function writeHalves(numbers: Float32Array, out: Uint8Array, at: number, stride: number): void {
  const halves = float32ToFloat16(bytesOf(numbers));
  for (let index = 0, to = at; index < halves.length; index += 2, to += stride) {
    out[to] = halves[index]!;
    out[to + 1] = halves[index + 1]!;
  }
}
