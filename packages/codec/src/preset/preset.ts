/**
 * What a preset is, and how custom ones are read. A preset names a quantizer (lossy, or none) and a codec
 * policy (always lossless); it decides how tensors are stored from now on, never how stored ones are read.
 *
 *   { "quantizer": "fp16", "codec": "gzip" }
 *   { "quantizer": { "id": "int8", "granularity": "tensor" }, "codec": { "id": "gzip", "level": 9 }, "description": "..." }
 *   { "codec": ["planes", { "id": "zstd", "level": 19 }] }
 *   { "quantizer": "nf4", "codec": "auto", "policy": { "rules": [{ "names": ["*norm*"], "quantizer": "bf16" }] } }
 *
 * With a policy (quantizer-policy.ts), the quantizer is that of tensors which no rule is for.
 */
import { isJsonObject, type Json, type JsonObject } from "../bytes/json.ts";
import { type CodecPolicy, parsePolicy, policyToJson } from "../codec/policy.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { quantizerOf } from "../quantize/registry.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { type PresetQuantizer, parseQuantizer, quantizerToJson } from "./preset-quantizer.ts";
import { parseQuantizerPolicy, type QuantizerPolicy, quantizerPolicyToJson } from "./quantizer-policy.ts";

/** A named quantizer and codec policy. Plain data: it can be sent to workers and stored as JSON. */
export interface Preset {
  readonly name: string;
  /** Absent: nothing is lost, unless by the policy. */
  readonly quantizer?: PresetQuantizer;
  /** Which tensors get another quantizer; absent: all get the same one. */
  readonly policy?: QuantizerPolicy;
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
 * @param json `{ codec, quantizer?, policy?, description? }`
 * @example parsePreset("small", { quantizer: "int8", codec: ["planes", { id: "zstd", level: 19 }] })
 */
export function parsePreset(name: string, json: unknown): Preset {
  checkName(name);
  if (!isJsonObject(json))
    throw new UsageError("preset", `preset ${JSON.stringify(name)} must be a JSON object`);
  refuseUnknownParameters(
    json,
    ["quantizer", "policy", "codec", "description"],
    `preset ${JSON.stringify(name)}`,
  );
  if (json.codec === undefined) {
    throw new UsageError(
      "codec",
      `preset ${JSON.stringify(name)}: codec is missing; write "none" to store without coding`,
    );
  }
  const codec = parsePolicy(json.codec, "codec");
  const quantizer = parseQuantizer(json.quantizer);
  const policy = json.policy === undefined ? undefined : parseQuantizerPolicy(json.policy);
  if (quantizer !== undefined && policy?.budget !== undefined) {
    throw new UsageError(
      "policy.budget",
      `preset ${JSON.stringify(name)}: quantizer and policy.budget are both for what no rule decides; give one of them`,
    );
  }
  const description = json.description ?? "";
  if (typeof description !== "string" || description.length > MAX_DESCRIPTION_LENGTH) {
    throw new UsageError(
      "description",
      `description must be text of at most ${MAX_DESCRIPTION_LENGTH} characters`,
    );
  }
  return {
    name,
    ...(quantizer !== undefined && { quantizer }),
    ...(policy !== undefined && { policy }),
    codec,
    lossless: quantizer === undefined && (policy === undefined || losesNothing(policy)),
    description,
  };
}

/** A preset in the form that `parsePreset` takes back. The name is not part of it. */
export function presetToJson(preset: Preset): JsonObject {
  const json: Record<string, Json> = { codec: policyToJson(preset.codec) };
  if (preset.quantizer !== undefined) json.quantizer = quantizerToJson(preset.quantizer);
  if (preset.policy !== undefined) json.policy = quantizerPolicyToJson(preset.policy);
  if (preset.description !== "") json.description = preset.description;
  return json;
}

/**
 * Bits per weight of large tensors under a preset, scales included, before its codec; undefined where nothing is quantized or a policy
 * decides for each tensor.
 */
export function bitsPerWeightOf(
  { quantizer, policy }: Preset,
  source: DType = dtypeOf("float32"),
): number | undefined {
  if (quantizer === undefined || policy !== undefined) return undefined;
  return quantizerOf(quantizer.id).bitsPerWeight(quantizer.parameters, source);
}

function losesNothing({ rules, budget }: QuantizerPolicy): boolean {
  return budget === undefined && rules.every(({ use }) => use === "none");
}

function checkName(name: string): void {
  if (name.length === 0 || name.length > MAX_NAME_LENGTH || !/^[\w.-]+$/.test(name)) {
    throw new UsageError(
      "name",
      `preset name ${JSON.stringify(name)} is not usable: letters, digits, ".", "_" and "-", at most ${MAX_NAME_LENGTH}`,
    );
  }
}
