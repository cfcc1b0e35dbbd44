/**
 * What a preset is, and how custom ones are read. A preset names a quantizer (lossy, or none) and a codec
 * policy (always lossless); it decides how tensors are stored from now on, never how stored ones are read.
 *
 *   { "quantizer": "fp16", "codec": "gzip" }
 *   { "quantizer": { "id": "int8", "granularity": "tensor" }, "codec": { "id": "gzip", "level": 9 }, "description": "..." }
 *   { "codec": ["planes", { "id": "zstd", "level": 19 }] }
 */
import { isJsonObject, type Json, type JsonObject } from "../bytes/json.ts";
import { type CodecPolicy, parsePolicy, policyToJson } from "../codec/policy.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { quantizerOf } from "../quantize/registry.ts";

/** A quantizer with its normalised parameters. */
export interface PresetQuantizer {
  readonly id: string;
  readonly parameters: JsonObject;
}

/** A named quantizer and codec policy. Plain data: it can be sent to workers and stored as JSON. */
export interface Preset {
  readonly name: string;
  /** Absent: nothing is lost. */
  readonly quantizer?: PresetQuantizer;
  readonly codec: CodecPolicy;
  /** Whether every tensor comes back bit by bit. */
  readonly lossless: boolean;
  /** One line for people. */
  readonly description: string;
}

/** Longest name of a custom preset: it is shown in tables and stored with datasets. */
const MAX_NAME_LENGTH = 64;
/** Longest description: one line of text. */
const MAX_DESCRIPTION_LENGTH = 500;

/**
 * Reads a custom preset. Throws `UsageError` that names the field (`quantizer`, `codec`, ...); unknown keys
 * are refused by name.
 *
 * @param json `{ codec, quantizer?, description? }`
 * @example parsePreset("small", { quantizer: "int8", codec: ["planes", { id: "zstd", level: 19 }] })
 */
export function parsePreset(name: string, json: unknown): Preset {
  checkName(name);
  if (!isJsonObject(json))
    throw new UsageError("preset", `preset ${JSON.stringify(name)} must be a JSON object`);
  refuseUnknownParameters(json, ["quantizer", "codec", "description"], `preset ${JSON.stringify(name)}`);
  if (json.codec === undefined) {
    throw new UsageError(
      "codec",
      `preset ${JSON.stringify(name)}: codec is missing; write "none" to store without coding`,
    );
  }
  const codec = parsePolicy(json.codec, "codec");
  const quantizer = parseQuantizer(json.quantizer);
  const description = json.description ?? "";
  if (typeof description !== "string" || description.length > MAX_DESCRIPTION_LENGTH) {
    throw new UsageError(
      "description",
      `description must be text of at most ${MAX_DESCRIPTION_LENGTH} characters`,
    );
  }
  const lossless = quantizer === undefined;
  return { name, ...(quantizer === undefined ? {} : { quantizer }), codec, lossless, description };
}

/** A preset in the form that `parsePreset` takes back. The name is not part of it. */
export function presetToJson(preset: Preset): JsonObject {
  const json: Record<string, Json> = { codec: policyToJson(preset.codec) };
  if (preset.quantizer !== undefined)
    json.quantizer = { id: preset.quantizer.id, ...preset.quantizer.parameters };
  if (preset.description !== "") json.description = preset.description;
  return json;
}

function checkName(name: string): void {
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || !/^[\w.-]+$/.test(name)) {
    throw new UsageError(
      "name",
      `preset name ${JSON.stringify(name)} is not usable: letters, digits, ".", "_" and "-", at most ${MAX_NAME_LENGTH}`,
    );
  }
}

function parseQuantizer(json: Json | undefined): PresetQuantizer | undefined {
  if (json === undefined || json === null || json === "none") return undefined;
  if (typeof json !== "string" && !isJsonObject(json)) {
    throw new UsageError(
      "quantizer",
      `quantizer is ${JSON.stringify(json)}; write its id, or { "id": ..., parameters }`,
    );
  }
  const { id, ...written } = typeof json === "string" ? { id: json } : json;
  if (typeof id !== "string") throw new UsageError("quantizer", "quantizer: the id is missing");
  // { id, parameters } is the parsed form, { id, ...parameters } the written one.
  const parameters = "parameters" in written ? parsedParameters(written) : written;
  try {
    return { id, parameters: quantizerOf(id).parse(parameters) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError("quantizer", `quantizer ${JSON.stringify(id)}: ${error.message}`, { cause: error });
  }
}

function parsedParameters(written: JsonObject): JsonObject {
  refuseUnknownParameters(written, ["parameters"], "quantizer");
  if (!isJsonObject(written.parameters))
    throw new UsageError("quantizer", "quantizer: parameters must be an object");
  return written.parameters;
}
