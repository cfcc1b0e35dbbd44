import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DamageError, StoreOpenError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { nodeFileSystem, openStore } from "../src/index.ts";
import {
  contentOf,
  expectTensor,
  failureOf,
  floats,
  framesIn,
  kinds,
  newStore,
  openTestStore,
  scalar,
  temporaryDirectory,
} from "./store-harness.ts";

/** What a store says when it is opened. */
async function refusal(
  directory: string,
  options: Parameters<typeof openStore>[1] = {},
): Promise<StoreOpenError> {
  const failure = await failureOf(openStore(directory, { workers: 0, ...options }));
  expect(failure).toBeInstanceOf(StoreOpenError);
  expect(failure["directory"]).toBe(directory);
  expect(failure.message).toContain(directory);
  return failure as unknown as StoreOpenError;
}

/** A closed store with a few commits. */
async function filledStore(): Promise<{ directory: string; content: unknown[] }> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  const dataset = await store.createDataset("a", { metadata: { m: 1 } });
  await dataset.insert(floats([50_000], 1), { name: "x", metadata: { n: 1 } });
  await dataset.insert(scalar(1), { name: "y" });
  await dataset.tag("v");
  await dataset.update("x", { metadata: { n: 2 } });
  const content = await contentOf(dataset);
  await store.close();
  return { directory, content };
}

const contentAt = async (directory: string, options = {}): Promise<unknown[]> =>
  contentOf((await (await openTestStore(directory, options)).dataset("a"))!);

describe("directories that are no stores are refused", () => {
  test("and left as they were", async () => {
    const folder = temporaryDirectory();
    const file = join(folder, "file");
    writeFileSync(file, "x");
    expect((await refusal(file)).reason).toBe("not-a-store");
    const foreign = join(folder, "foreign");
    mkdirSync(foreign);
    for (const name of ["a.txt", "b.txt", "c.txt", "d.txt"]) writeFileSync(join(foreign, name), "x");
    const refused = await refusal(foreign);
    expect(refused.reason).toBe("not-a-store");
    expect(refused.message).toContain("a.txt");
    expect(readdirSync(foreign)).toEqual(["a.txt", "b.txt", "c.txt", "d.txt"]);
    const other = join(folder, "other");
    mkdirSync(other);
    writeFileSync(join(other, "tensorcask.json"), JSON.stringify({ format: "something else" }));
    expect((await refusal(other)).reason).toBe("not-a-store");
    const catalogOnly = join(folder, "catalog only");
    mkdirSync(catalogOnly);
    writeFileSync(join(catalogOnly, "catalog.sqlite"), "x");
    expect((await refusal(catalogOnly)).reason).toBe("not-a-store");
    for (const options of [{ create: false }, { readOnly: true }]) {
      expect((await refusal(join(folder, "missing"), options)).reason).toBe("missing");
      expect(existsSync(join(folder, "missing"))).toBe(false);
    }
  });

  test("newer and damaged markers, by name", async () => {
    const { directory } = await filledStore();
    const path = join(directory, "tensorcask.json");
    const marker = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    writeFileSync(path, JSON.stringify({ ...marker, version: 99 }));
    const newer = await refusal(directory);
    expect(newer.reason).toBe("newer-format");
    expect(newer.message).toContain("99");
    for (const text of [
      "",
      "{",
      "[]",
      "null",
      JSON.stringify({ ...marker, chunkElements: "x" }),
      JSON.stringify({ ...marker, version: 1.5 }),
      "x".repeat(100_000),
    ]) {
      writeFileSync(path, text);
      expect(["damaged", "not-a-store"], text.slice(0, 30)).toContain((await refusal(directory)).reason);
    }
    writeFileSync(path, new Uint8Array([0x22, 0xff, 0x22]));
    expect((await refusal(directory)).reason).toBe("damaged");
  });

  test("network file systems, with advice", async () => {
    const directory = join(temporaryDirectory(), "store");
    const fileSystem = { ...nodeFileSystem, networkKind: async () => "nfs" };
    const refused = await refusal(directory, { fileSystem });
    expect(refused.reason).toBe("network-file-system");
    expect(refused.message).toMatch(/nfs.*local disk/);
    expect(existsSync(directory)).toBe(false);
  });

  test("other chunk sizes than the store's", async () => {
    const directory = join(temporaryDirectory(), "store");
    await (await openTestStore(directory, { chunkElements: 1024 })).close();
    expect((await refusal(directory, { chunkElements: 2048 })).reason).toBe("incompatible");
    await (await openTestStore(directory, { chunkElements: 1024 })).close();
    await (await openTestStore(directory)).close();
  });
});

