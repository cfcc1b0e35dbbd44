import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import type { TensorData } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import type { Dataset, Store } from "../src/index.ts";
import { differencesIn, trained, weights } from "./sibling-samples.ts";
import { expectTensor, noise, openTestStore, temporaryDirectory } from "./store-harness.ts";

const FRAMES = 300;
const FRAME_BYTES = 65_536;

/** Frames in each of which another stretch of 1 % differs from the first one. */
function sequence(dtype: "uint8" | "float32"): TensorData[] {
  const first = dtype === "uint8" ? noise(FRAME_BYTES, 1) : weights([FRAME_BYTES / 4], 1).data;
  const stretch = Math.round(first.length / 100);
  return Array.from({ length: FRAMES }, (_, index): TensorData => {
    const data = first.slice();
    const fresh = dtype === "uint8" ? noise(stretch, 100 + index) : weights([stretch], 100 + index).data;
    if (index > 0) data.set(fresh as never, (index * 7919) % (first.length - stretch));
    return { dtype, shape: [64, first.length / 64], data };
  });
}

/** Bytes of everything in a store's directory but its reserve and the write-ahead log, which are there without data, too. */
function diskBytes(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "reserve" && !/-(wal|shm)$/.test(entry.name))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

interface Way {
  readonly name: string;
  put(store: Store, dataset: Dataset, frames: readonly TensorData[]): Promise<unknown>;
}

const ways: readonly Way[] = [
  {
    name: "insert",
    async put(_store, dataset, frames) {
      for (const [index, tensor] of frames.entries()) await dataset.insert(tensor, { name: `f${index}` });
    },
  },
  {
    name: "insertMany of an array",
    put: (_store, dataset, frames) =>
      dataset.insertMany(frames.map((tensor, index) => ({ tensor, name: `f${index}` }))),
  },
  {
    name: "insertMany of an iterator",
    put: (_store, dataset, frames) =>
      dataset.insertMany(frames.values().map((tensor, index) => ({ tensor, name: `f${index}` }))),
  },
  {
    name: "a transaction",
    put: (store, { name }, frames) =>
      store.transaction(async (tx) => {
        const dataset = (await tx.dataset(name))!;
        for (const [index, tensor] of frames.entries()) await dataset.insert(tensor, { name: `f${index}` });
      }),
  },
];

describe.each(["uint8", "float32"] as const)("300 frames of %s, a hundredth changed in each", (dtype) => {
  test.each(ways)(
    "cost at most 3 % of a frame each, by $name",
    async ({ put }) => {
      const frames = sequence(dtype);
      const directory = join(temporaryDirectory(), "store");
      const first = await openTestStore(directory);
      await (await first.createDataset("all")).insert(frames[0]!, { name: "f0" });
      await first.close();
      const before = diskBytes(directory);
      const store = await openTestStore(directory);
      const dataset = await store.createDataset("rest");
      await put(store, dataset, frames);
      for (const index of [0, 1, 2, 150, FRAMES - 1])
        expectTensor(await dataset.get(`f${index}`), frames[index]!);
      expect(differencesIn(directory)).toHaveLength(FRAMES - 1);
      expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
      await store.close();
      expect((diskBytes(directory) - before) / (FRAMES - 1)).toBeLessThan(0.03 * FRAME_BYTES);
    },
    60_000,
  );
});

test("a sequence finds its first frame within one batch, where nothing is stored yet", async () => {
  const frames = sequence("uint8").slice(0, 100);
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  const dataset = await store.createDataset("all");
  await dataset.insertMany(frames.map((tensor, index) => ({ tensor, name: `f${index}` })));
  expect(differencesIn(directory)).toHaveLength(99);
  for (const [index, frame] of frames.entries()) expectTensor(await dataset.get(`f${index}`), frame);
});

test("rows appended to a tensor: what its last chunk held before is not stored again", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  const dataset = await store.createDataset("log");
  const rows = weights([1000, 100], 1);
  await dataset.insert(rows, { name: "log" });
  const sizes: number[] = [];
  for (let turn = 0; turn < 5; turn++) {
    await dataset.append("log", weights([10, 100], 2 + turn));
    sizes.push(differencesIn(directory).at(-1)?.bytes ?? Number.POSITIVE_INFINITY);
  }
  expect(Math.max(...sizes)).toBeLessThan(0.1 * 400_000);
  // A tensor that was appended to is found by others.
  const whole = (await dataset.get("log"))!;
  const tuned = trained({ dtype: "float32", shape: whole.shape, data: whole.data as Float32Array }, 9);
  await dataset.insert(tuned, { name: "tuned" });
  expect(differencesIn(directory)).toHaveLength(6);
  expectTensor(await dataset.get("tuned"), tuned);
});
