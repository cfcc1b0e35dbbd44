/** Chunks of every kind that `auto` tells apart, as large as chunks are: seeded, with what each should become. */
import { readdirSync, readFileSync } from "node:fs";
import { noise, normals, random, toBfloat16 } from "./codec-samples.ts";

/** A chunk of one kind. */
export interface ChunkKind {
  readonly name: string;
  readonly dtype: string;
  readonly bytes: Uint8Array;
}

const ELEMENTS = 131_072;

const bytesOf = (array: ArrayBufferView<ArrayBuffer>): Uint8Array =>
  new Uint8Array(array.buffer, array.byteOffset, array.byteLength);

/** Values of `from` where a seeded draw is below `density`, else zero. */
function thinned(from: Float32Array, density: number, seed: number): Float32Array<ArrayBuffer> {
  const next = random(seed);
  return Float32Array.from(from, (value) => (next() < density ? value : 0));
}

/** Normals rounded to `2 * levels + 1` steps of one scale per row, as dequantized weights are. */
function rounded(levels: number, rows: number, seed: number): Float32Array<ArrayBuffer> {
  const values = normals(ELEMENTS, 0.02, seed) as Float32Array<ArrayBuffer>;
  const perRow = ELEMENTS / rows;
  for (let row = 0; row < rows; row++) {
    const scale = Math.fround((0.06 + 0.001 * row) / levels);
    for (let index = row * perRow; index < (row + 1) * perRow; index++) {
      const step = Math.max(-levels, Math.min(levels, Math.round(values[index]! / scale)));
      // + 0: no negative zero.
      values[index] = step * scale + 0;
    }
  }
  return values;
}

function words(seed: number): Uint8Array {
  const list =
    "tensor store chunk frame pack journal catalog of the and is a to in that it with as for".split(" ");
  const next = random(seed);
  let text = "";
  while (text.length < 200_000) text += `${list[Math.floor(list.length * next() ** 2)]} `;
  return new TextEncoder().encode(text);
}

/** Real text: the sources of the tests. */
function source(): Uint8Array {
  const names = readdirSync(import.meta.dirname).filter((name) => /^codec.*\.ts$/.test(name));
  return Buffer.concat(names.map((name) => readFileSync(`${import.meta.dirname}/${name}`))).subarray(
    0,
    200_000,
  );
}

function tiled(tile: Uint8Array, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, index) => tile[index % tile.length]!);
}

/** One of 24 patterns of 100 bytes after another. */
function shuffledPatterns(seed: number): Uint8Array {
  const next = random(seed);
  const patterns = Array.from({ length: 24 }, (_, index) => noise(100, seed + index));
  return Buffer.concat(Array.from({ length: 2000 }, () => patterns[Math.floor(24 * next())]!));
}

/** Ids of 500 tokens, in phrases of 2 to 7 of them. */
function tokenIds(seed: number): Int32Array<ArrayBuffer> {
  const next = random(seed);
  const phrases = Array.from({ length: 400 }, () =>
    Array.from({ length: 2 + Math.floor(6 * next()) }, () => Math.floor(50_000 * next() ** 4)),
  );
  const ids: number[] = [];
  while (ids.length < ELEMENTS) ids.push(...phrases[Math.floor(phrases.length * next() ** 2)]!);
  return Int32Array.from(ids.slice(0, ELEMENTS));
}

