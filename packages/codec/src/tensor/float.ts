/**
 * Elements of any real dtype as float32, and float32 as the common float types.
 *
 * Small floats (float4 to float8) go through tables of all their values. Their variants: `fn` has no infinities (e4m3fn: only 0x7f and 0xff are NaN;
 * 4- and 6-bit ones have no NaN either), `fnuz` has no infinities and no negative zero (whose bits are the one NaN) and a bias one
 * higher, `e8m0fnu` is a bare power of two without sign or zero. Narrowing rounds to nearest, ties to even; too large becomes
 * infinite; NaN stays NaN. The 16-bit floats of whole arrays are converted by WebAssembly: await `ready()` first.
 */
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from "@tensorcask/kernels";
import { UsageError } from "../errors/errors.ts";
import type { DType, DTypeName } from "./dtype.ts";
import { unpackElements } from "./packed.ts";
import { bytesOfElements } from "./shape.ts";
import { bytesOf, typedArrayOf } from "./typed-array.ts";

/** Dtypes that `fromFloat32` writes. */
export type FloatTarget = "float16" | "bfloat16" | "float32" | "float64";

const tables = new Map<DTypeName, Float32Array<ArrayBuffer>>();

/**
 * Elements as float32. Exact for all floats up to 32 bits and integers up to 24; wider ones are rounded to nearest even.
 *
 * @param bytes little-endian elements, at any offset
 * @param elements how many; needed only where a last byte of packed elements is not full
 * @returns a fresh array, except for float32, where it is a view of `bytes` if that is aligned
 * @throws UsageError for complex dtypes, for blocks (`dequantizeBlocks` reads those) and when `bytes` does not hold exactly `elements`
 */
export function toFloat32(dtype: DType, bytes: Uint8Array, elements?: number): Float32Array {
  const count = elements ?? Math.floor((bytes.length * 8) / dtype.bits);
  if (bytesOfElements(dtype, count, "elements") !== bytes.length) {
    throw new UsageError("bytes", `${bytes.length} bytes are not ${count} elements of ${dtype.name}`);
  }
  if (dtype.kind === "complex" || dtype.kind === "block") {
    throw new UsageError("dtype", `${dtype.name} has no float32 form`);
  }
  if (dtype.bits <= 8) return looked(tableOf(dtype), dtype, bytes, count);
  switch (dtype.name) {
    case "float16":
      return floats(float16ToFloat32(bytes));
    case "bfloat16":
      return floats(bfloat16ToFloat32(bytes));
    case "float32":
      return typedArrayOf(dtype, bytes) as Float32Array;
    default:
      return rounded(typedArrayOf(dtype, bytes));
  }
}

/**
 * float32 values as little-endian bytes of another float dtype.
 *
 * @returns fresh bytes, except for float32, where they are a view of `values`
 */
export function fromFloat32(values: Float32Array, dtype: FloatTarget): Uint8Array {
  switch (dtype) {
    case "float16":
      return float32ToFloat16(bytesOf(values));
    case "bfloat16":
      return float32ToBfloat16(bytesOf(values));
    case "float32":
      return bytesOf(values);
    case "float64":
      return bytesOf(new Float64Array(values));
  }
}

/**
 * float16 bits of float32 or float64 values. A float64 is rounded once: by way of float32 some would be rounded twice and come out wrong.
 */
export function toFloat16Bits(values: Float32Array | Float64Array): Uint16Array {
  if (values instanceof Float64Array) return float16BitsOfDoubles(values);
  const bytes = float32ToFloat16(bytesOf(values));
  return new Uint16Array(bytes.buffer, bytes.byteOffset, values.length);
}

/**
 * Works on the two words of a double: sign, 11 bits of exponent and the top 20 of the fraction in the upper one.
 * Normal float16 exponents are 1009 to 1038 in a double's terms.
 */
