/**
 * Which quantizer each tensor of a dataset gets. The first rule whose conditions a tensor fulfils decides: by a quantizer that it names, or by an
 * error budget, for which the cheapest of the candidates is taken that keeps it.
 *
 *     { "minElements": 4096,
 *       "rules": [
 *         { "names": ["*embed*", "*norm*"], "quantizer": "bf16" },
 *         { "names": ["*.attn.*"], "dtypes": ["float32"], "quantizer": "int8" },
 *         { "names": ["*.mlp.*"], "budget": { "minSnrDb": 20 } } ],
 *       "budget": { "maxRelativeError": 0.01 },
 *       "candidates": ["nf4", "q6_k", { "id": "int8", "granularity": "tensor" }, "bf16"] }
 *
 * What no rule decides is for `budget`, or where there is none for the preset's quantizer. Smaller tensors than `minElements` are stored without loss.
 */
import { isJsonObject, type Json, type JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { isQuantizable } from "../quantize/real-elements.ts";
import { type DTypeName, dtypeOf } from "../tensor/dtype.ts";
import { matchesGlob } from "./glob.ts";
import { type PresetQuantizer, parseQuantizer, quantizerToJson } from "./preset-quantizer.ts";

/** How far a tensor may be from its source; one of the two. */
export type ErrorBudget =
  /** The norm of the error over the norm of the tensor; above 0 and below 1. */
  | { readonly maxRelativeError: number }
  /** Signal to noise in dB; above 0. */
  | { readonly minSnrDb: number };

/** What decides for tensors that fulfil all of its conditions. */
export interface QuantizerRule {
  /** Patterns (glob.ts), of which the name must fit one. */
  readonly names?: readonly string[];
  readonly dtypes?: readonly DTypeName[];
  readonly minElements?: number;
  /** How: by a quantizer, without loss ("none"), or within a budget. */
  readonly use: PresetQuantizer | "none" | ErrorBudget;
}

/** A parsed policy. Plain data. */
export interface QuantizerPolicy {
  /** Tensors of fewer elements are stored without loss. */
  readonly minElements: number;
  readonly rules: readonly QuantizerRule[];
  readonly budget?: ErrorBudget;
  /** What budgets choose from, in any order. */
  readonly candidates: readonly PresetQuantizer[];
}

/** More rules or patterns than this are a mistake, and each is tried for each tensor. */
const MAX_RULES = 256;
const MAX_PATTERNS = 256;
const MAX_PATTERN_LENGTH = 256;
/** More than the precision of float64 gives. */
const MAX_SNR_DB = 320;

/** What budgets choose from unless a policy says. */
const DEFAULT_CANDIDATES: readonly PresetQuantizer[] = [
  "nf4-dq",
  "mxfp4",
  "q4_k",
  "q4_1",
  "mxfp6",
  "q6_k",
  "fp8_e4m3",
  "int8",
  "q8_0",
  "bf16",
  "fp16",
].map((id) => parseQuantizer(id)!);

/** Reads a policy. Throws `UsageError` that names the key, such as `policy.rules[1].budget`. */
export function parseQuantizerPolicy(json: unknown, field = "policy"): QuantizerPolicy {
  const policy = objectOf(json, field, ["minElements", "rules", "budget", "candidates"]);
  const rules = listOf(policy.rules ?? [], `${field}.rules`, MAX_RULES).map((rule, index) =>
    parseRule(rule, `${field}.rules[${index}]`),
  );
  const all = rules.findIndex((rule) => !("names" in rule || "dtypes" in rule || "minElements" in rule));
  if (all >= 0 && all < rules.length - 1) {
    const name = `${field}.rules[${all}]`;
    throw new UsageError(name, `${name} has no conditions, so that no rule behind it is ever used`);
  }
  const candidates =
    policy.candidates === undefined
      ? DEFAULT_CANDIDATES
      : listOf(policy.candidates, `${field}.candidates`, MAX_RULES).map((one, index) =>
          candidateOf(one, `${field}.candidates[${index}]`),
        );
  const isBudgeted = policy.budget !== undefined || rules.some(({ use }) => isBudget(use));
  if (isBudgeted && candidates.length === 0) {
    throw new UsageError(
      `${field}.candidates`,
      `${field}.candidates is empty, but there is a budget to choose them by`,
    );
  }
  if (!isBudgeted && policy.candidates !== undefined) {
    throw new UsageError(
      `${field}.candidates`,
      `${field}.candidates are given, but there is no budget to choose them by`,
    );
  }
  return {
    minElements: countOf(policy.minElements ?? 0, `${field}.minElements`),
    rules,
    ...(policy.budget !== undefined && { budget: parseBudget(policy.budget, `${field}.budget`) }),
    candidates,
  };
}

/** The form that `parseQuantizerPolicy` takes back. */
export function quantizerPolicyToJson({
  minElements,
  rules,
  budget,
  candidates,
}: QuantizerPolicy): JsonObject {
  const isBudgeted = budget !== undefined || rules.some(({ use }) => isBudget(use));
  return {
    ...(minElements > 0 && { minElements }),
    rules: rules.map(({ use, ...conditions }): JsonObject => {
      if (isBudget(use)) return { ...conditions, budget: { ...use } };
      return { ...conditions, quantizer: use === "none" ? "none" : quantizerToJson(use) };
    }),
    ...(budget !== undefined && { budget: { ...budget } }),
    ...(isBudgeted && { candidates: candidates.map(quantizerToJson) }),
  };
}

/** Whether a rule chooses by a budget. */
export function isBudget(use: QuantizerRule["use"]): use is ErrorBudget {
  return use !== "none" && !("id" in use);
}

/**
 * Throws `UsageError` naming the patterns of a policy that none of the names fits, which are most likely misspelt.
 *
 * @param names of all tensors that the policy is for
 */
export function checkPatterns({ rules }: QuantizerPolicy, names: Iterable<string>, field = "policy"): void {
  const open = new Set(rules.flatMap((rule) => rule.names ?? []));
  for (const name of names) {
    if (open.size === 0) return;
    for (const pattern of open) if (matchesGlob(pattern, name)) open.delete(pattern);
  }
  if (open.size === 0) return;
  const patterns = [...open].map((pattern) => JSON.stringify(pattern)).join(", ");
  throw new UsageError(`${field}.rules`, `${field}.rules: no tensor has a name that fits ${patterns}`);
}

function parseRule(json: unknown, field: string): QuantizerRule {
  const rule = objectOf(json, field, ["names", "dtypes", "minElements", "quantizer", "budget"]);
  if ((rule.quantizer === undefined) === (rule.budget === undefined)) {
    const both =
      rule.quantizer === undefined ? "has neither a quantizer nor a budget" : "has a quantizer and a budget";
    throw new UsageError(field, `${field} ${both}; give one of them (quantizer "none" stores without loss)`);
  }
  return {
    ...(rule.names !== undefined && { names: parseNames(rule.names, `${field}.names`) }),
    ...(rule.dtypes !== undefined && { dtypes: parseDTypes(rule.dtypes, `${field}.dtypes`) }),
    ...(rule.minElements !== undefined && { minElements: countOf(rule.minElements, `${field}.minElements`) }),
    use:
      rule.budget === undefined
        ? (parseQuantizer(rule.quantizer, `${field}.quantizer`) ?? "none")
        : parseBudget(rule.budget, `${field}.budget`),
  };
}

function parseNames(json: Json, field: string): string[] {
  const patterns = listOf(json, field, MAX_PATTERNS);
  if (patterns.length === 0) throw new UsageError(field, `${field} is empty, so that no tensor fits`);
  return patterns.map((pattern) => {
    if (typeof pattern === "string" && pattern.length > 0 && pattern.length <= MAX_PATTERN_LENGTH)
      return pattern;
    throw new UsageError(
      field,
      `${field}: ${JSON.stringify(pattern)} is no pattern of 1 to ${MAX_PATTERN_LENGTH} characters`,
    );
  });
}

function parseDTypes(json: Json, field: string): DTypeName[] {
  const names = listOf(json, field, MAX_PATTERNS);
  if (names.length === 0) throw new UsageError(field, `${field} is empty, so that no tensor fits`);
  return names.map((name) => {
    const dtype = dtypeOf(String(name), field);
    if (isQuantizable(dtype)) return dtype.name;
    throw new UsageError(
      field,
      `${field}: ${dtype.name} is never quantized; only float16, bfloat16, float32 and float64 are`,
    );
  });
}

function parseBudget(json: unknown, field: string): ErrorBudget {
  const budget = objectOf(json, field, ["maxRelativeError", "minSnrDb"]);
  const { maxRelativeError, minSnrDb } = budget;
  if (maxRelativeError !== undefined && minSnrDb !== undefined) {
    throw new UsageError(
      field,
      `${field}: maxRelativeError and minSnrDb contradict each other; give one of them`,
    );
  }
  if (maxRelativeError !== undefined) {
    return { maxRelativeError: numberBetween(maxRelativeError, 1, `${field}.maxRelativeError`) };
  }
  if (minSnrDb !== undefined) return { minSnrDb: numberBetween(minSnrDb, MAX_SNR_DB, `${field}.minSnrDb`) };
  throw new UsageError(field, `${field} is empty; give maxRelativeError or minSnrDb`);
}

function candidateOf(json: Json, field: string): PresetQuantizer {
  const quantizer = parseQuantizer(json, field);
  if (quantizer !== undefined) return quantizer;
  throw new UsageError(field, `${field} names no quantizer`);
}

function objectOf(json: unknown, field: string, keys: readonly string[]): JsonObject {
  if (!isJsonObject(json)) throw new UsageError(field, `${field} must be a JSON object`);
  refuseUnknownParameters(json, keys, field);
  return json;
}

function listOf(json: Json, field: string, limit: number): readonly Json[] {
  if (Array.isArray(json) && json.length <= limit) return json as readonly Json[];
  throw new UsageError(field, `${field} must be a list of at most ${limit}`);
}

function countOf(json: Json, field: string): number {
  if (typeof json === "number" && Number.isSafeInteger(json) && json >= 0) return json;
  throw new UsageError(
    field,
    `${field} is ${JSON.stringify(json)}; it must be a number of elements, 0 or more`,
  );
}

function numberBetween(json: Json, limit: number, field: string): number {
  if (typeof json === "number" && json > 0 && json < limit) return json;
  throw new UsageError(
    field,
    `${field} is ${JSON.stringify(json)}; it must be a number above 0 and below ${limit}`,
  );
}
