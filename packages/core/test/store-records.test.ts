import { AlreadyExistsError, NotFoundError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  bytesOf,
  expectTensor,
  failureOf,
  floats,
  kinds,
  namesOf,
  newStore,
  noise,
  randomTensor,
  scalar,
} from "./store-harness.ts";

describe.each(kinds)("records (%s)", (kind) => {
  test("are inserted and read by id and by name", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const cat = floats([3, 64, 64], 1);
    const id = await dataset.insert(cat, { name: "cat", metadata: { label: 3 } });
    expect(id).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/);
    expectTensor(await dataset.get(id), cat);
    expectTensor(await dataset.get("cat"), cat);
    expectTensor(await dataset.get(id.toLowerCase()), cat);
    expect(await dataset.get("dog")).toBeUndefined();
    expect(await dataset.get("00000000000000000000000000")).toBeUndefined();
    expect(await dataset.info("dog")).toBeUndefined();
    expect(await dataset.slice("dog", [0])).toBeUndefined();
    expect(await dataset.gather("dog", [0])).toBeUndefined();
    expect(await dataset.info("cat")).toMatchObject({
      id,
      name: "cat",
      file: undefined,
      metadata: { label: 3 },
      dtype: "float32",
      shape: [3, 64, 64],
      bytes: 4 * 3 * 64 * 64,
      quantization: undefined,
      note: undefined,
    });
    const read = (await dataset.get("cat"))!;
    expect(read.dims).toEqual([3, 64, 64]);
    expect(read.type).toBe("float32");
    expect(read.data).toBeInstanceOf(Float32Array);
  });

  test("a taken name is an error unless it is to be replaced", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const first = await dataset.insert(scalar(1), { name: "x" });
    expect(await failureOf(dataset.insert(scalar(2), { name: "x" }))).toMatchObject({
      tag: "already-exists",
      taken: "x",
    });
    expect(dataset.version).toBe(1);
    const second = await dataset.insert(scalar(2), { name: "x", replace: true });
    expect(second).not.toBe(first);
    expect(await dataset.get(first)).toBeUndefined();
    expect((await dataset.get("x"))!.data).toEqual(new Int32Array([2]));
    expect(await dataset.count()).toBe(1);
    await dataset.insert(scalar(3), { name: "fresh", replace: true });
    expect(await dataset.count()).toBe(2);
    // Records without a name never collide.
    await dataset.insert(scalar(3));
    await dataset.insert(scalar(3));
    expect(await dataset.count()).toBe(4);
  });

  test("batches commit as a whole, from arrays, generators and asynchronous ones", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const items = [1, 2, 3].map((value) => ({
      tensor: scalar(value),
      name: `n${value}`,
      metadata: { value },
    }));
    expect(await dataset.insertMany(items)).toHaveLength(3);
    expect(dataset.version).toBe(1);
    function* generated() {
      for (const value of [4, 5]) yield { tensor: floats([1500], value), name: `n${value}` };
    }
    await dataset.insertMany(generated());
    async function* streamed() {
      // Reading from the store while it stores.
      for await (const record of dataset.records())
        yield { tensor: await record.read(), name: `copy of ${record.name}` };
    }
    await dataset.insertMany(streamed());
    expect(dataset.version).toBe(3);
    expect(await namesOf(dataset.records())).toEqual(
      [1, 2, 3, 4, 5].map((n) => `n${n}`).concat([1, 2, 3, 4, 5].map((n) => `copy of n${n}`)),
    );
    expectTensor(await dataset.get("copy of n4"), floats([1500], 4));
    expect(await dataset.insertMany([])).toEqual([]);
    expect(dataset.version).toBe(3);

    const taken = [
      { tensor: scalar(9), name: "new" },
      { tensor: scalar(9), name: "n1" },
    ];
    expect(await failureOf(dataset.insertMany(taken))).toBeInstanceOf(AlreadyExistsError);
    const twice = [
      { tensor: scalar(9), name: "new" },
      { tensor: scalar(9), name: "new", replace: true },
    ];
    expect(await failureOf(dataset.insertMany(twice))).toBeInstanceOf(AlreadyExistsError);
    async function* failing() {
      yield { tensor: scalar(9), name: "new" };
      throw new RangeError("the source failed");
    }
    expect(await failureOf(dataset.insertMany(failing()))).toMatchObject({ message: "the source failed" });
    expect(
      await failureOf(
        dataset.insertMany([{ tensor: { dtype: "float32", shape: [3], data: new Float32Array(2) } }]),
      ),
    ).toMatchObject({ field: "data" });
    expect(await dataset.info("new")).toBeUndefined();
    expect(dataset.version).toBe(3);
  });

  test("what cannot be a tensor is refused by field", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const cases: [object, string][] = [
      [{ dtype: "float31", shape: [1], data: new Float32Array(1) }, "dtype"],
      [{ shape: [1], data: new Float32Array(1) }, "dtype"],
      [{ dtype: "float32", shape: [1.5], data: new Float32Array(1) }, "shape"],
      [{ dtype: "float32", shape: [-1], data: new Float32Array(1) }, "shape"],
      [{ dtype: "float32", shape: [2 ** 32, 2 ** 32], data: new Float32Array(1) }, "shape"],
      [{ dtype: "float32", shape: 3, data: new Float32Array(1) }, "shape"],
      [{ dtype: "float32", shape: [2], data: new Float32Array(1) }, "data"],
      [{ dtype: "float32", shape: [1], data: [1] }, "data"],
      [{ dtype: "float32", shape: [1], data: new Int32Array(1) }, "data"],
      [{ dtype: "float32", shape: [1], data: new Float32Array(1).buffer }, "data"],
    ];
    for (const [tensor, field] of cases) {
      expect(await failureOf(dataset.insert(tensor as never)), field).toMatchObject({ tag: "usage", field });
      expect(await failureOf(dataset.update("x", { tensor: tensor as never }))).toMatchObject({
        tag: "usage",
        field,
      });
    }
    expect(await failureOf(dataset.insert(scalar(1), { name: 5 as never }))).toMatchObject({ field: "name" });
    expect(await failureOf(dataset.insert(scalar(1), { name: "\ud800" }))).toMatchObject({ field: "name" });
    expect(await failureOf(dataset.insert(scalar(1), { name: "x".repeat(5000) }))).toMatchObject({
      tag: "limit",
    });
    expect(await failureOf(dataset.insert(scalar(1), { metadata: [] as never }))).toMatchObject({
      field: "metadata",
    });
    expect(await failureOf(dataset.insert(scalar(1), { preset: "nope" }))).toBeInstanceOf(NotFoundError);
    expect(dataset.version).toBe(0);
  });

  test("safetensors codes and raw bytes are taken, too", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const tensor = floats([5]);
    await dataset.insert({ dtype: "F32", shape: [5], data: bytesOf(tensor) }, { name: "raw" });
    expectTensor(await dataset.get("raw"), tensor);
    const unaligned = new Uint8Array(21);
    unaligned.set(bytesOf(tensor), 1);
    await dataset.insert(
      { dtype: "float32", shape: [5], data: unaligned.subarray(1) },
      { name: "unaligned" },
    );
    expectTensor(await dataset.get("unaligned"), tensor);
    const shared = new Float32Array(new SharedArrayBuffer(20));
    shared.set(tensor.data);
    await dataset.insert({ dtype: "float32", shape: [5], data: shared }, { name: "shared" });
    expectTensor(await dataset.get("shared"), tensor);
  });

  test("the caller's array, metadata and list may change right after the call", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([4, 4], 3), { name: "log" });
    await dataset.insert(scalar(0), { name: "u" });
    const expected = floats([70_000], 1);
    const mine = floats([70_000], 1);
    const many = floats([70_000], 1);
    const rows = floats([1, 4], 9);
    const update = floats([3000], 5);
    const metadata = { label: { value: 1 } };
    const list = [{ tensor: many, name: "many", metadata }];
    const working = [
      dataset.insert(mine, { name: "one", metadata }),
      dataset.insertMany(list),
      dataset.append("log", rows),
      dataset.update("u", { tensor: update, metadata }),
    ];
    const kept = store.transaction(async (tx) => {
      const inside = (await tx.dataset("a"))!;
      const own = floats([70_000], 1);
      const insert = inside.insert(own, { name: "in tx" });
      own.data.fill(7);
      await insert;
    });
    for (const data of [mine.data, many.data, rows.data, update.data]) data.fill(7);
    metadata.label.value = 7;
    list.push({ tensor: many, name: "late", metadata });
    await Promise.all([...working, kept]);
    for (const name of ["one", "many", "in tx"]) expectTensor(await dataset.get(name), expected);
    for (const name of ["one", "many", "u"])
      expect((await dataset.info(name))!.metadata).toEqual({ label: { value: 1 } });
    expectTensor(await dataset.slice("log", [[4, 5]]), floats([1, 4], 9));
    expectTensor(await dataset.get("u"), floats([3000], 5));
    expect(await dataset.get("late")).toBeUndefined();
  });

  test("what is returned is the caller's own, never shared memory", async () => {
    const store = await newStore(kind, { workers: 2, memoryBytes: 64 * 2 ** 20 });
    const dataset = await store.createDataset("a", { preset: "none" });
    const tensors = { small: floats([10], 1), chunk: floats([5000], 2), chunks: floats([400, 1000], 3) };
    for (const [name, tensor] of Object.entries(tensors)) await dataset.insert(tensor, { name });
    await dataset.insert(floats([9000], 5), { name: "int8", preset: "int8_only" });
    for (const name of [...Object.keys(tensors), "int8"]) {
      const reads = [
        () => dataset.get(name),
        () => dataset.slice(name, []),
        () => dataset.slice(name, [[0, 3]]),
        () => dataset.gather(name, [1, 0, 0]),
        () => dataset.get(name, { as: "float16" }),
      ];
      for (const read of reads) {
        const found = (await read())!;
        expect(found.data.buffer).toBeInstanceOf(ArrayBuffer);
        const before = found.bytes().slice();
        found.bytes().fill(0xee);
        expect((await read())!.bytes()).toEqual(before);
      }
    }
    for (const [name, tensor] of Object.entries(tensors)) expectTensor(await dataset.get(name), tensor);
  });

  test("update merges metadata, renames and replaces the tensor; delete deletes", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const id = await dataset.insert(scalar(1), { name: "x", metadata: { a: 1, b: { c: 2 } } });
    await dataset.insert(scalar(5), { name: "taken" });
    await dataset.update("x", { metadata: { b: { d: 3 }, a: null, e: "f" } });
    expect((await dataset.info(id))!.metadata).toEqual({ b: { d: 3 }, e: "f" });
    await dataset.update(id, { name: "y", tensor: floats([4000], 3) });
    expect(await dataset.get("x")).toBeUndefined();
    expectTensor(await dataset.get("y"), floats([4000], 3));
    expect((await dataset.info("y"))!.id).toBe(id);
    await dataset.update("y", { name: "y" });
    expect(await failureOf(dataset.update("y", { name: "taken" }))).toBeInstanceOf(AlreadyExistsError);
    expect(await failureOf(dataset.update("nobody", { metadata: {} }))).toBeInstanceOf(NotFoundError);
    expect(await dataset.delete("y")).toBe(true);
    expect(await dataset.delete("y")).toBe(false);
    expect(await dataset.delete(id)).toBe(false);
    expect(await namesOf(dataset.records())).toEqual(["taken"]);
    await dataset.insert(scalar(6), { name: "y" });
    expect((await dataset.get("y"))!.data).toEqual(new Int32Array([6]));
  });

  test("calls at once keep names unique and never bring a replaced record back", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    for (let round = 0; round < 20; round++) {
      const id = await dataset.insert(scalar(0), { name: "x", replace: true });
      const calls = [
        () => dataset.update(id, { metadata: { round } }),
        () => dataset.insert(scalar(1), { name: "x" }),
        () => dataset.insert(scalar(2), { name: "x", replace: true }),
        () => dataset.delete(id),
        () => dataset.update(id, { name: `y${round}` }),
        () => dataset.update(id, { tensor: scalar(9) }),
      ];
      // Every order, and each call held back by a turn or none.
      const order = calls.map((_, index) => calls[(index * 5 + round) % calls.length]!);
      await Promise.allSettled(
        order.map(async (call, index) => {
          if ((round >> (index % 4)) & 1) await Promise.resolve();
          return call();
        }),
      );
      const names = await namesOf(dataset.records());
      expect(new Set(names).size, names.join()).toBe(names.length);
    }
  });
});

