/** Stores with chunks that are coded against others, for the reader that follows docs/format.md and nothing else. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { openStore, type TensorData } from "../src/index.ts";
import type { TensorFacts } from "../src/model/entry.ts";
import { SpecStore } from "./format-spec/store.ts";
import { contextOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";
import { codeRecordAgainst, tuned } from "./sibling-fixture.ts";
import { bytesOf, floats } from "./store-harness.ts";

const base = floats([6000], 1);
const tensors: Readonly<Record<string, TensorData>> = {
  xor: tuned(base, 2),
  lossless: tuned(base, 3),
  longer: tuned(floats([6500], 1), 4),
  shorter: tuned(floats([5100], 1), 5),
};

test("chunks are decoded with their siblings, wherever these lie, and outlive the datasets of these", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, SMALL);
  await (await store.createDataset("base", { preset: "none" })).insert(base, { name: "w" });
  const dataset = await store.createDataset("tuned", { preset: "none" });
  for (const [name, tensor] of Object.entries(tensors)) {
    await dataset.insert(tensor, { name });
    if (name === "longer") continue;
    await codeRecordAgainst(store, ["tuned", name], ["base", "w"], name === "xor" ? "xor" : "lossless");
  }
  const check = (): void => {
    const spec = new SpecStore(directory);
    for (const [name, tensor] of Object.entries(tensors))
      expect(spec.read("tuned", name).equals(bytesOf(tensor)), name).toBe(true);
    const steps = [...spec.chunks.values()].map((frame) => [
      frame.sibling !== undefined,
      frame.steps[0]?.code,
    ]);
    expect(steps).toContainEqual([true, 18]);
    expect(steps).toContainEqual([true, 10]);
    expect(steps).not.toContainEqual([false, 10]);
  };
  check();
  // A snapshot, and moved chunks.
  await store.deleteDataset("base");
  await store.gc();
  check();
  await store.close();
  check();
});

test("sketches are where the page says", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openStore(directory, SMALL);
  const { parts, catalog } = await contextOf(store);
  const tensor = (seed: number, sketch?: Uint8Array): TensorFacts => ({
    key: new Uint8Array(32).fill(seed),
    dtype: 22,
    shape: [0],
    geometry: "elements",
    ...(sketch !== undefined && { sketch }),
    arrays: [{ role: "values", dtype: 22, shape: [0], place: { runs: [] } }],
  });
  const sketch = (seed: number): Uint8Array => Uint8Array.from({ length: 32 }, (_, at) => seed + at);
  const facts = [tensor(1), tensor(2, sketch(100)), tensor(3), tensor(4, sketch(50))];
  await parts.committer.exclusive((exclusive) =>
    exclusive.commit([{ op: "tensors.add", first: 1, tensors: facts }], () => []),
  );
  expect(catalog.tensor(2)!.sketch).toEqual(sketch(100));
  const spec = new SpecStore(directory);
  const found = [1, 2, 3, 4].map((id) => spec.tensors.get(id)!.sketch);
  expect(found).toEqual([undefined, Buffer.from(sketch(100)), undefined, Buffer.from(sketch(50))]);
  await store.close();
});
