// ggml's searches for the scales of super-blocks of 256, in the order and precision of ggml-quants.c (`make_qkx2_quants`, `make_qx_quants`): sums are
// kept in order, so this is scalar. Works on one super-block in the memory of quantize.ts.
//
// Memory, behind CODES of quantize.ts:
//
//   RUNS         256 float32: the values
//   WEIGHTS      32 float32: of the errors in a run
//   RUN_SCALES   16 float32
//   RUN_MINIMA   8 float32
//   INTEGERS     256 bytes: the integers of the values
//   TRIED        32 bytes

export const RUNS: usize = 8 * 32768 + 32768 / 8 + 34 * 1024;
const WEIGHTS: usize = RUNS + 1024;
export const RUN_SCALES: usize = WEIGHTS + 128;
export const RUN_MINIMA: usize = RUN_SCALES + 64;
export const INTEGERS: usize = RUN_MINIMA + 32;
const TRIED: usize = INTEGERS + 256;

const VALUES: i32 = 256;
const STEPS: i32 = 20;

@inline function valueAt(run: usize, index: i32): f32 {
  return load<f32>(run + (<usize>index << 2));
}

@inline function weightAt(index: i32): f32 {
  return load<f32>(WEIGHTS + (<usize>index << 2));
}

@inline function clamped(value: f32, least: f32, most: f32): f32 {
  return max(least, min(most, nearest(value)));
}

// Weights of a run of 32: its root mean square plus the magnitude of the value.
function weigh(run: usize): void {
  let squares: f32 = 0;
  for (let i = 0; i < 32; i++) squares += valueAt(run, i) * valueAt(run, i);
  const average: f32 = sqrt<f32>(squares / 32);
  for (let i = 0; i < 32; i++) store<f32>(WEIGHTS + (<usize>i << 2), average + abs(valueAt(run, i)));
}

// Scale and minimum of a run of 32 as integers of 0 to 15: value = q * scale - minimum.
function fitWithMinimum(run: usize, integers: usize, scaleAt: usize, minimumAt: usize): void {
  const largest: f32 = 15;
  let minimum = valueAt(run, 0), maximum = minimum;
  let sumW = weightAt(0), sumX = sumW * minimum;
  for (let i = 1; i < 32; i++) {
    const value = valueAt(run, i), weight = weightAt(i);
    if (value < minimum) minimum = value;
    if (value > maximum) maximum = value;
    sumW += weight;
    sumX += weight * value;
  }
  if (minimum > 0) minimum = 0;
  if (maximum == minimum) {
    memory.fill(integers, 0, 32);
    store<f32>(scaleAt, 0);
    store<f32>(minimumAt, -minimum);
    return;
  }
  let inverse: f32 = largest / (maximum - minimum);
  let scale: f32 = 1 / inverse;
  let leastError: f32 = 0;
  for (let i = 0; i < 32; i++) {
    const value = valueAt(run, i);
    const integer = clamped(inverse * (value - minimum), 0, largest);
    store<u8>(integers + i, <u8>integer);
    const error: f32 = scale * integer + minimum - value;
    leastError += weightAt(i) * (error * error);
  }
  for (let step = 0; step <= STEPS; step++) {
    inverse = ((<f32>-1) + (<f32>0.1) * <f32>step + largest) / (maximum - minimum);
    let sumL: f32 = 0, sumL2: f32 = 0, sumXL: f32 = 0;
    for (let i = 0; i < 32; i++) {
      const value = valueAt(run, i);
      const integer = clamped(inverse * (value - minimum), 0, largest);
      store<u8>(TRIED + i, <u8>integer);
      const weighted: f32 = weightAt(i) * integer;
      sumL += weighted;
      sumL2 += weighted * integer;
      sumXL += weighted * value;
    }
    const determinant: f32 = sumW * sumL2 - sumL * sumL;
    if (!(determinant > 0)) continue;
    let triedScale: f32 = (sumW * sumXL - sumX * sumL) / determinant;
    let triedMinimum: f32 = (sumL2 * sumX - sumL * sumXL) / determinant;
    if (triedMinimum > 0) {
      triedMinimum = 0;
      triedScale = sumXL / sumL2;
    }
    let error: f32 = 0;
    for (let i = 0; i < 32; i++) {
      const difference: f32 = triedScale * <f32>load<u8>(TRIED + i) + triedMinimum - valueAt(run, i);
      error += weightAt(i) * (difference * difference);
    }
    if (error < leastError) {
      memory.copy(integers, TRIED, 32);
      leastError = error;
      scale = triedScale;
      minimum = triedMinimum;
    }
  }
  store<f32>(scaleAt, scale);
  store<f32>(minimumAt, -minimum);
}

// The scale of a run of 16 as integers of -32 to 31, which are stored 32 higher; errors are weighted with the squares of the values.
function fitSigned(run: usize, integers: usize): f32 {
  const limit: f32 = 32;
  let extreme: f32 = 0, magnitude: f32 = 0;
  for (let i = 0; i < 16; i++) {
    const value = valueAt(run, i);
    if (abs(value) > magnitude) {
      magnitude = abs(value);
      extreme = value;
    }
  }
  if (magnitude < <f32>1e-15) {
    memory.fill(integers, 0, 16);
    return 0;
  }
  let scale: f32 = 0, best: f32 = 0;
  // The range itself first, then 0.9 coarser to 0.9 finer.
  for (let step = -10; step <= 9; step++) {
    if (step == 0) continue;
    const isFirst = step == -10;
    const inverse: f32 = -(isFirst ? limit : limit + (<f32>0.1) * <f32>step) / extreme;
    let sumLX: f32 = 0, sumL2: f32 = 0;
    for (let i = 0; i < 16; i++) {
      const value = valueAt(run, i);
      const integer = clamped(inverse * value, -limit, limit - 1);
      const weight: f32 = value * value;
      sumLX += weight * value * integer;
      sumL2 += weight * integer * integer;
    }
    if (!isFirst && !(sumL2 > 0 && sumLX * sumLX > best * sumL2)) continue;
    scale = sumL2 == 0 ? 0 : sumLX / sumL2;
    best = scale * sumLX;
    for (let i = 0; i < 16; i++) {
      store<u8>(integers + i, <u8>(clamped(inverse * valueAt(run, i), -limit, limit - 1) + limit));
    }
  }
  return scale;
}

export function fitRunsWithMinima(): void {
  for (let run = 0; run < VALUES / 32; run++) {
    const values = RUNS + (<usize>run << 7);
    weigh(values);
    fitWithMinimum(values, INTEGERS + (<usize>run << 5), RUN_SCALES + (<usize>run << 2), RUN_MINIMA + (<usize>run << 2));
  }
}

export function fitRuns(): void {
  for (let run = 0; run < VALUES / 16; run++) {
    const scale = fitSigned(RUNS + (<usize>run << 6), INTEGERS + (<usize>run << 4));
    store<f32>(RUN_SCALES + (<usize>run << 2), scale);
  }
}
