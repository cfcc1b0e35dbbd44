import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { LockTimeoutError } from "@tensorcask/codec";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  contentOf,
  expectTensor,
  failureOf,
  floats,
  frameBytesIn,
  framesIn,
  namesOf,
  openTestStore,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

/** Starts a script of this folder and waits for its first word. */
async function start(script: string, ...words: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...words], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout!, "data");
  return child;
}

describe("two handles in one process", () => {
  test("both commit, and each sees what the other did", async () => {
    const directory = join(temporaryDirectory(), "store");
    const handles = [await openTestStore(directory), await openTestStore(directory)];
    await handles[0]!.createDataset("a");
    await Promise.all(
      handles.map(async (store, side) => {
        const dataset = (await store.dataset("a"))!;
        for (let n = 0; n < 30; n++)
          await dataset.insert(floats([1200], side * 100 + n), { name: `${side}.${n}` });
      }),
    );
    const expected = [0, 1].flatMap((side) => Array.from({ length: 30 }, (_, n) => `${side}.${n}`)).sort();
    for (const store of handles) {
      const dataset = (await store.dataset("a"))!;
      expect((await namesOf(dataset.records())).sort()).toEqual(expected);
      for (const [side, n] of [
        [0, 29],
        [1, 29],
        [0, 0],
        [1, 15],
      ] as const)
        expectTensor(await dataset.get(`${side}.${n}`), floats([1200], side * 100 + n));
      expect(dataset.version).toBe(60);
    }
    const hashes = framesIn(directory).map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes).toHaveLength(60);
    // A third one, that finds only what is on the disk.
    const third = await openTestStore(directory);
    expect(await contentOf((await third.dataset("a"))!)).toEqual(
      await contentOf((await handles[0]!.dataset("a"))!),
    );
  });

  test("import at once into one dataset", async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const handles = [await openTestStore(directory), await openTestStore(directory)];
    const common = floats([300, 400], 1);
    await Promise.all(
      handles.map(async (store, side) => {
        const path = writeSafetensors(join(folder, `m${side}.safetensors`), {
          common,
          own: floats([5000], side + 2),
        });
        return store.importFile(path, { dataset: "a" });
      }),
    );
    const dataset = (await handles[0]!.dataset("a"))!;
    expect(await dataset.files()).toHaveLength(2);
    expect(dataset.version).toBe(2);
    for (const side of [0, 1]) {
      expectTensor(await dataset.get(`m${side}.safetensors#common`), common);
      expectTensor(await dataset.get(`m${side}.safetensors#own`), floats([5000], side + 2));
    }
    expect(frameBytesIn(directory)).toBeLessThan(1.1 * (300 * 400 * 4 + 2 * 5000 * 4));
  });

  test("creating one store at once is creating it once", async () => {
    const directory = join(temporaryDirectory(), "store");
    const handles = await Promise.all([0, 1, 2].map(() => openTestStore(directory)));
    await Promise.all(handles.map((store, side) => store.createDataset(`d${side}`)));
    for (const store of handles)
      expect((await store.datasets()).map(({ name }) => name)).toEqual(["d0", "d1", "d2"]);
  });

  test("a deleted or renamed dataset is so for both", async () => {
    const directory = join(temporaryDirectory(), "store");
    const first = await openTestStore(directory);
    const second = await openTestStore(directory);
    const a = await first.createDataset("a");
    const same = (await second.dataset("a"))!;
    await second.renameDataset("a", "b");
    expect(a.name).toBe("b");
    await a.insert(scalar(1), { name: "x" });
    expect((await same.get("x"))!.data[0]).toBe(1);
    await first.deleteDataset("b");
    expect(await failureOf(same.insert(scalar(2)))).toMatchObject({ tag: "not-found", kind: "dataset" });
  });
});

