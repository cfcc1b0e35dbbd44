import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  examplesData,
  expectTensor,
  floats,
  frameBytesIn,
  framesIn,
  noise,
  openTestStore,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

/** No chunk lies in two frames. */
function expectNoChunkTwice(directory: string): void {
  const hashes = framesIn(directory).map(({ hash }) => hash);
  expect(new Set(hashes).size).toBe(hashes.length);
}

describe("the same tensor is stored once", () => {
  test("whatever dataset, name or lossless preset it comes through", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const tensor = floats([300, 700], 1);
    const a = await store.createDataset("a");
    await a.insert(tensor, { name: "x" });
    const frames = framesIn(directory);
    expect(frames).toHaveLength(2);
    const b = await store.createDataset("b");
    await a.insert(tensor, { name: "another name" });
    await a.insert(tensor, { name: "x", replace: true, metadata: { other: true } });
    await b.insert(tensor, { name: "x" });
    for (const preset of ["none", "fast", "lossless"]) await b.insert(tensor, { name: preset, preset });
    await store.definePreset("mine", { codec: ["planes", "gzip"] });
    await b.insert(tensor, { name: "mine", preset: "mine" });
    await b.insertMany([{ tensor }, { tensor }, { tensor: { ...tensor, dtype: "F32" as never } }]);
    await store.transaction(async (tx) => {
      await (await tx.createDataset("c")).insert(tensor);
    });
    await Promise.all([a.insert(tensor), b.insert(tensor)]);
    expect(framesIn(directory)).toEqual(frames);
    expectTensor(await b.get("mine"), tensor);
  });

  test("in one batch, in concurrent calls and through two handles", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const other = await openTestStore(directory);
    await store.createDataset("a");
    await Promise.all(
      [store, other, store, other].map(async (handle) =>
        (await handle.dataset("a"))!.insertMany([1, 2, 1].map((seed) => ({ tensor: floats([9000], seed) }))),
      ),
    );
    expect(framesIn(directory)).toHaveLength(2);
    expect(await (await store.dataset("a"))!.count()).toBe(12);
  });

  test("whatever file it comes in, under whatever name", async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory);
    const weights = floats([200, 400], 1);
    const first = writeSafetensors(join(folder, "one.safetensors"), {
      "layer.weight": weights,
      bias: floats([400], 2),
    });
    const second = writeSafetensors(
      join(folder, "two.safetensors"),
      { renamed: weights, extra: floats([3000], 3) },
      { note: "other" },
    );
    const imported = await store.importFile(first, { dataset: "a" });
    expect(imported.newBytes).toBe(frameBytesIn(directory));
    const before = frameBytesIn(directory);
    const next = await store.importFile(second, { dataset: "b" });
    expect(next).toMatchObject({ tensors: 2, tensorsShared: 1, bytesShared: 200 * 400 * 4 });
    expect(frameBytesIn(directory) - before).toBe(next.newBytes);
    expect(next.newBytes).toBeLessThan(3000 * 4 + 1000);
    // The same file again, elsewhere and under another name: nothing but journal entries.
    copyFileSync(first, join(folder, "three.safetensors"));
    const again = await store.importFile([first, join(folder, "three.safetensors")], { dataset: "c" });
    expect(again).toMatchObject({ newBytes: 0, tensors: 4, tensorsShared: 4 });
    const inserted = (await store.dataset("c"))!;
    await inserted.insert(weights, { name: "by hand", preset: "none" });
    expect(frameBytesIn(directory) - before).toBe(next.newBytes);
    expectNoChunkTwice(directory);
  });

  test("twice in one file", async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory, { preset: "none" });
    const tensor = floats([100, 100], 1);
    const path = writeSafetensors(join(folder, "tied.safetensors"), {
      embed: tensor,
      head: tensor,
      small: floats([9], 2),
      twin: floats([9], 2),
    });
    const result = await store.importFile(path, { dataset: "a" });
    expect(result.tensorsShared).toBe(2);
    expect(result.newBytes).toBeLessThan(40_000 + 1500);
    expect((await (await store.dataset("a"))!.get("twin"))!.data).toEqual(floats([9], 2).data);
  });

  test("over all presets, but a lossy copy never answers for an exact one", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const dataset = await store.createDataset("a");
    const tensor = floats([100, 200], 1);
    const order = ["maximum", "lossless", "int8_only", "balanced", "none", "fp16_only", "fast"];
    for (const preset of order) await dataset.insert(tensor, { name: preset, preset });
    for (const preset of ["lossless", "none", "fast"]) {
      expectTensor(await dataset.get(preset), tensor);
      expect((await dataset.info(preset))!.quantization).toBeUndefined();
    }
    for (const [preset, quantizer] of [
      ["maximum", "int8"],
      ["int8_only", "int8"],
      ["balanced", "fp16"],
      ["fp16_only", "fp16"],
    ] as const) {
      expect((await dataset.info(preset))!.quantization!.quantizer).toBe(quantizer);
      expect((await dataset.get(preset))!.data).not.toEqual(tensor.data);
    }
    // Exact, fp16 and int8 values; the scales of int8 are small.
    expect(framesIn(directory)).toHaveLength(4);
    expectNoChunkTwice(directory);
    // Its int8 codes, handed in as a tensor, share the chunk and nothing else.
    const decoded = (await dataset.get("maximum"))!;
    await dataset.insert(decoded, { name: "decoded" });
    expectTensor(await dataset.get("decoded"), decoded);
  });
});

