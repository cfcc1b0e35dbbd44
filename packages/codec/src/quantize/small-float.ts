/**
 * Rounding float32 to smaller floats. Stochastically, in one loop for all of them (to nearest it is a kernel). A finite number is n steps of the size that its exponent has in the
 * smaller format, and the bits without the sign of that format count steps, too:
 *
 *     n    = round(|x| / step)             step = 2^(e - mantissa bits), e = max(exponent of x, smallest exponent)
 *     bits = n + (e - smallest exponent) x 2^mantissa bits
 *
 * That holds for subnormals, and where n is carried into the next exponent. What is too large becomes the largest finite number. Dividing by
 * a power of two is exact in a double, so that each number is rounded once.
 */
import { float32ToSmallFloat } from "@tensorcask/kernels";
import { type DType, type DTypeName, dtypeOf } from "../tensor/dtype.ts";
import { toFloat32 } from "../tensor/float.ts";
import { packElements } from "../tensor/packed.ts";
import { randomBase, randomFraction } from "./rounding.ts";

/** The finite floats of one dtype of 4 to 16 bits. */
export class SmallFloat {
  readonly dtype: DType;
  /** Bits of the largest finite number. */
  readonly largestBits: number;
  /** Exponent of the largest finite number. */
  readonly largestExponent: number;
  /** By the 8 exponent bits of a float32: what its magnitude is multiplied by to count steps, ... */
  readonly #stepsPerUnit = new Float64Array(256);
  /** ... and the bits to which the steps are added. */
  readonly #offset = new Int32Array(256);
  readonly #signShift: number;
  readonly exponentBits: number;
  readonly mantissaBits: number;

  /** @param largestBits bits of the largest finite number, without sign */
  constructor(name: DTypeName, largestBits: number) {
    this.dtype = dtypeOf(name);
    this.largestBits = largestBits;
    const { bits, exponentBits, mantissaBits } = this.dtype;
    const smallest = 2 - 2 ** (exponentBits! - 1);
    this.largestExponent = (largestBits >> mantissaBits!) - 1 + smallest;
    this.#signShift = bits - 1;
    this.exponentBits = exponentBits!;
    this.mantissaBits = mantissaBits!;
    for (let field = 0; field < 256; field++) {
      const exponent = Math.max(field - 127, smallest);
      this.#stepsPerUnit[field] = 2 ** (mantissaBits! - exponent);
      this.#offset[field] = (exponent - smallest) * 2 ** mantissaBits!;
    }
  }

  /** Bits of `count` finite values below 2^100, rounded to nearest, ties to even; for dtypes of at most 8 bits. */
  encode(values: Float32Array, count: number, out: Uint8Array): void {
    float32ToSmallFloat(values.subarray(0, count), this, out.subarray(0, count));
  }

  /** As `encode`, rounded stochastically; `firstElement` is the index of the first value in its tensor. */
  encodeStochastic(
    values: Float32Array,
    count: number,
    out: Uint8Array | Uint16Array,
    seed: number,
    firstElement: number,
  ): void {
    const words = new Int32Array(values.buffer, values.byteOffset, count);
    const base = randomBase(seed);
    for (let index = 0; index < count; index++) {
      const word = words[index]!;
      const field = (word >>> 23) & 0xff;
      const fraction = randomFraction(base, firstElement + index);
      const steps = Math.floor(Math.abs(values[index]!) * this.#stepsPerUnit[field]! + fraction);
      const bits = Math.min(this.#offset[field]! + steps, this.largestBits);
      out[index] = bits | ((word >>> 31) << this.#signShift);
    }
  }

  /** The values of all bits, for dtypes of at most 8. */
  values(): Float32Array {
    const all = Uint8Array.from({ length: 2 ** this.dtype.bits }, (_, bits) => bits);
    return toFloat32(this.dtype, packElements(all, this.dtype.bits), all.length);
  }
}

/**
 * A float64 as the float32 that rounds to the same smaller float: cut off towards zero, with the last bit set if anything was lost (rounding to
 * odd). Rounded to nearest instead, some would be rounded twice and come out wrong.
 */
export function roundedToOdd(values: Float64Array): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values);
  const words = new Int32Array(out.buffer);
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    const rounded = out[index]!;
    // A finite value that became infinite is cut to the largest float32.
    if (rounded === value || Number.isNaN(value)) continue;
    const cut = Math.abs(rounded) > Math.abs(value) ? words[index]! - 1 : words[index]!;
    words[index] = cut | 1;
  }
  return out;
}