test("wrong options are named, and nothing is made", async () => {
  const directory = join(temporaryDirectory(), "store");
  const wrong: [object, string, RegExp?][] = [
    [{ readonly: true }, "readonly", /readOnly/],
    [{ memory: 1 }, "memory"],
    [{ memoryBytes: 1000 }, "memoryBytes"],
    [{ memoryBytes: Number.NaN }, "memoryBytes"],
    [{ workers: -1 }, "workers"],
    [{ workers: 1.5 }, "workers"],
    [{ waitMs: -1 }, "waitMs"],
    [{ waitMs: Number.NaN }, "waitMs"],
    [{ chunkElements: 100 }, "chunkElements"],
    [{ chunkElements: 2 ** 30 }, "chunkElements"],
  ];
  for (const [options, field, message] of wrong) {
    const failure = await failureOf(openStore(directory, options));
    expect(failure, JSON.stringify(options)).toBeInstanceOf(UsageError);
    expect(failure["field"]).toBe(field);
    if (message !== undefined) expect(failure.message).toMatch(message);
  }
  expect(existsSync(directory)).toBe(false);
});

describe.each(kinds)("a new store (%s)", (kind) => {
  test("is empty and lossless", async () => {
    const store = await newStore(kind);
    expect(await store.datasets()).toEqual([]);
    expect((await store.preset()).name).toBe("lossless");
    expect(store.readOnly).toBe(false);
  });
});

test("a store is made in an empty directory, in a new one, and where making one was cut off", async () => {
  const folder = temporaryDirectory();
  for (const prepare of [
    () => undefined,
    (directory: string) => mkdirSync(directory, { recursive: true }),
    (directory: string) => mkdirSync(join(directory, "journal"), { recursive: true }),
    (directory: string) => {
      mkdirSync(join(directory, "packs"), { recursive: true });
      writeFileSync(join(directory, "lock.pid"), "");
    },
  ]) {
    const directory = join(folder, String(Math.random()), "deep", "store");
    prepare(directory);
    const store = await openTestStore(directory);
    await store.createDataset("a");
    await store.close();
    expect((await (await openTestStore(directory, { create: false })).datasets()).length).toBe(1);
  }
});

test("read-only handles read, and refuse all writes by name", async () => {
  const { directory, content } = await filledStore();
  const store = await openTestStore(directory, { readOnly: true });
  expect(store.readOnly).toBe(true);
  const dataset = (await store.dataset("a"))!;
  expect(await contentOf(dataset)).toEqual(content);
  for (const write of [
    () => store.createDataset("b"),
    () => store.renameDataset("a", "b"),
    () => store.deleteDataset("a"),
    () => store.setPreset("fast"),
    () => store.setKeepVersions(1),
    () => store.definePreset("x", { codec: "none" }),
    () => store.importFile("x", { dataset: "a" }),
    () => dataset.insert(scalar(1)),
    () => dataset.insertMany([]),
    () => dataset.append("x", floats([1])),
    () => dataset.update("x", {}),
    () => dataset.delete("x"),
    () => dataset.deleteFile("x"),
    () => dataset.setPreset("fast"),
    () => dataset.setMetadata({}),
    () => dataset.setSchema(null),
    () => dataset.setIndexed([]),
    () => dataset.tag("t"),
    () => dataset.deleteTag("v"),
    () => dataset.rollback(1),
  ]) {
    expect(await failureOf(write()), String(write)).toMatchObject({ tag: "usage", field: "readOnly" });
  }
});

