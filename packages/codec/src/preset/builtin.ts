/**
 * The presets that every store has. Names and what they mean are fixed: users write them in scripts.
 * Adding one is an entry here.
 */
import { type Preset, parsePreset } from "./preset.ts";

/** The preset of a store that names none. */
export const DEFAULT_PRESET = "lossless";

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
];

/** The built-in preset of this name; undefined when there is none. */
export function findBuiltinPreset(name: string): Preset | undefined {
  return builtinPresets.find((preset) => preset.name === name);
}
