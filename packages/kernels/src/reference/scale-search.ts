/**
 * The searches for scales of ggml's super-blocks with every operation rounded to float32: both try scales a little finer and coarser than the range
 * asks for, fit the best scale to the integers that each gives, and keep what has the least weighted squared error.
 */

const f = Math.fround;
/** Adding it rounds a float32 to an integer, ties to even: 1.5 x 2^23. */
const ROUNDER = 12582912;
/** Runs below this magnitude count as zero (`GROUP_MAX_EPS`). */
const ZERO = f(1e-15);

/** A float32 of at most 2^22, rounded to nearest even. */
function nearest(value: number): number {
  return f(value + ROUNDER) - ROUNDER;
}

/** What `fitScaleAndMinimum` found: value = q x scale - minimum. */
interface ScaleAndMinimum {
  scale: number;
  minimum: number;
}

const STEPS = 20;
const FIRST = f(-1);
const STEP = f(0.1);

/**
 * Scale and minimum for `count` values from `from` on as integers of 0 to `largest`, which are written to `integers`.
 *
 * @param weights of the squared errors, by index within the run
 */
function fitScaleAndMinimum(
  values: Float32Array,
  from: number,
  count: number,
  largest: number,
  weights: Float32Array,
  integers: Uint8Array,
  tried: Uint8Array,
  found: ScaleAndMinimum,
): void {
  let minimum = values[from]!;
  let maximum = minimum;
  let sumW = weights[0]!;
  let sumX = f(sumW * minimum);
  for (let index = 1; index < count; index++) {
    const value = values[from + index]!;
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
    const weight = weights[index]!;
    sumW = f(sumW + weight);
    sumX = f(sumX + f(weight * value));
  }
  if (minimum > 0) minimum = 0;
  found.minimum = f(-minimum);
  found.scale = 0;
  if (maximum === minimum) {
    integers.fill(0, from, from + count);
    return;
  }
  const range = f(maximum - minimum);
  let inverse = f(largest / range);
  let scale = f(1 / inverse);
  let leastError = 0;
  for (let index = 0; index < count; index++) {
    const value = values[from + index]!;
    const integer = Math.max(0, Math.min(largest, nearest(f(inverse * f(value - minimum)))));
    integers[from + index] = integer;
    const error = f(f(f(scale * integer) + minimum) - value);
    leastError = f(leastError + f(weights[index]! * f(error * error)));
  }
  for (let step = 0; step <= STEPS; step++) {
    inverse = f(f(f(FIRST + f(STEP * step)) + largest) / f(maximum - minimum));
    let sumL = 0;
    let sumL2 = 0;
    let sumXL = 0;
    for (let index = 0; index < count; index++) {
      const value = values[from + index]!;
      const integer = Math.max(0, Math.min(largest, nearest(f(inverse * f(value - minimum)))));
      tried[index] = integer;
      const weighted = f(weights[index]! * integer);
      sumL = f(sumL + weighted);
      sumL2 = f(sumL2 + f(weighted * integer));
      sumXL = f(sumXL + f(weighted * value));
    }
    const determinant = f(f(sumW * sumL2) - f(sumL * sumL));
    if (!(determinant > 0)) continue;
    let triedScale = f(f(f(sumW * sumXL) - f(sumX * sumL)) / determinant);
    let triedMinimum = f(f(f(sumL2 * sumX) - f(sumL * sumXL)) / determinant);
    if (triedMinimum > 0) {
      triedMinimum = 0;
      triedScale = f(sumXL / sumL2);
    }
    let error = 0;
    for (let index = 0; index < count; index++) {
      const difference = f(f(f(triedScale * tried[index]!) + triedMinimum) - values[from + index]!);
      error = f(error + f(weights[index]! * f(difference * difference)));
    }
    if (error < leastError) {
      for (let index = 0; index < count; index++) integers[from + index] = tried[index]!;
      leastError = error;
      scale = triedScale;
      minimum = triedMinimum;
    }
  }
  found.minimum = f(-minimum);
  found.scale = scale;
}

/** The scale for `count` values from `from` on as integers of -`limit` to `limit` - 1, by errors weighted with the squares of the values. */
function fitScale(
  values: Float32Array,
  from: number,
  count: number,
  limit: number,
  integers: Uint8Array,
): number {
  let extreme = 0;
  let magnitude = 0;
  for (let index = 0; index < count; index++) {
    const value = values[from + index]!;
    if (Math.abs(value) > magnitude) {
      magnitude = Math.abs(value);
      extreme = value;
    }
  }
  if (magnitude < ZERO) {
    integers.fill(0, from, from + count);
    return 0;
  }
  let scale = 0;
  let best = 0;
  // ggml tries the range itself first, then 0.9 coarser to 0.9 finer.
  for (let step = -10; step <= 9; step++) {
    if (step === 0) continue;
    const isFirst = step === -10;
    const steps = isFirst ? limit : f(limit + f(STEP * step));
    const inverse = f(-steps / extreme);
    let sumLX = 0;
    let sumL2 = 0;
    for (let index = 0; index < count; index++) {
      const value = values[from + index]!;
      const integer = Math.max(-limit, Math.min(limit - 1, nearest(f(inverse * value))));
      const weight = f(value * value);
      sumLX = f(sumLX + f(f(weight * value) * integer));
      sumL2 = f(sumL2 + f(f(weight * integer) * integer));
    }
    if (!isFirst && !(sumL2 > 0 && f(sumLX * sumLX) > f(best * sumL2))) continue;
    scale = sumL2 === 0 ? 0 : f(sumLX / sumL2);
    best = f(scale * sumLX);
    for (let index = 0; index < count; index++) {
      const integer = nearest(f(inverse * values[from + index]!));
      integers[from + index] = limit + Math.max(-limit, Math.min(limit - 1, integer));
    }
  }
  return scale;
}

/** Weights of the errors of a run: its root mean square plus the magnitude of the value. */
function weigh(run: Float32Array, from: number, weights: Float32Array): void {
  let squares = 0;
  for (let index = 0; index < 32; index++) squares = f(squares + f(run[from + index]! * run[from + index]!));
  const average = f(Math.sqrt(f(squares / 32)));
  for (let index = 0; index < 32; index++) weights[index] = average + Math.abs(run[from + index]!);
}

/** See `fitScalesAndMinima` of the kernels. */
export function fitScalesAndMinima(
  values: Float32Array,
  scales: Float32Array,
  minima: Float32Array,
  integers: Uint8Array,
): void {
  const weights = new Float32Array(32);
  const found: ScaleAndMinimum = { scale: 0, minimum: 0 };
  for (let run = 0; run < 8; run++) {
    weigh(values, 32 * run, weights);
    fitScaleAndMinimum(values, 32 * run, 32, 15, weights, integers, new Uint8Array(32), found);
    scales[run] = found.scale;
    minima[run] = found.minimum;
  }
}

/** See `fitScales` of the kernels. */
export function fitScales(values: Float32Array, scales: Float32Array, integers: Uint8Array): void {
  for (let run = 0; run < 16; run++) scales[run] = fitScale(values, 16 * run, 16, 32, integers);
}
