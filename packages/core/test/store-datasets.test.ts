import { AlreadyExistsError, ClosedError, LimitError, NotFoundError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  failureOf,
  floats,
  kinds,
  newStore,
  openTestStore,
  scalar,
  temporaryDirectory,
} from "./store-harness.ts";

describe.each(kinds)("datasets of a store (%s)", (kind) => {
  test("are created, found, listed, renamed and deleted", async () => {
    const store = await newStore(kind);
    expect(await store.datasets()).toEqual([]);
    expect(await store.dataset("images")).toBeUndefined();
    const images = await store.createDataset("images", { metadata: { kind: "pictures" } });
    await store.createDataset("acme/model");
    await images.insert(scalar(1), { name: "one" });
    expect(images.name).toBe("images");
    expect(images.metadata).toEqual({ kind: "pictures" });
    expect((await store.datasets()).map(({ name }) => name)).toEqual(["acme/model", "images"]);

    await store.renameDataset("images", "acme/pictures");
    expect(images.name).toBe("acme/pictures");
    expect(await store.dataset("images")).toBeUndefined();
    expect((await (await store.dataset("acme/pictures"))!.get("one"))!.data).toEqual(new Int32Array([1]));
    await store.renameDataset("acme/pictures", "acme/pictures");

    await store.deleteDataset("acme/pictures");
    expect(await store.dataset("acme/pictures")).toBeUndefined();
    expect((await store.datasets()).map(({ name }) => name)).toEqual(["acme/model"]);
    for (const use of [
      () => images.get("one"),
      () => images.insert(scalar(1)),
      () => images.count(),
      async () => images.version,
    ]) {
      const failure = await failureOf(use());
      expect(failure).toBeInstanceOf(NotFoundError);
      expect(failure.message).toContain("deleted");
    }
  });

  test("a name that is taken, missing or not allowed is refused", async () => {
    const store = await newStore(kind);
    await store.createDataset("a");
    await store.createDataset("b");
    expect(await failureOf(store.createDataset("a"))).toMatchObject({
      tag: "already-exists",
      kind: "dataset",
      taken: "a",
    });
    expect(await failureOf(store.renameDataset("a", "b"))).toBeInstanceOf(AlreadyExistsError);
    expect(await failureOf(store.renameDataset("missing", "c"))).toMatchObject({
      tag: "not-found",
      missing: "missing",
    });
    expect(await failureOf(store.deleteDataset("missing"))).toBeInstanceOf(NotFoundError);
    for (const name of [
      "",
      "a/b/c",
      "../a",
      "/a",
      "a\\b",
      "a/..",
      "api",
      "api/x",
      "metrics",
      "assets/y",
      "a\0b",
      "a\nb",
      " a",
      "a/",
      ".",
    ]) {
      expect(await failureOf(store.createDataset(name)), JSON.stringify(name)).toBeInstanceOf(UsageError);
      expect(await failureOf(store.renameDataset("a", name)), JSON.stringify(name)).toBeInstanceOf(
        UsageError,
      );
    }
    expect((await store.datasets()).map(({ name }) => name)).toEqual(["a", "b"]);
  });

  test("a deleted name can be taken again, and nothing of the old one comes back", async () => {
    const store = await newStore(kind);
    const old = await store.createDataset("a", { metadata: { old: true }, indexed: ["label"] });
    await old.insert(floats([2000]), { name: "x", metadata: { label: 1 } });
    await old.tag("v1");
    await store.deleteDataset("a");
    const fresh = await store.createDataset("a");
    expect(fresh.metadata).toEqual({});
    expect(fresh.indexed).toEqual([]);
    expect(fresh.version).toBe(0);
    expect(await fresh.count()).toBe(0);
    expect([...(await fresh.tags())]).toEqual([]);
    expect(await fresh.get("x")).toBeUndefined();
    expect(await fresh.versions()).toEqual([]);
  });

  test("metadata is merged, null removes a key, and where finds datasets by it", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a", {
      metadata: { owner: { team: "vision" }, size: 3, __proto__x: 1 },
    });
    await store.createDataset("b", { metadata: { owner: { team: "text" }, size: 9 } });
    await a.setMetadata({ size: 5, extra: [1, null, "x"], owner: null });
    expect(a.metadata).toEqual({ size: 5, extra: [1, null, "x"], __proto__x: 1 });
    expect((await store.datasets({ where: { size: { gt: 4 } } })).map(({ name }) => name)).toEqual([
      "a",
      "b",
    ]);
    expect((await store.datasets({ where: { "owner.team": "text" } })).map(({ name }) => name)).toEqual([
      "b",
    ]);
    expect((await store.datasets({ where: { owner: { exists: false } } })).map(({ name }) => name)).toEqual([
      "a",
    ]);
  });

  test("options are checked by name", async () => {
    const store = await newStore(kind);
    expect(await failureOf(store.createDataset("a", { presets: "fast" } as never))).toMatchObject({
      tag: "usage",
      field: "presets",
    });
    expect(await failureOf(store.createDataset("a", { preset: "nope" }))).toMatchObject({
      tag: "not-found",
      kind: "preset",
    });
    expect(await failureOf(store.createDataset("a", { indexed: ["a b"] }))).toMatchObject({
      tag: "usage",
      field: "indexed",
    });
    expect(await failureOf(store.createDataset("a", { indexed: ["x", "x"] }))).toBeInstanceOf(UsageError);
    expect(
      await failureOf(store.createDataset("a", { indexed: Array.from({ length: 17 }, (_, i) => `p${i}`) })),
    ).toBeInstanceOf(LimitError);
    expect(
      await failureOf(store.createDataset("a", { metadata: { when: new Date() } as never })),
    ).toMatchObject({ field: "metadata.when" });
    expect(await failureOf(store.createDataset("a", { metadata: { bad: [1, Number.NaN] } }))).toMatchObject({
      field: "metadata.bad[1]",
    });
    expect(await store.datasets()).toEqual([]);
  });

  test("concurrent calls never give one name to two datasets", async () => {
    const store = await newStore(kind);
    await store.createDataset("a");
    await store.createDataset("b");
    const outcomes = await Promise.allSettled([
      store.renameDataset("a", "x"),
      store.renameDataset("b", "x"),
      store.createDataset("x"),
      store.createDataset("y"),
      store.createDataset("y"),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "fulfilled",
      "rejected",
      "rejected",
      "fulfilled",
      "rejected",
    ]);
    for (const outcome of outcomes)
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(AlreadyExistsError);
    expect((await store.datasets()).map(({ name }) => name)).toEqual(["b", "x", "y"]);
    await store.createDataset("z");
  });

  test("calls that are not awaited take effect in their order", async () => {
    const store = await newStore(kind);
    await (await store.createDataset("a")).insert(scalar(1));
    const calls = [
      store.deleteDataset("a"),
      store.createDataset("a"),
      store.renameDataset("a", "b"),
    ] as const;
    const [, fresh, renamed] = await Promise.allSettled(calls);
    expect(fresh.status).toBe("fulfilled");
    // It was looked up when the old one was still there.
    expect(renamed).toMatchObject({ status: "rejected", reason: { tag: "not-found" } });
    expect(await (await store.dataset("a"))!.count()).toBe(0);
  });

  test("a closed store says so", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await store.close();
    await store.close();
    for (const use of [
      () => store.datasets(),
      () => store.dataset("a"),
      () => store.createDataset("b"),
      () => dataset.get("x"),
      () => dataset.insert(scalar(1)),
      () => store.transaction(async () => undefined),
      () => store.importFile("x", { dataset: "a" }),
    ]) {
      expect(await failureOf(use())).toBeInstanceOf(ClosedError);
    }
  });
});