/** The kinds. */
export function chunkKinds(): ChunkKind[] {
  const weights = normals(ELEMENTS, 0.02, 21) as Float32Array<ArrayBuffer>;
  const bits = new Uint32Array(weights.buffer);
  const centres = normals(16, 1, 5);
  const jitter = random(6);
  const clustered = Float32Array.from({ length: ELEMENTS }, () => {
    const centre = centres[Math.floor(jitter() * 16)]!;
    return centre * (1 + (jitter() - 0.5) * 1e-4);
  });
  const blocks = Float32Array.from(weights, (value, index) => ((index >> 12) % 12 === 0 ? value : 0));
  const steps = random(8);
  let offset = 1_000_000;
  const offsets = Int32Array.from({ length: ELEMENTS }, () => (offset += Math.floor(1 + steps() * 40)));
  const smooth = Float32Array.from({ length: ELEMENTS }, (_, index) => Math.sin(index / 500) * 3 + 5);
  const float = (name: string, values: Float32Array<ArrayBuffer>): ChunkKind => ({
    name,
    dtype: "float32",
    bytes: bytesOf(values),
  });
  return [
    float("zeros", new Float32Array(ELEMENTS)),
    float("a constant", new Float32Array(ELEMENTS).fill(0.125)),
    float("float32 weights", weights),
    { name: "bfloat16 weights", dtype: "bfloat16", bytes: toBfloat16(weights) },
    { name: "float16 weights", dtype: "float16", bytes: bytesOf(new Float16Array(weights)) },
    { name: "float64 weights", dtype: "float64", bytes: bytesOf(new Float64Array(weights)) },
    { name: "bfloat16 in float32", dtype: "float32", bytes: bytesOf(bits.map((word) => word & 0xffff0000)) },
    {
      name: "float16 in float32",
      dtype: "float32",
      bytes: bytesOf(new Float32Array(new Float16Array(weights))),
    },
    float("92 % zeros", thinned(weights, 0.08, 3)),
    float("half zeros", thinned(weights, 0.5, 3)),
    float("99.9 % zeros", thinned(weights, 0.001, 4)),
    float("zeros in blocks", blocks),
    { name: "92 % zeros in opaque bytes", dtype: "uint8", bytes: bytesOf(thinned(weights, 0.08, 3)) },
    {
      name: "zeros among int8",
      dtype: "int8",
      bytes: bytesOf(Int8Array.from(thinned(weights, 0.08, 9), (value) => value * 1500)),
    },
    float(
      "three values",
      Float32Array.from(weights, (value) => Math.sign(Math.round(value * 40)) + 0),
    ),
    float("16 values", rounded(8, 1, 31)),
    float("int8 in float32", rounded(127, 1, 32)),
    float("int8 in float32, a scale per row", rounded(127, 64, 33)),
    { name: "int8 in float64", dtype: "float64", bytes: bytesOf(new Float64Array(rounded(127, 1, 34))) },
    { name: "int8 weights", dtype: "int8", bytes: bytesOf(Int8Array.from(weights, (value) => value * 1500)) },
    { name: "int4 in int8", dtype: "int8", bytes: bytesOf(Int8Array.from(weights, (value) => value * 120)) },
    float("close to 16 values", clustered),
    { name: "ascending offsets", dtype: "int32", bytes: bytesOf(offsets) },
    {
      name: "counting int64",
      dtype: "int64",
      bytes: bytesOf(BigInt64Array.from({ length: ELEMENTS / 2 }, (_, index) => BigInt(index))),
    },
    float("a smooth curve", smooth),
    {
      name: "token numbers",
      dtype: "int32",
      bytes: bytesOf(Int32Array.from(weights, (value) => Math.abs(value) * 400_000)),
    },
    { name: "words in no order", dtype: "uint8", bytes: words(7) },
    { name: "text", dtype: "uint8", bytes: source() },
    { name: "tiled noise", dtype: "float32", bytes: tiled(noise(999, 41), ELEMENTS * 4) },
    { name: "patterns in no order", dtype: "uint8", bytes: shuffledPatterns(42) },
    { name: "token ids", dtype: "int32", bytes: bytesOf(tokenIds(43)) },
    { name: "noise", dtype: "uint8", bytes: noise(ELEMENTS * 2, 2) },
    { name: "noise as float32", dtype: "float32", bytes: noise(ELEMENTS * 4, 12) },
    { name: "weights in opaque bytes", dtype: "uint8", bytes: bytesOf(weights).subarray(3) },
    {
      name: "int8 in float32 in opaque bytes",
      dtype: "uint8",
      bytes: bytesOf(rounded(127, 1, 32)).subarray(2),
    },
  ];
}