describe("the journal is the truth", () => {
  test("a catalog that is gone is made anew", async () => {
    const { directory, content } = await filledStore();
    for (const name of readdirSync(directory)) if (name.startsWith("catalog")) rmSync(join(directory, name));
    expect(await contentAt(directory)).toEqual(content);
    const dataset = (await (await openTestStore(directory)).dataset("a"))!;
    expect(dataset.metadata).toEqual({ m: 1 });
    expect([...(await dataset.tags())]).toEqual([["v", 2]]);
    expect((await dataset.at("v").info("x"))!.metadata).toEqual({ n: 1 });
  });

  test("a catalog of yesterday catches up", async () => {
    const { directory } = await filledStore();
    const old = join(temporaryDirectory(), "old");
    cpSync(directory, old, { recursive: true });
    const store = await openTestStore(directory);
    const dataset = (await store.dataset("a"))!;
    await dataset.insert(floats([9000], 5), { name: "today" });
    await dataset.delete("y");
    const content = await contentOf(dataset);
    await store.close();
    for (const name of readdirSync(directory)) if (name.startsWith("catalog")) rmSync(join(directory, name));
    for (const name of readdirSync(old))
      if (name.startsWith("catalog")) cpSync(join(old, name), join(directory, name));
    expect(await contentAt(directory)).toEqual(content);
  });

  test("what a crash left behind the last commit is cut off", async () => {
    const { directory, content } = await filledStore();
    const last = (folder: string): string =>
      join(directory, folder, readdirSync(join(directory, folder)).sort().at(-1)!);
    appendFileSync(last("journal"), "TCJE and then nothing");
    appendFileSync(last("packs"), new Uint8Array(1000).fill(7));
    expect(await contentAt(directory)).toEqual(content);
    const store = await openTestStore(directory);
    const dataset = (await store.dataset("a"))!;
    await dataset.insert(floats([20_000], 3), { name: "after" });
    await store.close();
    const again = await openTestStore(directory);
    expectTensor(await (await again.dataset("a"))!.get("after"), floats([20_000], 3));
    expect(() => framesIn(directory)).not.toThrow();
  });

  test("an entry that was torn before anybody saw it never happened; one that was applied is missed", async () => {
    const { directory } = await filledStore();
    const journal = join(directory, "journal", readdirSync(join(directory, "journal"))[0]!);
    truncateSync(journal, readFileSync(journal).length - 3);
    const failure = await failureOf(openStore(directory, { workers: 0 }));
    expect(failure).toBeInstanceOf(DamageError);
    expect(failure.message).toMatch(/commits are lost/);
    for (const name of readdirSync(directory)) if (name.startsWith("catalog")) rmSync(join(directory, name));
    const store = await openTestStore(directory);
    const dataset = (await store.dataset("a"))!;
    expect((await dataset.info("x"))!.metadata).toEqual({ n: 1 });
    await dataset.update("x", { metadata: { n: 3 } });
    expectTensor(await dataset.get("x"), floats([50_000], 1));
  });

  test("damage in the middle is an error, not a shorter history", async () => {
    const { directory } = await filledStore();
    const journal = join(directory, "journal", readdirSync(join(directory, "journal"))[0]!);
    for (const name of readdirSync(directory)) if (name.startsWith("catalog")) rmSync(join(directory, name));
    const bytes = readFileSync(journal);
    bytes[200]! ^= 1;
    writeFileSync(journal, bytes);
    const failure = await failureOf(openStore(directory, { workers: 0 }));
    expect(failure).toBeInstanceOf(DamageError);
    expect(failure["where"]).toMatch(/journal/);
  });
});

test("options of workers and memory give the same store", async () => {
  const tensor = floats([300, 3000], 1);
  const frames = await Promise.all(
    [{ workers: 0 }, { workers: 1, memoryBytes: 32 * 2 ** 20 }, { workers: 3 }].map(async (options) => {
      const directory = join(temporaryDirectory(), "store");
      const store = await openTestStore(directory, options);
      const dataset = await store.createDataset("a");
      await dataset.insert(tensor, { name: "x" });
      expectTensor(await dataset.get("x"), tensor);
      return framesIn(directory).map(({ hash, bytes }) => [hash, bytes]);
    }),
  );
  expect(frames[1]).toEqual(frames[0]);
  expect(frames[2]).toEqual(frames[0]);
});
