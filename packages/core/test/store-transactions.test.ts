import { join } from "node:path";
import { AlreadyExistsError, ConflictError, NotFoundError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
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

describe.each(kinds)("transactions (%s)", (kind) => {
  test("land as a whole, over several datasets, in one version each", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    const b = await store.createDataset("b");
    await a.insert(scalar(1), { name: "old", metadata: { n: 1, gone: true } });
    await a.insert(scalar(2), { name: "dead" });
    const id = await store.transaction(async (tx) => {
      const inA = (await tx.dataset("a"))!;
      const inB = (await tx.dataset("b"))!;
      const fresh = await tx.createDataset("c", { metadata: { made: true }, preset: "none" });
      const id = await inA.insert(floats([3000], 5), { name: "new", metadata: { n: 2 } });
      await inA.update("old", { metadata: { n: 3, gone: null }, name: "renamed" });
      expect(await inA.delete("dead")).toBe(true);
      expect(await inA.delete("nobody")).toBe(false);
      await inB.insert(scalar(3), { name: "x" });
      await fresh.insert(scalar(4), { name: "x" });
      // Nothing is there before the commit.
      expect(await a.count()).toBe(2);
      expect(await store.dataset("c")).toBeUndefined();
      return id;
    });
    expect([a.version, b.version]).toEqual([3, 1]);
    expect(await namesOf(a.records())).toEqual(["renamed", "new"]);
    expectTensor(await a.get(id), floats([3000], 5));
    expect((await a.info("renamed"))!.metadata).toEqual({ n: 3 });
    const c = (await store.dataset("c"))!;
    expect([c.version, c.metadata, c.ownPreset]).toEqual([1, { made: true }, "none"]);
    expect((await c.get("x"))!.data[0]).toBe(4);
  });

  test("leave nothing when they fail, and their objects are dead afterwards", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    let kept: Awaited<ReturnType<typeof a.at>> | unknown;
    const failure = await failureOf(
      store.transaction(async (tx) => {
        const inside = (await tx.dataset("a"))!;
        kept = inside;
        await inside.insert(floats([5000]), { name: "x" });
        await tx.createDataset("b");
        throw new RangeError("changed my mind");
      }),
    );
    expect(failure).toBeInstanceOf(RangeError);
    expect([a.version, await a.count(), (await store.datasets()).length]).toEqual([0, 0, 1]);
    expect(
      await failureOf((kept as { insert(t: unknown): Promise<unknown> }).insert(scalar(1))),
    ).toBeInstanceOf(UsageError);
    await store.transaction(async () => undefined);
    expect(a.version).toBe(0);
  });

  test("what was read and changed meanwhile is a conflict, per record", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    await a.insert(scalar(1), { name: "x" });
    await a.insert(scalar(2), { name: "y" });
    type Inside = NonNullable<Awaited<ReturnType<import("../src/index.ts").Transaction["dataset"]>>>;
    const attempt = async (
      read: (inside: Inside) => Promise<unknown>,
      meanwhile: () => Promise<unknown>,
    ): Promise<string> => {
      try {
        await store.transaction(async (tx) => {
          const inside = (await tx.dataset("a"))!;
          await read(inside);
          await meanwhile();
          await inside.insert(scalar(9));
        });
        return "committed";
      } catch (error) {
        expect(error).toBeInstanceOf(ConflictError);
        expect((error as ConflictError).dataset).toBe("a");
        return "conflict";
      }
    };
    const touch = (name: string) => () => a.update(name, { metadata: { at: performance.now() } });
    expect(await attempt((inside) => inside.get("x"), touch("x"))).toBe("conflict");
    expect(await attempt((inside) => inside.info("x"), touch("x"))).toBe("conflict");
    expect(await attempt((inside) => inside.get("x"), touch("y"))).toBe("committed");
    expect(await attempt((inside) => inside.update("x", { metadata: { mine: true } }), touch("x"))).toBe(
      "conflict",
    );
    expect(await attempt((inside) => inside.delete("x"), touch("x"))).toBe("conflict");
    expect(
      await attempt(
        (inside) => inside.get("x"),
        () => a.insert(scalar(1), { name: "x", replace: true }),
      ),
    ).toBe("conflict");
    expect(
      await attempt(
        (inside) => inside.get("nobody"),
        () => a.insert(scalar(1), { name: "nobody" }),
      ),
    ).toBe("conflict");
    expect(
      await attempt(
        (inside) => inside.get("nothing"),
        () => a.insert(scalar(1), { name: "something" }),
      ),
    ).toBe("committed");
    expect(
      await attempt(
        (inside) => inside.count(),
        () => a.insert(scalar(1)),
      ),
    ).toBe("conflict");
    expect(await attempt((inside) => namesOf(inside.records()), touch("y"))).toBe("conflict");
    expect(
      await attempt(
        (inside) => inside.count(),
        async () => a.setMetadata({ no: "record changes" }),
      ),
    ).toBe("committed");
    expect(
      await attempt(
        (inside) => inside.insert(scalar(1)),
        () => a.insert(scalar(1)),
      ),
    ).toBe("committed");
    const folder = temporaryDirectory();
    const path = writeSafetensors(join(folder, "m.safetensors"), {
      phantom: floats([4]),
      other: floats([3]),
    });
    expect(
      await attempt(
        (inside) => inside.get("phantom"),
        () => store.importFile(path, { dataset: "a" }),
      ),
    ).toBe("conflict");
    await a.deleteFile("m.safetensors");
    expect(
      await attempt(
        (inside) => inside.get("m.safetensors#other"),
        () => store.importFile(path, { dataset: "a" }),
      ),
    ).toBe("conflict");
    expect(
      await attempt(
        (inside) => inside.get("m.safetensors#other"),
        () => store.importFile(path, { dataset: "a" }),
      ),
    ).toBe("conflict");
  });

  test("two counters never lose an increment", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    await a.insert(scalar(0), { name: "counter" });
    let conflicts = 0;
    const increment = async (): Promise<void> => {
      for (;;) {
        try {
          return await store.transaction(async (tx) => {
            const inside = (await tx.dataset("a"))!;
            const { data } = (await inside.get("counter"))!;
            await inside.update("counter", { tensor: scalar(Number(data[0]) + 1) });
          });
        } catch (error) {
          if (!(error instanceof ConflictError)) throw error;
          conflicts += 1;
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, increment));
    expect((await a.get("counter"))!.data[0]).toBe(8);
    expect(conflicts).toBeGreaterThan(0);
  });

  test("read what they wrote nowhere, and say so", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    await a.insert(scalar(1), { name: "x" });
    await store.transaction(async (tx) => {
      const inside = (await tx.dataset("a"))!;
      const id = await inside.insert(scalar(2), { name: "own", metadata: { a: 1, b: 2 } });
      expect(await failureOf(inside.get("own"))).toBeInstanceOf(UsageError);
      expect(await failureOf(inside.get(id))).toBeInstanceOf(UsageError);
      expect(await failureOf(inside.delete("own"))).toBeInstanceOf(UsageError);
      expect(await failureOf(inside.count())).toBeInstanceOf(UsageError);
      await inside.update("own", { metadata: { a: null, c: 3 }, name: "mine" });
      await inside.update("x", { metadata: { once: true } });
      expect(await failureOf(inside.update("x", { metadata: { twice: true } }))).toBeInstanceOf(UsageError);
      expect(await failureOf(inside.update("nobody", {}))).toBeInstanceOf(NotFoundError);
    });
    expect((await a.info("mine"))!.metadata).toEqual({ b: 2, c: 3 });
    expect((await a.info("x"))!.metadata).toEqual({ once: true });
  });

  test("keep names unique: within themselves and against others", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    await a.insert(scalar(1), { name: "x" });
    type Inside = NonNullable<Awaited<ReturnType<import("../src/index.ts").Transaction["dataset"]>>>;
    const inA = (run: (inside: Inside) => Promise<unknown>) =>
      store.transaction(async (tx) => void (await run((await tx.dataset("a"))!)));
    // After a delete, a replacement or a renaming the name is free.
    await inA(async (inside) => {
      await inside.delete("x");
      await inside.insert(scalar(2), { name: "x" });
    });
    await inA(async (inside) => {
      await inside.update("x", { name: "y" });
      await inside.insert(scalar(3), { name: "x" });
    });
    expect(await namesOf(a.records())).toEqual(["y", "x"]);
    const old = (await a.info("x"))!.id;
    for (const [what, run] of Object.entries({
      "an update and an insert": async (inside: Inside) => {
        await inside.update("x", { metadata: { kept: true } });
        await inside.insert(scalar(4), { name: "x" });
      },
      "an update and a replacement": async (inside: Inside) => {
        await inside.update("x", { metadata: { kept: true } });
        await inside.insert(scalar(4), { name: "x", replace: true });
      },
      "two inserts": async (inside: Inside) => {
        await inside.insert(scalar(4), { name: "z" });
        await inside.insert(scalar(5), { name: "z", replace: true });
      },
      "a renaming to a taken name": (inside: Inside) => inside.update("y", { name: "x" }),
    })) {
      expect(await failureOf(inA(run)), what).toBeInstanceOf(AlreadyExistsError);
    }
    const revived = inA(async (inside) => {
      await inside.insert(scalar(4), { name: "x", replace: true });
      await inside.update(old, { metadata: { revived: true } });
    });
    expect(await failureOf(revived)).toBeInstanceOf(NotFoundError);
    expect(await namesOf(a.records())).toEqual(["y", "x"]);
    expect((await a.get("x"))!.data[0]).toBe(3);

    expect(await failureOf(store.transaction((tx) => tx.createDataset("a")))).toBeInstanceOf(
      AlreadyExistsError,
    );
    const raced = store.transaction(async (tx) => {
      await (await tx.createDataset("b")).insert(scalar(1));
      await store.createDataset("b");
    });
    expect(await failureOf(raced)).toBeInstanceOf(AlreadyExistsError);
    expect(await (await store.dataset("b"))!.count()).toBe(0);
    const twice = store.transaction(async (tx) => {
      await tx.createDataset("c");
      await tx.createDataset("c");
    });
    expect(await failureOf(twice)).toBeInstanceOf(AlreadyExistsError);
  });

  test("calls that run at once, or that nobody waits for, belong to them", async () => {
    const store = await newStore(kind);
    const a = await store.createDataset("a");
    await a.insert(floats([100_000], 50), { name: "big" });
    const tensors = Array.from({ length: 9 }, (_, seed) => floats([200_000 + seed], seed));
    await store.transaction(async (tx) => {
      const inside = (await tx.dataset("a"))!;
      await Promise.all(tensors.map((tensor, index) => inside.insert(tensor, { name: `t${index}` })));
      void inside.insert(floats([150_000], 77), { name: "not awaited" });
      void inside.update("big", { tensor: floats([120_000], 51) });
    });
    for (const [index, tensor] of tensors.entries()) expectTensor(await a.get(`t${index}`), tensor);
    expectTensor(await a.get("not awaited"), floats([150_000], 77));
    expectTensor(await a.get("big"), floats([120_000], 51));
    expect(a.version).toBe(2);
  });

  test("many at once that write and then read large tensors do not wait for each other", async () => {
    const store = await newStore(kind, { memoryBytes: 32 * 2 ** 20, preset: "none" });
    const a = await store.createDataset("a");
    await a.insert(floats([2_000_000], 1), { name: "big" });
    await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        store.transaction(async (tx) => {
          const inside = (await tx.dataset("a"))!;
          await inside.insert(floats([2000], index), { name: `n${index}` });
          expect((await inside.get("big"))!.data.length).toBe(2_000_000);
        }),
      ),
    );
    expect(await a.count()).toBe(9);
  });
});

