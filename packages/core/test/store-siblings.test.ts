/** Stored chunks that are coded against others: reading, maintenance and damage. How imports choose them is another matter. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DamageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { nodeFileSystem, openStore, type Store } from "../src/index.ts";
import { contents, contextOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";
import { chunkIds, codeAgainst, codeRecordAgainst, tuned } from "./sibling-fixture.ts";
import {
  countingFileSystem,
  expectTensor,
  failureOf,
  floats,
  framesIn,
  writeSafetensors,
} from "./store-harness.ts";

const base = floats([30, 1000], 1);
const child = tuned(base, 2);

/** Datasets `base` and `tuned` with a tensor `w` each; that of `tuned` is coded against the other. Both also have tensors of their own. */
async function family(directory: string, by: "xor" | "lossless" = "xor"): Promise<Store> {
  const store = await openStore(directory, SMALL);
  for (const [name, tensor, seed] of [
    ["base", base, 10],
    ["tuned", child, 20],
  ] as const) {
    const dataset = await store.createDataset(name, { preset: "none" });
    await dataset.insert(tensor, { name: "w" });
    await dataset.insert(floats([5000], seed), { name: "own" });
    await dataset.insert(floats([10], seed), { name: "small" });
  }
  await codeRecordAgainst(store, ["tuned", "w"], ["base", "w"], by);
  return store;
}

async function siblingsOf(store: Store): Promise<number> {
  const { catalog } = await contextOf(store);
  return [...catalog.allChunks()].filter(({ sibling }) => sibling !== undefined).length;
}

async function expectWhole(store: Store, before: Record<string, string>): Promise<void> {
  expect(await contents(store)).toEqual(before);
  expect(await store.verify({ deep: true })).toMatchObject({ ok: true, problems: [] });
  expect(await store.stats()).toMatchObject({ residualBytes: 0 });
}

