/**
 * The presets that every store has. Names and what they mean are fixed: users write them in scripts.
 * Adding one is an entry here.
 */
import type { Json } from "../bytes/json.ts";
import { type Preset, parsePreset } from "./preset.ts";

/** The preset of a store that names none. */
export const DEFAULT_PRESET = "lossless";

/** Presets of one quantizer and the codec that suits its data: name, quantizer, what it is, codec. */
const quantizing: readonly (readonly [name: string, quantizer: Json, description: string, codec?: Json])[] = [
  ["bf16", "bf16", "bfloat16: 8 bits of precision, the range of float32"],
  ["fp8", "fp8_e4m3", "8-bit floats (e4m3) and a scale per tensor"],
  ["fp8_e5m2", "fp8_e5m2", "8-bit floats (e5m2) and a scale per tensor"],
  ["q8_0", "q8_0", "8-bit integers in blocks of 32, as ggml"],
  ["q6_k", "q6_k", "6-bit integers in super-blocks of 256, as ggml"],
  ["q4_1", "q4_1", "4-bit integers and a minimum in blocks of 32, as ggml"],
  ["q4_k", "q4_k", "4-bit integers in super-blocks of 256, as ggml"],
  ["q4_0", "q4_0", "4-bit integers in blocks of 32, as ggml"],
  ["nf4", "nf4", "4-bit NormalFloat in blocks of 64"],
  ["nf4-dq", "nf4-dq", "4-bit NormalFloat in blocks of 64, with 8-bit scales"],
  ["mxfp8", "mxfp8", "OCP microscaling, 8-bit floats in blocks of 32"],
  ["mxfp6", "mxfp6", "OCP microscaling, 6-bit floats in blocks of 32"],
  ["mxfp4", "mxfp4", "OCP microscaling, 4-bit floats in blocks of 32"],
  ["nvfp4", "nvfp4", "4-bit floats in blocks of 16, with 8-bit scales"],
  ["palette", "palette", "16 values per tensor, found by k-means"],
  ["prune", "prune", "the half of the elements that is closest to 0 becomes 0", "sparse"],
];

/** All built-in presets, the lossless ones first. */
export const builtinPresets: readonly Preset[] = [
  parsePreset("none", { codec: "none", description: "stored as is" }),
  parsePreset("fast", { codec: { id: "lz4", level: 1 }, description: "LZ4: exact, fast to read" }),
  parsePreset("lossless", {
    codec: { auto: "lossless" },
    description: "exact; the coding is chosen per chunk by the data (default)",
  }),
  parsePreset("lossless-fast", {
    codec: { auto: "fast" },
    description: "exact; one fast coding of floats and of all else, at several GB/s",
  }),
  parsePreset("archive", {
    codec: { auto: "archive" },
    description: "exact; the smallest of everything there is, slowly; some of it can only be read under Node",
  }),
  parsePreset("balanced", {
    quantizer: "fp16",
    codec: { id: "gzip", level: 6 },
    description: "half precision, then gzip: half the size or less, loses precision",
  }),
  parsePreset("maximum", {
    quantizer: "int8",
    codec: { id: "gzip", level: 9 },
    description: "8-bit integers, then gzip: a quarter of the size or less, loses precision",
  }),
  parsePreset("fp16_only", {
    quantizer: "fp16",
    codec: "none",
    description: "half precision, loses precision",
  }),
  parsePreset("int8_only", {
    quantizer: "int8",
    codec: "none",
    description: "8-bit integers, loses precision",
  }),
  ...quantizing.map(([name, quantizer, description, codec = "auto"]) =>
    parsePreset(name, { quantizer, codec, description: `${description}; loses precision` }),
  ),
];

/** The built-in preset of this name; undefined when there is none. */
export function findBuiltinPreset(name: string): Preset | undefined {
  return builtinPresets.find((preset) => preset.name === name);
}