test("a deleted dataset fails the transaction that has it", async () => {
  const store = await newStore(":memory:");
  await store.createDataset("a");
  const run = store.transaction(async (tx) => {
    await (await tx.dataset("a"))!.insert(scalar(1));
    await store.deleteDataset("a");
  });
  expect(await failureOf(run)).toBeInstanceOf(NotFoundError);
});

test("a conflict with another process's commit is seen, too", async () => {
  const directory = join(temporaryDirectory(), "store");
  const first = await openTestStore(directory);
  const second = await openTestStore(directory);
  const a = await first.createDataset("a");
  await a.insert(scalar(1), { name: "x" });
  const other = (await second.dataset("a"))!;
  const run = first.transaction(async (tx) => {
    const inside = (await tx.dataset("a"))!;
    await inside.get("x");
    await other.update("x", { tensor: scalar(2) });
    await inside.insert(scalar(3), { name: "y" });
  });
  expect(await failureOf(run)).toMatchObject({ tag: "conflict", dataset: "a" });
  expect(await namesOf(a.records())).toEqual(["x"]);
});

test("a read-only store refuses them", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  await store.createDataset("a");
  const reader = await openTestStore(directory, { readOnly: true });
  expect(await failureOf(reader.transaction(async () => undefined))).toMatchObject({
    tag: "usage",
    field: "readOnly",
  });
});
