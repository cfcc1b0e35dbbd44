/**
 * float32 and float64 as float16, rounded to nearest even. Infinities and NaN are kept, float16 has them. A finite value that would become
 * infinite is a reason to refuse the tensor.
 */
import { float16ToFloat32 } from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { type DType, dtypeOf } from "../tensor/dtype.ts";
import { toFloat16Bits } from "../tensor/float.ts";
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

const float16 = dtypeOf("float16");
/** The smallest value that rounds to infinity: half a step above the largest float16, 65504. */
const OVERFLOW = 65520;

class Fp16Scan implements QuantizeScan {
  readonly #source: QuantizeSource;
  /** The largest finite value that overflows; 0 while there is none. */
  #overflowing = 0;

  constructor(source: QuantizeSource) {
    this.#source = source;
  }

  push(bytes: Uint8Array): void {
    const overflowing = largestOverflow(realElements(this.#source.dtype, bytes));
    if (Math.abs(overflowing) > Math.abs(this.#overflowing)) this.#overflowing = overflowing;
  }

  finish(): QuantizeRefusal | QuantizePlan {
    if (elementCount(this.#source.shape) === 0) return { refused: "an empty tensor gets no smaller" };
    if (this.#overflowing !== 0) {
      return { refused: `${this.#overflowing} is beyond the largest float16, 65504` };
    }
    return new Fp16Plan(this.#source);
  }
}

class Fp16Plan implements QuantizePlan {
  readonly arrays: QuantizePlan["arrays"];
  readonly side = {};
  readonly bitsPerWeight = 16;
  readonly #dtype: DType;
  readonly #statistics = new ErrorStatistics();
  /** Memory for decoded elements, used again by every `encode`. */
  #scratch = new Uint8Array(0);

  constructor(source: QuantizeSource) {
    this.arrays = [{ role: "values", dtype: float16, shape: source.shape }];
    this.#dtype = source.dtype;
  }

  encode(bytes: Uint8Array): Uint8Array {
    const elements = realElements(this.#dtype, bytes);
    const values = bytesOf(toFloat16Bits(elements));
    if (this.#scratch.length < 2 * values.length) this.#scratch = new Uint8Array(2 * values.length);
    this.#statistics.add(elements, float32Of(values, this.#scratch.subarray(0, 2 * values.length)));
    return values;
  }

  error(): QuantizationError {
    return this.#statistics.result();
  }
}

/** The value of largest magnitude that is finite but too large for float16; 0 when there is none. */
function largestOverflow(elements: Float32Array | Float64Array): number {
  let bound = 0;
  // Math.max keeps NaN and infinity, so that one comparison afterwards tells whether a closer look is needed.
  for (let index = 0; index < elements.length; index++) bound = Math.max(bound, Math.abs(elements[index]!));
  if (bound < OVERFLOW) return 0;
  let largest = 0;
  for (let index = 0; index < elements.length; index++) {
    const element = elements[index]!;
    const magnitude = Math.abs(element);
    if (magnitude >= OVERFLOW && Number.isFinite(element) && magnitude > Math.abs(largest)) largest = element;
  }
  return largest;
}

function float32Of(values: Uint8Array, into?: Uint8Array): Float32Array {
  const bytes = float16ToFloat32(values, into);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The quantizer `fp16`; it takes no parameters. */
export const fp16: Quantizer = {
  id: "fp16",
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, [], "fp16");
    return {};
  },
  accepts(dtype: DType): boolean {
    return dtype.name === "float32" || dtype.name === "float64";
  },
  begin(source: QuantizeSource): QuantizeScan {
    return new Fp16Scan(source);
  },
  dequantizer(source: QuantizeSource): Dequantize {
    if (source.dtype.name === "float64") return (values) => bytesOf(new Float64Array(float32Of(values)));
    return (values) => float16ToFloat32(values);
  },
};