describe("reading", () => {
  test.each([0, 2])("gives what was put in, whole and in parts, with %d workers", async (workers) => {
    const directory = temporaryDirectory();
    await (await family(directory, "lossless")).close();
    const files = countingFileSystem(nodeFileSystem);
    const store = await openStore(directory, { workers, fileSystem: files });
    expect(await siblingsOf(store)).toBe(30);
    const { siblingChunks, siblingBytes, standaloneBytes } = await store.stats("tuned");
    expect(siblingChunks).toBe(30);
    expect(siblingBytes).toBeLessThan(0.6 * 30 * 4000);
    expect(standaloneBytes).toBeGreaterThan(siblingBytes + 30 * 4000);
    const dataset = (await store.dataset("tuned"))!;
    files.reset();
    expectTensor(await dataset.get("w"), child);
    // Each frame once, those that others are coded against, too.
    const frames = siblingBytes + 30 * (4000 + 56);
    expect(files.packBytes).toBeGreaterThanOrEqual(frames);
    expect(files.packBytes).toBeLessThan(frames + 20_000);
    files.reset();
    for (const rows of [[3], [29, 4, 4, 11], [0, 1, 2]]) {
      const found = (await dataset.gather("w", rows))!;
      const expected = rows.flatMap((row) => [...child.data.slice(1000 * row, 1000 * row + 1000)]);
      expect([...found.data]).toEqual(expected);
    }
    const column = (await dataset.slice("w", [null, 7]))!;
    expect([...column.data]).toEqual(Array.from({ length: 30 }, (_, row) => child.data[1000 * row + 7]));
    // Slices take what they need along, and no more: 4 rows, then 30.
    expect(files.packBytes).toBeLessThan(1.5 * frames);
    await store.close();
  });

  test("a chunk and what it is coded against, read together, take one frame each", async () => {
    const directory = temporaryDirectory();
    const first = await openStore(directory, SMALL);
    const dataset = await first.createDataset("a", { preset: "none" });
    const rows = Float32Array.from([...base.data, ...child.data]);
    await dataset.insert({ dtype: "float32", shape: [60, 1000], data: rows }, { name: "both" });
    const chunks = await chunkIds(first, "a", "both");
    // Forwards and backwards, and several against the same one.
    await codeAgainst(first, [
      ...chunks.slice(30, 58).map((chunk, index): [number, number] => [chunk, chunks[index]!]),
      [chunks[29]!, chunks[59]!],
      [chunks[28]!, chunks[59]!],
    ]);
    await first.close();
    const files = countingFileSystem(nodeFileSystem);
    const store = await openStore(directory, { ...SMALL, fileSystem: files });
    files.reset();
    expectTensor(await (await store.dataset("a"))!.get("both"), {
      dtype: "float32",
      shape: [60, 1000],
      data: rows,
    });
    const frameBytes = (await store.stats()).storedBytes;
    expect(files.packBytes).toBeLessThan(frameBytes + 100_000);
    expect(files.packBytes).toBeGreaterThanOrEqual(frameBytes);
    await store.close();
  });

  test("chunks of the widest elements, as long as they get", async () => {
    const options = { workers: 0, memoryBytes: 32 * 1024 * 1024 };
    const store = await openStore(":memory:", options);
    const dataset = await store.createDataset("a", { preset: "none" });
    const bytes = (seed: number): Float64Array => new Float64Array(floats([4 * 131_072], seed).data.buffer);
    for (const [name, seed] of [
      ["x", 1],
      ["y", 2],
    ] as const)
      await dataset.insert({ dtype: "complex128", shape: [131_072], data: bytes(seed) }, { name });
    await codeRecordAgainst(store, ["a", "y"], ["a", "x"]);
    expect((await dataset.get("y"))!.bytes()).toEqual(new Uint8Array(bytes(2).buffer));
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("files come out bit for bit", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(join(directory, "store"), SMALL);
    const path = (name: string): string => join(directory, `${name}.safetensors`);
    writeSafetensors(path("base"), { w: base, v: floats([3000], 3) });
    writeSafetensors(path("tuned"), { w: child, v: tuned(floats([3000], 3), 4) });
    for (const name of ["base", "tuned"]) {
      await store.createDataset(name, { preset: "none" });
      await store.importFile(path(name), { dataset: name });
    }
    for (const name of ["v", "w"]) await codeRecordAgainst(store, ["tuned", name], ["base", name]);
    expect(await store.verifyAgainst("tuned", path("tuned"))).toMatchObject({ ok: true, files: 1 });
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, files: 2 });
    const out = join(directory, "out");
    await store.exportDataset("tuned", out);
    expect(readFileSync(join(out, "tuned.safetensors"))).toEqual(readFileSync(path("tuned")));
    await store.close();
  });
});

