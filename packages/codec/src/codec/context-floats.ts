/**
 * The model of float words for the context coder. A word is coded as: whether its exponent lies within 24 of the highest common one, the
 * sign, the exponent as steps down from there, and the upper bits of the mantissa; what is below is noise and stored apart.
 *
 * The scale of weights differs by row and by column. It is estimated as the mean magnitude of the words before and of those one or more
 * strides before, and a step's context is how far it is from that scale: so all scales share what is learnt, and little is to be learnt.
 */
import type { BitCoder } from "./context-coder.ts";
import { ContextMixer } from "./context-mixer.ts";

/** How words are built and coded. */
export interface FloatLayout {
  readonly exponentBits: number;
  /** Upper bits of the mantissa that are modelled. */
  readonly modelledBits: number;
  /** The highest exponent that is coded in steps. */
  readonly top: number;
  /** Words of a row; 0: not known. */
  readonly stride: number;
}

/** Exponents from `top` down that are coded in steps; the others are escapes. */
export const STEPS = 24;

const COUNT_LIMIT = 255;
const SPEED = 4;
/** Distances from a scale are in eighths of an octave, from -64 to 63. */
const DISTANCES = 128;
/** Contexts of a mantissa bit: bits above it, or its place and the four bits above it. */
const MANTISSA_NODES = 512;

/**
 * Codes `words` of a layout by `coder`. An encoder reads them, a decoder writes them: in both cases as sign, exponent and modelled bits of
 * the mantissa, at the bottom of 32 bits.
 */
