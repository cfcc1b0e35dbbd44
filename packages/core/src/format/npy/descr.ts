/**
 * Element types in NumPy's notation: byte order, kind, bytes.
 *
 *     '<f4'   <  little-endian    >  big-endian    |  of one byte    =  (or nothing) the machine's own
 *             b  bool    i  int    u  uint    f  float    c  complex
 */
import { type DType, type DTypeName, dtypeOf } from "@tensorcask/codec";
import { quote } from "../strict-json.ts";
import type { NpyErrorMaker } from "./literal.ts";

/** Kind and bytes of the dtypes that NumPy has. */
export const DTYPES: ReadonlyMap<string, DTypeName> = new Map([
  ["b1", "bool"],
  ["i1", "int8"],
  ["u1", "uint8"],
  ["i2", "int16"],
  ["u2", "uint16"],
  ["i4", "int32"],
  ["u4", "uint32"],
  ["i8", "int64"],
  ["u8", "uint64"],
  ["f2", "float16"],
  ["f4", "float32"],
  ["f8", "float64"],
  ["c8", "complex64"],
  ["c16", "complex128"],
]);

const CODES: ReadonlyMap<string, string> = new Map([...DTYPES].map(([code, name]) => [name, code]));

/**
 * What `np.save` writes for dtypes that ml_dtypes adds (JAX's `jnp.load` reads `<V2` in the same way). A plain void
 * has `|`, so these stand for one dtype each; the others of ml_dtypes all become `<V1` and cannot be told apart.
 */
const ADDED: ReadonlyMap<string, DTypeName> = new Map([
  ["<V2", "bfloat16"],
  ["<f1", "float8_e5m2"],
]);

/** Kinds of elements that are no tensors, and what to do. */
const REFUSED: ReadonlyMap<string, readonly [what: string, remedy: string]> = new Map([
  ["V", ["raw bytes, or a dtype of ml_dtypes that the file does not name", "save array.view('u1')"]],
  ["U", ["text", "save what it says as JSON beside the tensors"]],
  ["S", ["byte strings", "save array.view('u1')"]],
  ["M", ["dates", "save array.astype('i8')"]],
  ["m", ["durations", "save array.astype('i8')"]],
]);

/** Elements as they lie in a file. */
export interface NpyElements {
  readonly dtype: DType;
  readonly bigEndian: boolean;
}

/** Whether elements are Python objects: what follows the header is a pickle then. */
export function isObjectDescr(descr: string): boolean {
  return /^[<>|=]?O8?$/.test(descr);
}

/**
 * The elements of a `descr`. Throws what `error` makes: the rule `object` for Python objects, `dtype` for other
 * types that are no tensors.
 */
export function npyElements(descr: string, error: NpyErrorMaker): NpyElements {
  const added = ADDED.get(descr);
  if (added !== undefined) return { dtype: dtypeOf(added), bigEndian: false };
  if (isObjectDescr(descr)) {
    throw error("object", "its elements are Python objects, held as a pickle");
  }
  const match = /^([<>|=]?)([a-zA-Z])(\d*)/.exec(descr);
  const kind = match?.[2] ?? "";
  const code = match === null ? "" : descr.slice(match[1]!.length);
  const name = DTYPES.get(code);
  // `|` belongs to single bytes; on longer elements readers disagree about it.
  if (name === undefined || (match![1] === "|" && !code.endsWith("1"))) {
    const [what, remedy] = REFUSED.get(kind) ?? [
      "which is none of a tensor",
      "save it as another (array.astype)",
    ];
    throw error(
      "dtype",
      `its dtype is ${quote(descr)}: ${what}`,
      `${remedy}, or keep the file as bytes with --opaque`,
    );
  }
  const dtype = dtypeOf(name);
  // Machines whose own order is big-endian are gone: NumPy runs on none that this file could come from.
  return { dtype, bigEndian: match![1] === ">" && dtype.bits > 8 };
}

/** NumPy's notation of a dtype, little-endian, as NumPy writes it; undefined when it has none. */
export function descrOf(dtype: DType): string | undefined {
  const code = CODES.get(dtype.name);
  return code === undefined ? undefined : `${dtype.bits === 8 ? "|" : "<"}${code}`;
}