describe("the same chunk is stored once", () => {
  test("in tensors that differ elsewhere, have other dtypes or other shapes", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory, { chunkElements: 4096 });
    const dataset = await store.createDataset("a");
    const tensor = floats([40, 1024], 1);
    await dataset.insert(tensor, { name: "x" });
    expect(framesIn(directory)).toHaveLength(10);
    const changed = { ...tensor, data: tensor.data.slice() };
    changed.data[17 * 1024] = 5;
    await dataset.insert(changed, { name: "one element differs" });
    expect(framesIn(directory)).toHaveLength(11);
    await dataset.insert(
      { dtype: "int32", shape: [40, 1024], data: new Int32Array(tensor.data.buffer) },
      { name: "as int32" },
    );
    await dataset.insert(
      { ...tensor, shape: [1024, 40] as number[], data: tensor.data.slice() },
      { name: "reshaped" },
    );
    await dataset.insert(
      { dtype: "float32", shape: [8, 1024], data: tensor.data.slice(0, 8192) },
      { name: "a part" },
    );
    const frames = framesIn(directory).length;
    expect(frames).toBeLessThan(23);
    await dataset.insert({ dtype: "float32", shape: [40960], data: tensor.data.slice() }, { name: "flat" });
    expect(framesIn(directory)).toHaveLength(frames);
    for (const name of ["as int32", "reshaped", "flat"])
      expect(Buffer.compare((await dataset.get(name))!.bytes(), Buffer.from(tensor.data.buffer)), name).toBe(
        0,
      );
    expect((await dataset.get("one element differs"))!.data[17 * 1024]).toBe(5);
    expectNoChunkTwice(directory);
  });

  test("when an opaque file grows by a few bytes in the middle", async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory, { preset: "none" });
    const bytes = noise(3_000_000, 1);
    const path = join(folder, "weights.bin");
    writeFileSync(path, bytes);
    await store.importFile(path, { dataset: "a" });
    writeFileSync(
      path,
      Buffer.concat([bytes.subarray(0, 1_500_000), noise(10, 2), bytes.subarray(1_500_000)]),
    );
    const result = await store.importFile(path, { dataset: "a" });
    expect(result.newBytes).toBeLessThan(600_000);
    expectNoChunkTwice(directory);
  });

  test("when a store is full of zeros", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const dataset = await store.createDataset("a");
    await dataset.insert(
      { dtype: "float32", shape: [40, 131_072], data: new Float32Array(40 * 131_072) },
      { name: "zeros" },
    );
    expect(framesIn(directory)).toHaveLength(1);
    expect((await dataset.slice("zeros", [39, -1]))!.data).toEqual(new Float32Array(1));
    expect((await dataset.get("zeros"))!.data.every((value) => value === 0)).toBe(true);
  });
});

test("fine-tunes of a real model share what they have in common", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory, { workers: 2 });
  const results = [];
  for (const name of ["base", "ft-full", "ft-lora-merged"])
    results.push(await store.importFile(join(examplesData, name), { dataset: name }));
  expect(results.map(({ tensors }) => tensors)).toEqual([39, 39, 39]);
  const [base, full, lora] = results.map(({ newBytes }) => newBytes);
  expect(lora).toBeLessThan(base! * 0.8);
  expect(full).toBeLessThanOrEqual(base! * 1.05);
  expect(results[2]!.tensorsShared).toBeGreaterThan(5);
  expect(frameBytesIn(directory)).toBe(base! + full! + lora!);
  const again = await store.importFile(join(examplesData, "base"), { dataset: "again" });
  expect(again).toMatchObject({ newBytes: 0, tensorsShared: 39 });
  expect(again.bytesShared).toBeLessThan(readFileSync(join(examplesData, "base/model.safetensors")).length);
  expectNoChunkTwice(directory);
});

test("small tensors share a frame", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  const dataset = await store.createDataset("a");
  await dataset.insertMany(
    Array.from({ length: 500 }, (_, value) => ({ tensor: scalar(value), name: String(value) })),
  );
  expect(framesIn(directory)).toHaveLength(1);
  expect((await dataset.get("321"))!.data[0]).toBe(321);
});
