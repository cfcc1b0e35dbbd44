/** How far decoded values lie from their source: sums over all elements, fed range by range. */
import { type ErrorSums, errorSums } from "@tensorcask/kernels";

/** How far a quantized tensor lies from its source, in units of its elements. */
export interface QuantizationError {
  readonly maxAbsolute: number;
  readonly rmse: number;
  /** Signal to noise in dB; null when there is no noise or no signal. */
  readonly snrDb: number | null;
  /** Cosine of the angle between source and decoded tensor; null when one of them is all zeros. */
  readonly cosine: number | null;
}

/** Collects the error. Elements that are not finite in the source are left out: they have no distance to anything. */
export class ErrorStatistics {
  #count = 0;
  #maxAbsolute = 0;
  #noise = 0;
  #signal = 0;
  #decoded = 0;
  #product = 0;

  /** Adds the elements of two arrays of equal length. */
  add(source: Float32Array | Float64Array, decoded: Float32Array | Float64Array): void {
    const sums =
      source instanceof Float32Array && decoded instanceof Float32Array
        ? errorSums(source, decoded)
        : plainSums(source, decoded);
    if (!Number.isFinite(sums.noise + sums.signal + sums.energy)) {
      this.#addFinite(source, decoded);
      return;
    }
    this.#count += source.length;
    this.#maxAbsolute = Math.max(this.#maxAbsolute, sums.largestError);
    this.#noise += sums.noise;
    this.#signal += sums.signal;
    this.#decoded += sums.energy;
    this.#product += sums.product;
  }

  /** As `add`, element by element, leaving out those that are not finite. */
  #addFinite(source: Float32Array | Float64Array, decoded: Float32Array | Float64Array): void {
    for (let index = 0; index < source.length; index++) {
      const from = source[index]!;
      const to = decoded[index]!;
      const error = Math.abs(from - to);
      // Infinity minus anything is not finite.
      if (!Number.isFinite(error)) continue;
      this.#count++;
      this.#maxAbsolute = Math.max(this.#maxAbsolute, error);
      this.#noise += error * error;
      this.#signal += from * from;
      this.#decoded += to * to;
      this.#product += from * to;
    }
  }

  /** The error so far. All numbers are finite, so that they survive JSON. */
  result(): QuantizationError {
    const rmse = this.#count === 0 ? 0 : Math.sqrt(this.#noise / this.#count);
    const snrDb =
      this.#noise === 0 || this.#signal === 0 ? null : 10 * Math.log10(this.#signal / this.#noise);
    const cosine =
      this.#signal === 0 || this.#decoded === 0
        ? null
        : this.#product / Math.sqrt(this.#signal) / Math.sqrt(this.#decoded);
    return {
      maxAbsolute: this.#maxAbsolute,
      // Squares of doubles can overflow; the largest error bounds the mean one.
      rmse: Number.isFinite(rmse) ? rmse : this.#maxAbsolute,
      snrDb: snrDb === null || Number.isFinite(snrDb) ? snrDb : null,
      cosine: cosine === null || !Number.isFinite(cosine) ? null : Math.max(-1, Math.min(1, cosine)),
    };
  }
}

/** As the kernel `errorSums`, for doubles. */
function plainSums(source: Float32Array | Float64Array, decoded: Float32Array | Float64Array): ErrorSums {
  let largestError = 0;
  let noise = 0;
  let signal = 0;
  let energy = 0;
  let product = 0;
  // Without a branch: testing each element for infinity makes this loop ten times slower.
  for (let index = 0; index < source.length; index++) {
    const from = source[index]!;
    const to = decoded[index]!;
    const error = from - to;
    largestError = Math.max(largestError, Math.abs(error));
    noise += error * error;
    signal += from * from;
    energy += to * to;
    product += from * to;
  }
  return { largestError, noise, signal, energy, product };
}