test("many concurrent inserts share commits and all arrive", async () => {
  const store = await newStore("directory");
  const dataset = await store.createDataset("a");
  const count = 300;
  const before = performance.now();
  const ids = await Promise.all(
    Array.from({ length: count }, (_, value) =>
      dataset.insert(scalar(value), { name: `n${value}`, metadata: { value } }),
    ),
  );
  expect(performance.now() - before).toBeLessThan(10_000);
  expect(new Set(ids).size).toBe(count);
  expect(await dataset.count()).toBe(count);
  expect(dataset.version).toBeLessThan(count / 4);
  for (const value of [0, 1, 150, count - 1])
    expect((await dataset.get(`n${value}`))!.data).toEqual(new Int32Array([value]));
});

test("more concurrent reads of large tensors than there are buffers", async () => {
  const store = await newStore("directory", { workers: 2, memoryBytes: 32 * 2 ** 20, preset: "none" });
  const dataset = await store.createDataset("a");
  const tensors = Array.from({ length: 5 }, (_, seed) => ({
    dtype: "uint8" as const,
    shape: [6_000_000],
    data: noise(6_000_000, seed),
  }));
  for (const [index, tensor] of tensors.entries()) await dataset.insert(tensor, { name: `t${index}` });
  const found = await Promise.all(tensors.map((_, index) => dataset.get(`t${index}`)));
  for (const [index, tensor] of tensors.entries()) expectTensor(found[index], tensor);
  // Copying from a dataset into itself holds buffers for both.
  await Promise.all(
    [0, 1, 2].map((round) =>
      dataset.insertMany(
        (async function* () {
          for (const index of [0, 1]) {
            const tensor = (await dataset.get(`t${index}`))!;
            yield {
              tensor: {
                ...tensor,
                data: tensor.bytes().map((byte) => byte ^ (round + 1)),
              },
              name: `c${round}.${index}`,
            };
          }
        })(),
      ),
    ),
  );
  expect(await dataset.count()).toBe(11);
  expect((await dataset.get("c2.1"))!.bytes()[0]).toBe(tensors[1]!.data[0]! ^ 3);
});

