/** Chunks coded against any others, through anything that a store does to them: what is in it stays what was put in, also after a crash. */
import { cpSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type FaultKind, failingFileSystem } from "../src/files/failing.ts";
import type { FileSystem } from "../src/files/file-system.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { crashImage, recordingFileSystem } from "../src/files/recording.ts";
import { openStore, type Store } from "../src/index.ts";
import { contents, contextOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";
import { allowed, chunkIds, codeAgainst, codeRecordAgainst, tuned } from "./sibling-fixture.ts";
import { floats } from "./store-harness.ts";

type Step = readonly [kind: number, a: number, b: number, c: number];

const presets = ["none", "fast", "lossless", "archive"];

/** One change to a store; what cannot be done now is left out. */
async function take(store: Store, [kind, a, b, c]: Step): Promise<void> {
  const name = `set ${a % 3}`;
  const dataset =
    (await store.dataset(name)) ??
    (await store.createDataset(name, { preset: presets[b % 2 === 0 ? 0 : 2]! }));
  switch (kind) {
    case 0:
    case 1: {
      // Few seeds: tensors share chunks, and come again.
      const tensor = floats([1024 + 500 * (b % 6)], b % 5);
      const changed = c % 2 === 0 ? tensor : tuned(tensor, c);
      await dataset.insert(changed, { name: `tensor ${c % 4}`, replace: true });
      return;
    }
    case 2:
    case 3:
    case 4: {
      const context = await contextOf(store);
      const ids = [...context.catalog.allChunks()].map(({ id }) => id);
      if (ids.length === 0) return;
      const pairs = Array.from({ length: 1 + (c % 4) }, (_, at): [number, number] => [
        ids[(a + 3 * at) % ids.length]!,
        ids[(b + at * (c % 3)) % ids.length]!,
      ]);
      const chosen = allowed(context, pairs);
      if (chosen.length > 0) await codeAgainst(store, chosen, c % 3 === 0 ? "lossless" : "xor");
      return;
    }
    case 5:
      await dataset.delete(`tensor ${c % 4}`);
      return;
    case 6:
      if (b % 3 === 0) await store.deleteDataset(name);
      else if (b % 3 === 2) await store.prune({ keepLast: 1 });
      else if (dataset.version > 0) await dataset.tag(`tag-${c % 2}`, { move: true });
      return;
    case 7:
      await store.gc();
      return;
    case 8:
      await dataset.recompress(presets[b % presets.length]!);
      return;
    case 9:
      await store.optimize(b % 4 === 0 ? { dataset: name } : {});
      return;
    default:
      await store.rebuild();
  }
}

/** Steps that must not change what is in a store. */
const isMaintenance = ([kind, , b]: Step): boolean =>
  (kind >= 2 && kind <= 4) || kind >= 7 || (kind === 6 && b % 3 !== 0);

async function expectWhole(store: Store, before: Record<string, string>, where?: string): Promise<void> {
  expect(await contents(store), where).toEqual(before);
  expect(await store.verify({ deep: true }), where).toMatchObject({ ok: true, problems: [] });
  expect(await store.stats(), where).toMatchObject({ residualBytes: 0 });
}

test("anything that a store does to chunks leaves what was put in", async () => {
  const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(10), fc.nat(30), fc.nat(30), fc.nat(30));
  const beginning: readonly Step[] = [
    [0, 0, 0, 0],
    [0, 0, 1, 1],
    [0, 1, 5, 1],
    [2, 1, 3, 2],
    [2, 5, 3, 3],
  ];
  let coded = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30, size: "max" }), async (steps) => {
      const store = await openStore(":memory:", SMALL);
      for (const each of [...beginning, ...steps]) {
        const before = await contents(store);
        await take(store, each);
        if (isMaintenance(each)) expect(await contents(store)).toEqual(before);
      }
      const { catalog } = await contextOf(store);
      coded += [...catalog.allChunks()].filter(({ sibling }) => sibling !== undefined).length;
      const before = await contents(store);
      await expectWhole(store, before);
      await store.gc();
      await expectWhole(store, before);
      expect(await store.stats()).toMatchObject({ unreferencedBytes: 0 });
      await store.rebuild();
      await expectWhole(store, before);
      for (const { name } of await store.datasets()) await store.deleteDataset(name);
      await store.gc();
      expect(await store.stats()).toMatchObject({ chunks: 0, storedBytes: 0 });
      await store.close();
    }),
    { numRuns: 25 },
  );
  expect(coded).toBeGreaterThan(20);
});

describe("crashes", () => {
  const base = floats([3000], 1);

  /** A store before its gc, in which a dataset that others are coded against was deleted; only the catalog and the lock are on the disk. */
  async function beforeGc() {
    const root = join(temporaryDirectory(), "store");
    mkdirSync(root);
    const files = memoryFileSystem();
    const recording = recordingFileSystem(files);
    const store = await openStore(root, { ...SMALL, fileSystem: recording });
    for (const [name, tensor] of [
      ["base", base],
      ["tuned", tuned(base, 2)],
      ["gone", tuned(base, 3)],
    ] as const) {
      const dataset = await store.createDataset(name, { preset: "none" });
      await dataset.insert(tensor, { name: "w" });
      await dataset.insert(floats([6000], name.length), { name: "own" });
    }
    await codeRecordAgainst(store, ["tuned", "w"], ["base", "w"]);
    await codeRecordAgainst(store, ["gone", "w"], ["base", "w"]);
    for (const name of ["base", "gone"]) await store.deleteDataset(name);
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

  /** Opens what a crash left, checks it, and lets gc finish. */
  async function expectRecovered(
    root: string,
    fileSystem: FileSystem,
    before: Record<string, string>,
    where: string,
  ): Promise<void> {
    const store = await openStore(root, { ...SMALL, fileSystem });
    await expectWhole(store, before, where);
    await store.rebuild();
    expect((await store.gc()).problems, where).toEqual([]);
    await expectWhole(store, before, where);
    expect(await chunkIds(store, "tuned", "w")).toHaveLength(3);
    expect((await store.stats("tuned")).siblingChunks, where).toBe(3);
    await store.close();
  }

  test("a failure of any file operation of gc leaves both, or neither", async () => {
    const kinds: readonly FaultKind[] = ["write", "sync", "rename", "unlink"];
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
        await expectRecovered(root, copy, before, `${operation} ${after}`);
      }
    }
    expect(runs).toBeGreaterThan(15);
  });

  test("a power cut after any file operation leaves a journal that brings both back", async () => {
    const { root, recording, before, restore } = await beforeGc();
    const from = recording.log.length;
    const again = await openStore(root, { ...SMALL, fileSystem: recording });
    await again.gc();
    await again.close();
    expect(recording.log.length - from).toBeGreaterThan(15);
    for (let count = from; count <= recording.log.length; count++) {
      for (const loseUnsynced of [false, true]) {
        restore("lost");
        const fileSystem = await crashImage(recording.log, count, { loseUnsynced });
        const store = await openStore(root, { ...SMALL, fileSystem });
        const where = `${count} operations, ${loseUnsynced}`;
        expect(await contents(store), where).toEqual(before);
        expect((await store.verify()).problems, where).toEqual([]);
        await store.close();
      }
    }
  });
});
