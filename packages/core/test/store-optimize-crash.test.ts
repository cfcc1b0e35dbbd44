/** An optimization that fails, or ends with the power, at any point: what was put in is there, and the next run finishes it. */
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type FaultKind, failingFileSystem } from "../src/files/failing.ts";
import type { FileSystem } from "../src/files/file-system.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { crashImage, recordingFileSystem } from "../src/files/recording.ts";
import { type OpenOptions, openStore } from "../src/index.ts";
import { contents, temporaryDirectory } from "./maintenance-fixture.ts";
import { trained, weights } from "./sibling-samples.ts";

/** Chunks just long enough for sketches, no threads. */
const SMALL: OpenOptions = { workers: 0, chunkElements: 4096 };

/** A store whose optimization moves stars to another centre and drops a deleted one; only the catalog and the lock are on the disk. */
async function beforeOptimize() {
  const root = join(temporaryDirectory(), "store");
  mkdirSync(root);
  const files = memoryFileSystem();
  const recording = recordingFileSystem(files);
  const store = await openStore(root, { ...SMALL, fileSystem: recording });
  const base = weights([6000], 1);
  const other = weights([6000], 2);
  const tensors = {
    first: { w: trained(base, 3, 1e-2), v: trained(other, 4, 1e-2) },
    base: { w: base, v: trained(other, 5, 1e-2) },
    last: { w: trained(base, 6, 1e-2), v: trained(other, 7, 1e-2) },
    gone: { w: trained(base, 8, 1e-2), v: other },
  };
  for (const [name, { w, v }] of Object.entries(tensors)) {
    const dataset = await store.createDataset(name, { preset: "lossless" });
    await dataset.insertMany([
      { name: "w", tensor: w },
      { name: "v", tensor: v },
    ]);
  }
  await store.optimize();
  await store.deleteDataset("gone");
  await store.gc();
  const third = await store.createDataset("third", { preset: "lossless" });
  await third.insert(trained(base, 9, 1e-2), { name: "w" });
  const before = await contents(store);
  const planned = await store.optimize({ dryRun: true });
  expect(planned.chunksMoved).toBeGreaterThan(2);
  await store.close();
  const saved = join(temporaryDirectory(), "saved");
  cpSync(root, saved, { recursive: true });
  /** Puts the catalog back as it was before, or takes it away. */
  const restore = (catalog: "as it was" | "lost"): void => {
    rmSync(root, { recursive: true });
    if (catalog === "lost") mkdirSync(root);
    else cpSync(saved, root, { recursive: true });
  };
  return { root, files, recording, before, restore, optimalBytes: planned.bytesAfter };
}

/** Opens what a crash left, checks it, and lets the optimization finish. */
async function expectRecovered(
  root: string,
  fileSystem: FileSystem,
  before: Record<string, string>,
  optimalBytes: number,
  where: string,
): Promise<void> {
  const store = await openStore(root, { ...SMALL, fileSystem });
  expect(await contents(store), where).toEqual(before);
  expect((await store.verify({ deep: true })).problems, where).toEqual([]);
  await store.optimize();
  expect((await store.gc()).problems, where).toEqual([]);
  expect((await store.stats()).storedBytes, where).toBe(optimalBytes);
  await store.rebuild();
  expect(await contents(store), where).toEqual(before);
  expect((await store.verify()).problems, where).toEqual([]);
  await store.close();
}

test("a failure of any file operation leaves a whole store, which the next run finishes", async () => {
  const kinds: readonly FaultKind[] = ["write", "sync", "rename"];
  const { root, files, before, restore, optimalBytes } = await beforeOptimize();
  let runs = 0;
  for (const operation of kinds) {
    for (let after = 1, failed = true; failed; after++) {
      restore("as it was");
      const copy = files.copy();
      const failing = failingFileSystem(copy);
      const store = await openStore(root, { ...SMALL, fileSystem: failing });
      failing.fail({ operation, after, forGood: true });
      await store.optimize().catch((error: unknown) => expect(error).toMatchObject({ tag: "storage" }));
      await store.close().catch(() => undefined);
      failed = failing.failures > 0;
      runs += 1;
      await expectRecovered(root, copy, before, optimalBytes, `${operation} ${after}`);
    }
  }
  expect(runs).toBeGreaterThan(6);
});

test("a power cut after any file operation leaves a journal that brings everything back", async () => {
  const { root, recording, before, restore, optimalBytes } = await beforeOptimize();
  const from = recording.log.length;
  const again = await openStore(root, { ...SMALL, fileSystem: recording });
  await again.optimize();
  await again.gc();
  await again.close();
  expect(recording.log.length - from).toBeGreaterThan(15);
  for (let count = from; count <= recording.log.length; count++) {
    for (const loseUnsynced of [false, true]) {
      restore("lost");
      const fileSystem = await crashImage(recording.log, count, { loseUnsynced });
      await expectRecovered(root, fileSystem, before, optimalBytes, `${count} operations, ${loseUnsynced}`);
    }
  }
});
