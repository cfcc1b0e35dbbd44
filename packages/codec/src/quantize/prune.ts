/**
 * Magnitude pruning: elements closer to 0 than a threshold become 0, all others stay as they are, NaN and infinities too. `values` keep dtype and shape;
 * what makes them small is the codec `sparse`. The threshold is given, or found for a share of zeros (`sparsity`): the largest float32 with 8
 * bits of mantissa below which no more than that share of the elements lies.
 */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { ErrorStatistics, type QuantizationError } from "./error-statistics.ts";
import { refuseUnknownParameters } from "./parameters.ts";
import type {
  Dequantize,
  QuantizePlan,
  QuantizeRefusal,
  Quantizer,
  QuantizeScan,
  QuantizeSource,
} from "./quantizer.ts";
import { bytesOfReal, emptyReals, isQuantizable, realElements } from "./real-elements.ts";
import { roundedToOdd } from "./small-float.ts";

const DEFAULT_SPARSITY = 0.5;
/** Magnitudes are counted by their exponent and upper 8 mantissa bits. */
const BIN_SHIFT = 15;
const BINS = 2 ** (31 - BIN_SHIFT);
/** `sparse` tells where the kept elements are by a bitmap, or in less. */
const BITMAP_BITS = 1;

class PruneScan implements QuantizeScan {
  readonly #source: QuantizeSource;
  readonly #parameters: JsonObject;
  readonly #bins = new Float64Array(BINS);
  /** Elements that are not 0 and not below a threshold that was given. */
  #kept = 0;

  constructor(source: QuantizeSource, parameters: JsonObject) {
    this.#source = source;
    this.#parameters = parameters;
  }

  push(bytes: Uint8Array): void {
    const elements = realElements(this.#source.dtype, bytes);
    const { threshold } = this.#parameters;
    if (threshold !== undefined) {
      this.#kept += elements.length - countBelow(elements, threshold as number);
      return;
    }
    // Cut off towards zero, a float64 stays in its bin.
    const single = elements instanceof Float64Array ? roundedToOdd(elements) : elements;
    const words = new Uint32Array(single.buffer, single.byteOffset, single.length);
    for (let index = 0; index < words.length; index++)
      this.#bins[(words[index]! & 0x7fffffff) >>> BIN_SHIFT]!++;
  }

  finish(): QuantizePlan | QuantizeRefusal {
    const { dtype, shape } = this.#source;
    const elements = elementCount(shape);
    if (elements === 0) return { refused: "an empty tensor gets no smaller" };
    const { threshold, kept } = this.#threshold(elements);
    const bitsPerWeight = BITMAP_BITS + (dtype.bits * kept) / elements;
    if (bitsPerWeight >= dtype.bits) {
      return {
        refused: `prune keeps ${kept} of ${elements} elements: with their places they take no less than all`,
      };
    }
    return new PrunePlan(this.#source, threshold, bitsPerWeight);
  }

  #threshold(elements: number): { threshold: number; kept: number } {
    const { threshold, sparsity } = this.#parameters;
    if (threshold !== undefined) return { threshold: threshold as number, kept: this.#kept };
    const wanted = (sparsity as number) * elements;
    let below = 0;
    let bin = 0;
    while (bin < BINS && below + this.#bins[bin]! <= wanted) below += this.#bins[bin++]!;
    const edge = new Float32Array(Uint32Array.of(bin << BIN_SHIFT).buffer)[0]!;
    return { threshold: edge, kept: elements - below };
  }
}

class PrunePlan implements QuantizePlan {
  readonly arrays: QuantizePlan["arrays"];
  readonly side = {};
  readonly bitsPerWeight: number;
  readonly #dtype: DType;
  readonly #threshold: number;
  readonly #statistics = new ErrorStatistics();

  constructor({ dtype, shape }: QuantizeSource, threshold: number, bitsPerWeight: number) {
    this.arrays = [{ role: "values", dtype, shape }];
    this.bitsPerWeight = bitsPerWeight;
    this.#dtype = dtype;
    this.#threshold = threshold;
  }

  encode(bytes: Uint8Array): Uint8Array {
    const elements = realElements(this.#dtype, bytes);
    const pruned = emptyReals(this.#dtype, elements.length);
    // Copied as a whole, NaN keeps its bits.
    pruned.set(elements);
    const threshold = this.#threshold;
    for (let index = 0; index < pruned.length; index++) {
      if (Math.abs(pruned[index]!) < threshold) pruned[index] = 0;
    }
    this.#statistics.add(elements, pruned);
    return bytesOfReal(this.#dtype, pruned);
  }

  error(): QuantizationError {
    return this.#statistics.result();
  }
}

function countBelow(elements: Float32Array | Float64Array, threshold: number): number {
  let below = 0;
  for (let index = 0; index < elements.length; index++) {
    const magnitude = Math.abs(elements[index]!);
    if (magnitude < threshold || magnitude === 0) below++;
  }
  return below;
}

function numberParameter(parameters: JsonObject, name: string, limit: number): number | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  if (typeof value === "number" && value > 0 && value < limit) return value;
  const bound = limit === Number.POSITIVE_INFINITY ? "" : ` and below ${limit}`;
  throw new UsageError(
    name,
    `prune: ${name} is ${JSON.stringify(value)}; it must be a number above 0${bound}`,
  );
}

/** The quantizer `prune`; parameters `sparsity` (above 0 and below 1; 0.5 by default) or `threshold` (in units of the elements). */
export const prune: Quantizer = {
  id: "prune",
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["sparsity", "threshold"], "prune");
    const sparsity = numberParameter(parameters, "sparsity", 1);
    const threshold = numberParameter(parameters, "threshold", Number.POSITIVE_INFINITY);
    if (threshold === undefined) return { sparsity: sparsity ?? DEFAULT_SPARSITY };
    if (sparsity === undefined) return { threshold };
    throw new UsageError(
      "threshold",
      "prune: sparsity and threshold contradict each other; give one of them",
    );
  },
  accepts: isQuantizable,
  bitsPerWeight({ sparsity }: JsonObject, source: DType): number {
    return BITMAP_BITS + source.bits * (1 - ((sparsity as number | undefined) ?? 0));
  },
  begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
    return new PruneScan(source, parameters);
  },
  dequantizer(): Dequantize {
    return (values) => values;
  },
};
