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
