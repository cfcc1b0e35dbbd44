// The package's public names, a group per folder.

// bytes
export * from "./bytes/checksum.ts";
export * from "./bytes/compare.ts";
export * from "./bytes/hash.ts";
export * from "./bytes/hex.ts";
export * from "./bytes/json.ts";
export * from "./bytes/reader.ts";
export * from "./bytes/ready.ts";
export * from "./bytes/writer.ts";
// chunk
export * from "./chunk/bundle.ts";
export * from "./chunk/fastcdc.ts";
export * from "./chunk/features.ts";
export * from "./chunk/geometry.ts";
export * from "./chunk/sketch.ts";
export * from "./chunk/tensor-key.ts";
export * from "./chunk/values-geometry.ts";
// codec
export { SIBLING_REFERENCE_BYTES } from "./codec/auto-sibling.ts";
export { type CodedChunk, type DecodeOptions, MAX_STEPS, type Step } from "./codec/chain.ts";
export type { Codec, CodecContext, CodecKind, DecodeContext, EncodeContext, Sibling } from "./codec/codec.ts";
export {
  type CodecPolicy,
  decodeChunk,
  type EncodeOptions,
  encodeChunk,
  type PolicyStep,
  parsePolicy,
  policyToJson,
  usesSiblings,
} from "./codec/policy.ts";
export { codecOf, codecOfCode, codecs, siblingCodecs } from "./codec/registry.ts";
export { differenceTypeOf } from "./codec/sibling-words.ts";
// errors
export * from "./errors/errors.ts";
// frame
export {
  type DecodeFrameOptions,
  decodeFrame,
  encodeFrame,
  encodeFrameInto,
  type FrameInput,
  frameOf,
  type SiblingChunk,
  verifyFrame,
} from "./frame/frame.ts";
export {
  FRAME_FIXED_BYTES,
  type FrameHeader,
  MAX_CHUNK_BYTES,
  MAX_FRAME_BYTES,
  MAX_HEADER_BYTES,
  readFrameHeader,
} from "./frame/header.ts";
// preset
export * from "./preset/builtin.ts";
export * from "./preset/choose-quantizer.ts";
export * from "./preset/preset.ts";
export type { PresetQuantizer } from "./preset/preset-quantizer.ts";
export {
  checkPatterns,
  type ErrorBudget,
  parseQuantizerPolicy,
  type QuantizerPolicy,
  type QuantizerRule,
  quantizerPolicyToJson,
} from "./preset/quantizer-policy.ts";
// quantize
export type { QuantizationError } from "./quantize/error-statistics.ts";
export type * from "./quantize/quantizer.ts";
export * from "./quantize/registry.ts";
// tensor
export * from "./tensor/dtype.ts";
export * from "./tensor/float.ts";
export { dequantizeBlocks, dequantizedShape } from "./tensor/ggml-dequantize.ts";
export * from "./tensor/packed.ts";
export * from "./tensor/shape.ts";
export * from "./tensor/slice.ts";
export * from "./tensor/typed-array.ts";
