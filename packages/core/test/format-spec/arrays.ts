/** Sections 5 to 8 of docs/format.md: element types, where arrays are cut, quantized arrays, tensor keys. */
import { must, sha256 } from "./bytes.ts";

/** 5: bits of an element by the code of its type. */
export const elementBits: readonly number[] = [
  0, 8, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 4, 6, 6, 8, 8, 8, 8, 8, 16, 16, 32, 64, 64, 128,
];
const INT8 = 4;
const FLOAT16 = 20;
const BFLOAT16 = 21;
const FLOAT64 = 23;

export const product = (axes: readonly number[]): number => axes.reduce((all, axis) => all * axis, 1);
/** 5: bytes of an array. */
export const bytesOf = (dtype: number, shape: readonly number[]): number =>
  Math.ceil((product(shape) * elementBits[dtype]!) / 8);

/** 6: the byte lengths of the chunks of an array that is cut by elements. */
export function chunkLengths(dtype: number, shape: readonly number[], chunkElements: number): number[] {
  const bits = elementBits[dtype]!;
  const elements = product(shape);
  if (elements === 0) return [];
  const row = product(shape.slice(1));
  let span = elements;
  let piece: number;
  if ((row * bits) % 8 !== 0) piece = chunkElements;
  else if (row <= chunkElements) piece = Math.floor(chunkElements / row) * row;
  else {
    span = row;
    const innermost = shape.at(-1)!;
    let unit = innermost;
    while ((unit * bits) % 8 !== 0) unit += innermost;
    piece = unit <= chunkElements ? Math.floor(chunkElements / unit) * unit : chunkElements;
  }
  const lengths: number[] = [];
  for (let start = 0; start < elements; start += span) {
    for (let at = 0; at < span; at += piece) lengths.push(Math.ceil((Math.min(piece, span - at) * bits) / 8));
  }
  return lengths;
}

/** 6: the lengths of the chunks of a stream of opaque bytes. */
export function contentLengths(bytes: Uint8Array): number[] {
  const mask = (1n << 64n) - 1n;
  const table: bigint[] = [];
  for (let index = 0, state = 0x5443474541523031n; index < 256; index++) {
    state = (state + 0x9e3779b97f4a7c15n) & mask;
    let z = ((state ^ (state >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    table.push(z ^ (z >> 31n));
  }
  const lengths: number[] = [];
  let length = 0;
  let hash = 0n;
  for (const byte of bytes) {
    hash = ((hash << 1n) + table[byte]!) & mask;
    length++;
    const limit = length < 16_384 ? 0n : length < 65_536 ? 1n << 46n : 1n << 50n;
    if (hash >= limit && length < 262_144) continue;
    lengths.push(length);
    length = 0;
  }
  if (length > 0) lengths.push(length);
  return lengths;
}

/** 8: the key of a tensor. `lengths` are those of its source chunks. */
export function keyOf(
  bytes: Uint8Array,
  lengths: readonly number[],
  parts: {
    dtype: number;
    shape: readonly number[];
    geometry: number;
    chunkElements: number;
    quantizer?: string;
  },
): Buffer {
  const hashes: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    hashes.push(sha256(bytes.subarray(at, at + length)));
    at += length;
  }
  const fixed = Buffer.alloc(10 + 8 * parts.shape.length);
  fixed[0] = parts.dtype;
  fixed[1] = parts.geometry;
  fixed.writeUInt32LE(parts.geometry === 0 ? parts.chunkElements : 0, 2);
  fixed.writeUInt32LE(parts.shape.length, 6);
  parts.shape.forEach((axis, index) => {
    fixed.writeBigUInt64LE(BigInt(axis), 10 + 8 * index);
  });
  const prefix = Buffer.from("tensorcask tensor 0\0", "latin1");
  return sha256(
    Buffer.concat([prefix, sha256(Buffer.concat(hashes)), fixed, Buffer.from(parts.quantizer ?? "")]),
  );
}

/** A tensor as far as its quantizer needs it. */
interface QuantizedTensor {
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly quantizer: string | undefined;
  readonly parameters: { readonly granularity?: string };
  readonly arrays: readonly { readonly dtype: number }[];
}

/** 7: the source bytes of a quantized tensor. */
export function dequantize(tensor: QuantizedTensor, values: Buffer, scales?: Buffer, zeros?: Buffer): Buffer {
  const elements = product(tensor.shape);
  const size = elementBits[tensor.dtype]! / 8;
  const out = Buffer.alloc(elements * size);
  const write = (index: number, value: number): void => {
    if (tensor.dtype === FLOAT64) out.writeDoubleLE(value, 8 * index);
    else if (tensor.dtype === FLOAT16) out.writeUInt16LE(nearest(Math.fround(value), 5, 10), 2 * index);
    else if (tensor.dtype === BFLOAT16) out.writeUInt16LE(nearest(Math.fround(value), 8, 7), 2 * index);
    else out.writeFloatLE(value, 4 * index);
  };
  if (tensor.quantizer === "fp16") {
    for (let index = 0; index < elements; index++)
      write(index, floatOf(values.readUInt16LE(2 * index), 5, 10));
    return out;
  }
  must(tensor.quantizer === "int8" && tensor.arrays[0]!.dtype === INT8, "an unknown quantizer");
  const perChannel = tensor.shape.length > 1 && tensor.parameters.granularity !== "tensor";
  must(perChannel === (zeros === undefined), "zeros are there per tensor only");
  const scaleAt = (index: number): number =>
    tensor.dtype === FLOAT64 ? scales!.readDoubleLE(8 * index) : scales!.readFloatLE(4 * index);
  const channels = perChannel ? tensor.shape[0]! : 1;
  const zero = zeros?.readInt32LE(0) ?? 0;
  const largestScale = Math.max(...Array.from({ length: channels }, (_, index) => scaleAt(index)));
  const [exponentBits, mantissaBits] = (
    { [FLOAT16]: [5, 10], [BFLOAT16]: [8, 7], [FLOAT64]: [11, 52] } as Record<number, [number, number]>
  )[tensor.dtype] ?? [8, 23];
  const largest = (2 - 2 ** -mantissaBits) * 2 ** (2 ** (exponentBits - 1) - 1);
  const capped = Math.max(Math.abs(-128 - zero), Math.abs(127 - zero)) * largestScale > largest;
  for (let index = 0; index < elements; index++) {
    const value = (values.readInt8(index) - zero) * scaleAt(Math.floor(index / (elements / channels)));
    write(index, capped ? Math.max(-largest, Math.min(largest, value)) : value);
  }
  return out;
}

/** The value of the bits of a 16-bit float. */
function floatOf(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
}

/** The bits of the nearest 16-bit float, ties to even, by trying all of one sign. */
function nearest(value: number, exponentBits: number, mantissaBits: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  let low = 0;
  let high = (2 ** exponentBits - 1) << mantissaBits;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (floatOf(middle, exponentBits, mantissaBits) <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - floatOf(low, exponentBits, mantissaBits);
  const above = floatOf(high, exponentBits, mantissaBits) - magnitude;
  const up = below > above || (below === above && low % 2 === 1);
  return sign | (up ? high : low);
}
