import { describe, expect, test } from "vitest";
import { memoryFileSystem } from "../src/files/memory.ts";
import { openStore, type Store, type TensorData } from "../src/index.ts";
import { contents, contextOf, floats, randomOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";

/** Numbers that gzip and LZ4 make smaller. */
function compressible(elements: number, seed: number): TensorData {
  return {
    dtype: "float32",
    shape: [elements],
    data: Float32Array.from({ length: elements }, (_, i) => (i % 50) + seed + (i >> 10)),
  };
}

async function chainsOf(store: Store, name: string): Promise<string[]> {
  return (await store.stats(name)).codecs.map(({ chain }) => chain).sort();
}

describe("recompress", () => {
  test("codes every chunk by the codec that was asked for, and nothing else changes", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, { ...SMALL, workers: 2 });
    const dataset = await store.createDataset("a", { preset: "none" });
    await dataset.insert(compressible(50_000, 1), { name: "large" });
    await dataset.insert(compressible(5000, 2), { name: "other" });
    await dataset.insert(floats([4000], 3), { name: "noise" });
    const before = await contents(store);
    const version = dataset.version;
    const done: number[] = [];
    const result = await dataset.recompress("fast", {
      onProgress: ({ done: chunks, total }) => done.push(chunks / total),
    });
    expect(result).toMatchObject({ dataset: "a", preset: "fast", chunks: 58, alsoAffects: [] });
    // What the codec cannot make smaller stays as it is.
    expect(result.recoded).toBe(54);
    expect(result.bytesAfter).toBeLessThan(result.bytesBefore / 4);
    expect(done.at(-1)).toBe(1);
    expect(await chainsOf(store, "a")).toEqual(["lz4", "none"]);
    expect((await store.stats("a")).standaloneBytes).toBe(result.bytesAfter);
    expect(await contents(store)).toEqual(before);
    expect(dataset.version).toBe(version);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    expect((await store.stats()).residualBytes).toBe(0);
    // The same again: nothing to do, and no pack is left behind.
    expect(await dataset.recompress("fast")).toMatchObject({ recoded: 0, bytesAfter: result.bytesAfter });
    // By name, larger is fine, too.
    expect((await dataset.recompress("none")).bytesAfter).toBe(result.bytesBefore);
    expect(await chainsOf(store, "a")).toEqual(["none"]);
    await store.gc();
    await store.close();
    const again = await openStore(directory, SMALL);
    expect(await contents(again)).toEqual(before);
    await again.rebuild();
    expect(await contents(again)).toEqual(before);
    expect(await again.verify({ deep: true })).toMatchObject({ ok: true });
    await again.close();
  });

  test("a codec that chooses by the data keeps what is not made smaller", async () => {
    const store = await openStore(":memory:", SMALL);
    await store.definePreset("small", { codec: { id: "zstd", level: 19 } });
    const dataset = await store.createDataset("a", { preset: "small" });
    await dataset.insert(compressible(20_000, 1), { name: "x" });
    const { recoded, bytesAfter, bytesBefore } = await dataset.recompress("lossless");
    expect(bytesAfter).toBeLessThanOrEqual(bytesBefore);
    expect(recoded === 0).toBe(bytesAfter === bytesBefore);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("keeps quantized tensors as they are, and refuses another quantizer", async () => {
    const store = await openStore(":memory:", SMALL);
    const dataset = await store.createDataset("q", { preset: "maximum" });
    await dataset.insert(floats([60, 100], 1), { name: "x" });
    await dataset.insert({ dtype: "int32", shape: [3000], data: new Int32Array(3000) }, { name: "integers" });
    const before = await contents(store);
    await expect(dataset.recompress("balanced")).rejects.toMatchObject({ tag: "usage", field: "preset" });
    expect(await dataset.recompress("int8_only")).toMatchObject({ preset: "int8_only" });
    await dataset.recompress("fast");
    expect(await contents(store)).toEqual(before);
    expect((await dataset.info("x"))!.quantization!.quantizer).toBe("int8");
    const exact = await store.createDataset("exact");
    await exact.insert(floats([60, 100], 1), { name: "x" });
    await expect(exact.recompress("maximum")).rejects.toThrow("insert again from the source");
    await store.close();
  });

  test("says who else is affected", async () => {
    const store = await openStore(":memory:", SMALL);
    const names = ["a", "b", "c"];
    for (const name of names) await store.createDataset(name, { preset: "none" });
    const [a, b, c] = await Promise.all(names.map((name) => store.dataset(name)));
    await a!.insert(compressible(5000, 1), { name: "x" });
    await b!.insert(compressible(5000, 1), { name: "y" });
    await c!.insert(compressible(5000, 9), { name: "z" });
    expect(await a!.recompress("fast")).toMatchObject({ recoded: 5, alsoAffects: ["b"] });
    expect(await chainsOf(store, "b")).toEqual(["lz4"]);
    expect(await chainsOf(store, "c")).toEqual(["none"]);
    expect(await c!.recompress("fast")).toMatchObject({ alsoAffects: [] });
    await store.close();
  });

  test("leaves no trace when it is cancelled or meets damage", async () => {
    const files = memoryFileSystem();
    const store = await openStore(":memory:", { ...SMALL, fileSystem: files });
    const dataset = await store.createDataset("a", { preset: "none" });
    await dataset.insert(compressible(50_000, 1), { name: "x" });
    const paths = files.paths();
    const abort = new AbortController();
    const cancelled = dataset.recompress("fast", { signal: abort.signal, onProgress: () => abort.abort() });
    await expect(cancelled).rejects.toMatchObject({ tag: "cancelled" });
    expect(files.paths()).toEqual(paths);
    const context = await contextOf(store);
    const row = context.catalog.chunk(20)!;
    const file = await files.open(paths.find((path) => path.includes(row.pack))!, "write");
    await file.write(Uint8Array.of(1, 2, 3, 4, 5), row.offset + 200);
    await expect(dataset.recompress("fast")).rejects.toMatchObject({ tag: "damage", tensors: ["a/x"] });
    expect(files.paths()).toEqual(paths);
    await store.close();
  });

  test("skips chunks that gc takes or moves meanwhile", async () => {
    const store = await openStore(temporaryDirectory(), SMALL);
    const dataset = await store.createDataset("a", { preset: "none" });
    for (let index = 0; index < 10; index++)
      await dataset.insert(compressible(4000, index), { name: `x${index}` });
    for (let index = 0; index < 6; index++) await dataset.delete(`x${index}`);
    const before = await contents(store);
    await Promise.all([dataset.recompress("fast"), store.gc()]);
    expect(await contents(store)).toEqual(before);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.gc();
    expect((await store.stats()).residualBytes).toBe(0);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("chunks as large as they get, that no codec makes smaller", async () => {
    const store = await openStore(":memory:", { workers: 0, memoryBytes: 32 * 1024 * 1024 });
    const dataset = await store.createDataset("a", { preset: "none" });
    const random = randomOf(1);
    const bits = Uint32Array.from({ length: 131_072 * 4 }, () => random() * 2 ** 32);
    await dataset.insert(
      { dtype: "complex128", shape: [131_072], data: new Float64Array(bits.buffer) },
      { name: "x" },
    );
    expect((await dataset.get("x"))!.bytes()).toEqual(new Uint8Array(bits.buffer));
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await dataset.recompress("fast");
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });
});
