/**
 * The block types of ggml, as GGUF files hold them. A block is a fixed number of neighbours along the last axis, quantized together; here
 * one block is one element, so that a tensor of shape [4096, 4096] in blocks of 32 has the shape [4096, 128]. Blocks are bytes to the
 * coders; `ggml-dequantize.ts` gives the values of some of them.
 *
 * Sizes are those of ggml/src/ggml-common.h (QK_* and the static_asserts behind each struct). Codes are on disk, as those of `dtype.ts`.
 */

/** Name, code, elements and bytes of a block. */
export const ggmlBlocks = [
  ["ggml_q4_0", 26, 32, 18],
  ["ggml_q4_1", 27, 32, 20],
  ["ggml_q5_0", 28, 32, 22],
  ["ggml_q5_1", 29, 32, 24],
  ["ggml_q8_0", 30, 32, 34],
  ["ggml_q8_1", 31, 32, 36],
  ["ggml_q2_k", 32, 256, 84],
  ["ggml_q3_k", 33, 256, 110],
  ["ggml_q4_k", 34, 256, 144],
  ["ggml_q5_k", 35, 256, 176],
  ["ggml_q6_k", 36, 256, 210],
  ["ggml_q8_k", 37, 256, 292],
  ["ggml_iq2_xxs", 38, 256, 66],
  ["ggml_iq2_xs", 39, 256, 74],
  ["ggml_iq3_xxs", 40, 256, 98],
  ["ggml_iq1_s", 41, 256, 50],
  ["ggml_iq4_nl", 42, 32, 18],
  ["ggml_iq3_s", 43, 256, 110],
  ["ggml_iq2_s", 44, 256, 82],
  ["ggml_iq4_xs", 45, 256, 136],
  ["ggml_iq1_m", 46, 256, 56],
  ["ggml_tq1_0", 47, 256, 54],
  ["ggml_tq2_0", 48, 256, 66],
  ["ggml_mxfp4", 49, 32, 17],
  ["ggml_nvfp4", 50, 64, 36],
  ["ggml_q1_0", 51, 128, 18],
  ["ggml_q2_0", 52, 64, 18],
] as const;

/** Names of the block dtypes: `ggml_` and ggml's own name in lower case. */
export type GgmlBlockName = (typeof ggmlBlocks)[number][0];
