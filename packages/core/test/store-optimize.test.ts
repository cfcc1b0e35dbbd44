/** Choosing siblings anew over a whole store: what it gains, what it leaves alone, and that nothing that is read changes. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { type OpenOptions, openStore, type Store, type TensorData } from "../src/index.ts";
import { contents, contextOf } from "./maintenance-fixture.ts";
import { chunkIds, codeAgainst, codeRecordAgainst } from "./sibling-fixture.ts";
import { differencesIn, rounded, trained, weights } from "./sibling-samples.ts";
import {
  examplesData,
  failureOf,
  filesBelow,
  newStore,
  noise,
  openTestStore,
  sameBytes,
  temporaryDirectory,
} from "./store-harness.ts";

/** Chunks just long enough for sketches, no threads. */
const SMALL: OpenOptions = { workers: 0, chunkElements: 4096 };

async function expectWhole(store: Store, before: Record<string, string>): Promise<void> {
  expect(await contents(store)).toEqual(before);
  expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
  expect(await store.stats()).toMatchObject({ residualBytes: 0 });
}

/** Expects a second run, and one after gc, to find nothing left to gain. */
async function expectSettled(store: Store): Promise<void> {
  const { storedBytes } = await store.stats();
  expect(await store.optimize()).toMatchObject({ chunksMoved: 0, tensorsMoved: 0 });
  await store.gc();
  expect(await store.optimize()).toMatchObject({ chunksMoved: 0, tensorsMoved: 0 });
  expect((await store.stats()).storedBytes).toBeLessThanOrEqual(storedBytes);
}

async function put(store: Store, dataset: string, tensors: Record<string, TensorData>, preset = "lossless") {
  const into = await store.createDataset(dataset, { preset });
  await into.insertMany(Object.entries(tensors).map(([name, tensor]) => ({ name, tensor })));
}

/** A base and its fine-tunes, which differ from each other by twice as much as from it. The base comes second. */
async function family(store: Store, tunes = 4, elements = 10_000): Promise<TensorData[]> {
  const base = weights([elements], 1);
  const all = Array.from({ length: tunes }, (_, index) => trained(base, 2 + index, 1e-2));
  await put(store, "tune 0", { w: all[0]! });
  await put(store, "base", { w: base });
  for (const [index, tune] of all.slice(1).entries()) await put(store, `tune ${index + 1}`, { w: tune });
  return [base, ...all];
}

/** For each dataset, which one its tensor `w` is a difference to. */
async function basesOf(store: Store): Promise<Record<string, string>> {
  const { families } = await store.stats();
  return Object.fromEntries(
    families.flatMap(({ links }) => links.map(({ dataset, base }) => [dataset, base] as const)),
  );
}