test("settings that are changed at once do not overwrite each other", async () => {
  const directory = `${temporaryDirectory()}/store`;
  const first = await openTestStore(directory);
  const second = await openTestStore(directory);
  await Promise.all([
    first.setPreset("fast"),
    second.setKeepVersions(3),
    first.setKeepVersions(4),
    second.setPreset("none"),
  ]);
  const preset = (await first.preset()).name;
  expect(["fast", "none"]).toContain(preset);
  expect((await second.preset()).name).toBe(preset);
  await first.setKeepVersions(7);
  expect((await second.preset()).name).toBe(preset);
});

test("a removed preset leaves no dataset that follows it", async () => {
  const store = await newStore(":memory:");
  await store.definePreset("mine", { codec: "gzip" });
  const outcomes = await Promise.allSettled([
    store.createDataset("a", { preset: "mine" }),
    store.removePreset("mine"),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  await (await store.dataset("a"))!.setPreset(null);
  const again = await Promise.allSettled([
    store.removePreset("mine"),
    (await store.dataset("a"))!.setPreset("mine"),
  ]);
  const [removed, followed] = again.map(({ status }) => status === "fulfilled");
  expect(removed).not.toBe(followed);
  expect((await store.dataset("a"))!.preset().name).toBe(followed ? "mine" : "lossless");
});
