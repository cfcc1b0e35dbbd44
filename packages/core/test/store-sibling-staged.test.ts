/**
 * Imports that are long enough to commit frames ahead of their last entry: what chunks are coded against may be in packs of the same import, still being
 * written, sealed, or committed ahead. Packs are made small here, so that a few megabytes are a long import.
 */
import { join } from "node:path";
import type { TensorData } from "@tensorcask/codec";
import { expect, test, vi } from "vitest";
import type { OpenOptions, Store } from "../src/index.ts";
import { StoreContext } from "../src/store/context.ts";
import { differencesIn, trained, weights } from "./sibling-samples.ts";
import {
  expectTensor,
  failureOf,
  frameBytesIn,
  framesIn,
  openTestStore,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

vi.mock("../src/pack/pack-header.ts", async (original) => ({
  ...(await original<object>()),
  PACK_BYTES: 1024 * 1024,
}));

// 14 MB; of every tensor its two successors follow at a distance.
const first = Array.from({ length: 6 }, (_, index) => weights([1000, 600], index + 1));
const second = first.map((tensor, index) => trained(tensor, 100 + index));
const third = second.map((tensor, index) => trained(tensor, 200 + index));
const generations = [first, second, third];

/** Small slots, so that what is read is soon written. */
const LEAST: OpenOptions = { memoryBytes: 32 * 1024 * 1024 };

function files(folder: string): string[] {
  return generations.map((generation, index) =>
    writeSafetensors(
      join(folder, `g${index}.safetensors`),
      Object.fromEntries(generation.map((tensor, layer) => [`layer${layer}`, tensor] as const)),
    ),
  );
}

async function expectAll(store: Store): Promise<void> {
  const dataset = (await store.dataset("all"))!;
  for (const [index, generation] of generations.entries()) {
    for (const [layer, tensor] of generation.entries())
      expectTensor(await dataset.get(`g${index}.safetensors#layer${layer}`), tensor as TensorData);
  }
  expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
}

test.each([0, 2])(
  "a family in one long import, with %i workers",
  async (workers) => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory, { ...LEAST, workers });
    const stage = vi.spyOn(StoreContext.prototype, "stage");
    const { chunksAsDifferences } = await store.importFile(files(folder), { dataset: "all" });
    expect(stage).toHaveBeenCalled();
    stage.mockRestore();
    expect(chunksAsDifferences).toBe(12 * 5);
    expect(differencesIn(directory)).toHaveLength(12 * 5);
    await expectAll(store);
    await store.rebuild();
    await expectAll(store);
  },
  60_000,
);

test("one that was interrupted goes on where it was, against what it had committed ahead", async () => {
  const folder = temporaryDirectory();
  const directory = join(folder, "store");
  const store = await openTestStore(directory, LEAST);
  const paths = files(folder);
  const cancel = new AbortController();
  const total = 3 * 6 * 1000 * 600 * 4;
  const error = await failureOf(
    store.importFile(paths, {
      dataset: "all",
      signal: cancel.signal,
      onProgress: ({ done }) => {
        if (done > 0.8 * total) cancel.abort();
      },
    }),
  );
  expect(error.name).toBe("CancelledError");
  const staged = framesIn(directory).length;
  expect(staged).toBeGreaterThan(20);
  expect(await store.dataset("all")).toBeUndefined();
  // Frames in a pack that nobody has committed were removed; the others rely on committed ones only.
  expect(differencesIn(directory).length).toBeGreaterThan(0);
  expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
  const result = await store.importFile(paths, { dataset: "all" });
  expect(result.newBytes).toBeLessThan(0.8 * frameBytesIn(directory));
  expect(framesIn(directory)).toHaveLength(18 * 5 + 1);
  expect(differencesIn(directory)).toHaveLength(12 * 5);
  await expectAll(store);
  await store.close();
  const again = await openTestStore(directory);
  await again.gc();
  await expectAll(again);
}, 60_000);

test("in as little memory as a store takes", async () => {
  const folder = temporaryDirectory();
  const directory = join(folder, "store");
  const store = await openTestStore(directory, { ...LEAST, workers: 2 });
  for (const [index, path] of files(folder).entries())
    await store.importFile(path, { dataset: index === 0 ? "all" : `g${index}` });
  expect(differencesIn(directory)).toHaveLength(12 * 5);
  for (const [index, generation] of generations.slice(1).entries()) {
    const dataset = (await store.dataset(`g${index + 1}`))!;
    for (const [layer, tensor] of generation.entries())
      expectTensor(await dataset.get(`layer${layer}`), tensor);
  }
}, 60_000);