describe("optimize", () => {
  test.each([0, 2])("makes the best member of a family its centre, with %d workers", async (workers) => {
    const store = await newStore("directory", { ...SMALL, workers });
    await family(store);
    const before = await contents(store);
    expect(Object.values(await basesOf(store))).toContain("tune 0");
    const { storedBytes } = await store.stats();
    const dry = await store.optimize({ dryRun: true });
    expect(dry.dryRun).toBe(true);
    expect((await store.stats()).storedBytes).toBe(storedBytes);
    const done: number[] = [];
    const result = await store.optimize({
      onProgress: ({ phase, done: bytes, total }) => {
        expect(phase).toBe("optimize");
        done.push(bytes / total);
      },
    });
    expect(done.at(-1)).toBe(1);
    expect({ ...dry, dryRun: false, seconds: 0 }).toEqual({ ...result, seconds: 0 });
    expect(result).toMatchObject({ tensors: 5, tensorsMoved: 5, chunksMoved: 15 });
    expect(result.families).toMatchObject([
      { centre: "base", datasets: ["base", "tune 0", "tune 1", "tune 2", "tune 3"], chunksMoved: 15 },
    ]);
    expect(result.bytesAfter).toBeLessThan(0.99 * result.bytesBefore);
    expect((await store.stats()).storedBytes).toBe(storedBytes - (result.bytesBefore - result.bytesAfter));
    const star = Object.fromEntries([0, 1, 2, 3].map((index) => [`tune ${index}`, "base"]));
    expect(await basesOf(store)).toEqual(star);
    await expectWhole(store, before);
    await expectSettled(store);
    differencesIn(store.directory);
    await store.rebuild();
    await expectWhole(store, before);
    expect(await basesOf(store)).toEqual(star);
  });

  test("lets go of what only differences keep: another member becomes the centre", async () => {
    const store = await newStore("directory", SMALL);
    await family(store);
    await store.optimize();
    await store.deleteDataset("base");
    const before = await contents(store);
    await store.gc();
    const kept = await store.stats();
    expect(kept.families.flatMap(({ members }) => members).some(({ keptBytes }) => keptBytes > 0)).toBe(true);
    const { bytesBefore, bytesAfter } = await store.optimize();
    expect(bytesAfter).toBeLessThan(bytesBefore);
    await expectWhole(store, before);
    await store.gc();
    const { storedBytes, families } = await store.stats();
    expect(storedBytes).toBe(kept.storedBytes - bytesBefore + bytesAfter);
    expect(families.flatMap(({ members }) => members.map(({ keptBytes }) => keptBytes))).toEqual([
      0, 0, 0, 0,
    ]);
    await expectWhole(store, before);
    await expectSettled(store);
  });

  test("codes the only child of a deleted base by itself", async () => {
    const store = await newStore("directory", SMALL);
    const base = weights([10_000], 1);
    await put(store, "base", { w: base });
    await put(store, "tune", { w: trained(base, 2) });
    await store.deleteDataset("base");
    await store.gc();
    const before = await contents(store);
    const { storedBytes } = await store.stats();
    const result = await store.optimize();
    expect(result).toMatchObject({ tensors: 1, tensorsMoved: 1, chunksMoved: 3, bytesBefore: storedBytes });
    await store.gc();
    expect(await store.stats()).toMatchObject({ storedBytes: result.bytesAfter, chunks: 3 });
    expect(await basesOf(store)).toEqual({});
    await expectWhole(store, before);
  });

  test("keeps a deleted base that many are small differences to", async () => {
    const store = await newStore("directory", SMALL);
    const base = weights([10_000], 1);
    await put(store, "base", { w: base });
    // Each differs in an eighth of its own: two of them in a fourth.
    for (let index = 0; index < 8; index++) {
      const data = base.data.slice();
      const other = trained(base, 3 + index, 1);
      for (let at = index; at < data.length; at += 8) data[at] = other.data[at]!;
      await put(store, `tune ${index}`, { w: { dtype: "float32", shape: [10_000], data } });
    }
    await store.deleteDataset("base");
    await store.gc();
    const before = await contents(store);
    expect(await store.optimize()).toMatchObject({ tensors: 8, chunksMoved: 0 });
    await expectWhole(store, before);
  });

  test("finds relatives that were imported without looking for siblings, whatever their float type", async () => {
    const store = await newStore("directory", SMALL);
    const base = weights([10_000], 1);
    const { storedBytes } = await store.stats();
    expect(storedBytes).toBe(0);
    await put(store, "master", { w: base, noise: { dtype: "uint8", shape: [5000], data: noise(5000, 1) } });
    await put(store, "copy", { w: rounded(base) });
    await put(store, "tune", { w: trained(base, 2) });
    const before = await contents(store);
    await codedPlainly(store);
    expect(await basesOf(store)).toEqual({});
    const result = await store.optimize();
    expect(result.tensors).toBe(3);
    expect(result.bytesAfter).toBeLessThan(0.8 * result.bytesBefore);
    expect(await basesOf(store)).toEqual({ copy: "master", tune: "master" });
    await expectWhole(store, before);
    await expectSettled(store);
  });

  test("leaves alone what is not to be coded against others", async () => {
    const store = await newStore("directory", SMALL);
    const base = weights([10_000], 1);
    await put(store, "raw", { w: base }, "none");
    await put(store, "fast", { w: trained(base, 2) }, "fast");
    await put(store, "lone", { w: weights([10_000], 7) });
    expect(await store.optimize()).toMatchObject({ families: [], tensors: 0, bytesBefore: 0 });
    // What such chunks are coded against already stays plain, whatever others would gain.
    await put(store, "a", { w: trained(base, 3) });
    await put(store, "b", { w: trained(base, 4) });
    await codeRecordAgainst(store, ["fast", "w"], ["raw", "w"]);
    const before = await contents(store);
    await store.optimize();
    expect(await basesOf(store)).toMatchObject({ fast: "raw" });
    await expectWhole(store, before);
  });

  test("is about the families of one dataset, if it is told so", async () => {
    const store = await newStore("directory", SMALL);
    await family(store);
    const other = weights([5000], 50);
    await put(store, "other", { v: other });
    await put(store, "other tune", { v: trained(other, 51) });
    expect((await store.optimize({ dryRun: true })).tensors).toBe(7);
    expect((await store.optimize({ dryRun: true, dataset: "other" })).tensors).toBe(2);
    expect((await store.optimize({ dataset: "tune 2" })).tensors).toBe(5);
    expect(await failureOf(store.optimize({ dataset: "none" }))).toMatchObject({ tag: "not-found" });
    await store.close();
    const readOnly = await openTestStore(store.directory, { ...SMALL, readOnly: true });
    expect(await failureOf(readOnly.optimize())).toMatchObject({ tag: "usage", field: "readOnly" });
  });

  test("tries only some centres of a large family", async () => {
    const store = await newStore("directory", SMALL);
    await family(store, 20, 5000);
    const before = await contents(store);
    const { bytesBefore, bytesAfter } = await store.optimize();
    expect(bytesAfter).toBeLessThan(bytesBefore);
    await expectWhole(store, before);
    await expectSettled(store);
  });

  test("stops when it is told to, and leaves no trace", async () => {
    const store = await newStore("directory", SMALL);
    await family(store);
    const other = weights([5000], 50);
    await put(store, "other", { v: other });
    await put(store, "other tune", { v: trained(other, 51) });
    const before = await contents(store);
    const { directoryBytes } = await store.stats();
    const never = store.optimize({ signal: AbortSignal.abort() });
    expect(await failureOf(never)).toMatchObject({ tag: "cancelled" });
    const abort = new AbortController();
    const stopped = store.optimize({ signal: abort.signal, onProgress: () => abort.abort() });
    expect(await failureOf(stopped)).toMatchObject({ tag: "cancelled" });
    expect((await store.stats()).directoryBytes).toBe(directoryBytes);
    await expectWhole(store, before);
  });

  test("does not touch a damaged chunk, and names what it hits", async () => {
    const store = await newStore("directory", SMALL);
    await family(store);
    const { catalog } = await contextOf(store);
    const row = [...catalog.allChunks()].at(-1)!;
    expect(row.sibling).toBeDefined();
    const pack = filesBelow(store.directory, "").find((path) => path.includes(row.pack))!;
    const content = readFileSync(pack);
    content[row.offset + row.frameBytes - 20]! ^= 1;
    writeFileSync(pack, content);
    expect(await failureOf(store.optimize())).toMatchObject({ tag: "damage", tensors: ["tune 3/w"] });
    expect(catalog.chunk(row.id)).toEqual(row);
    expect((await store.verify()).problems).toHaveLength(1);
  });
});

