/**
 * Which quantizer a tensor gets, by the preset: always the same one, or as its policy decides. A budget is kept by trying: the tensor is quantized by
 * one candidate after the other, cheapest first, and nothing is kept of those that miss it.
 */
import {
  chooseQuantizer,
  type DType,
  type MeasuredQuantizer,
  type Preset,
  quantizerOf,
} from "@tensorcask/codec";
import { measureError, type ScannedTensor, scanTensor } from "./quantized-ingest.ts";
import type { ReadBytes, TensorBytes } from "./tensor-bytes.ts";

/** How a tensor is to be stored. */
export type StoredAs =
  | { readonly scanned: ScannedTensor; readonly reason: string | undefined }
  /** Without loss; `note` says why, where a quantizer was tried. */
  | { readonly scanned: undefined; readonly read: ReadBytes; readonly note: string | undefined };

/** A tensor that is taken in. */
export interface ChosenTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly name: string | undefined;
}

/** Chooses for one tensor; reads it once or more, `bytes.first` first. */
export async function chooseStoredAs(
  bytes: TensorBytes,
  { dtype, shape, name }: ChosenTensor,
  { quantizer, policy }: Preset,
  chunkElements: number,
  signal?: AbortSignal,
): Promise<StoredAs> {
  if (policy === undefined) {
    if (quantizer === undefined || !quantizerOf(quantizer.id).accepts(dtype)) {
      return { scanned: undefined, read: bytes.first, note: undefined };
    }
    const scanned = await scanTensor(bytes, dtype, shape, quantizer, chunkElements, signal);
    return { scanned, reason: undefined };
  }
  const measured: MeasuredQuantizer[] = [];
  let source = bytes;
  let last: ScannedTensor | undefined;
  for (;;) {
    const choice = chooseQuantizer(policy, { name, dtype, shape }, measured, quantizer);
    if (choice.choice === "none") {
      const note = last === undefined ? undefined : choice.reason;
      return { scanned: undefined, read: source.first, note };
    }
    // The first candidate that keeps a budget is taken, so that what was measured last is what is chosen.
    if (choice.choice === "use" && last !== undefined) return { scanned: last, reason: choice.reason };
    last = await scanTensor(source, dtype, shape, choice.quantizer, chunkElements, signal);
    if (choice.choice === "use") return { scanned: last, reason: choice.reason };
    source = { first: last.read, again: last.read };
    const { plan } = last;
    if ("refused" in plan) {
      measured.push({ quantizer: choice.quantizer, outcome: plan });
      continue;
    }
    const outcome = { error: await measureError(last, plan, signal), bitsPerWeight: plan.bitsPerWeight };
    last = { ...last, error: outcome.error };
    measured.push({ quantizer: choice.quantizer, outcome });
  }
}
