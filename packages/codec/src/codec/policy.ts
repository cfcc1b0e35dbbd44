/**
 * What a preset says about lossless coding: a fixed chain of codecs, or `auto`, which picks per chunk. A
 * policy is plain JSON, so that it is stored and sent to workers as it is.
 *
 * Users write any of:
 *
 *   "gzip"   { "id": "gzip", "level": 9 }   ["planes", { "id": "gzip", "level": 9 }]   "none"   "auto"   { "auto": "lossless" }   { "auto": "fast" }   { "auto": "archive" }
 *   { "auto": "lossless", "minSaving": 0.2 }
 */
import { isJsonObject, type Json, type JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import { encodeLossless } from "./auto.ts";
import { encodeArchive } from "./auto-archive.ts";
import { encodeFast } from "./auto-fast.ts";
import { encodeAgainst, type SiblingEffort } from "./auto-sibling.ts";
import {
  type CodedChunk,
  type DecodeOptions,
  decodeChain,
  encodeChain,
  MAX_STEPS,
  type Step,
} from "./chain.ts";
import type { Codec, CodecKind, Sibling } from "./codec.ts";
import { codecOf } from "./registry.ts";

/** A step of a chain policy; the parameters are complete. */
export type PolicyStep = { readonly codec: string; readonly parameters: JsonObject };

/** What the coding is chosen for, where the data chooses: a good size quickly, speed, or size alone. */
export type AutomaticPolicy = "lossless" | "fast" | "archive";

/** How chunks are coded. The empty chain stores them raw. */
export type CodecPolicy =
  | { readonly chain: readonly PolicyStep[] }
  | {
      readonly auto: AutomaticPolicy;
      /**
       * A chunk is coded against another one only if that makes its frame shorter by this fraction, below 1. 0 where it is absent: whatever
       * is smaller. Not for `fast`, which codes nothing against others.
       */
      readonly minSaving?: number;
    };

/** The policies that choose by the data. */
type AutomaticCoder = (bytes: Uint8Array, dtype: DType, out?: Uint8Array) => CodedChunk;

const automatic: { readonly [name in AutomaticPolicy]: AutomaticCoder } = {
  lossless: encodeLossless,
  fast: encodeFast,
  archive: encodeArchive,
};

const kindOrder: { readonly [kind in CodecKind]: number } = {
  "array-to-array": 0,
  "array-to-bytes": 1,
  "bytes-to-bytes": 2,
};

/**
 * Checks and completes what a user wrote. Throws `UsageError` that names `field` and the step ("codec step 2:
 * ...").
 */
export function parsePolicy(json: unknown, field = "codec"): CodecPolicy {
  if (json === "none") return { chain: [] };
  if (json === "auto") return { auto: "lossless" };
  if (isJsonObject(json) && "auto" in json) {
    refuseUnknownParameters(json, ["auto", "minSaving"], `${field} auto`);
    const name = json.auto;
    if (typeof name !== "string" || !Object.hasOwn(automatic, name)) {
      throw new UsageError(
        field,
        `${field}: unknown auto ${JSON.stringify(name)}; known: ${Object.keys(automatic).join(", ")}`,
      );
    }
    return { auto: name as AutomaticPolicy, ...parseMinSaving(json.minSaving, name, field) };
  }
  if (isJsonObject(json) && "chain" in json) {
    refuseUnknownParameters(json, ["chain"], field);
    if (!Array.isArray(json.chain)) throw new UsageError(field, `${field}: chain must be a list of codecs`);
    return { chain: parseChain(json.chain, field) };
  }
  return { chain: parseChain(Array.isArray(json) ? json : [json], field) };
}

/** A policy in the form that users write and `parsePolicy` takes back. */
export function policyToJson(policy: CodecPolicy): Json {
  if ("auto" in policy) return { ...policy };
  return policy.chain.map(({ codec, parameters }) => ({ id: codec, ...parameters }));
}

/**
 * Whether a policy codes chunks against siblings. Chains do what they say, and `fast` has no time to look for
 * them.
 */
export function usesSiblings(
  policy: CodecPolicy,
): policy is { readonly auto: SiblingEffort; readonly minSaving?: number } {
  return "auto" in policy && policy.auto !== "fast";
}

/** What may be given to code a chunk with. */
export interface EncodeOptions {
  /** Room that the payload may lie in, instead of memory of its own. */
  readonly out?: Uint8Array;
  /** A chunk to code against where that is smaller, by policies that use siblings. */
  readonly sibling?: Sibling | undefined;
}

/**
 * Codes a chunk by a policy from `parsePolicy`. No steps: coding saves nothing, and `payload` is `bytes`
 * itself.
 */
export function encodeChunk(
  bytes: Uint8Array,
  dtype: DType,
  policy: CodecPolicy,
  { out, sibling }: EncodeOptions = {},
): CodedChunk {
  if (sibling !== undefined && usesSiblings(policy))
    return encodeAgainst(bytes, dtype, sibling, { effort: policy.auto, minSaving: policy.minSaving, out });
  if ("auto" in policy) return automatic[policy.auto](bytes, dtype, out);
  const links = policy.chain.map(({ codec, parameters }) => ({ codec: codecOf(codec), parameters }));
  return encodeChain(bytes, dtype, links, undefined, out);
}

/** Undoes `encodeChunk`: `rawBytes` bytes (perhaps a view of `payload`), or `DamageError`. */
export function decodeChunk(
  payload: Uint8Array,
  steps: readonly Step[],
  rawBytes: number,
  dtype: DType,
  where?: string,
  options?: DecodeOptions,
): Uint8Array {
  return decodeChain(payload, steps, rawBytes, dtype, where, options);
}

function parseMinSaving(json: unknown, auto: string, field: string): { readonly minSaving?: number } {
  if (json === undefined) return {};
  if (auto === "fast")
    throw new UsageError(
      "minSaving",
      `${field}: auto "fast" codes nothing against other chunks, so it has no minSaving`,
    );
  if (typeof json !== "number" || !(json >= 0 && json < 1))
    throw new UsageError(
      "minSaving",
      `${field}: minSaving is a fraction from 0 to below 1, not ${String(json)}`,
    );
  return json === 0 ? {} : { minSaving: json };
}

function parseChain(list: readonly unknown[], field: string): PolicyStep[] {
  if (list.length > MAX_STEPS)
    throw new UsageError(field, `${field}: ${list.length} steps; at most ${MAX_STEPS} are possible`);
  const chain: PolicyStep[] = [];
  let before: Codec | undefined;
  for (const [index, json] of list.entries()) {
    const where = list.length === 1 ? field : `${field} step ${index + 1}`;
    const { codec, parameters } = parseStep(json, field, where);
    if (before !== undefined && !follows(before.kind, codec.kind)) {
      throw new UsageError(
        field,
        `${where}: ${codec.id} (${codec.kind}) cannot follow ${before.id} (${before.kind}); arrays come before bytes`,
      );
    }
    chain.push({ codec: codec.id, parameters });
    before = codec;
  }
  return chain;
}

function parseStep(json: unknown, field: string, where: string): { codec: Codec; parameters: JsonObject } {
  if (typeof json !== "string" && !isJsonObject(json)) {
    throw new UsageError(
      field,
      `${where}: ${JSON.stringify(json)} is no codec; write its id, or { "id": ..., parameters }`,
    );
  }
  // { codec, parameters } is the parsed form, { id, ...parameters } the written one.
  const { id, parameters } = typeof json === "string" ? { id: json, parameters: {} } : splitStep(json, where);
  if (typeof id !== "string") throw new UsageError(field, `${where}: the codec's id is missing`);
  try {
    const codec = codecOf(id, field);
    return { codec, parameters: codec.parse(parameters) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(error.field, `${where}: ${error.message}`, { cause: error });
  }
}

function splitStep(json: JsonObject, where: string): { id: Json | undefined; parameters: JsonObject } {
  if ("codec" in json) {
    refuseUnknownParameters(json, ["codec", "parameters"], where);
    const parameters = json.parameters ?? {};
    if (!isJsonObject(parameters))
      throw new UsageError("parameters", `${where}: parameters must be an object`);
    return { id: json.codec, parameters };
  }
  const { id, ...parameters } = json;
  return { id, parameters };
}

/** Array-to-array steps, at most one array-to-bytes step, then bytes-to-bytes steps. */
function follows(before: CodecKind, kind: CodecKind): boolean {
  return kind === "array-to-bytes" ? before === "array-to-array" : kindOrder[before] <= kindOrder[kind];
}
