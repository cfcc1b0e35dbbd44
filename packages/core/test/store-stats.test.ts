import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openStore, type Store, type StoreStats } from "../src/index.ts";
import { floats, randomOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";

/** Every byte of the directory under exactly one name. */
function expectBalanced(stats: StoreStats): void {
  const named = Object.values(stats.overheads).reduce((sum, bytes) => sum + bytes, 0);
  const held = stats.datasets.reduce(
    (sum, { amortizedBytes, historyBytes }) => sum + amortizedBytes + historyBytes,
    0,
  );
  expect(held + stats.unreferencedBytes + named).toBe(stats.directoryBytes);
  expect(stats.residualBytes).toBe(0);
  for (const bytes of Object.values(stats.overheads)) expect(bytes).toBeGreaterThanOrEqual(0);
  for (const dataset of stats.datasets) {
    expect(dataset.storedBytes).toBe(dataset.amortizedBytes);
    expect(dataset.standaloneBytes).toBe(dataset.exclusiveBytes + dataset.sharedBytes);
    expect(dataset.amortizedBytes).toBeGreaterThanOrEqual(dataset.exclusiveBytes);
    // Layers are a chain: each begins where the one before ended.
    expect(dataset.layers[0]!.bytesBefore).toBe(dataset.originalBytes);
    expect(dataset.layers.at(-1)!.bytesAfter).toBe(dataset.amortizedBytes);
    for (const [index, layer] of dataset.layers.entries()) {
      if (index > 0) expect(layer.bytesBefore).toBe(dataset.layers[index - 1]!.bytesAfter);
    }
  }
}

/** One random thing that users do. */
async function randomStep(store: Store, random: () => number, step: number): Promise<void> {
  const pick = (count: number): number => Math.floor(random() * count);
  const datasets = await store.datasets();
  const dataset = datasets[pick(datasets.length)];
  switch (dataset === undefined ? 0 : pick(11)) {
    case 0: {
      const preset = ["none", "fast", "lossless", "maximum", "balanced"][pick(5)]!;
      await store.createDataset(`d${step}`, { preset });
      return;
    }
    case 1:
      if (datasets.length > 2) await store.deleteDataset(dataset!.name);
      return;
    case 2:
      await store.gc();
      return;
    case 3: {
      const [record] = await dataset!.sample(1, { seed: step });
      if (record !== undefined) await dataset!.delete(record.id);
      return;
    }
    case 4:
      await dataset!.recompress(["none", "fast", "lossless"][pick(3)]!);
      return;
    case 5:
      if (dataset!.version > 0) await dataset!.tag(`t${pick(3)}`, { move: true });
      return;
    case 6:
      if (dataset!.version > 0) await dataset!.rollback((await dataset!.versions())[0]!.version);
      return;
    default:
      // Few seeds, so that datasets share tensors.
      await dataset!.insert(floats([1 + pick(3000)], 0), { name: `r${pick(20)}`, replace: true });
      await dataset!.insert(floats([[10, 700, 2500, 5000][pick(4)]!], pick(4)));
  }
}

describe("stats", () => {
  test("an empty store", async () => {
    const store = await openStore(temporaryDirectory(), SMALL);
    const stats = await store.stats();
    expectBalanced(stats);
    expect(stats).toMatchObject({
      originalBytes: 0,
      storedBytes: 0,
      unreferencedBytes: 0,
      ratio: null,
      chunks: 0,
      datasets: [],
    });
    expect(Object.keys(stats.overheads)).toEqual([
      "journal",
      "catalog",
      "packHeaders",
      "deadFrames",
      "orphanPacks",
      "lock",
      "reserve",
      "marker",
      "other",
    ]);
    expect(stats.overheads.reserve).toBeGreaterThan(0);
    await expect(store.stats("nothing")).rejects.toMatchObject({ tag: "not-found" });
    await store.createDataset("empty");
    expect(await store.stats("empty")).toMatchObject({
      name: "empty",
      records: 0,
      ratio: null,
      version: 0,
      codecs: [],
    });
    expectBalanced(await store.stats());
    await store.close();
  });

  test("every byte has a name after random operations", async () => {
    for (const seed of [1, 2, 3]) {
      const store = await openStore(seed === 1 ? temporaryDirectory() : ":memory:", SMALL);
      const random = randomOf(seed);
      for (let step = 0; step < 60; step++) {
        await randomStep(store, random, step);
        if (step % 5 === 0) expectBalanced(await store.stats());
      }
      expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
      await store.gc();
      const stats = await store.stats();
      expectBalanced(stats);
      expect(stats.unreferencedBytes).toBe(0);
      await store.close();
    }
  });

  test("a chunk that several datasets use is split evenly over them", async () => {
    const store = await openStore(":memory:", SMALL);
    const names = ["a", "b", "c"];
    const [a, b, c] = await Promise.all(names.map((name) => store.createDataset(name, { preset: "none" })));
    const shared = floats([1001], 1);
    for (const dataset of [a!, b!, c!]) await dataset.insert(shared);
    await a!.insert(floats([1001], 2));
    const frame = (await store.stats("c")).standaloneBytes;
    expect(frame % 3).toBeGreaterThan(0);
    const part = Math.floor(frame / 3);
    expect(await store.stats("a")).toMatchObject({
      exclusiveBytes: frame,
      sharedBytes: frame,
      standaloneBytes: 2 * frame,
      // The remainder is the first one's.
      amortizedBytes: frame + (frame - 2 * part),
      ratio: 8008 / (frame + frame - 2 * part),
    });
    expect(await store.stats("b")).toMatchObject({
      exclusiveBytes: 0,
      sharedBytes: frame,
      amortizedBytes: part,
      standaloneBytes: frame,
    });
    // Who goes leaves its part to the others.
    await store.deleteDataset("a");
    expect((await store.stats("b")).amortizedBytes + (await store.stats("c")).amortizedBytes).toBe(frame);
    expect((await store.stats()).unreferencedBytes).toBe(frame);
    // What only an old version uses is history.
    await b!.tag("kept");
    for await (const record of b!.records()) await b!.delete(record.id);
    expect(await store.stats("b")).toMatchObject({ amortizedBytes: 0, historyBytes: 0, ratio: null });
    for await (const record of c!.records()) await c!.delete(record.id);
    const history = (await store.stats("b")).historyBytes + (await store.stats("c")).historyBytes;
    expect(history).toBe(frame);
    await store.gc();
    expect((await store.stats("b")).historyBytes).toBe(frame);
    expectBalanced(await store.stats());
    await store.close();
  });

  test("lossy and lossless layers are told apart", async () => {
    const store = await openStore(":memory:", SMALL);
    const exact = await store.createDataset("exact");
    const lossy = await store.createDataset("lossy", { preset: "maximum" });
    await exact.insert(floats([60, 100], 1));
    await lossy.insert(floats([60, 100], 1));
    await lossy.insert(floats([60, 100], 1));
    await lossy.insert({ dtype: "float32", shape: [2000], data: new Float32Array(2000).fill(Number.NaN) });
    const stats = await store.stats();
    expectBalanced(stats);
    const [one, two] = stats.datasets;
    expect(one!.lossless).toBe(true);
    expect(one!.layers.map(({ name }) => name)).toEqual([
      "tensor sharing",
      "chunk sharing",
      "coding",
      "sharing between datasets",
    ]);
    expect(one!.quantization).toEqual({
      tensors: 0,
      worstMaxAbsolute: 0,
      worstSnrDb: null,
      meanSnrDb: null,
      refused: 0,
    });
    expect(two!.lossless).toBe(false);
    expect(two!.layers.map(({ name }) => name)).toEqual([
      "tensor sharing",
      "quantize",
      "chunk sharing",
      "coding",
      "sharing between datasets",
    ]);
    expect(two!.layers[0]).toMatchObject({ bytesBefore: 2 * 24_000 + 8000, bytesAfter: 24_000 + 8000 });
    expect(two!.layers[1]).toMatchObject({ bytesBefore: 32_000, bytesAfter: 6000 + 4 * 60 + 8000 });
    expect(two!.quantization).toMatchObject({ tensors: 1, refused: 1 });
    expect(two!.quantization.worstMaxAbsolute).toBeGreaterThan(0);
    expect(two!.quantization.meanSnrDb).toBe(two!.quantization.worstSnrDb);
    await store.close();
  });

  test("files that are not ours are named, too", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await (await store.createDataset("a")).insert(floats([10], 1));
    const before = await store.stats();
    mkdirSync(join(directory, "stray"));
    writeFileSync(join(directory, "stray", "file"), "12345");
    writeFileSync(join(directory, "packs", "stray"), "123");
    const after = await store.stats();
    expect(after.overheads.other).toBe(5);
    expect(after.overheads.orphanPacks).toBe(3);
    expect(after.directoryBytes).toBe(before.directoryBytes + 8);
    expectBalanced(after);
    await store.close();
  });
});
