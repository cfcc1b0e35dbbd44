/**
 * Quantiles of the normal distribution and a sine, by the four operations only: `Math.log` and `Math.sin` may differ
 * in the last bit from machine to machine, and seeded data must not.
 */

/** Small enough for a processor's cache. */
const QUANTILES_LOG2 = 16;
const FRACTION_LOG2 = 32 - QUANTILES_LOG2;

let fewQuantiles: Float32Array | undefined;

/** The quantiles of the standard normal distribution at the middles of `count` equal parts. */
export function standardQuantiles(count: number): Float32Array<ArrayBuffer> {
  const quantiles = new Float32Array(count);
  for (let index = 0; index < count / 2; index++) {
    const value = lowerQuantile((index + 0.5) / count);
    quantiles[index] = value;
    quantiles[count - 1 - index] = -value;
  }
  return quantiles;
}

/** Fills with normals of this sigma, drawn between neighbouring quantiles, so that all bits of the mantissa are taken. */
export function fillNormals(values: Float32Array, random: () => number, sigma: number): void {
  fewQuantiles ??= standardQuantiles(2 ** QUANTILES_LOG2);
  const table = fewQuantiles;
  const last = table.length - 2;
  for (let at = 0; at < values.length; at++) {
    const word = random();
    const index = Math.min(word >>> FRACTION_LOG2, last);
    const low = table[index]!;
    const part = (word & (2 ** FRACTION_LOG2 - 1)) / 2 ** FRACTION_LOG2;
    values[at] = sigma * (low + (table[index + 1]! - low) * part);
  }
}

const TAIL = 0.02425;

/** Acklam's rational approximation of the inverse of the normal distribution, p up to a half; relative error below 1.2e-9. */
function lowerQuantile(p: number): number {
  if (p < TAIL) {
    const q = Math.sqrt(-2 * naturalLogarithm(p));
    const above =
      ((((-0.007784894002430293 * q - 0.3223964580411365) * q - 2.400758277161838) * q - 2.549732539343734) *
        q +
        4.374664141464968) *
        q +
      2.938163982698783;
    const below =
      (((0.007784695709041462 * q + 0.3224671290700398) * q + 2.445134137142996) * q + 3.754408661907416) *
        q +
      1;
    return above / below;
  }
  const q = p - 0.5;
  const r = q * q;
  const above =
    ((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r + 138.357751867269) * r -
      30.66479806614716) *
      r +
    2.506628277459239;
  const below =
    ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r + 66.80131188771972) * r -
      13.28068155288572) *
      r +
    1;
  return (above * q) / below;
}

/** Of numbers from 2^-64 to 1: halves of the number's reciprocal are counted, what is left goes through the series of atanh. */
function naturalLogarithm(x: number): number {
  let halves = 0;
  let rest = x;
  while (rest < 0.75) {
    rest *= 2;
    halves++;
  }
  const ratio = (rest - 1) / (rest + 1);
  const square = ratio * ratio;
  let sum = 0;
  for (let odd = 21; odd >= 1; odd -= 2) sum = sum * square + 1 / odd;
  return 2 * ratio * sum - halves * Math.LN2;
}

/** One turn of a sine in 2^12 steps, from -1 to 1: Taylor's series of a quarter, which at that length is exact to 1e-13. */
export function sineTurn(): Float64Array<ArrayBuffer> {
  const steps = 4096;
  const quarter = steps / 4;
  const turn = new Float64Array(steps);
  for (let step = 0; step <= quarter; step++) {
    const angle = (step / steps) * 2 * Math.PI;
    const square = angle * angle;
    let sum = 1;
    for (let term = 19; term >= 3; term -= 2) sum = 1 - (square / (term * (term - 1))) * sum;
    const value = angle * sum;
    turn[step] = value;
    turn[2 * quarter - step] = value;
    if (step > 0) turn[steps - step] = -value;
    turn[2 * quarter + step] = -value;
  }
  // No negative zero.
  turn[2 * quarter] = 0;
  return turn;
}
