/** A tensor as the store gives it back. */
import {
  type DType,
  type DTypeName,
  dequantizeBlocks,
  dequantizedShape,
  dtypeOf,
  fromFloat32,
  type TypedArray,
  toFloat32,
  typedArrayOf,
  UsageError,
} from "@tensorcask/codec";
import type { QuantizationFacts } from "../model/entry.ts";
import type { ReadOptions } from "./types.ts";

/** `{ dtype, shape, data }`; `dims` and `type` make it usable where an onnxruntime tensor is. The data is the caller's own. */
export class Tensor {
  readonly dtype: DTypeName;
  readonly shape: readonly number[];
  /** Elements in row-major order; the array type goes by the dtype (see `TensorData`). */
  readonly data: TypedArray;

  constructor(dtype: DTypeName, shape: readonly number[], data: TypedArray) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }

  /** `shape`, as onnxruntime calls it. */
  get dims(): readonly number[] {
    return this.shape;
  }

  /** `dtype`, as onnxruntime calls it. */
  get type(): DTypeName {
    return this.dtype;
  }

  /** The little-endian bytes of the elements: a view. */
  bytes(): Uint8Array {
    return new Uint8Array(this.data.buffer, this.data.byteOffset, this.data.byteLength);
  }
}

/** The arrays that a tensor is stored as, for those who compute on quantized numbers; docs/format.md, section 7, says what they mean. */
export interface StoredArrays {
  /** With its parameters and error; undefined where the tensor is stored exactly, as `values`. */
  readonly quantization: QuantizationFacts | undefined;
  readonly values: Tensor;
  readonly scales?: Tensor;
  readonly zeros?: Tensor;
}

/**
 * A tensor of source bytes, converted if asked. Blocks are dequantized then: the last axis counts values, not blocks. Throws `UsageError`
 * for conversions that make no sense.
 */
export function tensorOf(
  dtype: DType,
  shape: readonly number[],
  bytes: Uint8Array,
  options: ReadOptions = {},
): Tensor {
  const { as } = options;
  if (as === undefined || as === dtype.name) return new Tensor(dtype.name, shape, typedArrayOf(dtype, bytes));
  if (as !== "float32" && as !== "float16") {
    throw new UsageError("as", `as ${JSON.stringify(as)} is not known; float32 and float16 are`);
  }
  const elements = shape.reduce((product, length) => product * length, 1);
  const values = dtype.kind === "block" ? dequantizeBlocks(dtype, bytes) : toFloat32(dtype, bytes, elements);
  const valueShape = dequantizedShape(dtype, shape);
  if (as === "float32") return new Tensor("float32", valueShape, values);
  const half = dtypeOf("float16");
  return new Tensor("float16", valueShape, typedArrayOf(half, fromFloat32(values, "float16")));
}