function float16BitsOfDoubles(values: Float64Array): Uint16Array {
  const out = new Uint16Array(values.length);
  const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  for (let index = 0; index < values.length; index++) {
    const upper = words[2 * index + 1]!;
    const sign = (upper >>> 16) & 0x8000;
    const exponent = (upper >>> 20) & 0x7ff;
    let bits: number;
    if (exponent < 1009) {
      // Subnormal or zero: a multiple of 2^-24. Adding and taking away 2^52 rounds to nearest even.
      bits = Math.abs(values[index]!) * 16777216 + 4503599627370496 - 4503599627370496;
    } else if (exponent < 1039) {
      const fraction = upper & 0xfffff;
      bits = ((exponent - 1008) << 10) | (fraction >>> 10);
      const rest = fraction & 0x3ff;
      // The carry of a full fraction runs into the exponent, and from the largest number to infinity, as it should.
      if (rest > 0x200 || (rest === 0x200 && (words[2 * index]! !== 0 || (bits & 1) !== 0))) bits++;
    } else if (exponent < 0x7ff || ((upper & 0xfffff) | words[2 * index]!) === 0) {
      bits = 0x7c00;
    } else {
      bits = 0x7e00 | ((upper >>> 10) & 0x1ff);
    }
    out[index] = sign | bits;
  }
  return out;
}

function floats(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

function rounded(values: ReturnType<typeof typedArrayOf>): Float32Array {
  const out = new Float32Array(values.length);
  if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
    for (let index = 0; index < values.length; index++) out[index] = floatOfInteger(values[index]!);
  } else {
    out.set(values);
  }
  return out;
}

/** A 64-bit integer as float32, rounded once: what would be lost on the way through a double stays as a sticky last bit. */
function floatOfInteger(value: bigint): number {
  const magnitude = value < 0n ? -value : value;
  if (magnitude < 1n << 53n) return Number(value);
  const sticky = ((magnitude >> 12n) << 12n) | ((magnitude & 0xfffn) !== 0n ? 0x1000n : 0n);
  return value < 0n ? -Number(sticky) : Number(sticky);
}

function looked(table: Float32Array, dtype: DType, bytes: Uint8Array, count: number): Float32Array {
  const codes = dtype.bits === 8 ? bytes : unpackElements(bytes, dtype.bits, 0, count);
  const out = new Float32Array(count);
  for (let index = 0; index < count; index++) out[index] = table[codes[index]!]!;
  return out;
}

/** All values of a dtype of at most 8 bits, by their bits. */
function tableOf(dtype: DType): Float32Array {
  let table = tables.get(dtype.name);
  if (table === undefined) {
    table = new Float32Array(2 ** dtype.bits);
    for (let bits = 0; bits < table.length; bits++) table[bits] = valueOfBits(dtype, bits);
    tables.set(dtype.name, table);
  }
  return table;
}

function valueOfBits(dtype: DType, bits: number): number {
  switch (dtype.kind) {
    case "bool":
      return bits === 0 ? 0 : 1;
    case "uint":
      return bits;
    case "int":
      return bits < 2 ** (dtype.bits - 1) ? bits : bits - 2 ** dtype.bits;
    case "exponent":
      return bits === 0xff ? Number.NaN : 2 ** (bits - 127);
    default:
      return smallFloat(dtype, bits);
  }
}

function smallFloat(dtype: DType, bits: number): number {
  const exponentBits = dtype.exponentBits!;
  const mantissaBits = dtype.mantissaBits!;
  const fnuz = dtype.name.endsWith("fnuz");
  const sign = bits >> (dtype.bits - 1) === 0 ? 1 : -1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const bias = 2 ** (exponentBits - 1) - (fnuz ? 0 : 1);
  if (fnuz && bits === 0x80) return Number.NaN;
  if (dtype.name === "float8_e4m3fn" && (bits & 0x7f) === 0x7f) return Number.NaN;
  if (dtype.name === "float8_e5m2" && exponent === 31)
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (2 ** mantissaBits + mantissa) * 2 ** (exponent - bias - mantissaBits);
}