/** Codes everything by itself. */
async function codedPlainly(store: Store): Promise<void> {
  for (const dataset of await store.datasets()) await dataset.recompress("none");
  for (const dataset of await store.datasets()) await dataset.recompress("lossless");
  await store.gc();
}

test("families at random: nothing that is read changes, and nothing is left to gain", async () => {
  const kin = fc.record({
    /** Of which earlier tensor it is made; itself: of none. */
    from: fc.nat(20),
    seed: fc.nat(1000),
    amount: fc.constantFrom(1e-4, 1e-3, 1e-2, 0.3),
    kind: fc.constantFrom("same", "same", "same", "rounded", "longer"),
    preset: fc.constantFrom("lossless", "lossless", "lossless", "archive", "fast"),
  });
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(kin, { minLength: 3, maxLength: 9 }),
      fc.array(fc.nat(8), { maxLength: 3 }),
      async (tensors, deleted) => {
        const store = await openStore(":memory:", SMALL);
        const made: ReturnType<typeof weights>[] = [];
        const puts: { name: string; tensor: TensorData; preset: string; order: number }[] = [];
        for (const [index, { from, seed, amount, kind, preset }] of tensors.entries()) {
          const base = made[from % (index + 1)];
          let tensor = base === undefined ? weights([5000], 5000 + seed) : trained(base, seed, amount);
          if (kind === "longer") {
            const data = new Float32Array(tensor.data.length + 700);
            data.set(tensor.data);
            tensor = { ...tensor, shape: [data.length], data };
          }
          made.push(tensor);
          const given = kind === "rounded" ? rounded(tensor) : tensor;
          puts.push({ name: `set ${index}`, tensor: given, preset, order: seed });
        }
        // What others were made from need not come before them.
        for (const { name, tensor, preset } of puts.sort((a, b) => a.order - b.order))
          await put(store, name, { w: tensor }, preset);
        for (const index of deleted) {
          if ((await store.dataset(`set ${index}`)) !== undefined) await store.deleteDataset(`set ${index}`);
        }
        const before = await contents(store);
        if (deleted.length !== 1) await store.gc();
        const { storedBytes } = await store.stats();
        const { bytesBefore, bytesAfter, chunksMoved } = await store.optimize();
        moved += chunksMoved;
        expect(await store.optimize()).toMatchObject({ chunksMoved: 0 });
        await expectWhole(store, before);
        await store.gc();
        if (deleted.length !== 1)
          expect((await store.stats()).storedBytes).toBe(storedBytes - bytesBefore + bytesAfter);
        await expectWhole(store, before);
        await store.rebuild();
        await expectWhole(store, before);
        await store.close();
      },
    ),
    { numRuns: 10 },
  );
  expect(moved).toBeGreaterThan(10);
});

