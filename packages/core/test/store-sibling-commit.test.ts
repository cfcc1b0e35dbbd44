import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sha256, toHex } from "@tensorcask/codec";
import { afterEach, describe, expect, test, vi } from "vitest";
import type { Store } from "../src/index.ts";
import { Committer } from "../src/store/committer.ts";
import { differencesIn, trained, weights } from "./sibling-samples.ts";
import {
  bytesOf,
  contentOf,
  expectTensor,
  failureOf,
  framesIn,
  openTestStore,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

afterEach(() => vi.restoreAllMocks());

// One chunk each. V and X resemble W.
const w = weights([300, 400], 1);
const v = trained(w, 2);
const x = trained(w, 3);
const hashOf = (tensor: Parameters<typeof bytesOf>[0]): string => toHex(sha256(bytesOf(tensor))).slice(0, 32);

interface Place {
  readonly store: Store;
  readonly directory: string;
  file(name: string, tensor: Parameters<typeof writeSafetensors>[1][string]): string;
}

async function place(): Promise<Place> {
  const folder = temporaryDirectory();
  const directory = join(folder, "store");
  const store = await openTestStore(directory);
  const file: Place["file"] = (name, tensor) =>
    writeSafetensors(join(folder, `${name}.safetensors`), { [name]: tensor });
  return { store, directory, file };
}

/** Runs `work` once, when the next commit has been prepared and not begun. Returns how often commits were asked for after that. */
function beforeNextCommit(work: () => Promise<unknown>): { readonly commits: () => number } {
  const commit = Committer.prototype.commit;
  let busy = false;
  let done = false;
  let count = 0;
  vi.spyOn(Committer.prototype, "commit").mockImplementation(async function (
    this: Committer,
    ...words: Parameters<Committer["commit"]>
  ) {
    if (!busy) count += 1;
    if (!done) {
      done = true;
      busy = true;
      await work();
      busy = false;
    }
    return commit.apply(this, words);
  });
  return { commits: () => count };
}

async function expectWhole(store: Store, directory: string): Promise<void> {
  differencesIn(directory);
  expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
}

describe("what a commit is prepared against changes before it", () => {
  test("gc takes the sibling: the import is prepared again, and stored plainly", async () => {
    const { store, directory, file } = await place();
    const other = await openTestStore(directory);
    await store.importFile(file("w", w), { dataset: "w" });
    const watch = beforeNextCommit(async () => {
      await other.deleteDataset("w");
      await other.gc();
    });
    const result = await store.importFile(file("x", x), { dataset: "x" });
    expect(watch.commits()).toBe(2);
    expect(result.chunksAsDifferences).toBe(0);
    expectTensor(await (await store.dataset("x"))!.get("x"), x);
    await expectWhole(store, directory);
  });

  test("gc takes it from an insert, too", async () => {
    const { store, directory } = await place();
    const other = await openTestStore(directory);
    await (await store.createDataset("w")).insert(w);
    const dataset = await store.createDataset("x");
    const watch = beforeNextCommit(async () => {
      await other.deleteDataset("w");
      await other.gc();
    });
    await dataset.insert(x, { name: "x" });
    expect(watch.commits()).toBe(2);
    expectTensor(await dataset.get("x"), x);
    await expectWhole(store, directory);
  });

  test("a transaction says that it is to be tried again", async () => {
    const { store, directory } = await place();
    const other = await openTestStore(directory);
    await (await store.createDataset("w")).insert(w);
    await store.createDataset("x");
    beforeNextCommit(async () => {
      await other.deleteDataset("w");
      await other.gc();
    });
    const error = await failureOf(
      store.transaction(async (tx) => (await tx.dataset("x"))!.insert(x, { name: "x" })),
    );
    expect(error.name).toBe("ConflictError");
    expect(await (await store.dataset("x"))!.count()).toBe(0);
    await expectWhole(store, directory);
  });

  test("the sibling comes back coded against another one: that one is taken instead", async () => {
    const { store, directory, file } = await place();
    const other = await openTestStore(directory);
    await store.importFile(file("w", w), { dataset: "w" });
    const [vPath, wPath] = [file("v", v), file("w", w)];
    const watch = beforeNextCommit(async () => {
      await other.deleteDataset("w");
      await other.gc();
      await other.importFile(vPath, { dataset: "v" });
      await other.importFile(wPath, { dataset: "w" });
    });
    const result = await store.importFile(file("x", x), { dataset: "x" });
    expect(watch.commits()).toBe(2);
    expect(result.chunksAsDifferences).toBe(1);
    expect(differencesIn(directory).map(({ sibling }) => sibling)).toEqual([hashOf(v), hashOf(v)]);
    expectTensor(await (await store.dataset("x"))!.get("x"), x);
    await expectWhole(store, directory);
  });

  test("another commit brings a sibling of the same import, coded against a third tensor", async () => {
    const { store, directory, file } = await place();
    const other = await openTestStore(directory);
    const paths = [file("w", w), file("x", x)];
    const vPath = file("v", v);
    const watch = beforeNextCommit(async () => {
      await other.importFile(vPath, { dataset: "v" });
      await other.importFile(paths[0]!, { dataset: "w" });
    });
    await store.importFile(paths, { dataset: "all" });
    expect(watch.commits()).toBe(2);
    expect(differencesIn(directory).map(({ sibling }) => sibling)).toEqual([hashOf(v), hashOf(v)]);
    const all = (await store.dataset("all"))!;
    expectTensor(await all.get("w"), w);
    expectTensor(await all.get("x"), x);
    await expectWhole(store, directory);
  });

  test("another commit brings the chunk itself: it is not stored twice", async () => {
    const { store, directory, file } = await place();
    const other = await openTestStore(directory);
    await store.importFile(file("w", w), { dataset: "w" });
    const path = file("x", x);
    const watch = beforeNextCommit(() => other.importFile(path, { dataset: "x1" }));
    await store.importFile(path, { dataset: "x2" });
    expect(watch.commits()).toBe(1);
    const hashes = framesIn(directory).map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expectTensor(await (await store.dataset("x2"))!.get("x"), x);
    await expectWhole(store, directory);
  });
});

describe("commits at the same time", () => {
  test("of a whole family through two handles", async () => {
    const { directory, store } = await place();
    const handles = [store, await openTestStore(directory)];
    await store.createDataset("a");
    const members = Array.from({ length: 12 }, (_, index) => trained(w, 10 + index));
    await Promise.all(
      handles.map(async (handle, side) => {
        const dataset = (await handle.dataset("a"))!;
        for (const [index, member] of members.entries())
          await dataset.insert(member, { name: `${side}.${index}` });
      }),
    );
    const dataset = (await store.dataset("a"))!;
    for (const [index, member] of members.entries())
      for (const side of [0, 1]) expectTensor(await dataset.get(`${side}.${index}`), member);
    expect(differencesIn(directory).length).toBeGreaterThan(6);
    const third = await openTestStore(directory);
    expect(await contentOf((await third.dataset("a"))!)).toEqual(await contentOf(dataset));
    await expectWhole(store, directory);
  });

  test("that share an entry: a frame in a pack of an import may be coded against one that joins the tail pack", async () => {
    const { store, directory } = await place();
    const dataset = await store.createDataset("a");
    const filler = [21, 22, 23].map((seed) => weights([3000, 400], seed));
    const commit = Committer.prototype.commit;
    const waiting: (() => void)[] = [];
    vi.spyOn(Committer.prototype, "commit").mockImplementation(async function (
      this: Committer,
      ...words: Parameters<Committer["commit"]>
    ) {
      // The insert first, whose frame is in memory; then the batch, whose frames are in a pack.
      const isBatch = words[0].intents.length > 1;
      if (waiting.length < 2) {
        await new Promise<void>((go) => {
          if (isBatch) waiting.push(go);
          else waiting.unshift(go);
          if (waiting.length === 2) for (const one of waiting) one();
        });
      }
      return commit.apply(this, words);
    });
    await Promise.all([
      dataset.insert(w, { name: "single" }),
      dataset.insertMany([w, x, ...filler].map((tensor, index) => ({ tensor, name: `batch ${index}` }))),
    ]);
    vi.restoreAllMocks();
    expectTensor(await dataset.get("single"), w);
    for (const [index, tensor] of [w, x, ...filler].entries())
      expectTensor(await dataset.get(`batch ${index}`), tensor);
    expect(differencesIn(directory)).toHaveLength(1);
    await expectWhole(store, directory);
    const again = await openTestStore(directory);
    await again.rebuild();
    await expectWhole(again, directory);
  });
});

test("a damaged sibling is no sibling: the import goes on without it", async () => {
  const { store, directory, file } = await place();
  await store.importFile(file("w", w), { dataset: "w" });
  const frame = framesIn(directory).reduce((a, b) => (a.bytes > b.bytes ? a : b));
  const content = readFileSync(frame.pack);
  content[frame.offset + 1000]! ^= 0xff;
  writeFileSync(frame.pack, content);
  const result = await store.importFile(file("x", x), { dataset: "x" });
  expect(result.chunksAsDifferences).toBe(0);
  expectTensor(await (await store.dataset("x"))!.get("x"), x);
  expect((await store.verify()).problems).toHaveLength(1);
});
