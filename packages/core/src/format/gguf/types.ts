/**
 * The types of GGUF files by their numbers: those of metadata values (`gguf_metadata_value_type`) and those of tensors (`ggml_type`, as of
 * the reference implementation's ggml.h in 2026).
 */
import { type DType, dtypeOf } from "@tensorcask/codec";

/** A metadata value's type: its number and name, and the bytes of one value; undefined where that varies. */
export interface ValueType {
  readonly name: string;
  readonly bytes: number | undefined;
}

const valueTypes: readonly ValueType[] = [
  { name: "uint8", bytes: 1 },
  { name: "int8", bytes: 1 },
  { name: "uint16", bytes: 2 },
  { name: "int16", bytes: 2 },
  { name: "uint32", bytes: 4 },
  { name: "int32", bytes: 4 },
  { name: "float32", bytes: 4 },
  { name: "bool", bytes: 1 },
  { name: "string", bytes: undefined },
  { name: "array", bytes: undefined },
  { name: "uint64", bytes: 8 },
  { name: "int64", bytes: 8 },
  { name: "float64", bytes: 8 },
];

/** The value type of a number; undefined when there is none. */
export function valueTypeOf(number: number): ValueType | undefined {
  return valueTypes[number];
}

/** A tensor's type: ggml's name of it, and what its elements (or blocks) are here. */
export interface TensorType {
  readonly name: string;
  readonly dtype: DType;
}

/** Types whose elements stand alone. */
const plain: ReadonlyMap<number, readonly [name: string, dtype: string]> = new Map([
  [0, ["F32", "float32"]],
  [1, ["F16", "float16"]],
  [24, ["I8", "int8"]],
  [25, ["I16", "int16"]],
  [26, ["I32", "int32"]],
  [27, ["I64", "int64"]],
  [28, ["F64", "float64"]],
  [30, ["BF16", "bfloat16"]],
]);

/** Types that come in blocks; their dtypes are called `ggml_` and this. */
const blocks: ReadonlyMap<number, string> = new Map([
  [2, "Q4_0"],
  [3, "Q4_1"],
  [6, "Q5_0"],
  [7, "Q5_1"],
  [8, "Q8_0"],
  [9, "Q8_1"],
  [10, "Q2_K"],
  [11, "Q3_K"],
  [12, "Q4_K"],
  [13, "Q5_K"],
  [14, "Q6_K"],
  [15, "Q8_K"],
  [16, "IQ2_XXS"],
  [17, "IQ2_XS"],
  [18, "IQ3_XXS"],
  [19, "IQ1_S"],
  [20, "IQ4_NL"],
  [21, "IQ3_S"],
  [22, "IQ2_S"],
  [23, "IQ4_XS"],
  [29, "IQ1_M"],
  [34, "TQ1_0"],
  [35, "TQ2_0"],
  [39, "MXFP4"],
  [40, "NVFP4"],
  [41, "Q1_0"],
  [42, "Q2_0"],
]);

/** Types that ggml has removed: their layouts are not told by the file, and no program reads them any more. */
const removed: ReadonlyMap<number, string> = new Map([
  [4, "Q4_2"],
  [5, "Q4_3"],
  [31, "Q4_0_4_4"],
  [32, "Q4_0_4_8"],
  [33, "Q4_0_8_8"],
  [36, "IQ4_NL_4_4"],
  [37, "IQ4_NL_4_8"],
  [38, "IQ4_NL_8_8"],
]);

const tensorTypes: ReadonlyMap<number, TensorType> = new Map([
  ...[...plain].map(([number, [name, dtype]]) => [number, { name, dtype: dtypeOf(dtype) }] as const),
  ...[...blocks].map(
    ([number, name]) => [number, { name, dtype: dtypeOf(`ggml_${name.toLowerCase()}`) }] as const,
  ),
]);

/** The tensor type of a number; undefined when this version knows none. */
export function tensorTypeOf(number: number): TensorType | undefined {
  return tensorTypes.get(number);
}

/** The name of a tensor type that ggml has given up; undefined for all others. */
export function removedTypeOf(number: number): string | undefined {
  return removed.get(number);
}
