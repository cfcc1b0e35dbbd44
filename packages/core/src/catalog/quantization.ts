/**
 * What quantizers did to the tensors that current versions use, for statistics. Only tensors with `facts` can be quantized or have been
 * refused; in a store without any, this costs one scan that reads no row's text.
 */
import { forEachFile, forEachRecordTensor, IdOrder } from "./census.ts";
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

/** Facts of the tensors that were quantized or refused, by their place in the order of ids. */
interface Quantized {
  readonly order: IdOrder;
  readonly maxAbsolute: Float64Array;
  /** NaN: there is none. */
  readonly snrDb: Float64Array;
  readonly refused: Uint8Array;
}

/** Rows fetched at once. */
const PAGE_ROWS = 8192;

/** By dataset id. Datasets in which nothing was quantized or refused are left out. */
export function measureQuantization(sqlite: Sqlite): Map<number, QuantizationUsage> {
  return sqlite.read(() => {
    const quantized = readQuantized(sqlite);
    const found = new Map<number, QuantizationUsage>();
    const { length } = quantized.order.ids;
    if (length === 0) return found;
    // The number of the dataset that met a tensor last: it counts once in each.
    const seen = new Uint32Array(length);
    let pass = 0;
    for (const dataset of sqlite.values<number>("SELECT dataset FROM dataset WHERE name IS NOT NULL")) {
      pass += 1;
      const sum = new Sum(quantized);
      const mark = (tensors: readonly number[]): void => {
        for (const tensor of tensors) {
          const place = quantized.order.find(tensor);
          if (place < 0 || seen[place] === pass) continue;
          seen[place] = pass;
          sum.add(place);
        }
      };
      forEachRecordTensor(sqlite, dataset, "current", mark);
      forEachFile(sqlite, dataset, "current", (_bytes, parts) => mark(parts));
      const usage = sum.usage();
      if (usage !== undefined) found.set(dataset, usage);
    }
    return found;
  });
}

function readQuantized(sqlite: Sqlite): Quantized {
  // More than enough: tensors of several arrays have facts, too.
  const most = sqlite.value<number>("SELECT count(*) FROM tensor WHERE facts IS NOT NULL") ?? 0;
  const ids = new Float64Array(most);
  const maxAbsolute = new Float64Array(most);
  const snrDb = new Float64Array(most);
  const refused = new Uint8Array(most);
  let count = 0;
  for (let last = 0; ; ) {
    const page = sqlite.tuples<[number, number | null, number | null, number]>(
      `SELECT tensor, facts ->> '$.quantization.error.maxAbsolute', facts ->> '$.quantization.error.snrDb',
       facts ->> '$.note' IS NOT NULL FROM tensor
       WHERE tensor > ? AND facts IS NOT NULL ORDER BY tensor LIMIT ${PAGE_ROWS}`,
      last,
    );
    for (const [tensor, error, signal, noted] of page) {
      last = tensor;
      if (error === null && noted === 0) continue;
      ids[count] = tensor;
      maxAbsolute[count] = error ?? 0;
      snrDb[count] = signal ?? Number.NaN;
      refused[count] = error === null ? 1 : 0;
      count += 1;
    }
    if (page.length < PAGE_ROWS) break;
  }
  return { order: new IdOrder("tensor", ids.subarray(0, count)), maxAbsolute, snrDb, refused };
}

/** Sums over the tensors of one dataset. */
class Sum {
  readonly #quantized: Quantized;
  #tensors = 0;
  #refused = 0;
  #worstMaxAbsolute = 0;
  #worstSnrDb = Number.POSITIVE_INFINITY;
  #snrDb = 0;
  #measured = 0;

  constructor(quantized: Quantized) {
    this.#quantized = quantized;
  }

  add(place: number): void {
    const { maxAbsolute, snrDb, refused } = this.#quantized;
    if (refused[place] === 1) {
      this.#refused += 1;
      return;
    }
    this.#tensors += 1;
    this.#worstMaxAbsolute = Math.max(this.#worstMaxAbsolute, maxAbsolute[place]!);
    const snr = snrDb[place]!;
    if (Number.isNaN(snr)) return;
    this.#worstSnrDb = Math.min(this.#worstSnrDb, snr);
    this.#snrDb += snr;
    this.#measured += 1;
  }

  usage(): QuantizationUsage | undefined {
    if (this.#tensors + this.#refused === 0) return undefined;
    const measured = this.#measured > 0;
    return {
      tensors: this.#tensors,
      worstMaxAbsolute: this.#worstMaxAbsolute,
      worstSnrDb: measured ? this.#worstSnrDb : null,
      meanSnrDb: measured ? this.#snrDb / this.#measured : null,
      refused: this.#refused,
    };
  }
}
