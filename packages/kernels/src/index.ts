/**
 * Tensorcask's WebAssembly SIMD kernels. `await kernelsReady()` once per thread; everything else is synchronous.
 * `@tensorcask/kernels/reference` has the same functions in plain TypeScript, as the tests' oracle.
 */
export {
  bfloat16ToFloat32,
  type Float32Range,
  float16ToFloat32,
  float32Range,
  float32ToBfloat16,
  float32ToFloat16,
} from "./convert.ts";
export { DamagedBlockError } from "./entropy/damaged.ts";
export { decodeBlock } from "./entropy/decode.ts";
export { encodeBlock, type WordLayout } from "./entropy/encode.ts";
export { BLOCK_ELEMENTS_LIMIT, encodedLimit } from "./entropy/format.ts";
export type { BlockCoder } from "./entropy/stream.ts";
export { ContentCutter, CUT_SIZES, type CutSizes } from "./gear.ts";
export { GEAR_SEED, kernelsReady } from "./modules.ts";
export { joinPlanes, type PlaneElementBytes, splitPlanes } from "./planes.ts";
export {
  dequantizeQ4_0,
  dequantizeQ8_0,
  type ErrorSums,
  errorSums,
  float32ToInt8,
  float32ToSmallFloat,
  int8ToFloat32,
  quantizeQ4_0,
  quantizeQ8_0,
  type SmallFloatFormat,
} from "./quantize.ts";
export { fitScales, fitScalesAndMinima } from "./scale-search.ts";
export { decodeDifference } from "./sibling/decode.ts";
export { differenceBytes, encodeDifference } from "./sibling/encode.ts";
