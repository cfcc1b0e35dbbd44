/**
 * The values of ggml's blocks, as `dequantize_row_*` of ggml/src/ggml-quants.c computes them. All numbers little-endian; `d` and `m` are
 * float16, `q` integers:
 *
 *     q8_0   | d | 32 x i8 q |              value = q x d
 *     q4_0   | d | 16 bytes  |              value = (q - 8) x d
 *     q4_1   | d | m | 16 bytes |           value = q x d + m
 *
 * (q4_k and q6_k: ggml-k-kernels.ts; mxfp4 and nvfp4: ggml-fp4-kernels.ts.)
 *
 * In q4_0 and q4_1, byte i holds q of element i in its lower half and of element i + 16 in its upper one. A product of q and d has at most
 * 19 bits, so that it is exact; the sum of q4_1 is exact in a double and rounded once, as a float32 sum (fused or not) is.
 */
import { dequantizeQ4_0, dequantizeQ8_0, float16ToFloat32 } from "@tensorcask/kernels";
import { UsageError } from "../errors/errors.ts";
import { type DType, type DTypeName, dtypes } from "./dtype.ts";
import { dequantizeMxfp4, dequantizeNvfp4 } from "./ggml-fp4-kernels.ts";
import { dequantizeQ4K, dequantizeQ6K } from "./ggml-k-kernels.ts";
import { bytesOf } from "./typed-array.ts";

/** Writes the values of `count` blocks. `scales` are all float16 numbers by their bits. */
export type BlockKernel = (bytes: Uint8Array, count: number, scales: Float32Array, out: Float32Array) => void;

const HALF_BLOCK = 16;

const kernels: { readonly [name in DTypeName]?: BlockKernel } = {
  ggml_q8_0: (bytes, _count, _scales, out) => dequantizeQ8_0(bytes, out),
  ggml_q4_0: (bytes, _count, _scales, out) => dequantizeQ4_0(bytes, out),

  ggml_q4_1(bytes, count, scales, out) {
    for (let block = 0, at = 0, to = 0; block < count; block++, to += HALF_BLOCK) {
      const d = scales[bytes[at]! | (bytes[at + 1]! << 8)]!;
      const m = scales[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
      at += 4;
      for (const end = at + HALF_BLOCK; at < end; at++, to++) {
        const pair = bytes[at]!;
        out[to] = (pair & 0x0f) * d + m;
        out[to + HALF_BLOCK] = (pair >> 4) * d + m;
      }
    }
  },

  ggml_q4_k: dequantizeQ4K,
  ggml_q6_k: dequantizeQ6K,
  ggml_mxfp4: dequantizeMxfp4,
  ggml_nvfp4: dequantizeNvfp4,
};

let halves: Float32Array | undefined;

/** Every float16 number, by its bits. */
function halfTable(): Float32Array {
  if (halves === undefined) {
    const values = float16ToFloat32(bytesOf(Uint16Array.from({ length: 65_536 }, (_, bits) => bits)));
    halves = new Float32Array(values.buffer, values.byteOffset, 65_536);
  }
  return halves;
}

/**
 * Shape of the values of a tensor of blocks: its last axis counts blocks, that of the values elements. Other dtypes keep their shape.
 *
 * @param shape in blocks; `[]` is one block
 */
export function dequantizedShape(dtype: DType, shape: readonly number[]): readonly number[] {
  if (dtype.block === undefined) return shape;
  return [...shape.slice(0, -1), (shape.at(-1) ?? 1) * dtype.block.elements];
}

/**
 * The float32 values of blocks, in the order of the elements: exactly those that ggml computes. Await `ready()` first.
 *
 * @param bytes whole blocks, at any offset
 * @returns a fresh array of `block.elements` values for each block
 * @throws UsageError (field `dtype`) for dtypes that are no blocks or whose values this version cannot read, and when `bytes` are no
 * whole blocks
 */
export function dequantizeBlocks(dtype: DType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(Math.floor(bytes.length / (dtype.bits / 8)) * (dtype.block?.elements ?? 1));
  dequantizeBlocksInto(dtype, bytes, out);
  return out;
}

/** As `dequantizeBlocks`, into an array that has room for them. */
export function dequantizeBlocksInto(dtype: DType, bytes: Uint8Array, out: Float32Array): void {
  const kernel = kernels[dtype.name];
  if (kernel === undefined || dtype.block === undefined) {
    const readable = dtypes.filter(({ name }) => kernels[name] !== undefined).map(({ name }) => name);
    const what = dtype.block === undefined ? "is no block type" : "cannot be read as floats yet";
    throw new UsageError(
      "dtype",
      `${dtype.name} ${what}; ${readable.join(", ")} can, and the blocks themselves can be read as they are`,
    );
  }
  const count = bytes.length / (dtype.bits / 8);
  if (!Number.isInteger(count)) {
    throw new UsageError("bytes", `${bytes.length} bytes are no whole number of ${dtype.name} blocks`);
  }
  kernel(bytes, count, halfTable(), out);
}
