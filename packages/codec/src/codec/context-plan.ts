/**
 * What the context coder's encoder decides before it codes floats: the exponent that steps begin at, how many mantissa bits are worth a
 * model, and the length of rows, which codecs are not told: it is the one whose columns differ most.
 */
import { STEPS } from "./context-floats.ts";

/** See context.ts. */
export interface FloatPlan {
  readonly zeroBits: number;
  readonly modelledBits: number;
  readonly top: number;
  readonly stride: number;
}

/** Exponents above the highest common one may be so rare: they are escapes, of some 20 bits each. */
const RARE = 4096;
/** Of weights the upper mantissa bits are uneven, because the density falls within an octave; the fourth by a hundredth of a bit. */
const UNEVEN_BITS = 3;
/** A bit this far from half ones (in standard deviations) has a pattern. */
const PATTERN_DEVIATIONS = 8;

export function floatPlan(words: Uint32Array, exponentBits: number, mantissaBits: number): FloatPlan {
  const mask = (1 << exponentBits) - 1;
  const counts = new Uint32Array(mask + 1);
  let used = 0;
  for (let index = 0; index < words.length; index++) {
    counts[(words[index]! >>> mantissaBits) & mask]!++;
    used |= words[index]!;
  }
  const zeroBits = Math.min(used === 0 ? mantissaBits : 31 - Math.clz32(used & -used), mantissaBits);
  let top = mask;
  for (let above = 0; top > 0 && above + counts[top]! <= words.length / RARE; top--) above += counts[top]!;
  const modelledBits = modelled(words, zeroBits, mantissaBits);
  return { zeroBits, modelledBits, top, stride: strideOf(words, exponentBits, mantissaBits, top) };
}

/** The upper mantissa bits down to the last one with a pattern. */
function modelled(words: Uint32Array, zeroBits: number, mantissaBits: number): number {
  const available = mantissaBits - zeroBits;
  const least = Math.min(UNEVEN_BITS, available);
  for (let bits = available; bits > least; bits--) {
    const bit = mantissaBits - bits;
    let ones = 0;
    for (let index = 0; index < words.length; index++) ones += (words[index]! >>> bit) & 1;
    const deviation = Math.abs(2 * ones - words.length) / Math.sqrt(words.length);
    if (deviation > PATTERN_DEVIATIONS) return bits;
  }
  return least;
}

/** A column has to tell so much more than chance would, in nats, to be worth learning. */
const COLUMN_COST = 1.5;
const MIN_GAIN = 8;
/** Strides that are tried whether or not they divide the words. */
const SMALL_STRIDES = 32;
const MIN_ROWS = 4;

/** The stride whose columns differ most in mean magnitude and mean value; 0 if none do. */
function strideOf(words: Uint32Array, exponentBits: number, mantissaBits: number, top: number): number {
  const count = words.length;
  const mask = (1 << exponentBits) - 1;
  const octaves = new Float32Array(count);
  const values = new Float32Array(count);
  for (let index = 0; index < count; index++) {
    const word = words[index]!;
    const exponent = Math.min(Math.max((word >>> mantissaBits) & mask, top - STEPS / 2), top);
    octaves[index] = exponent + ((word >>> (mantissaBits - 3)) & 7) / 8;
    values[index] = (word >>> (exponentBits + mantissaBits) === 1 ? -1 : 1) * 2 ** (exponent - top);
  }
  const octaveScale = centre(octaves);
  const valueScale = centre(values);
  let best = 0;
  let bestGain = MIN_GAIN;
  for (let stride = 2; stride <= count / MIN_ROWS; stride++) {
    if (stride > SMALL_STRIDES && count % stride !== 0) continue;
    const explained = between(octaves, stride) / octaveScale + between(values, stride) / valueScale;
    const gain = explained / 2 - COLUMN_COST * stride;
    if (gain > bestGain) {
      best = stride;
      bestGain = gain;
    }
  }
  return best;
}

/** Takes the mean off and returns the variance. */
function centre(samples: Float32Array): number {
  let sum = 0;
  for (let index = 0; index < samples.length; index++) sum += samples[index]!;
  const mean = sum / samples.length;
  let squares = 0;
  for (let index = 0; index < samples.length; index++) {
    samples[index]! -= mean;
    squares += samples[index]! ** 2;
  }
  return Math.max(squares / samples.length, Number.MIN_VALUE);
}

/** Sum of the squares that the means of columns explain. */
function between(samples: Float32Array, stride: number): number {
  const sums = new Float64Array(stride);
  for (let index = 0, column = 0; index < samples.length; index++) {
    sums[column]! += samples[index]!;
    column = column + 1 === stride ? 0 : column + 1;
  }
  const rows = samples.length / stride;
  let explained = 0;
  for (let column = 0; column < stride; column++) explained += sums[column]! ** 2;
  return explained / rows;
}
