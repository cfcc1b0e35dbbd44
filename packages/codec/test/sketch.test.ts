/** Sketches: what they find, what they do not take for related, and their bytes, which are on disk. */
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { SKETCH_HASHES, sketch } from "../src/chunk/sketch.ts";
import { type DTypeName, dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { fromFloat32 } from "../src/tensor/float.ts";
import { noise } from "./codec-samples.ts";
import { bytesOf, drifted, patched, scattered, weights } from "./sibling-samples.ts";

beforeAll(() => ready());

const COUNT = 131_072;
const float32 = dtypeOf("float32");

const sketchOf = (values: Float32Array): Uint32Array =>
  sketch(bytesOf(values as Float32Array<ArrayBuffer>), float32)!;
const agreeing = (left: Uint32Array, right: Uint32Array): number =>
  left.reduce((count, hash, index) => count + (hash === right[index] ? 1 : 0), 0);

describe("sketches", () => {
  test("golden hashes", () => {
    const words = Uint32Array.from({ length: 5000 }, (_, index) => Math.imul(index + 1, 0x9e3779b1));
    const hex = (name: DTypeName): string =>
      [...sketch(bytesOf(words), dtypeOf(name))!].map((hash) => hash.toString(16)).join(" ");
    expect(hex("float32")).toBe("9439bbb9 faac2fc f0eda126 2dc413fc aa8b4929 2ad46050 6d973e38 a5eaaff1");
    expect(hex("uint32")).toBe("7b1fc9eb 2c821295 39fdc151 d3b4d77a 561dd 7e9feba5 c06a2fbc f0d318df");
    expect(hex("int16")).toBe("60240d60 73fcd4b5 26697972 257f01f2 6e53ea23 b8fdcf09 8a2e1fb9 46d111c7");
  });

  test("of copies in other types of floats agree", () => {
    const values = weights(COUNT, 1);
    const types = ["float32", "float16", "bfloat16"] as const;
    const sketches = types.map((name) => sketch(fromFloat32(values, name), dtypeOf(name))!);
    for (const left of sketches)
      for (const right of sketches) expect(agreeing(left, right)).toBeGreaterThanOrEqual(7);
    const doubles = sketch(bytesOf(Float64Array.from(values)), dtypeOf("float64"))!;
    expect(agreeing(doubles, sketches[0]!)).toBe(SKETCH_HASHES);
  });

  test.each([
    ["a later checkpoint", drifted(COUNT, 0.01, 2), 7],
    ["a dense fine-tune", drifted(COUNT, 0.05, 2), 3],
    ["a tenth of the elements replaced", scattered(weights(COUNT, 2), weights(COUNT, 3), 0.1, 4), 3],
    ["a hundredth in one run", patched(weights(COUNT, 2), weights(COUNT, 3), 50_000, 1311), 6],
    ["scaled", weights(COUNT, 2).map((value) => value * 0.7), 8],
    ["five rows more", new Float32Array([...weights(COUNT, 2)].concat([...weights(640, 5)])), 8],
  ])("find %s", (_name, values, least) => {
    expect(agreeing(sketchOf(weights(COUNT, 2)), sketchOf(values))).toBeGreaterThanOrEqual(least);
  });

  test("find tensors of fewer elements than a chunk that got some rows longer", () => {
    const values = weights(60_000, 6);
    expect(agreeing(sketchOf(values), sketchOf(values.subarray(0, 59_000)))).toBeGreaterThanOrEqual(3);
  });

  test("of unrelated weights agree less often than once in 100,000 pairs", () => {
    const sketches = Array.from({ length: 500 }, (_, seed) => sketchOf(weights(4096, seed + 1)));
    let agreed = 0;
    for (const [index, left] of sketches.entries())
      for (const right of sketches.slice(0, index)) if (agreeing(left, right) > 0) agreed++;
    // 124,750 pairs.
    expect(agreed).toBeLessThanOrEqual(1);
  });

  test.each([
    ["constants", bytesOf(new Float32Array(COUNT).fill(1)), "float32"],
    [
      "zeros but for a few",
      bytesOf(scattered(new Float32Array(COUNT), weights(COUNT, 1), 0.005, 2)),
      "float32",
    ],
    ["three values", bytesOf(weights(COUNT, 1).map((value) => Math.sign(Math.round(value * 40)))), "float32"],
    ["flags", noise(COUNT, 1).map((byte) => byte & 1), "bool"],
    ["fewer than 4,096 elements", bytesOf(weights(4095, 1)), "float32"],
    ["nothing", new Uint8Array(0), "float32"],
    ["blocks", noise(COUNT, 1), "ggml_q4_0"],
  ] as const)("are not taken of %s", (_name, bytes, dtype) => {
    expect(sketch(bytes, dtypeOf(dtype as DTypeName))).toBeUndefined();
  });

  test("are taken of every other type, from anywhere in memory, the first chunk's worth alone", () => {
    const bytes = noise(16 * COUNT + 1, 9);
    for (const dtype of dtypes.filter(({ kind }) => kind !== "block" && kind !== "bool")) {
      const whole = sketch(bytes.subarray(1), dtype)!;
      expect(whole.length, dtype.name).toBe(SKETCH_HASHES);
      expect(sketch(bytes.slice(1), dtype)).toEqual(whole);
      expect(sketch(bytes.subarray(1, 1 + 16 * COUNT), dtype)).toEqual(whole);
    }
  });
});
