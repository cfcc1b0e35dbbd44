/**
 * What quantizers did to the tensors that current versions use, for statistics. Only tensors with `facts` can be quantized or have been
 * refused; in a store without any, this costs one scan that reads no row's text.
 */
import type { QuantizationFacts } from "../model/entry.ts";
import { forEachFile, forEachRecordTensor } from "./census.ts";
import type { Sqlite } from "./sqlite.ts";

/** Errors over the distinct quantized tensors of one dataset. */
export interface QuantizationUsage {
  readonly tensors: number;
  readonly worstMaxAbsolute: number;
  /** In dB; null when no tensor has one. */
  readonly worstSnrDb: number | null;
  readonly meanSnrDb: number | null;
  /** Tensors that a quantizer could not hold: they are stored exactly. */
  readonly refused: number;
}

interface Facts {
  readonly quantization?: QuantizationFacts;
  readonly note?: string;
}

/** Rows fetched at once. */
const PAGE_ROWS = 4096;

/** By dataset id. Datasets in which nothing was quantized or refused are left out. */
export function measureQuantization(sqlite: Sqlite): Map<number, QuantizationUsage> {
  return sqlite.read(() => {
    const facts = readFacts(sqlite);
    const found = new Map<number, QuantizationUsage>();
    if (facts.size === 0) return found;
    for (const dataset of sqlite.values<number>("SELECT dataset FROM dataset WHERE name IS NOT NULL")) {
      const used = new Set<number>();
      const mark = (tensors: readonly number[]): void => {
        for (const tensor of tensors) if (facts.has(tensor)) used.add(tensor);
      };
      forEachRecordTensor(sqlite, dataset, "current", mark);
      forEachFile(sqlite, dataset, "current", (_bytes, parts) => mark(parts));
      if (used.size > 0) found.set(dataset, summarize([...used].map((tensor) => facts.get(tensor)!)));
    }
    return found;
  });
}

function readFacts(sqlite: Sqlite): Map<number, Facts> {
  const found = new Map<number, Facts>();
  for (let last = 0; ; ) {
    const page = sqlite.tuples<[number, string]>(
      `SELECT tensor, facts FROM tensor WHERE tensor > ? AND facts IS NOT NULL ORDER BY tensor LIMIT ${PAGE_ROWS}`,
      last,
    );
    for (const [tensor, text] of page) {
      last = tensor;
      const { quantization, note } = JSON.parse(text) as Facts;
      if (quantization !== undefined) found.set(tensor, { quantization });
      else if (note !== undefined) found.set(tensor, { note });
    }
    if (page.length < PAGE_ROWS) return found;
  }
}

function summarize(all: readonly Facts[]): QuantizationUsage {
  let tensors = 0;
  let refused = 0;
  let worstMaxAbsolute = 0;
  let worstSnrDb: number | null = null;
  let sum = 0;
  let measured = 0;
  for (const { quantization } of all) {
    if (quantization === undefined) {
      refused += 1;
      continue;
    }
    tensors += 1;
    const { maxAbsolute, snrDb } = quantization.error;
    worstMaxAbsolute = Math.max(worstMaxAbsolute, maxAbsolute);
    if (snrDb === null) continue;
    worstSnrDb = worstSnrDb === null ? snrDb : Math.min(worstSnrDb, snrDb);
    sum += snrDb;
    measured += 1;
  }
  return {
    tensors,
    worstMaxAbsolute,
    worstSnrDb,
    meanSnrDb: measured === 0 ? null : sum / measured,
    refused,
  };
}
