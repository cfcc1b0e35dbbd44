/** Streams for tests: inputs that are cut in all ways there are, and ways to feed and collect them. */

import { dtypeOf } from "@tensorcask/codec";
import { compressStream, decompressStream, type StreamOptions, type StreamResult } from "../src/index.ts";

/** Numbers that compress badly, the same every time. */
export function noise(bytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = seed | 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** bfloat16 numbers near zero: what coders of floats like. */
export function weights(elements: number, seed: number): Uint8Array {
  const bytes = noise(2 * elements, seed);
  for (let at = 1; at < bytes.length; at += 2) bytes[at] = 0x3c | (bytes[at]! & 0x81);
  return bytes;
}

export interface SampleTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** A safetensors file with these tensors, in this order. */
export function safetensorsFile(tensors: readonly SampleTensor[], seed = 1): Uint8Array {
  const entries: Record<string, object> = {};
  const data: Uint8Array[] = [];
  let at = 0;
  for (const [index, { name, dtype, shape }] of tensors.entries()) {
    const elements = shape.reduce((product, length) => product * length, 1);
    const { bits, safetensors } = dtypeOf(dtype);
    const bytes = (elements * bits) / 8;
    entries[name] = { dtype: safetensors, shape, data_offsets: [at, at + bytes] };
    data.push(dtype === "bfloat16" ? weights(elements, seed + index) : noise(bytes, seed + index));
    at += bytes;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const length = Buffer.alloc(8);
  length.writeUInt32LE(json.length);
  return Buffer.concat([length, json, ...data]);
}

/** Tensors of many kinds: large and small, neighbours of one type, empty ones. */
export const manyTensors: readonly SampleTensor[] = [
  { name: "embed", dtype: "bfloat16", shape: [600, 300] },
  { name: "norm.1", dtype: "bfloat16", shape: [300] },
  { name: "norm.2", dtype: "bfloat16", shape: [300] },
  { name: "scale", dtype: "float32", shape: [] },
  { name: "empty", dtype: "float32", shape: [0, 4] },
  { name: "head", dtype: "float32", shape: [70, 1000] },
  { name: "ids", dtype: "int64", shape: [3] },
  { name: "codes", dtype: "uint8", shape: [5000] },
];

/** The bytes in pieces that end where `cuts` says; empty pieces too. */
export function pieces(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const ends = [...cuts.map((cut) => Math.min(cut, bytes.length)), bytes.length].toSorted((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

export interface Collected {
  readonly bytes: Uint8Array;
  /** Undefined when the stream failed. */
  readonly result: StreamResult | undefined;
  readonly failure: unknown;
}

/** Runs a stream to its end or failure. */
export async function collect(stream: AsyncGenerator<Uint8Array, StreamResult, void>): Promise<Collected> {
  const parts: Uint8Array[] = [];
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { bytes: Buffer.concat(parts), result: next.value, failure: undefined };
      parts.push(next.value);
    }
  } catch (failure) {
    return { bytes: Buffer.concat(parts), result: undefined, failure };
  }
}

const inline: StreamOptions = { workers: 0, memoryBytes: 32 * 2 ** 20 };

/** Compresses in this thread. */
export async function compressed(source: readonly Uint8Array[], preset = "lossless"): Promise<Uint8Array> {
  const { bytes, failure } = await collect(compressStream(source, { ...inline, preset }));
  if (failure !== undefined) throw failure;
  return bytes;
}

/** Decompresses in this thread. */
export async function decompressed(source: readonly Uint8Array[]): Promise<Collected> {
  return collect(decompressStream(source, inline));
}