describe("maintenance", () => {
  test("what others are coded against outlives its dataset, and goes with the last of them", async () => {
    const directory = temporaryDirectory();
    const store = await family(directory);
    const before = await contents(store);
    const shared = 30 * (4000 + 56);
    expect(await store.stats("base")).toMatchObject({ sharedBytes: shared });
    await store.deleteDataset("base");
    // Records of its own: 5 chunks, and a bundle.
    expect(await store.gc()).toMatchObject({ tensors: 3, chunks: 6, problems: [] });
    const kept = Object.fromEntries(Object.entries(before).filter(([name]) => name.startsWith("tuned")));
    await expectWhole(store, kept);
    const { exclusiveBytes, standaloneBytes, amortizedBytes, siblingBytes } = await store.stats("tuned");
    expect([exclusiveBytes, amortizedBytes]).toEqual([standaloneBytes, standaloneBytes]);
    expect(standaloneBytes).toBeGreaterThan(shared + siblingBytes);
    expect(await store.stats()).toMatchObject({ unreferencedBytes: 0, storedBytes: standaloneBytes });
    expect((await store.gc({ dryRun: true })).chunks).toBe(0);
    await store.rebuild();
    await expectWhole(store, kept);
    await store.deleteDataset("tuned");
    await store.gc();
    expect(await store.stats()).toMatchObject({ chunks: 0, storedBytes: 0, residualBytes: 0 });
    await store.close();
  });

  test("old versions keep what they are coded against, until they expire", async () => {
    const store = await family(":memory:");
    await (await store.dataset("tuned"))!.tag("first");
    await (await store.dataset("tuned"))!.delete("w");
    await store.deleteDataset("base");
    await store.gc();
    expectTensor(await (await store.dataset("tuned"))!.at("first").get("w"), child);
    expect((await store.stats("tuned")).historyBytes).toBeGreaterThan(30 * 8000);
    expect(await store.stats()).toMatchObject({ residualBytes: 0, unreferencedBytes: 0 });
    await store.prune({ keepLast: 1 });
    expect((await store.gc()).chunks).toBe(60);
    expect((await store.stats("tuned")).historyBytes).toBe(0);
    await store.close();
  });

  test("a snapshot brings both back, wherever they lie", async () => {
    const store = await family(temporaryDirectory());
    const before = await contents(store);
    const { catalog } = await contextOf(store);
    // What the others are coded against is moved to a pack that is newer than theirs.
    const basePack = catalog.chunk((await chunkIds(store, "base", "w"))[0]!)!.pack;
    await (await store.dataset("base"))!.delete("own");
    await (await store.dataset("tuned"))!.delete("own");
    expect((await store.gc()).packsRewritten).toBeGreaterThan(0);
    expect(catalog.chunk((await chunkIds(store, "base", "w"))[0]!)!.pack).not.toBe(basePack);
    expect(await siblingsOf(store)).toBe(30);
    for (const name of ["base/#own", "tuned/#own"]) delete before[name];
    await expectWhole(store, before);
    await store.rebuild();
    expect(await siblingsOf(store)).toBe(30);
    await expectWhole(store, before);
    await store.close();
  });

  test("recompressing keeps to the same sibling or to none, and frees what is not needed any more", async () => {
    const store = await family(":memory:");
    const before = await contents(store);
    const dataset = (await store.dataset("tuned"))!;
    // Raw differences of XOR are what any coding improves on.
    expect(await dataset.recompress("lossless")).toMatchObject({ recoded: 35 });
    expect(await siblingsOf(store)).toBe(30);
    const [chunk] = await chunkIds(store, "tuned", "w");
    const [baseChunk] = await chunkIds(store, "base", "w");
    const { catalog } = await contextOf(store);
    expect(catalog.chunk(chunk!)!.sibling).toBe(baseChunk);
    await expectWhole(store, before);
    // What it is coded against is coded by itself, and tells whom that affects.
    const { alsoAffects } = await (await store.dataset("base"))!.recompress("archive");
    expect(alsoAffects).toEqual(["tuned"]);
    expect(catalog.chunk(baseChunk!)!.sibling).toBeUndefined();
    await expectWhole(store, before);
    // By name, a codec replaces everything.
    expect(await dataset.recompress("none")).toMatchObject({ recoded: 35 });
    expect(await siblingsOf(store)).toBe(0);
    await expectWhole(store, before);
    await store.deleteDataset("base");
    expect((await store.gc()).chunks).toBe(36);
    await store.close();
  });

  test("readers go on while chunks are coded anew, collected and moved", async () => {
    const store = await family(temporaryDirectory());
    const before = await contents(store);
    const dataset = (await store.dataset("tuned"))!;
    let done = false;
    const reading = (async () => {
      let reads = 0;
      for (; !done; reads++) {
        expectTensor(await dataset.get("w"), child);
        expect([...(await dataset.slice("w", [reads % 30, 5]))!.data]).toEqual([
          child.data[1000 * (reads % 30) + 5],
        ]);
      }
      return reads;
    })();
    for (const preset of ["lossless", "none", "lossless"]) {
      await dataset.recompress(preset);
      await store.gc();
      if (preset === "none") await codeRecordAgainst(store, ["tuned", "w"], ["base", "w"]);
    }
    done = true;
    expect(await reading).toBeGreaterThan(3);
    await expectWhole(store, before);
    await store.close();
  });
});

