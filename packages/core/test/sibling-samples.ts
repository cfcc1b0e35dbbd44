/** What the tests of siblings share: tensors that were made from others, and what of a store's frames is coded against what. */
import { readFileSync } from "node:fs";
import { readFrameHeader, type TensorData, toHex } from "@tensorcask/codec";
import { expect } from "vitest";
import { framesIn, randomNumbers } from "./store-harness.ts";

/** Weights as training leaves them: about normal, small. */
export function weights(
  shape: readonly number[],
  seed: number,
): TensorData & { readonly data: Float32Array<ArrayBuffer> } {
  const random = randomNumbers(seed);
  const data = new Float32Array(shape.reduce((product, length) => product * length, 1));
  for (let index = 0; index < data.length; index++)
    data[index] = 0.02 * (random() + random() + random() + random() - 2);
  return { dtype: "float32", shape, data };
}

/** Weights after some more training: each moved by about a thousandth. */
export function trained(
  { shape, data }: TensorData & { readonly data: Float32Array },
  seed: number,
  amount = 1e-3,
): TensorData & { readonly data: Float32Array<ArrayBuffer> } {
  const random = randomNumbers(seed);
  return { dtype: "float32", shape, data: data.map((value) => value * (1 + amount * (random() - 0.5))) };
}

/** The bfloat16 copy of float32 values, rounded to nearest even. */
export function rounded({ shape, data }: TensorData & { readonly data: Float32Array }): TensorData {
  const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
  const words = Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return { dtype: "bfloat16", shape, data: words };
}

/** A frame that is coded against another one. */
export interface FoundDifference {
  readonly hash: string;
  readonly bytes: number;
  /** Start of the hash of what it is coded against. */
  readonly sibling: string;
}

/**
 * The frames of a directory store that are coded against others. Expects every one of these others to be there, to be coded without one
 * itself, and to come first in its pack if it is in the same.
 */
export function differencesIn(directory: string): FoundDifference[] {
  const plain = new Map<string, { readonly pack: string; readonly offset: number }>();
  const found: (FoundDifference & { readonly pack: string; readonly offset: number })[] = [];
  for (const { pack, offset, bytes, hash } of framesIn(directory)) {
    const content = readFileSync(pack).subarray(offset, offset + bytes);
    const { sibling } = readFrameHeader(content, pack);
    if (sibling === undefined) plain.set(hash.slice(0, 32), { pack, offset });
    else found.push({ hash, bytes, sibling: toHex(sibling), pack, offset });
  }
  for (const { sibling, pack, offset } of found) {
    const base = plain.get(sibling);
    expect(base, "what a frame is coded against is there and plain").toBeDefined();
    if (base!.pack === pack) expect(base!.offset).toBeLessThan(offset);
  }
  return found.map(({ hash, bytes, sibling }) => ({ hash, bytes, sibling }));
}
