import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openStore, type Store } from "../src/index.ts";
import { rebuildStore } from "../src/store/rebuild.ts";
import { contents, contextOf, floats, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";

async function fill(store: Store): Promise<void> {
  await store.definePreset("mine", { codec: { id: "zstd", level: 3 } });
  const a = await store.createDataset("a", { metadata: { kind: "test" }, indexed: ["label"] });
  const b = await store.createDataset("b", { preset: "maximum" });
  for (let index = 0; index < 8; index++) {
    await a.insert(floats([100 + 500 * index], index), { name: `x${index}`, metadata: { label: index } });
    await b.insert(floats([30, 100], index), { name: `y${index}` });
  }
  await a.tag("first");
  await a.delete("x3");
  await a.rollback("first");
  await a.recompress("mine");
  await store.createDataset("gone");
  await store.deleteDataset("gone");
}

/** Everything that the catalog says, as one comparable value. */
async function dump(store: Store): Promise<unknown> {
  const { catalog } = await contextOf(store);
  return {
    operations: [...catalog.snapshotEntries()],
    position: catalog.position().sequence,
    counters: catalog.counters(),
  };
}

describe("rebuild", () => {
  test("gives an equal catalog, also from a snapshot", async () => {
    const store = await openStore(temporaryDirectory(), SMALL);
    await fill(store);
    const before = await dump(store);
    const read = await contents(store);
    const result = await store.rebuild();
    expect(result.entries).toBeGreaterThan(20);
    expect(result.chunks).toBeGreaterThan((await store.stats()).chunks);
    expect(await dump(store)).toEqual(before);
    expect(await contents(store)).toEqual(read);
    await store.gc();
    const collected = await dump(store);
    const again = await store.rebuild();
    expect(again.entries).toBeLessThan(5);
    expect(await dump(store)).toEqual(collected);
    // It goes on from there.
    await (await store.dataset("a"))!.insert(floats([2000], 77), { name: "after" });
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.rebuild();
    expect(Object.keys(await contents(store))).toHaveLength(Object.keys(read).length + 1);
    await store.close();
  });

  test("a store whose catalog is lost or broken comes back", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await fill(store);
    const before = await dump(store);
    await store.close();
    const copyOf = (): string => {
      const copy = join(temporaryDirectory(), "copy");
      cpSync(directory, copy, { recursive: true });
      return copy;
    };

    const lost = copyOf();
    rmSync(join(lost, "catalog.sqlite"));
    const opened = await openStore(lost, SMALL);
    expect(await dump(opened)).toEqual(before);
    await opened.close();

    for (const wreck of ["not a database at all".repeat(1000), "\0".repeat(100_000)]) {
      const broken = copyOf();
      writeFileSync(join(broken, "catalog.sqlite"), wreck);
      writeFileSync(join(broken, "catalog.sqlite-wal"), "rubbish");
      await expect(openStore(broken, SMALL)).rejects.toMatchObject({ tag: "damage" });
      const seen: string[] = [];
      const result = await rebuildStore(broken, { onProgress: ({ phase }) => seen.push(phase) });
      expect(result.entries).toBeGreaterThan(20);
      expect(seen).toContain("rebuild");
      const again = await openStore(broken, SMALL);
      expect(await dump(again)).toEqual(before);
      expect(await again.verify({ deep: true })).toMatchObject({ ok: true });
      await again.close();
      expect(readdirSync(broken).filter((name) => name.includes("rebuilt"))).toEqual([]);
    }
    await expect(rebuildStore(temporaryDirectory())).rejects.toMatchObject({ tag: "store-open" });
  });

  test("keeps the catalog it has when the journal or a pack is damaged", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await fill(store);
    const before = await contents(store);
    const dumped = await dump(store);
    const packs = join(directory, "packs");
    const [pack] = readdirSync(packs);
    const bytes = readFileSync(join(packs, pack!));
    rmSync(join(packs, pack!));
    await expect(store.rebuild()).rejects.toMatchObject({ tag: "damage" });
    expect(await dump(store)).toEqual(dumped);
    await store.close();
    await expect(rebuildStore(directory)).rejects.toThrow();
    writeFileSync(join(packs, pack!), bytes);
    const journal = join(directory, "journal");
    const segment = join(journal, readdirSync(journal)[0]!);
    const entries = readFileSync(segment);
    const wrecked = Buffer.from(entries);
    wrecked[wrecked.length >> 1]! ^= 1;
    writeFileSync(segment, wrecked);
    await expect(rebuildStore(directory)).rejects.toMatchObject({ tag: "damage" });
    writeFileSync(segment, entries);
    const again = await openStore(directory, SMALL);
    expect(await contents(again)).toEqual(before);
    expect(await dump(again)).toEqual(dumped);
    await again.close();
  });

  test("waits for nobody longer than it is told to", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    await store.createDataset("a");
    const context = await contextOf(store);
    const lease = await context.parts.lock.acquire();
    await expect(rebuildStore(directory, { waitMs: 10 })).rejects.toMatchObject({ tag: "lock-timeout" });
    lease.release();
    expect(await rebuildStore(directory, { waitMs: 10_000 })).toMatchObject({ entries: 1, chunks: 0 });
    await store.close();
  });
});