describe("damage", () => {
  async function damaged(which: "base" | "tuned"): Promise<{ directory: string; heal: () => void }> {
    const directory = temporaryDirectory();
    const store = await family(directory);
    const chunks = await chunkIds(store, which, "w");
    const { hash } = (await contextOf(store)).catalog.chunk(chunks[5]!)!;
    await store.close();
    const frame = framesIn(directory).findLast((one) => one.hash === Buffer.from(hash).toString("hex"))!;
    const clean = readFileSync(frame.pack);
    const bytes = Buffer.from(clean);
    bytes[frame.offset + frame.bytes - 9]! ^= 4;
    writeFileSync(frame.pack, bytes);
    return { directory, heal: () => writeFileSync(frame.pack, clean) };
  }

  test("of what others are coded against hits these, by name, and only where they need it", async () => {
    const { directory, heal } = await damaged("base");
    const store = await openStore(directory, SMALL);
    for (const name of ["base", "tuned"]) {
      const dataset = (await store.dataset(name))!;
      for (const read of [
        () => dataset.get("w"),
        () => dataset.slice("w", [5]),
        () => dataset.gather("w", [4, 5]),
      ]) {
        const failure = await failureOf(read());
        expect(failure).toBeInstanceOf(DamageError);
        expect(failure).toMatchObject({ tensors: ["base/w", "tuned/w"] });
        expect(failure.message).toContain("checksum");
      }
      const rows = (await dataset.slice("w", [[6, 30]]))!;
      expect([...rows.data]).toEqual([...(name === "base" ? base : child).data.slice(6000)]);
      expect(await dataset.get("own")).toBeDefined();
    }
    expect((await store.verify()).problems.map(({ tensors }) => tensors)).toEqual([["base/w", "tuned/w"]]);
    const { problems } = await store.verify({ deep: true });
    expect(problems.map(({ tensors }) => tensors)).toEqual([["base/w", "tuned/w"], ["tuned/w"]]);
    expect(problems[1]!.message).toMatch(/is coded against the chunk in pack .*, which is damaged/);
    await expect((await store.dataset("tuned"))!.recompress("none")).rejects.toMatchObject({
      tag: "damage",
      tensors: ["base/w", "tuned/w"],
    });
    expect(await siblingsOf(store)).toBe(30);
    await store.close();
    heal();
    const healed = await openStore(directory, SMALL);
    expect(await healed.verify({ deep: true })).toMatchObject({ ok: true });
    await healed.close();
  });

  test("of a chunk that is coded against another one hits itself only", async () => {
    const { directory } = await damaged("tuned");
    const store = await openStore(directory, SMALL);
    expect(await failureOf((await store.dataset("tuned"))!.get("w"))).toMatchObject({ tensors: ["tuned/w"] });
    expectTensor(await (await store.dataset("base"))!.get("w"), base);
    const { problems } = await store.verify({ deep: true });
    expect(problems.map(({ tensors }) => tensors)).toEqual([["tuned/w"]]);
    await store.close();
  });

  test("a pack that is lost with what others are coded against is damage that names them, never zeros", async () => {
    const directory = temporaryDirectory();
    const first = await family(directory);
    const [chunk] = await chunkIds(first, "base", "w");
    const { pack } = (await contextOf(first)).catalog.chunk(chunk!)!;
    await first.close();
    rmSync(join(directory, "packs", `${pack}.pack`));
    const store = await openStore(directory, SMALL);
    const dataset = (await store.dataset("tuned"))!;
    for (const read of [() => dataset.get("w"), () => dataset.slice("w", [5])]) {
      const failure = await failureOf(read());
      expect(failure).toMatchObject({ tag: "damage", where: expect.stringContaining(pack) });
      expect(failure["tensors"]).toEqual(["base/w", "tuned/w"]);
    }
    await expect(store.rebuild()).rejects.toMatchObject({ tag: "damage" });
    await store.close();
  });
});
