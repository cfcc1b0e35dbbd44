/**
 * Element types. Names follow ml_dtypes and Zarr (`bfloat16`, `float8_e4m3fn`, ...); safetensors codes (`BF16`, `F8_E4M3`, ...) are
 * accepted as aliases. `code` is written to disk (frames, journal): never reuse one, never renumber.
 */
import { UsageError } from "../errors/errors.ts";
import { type GgmlBlockName, ggmlBlocks } from "./ggml-blocks.ts";

/**
 * How elements of a dtype are read: `float` and `complex` are made of IEEE-like floats, `exponent` is a bare power of two, a `block` is
 * several values quantized together: bytes to everything but `dequantizeBlocks`.
 */
export type DTypeKind = "bool" | "int" | "uint" | "float" | "complex" | "exponent" | "block";

/** Facts about one element type. */
export interface DType {
  readonly name: DTypeName;
  /** Number on disk. */
  readonly code: number;
  /** Size of one element in bits; 4 and 6 are packed least significant bits first. */
  readonly bits: number;
  readonly kind: DTypeKind;
  /** Code in safetensors files; undefined when the format has none. */
  readonly safetensors: string | undefined;
  /** For floats: exponent and stored mantissa bits of one component (sign bit is the top one). */
  readonly exponentBits?: number;
  readonly mantissaBits?: number;
  /** For blocks, which are elements themselves: how many values are in one. The last axis of a shape counts blocks. */
  readonly block?: { readonly elements: number };
}

export type DTypeName =
  | GgmlBlockName
  | "bool"
  | "int4"
  | "uint4"
  | "int8"
  | "uint8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  | "int64"
  | "uint64"
  | "float4_e2m1fn"
  | "float6_e2m3fn"
  | "float6_e3m2fn"
  | "float8_e4m3fn"
  | "float8_e5m2"
  | "float8_e8m0fnu"
  | "float8_e4m3fnuz"
  | "float8_e5m2fnuz"
  | "float16"
  | "bfloat16"
  | "float32"
  | "float64"
  | "complex64"
  | "complex128";

function float(
  name: DTypeName,
  code: number,
  safetensors: string,
  exponentBits: number,
  mantissaBits: number,
): DType {
  const bits = 1 + exponentBits + mantissaBits;
  return { name, code, bits, kind: "float", safetensors, exponentBits, mantissaBits };
}

function integer(
  name: DTypeName,
  code: number,
  bits: number,
  kind: "int" | "uint",
  safetensors?: string,
): DType {
  return { name, code, bits, kind, safetensors };
}

const all: readonly DType[] = [
  { name: "bool", code: 1, bits: 8, kind: "bool", safetensors: "BOOL" },
  integer("int4", 2, 4, "int"),
  integer("uint4", 3, 4, "uint"),
  integer("int8", 4, 8, "int", "I8"),
  integer("uint8", 5, 8, "uint", "U8"),
  integer("int16", 6, 16, "int", "I16"),
  integer("uint16", 7, 16, "uint", "U16"),
  integer("int32", 8, 32, "int", "I32"),
  integer("uint32", 9, 32, "uint", "U32"),
  integer("int64", 10, 64, "int", "I64"),
  integer("uint64", 11, 64, "uint", "U64"),
  float("float4_e2m1fn", 12, "F4", 2, 1),
  float("float6_e2m3fn", 13, "F6_E2M3", 2, 3),
  float("float6_e3m2fn", 14, "F6_E3M2", 3, 2),
  float("float8_e4m3fn", 15, "F8_E4M3", 4, 3),
  float("float8_e5m2", 16, "F8_E5M2", 5, 2),
  { name: "float8_e8m0fnu", code: 17, bits: 8, kind: "exponent", safetensors: "F8_E8M0" },
  float("float8_e4m3fnuz", 18, "F8_E4M3FNUZ", 4, 3),
  float("float8_e5m2fnuz", 19, "F8_E5M2FNUZ", 5, 2),
  float("float16", 20, "F16", 5, 10),
  float("bfloat16", 21, "BF16", 8, 7),
  float("float32", 22, "F32", 8, 23),
  float("float64", 23, "F64", 11, 52),
  {
    name: "complex64",
    code: 24,
    bits: 64,
    kind: "complex",
    safetensors: "C64",
    exponentBits: 8,
    mantissaBits: 23,
  },
  {
    name: "complex128",
    code: 25,
    bits: 128,
    kind: "complex",
    safetensors: undefined,
    exponentBits: 11,
    mantissaBits: 52,
  },
  ...ggmlBlocks.map(
    ([name, code, elements, bytes]): DType => ({
      name,
      code,
      bits: 8 * bytes,
      kind: "block",
      safetensors: undefined,
      block: { elements },
    }),
  ),
];

const byName = new Map<string, DType>(all.map((dtype) => [dtype.name, dtype]));
const byCode = new Map<number, DType>(all.map((dtype) => [dtype.code, dtype]));
const byAlias = new Map<string, DType>(
  all.flatMap((dtype) => (dtype.safetensors === undefined ? [] : [[dtype.safetensors, dtype] as const])),
);

/** All dtypes, in the order of their codes. */
export const dtypes: readonly DType[] = all;

/** The dtype of this name or safetensors alias; undefined when there is none. */
export function findDType(name: string): DType | undefined {
  return byName.get(name) ?? byAlias.get(name);
}

/** The dtype of this name or alias. Throws `UsageError` naming `field` when there is none. */
export function dtypeOf(name: string, field = "dtype"): DType {
  const found = findDType(name);
  if (found === undefined) {
    throw new UsageError(
      field,
      `unknown dtype ${JSON.stringify(name)}; known: ${[...byName.keys()].join(", ")}`,
    );
  }
  return found;
}

/** The dtype of a code read from disk; undefined when this version does not know it. */
export function dtypeOfCode(code: number): DType | undefined {
  return byCode.get(code);
}

/** The dtype of a safetensors code such as `BF16`; undefined when the format has no such code. */
export function dtypeOfSafetensors(code: string): DType | undefined {
  return byAlias.get(code);
}
