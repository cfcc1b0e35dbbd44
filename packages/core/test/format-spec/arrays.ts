/** Sections 5 to 8 of docs/format.md: element types, where arrays are cut, tensor keys. */
import { must, sha256 } from "./bytes.ts";

/** 5: bits of an element by the code of its type. */
export const elementBits: readonly number[] = [
  0, 8, 4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 4, 6, 6, 8, 8, 8, 8, 8, 16, 16, 32, 64, 64, 128, 144, 160, 176,
  192, 272, 288, 672, 880, 1152, 1408, 1680, 2336, 528, 592, 784, 400, 144, 880, 656, 1088, 448, 432, 528,
  136, 288, 144, 144,
];
/** 5: values in an element; 1 where none are given. */
export const blockValues: readonly (number | undefined)[] = [
  ...Array.from({ length: 26 }, () => undefined),
  ...[32, 32, 32, 32, 32, 32, 256, 256, 256, 256, 256, 256, 256, 256, 256, 256, 32, 256, 256, 256, 256],
  ...[256, 256, 32, 64, 128, 64],
];

export const product = (axes: readonly number[]): number => axes.reduce((all, axis) => all * axis, 1);
/** 5: bytes of an array. */
export const bytesOf = (dtype: number, shape: readonly number[]): number =>
  Math.ceil((product(shape) * elementBits[dtype]!) / 8);

/** 6: the byte lengths of the chunks of an array that is cut by elements. */
export function chunkLengths(dtype: number, shape: readonly number[], chunkValues: number): number[] {
  const bits = elementBits[dtype]!;
  const chunkElements = Math.max(1, Math.floor(chunkValues / (blockValues[dtype] ?? 1)));
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

const COMPLEX = [24, 25];

/** 16: the bytes of a tensor as they lie in a file, element by element. */
export function layOut(stored: Buffer, dtype: number, shape: readonly number[], layout: number): Buffer {
  if (layout === 0) return stored;
  must(elementBits[dtype]! % 8 === 0 && blockValues[dtype] === undefined, "elements that have no layout");
  const size = elementBits[dtype]! / 8;
  const component = COMPLEX.includes(dtype) ? size / 2 : size;
  const out = Buffer.alloc(stored.length);
  for (let element = 0; element < stored.length / size; element++) {
    let at = element;
    if ((layout & 2) !== 0) {
      // The last index of the element first: in column-major order it counts for most.
      at = 0;
      let left = element;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        at += (left % shape[axis]!) * product(shape.slice(0, axis));
        left = Math.floor(left / shape[axis]!);
      }
    }
    for (let byte = 0; byte < size; byte++) {
      const swapped = byte - (byte % component) + component - 1 - (byte % component);
      out[at * size + ((layout & 1) === 0 ? byte : swapped)] = stored[element * size + byte]!;
    }
  }
  return out;
}
