/**
 * The nearest of up to 256 ascending values, quickly: a table of 4,096 cells over their range tells where to begin, and a few comparisons with the
 * middles between neighbours find the rest. A value in the middle goes to the lower neighbour.
 */
import { randomBase, randomFraction } from "./rounding.ts";

const CELLS = 4096;

export class NearestValue {
  readonly #values: Float32Array;
  /** Middle between value i and the next one; the last is infinite. */
  readonly #middles: Float64Array;
  /** By cell: the nearest value at its lower end. */
  readonly #starts = new Uint8Array(CELLS + 1);
  readonly #least: number;
  readonly #cellsPerUnit: number;

  /** @param values ascending, at least one */
  constructor(values: Float32Array) {
    this.#values = values;
    this.#middles = new Float64Array(values.length).fill(Number.POSITIVE_INFINITY);
    for (let index = 0; index + 1 < values.length; index++) {
      this.#middles[index] = (values[index]! + values[index + 1]!) / 2;
    }
    const least = values[0]!;
    const range = values.at(-1)! - least;
    this.#least = least;
    this.#cellsPerUnit = range === 0 ? 0 : CELLS / range;
    for (let cell = 1, at = 0; cell <= CELLS; cell++) {
      // One cell lower: rounding must not begin behind the nearest value.
      const edge = least + ((cell - 1) * range) / CELLS;
      while (this.#middles[at]! < edge) at++;
      this.#starts[cell] = at;
    }
  }

  /** Writes the numbers of the values nearest to `elements x factor`, for elements [from, to). */
  encode(elements: Float32Array, from: number, to: number, factor: number, out: Uint8Array): void {
    const starts = this.#starts;
    const middles = this.#middles;
    const least = this.#least;
    const cellsPerUnit = this.#cellsPerUnit;
    for (let index = from; index < to; index++) {
      const value = elements[index]! * factor;
      const place = (value - least) * cellsPerUnit;
      let nearest = starts[place > 0 ? (place < CELLS ? place | 0 : CELLS) : 0]!;
      while (value > middles[nearest]!) nearest++;
      out[index] = nearest;
    }
  }

  /** As `encode`, but up or down with the probability that the place between two neighbours says; index 0 is the element `firstElement`. */
  encodeStochastic(
    elements: Float32Array,
    from: number,
    to: number,
    factor: number,
    out: Uint8Array,
    seed: number,
    firstElement: number,
  ): void {
    const base = randomBase(seed);
    const last = this.#values.length - 1;
    this.encode(elements, from, to, factor, out);
    for (let index = from; index < to; index++) {
      const value = elements[index]! * factor;
      const nearest = out[index]!;
      const lower = value < this.#values[nearest]! ? Math.max(0, nearest - 1) : nearest;
      if (lower === last) continue;
      const below = this.#values[lower]!;
      const place = (value - below) / (this.#values[lower + 1]! - below);
      out[index] = randomFraction(base, firstElement + index) < place ? lower + 1 : lower;
    }
  }
}