/** Optimizes a store, with something happening to it when all is coded, before it is committed. */
async function optimizeAround(store: Store, meanwhile: () => Promise<unknown>) {
  const { committer } = (await contextOf(store)).parts;
  const exclusive = committer.exclusive.bind(committer);
  const spy = vi.spyOn(committer, "exclusive");
  let happened: unknown;
  spy.mockImplementationOnce(async (run, options) => {
    happened = await meanwhile();
    return exclusive(run, options);
  });
  const result = await store.optimize();
  expect(happened).toBeDefined();
  spy.mockRestore();
  return result;
}

describe("a star that changed before its commit stays as it is:", () => {
  const happenings: Record<string, (store: Store, other: Store) => Promise<unknown>> = {
    "something new is coded against what was to become a difference": async (store) => {
      const { catalog } = await contextOf(store);
      const [centre] = [...catalog.allChunks()].filter(({ sibling }) => sibling === undefined);
      await put(store, "raw", { w: weights([10_000], 90) }, "none");
      const chunks = await chunkIds(store, "raw", "w");
      const [first, second, third] = await chunkIds(store, "tune 0", "w");
      expect(centre!.id).toBe(first);
      await codeAgainst(store, [
        [chunks[0]!, first!],
        [chunks[1]!, second!],
        [chunks[2]!, third!],
      ]);
      return chunks;
    },
    "its chunks were coded anew": async (_, other) => other.optimize(),
    "a member and the centre are gone": async (_, other) => {
      for (const name of ["tune 2", "base"]) await other.deleteDataset(name);
      return other.gc();
    },
  };

  test.each(Object.keys(happenings))("%s", async (name) => {
    const store = await newStore("directory", SMALL);
    await family(store);
    const other = await openTestStore(store.directory, SMALL);
    const { catalog } = await contextOf(store);
    let rows: unknown;
    const result = await optimizeAround(store, async () => {
      await happenings[name]!(store, other);
      rows = [...catalog.allChunks()];
      return rows;
    });
    expect(result).toMatchObject({ tensors: 5, tensorsMoved: 0, chunksMoved: 0 });
    expect(result.bytesAfter).toBe(result.bytesBefore);
    expect([...catalog.allChunks()]).toEqual(rows);
    const before = await contents(store);
    await expectWhole(store, before);
    await store.optimize();
    await expectWhole(store, before);
    await expectSettled(store);
  });

  test("the others of the same commit move", async () => {
    const store = await newStore("directory", SMALL);
    await family(store);
    const result = await optimizeAround(store, async () => {
      await put(store, "raw", { w: weights([4096], 90) }, "none");
      const [chunk] = await chunkIds(store, "raw", "w");
      const [first] = await chunkIds(store, "tune 0", "w");
      await codeAgainst(store, [[chunk!, first!]]);
      return chunk;
    });
    expect(result.chunksMoved).toBe(10);
    await expectWhole(store, await contents(store));
  });
});

