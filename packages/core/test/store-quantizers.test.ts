/** Every lossy preset through the store: what comes back has the error that was recorded, over one chunk or many, whole or by slice. */
import { builtinPresets } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { floats, openTestStore } from "./store-harness.ts";

/** Small enough for several chunks of every block size, and for rows that end within a block. */
const CHUNK_ELEMENTS = 4096;
const SHAPES: readonly (readonly number[])[] = [[64, 512], [70, 301], [9000], [3, 5], [1]];

function signalToNoise(found: ArrayLike<unknown>, source: ArrayLike<number>): number {
  let [signal, noise] = [0, 0];
  for (let index = 0; index < source.length; index++) {
    signal += source[index]! ** 2;
    noise += (Number(found[index]) - source[index]!) ** 2;
  }
  return 10 * Math.log10(signal / noise);
}

const lossy = builtinPresets.filter((preset) => !preset.lossless).map(({ name }) => name);

describe('as: "stored"', () => {
  test.each([
    ["int8_only", ["int8", [64, 512]], ["float32", [64]]],
    ["q8_0", ["ggml_q8_0", [64, 16]], undefined],
    ["nf4", ["uint4", [64, 512]], ["float32", [64, 8]]],
    ["mxfp8", ["float8_e4m3fn", [64, 512]], ["float8_e8m0fnu", [64, 16]]],
    ["none", ["float32", [64, 512]], undefined],
  ])("%s gives the arrays", async (preset, values, scales) => {
    const store = await openTestStore(":memory:", { chunkElements: CHUNK_ELEMENTS });
    const dataset = await store.createDataset("d", { preset });
    const tensor = floats([64, 512], 7);
    await dataset.insert(tensor, { name: "w" });
    const found = (await dataset.get("w", { as: "stored" }))!;
    expect([found.values.dtype, found.values.shape]).toEqual(values);
    expect(found.scales && [found.scales.dtype, found.scales.shape]).toEqual(scales);
    expect(found.quantization).toEqual((await dataset.info("w"))!.quantization);
    expect(await dataset.get("x", { as: "stored" })).toBeUndefined();
    if (preset !== "int8_only") return;
    const decoded = (await dataset.get("w"))!.data as Float32Array;
    for (const index of [0, 511, 512, 20_000])
      expect(Math.fround(Number(found.values.data[index]) * Number(found.scales!.data[index >> 9]))).toBe(
        decoded[index],
      );
  });
});

describe.each(lossy)("preset %s", (preset) => {
  test.each(SHAPES.map((shape) => [shape]))("of shape %j", async (shape) => {
    const store = await openTestStore(":memory:", { chunkElements: CHUNK_ELEMENTS });
    const dataset = await store.createDataset("d", { preset });
    const tensor = floats([...shape], 7);
    await dataset.insert(tensor, { name: "w" });
    const found = (await dataset.get("w"))!;
    expect([found.dtype, found.shape]).toEqual(["float32", shape]);
    const { quantization, note } = (await dataset.info("w"))!;
    if (quantization === undefined) {
      expect(note).toEqual(expect.any(String));
      expect(Array.from(found.data as ArrayLike<number>)).toEqual(Array.from(tensor.data));
      return;
    }
    const { snrDb } = quantization.error;
    if (snrDb === null) expect(Array.from(found.data as ArrayLike<number>)).toEqual(Array.from(tensor.data));
    else expect(signalToNoise(found.data, tensor.data)).toBeCloseTo(snrDb, 1);

    const rows = shape[0]!;
    const [from, to] = [Math.floor(rows / 3), Math.ceil((rows * 2) / 3)];
    const part = (await dataset.slice("w", [[from, to]]))!;
    const rowElements = tensor.data.length / rows;
    expect(Array.from(part.data as ArrayLike<number>)).toEqual(
      Array.from(found.data as ArrayLike<number>).slice(from * rowElements, to * rowElements),
    );
  });
});