describe("two processes", () => {
  test("write side by side; a reader at a pinned version is not disturbed", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([70_000], 1), { name: "first" });
    await dataset.tag("pinned");
    const pinned = dataset.at("pinned");
    const count = 25;
    const child = await start("store-child.ts", directory, "a", String(count), "child");
    const exit = once(child, "exit");
    for (let n = 0; n < count; n++) {
      await dataset.insert(
        { dtype: "float32", shape: [2000], data: new Float32Array(2000).fill(n) },
        { name: `own${n}` },
      );
      expectTensor(await pinned.get("first"), floats([70_000], 1));
      expect(await pinned.count()).toBe(1);
    }
    expect((await exit)[0]).toBe(0);
    const names = [
      ...Array.from({ length: count }, (_, n) => [`own${n}`, `child${n}`]).flat(),
      "first",
    ].sort();
    expect((await namesOf(dataset.records())).sort()).toEqual(names);
    expect(await dataset.count({ where: { prefix: "child" } })).toBe(count);
    for (const n of [0, 13, count - 1]) expect((await dataset.get(`child${n}`))!.data[1999]).toBe(n);
    // Both stored the same tensors: once.
    const hashes = framesIn(directory).map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(hashes.length);
    expect(hashes.length).toBe(1 + count);
    const fresh = await openTestStore(directory);
    expect((await namesOf((await fresh.dataset("a"))!.records())).sort()).toEqual(names);
  });

  test("one that is killed while it writes leaves what it committed, and the lock free", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const dataset = await store.createDataset("a");
    const child = await start("store-child.ts", directory, "a", "100000", "child");
    while ((await dataset.count()) < 10) {
      expect(child.exitCode).toBeNull();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    child.kill("SIGKILL");
    await once(child, "exit");
    await dataset.insert(scalar(1), { name: "after" });
    const count = (await dataset.count()) - 1;
    expect(count).toBeGreaterThanOrEqual(10);
    for (let n = 0; n < count; n++) expect((await dataset.get(`child${n}`))!.data[5]).toBe(n);
    const content = await contentOf(dataset);
    await store.close();
    expect(await contentOf((await (await openTestStore(directory)).dataset("a"))!)).toEqual(content);
  });

  test("who will not wait for the lock is told whom it waited for; reads go on", async () => {
    const directory = join(temporaryDirectory(), "store");
    const patient = await openTestStore(directory);
    const dataset = await patient.createDataset("a");
    await dataset.insert(floats([3000], 1), { name: "x" });
    const holder = await start("lock-child.ts", directory, "hold");
    const store = await openTestStore(directory, { waitMs: 0 });
    const mine = (await store.dataset("a"))!;
    for (const write of [
      () => mine.insert(scalar(1)),
      () => mine.update("x", { metadata: { a: 1 } }),
      () => mine.delete("x"),
      () => mine.append("x", floats([1])),
      () => store.createDataset("b"),
      () => store.transaction(async (tx) => void (await (await tx.dataset("a"))!.insert(scalar(1)))),
    ]) {
      const failure = await failureOf(write());
      expect(failure).toBeInstanceOf(LockTimeoutError);
      expect(failure["holderPid"]).toBe(holder.pid);
      expect(failure.message).toContain(String(holder.pid));
    }
    expectTensor(await mine.get("x"), floats([3000], 1));
    const reader = await openTestStore(directory, { readOnly: true });
    expectTensor(await (await reader.dataset("a"))!.get("x"), floats([3000], 1));

    const waiting = dataset.insert(scalar(2), { name: "patient" });
    holder.kill("SIGKILL");
    await waiting;
    await mine.insert(scalar(3), { name: "later" });
    expect(await namesOf(mine.records())).toEqual(["x", "patient", "later"]);
  });
});

test("a reader sees whole commits only, while a writer commits", async () => {
  const directory = join(temporaryDirectory(), "store");
  const writer = await openTestStore(directory);
  const reader = await openTestStore(directory, { readOnly: true });
  const dataset = await writer.createDataset("a");
  const pair = (n: number) =>
    ["left", "right"].map((name) => ({ tensor: floats([1500], n), name, replace: true }));
  await dataset.insertMany(pair(0));
  let over = false;
  const writing = (async () => {
    for (let n = 1; n <= 40; n++) await dataset.insertMany(pair(n));
  })().finally(() => {
    over = true;
  });
  const seen = (await reader.dataset("a"))!;
  let reads = 0;
  while (!over) {
    // Cached reads never leave the turn; the writer's files need one.
    await new Promise((resolve) => setImmediate(resolve));
    const pinned = seen.at(seen.version);
    const left = (await pinned.get("left"))!;
    const right = (await pinned.get("right"))!;
    expect(left.data).toEqual(right.data);
    reads += 1;
  }
  await writing;
  expect(reads).toBeGreaterThan(3);
});