test("while others import, insert, delete and collect, every store is whole", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory, SMALL);
  const other = await openTestStore(directory, SMALL);
  const [base] = await family(store);
  const expected = await contents(store);
  for (let round = 0; round < 6; round++) {
    const tune = trained(base as ReturnType<typeof weights>, 100 + round, 5e-3);
    await Promise.all([
      store.optimize(),
      put(other, `new ${round}`, { w: tune, again: base! }),
      (async () => {
        for (const dataset of ["tune 1", "tune 2"])
          await (await other.dataset(dataset))!.recompress("lossless");
      })(),
      round % 2 === 0 ? other.gc() : other.optimize(),
    ]);
    if (round > 1) await other.deleteDataset(`new ${round - 2}`);
    expect(await contents(store)).toMatchObject(expected);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
  }
  const { catalog } = await contextOf(store);
  expect([...catalog.allChunks()].some(({ sibling }) => sibling !== undefined)).toBe(true);
  await store.optimize();
  await expectSettled(store);
});

const models = ["base", "ft-full", "ft-lora-merged"];

test("trained models take the same, in whatever order they came", async () => {
  const orders = [
    [0, 1, 2],
    [1, 2, 0],
    [2, 1, 0],
  ];
  const sizes: number[] = [];
  for (const order of orders) {
    const store = await newStore();
    const names = order.map((index) => models[index]!);
    for (const name of names) await store.importFile(join(examplesData, name), { dataset: name });
    const { bytesBefore, bytesAfter } = await store.optimize();
    expect(bytesAfter).toBeLessThanOrEqual(bytesBefore);
    expect(await store.optimize()).toMatchObject({ chunksMoved: 0 });
    sizes.push((await store.stats()).storedBytes);
    const target = temporaryDirectory();
    for (const name of names) {
      await store.exportDataset(name, join(target, name));
      const [found, original] = [join(target, name), join(examplesData, name)].map((folder) =>
        readFileSync(join(folder, "model.safetensors")),
      );
      expect(sameBytes(found!, original!)).toBe(true);
    }
    await store.close();
  }
  expect(Math.max(...sizes)).toBeLessThan(1.001 * Math.min(...sizes));
});