export function codeFloats(coder: BitCoder, words: Uint32Array, layout: FloatLayout): void {
  const { exponentBits, modelledBits, top, stride } = layout;
  const exponentMask = (1 << exponentBits) - 1;
  const lowest = Math.max(0, top - STEPS + 1);
  const escapes = new ContextMixer(1, 8 + 16 * 256, 1, 1, COUNT_LIMIT, SPEED);
  const signs = new ContextMixer(4, 256, 1, 16, COUNT_LIMIT, SPEED);
  const steps = new ContextMixer(9, 4096, 32, 8, COUNT_LIMIT, SPEED);
  const mantissas = new ContextMixer(5, DISTANCES * MANTISSA_NODES, 32, 8, COUNT_LIMIT, SPEED);
  // Per column: mean magnitude, mean value, and the last word's exponent and sign (exponent << 2 | escape << 1 | sign).
  const magnitudes = new Int32Array(stride);
  const values = new Int32Array(stride);
  const above = new Uint16Array(stride);
  let near = START;
  let row = START;
  let rowValue = 0;
  let all = START;
  let columnIndex = 0;
  let rowIndex = 0;
  let last = top << 2;
  let lastButOne = top << 2;

  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (stride > 0 && columnIndex === stride) {
      columnIndex = 0;
      rowIndex++;
    }
    const hasColumn = rowIndex > 0;
    const column = hasColumn ? magnitudes[columnIndex]! : row;
    const columnValue = hasColumn ? values[columnIndex]! : 0;
    const up = hasColumn ? above[columnIndex]! : lastButOne;
    const product = Math.min(2 ** 30, Math.floor((row * column) / Math.max(1, all)));
    const nearScale = octaves(near);
    const rowScale = octaves(row);
    const columnScale = octaves(column);
    const productScale = octaves(product);
    const columnBias = bias(columnValue, column);
    const columnSign = columnValue < 0 ? 1 : 0;

    // Escape.
    const givenExponent = (word >>> modelledBits) & exponentMask;
    const givenEscape = givenExponent > top || givenExponent < lowest ? 1 : 0;
    escapes.slots[0] = (last & 2) | ((lastButOne >> 1) & 1) | ((up & 2) << 1);
    const escaped = escapes.code(coder, givenEscape, 0, 0);

    // Sign.
    const lastSign = last & 1;
    const upSign = up & 1;
    if (escaped === 1) signs.slots.fill(255);
    else {
      signs.slots[0] = (lastSign << 2) | (upSign << 1) | (lastButOne & 1);
      signs.slots[1] = (columnSign << 4) | columnBias;
      signs.slots[2] = ((rowValue < 0 ? 1 : 0) << 5) | (bias(rowValue, row) << 1) | upSign;
      signs.slots[3] = (near4((up >> 2) - (last >> 2)) << 2) | (upSign << 1) | lastSign;
    }
    const sign = signs.code(coder, word >>> (exponentBits + modelledBits), 0, columnBias);

    // Exponent.
    let exponent = lowest;
    if (escaped === 1) {
      exponent = 0;
      let node = 1;
      for (let bit = exponentBits - 1; bit >= 0; bit--) {
        escapes.slots[0] = 8 + node;
        node = 2 * node + escapes.code(coder, (givenExponent >> bit) & 1, 0, 0);
      }
      exponent = node & exponentMask;
    } else {
      const agreesUp = upSign === sign ? 2 : 0;
      const agreesLast = lastSign === sign ? 1 : 0;
      const agreesColumn = columnSign === sign ? 1 : 0;
      const slots = steps.slots;
      for (let step = top; step > lowest; step--) {
        const scale = UNIT - 8 * (top - step);
        const fromLast = near4(step - (last >> 2));
        const fromUp = near4(step - (up >> 2));
        const fromNear = distance(scale - nearScale);
        const fromColumn = distance(scale - columnScale);
        const fromProduct = distance(scale - productScale);
        slots[0] = top - step;
        slots[1] = fromNear;
        slots[2] = (((fromLast << 4) | fromUp) << 2) | agreesUp | agreesLast;
        slots[3] = fromColumn;
        slots[4] = fromProduct;
        slots[5] = ((fromProduct >> 2) << 5) | (fromNear >> 2);
        slots[6] = (((fromLast << 4) | fromUp) << 4) | near4(step - (lastButOne >> 2));
        slots[7] = distance(scale - rowScale);
        slots[8] = ((fromColumn >> 1) << 5) | (columnBias << 1) | agreesColumn;
        const here = steps.code(coder, givenExponent >= step ? 1 : 0, top - step, fromProduct >> 4);
        if (here === 1) {
          exponent = step;
          break;
        }
      }
    }

    // Mantissa.
    const scale = escaped === 1 ? 0 : UNIT - 8 * (top - exponent);
    const fromProduct = distance(scale - productScale);
    const nearAt = distance(scale - nearScale) * MANTISSA_NODES;
    const rowAt = distance(scale - rowScale) * MANTISSA_NODES;
    const columnAt = distance(scale - columnScale) * MANTISSA_NODES;
    let mantissa = 1;
    let hash = ((sign << 8) | exponent) + 1;
    for (let bit = 0; bit < modelledBits; bit++) {
      const node = bit < 4 ? mantissa : (bit << 4) | (mantissa & 15);
      const slots = mantissas.slots;
      slots[0] = bit < 4 ? ((exponent & 255) << 5) | (mantissa << 1) | sign : hash >>> 16;
      slots[1] = fromProduct * MANTISSA_NODES + node;
      slots[2] = nearAt + node;
      slots[3] = rowAt + node;
      slots[4] = columnAt + node;
      const given = (word >>> (modelledBits - 1 - bit)) & 1;
      const coded = mantissas.code(coder, given, Math.min(31, node), fromProduct >> 4);
      mantissa = 2 * mantissa + coded;
      hash = Math.imul(hash, 0x2c1b_3c6d) + coded + 1;
    }
    const fraction = mantissa - (1 << modelledBits);
    words[index] = ((((sign << exponentBits) | exponent) << modelledBits) | fraction) >>> 0;

    // What is known now.
    const upper = modelledBits >= 7 ? fraction >> (modelledBits - 7) : fraction << (7 - modelledBits);
    const magnitude = escaped === 1 ? 0 : (((128 | upper) << 8) >> (top - exponent)) << 8;
    const value = sign === 1 ? -magnitude : magnitude;
    const rowWords = Math.min(stride > 0 ? columnIndex + 6 : index + 6, stride > 0 ? 200 : 64);
    near += (magnitude - near) >> 4;
    row += Math.trunc((magnitude - row) / rowWords);
    rowValue += Math.trunc((value - rowValue) / rowWords);
    all += Math.trunc((magnitude - all) / Math.min(index + 2, 8192));
    const known = (exponent << 2) | (escaped << 1) | sign;
    if (stride > 0) {
      const rows = Math.min(rowIndex + 4, 64);
      const before = hasColumn ? magnitudes[columnIndex]! : row;
      magnitudes[columnIndex] = before + Math.trunc((magnitude - before) / rows);
      values[columnIndex] = values[columnIndex]! + Math.trunc((value - values[columnIndex]!) / rows);
      above[columnIndex] = known;
      columnIndex++;
    }
    lastButOne = last;
    last = known;
  }
}

/** Magnitudes are 2^23 for 1.0 at the exponent `top`, and means of them begin at an eighth of that. */
const START = 2 ** 20;
/** `octaves` of 2^23. */
const UNIT = 8 * 23;

/** 8 times the logarithm to base 2, linear between powers of two. */
function octaves(magnitude: number): number {
  const at = Math.max(magnitude, 1);
  const whole = 31 - Math.clz32(at);
  return (whole << 3) | ((whole >= 3 ? at >> (whole - 3) : at << (3 - whole)) & 7);
}

function distance(eighths: number): number {
  return eighths < -64 ? 0 : eighths > 63 ? 127 : eighths + 64;
}

/** A difference of exponents in 4 bits. */
function near4(difference: number): number {
  return difference < -7 ? 0 : difference > 8 ? 15 : difference + 7;
}

/** How far a mean value is from zero, against the mean magnitude: 0 to 15. */
function bias(value: number, magnitude: number): number {
  return Math.min(15, Math.floor((Math.abs(value) * 16) / Math.max(1, magnitude)));
}
