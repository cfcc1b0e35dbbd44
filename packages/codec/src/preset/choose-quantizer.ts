/**
 * Chooses the quantizer of one tensor by a policy. Pure: where a budget has to be measured it says what to measure next, cheapest first, and the
 * caller quantizes, and asks again with what came out. The first one that keeps the budget is the cheapest.
 */
import type { QuantizationError } from "../quantize/error-statistics.ts";
import { quantizerOf } from "../quantize/registry.ts";
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { matchesGlob } from "./glob.ts";
import type { PresetQuantizer } from "./preset-quantizer.ts";
import { type ErrorBudget, isBudget, type QuantizerPolicy, type QuantizerRule } from "./quantizer-policy.ts";

/** The tensor that is chosen for. */
export interface PolicyTensor {
  /** Absent: no rule with names fits. */
  readonly name?: string | undefined;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** What one quantizer did to the tensor. */
export interface MeasuredQuantizer {
  readonly quantizer: PresetQuantizer;
  readonly outcome:
    | { readonly refused: string }
    | { readonly error: QuantizationError; readonly bitsPerWeight: number };
}

/** `reason` is a phrase for the record. */
export type QuantizerChoice =
  | { readonly choice: "use"; readonly quantizer: PresetQuantizer; readonly reason: string }
  | { readonly choice: "none"; readonly reason: string }
  | { readonly choice: "measure"; readonly quantizer: PresetQuantizer };

/**
 * The quantizer for a tensor, or what to measure first.
 *
 * @param fallback the preset's own quantizer, for what neither a rule nor the policy's budget decides
 * @param measured everything that was measured for this tensor on earlier calls
 */
export function chooseQuantizer(
  policy: QuantizerPolicy,
  tensor: PolicyTensor,
  measured: readonly MeasuredQuantizer[] = [],
  fallback?: PresetQuantizer,
): QuantizerChoice {
  const elements = elementCount(tensor.shape);
  if (elements < policy.minElements) {
    return { choice: "none", reason: `${elements} elements, fewer than ${policy.minElements}` };
  }
  const index = policy.rules.findIndex((rule) => fits(rule, tensor, elements));
  const rule = policy.rules[index];
  const use = rule?.use ?? policy.budget ?? fallback ?? "none";
  const by = rule === undefined ? "no rule" : `rule ${index + 1}`;
  if (use === "none") return { choice: "none", reason: by };
  if (isBudget(use)) return withinBudget(use, by, policy.candidates, tensor.dtype, measured);
  if (quantizerOf(use.id).accepts(tensor.dtype)) return { choice: "use", quantizer: use, reason: by };
  return { choice: "none", reason: `${by}: ${use.id} makes ${tensor.dtype.name} no smaller` };
}

/** Whether an error is within a budget. No error is, whatever the signal. */
export function keepsBudget({ rmse, snrDb }: QuantizationError, budget: ErrorBudget): boolean {
  if (rmse === 0) return true;
  if (snrDb === null) return false;
  return "minSnrDb" in budget ? snrDb >= budget.minSnrDb : 10 ** (-snrDb / 20) <= budget.maxRelativeError;
}

function fits(rule: QuantizerRule, { name, dtype }: PolicyTensor, elements: number): boolean {
  if (rule.minElements !== undefined && elements < rule.minElements) return false;
  if (rule.dtypes !== undefined && !rule.dtypes.includes(dtype.name)) return false;
  if (rule.names === undefined) return true;
  return name !== undefined && rule.names.some((pattern) => matchesGlob(pattern, name));
}

function withinBudget(
  budget: ErrorBudget,
  by: string,
  candidates: readonly PresetQuantizer[],
  dtype: DType,
  measured: readonly MeasuredQuantizer[],
): QuantizerChoice {
  const wanted =
    "minSnrDb" in budget ? `at least ${budget.minSnrDb} dB` : `at most ${budget.maxRelativeError} off`;
  for (const quantizer of cheapestFirst(candidates, dtype)) {
    const found = measured.find((one) => isSame(one.quantizer, quantizer));
    if (found === undefined) return { choice: "measure", quantizer };
    const { outcome } = found;
    if ("refused" in outcome || !keepsBudget(outcome.error, budget)) continue;
    const { snrDb } = outcome.error;
    const reached = snrDb === null ? "no error" : `${snrDb.toFixed(1)} dB`;
    return {
      choice: "use",
      quantizer,
      reason: `${by}, ${wanted}: ${reached} at ${outcome.bitsPerWeight.toFixed(2)} bits`,
    };
  }
  return { choice: "none", reason: `${by}, ${wanted}: none of ${measured.length} quantizers keeps it` };
}

/** Candidates that make the dtype smaller, by their bits per weight; of two alike, the first one given. */
function cheapestFirst(candidates: readonly PresetQuantizer[], dtype: DType): PresetQuantizer[] {
  return candidates
    .map((quantizer) => ({
      quantizer,
      bits: quantizerOf(quantizer.id).bitsPerWeight(quantizer.parameters, dtype),
    }))
    .filter(({ quantizer, bits }) => quantizerOf(quantizer.id).accepts(dtype) && bits < dtype.bits)
    .sort((one, other) => one.bits - other.bits)
    .map(({ quantizer }) => quantizer);
}

/** Parameters are parsed, so that equal ones have their keys in the same order. */
function isSame(one: PresetQuantizer, other: PresetQuantizer): boolean {
  return one.id === other.id && JSON.stringify(one.parameters) === JSON.stringify(other.parameters);
}
