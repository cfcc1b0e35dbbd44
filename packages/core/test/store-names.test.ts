import { join } from "node:path";
import { AmbiguousNameError, NotFoundError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  expectTensor,
  failureOf,
  floats,
  kinds,
  namesOf,
  newStore,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

describe.each(kinds)("names and addresses (%s)", (kind) => {
  test("a bare name works while it is unique; then the error lists the candidates", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const paths = ["m", "n"].map((name, index) =>
      writeSafetensors(join(folder, `${name}.safetensors`), {
        w: floats([3], index),
        [`only ${name}`]: scalar(index),
      }),
    );
    await store.importFile(paths, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    expect((await dataset.get("only n"))!.data[0]).toBe(1);
    for (const call of [
      () => dataset.get("w"),
      () => dataset.info("w"),
      () => dataset.slice("w", []),
      () => dataset.gather("w", [0]),
      () => dataset.update("w", { metadata: {} }),
      () => dataset.delete("w"),
      () => dataset.append("w", floats([1])),
    ]) {
      const failure = await failureOf(call());
      expect(failure).toBeInstanceOf(AmbiguousNameError);
      expect(failure["candidates"]).toEqual(["m.safetensors#w", "n.safetensors#w"]);
    }
    expectTensor(await dataset.get("n.safetensors#w"), floats([3], 1));
    expect(await dataset.get("o.safetensors#w")).toBeUndefined();
    expect(await dataset.get("m.safetensors#nothing")).toBeUndefined();
    // One without a file has no other address, so the bare name is its own.
    await dataset.insert(scalar(9), { name: "w" });
    expect((await dataset.get("w"))!.data[0]).toBe(9);
    await dataset.delete("w");
    await dataset.delete("m.safetensors#w");
    expectTensor(await dataset.get("w"), floats([3], 1));
    expect(await failureOf(dataset.update("n.safetensors#w", { name: "other" }))).toMatchObject({
      tag: "usage",
      field: "name",
    });
    await dataset.update("n.safetensors#w", { metadata: { seen: true }, name: "w" });
    expect((await dataset.info("w"))!).toMatchObject({ file: "n.safetensors", metadata: { seen: true } });
  });

  test("of a name that very many files have, the one without a file is found", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const paths = Array.from({ length: 40 }, (_, index) =>
      writeSafetensors(join(folder, `f${index}.safetensors`), { w: scalar(index) }),
    );
    await store.importFile(paths, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    expect(await failureOf(dataset.get("w"))).toBeInstanceOf(AmbiguousNameError);
    await dataset.insert(scalar(99), { name: "w" });
    expect((await dataset.get("w"))!.data[0]).toBe(99);
    expect((await dataset.get("f39.safetensors#w"))!.data[0]).toBe(39);
    expect(await failureOf(dataset.insert(scalar(1), { name: "w" }))).toMatchObject({
      tag: "already-exists",
    });
  });

  test("tensor names may hold anything", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const names = [
      "",
      " ",
      "#",
      "a#b",
      "a#b#c",
      "../../etc",
      "/abs",
      "nul\0l",
      "new\nline",
      "ünï",
      "🜚",
      "'; DROP TABLE record; --",
      "%",
      "?",
      "__proto__",
      "constructor",
      "x".repeat(4096),
      "1",
      "01HZZZZZZZZZZZZZZZZZZZZZZZ",
    ];
    await dataset.insertMany(names.map((name, index) => ({ tensor: scalar(index), name })));
    for (const [index, name] of names.entries()) {
      expect((await dataset.get(name))!.data[0], JSON.stringify(name.slice(0, 30))).toBe(index);
      expect((await dataset.info(name))!.name).toBe(name);
      expect(await dataset.count({ name })).toBe(1);
    }
    expect(await namesOf(dataset.records())).toEqual(names);
    for (const name of names) await dataset.delete(name);
    expect(await dataset.count()).toBe(0);
  });

  test("names with # are tried as a whole first, then as file and tensor at every #", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const path = writeSafetensors(join(folder, "a#b.safetensors"), { "w#1": scalar(1), w: scalar(2) });
    await store.importFile(path, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    expect((await dataset.get("a#b.safetensors#w#1"))!.data[0]).toBe(1);
    expect((await dataset.get("a#b.safetensors#w"))!.data[0]).toBe(2);
    expect((await dataset.get("w#1"))!.data[0]).toBe(1);
    await dataset.insert(scalar(3), { name: "a#b.safetensors#w" });
    expect((await dataset.get("a#b.safetensors#w"))!.data[0]).toBe(3);
  });

  test("an id is an address; a name that looks like one goes first", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const id = await dataset.insert(scalar(1));
    const other = await store.createDataset("b");
    expect(await other.get(id)).toBeUndefined();
    expect((await dataset.info(id))!.name).toBeUndefined();
    await dataset.insert(scalar(2), { name: id });
    expect((await dataset.get(id))!.data[0]).toBe(2);
    expect(await failureOf(dataset.update("ZZZZZZZZZZZZZZZZZZZZZZZZZZ", {}))).toBeInstanceOf(NotFoundError);
  });
});

test("ids rise in the order of insertion", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("a");
  const ids: string[] = [];
  for (let round = 0; round < 5; round++)
    ids.push(...(await dataset.insertMany(Array.from({ length: 200 }, (_, n) => ({ tensor: scalar(n) })))));
  expect(ids).toEqual([...ids].sort());
  expect(new Set(ids).size).toBe(1000);
});

test("any well-formed name finds its own record", async () => {
  const store = await newStore(":memory:");
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.string({ unit: "binary", maxLength: 12 }), { maxLength: 12 }),
      async (names) => {
        const dataset = await store.createDataset(`d${round++}`);
        await dataset.insertMany(names.map((name, index) => ({ tensor: scalar(index), name })));
        for (const [index, name] of names.entries()) expect((await dataset.get(name))!.data[0]).toBe(index);
        await store.deleteDataset(dataset.name);
      },
    ),
    { numRuns: 60 },
  );
});
