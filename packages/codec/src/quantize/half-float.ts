/**
 * float32 and float64 as a float of 16 bits. Infinities and NaN are kept, those formats have them. A finite value that would become infinite is a
 * reason to refuse the tensor.
 */
import type { JsonObject } from "../bytes/json.ts";
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { bytesOf } from "../tensor/typed-array.ts";
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
import { realElements } from "./real-elements.ts";
import { parseRounding, ROUNDING_PARAMETERS, stochasticSeed } from "./rounding.ts";
import type { SmallFloat } from "./small-float.ts";

/** One of the formats. */
export interface HalfFormat {
  readonly id: string;
  readonly float: SmallFloat;
  /** The smallest magnitude that rounds to infinity: half a step above the largest finite one. */
  readonly overflow: number;
  /** The largest finite value, as messages give it. */
  readonly largest: string;
  /** Bits of values, rounded to nearest even; NaN and infinities are kept. */
  narrow(elements: Float32Array | Float64Array): Uint16Array;
  /** Bytes of the values as float32. */
  widen(values: Uint8Array, into?: Uint8Array): Uint8Array;
}

class HalfScan implements QuantizeScan {
  readonly #format: HalfFormat;
  readonly #source: QuantizeSource;
  readonly #seed: number | undefined;
  /** The largest finite value that overflows; 0 while there is none. */
  #overflowing = 0;

  constructor(format: HalfFormat, source: QuantizeSource, seed: number | undefined) {
    this.#format = format;
    this.#source = source;
    this.#seed = seed;
  }

  push(bytes: Uint8Array): void {
    const overflowing = largestOverflow(realElements(this.#source.dtype, bytes), this.#format.overflow);
    if (Math.abs(overflowing) > Math.abs(this.#overflowing)) this.#overflowing = overflowing;
  }

  finish(): QuantizeRefusal | QuantizePlan {
    if (elementCount(this.#source.shape) === 0) return { refused: "an empty tensor gets no smaller" };
    if (this.#overflowing === 0) return new HalfPlan(this.#format, this.#source, this.#seed);
    const { float, largest } = this.#format;
    return { refused: `${this.#overflowing} is beyond the largest ${float.dtype.name}, ${largest}` };
  }
}

class HalfPlan implements QuantizePlan {
  readonly arrays: QuantizePlan["arrays"];
  readonly side = {};
  readonly bitsPerWeight = 16;
  readonly #format: HalfFormat;
  readonly #dtype: DType;
  readonly #seed: number | undefined;
  readonly #statistics = new ErrorStatistics();
  /** Memory for decoded elements, used again by every `encode`. */
  #scratch = new Uint8Array(0);

  constructor(format: HalfFormat, source: QuantizeSource, seed: number | undefined) {
    this.arrays = [{ role: "values", dtype: format.float.dtype, shape: source.shape }];
    this.#format = format;
    this.#dtype = source.dtype;
    this.#seed = seed;
  }

  encode(bytes: Uint8Array, firstElement: number): Uint8Array {
    const elements = realElements(this.#dtype, bytes);
    const bits =
      this.#seed === undefined
        ? this.#format.narrow(elements)
        : stochastic(this.#format, elements, this.#seed, firstElement);
    const values = bytesOf(bits);
    if (this.#scratch.length < 2 * values.length) this.#scratch = new Uint8Array(2 * values.length);
    const decoded = this.#format.widen(values, this.#scratch.subarray(0, 2 * values.length));
    this.#statistics.add(elements, float32Of(decoded));
    return values;
  }

  error(): QuantizationError {
    return this.#statistics.result();
  }
}

function stochastic(
  { float, narrow }: HalfFormat,
  elements: Float32Array | Float64Array,
  seed: number,
  firstElement: number,
): Uint16Array {
  const single = elements instanceof Float64Array ? new Float32Array(elements) : elements;
  const bits = new Uint16Array(elements.length);
  float.encodeStochastic(single, single.length, bits, seed, firstElement);
  // What is not finite was rounded as if it were.
  for (let index = 0; index < elements.length; index++) {
    if (!Number.isFinite(elements[index])) bits[index] = narrow(elements.subarray(index, index + 1))[0]!;
  }
  return bits;
}

/** The value of largest magnitude that is finite but not below `overflow`; 0 when there is none. */
function largestOverflow(elements: Float32Array | Float64Array, overflow: number): number {
  let bound = 0;
  // Math.max keeps NaN and infinity, so that one comparison afterwards tells whether a closer look is needed.
  for (let index = 0; index < elements.length; index++) bound = Math.max(bound, Math.abs(elements[index]!));
  if (bound < overflow) return 0;
  let largest = 0;
  for (let index = 0; index < elements.length; index++) {
    const element = elements[index]!;
    const magnitude = Math.abs(element);
    if (magnitude >= overflow && Number.isFinite(element) && magnitude > Math.abs(largest)) largest = element;
  }
  return largest;
}

function float32Of(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The quantizer of a format; parameters `rounding` and `seed`. */
export function halfQuantizer(format: HalfFormat): Quantizer {
  const { id } = format;
  return {
    id,
    parse(parameters: JsonObject): JsonObject {
      refuseUnknownParameters(parameters, ROUNDING_PARAMETERS, id);
      return parseRounding(parameters, id);
    },
    accepts(dtype: DType): boolean {
      return dtype.name === "float32" || dtype.name === "float64";
    },
    bitsPerWeight: () => 16,
    begin(source: QuantizeSource, parameters: JsonObject): QuantizeScan {
      return new HalfScan(format, source, stochasticSeed(parameters));
    },
    dequantizer(source: QuantizeSource): Dequantize {
      if (source.dtype.name === "float64")
        return (values) => bytesOf(new Float64Array(float32Of(format.widen(values))));
      return (values) => format.widen(values);
    },
  };
}
