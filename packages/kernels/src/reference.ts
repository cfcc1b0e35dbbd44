/**
 * Plain TypeScript of what the kernels compute, without WebAssembly: slow, obvious, the oracle of the tests. Reads by element, takes
 * any alignment.
 */
export {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32Range,
  float32ToBfloat16,
  float32ToFloat16,
} from "./reference/convert.ts";
export { decodeBlock } from "./reference/entropy.ts";
export { cutEnds, gearTable } from "./reference/gear.ts";
export { joinPlanes, splitPlanes } from "./reference/planes.ts";
export {
  dequantizeQ4_0,
  dequantizeQ8_0,
  errorSums,
  float32ToInt8,
  float32ToSmallFloat,
  int8ToFloat32,
  quantizeQ4_0,
  quantizeQ8_0,
} from "./reference/quantize.ts";
export { fitScales, fitScalesAndMinima } from "./reference/scale-search.ts";
export { decodeDifference } from "./reference/sibling.ts";
export { type Choices, encodeDifference } from "./reference/sibling-encoder.ts";
