/**
 * The element types of ONNX (`TensorProto.DataType`), with the field of `TensorProto` that holds their elements
 * where `raw_data` does not. In `raw_data` elements have a fixed width, little-endian, those of 4 bits packed with
 * the first in the low half: as the store has them. Types without a dtype of ours (`STRING`, `UINT2`, `INT2`, and
 * what comes after ONNX 1.20) stay in the bytes of the file.
 */
import { type DType, type DTypeName, dtypeOf } from "@tensorcask/codec";

/** Fields of `TensorProto` that hold elements. */
export const FLOAT_DATA = 4;
export const INT32_DATA = 5;
export const STRING_DATA = 6;
export const INT64_DATA = 7;
export const DOUBLE_DATA = 10;
export const UINT64_DATA = 11;

/** Names of the fields, for errors. */
export const dataFieldNames: Readonly<Record<number, string>> = {
  [FLOAT_DATA]: "float_data",
  [INT32_DATA]: "int32_data",
  [STRING_DATA]: "string_data",
  [INT64_DATA]: "int64_data",
  [DOUBLE_DATA]: "double_data",
  [UINT64_DATA]: "uint64_data",
};

/** One element type. */
export interface DataType {
  /** As ONNX calls it. */
  readonly name: string;
  /** Undefined where we have none. */
  readonly dtype: DType | undefined;
  /** The field of typed elements; undefined where there is none. */
  readonly field: number | undefined;
}

function type(name: string, dtype?: DTypeName, field?: number): DataType {
  return { name, dtype: dtype === undefined ? undefined : dtypeOf(dtype), field };
}

/** By their numbers. */
const dataTypes: readonly DataType[] = [
  type("UNDEFINED"),
  type("FLOAT", "float32", FLOAT_DATA),
  type("UINT8", "uint8", INT32_DATA),
  type("INT8", "int8", INT32_DATA),
  type("UINT16", "uint16", INT32_DATA),
  type("INT16", "int16", INT32_DATA),
  type("INT32", "int32", INT32_DATA),
  type("INT64", "int64", INT64_DATA),
  type("STRING", undefined, STRING_DATA),
  type("BOOL", "bool", INT32_DATA),
  type("FLOAT16", "float16", INT32_DATA),
  type("DOUBLE", "float64", DOUBLE_DATA),
  type("UINT32", "uint32", UINT64_DATA),
  type("UINT64", "uint64", UINT64_DATA),
  type("COMPLEX64", "complex64", FLOAT_DATA),
  type("COMPLEX128", "complex128", DOUBLE_DATA),
  type("BFLOAT16", "bfloat16", INT32_DATA),
  type("FLOAT8E4M3FN", "float8_e4m3fn", INT32_DATA),
  type("FLOAT8E4M3FNUZ", "float8_e4m3fnuz", INT32_DATA),
  type("FLOAT8E5M2", "float8_e5m2", INT32_DATA),
  type("FLOAT8E5M2FNUZ", "float8_e5m2fnuz", INT32_DATA),
  type("UINT4", "uint4", INT32_DATA),
  type("INT4", "int4", INT32_DATA),
  type("FLOAT4E2M1", "float4_e2m1fn", INT32_DATA),
  type("FLOAT8E8M0", "float8_e8m0fnu", INT32_DATA),
  type("UINT2", undefined, INT32_DATA),
  type("INT2", undefined, INT32_DATA),
];

/** The element type of a number in a file. Numbers that ONNX did not have yet are types without a dtype. */
export function dataTypeOf(code: number): DataType {
  return dataTypes[code] ?? type(`data type ${code}`);
}
