import { join } from "node:path";
import { AlreadyExistsError, NotFoundError, UsageError, VersionExpiredError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  contentOf,
  expectTensor,
  failureOf,
  floats,
  kinds,
  namesOf,
  newStore,
  openTestStore,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

describe.each(kinds)("versions (%s)", (kind) => {
  test("each commit that changes records makes one, and old ones stay readable", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    expect(dataset.version).toBe(0);
    const id = await dataset.insert(floats([2000], 1), { name: "x", metadata: { step: 1 } });
    await dataset.insertMany([
      { tensor: scalar(1), name: "y" },
      { tensor: scalar(2), name: "z" },
    ]);
    await dataset.update("x", { tensor: floats([2000], 2), metadata: { step: 2 } });
    await dataset.update("y", { name: "renamed" });
    await dataset.delete("z");
    expect(dataset.version).toBe(5);
    // These change no record.
    await dataset.setMetadata({ a: 1 });
    await dataset.setPreset("fast");
    await dataset.setIndexed(["step"]);
    await dataset.setSchema({});
    await dataset.tag("t");
    expect(dataset.version).toBe(5);

    const lists = [["x"], ["x", "y", "z"], ["x", "y", "z"], ["x", "renamed", "z"], ["x", "renamed"]];
    for (const [index, names] of lists.entries()) {
      const view = dataset.at(index + 1);
      expect(await namesOf(view.records()), `version ${index + 1}`).toEqual(names);
      expect(await view.count()).toBe(names.length);
      expect(view.version).toBe(index + 1);
      expectTensor(await view.get(id), floats([2000], index < 2 ? 1 : 2));
      expect((await view.info("x"))!.metadata).toEqual({ step: index < 2 ? 1 : 2 });
      expect(await view.count({ where: { step: 1 } })).toBe(index < 2 ? 1 : 0);
      expect((await view.page({ limit: 2 })).records.map(({ name }) => name)).toEqual(names.slice(0, 2));
      expect((await view.sample(100, { seed: 1 })).map(({ name }) => name)).toEqual(names);
      expect((await view.slice("x", [[0, 3]]))!.data).toEqual(
        floats([2000], index < 2 ? 1 : 2).data.slice(0, 3),
      );
    }
    expect(await dataset.at(2).get("renamed")).toBeUndefined();
    expect(await dataset.at(5).get("z")).toBeUndefined();
    const versions = await dataset.versions();
    expect(versions.map(({ version }) => version)).toEqual([1, 2, 3, 4, 5]);
    expect(versions.at(-1)!.tags).toEqual(["t"]);
    for (const { timeMs } of versions) expect(Math.abs(Date.now() - timeMs)).toBeLessThan(60_000);
  });

  test("what was never there is an error", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insert(scalar(1), { name: "x" });
    for (const version of [2, -1, 99, 1.5, Number.NaN]) {
      const view = dataset.at(version);
      for (const read of [
        () => view.get("x"),
        () => view.count(),
        () => view.files(),
        () => namesOf(view.records()),
      ]) {
        expect(await failureOf(read()), String(version)).toBeInstanceOf(VersionExpiredError);
      }
      expect(await failureOf(dataset.rollback(version))).toBeInstanceOf(VersionExpiredError);
      expect(await failureOf(dataset.tag("t", { version }))).toBeInstanceOf(VersionExpiredError);
    }
    expect(await failureOf(dataset.at("nope").get("x"))).toMatchObject({
      tag: "not-found",
      kind: "tag",
      missing: "nope",
    });
    expect(await failureOf(dataset.rollback("nope"))).toBeInstanceOf(NotFoundError);
    expect(dataset.version).toBe(1);
  });

  test("tags name versions; they are moved only when asked to", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    expect(await failureOf(dataset.tag("early"))).toBeInstanceOf(UsageError);
    await dataset.insert(scalar(1), { name: "x" });
    await dataset.tag("v1");
    await dataset.insert(scalar(2), { name: "x", replace: true });
    expect(await failureOf(dataset.tag("v1"))).toMatchObject({ tag: "already-exists", taken: "v1" });
    expect((await dataset.at("v1").get("x"))!.data[0]).toBe(1);
    await dataset.tag("first", { version: 1 });
    await dataset.tag("v1", { move: true });
    expect((await dataset.at("v1").get("x"))!.data[0]).toBe(2);
    expect([...(await dataset.tags())]).toEqual([
      ["first", 1],
      ["v1", 2],
    ]);
    expect((await dataset.versions()).map(({ tags }) => tags)).toEqual([["first"], ["v1"]]);
    expect(await dataset.deleteTag("v1")).toBe(true);
    expect(await dataset.deleteTag("v1")).toBe(false);
    expect(await failureOf(dataset.at("v1").get("x"))).toBeInstanceOf(NotFoundError);
    for (const tag of ["", "12", "a b", "a\nb", "x".repeat(256), "\ud800"]) {
      expect(await failureOf(dataset.tag(tag)), JSON.stringify(tag)).toMatchObject({
        tag: "usage",
        field: "tag",
      });
    }
    const calls = await Promise.allSettled([dataset.tag("once"), dataset.tag("once")]);
    expect(calls.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
    expect((calls[1] as PromiseRejectedResult).reason).toBeInstanceOf(AlreadyExistsError);
  });

  test("rollback makes a new version that equals the old one, files included", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([1500], 1), { name: "x", metadata: { n: 1 } });
    const path = writeSafetensors(join(folder, "m.safetensors"), {
      w: floats([50, 50], 2),
      b: floats([50], 3),
    });
    await store.importFile(path, { dataset: "a" });
    await dataset.tag("good");
    const good = await contentOf(dataset);
    const goodFiles = await dataset.files();

    writeSafetensors(path, { w: floats([50, 50], 9), c: floats([50], 3) });
    await store.importFile(path, { dataset: "a" });
    await dataset.update("m.safetensors#c", { metadata: { changed: true } });
    await dataset.delete("x");
    await dataset.insert(scalar(7), { name: "x" });
    await dataset.insert(scalar(8), { name: "more" });
    const bad = await contentOf(dataset);
    const badVersion = dataset.version;

    expect(await dataset.rollback("good")).toBe(badVersion + 1);
    expect(await contentOf(dataset)).toEqual(good);
    expect(await dataset.files()).toEqual(goodFiles);
    expect((await dataset.versions()).at(-1)!.note).toContain("rollback");
    expectTensor(await dataset.get("w"), floats([50, 50], 2));
    expect(await dataset.get("m.safetensors#c")).toBeUndefined();
    expect(await contentOf(dataset.at(badVersion))).toEqual(bad);

    await dataset.rollback(badVersion);
    expect(await contentOf(dataset)).toEqual(bad);
    await dataset.rollback("good");
    await dataset.insert(scalar(1), { name: "after" });
    await dataset.deleteFile("m.safetensors");
    expect(await dataset.get("w")).toBeUndefined();
    await dataset.rollback("good");
    expect(await contentOf(dataset)).toEqual(good);
    // To itself.
    await dataset.rollback(dataset.version);
    expect(await contentOf(dataset)).toEqual(good);
    await store.importFile(path, { dataset: "a" });
    expectTensor(await dataset.get("w"), floats([50, 50], 9));
  });

  test("a pinned version stays the same under a reader while others commit", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insertMany(
      Array.from({ length: 1200 }, (_, value) => ({ tensor: scalar(value), name: `n${value}` })),
    );
    const pinned = dataset.at(1);
    const iteration = dataset.records();
    const seen: (string | undefined)[] = [];
    let changes = 0;
    for await (const record of iteration) {
      seen.push(record.name);
      if (seen.length % 200 === 1) {
        await dataset.delete(`n${1199 - changes}`);
        await dataset.insert(scalar(-1), { name: `late ${changes}` });
        await dataset.update(`n${500 + changes}`, { tensor: scalar(-2) });
        changes += 1;
      }
      if (seen.length === 503) expect((await record.read()).data[0]).toBe(502);
    }
    expect(seen).toEqual(Array.from({ length: 1200 }, (_, value) => `n${value}`));
    expect(changes).toBe(6);
    expect(await pinned.count()).toBe(1200);
    expect((await pinned.get("n500"))!.data[0]).toBe(500);
    expect((await dataset.get("n500"))!.data[0]).toBe(-2);
  });
});

test("versions and tags survive closing", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  const dataset = await store.createDataset("a");
  await dataset.insert(floats([3000], 1), { name: "x" });
  await dataset.tag("v1");
  await dataset.update("x", { tensor: floats([3000], 2) });
  await store.close();
  const again = (await (await openTestStore(directory)).dataset("a"))!;
  expectTensor(await again.at("v1").get("x"), floats([3000], 1));
  expectTensor(await again.at(2).get("x"), floats([3000], 2));
  await again.rollback("v1");
  expectTensor(await again.get("x"), floats([3000], 1));
});
