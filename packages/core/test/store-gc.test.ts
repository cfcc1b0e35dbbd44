import { cpSync, mkdirSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { UsageError, VersionExpiredError } from "@tensorcask/codec";
import { describe, expect, test, vi } from "vitest";
import { type FaultKind, failingFileSystem } from "../src/files/failing.ts";
import type { FileSystem } from "../src/files/file-system.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { nodeFileSystem } from "../src/files/node.ts";
import { crashImage, recordingFileSystem } from "../src/files/recording.ts";
import { openStore, type Store } from "../src/index.ts";
import { SPARED_MS } from "../src/store/gc.ts";
import { contents, contextOf, floats, SMALL, sealedPack, temporaryDirectory } from "./maintenance-fixture.ts";

/** A store in which gc has everything to do: old versions, a dropped dataset, a pack to rewrite, one to drop. */
async function fillForGc(store: Store): Promise<void> {
  const keep = await store.createDataset("keep");
  const drop = await store.createDataset("drop");
  await keep.insert(floats([40, 100], 1), { name: "shared" });
  await drop.insert(floats([40, 100], 1), { name: "shared" });
  for (let index = 0; index < 3; index++) {
    await drop.insert(floats([60, 100], 10 + index), { name: `large ${index}` });
    await keep.insert(floats([10 + index], 20 + index), { name: `small ${index}` });
  }
  await keep.insert(floats([30, 100], 30), { name: "replaced" });
  await keep.insert(floats([30, 100], 31), { name: "replaced", replace: true });
  // Frames in a pack of their own, all of which die.
  await keep.recompress("none");
  await keep.recompress("lossless");
  await store.deleteDataset("drop");
}

describe("gc", () => {
  test("frees what was deleted, and what remains is whole", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await fillForGc(store);
    const before = await contents(store);
    const rehearsal = await store.gc({ dryRun: true });
    expect(await contents(store)).toEqual(before);
    const done = await store.gc();
    expect(done).toMatchObject({
      dryRun: false,
      versions: rehearsal.versions,
      tensors: rehearsal.tensors,
      chunks: rehearsal.chunks,
      packsRewritten: rehearsal.packsRewritten,
      packsRemoved: rehearsal.packsRemoved,
      problems: [],
    });
    expect(done.tensors).toBe(4);
    expect(done.packsRemoved).toBeGreaterThanOrEqual(2);
    expect(done.packsRewritten).toBe(1);
    expect(done.bytesAfter).toBeLessThan(done.bytesBefore);
    expect(await contents(store)).toEqual(before);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
    const stats = await store.stats();
    expect(stats).toMatchObject({ residualBytes: 0, unreferencedBytes: 0, directoryBytes: done.bytesAfter });
    expect(await store.gc()).toMatchObject({
      versions: 0,
      tensors: 0,
      chunks: 0,
      packsRewritten: 0,
      packsRemoved: 0,
    });
    // The store goes on: new frames join the tail that gc left.
    const keep = (await store.dataset("keep"))!;
    await keep.insert(floats([10, 100], 99), { name: "after" });
    await store.close();
    const again = await openStore(directory, SMALL);
    expect(await again.verify({ deep: true })).toMatchObject({ ok: true });
    expect(Object.keys(await contents(again))).toHaveLength(Object.keys(before).length + 1);
    await again.close();
  });

  test("keeps tagged versions and as many others as the store says", async () => {
    const store = await openStore(":memory:", SMALL);
    await store.setKeepVersions(1);
    const dataset = await store.createDataset("versions");
    for (let version = 1; version <= 5; version++) {
      await dataset.insert(floats([2000], version), { name: "x", replace: true });
      if (version === 2) await dataset.tag("two");
    }
    expect((await store.gc()).versions).toBe(2);
    expect((await dataset.versions()).map(({ version }) => version)).toEqual([2, 4, 5]);
    expect((await dataset.at("two").get("x"))!.data).toEqual(floats([2000], 2).data);
    expect((await dataset.at(4).get("x"))!.data).toEqual(floats([2000], 4).data);
    await expect(dataset.at(3).get("x")).rejects.toThrow(VersionExpiredError);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("spares frames that an import staged less than a day ago", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([5000], 1), { name: "x" });
    const context = await contextOf(store);
    await context.stage([await sealedPack(context, floats([5000], 2))]);
    const staged = (await store.stats()).unreferencedBytes;
    expect(staged).toBeGreaterThan(20_000);
    expect(await store.gc()).toMatchObject({ chunks: 0, packsRemoved: 0 });
    expect((await store.stats()).unreferencedBytes).toBe(staged);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + SPARED_MS });
    try {
      expect(await store.gc()).toMatchObject({ chunks: 5, packsRemoved: 1 });
    } finally {
      vi.useRealTimers();
    }
    expect(await store.stats()).toMatchObject({ unreferencedBytes: 0, residualBytes: 0 });
    await store.close();
  });

  test("leaves a damaged frame and its pack where they are, and says so", async () => {
    const files = memoryFileSystem();
    const store = await openStore(":memory:", { ...SMALL, fileSystem: files });
    const dataset = await store.createDataset("a");
    for (let index = 0; index < 6; index++)
      await dataset.insert(floats([2000], index), { name: `x${index}` });
    for (let index = 0; index < 4; index++) await dataset.delete(`x${index}`);
    const [pack] = files.paths().filter((path) => path.endsWith(".pack"));
    const file = await files.open(pack!, "write");
    await file.write(Uint8Array.of(0xff, 0xfe, 0xfd), (await file.size()) - 50);
    const done = await store.gc();
    expect(done.problems).toHaveLength(1);
    expect(done.problems[0]!.tensors).toEqual(["a/x5"]);
    expect(done.problems[0]!.message).toContain("checksum");
    expect(await files.exists(pack!)).toBe(true);
    expect((await dataset.get("x4"))!.data).toEqual(floats([2000], 4).data);
    const check = await store.verify();
    expect(check.problems.map(({ tensors }) => tensors)).toEqual([["a/x5"]]);
    // Nothing is copied over and over.
    expect(await store.gc()).toMatchObject({ packsRewritten: 0, packsRemoved: 0 });
    await store.close();
  });

  test("works on a full disk, from the reserve", async () => {
    const directory = temporaryDirectory();
    const failing = failingFileSystem(nodeFileSystem);
    const store = await openStore(directory, { ...SMALL, fileSystem: failing });
    await fillForGc(store);
    const before = await contents(store);
    failing.fail({ operation: "write", code: "ENOSPC", after: 1 });
    const done = await store.gc();
    expect(done.bytesAfter).toBeLessThan(done.bytesBefore);
    expect(await contents(store)).toEqual(before);
    // It was put back when there was room again.
    expect(readdirSync(directory)).toContain("reserve");
    await store.close();
  });

  test("can be cancelled between packs, and reports progress", async () => {
    const store = await openStore(":memory:", SMALL);
    await fillForGc(store);
    const before = await contents(store);
    const aborted = new AbortController();
    const seen: string[] = [];
    const stop = store.gc({
      signal: aborted.signal,
      onProgress: ({ phase, done, total }) => {
        seen.push(phase);
        expect(done).toBeLessThanOrEqual(total);
        aborted.abort();
      },
    });
    await expect(stop).rejects.toMatchObject({ tag: "cancelled" });
    expect(seen).toContain("gc");
    expect(await contents(store)).toEqual(before);
    await store.gc();
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("readers and writers of the same process go on meanwhile", async () => {
    const store = await openStore(temporaryDirectory(), SMALL);
    await fillForGc(store);
    const before = await contents(store);
    const keep = (await store.dataset("keep"))!;
    const [, , read] = await Promise.all([
      store.gc(),
      Promise.all(
        [1, 2, 3].map((index) => keep.insert(floats([3000], 50 + index), { name: `new ${index}` })),
      ),
      contents(store),
    ]);
    expect(read).toMatchObject(before);
    const after = await contents(store);
    expect(after).toMatchObject(before);
    expect(Object.keys(after)).toHaveLength(Object.keys(before).length + 3);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("another process that has the store open goes on", async () => {
    const directory = temporaryDirectory();
    const ours = await openStore(directory, SMALL);
    await fillForGc(ours);
    const theirs = await openStore(directory, SMALL);
    const keep = (await theirs.dataset("keep"))!;
    await keep.insert(floats([3000], 60), { name: "theirs" });
    const before = await contents(ours);
    const { packsRemoved, packsRewritten } = await ours.gc();
    expect(packsRemoved).toBeGreaterThan(0);
    expect(packsRewritten).toBeGreaterThan(0);
    expect(await contents(theirs)).toEqual(before);
    await keep.insert(floats([3000], 61), { name: "after" });
    expect(Object.keys(await contents(ours))).toHaveLength(Object.keys(before).length + 1);
    expect(await ours.verify({ deep: true })).toMatchObject({ ok: true });
    await theirs.deleteDataset("keep");
    await theirs.gc();
    expect(await ours.stats()).toMatchObject({ chunks: 0, datasets: [] });
    expect((await ours.stats()).residualBytes).toBe(0);
    await theirs.close();
    await ours.close();
  });

  test("orphans that are old and nobody's are removed, young ones stay", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await (await store.createDataset("a")).insert(floats([2000], 1));
    const context = await contextOf(store);
    const { name: young } = await sealedPack(context, floats([5000], 2));
    const { name: old } = await sealedPack(context, floats([5000], 2));
    const longAgo = new Date(Date.now() - SPARED_MS - 1000);
    utimesSync(join(directory, "packs", `${old}.pack`), longAgo, longAgo);
    expect((await store.stats()).overheads.orphanPacks).toBeGreaterThan(0);
    await store.gc();
    const names = (await context.packs.list()).map(({ name }) => name);
    expect(names).toContain(young);
    expect(names).not.toContain(old);
    expect(await store.stats()).toMatchObject({ residualBytes: 0 });
    await store.close();
  });
});

describe("gc and crashes", () => {
  const kinds: readonly FaultKind[] = [
    "open",
    "write",
    "sync",
    "rename",
    "unlink",
    "syncDirectory",
    "truncate",
    "close",
  ];

  /** A store before its gc, and the log of its files up to there. Only the catalog and the lock are on the disk, in `root`. */
  async function beforeGc() {
    const root = join(temporaryDirectory(), "store");
    mkdirSync(root);
    const files = memoryFileSystem();
    const recording = recordingFileSystem(files);
    const store = await openStore(root, { ...SMALL, fileSystem: recording });
    await fillForGc(store);
    const before = await contents(store);
    await store.close();
    const saved = join(temporaryDirectory(), "saved");
    cpSync(root, saved, { recursive: true });
    /** Puts the catalog back as it was before gc, or takes it away. */
    const restore = (catalog: "as it was" | "lost"): void => {
      rmSync(root, { recursive: true });
      if (catalog === "lost") mkdirSync(root);
      else cpSync(saved, root, { recursive: true });
    };
    return { root, files, recording, before, restore };
  }

  test("a failure of any file operation leaves a store that opens and is whole", async () => {
    const { root, files, before, restore } = await beforeGc();
    let runs = 0;
    for (const operation of kinds) {
      for (let after = 1, failed = true; failed; after++) {
        restore("as it was");
        const copy = files.copy();
        const failing = failingFileSystem(copy);
        const store = await openStore(root, { ...SMALL, fileSystem: failing });
        failing.fail({ operation, after, forGood: true });
        await store.gc().catch((error: unknown) => expect(error).toMatchObject({ tag: "storage" }));
        await store.close().catch(() => undefined);
        failed = failing.failures > 0;
        runs += 1;
        await expectWhole(root, copy, before, `${operation} ${after}`);
      }
    }
    expect(runs).toBeGreaterThan(40);
  });

  test("a catalog that cannot follow an entry of gc catches up before the next commit", async () => {
    const store = await openStore(":memory:", SMALL);
    await fillForGc(store);
    const before = await contents(store);
    const { catalog } = await contextOf(store);
    // The entry that drops chunks is committed, but the catalog fails twice: at once, and when it is to catch up.
    const apply = catalog.apply.bind(catalog);
    let failures = 0;
    catalog.apply = (entry, ...rest) => {
      if (failures < 2 && entry.ops.some(({ op }) => op === "chunks.drop")) {
        failures += 1;
        throw new Error("the catalog's disk is full");
      }
      apply(entry, ...rest);
    };
    await expect(store.gc()).rejects.toThrow("disk is full");
    expect(failures).toBe(2);
    // The same bytes as those of a chunk that is dropped in the journal, but not in the catalog yet.
    await (await store.dataset("keep"))!.insert(floats([60, 100], 10), { name: "again" });
    await store.gc();
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
    await store.rebuild();
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
    expect(await contents(store)).toMatchObject(before);
    await store.close();
  });

  test("packs that a crashed gc dropped are not orphans as long as the journal names them", async () => {
    const { root, files, before } = await beforeGc();
    const failing = failingFileSystem(files);
    const options = { ...SMALL, fileSystem: failing };
    const store = await openStore(root, options);
    failing.fail({ operation: "rename", path: "journal/" });
    await expect(store.gc()).rejects.toMatchObject({ tag: "storage" });
    const { orphanPacks } = (await store.stats()).overheads;
    expect(orphanPacks).toBeGreaterThan(0);
    await store.close();
    // So old that orphans would go; but a rebuild still needs them.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * SPARED_MS });
    try {
      const again = await openStore(root, options);
      failing.fail({ operation: "rename", path: "journal/" });
      await expect(again.gc()).rejects.toMatchObject({ tag: "storage" });
      expect((await again.stats()).overheads.orphanPacks).toBe(orphanPacks);
      await again.rebuild();
      expect(await contents(again)).toEqual(before);
      expect((await again.gc()).packsRemoved).toBeGreaterThan(0);
      expect(await again.stats()).toMatchObject({ overheads: { orphanPacks: 0 } });
      await again.rebuild();
      expect(await contents(again)).toEqual(before);
      await again.close();
    } finally {
      vi.useRealTimers();
    }
  });

  /** Opens what a crash left, checks it, and lets gc finish. */
  async function expectWhole(
    root: string,
    fileSystem: FileSystem,
    before: Record<string, string>,
    where: string,
  ): Promise<void> {
    const store = await openStore(root, { ...SMALL, fileSystem });
    expect(await store.verify({ deep: true }), where).toMatchObject({ ok: true, problems: [] });
    expect(await contents(store), where).toEqual(before);
    await store.rebuild();
    expect(await contents(store), where).toEqual(before);
    expect((await store.gc()).problems, where).toEqual([]);
    expect(await store.verify({ deep: true }), where).toMatchObject({ ok: true, problems: [] });
    expect(await contents(store), where).toEqual(before);
    await store.close();
  }

  test("a power cut after any file operation leaves a journal that can be replayed", async () => {
    const { root, recording, before, restore } = await beforeGc();
    const from = recording.log.length;
    const again = await openStore(root, { ...SMALL, fileSystem: recording });
    await again.gc();
    await again.close();
    expect(recording.log.length - from).toBeGreaterThan(20);
    for (let count = from; count <= recording.log.length; count++) {
      // SQLite may have lost its last transactions, or all: it is behind the journal, never ahead.
      for (const [loseUnsynced, catalog] of [
        [false, "lost"],
        [true, "lost"],
        [true, "as it was"],
      ] as const) {
        restore(catalog);
        const fileSystem = await crashImage(recording.log, count, { loseUnsynced });
        const store = await openStore(root, { ...SMALL, fileSystem });
        const where = `${count} operations, ${loseUnsynced}, catalog ${catalog}`;
        expect(await contents(store), where).toEqual(before);
        expect((await store.verify()).problems, where).toEqual([]);
        await store.close();
      }
    }
  });
});

describe("prune", () => {
  async function versions(store: Store) {
    const dataset = await store.createDataset("v");
    for (let version = 1; version <= 6; version++) {
      await dataset.insert(floats([10], version), { name: "x", replace: true });
      if (version === 2) await dataset.tag("two");
    }
    return dataset;
  }

  test("keeps what any criterion keeps", async () => {
    const store = await openStore(":memory:", SMALL);
    const dataset = await versions(store);
    const dry = await store.prune({ keepLast: 2, keepTagged: true, dryRun: true });
    expect(dry.datasets).toEqual([{ name: "v", kept: [2, 5, 6], expired: [1, 3, 4] }]);
    expect(await dataset.versions()).toHaveLength(6);
    expect(await store.prune({ keepWithinMs: 60_000 })).toMatchObject({ datasets: [{ expired: [] }] });
    expect(await store.prune({ keepLast: 2, keepTagged: true })).toEqual({ ...dry, dryRun: false });
    expect((await dataset.versions()).map(({ version }) => version)).toEqual([2, 5, 6]);
    expect((await store.prune({ keepLast: 0, dataset: "v" })).datasets[0]!.kept).toEqual([6]);
    expect(await dataset.tags()).toEqual(new Map());
    await store.close();
  });

  test("without a criterion, or for a dataset that is not there, it is refused", async () => {
    const store = await openStore(":memory:", SMALL);
    await versions(store);
    await expect(store.prune({})).rejects.toThrow(UsageError);
    await expect(store.prune({ keepLast: -1 })).rejects.toThrow("keepLast");
    await expect(store.prune({ keepLast: 1, dataset: "w" })).rejects.toMatchObject({ tag: "not-found" });
    await store.close();
  });
});
