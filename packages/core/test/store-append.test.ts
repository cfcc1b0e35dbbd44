import { join } from "node:path";
import { ConflictError, NotFoundError, UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bytesOf,
  expectTensor,
  failureOf,
  floats,
  framesIn,
  kinds,
  newStore,
  openTestStore,
  randomTensor,
  sameBytes,
  scalar,
  temporaryDirectory,
} from "./store-harness.ts";

describe.each(kinds)("append (%s)", (kind) => {
  test("adds rows along axis 0; the record keeps its id, old versions stay", async () => {
    const store = await newStore(kind, { chunkElements: 1024 });
    const dataset = await store.createDataset("a");
    const all = floats([1000, 50], 1);
    const rows = (from: number, to: number) => ({
      dtype: "float32",
      shape: [to - from, 50],
      data: all.data.slice(from * 50, to * 50),
    });
    const id = await dataset.insert(rows(0, 1), { name: "series", metadata: { unit: "m" } });
    const cuts = [1, 2, 20, 21, 60, 61, 500, 500, 999, 1000];
    for (let index = 1; index < cuts.length; index++)
      await dataset.append("series", rows(cuts[index - 1]!, cuts[index]!));
    expectTensor(await dataset.get("series"), all);
    expect(await dataset.info("series")).toMatchObject({ id, metadata: { unit: "m" }, shape: [1000, 50] });
    for (const [index, cut] of cuts.entries())
      expectTensor(await dataset.at(index + 1).get("series"), rows(0, cut) as never);
    // What was appended to is the same tensor as one that was stored at once.
    await dataset.insert(all, { name: "at once" });
    expect((await dataset.get("at once"))!.data).toEqual((await dataset.get("series"))!.data);
  });

  test("takes only rows that fit", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([4, 5]), { name: "x" });
    await dataset.insert(scalar(1), { name: "scalar" });
    await dataset.insert(floats([100, 100]), { name: "int8", preset: "int8_only" });
    expect(await failureOf(dataset.append("x", floats([1, 6])))).toMatchObject({
      tag: "usage",
      field: "shape",
    });
    expect(await failureOf(dataset.append("x", floats([5])))).toMatchObject({ field: "shape" });
    expect(await failureOf(dataset.append("x", randomTensor("float64", [1, 5])))).toMatchObject({
      field: "dtype",
    });
    expect(await failureOf(dataset.append("scalar", scalar(1)))).toBeInstanceOf(UsageError);
    expect((await failureOf(dataset.append("int8", floats([1, 100])))).message).toContain("int8");
    expect(await failureOf(dataset.append("nobody", floats([1, 5])))).toBeInstanceOf(NotFoundError);
    expect(dataset.version).toBe(3);
    await dataset.append("x", { dtype: "F32", shape: [1, 5], data: bytesOf(floats([1, 5])) });
    expect((await dataset.info("x"))!.shape).toEqual([5, 5]);
  });

  test("calls at once take turns, and none is lost", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insert({ dtype: "int32", shape: [1], data: new Int32Array([0]) }, { name: "log" });
    await Promise.all(
      Array.from({ length: 20 }, (_, value) =>
        dataset.append("log", { dtype: "int32", shape: [1], data: new Int32Array([value + 1]) }),
      ),
    );
    expect([...(await dataset.get("log"))!.data]).toEqual(Array.from({ length: 21 }, (_, value) => value));
  });

  test("a record that was replaced meanwhile is appended to as it is now, or not at all", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    for (let round = 0; round < 8; round++) {
      await dataset.insert(floats([3000], 1), { name: "x", replace: true });
      const [appended] = await Promise.allSettled([
        dataset.append("x", floats([1000], 2)),
        dataset.update("x", { tensor: floats([10], 3) }),
      ]);
      const { data } = (await dataset.get("x"))!;
      if (appended.status === "rejected") expect(appended.reason).toBeInstanceOf(ConflictError);
      const possible = [[...floats([10], 3).data], [...floats([10], 3).data, ...floats([1000], 2).data]];
      expect(possible.map((one) => one.length)).toContain(data.length);
      expect(
        possible.some((one) =>
          sameBytes(bytesOf({ data: new Float32Array(one) }), bytesOf({ data: data as Float32Array })),
        ),
      ).toBe(true);
    }
  });
});

test("full chunks are not written again", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory, { chunkElements: 4096, preset: "none" });
  const dataset = await store.createDataset("a");
  await dataset.insert(floats([102, 1024], 1), { name: "x" });
  const before = framesIn(directory);
  expect(before).toHaveLength(26);
  await dataset.append("x", floats([1, 1024], 2));
  const after = framesIn(directory);
  expect(after.slice(0, 26)).toEqual(before);
  // The last chunk of two rows is cut again with the third.
  expect(after.slice(26).map(({ bytes }) => bytes)).toEqual([3 * 4096 + 56]);
  await dataset.append("x", floats([9, 1024], 3));
  expect(framesIn(directory)).toHaveLength(30);
});

test("two handles append to one record without losing rows", async () => {
  const directory = join(temporaryDirectory(), "store");
  const handles = [await openTestStore(directory), await openTestStore(directory)];
  const dataset = await handles[0]!.createDataset("a");
  await dataset.insert({ dtype: "int32", shape: [0], data: new Int32Array(0) }, { name: "log" });
  let appended = 0;
  await Promise.all(
    handles.map(async (store, side) => {
      const mine = (await store.dataset("a"))!;
      for (let count = 0; count < 15; count++) {
        try {
          await mine.append("log", {
            dtype: "int32",
            shape: [1],
            data: new Int32Array([side * 100 + count]),
          });
          appended += 1;
        } catch (error) {
          expect(error).toBeInstanceOf(ConflictError);
        }
      }
    }),
  );
  const values = [...(await dataset.get("log"))!.data].map(Number);
  expect(values).toHaveLength(appended);
  for (const side of [0, 1]) {
    const mine = values.filter((value) => Math.floor(value / 100) === side);
    expect(mine).toEqual([...mine].sort((a, b) => a - b));
  }
});

test("any sequence of appends equals the concatenation", async () => {
  const store = await newStore(":memory:", { chunkElements: 64 });
  const dataset = await store.createDataset("a");
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("float32", "int4", "float6_e3m2fn", "uint8", "complex128", "bool"),
      fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 2 }),
      fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 }),
      async (dtype, row, lengths) => {
        const name = String(round++);

        // Sub-byte rows are put together as elements, so the whole is made first and cut by the store.
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const whole = randomTensor(dtype, [total, ...row], round);
        await dataset.insert(whole, { name: `${name} whole` });
        let from = 0;
        for (const [index, length] of lengths.entries()) {
          const part = (await dataset.slice(`${name} whole`, [[from, from + length]]))!;
          expect(part.shape).toEqual([length, ...row]);
          if (index === 0) await dataset.insert(part, { name });
          else await dataset.append(name, part);
          from += length;
        }
        expect((await dataset.info(name))!.shape).toEqual([total, ...row]);
        expectTensor(await dataset.get(name), whole);
      },
    ),
    { numRuns: 60 },
  );
});
