/** PyTorch's element types and storages by their names in checkpoints. */
import { type DType, type DTypeName, dtypeOf } from "@tensorcask/codec";

/** What a storage holds, as its class says. */
export interface TorchElement {
  /** PyTorch's name, such as `FloatStorage`. */
  readonly name: string;
  readonly bytes: number;
  /** Undefined for elements that mean something only with scales beside them, and for bare bytes. */
  readonly dtype: DType | undefined;
}

/** Types by the name under `torch.`; some have two. */
const typeNames: readonly (readonly [string, DTypeName])[] = [
  ["float64", "float64"],
  ["double", "float64"],
  ["float32", "float32"],
  ["float", "float32"],
  ["float16", "float16"],
  ["half", "float16"],
  ["bfloat16", "bfloat16"],
  ["float8_e4m3fn", "float8_e4m3fn"],
  ["float8_e5m2", "float8_e5m2"],
  ["float8_e4m3fnuz", "float8_e4m3fnuz"],
  ["float8_e5m2fnuz", "float8_e5m2fnuz"],
  ["float8_e8m0fnu", "float8_e8m0fnu"],
  ["int64", "int64"],
  ["long", "int64"],
  ["int32", "int32"],
  ["int", "int32"],
  ["int16", "int16"],
  ["short", "int16"],
  ["int8", "int8"],
  ["uint64", "uint64"],
  ["uint32", "uint32"],
  ["uint16", "uint16"],
  ["uint8", "uint8"],
  ["bool", "bool"],
  ["complex64", "complex64"],
  ["cfloat", "complex64"],
  ["complex128", "complex128"],
  ["cdouble", "complex128"],
];

/** Types that PyTorch has and Tensorcask has not: named so that the error can tell. */
const foreignTypes: readonly string[] = [
  "complex32",
  "chalf",
  "quint8",
  "qint8",
  "qint32",
  "quint4x2",
  "quint2x4",
  "bits8",
  "bits16",
  "bits1x8",
  "bits2x4",
  "bits4x2",
  "float4_e2m1fn_x2",
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [`uint${bits}`, `int${bits}`]),
];

/** The dtype under each name (`torch.float32`); undefined for types that cannot be kept as elements. */
export const torchTypes: ReadonlyMap<string, DType | undefined> = new Map([
  ...typeNames.map(([name, dtype]) => [`torch.${name}`, dtypeOf(dtype)] as const),
  ...foreignTypes.map((name) => [`torch.${name}`, undefined] as const),
]);

const typed = (name: string, dtype: DTypeName): TorchElement => ({
  name,
  bytes: dtypeOf(dtype).bits / 8,
  dtype: dtypeOf(dtype),
});

const elements: readonly TorchElement[] = [
  typed("DoubleStorage", "float64"),
  typed("FloatStorage", "float32"),
  typed("HalfStorage", "float16"),
  typed("BFloat16Storage", "bfloat16"),
  typed("LongStorage", "int64"),
  typed("IntStorage", "int32"),
  typed("ShortStorage", "int16"),
  typed("CharStorage", "int8"),
  typed("ByteStorage", "uint8"),
  typed("BoolStorage", "bool"),
  typed("ComplexFloatStorage", "complex64"),
  typed("ComplexDoubleStorage", "complex128"),
  { name: "QInt8Storage", bytes: 1, dtype: undefined },
  { name: "QUInt8Storage", bytes: 1, dtype: undefined },
  { name: "QInt32Storage", bytes: 4, dtype: undefined },
  { name: "QUInt4x2Storage", bytes: 1, dtype: undefined },
  { name: "QUInt2x4Storage", bytes: 1, dtype: undefined },
  { name: "UntypedStorage", bytes: 1, dtype: undefined },
];

/** Storage classes under each name (`torch.FloatStorage`); old checkpoints name those of the GPU. */
export const torchStorages: ReadonlyMap<string, TorchElement> = new Map(
  ["torch", "torch.cuda", "torch.storage"].flatMap((module) =>
    elements.map((element) => [`${module}.${element.name}`, element] as const),
  ),
);
