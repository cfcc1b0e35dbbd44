/** The quantizers whose values are blocks that ggml itself would write. */
import { quantizeQ4_0, quantizeQ8_0 } from "@tensorcask/kernels";
import { type BlockFormat, blockQuantizer } from "./block-quantizer.ts";
import { quantizeQ4_1 } from "./ggml-q4-1.ts";
import { quantizeQ4K, quantizeQ6K } from "./ggml-super-blocks.ts";
import type { Quantizer } from "./quantizer.ts";

/** The smallest number that float16 rounds to infinity. */
const OVERFLOW = 65520;
/** The largest number that float16 rounds to 0. */
const UNDERFLOW = 2 ** -25;

/** The bounds where a scale is the magnitude over `steps`. */
function bounds(steps: number): { overflow: number; underflow: number } {
  return { overflow: steps * OVERFLOW, underflow: steps * UNDERFLOW };
}

const formats: readonly BlockFormat[] = [
  {
    id: "q8_0",
    dtype: "ggml_q8_0",
    quantize: (values, _count, out) => quantizeQ8_0(values, out),
    ...bounds(127),
  },
  {
    id: "q4_0",
    dtype: "ggml_q4_0",
    quantize: (values, _count, out) => quantizeQ4_0(values, out),
    ...bounds(8),
  },
  // The smallest value of a block is a float16, too.
  { id: "q4_1", dtype: "ggml_q4_1", quantize: quantizeQ4_1, overflow: OVERFLOW, underflow: 15 * UNDERFLOW },
  // Minima of runs are 63 steps at most, of what is about as large as the values.
  {
    id: "q4_k",
    dtype: "ggml_q4_k",
    quantize: quantizeQ4K,
    overflow: 15 * OVERFLOW,
    underflow: 15 * 63 * UNDERFLOW,
  },
  // Scales of runs are fitted: a little finer or coarser than a 32nd of the range.
  { id: "q6_k", dtype: "ggml_q6_k", quantize: quantizeQ6K, ...bounds(31 * 128) },
];

/** `q8_0`, `q4_0`, `q4_1`, `q4_k` and `q6_k`. */
export const ggmlQuantizers: readonly Quantizer[] = formats.map(blockQuantizer);
