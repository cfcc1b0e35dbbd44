/** The first pass of quantizers that scale groups of neighbours by their largest magnitude. */
import { elementCount } from "../tensor/shape.ts";
import { float32Elements } from "./measured-plan.ts";
import type { QuantizePlan, QuantizeRefusal, QuantizeScan, QuantizeSource } from "./quantizer.ts";
import { realElements } from "./real-elements.ts";

const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127;

/** Finds the largest magnitude of each group of `groupElements` neighbours in row-major order; refuses NaN and infinities. */
export class AbsmaxScan implements QuantizeScan {
  readonly #what: string;
  readonly #source: QuantizeSource;
  readonly #groupElements: number;
  readonly #absmax: Float32Array<ArrayBuffer>;
  readonly #plan: (absmax: Float32Array<ArrayBuffer>) => QuantizePlan | QuantizeRefusal;
  #notANumber = 0;
  #infinite = 0;

  /** @param plan makes the plan of the largest magnitudes; called by `finish`, unless it refuses */
  constructor(
    what: string,
    source: QuantizeSource,
    groupElements: number,
    plan: (absmax: Float32Array<ArrayBuffer>) => QuantizePlan | QuantizeRefusal,
  ) {
    this.#what = what;
    this.#source = source;
    this.#groupElements = Math.max(1, groupElements);
    this.#absmax = new Float32Array(Math.ceil(elementCount(source.shape) / this.#groupElements));
    this.#plan = plan;
  }

  push(bytes: Uint8Array, firstElement: number): void {
    const elements = float32Elements(realElements(this.#source.dtype, bytes));
    const size = this.#groupElements;
    let group = Math.floor(firstElement / size);
    for (let from = 0; from < elements.length; group++) {
      const to = Math.min(elements.length, (group + 1) * size - firstElement);
      let largest = this.#absmax[group]!;
      // Math.max keeps NaN, so that one comparison afterwards tells whether a closer look is needed.
      for (let index = from; index < to; index++) largest = Math.max(largest, Math.abs(elements[index]!));
      if (largest <= LARGEST_FLOAT32) this.#absmax[group] = largest;
      else this.#count(elements, from, to);
      from = to;
    }
  }

  #count(elements: Float32Array, from: number, to: number): void {
    for (let index = from; index < to; index++) {
      if (Number.isNaN(elements[index])) this.#notANumber++;
      else if (!Number.isFinite(elements[index])) this.#infinite++;
    }
  }

  finish(): QuantizePlan | QuantizeRefusal {
    const elements = elementCount(this.#source.shape);
    if (this.#notANumber > 0) {
      return { refused: `${this.#what} cannot hold NaN (${this.#notANumber} of ${elements} elements)` };
    }
    if (this.#infinite > 0) {
      const what =
        this.#source.dtype.name === "float64" ? "infinities or numbers beyond float32" : "infinities";
      return { refused: `${this.#what} cannot hold ${what} (${this.#infinite} of ${elements} elements)` };
    }
    return this.#plan(this.#absmax);
  }
}

/** The largest of magnitudes; 0 of none. */
export function largestOf(absmax: Float32Array): number {
  let largest = 0;
  for (let index = 0; index < absmax.length; index++) largest = Math.max(largest, absmax[index]!);
  return largest;
}
