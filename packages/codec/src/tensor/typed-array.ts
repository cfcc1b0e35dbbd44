/**
 * Tensors as callers hand them in and get them back: `{ dtype, shape, data }` with a typed array. The table of which array holds which dtype:
 *
 *     bool, uint8, float8_*          Uint8Array (bool: 0 or 1; float8: bits)
 *     int8                           Int8Array
 *     int16, uint16, int32, uint32   the array of that name
 *     int64, uint64                  BigInt64Array, BigUint64Array
 *     float16, bfloat16              Uint16Array (bits)
 *     float32, float64               Float32Array, Float64Array
 *     complex64, complex128          Float32Array, Float64Array (real and imaginary parts in turn)
 *     int4, uint4, float4, float6    Uint8Array (packed bits, see packed.ts)
 *     ggml_*                         Uint8Array (whole blocks, see ggml-blocks.ts)
 *
 * Any dtype may also be handed in as a Uint8Array of its little-endian bytes, float16 as a Float16Array, uint8 as a Uint8ClampedArray.
 */
import { UsageError } from "../errors/errors.ts";
import { type DType, type DTypeName, dtypeOf } from "./dtype.ts";
import type { GgmlBlockName } from "./ggml-blocks.ts";
import { byteLength, shapeText } from "./shape.ts";

/** The arrays of the table above. They may lie in shared memory. */
export type TypedArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array;

/** A tensor: row-major elements of `dtype`, in the typed array that the table in this file names. */
export interface TensorData {
  readonly dtype: DTypeName;
  /** Lengths of the axes; `[]` is a scalar. */
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** A tensor as callers may hand it in: `dtype` may be a safetensors code. */
export interface TensorInput {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** A checked tensor; `bytes` is a view of the caller's memory. */
export interface CheckedTensor {
  readonly dtype: DType;
  readonly shape: number[];
  readonly bytes: Uint8Array;
}

interface ArrayKind {
  readonly name: string;
  readonly elementBytes: number;
  readonly over: (buffer: ArrayBufferLike, offset: number, length: number) => TypedArray;
}

const uint8: ArrayKind = { name: "Uint8Array", elementBytes: 1, over: (b, o, n) => new Uint8Array(b, o, n) };
const uint16: ArrayKind = {
  name: "Uint16Array",
  elementBytes: 2,
  over: (b, o, n) => new Uint16Array(b, o, n),
};
const float32: ArrayKind = {
  name: "Float32Array",
  elementBytes: 4,
  over: (b, o, n) => new Float32Array(b, o, n),
};
const float64: ArrayKind = {
  name: "Float64Array",
  elementBytes: 8,
  over: (b, o, n) => new Float64Array(b, o, n),
};

const kinds: { readonly [name in Exclude<DTypeName, GgmlBlockName>]: ArrayKind } = {
  bool: uint8,
  int4: uint8,
  uint4: uint8,
  int8: { name: "Int8Array", elementBytes: 1, over: (b, o, n) => new Int8Array(b, o, n) },
  uint8,
  int16: { name: "Int16Array", elementBytes: 2, over: (b, o, n) => new Int16Array(b, o, n) },
  uint16,
  int32: { name: "Int32Array", elementBytes: 4, over: (b, o, n) => new Int32Array(b, o, n) },
  uint32: { name: "Uint32Array", elementBytes: 4, over: (b, o, n) => new Uint32Array(b, o, n) },
  int64: { name: "BigInt64Array", elementBytes: 8, over: (b, o, n) => new BigInt64Array(b, o, n) },
  uint64: { name: "BigUint64Array", elementBytes: 8, over: (b, o, n) => new BigUint64Array(b, o, n) },
  float4_e2m1fn: uint8,
  float6_e2m3fn: uint8,
  float6_e3m2fn: uint8,
  float8_e4m3fn: uint8,
  float8_e5m2: uint8,
  float8_e8m0fnu: uint8,
  float8_e4m3fnuz: uint8,
  float8_e5m2fnuz: uint8,
  float16: uint16,
  bfloat16: uint16,
  float32,
  float64,
  complex64: float32,
  complex128: float64,
};

/** Blocks are bytes; every other dtype has its array in the table. */
function kindOf(dtype: DType): ArrayKind {
  return dtype.kind === "block" ? uint8 : kinds[dtype.name as keyof typeof kinds];
}

/** Arrays taken beside the one of the table. */
const alsoTaken: { readonly [name in DTypeName]?: string } = {
  float16: "Float16Array",
  uint8: "Uint8ClampedArray",
};

/** Name of the typed array that holds elements of this dtype, such as `Float32Array`. */
export function arrayNameOf(dtype: DType): string {
  return kindOf(dtype).name;
}

/**
 * Little-endian bytes as the typed array of their dtype: a view of the same memory, or a copy where `bytes` is not aligned for one.
 *
 * @throws UsageError when `bytes` is not whole array elements.
 */
export function typedArrayOf(dtype: DType, bytes: Uint8Array): TypedArray {
  const kind = kindOf(dtype);
  const length = bytes.byteLength / kind.elementBytes;
  if (!Number.isInteger(length)) {
    throw new UsageError("bytes", `${bytes.byteLength} bytes are no whole number of ${dtype.name} elements`);
  }
  const aligned = bytes.byteOffset % kind.elementBytes === 0 ? bytes : new Uint8Array(bytes);
  return kind.over(aligned.buffer, aligned.byteOffset, length);
}

/** The memory of a typed array or DataView as bytes, without a copy. */
export function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/**
 * Checks a tensor from a caller. Nothing is copied: `bytes` is a view of `data`, for the caller of this function to snapshot.
 *
 * @throws UsageError naming `dtype`, `shape` or `data`.
 */
export function checkTensor(tensor: TensorInput): CheckedTensor {
  if (typeof tensor?.dtype !== "string")
    throw new UsageError("dtype", 'dtype: expected a name such as "float32"');
  const dtype = dtypeOf(tensor.dtype);
  if (!Array.isArray(tensor.shape)) throw new UsageError("shape", "shape: expected an array of axis lengths");
  const shape = [...tensor.shape];
  const expected = byteLength(dtype, shape);
  const { data } = tensor;
  if (!ArrayBuffer.isView(data)) {
    throw new UsageError("data", `data: expected a ${arrayNameOf(dtype)} for ${dtype.name}`);
  }
  const name = nameOfView(data);
  if (name !== arrayNameOf(dtype) && name !== "Uint8Array" && name !== alsoTaken[dtype.name]) {
    throw new UsageError(
      "data",
      `data: ${dtype.name} comes in a ${arrayNameOf(dtype)} (or a Uint8Array of its bytes), this is a ${name}`,
    );
  }
  if (data.byteLength !== expected) {
    throw new UsageError(
      "data",
      `data: shape ${shapeText(shape)} of ${dtype.name} takes ${expected} bytes, there are ${data.byteLength}`,
    );
  }
  return { dtype, shape, bytes: bytesOf(data) };
}

/** The class name of a typed array, also across realms; a Buffer is a Uint8Array. */
function nameOfView(data: ArrayBufferView): string {
  return (data as { readonly [Symbol.toStringTag]?: string })[Symbol.toStringTag] ?? "DataView";
}