test("chunks as large as the memory allows, of data that does not shrink", async () => {
  const store = await newStore(":memory:", { memoryBytes: 32 * 2 ** 20 });
  const dataset = await store.createDataset("a");
  const tensor = randomTensor("complex128", [300_000], 4);
  await dataset.insert(tensor, { name: "x" });
  expectTensor(await dataset.get("x"), tensor);
});

test("the smallest chunks: headers outweigh the data", async () => {
  const store = await newStore(":memory:", { chunkElements: 64, preset: "none", memoryBytes: 32 * 2 ** 20 });
  const dataset = await store.createDataset("a");
  const tensor = randomTensor("uint8", [1_300_003], 5);
  await dataset.insert(tensor, { name: "x" });
  expectTensor(await dataset.get("x"), tensor);
  expect(await failureOf(newStore(":memory:", { chunkElements: 63 }))).toBeInstanceOf(UsageError);
});

test("an aborted batch stores nothing", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("a");
  const aborted = AbortSignal.abort(new Error("enough"));
  expect(await failureOf(dataset.insertMany([{ tensor: scalar(1) }], { signal: aborted }))).toMatchObject({
    tag: "cancelled",
  });
  const controller = new AbortController();
  const items = (async function* () {
    for (let value = 0; value < 5; value++) {
      if (value === 3) controller.abort();
      yield { tensor: floats([3000], value) };
    }
  })();
  expect(await failureOf(dataset.insertMany(items, { signal: controller.signal }))).toMatchObject({
    tag: "cancelled",
  });
  expect(await dataset.count()).toBe(0);
  expect(dataset.version).toBe(0);
});
