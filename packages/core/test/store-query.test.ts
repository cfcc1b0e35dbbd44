import { join } from "node:path";
import { NotFoundError, UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Dataset, JsonObject, RecordFilter } from "../src/index.ts";
import {
  failureOf,
  floats,
  kinds,
  namesOf,
  newStore,
  type StoreKind,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

/** Twenty records: labels 0 to 9 twice, nested fields, three dtypes, three shapes. */
async function filled(kind: StoreKind, indexed: readonly string[] = []): Promise<Dataset> {
  const store = await newStore(kind);
  const dataset = await store.createDataset("a", { indexed });
  await dataset.insertMany(
    Array.from({ length: 20 }, (_, n) => ({
      tensor: n % 4 === 0 ? floats([2, 3], n) : n % 4 === 1 ? floats([3, 2], n) : scalar(n),
      name: `n${n}`,
      metadata: {
        label: n % 10,
        info: { lang: n % 2 === 0 ? "de" : "en", deep: { n } },
        tags: n % 5 === 0 ? ["five", n] : [],
        ...(n < 3 && { rare: n === 0 ? null : n === 1 }),
      },
    })),
  );
  return dataset;
}

const cases: [string, RecordFilter, number[]][] = [
  ["equal", { where: { label: 3 } }, [3, 13]],
  ["eq and ne", { where: { label: { eq: 3, ne: 4 } } }, [3, 13]],
  ["a range", { where: { label: { gte: 2, lt: 4 } } }, [2, 3, 12, 13]],
  ["two fields", { where: { label: { lte: 1 }, "info.lang": "de" } }, [0, 10]],
  ["a deep path", { where: { "info.deep.n": { gt: 17 } } }, [18, 19]],
  ["in", { where: { label: { in: [9, 0] } } }, [0, 9, 10, 19]],
  ["text order", { where: { "info.lang": { gt: "de", lte: "en" } } }, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19]],
  ["contains in an array", { where: { tags: { contains: "five" } } }, [0, 5, 10, 15]],
  ["contains a number", { where: { tags: { contains: 5 } } }, [5]],
  ["contains in text", { where: { "info.lang": { contains: "d" }, label: { lt: 3 } } }, [0, 2, 10, 12]],
  ["exists", { where: { rare: { exists: true } } }, [0, 1, 2]],
  ["null", { where: { rare: null } }, [0]],
  ["true is not 1", { where: { rare: 1 } }, []],
  ["a boolean", { where: { rare: true } }, [1]],
  ["text is not a number", { where: { label: "3" } }, []],
  ["nothing missing is equal", { where: { nowhere: 1 } }, []],
  ["dtype", { dtype: "float32" }, [0, 1, 4, 5, 8, 9, 12, 13, 16, 17]],
  ["dtype by its code", { dtype: "I32", where: { label: 2 } }, [2]],
  ["shape", { shape: [3, 2] }, [1, 5, 9, 13, 17]],
  ["a scalar's shape", { shape: [], where: { label: { gt: 7 } } }, [18, 19]],
  ["dtype, shape and where", { dtype: "float32", shape: [2, 3], where: { label: { gte: 4 } } }, [4, 8, 16]],
  ["name", { name: "n7" }, [7]],
  ["without a file", { file: "", where: { label: 1 } }, [1, 11]],
  ["everything", {}, Array.from({ length: 20 }, (_, n) => n)],
];

describe.each(kinds)("queries (%s)", (kind) => {
  test.each([[[]], [["label", "info.lang", "info.deep.n", "tags", "rare"]]])(
    "find by metadata, dtype and shape, indexed: %j",
    async (indexed) => {
      const dataset = await filled(kind, indexed);
      expect(dataset.indexed).toEqual(indexed);
      for (const [what, filter, expected] of cases) {
        const names = expected.map((n) => `n${n}`);
        expect(await namesOf(dataset.records(filter)), what).toEqual(names);
        expect(await dataset.count(filter), what).toBe(names.length);
        expect(
          (await dataset.page({ ...filter, limit: 3 })).records.map(({ name }) => name),
          what,
        ).toEqual(names.slice(0, 3));
      }
    },
  );

  test("indexes follow what is declared later", async () => {
    const dataset = await filled(kind);
    await dataset.setIndexed(["label"]);
    expect(dataset.indexed).toEqual(["label"]);
    expect(await dataset.count({ where: { label: { lt: 2 } } })).toBe(4);
    await dataset.update("n0", { metadata: { label: 50 } });
    expect(await dataset.count({ where: { label: { lt: 2 } } })).toBe(3);
    expect(await dataset.at(1).count({ where: { label: { lt: 2 } } })).toBe(4);
    await dataset.setIndexed([]);
    expect(await dataset.count({ where: { label: 50 } })).toBe(1);
  });

  test("pages go on where the one before ended, over changes", async () => {
    const dataset = await filled(kind);
    const names: (string | undefined)[] = [];
    let cursor: string | undefined;
    do {
      const page = await dataset.page({ limit: 6, ...(cursor !== undefined && { cursor }) });
      names.push(...page.records.map(({ name }) => name));
      cursor = page.cursor;
      if (names.length === 6) await dataset.delete("n5");
      if (names.length === 12) await dataset.delete("n12");
    } while (cursor !== undefined);
    expect(names).toEqual(Array.from({ length: 20 }, (_, n) => `n${n}`).filter((name) => name !== "n12"));
    for (const limit of [0, -1, 1.5, 10_001, Number.NaN])
      expect(await failureOf(dataset.page({ limit }))).toMatchObject({ field: "limit" });
    for (const wrong of ["", "x", "!".repeat(26)])
      expect(await failureOf(dataset.page({ cursor: wrong }))).toMatchObject({ field: "cursor" });
  });

  test("samples are different records, the same for the same seed", async () => {
    const dataset = await filled(kind);
    const pick = async (count: number, seed?: number) =>
      (await dataset.sample(count, seed === undefined ? {} : { seed })).map(({ name }) => name);
    const first = await pick(7, 1);
    expect(first).toHaveLength(7);
    expect(new Set(first).size).toBe(7);
    expect(await pick(7, 1)).toEqual(first);
    const others = await Promise.all([2, 3, 4, 5].map((seed) => pick(7, seed)));
    expect(others.some((other) => other.join() !== first.join())).toBe(true);
    expect(await pick(100, 9)).toHaveLength(20);
    expect(await pick(0)).toEqual([]);
    expect(await pick(20)).toHaveLength(20);
    expect((await dataset.sample(3, { seed: 1, where: { label: 4 } })).map(({ name }) => name)).toEqual([
      "n4",
      "n14",
    ]);
    expect(await failureOf(dataset.sample(-1))).toBeInstanceOf(UsageError);
    const seen = new Set((await Promise.all(Array.from({ length: 60 }, (_, seed) => pick(2, seed)))).flat());
    expect(seen.size).toBe(20);
    expect((await (await dataset.sample(1, { seed: 3 }))[0]!.read()).dtype).toMatch(/float32|int32/);
  });

  test("filter looks at decoded tensors; records read and slice on demand", async () => {
    const dataset = await filled(kind);
    const positive = dataset.filter(
      (tensor, metadata) =>
        tensor.dtype === "int32" && Number(tensor.data[0]) > 10 && metadata["label"] !== 4,
    );
    expect(await namesOf(positive)).toEqual(["n11", "n15", "n18", "n19"]);
    expect(await namesOf(dataset.filter(async () => true, { shape: [3, 2] }))).toEqual([
      "n1",
      "n5",
      "n9",
      "n13",
      "n17",
    ]);
    for await (const record of dataset.records({ name: "n4" })) {
      expect((await record.slice([1, [0, 2]])).data).toEqual(floats([2, 3], 4).data.slice(3, 5));
      expect((await record.read({ as: "float32" })).data).toEqual(floats([2, 3], 4).data);
      expect(record).toMatchObject({ dtype: "float32", shape: [2, 3], bytes: 24, file: undefined });
    }
  });

  test("mistakes are named", async () => {
    const dataset = await filled(kind);
    const wrong: [RecordFilter, string][] = [
      [{ where: { label: { greater: 3 } as never } }, "where.label"],
      [{ where: { "a b": 1 } }, "where.a b"],
      [{ where: { label: [1] as never } }, "where.label"],
      [{ where: { label: {} } }, "where.label"],
      [{ where: { label: { in: 3 as never } } }, "where.label"],
      [{ dtype: "float31" }, "dtype"],
    ];
    for (const [filter, field] of wrong) {
      for (const call of [
        () => dataset.count(filter),
        () => dataset.page(filter),
        () => namesOf(dataset.records(filter)),
      ]) {
        expect(await failureOf(call()), field).toMatchObject({ tag: "usage", field });
      }
    }
    expect(await failureOf(dataset.count({ file: "nope" }))).toBeInstanceOf(NotFoundError);
  });

  test("records of one file", async () => {
    const dataset = await filled(kind);
    const folder = temporaryDirectory();
    const paths = ["m.safetensors", "n.safetensors"].map((name) =>
      writeSafetensors(join(folder, name), { w: floats([2, 3], 1), b: scalar(1) }),
    );
    // The dataset's store has no other handle here than through an import.
    const store = await newStore(kind);
    await store.importFile(paths, { dataset: "b" });
    const files = (await store.dataset("b"))!;
    expect(await namesOf(files.records({ file: "m.safetensors" }))).toEqual(
      await namesOf(files.records({ file: "n.safetensors" })),
    );
    expect(await files.count({ file: "m.safetensors", dtype: "float32" })).toBe(1);
    expect(await files.count({ name: "w" })).toBe(2);
    expect(await files.count({ file: "" })).toBe(0);
    expect(await dataset.count({ file: "" })).toBe(20);
  });
});

test("iteration is lazy: nothing is decoded that is not read, and stopping early is fine", async () => {
  const store = await newStore("directory");
  const dataset = await store.createDataset("a");
  await dataset.insertMany(Array.from({ length: 1700 }, (_, n) => ({ tensor: scalar(n), name: `n${n}` })));
  let seen = 0;
  for await (const record of dataset.records()) {
    seen += 1;
    if (seen === 1234) {
      expect((await record.read()).data[0]).toBe(1233);
      break;
    }
  }
  await dataset.insert(scalar(1));
  expect(await dataset.count()).toBe(1701);
});

test("where finds what a naive filter finds", async () => {
  const store = await newStore(":memory:");
  const scalars = fc.oneof(
    fc.integer({ min: -3, max: 3 }),
    fc.constantFrom("", "a", "ab", "b", "ä", "'", '"'),
    fc.boolean(),
    fc.constant(null),
    fc.double({ noNaN: true, noDefaultInfinity: true, min: -2, max: 2 }),
  );
  const metadata = fc.dictionary(
    fc.constantFrom("p", "q"),
    fc.oneof(scalars, fc.array(scalars, { maxLength: 3 }), fc.record({ r: scalars })),
  );
  const type = (value: unknown): string =>
    value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  const at = (object: JsonObject, path: string): unknown =>
    path
      .split(".")
      .reduce<unknown>(
        (value, key) => (type(value) === "object" ? (value as JsonObject)[key] : undefined),
        object,
      );
  const operators: Record<string, (value: unknown, operand: never) => boolean> = {
    eq: (value, operand) => type(value) === type(operand) && value === operand,
    ne: (value, operand) => !(type(value) === type(operand) && value === operand),
    gt: (value, operand) => type(value) === type(operand) && (value as number) > operand,
    gte: (value, operand) => type(value) === type(operand) && (value as number) >= operand,
    lt: (value, operand) => type(value) === type(operand) && (value as number) < operand,
    lte: (value, operand) => type(value) === type(operand) && (value as number) <= operand,
    exists: (value, operand) => (value !== undefined) === operand,
    in: (value, operand: unknown[]) => operand.some((one) => type(one) === type(value) && one === value),
    contains: (value, operand) =>
      (typeof value === "string" && typeof operand === "string" && value.includes(operand)) ||
      (Array.isArray(value) && value.some((one) => type(one) === type(operand) && one === operand)),
  };
  const condition = fc.oneof(
    fc.tuple(fc.constantFrom("eq", "ne", "contains"), scalars),
    fc.tuple(
      fc.constantFrom("gt", "gte", "lt", "lte"),
      fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constantFrom("", "a", "b", "ä")),
    ),
    fc.tuple(fc.constant("exists"), fc.boolean()),
    fc.tuple(fc.constant("in"), fc.array(scalars, { maxLength: 3 })),
  );
  let round = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(metadata, { minLength: 1, maxLength: 12 }),
      fc.array(fc.tuple(fc.constantFrom("p", "q", "p.r", "q.r"), condition), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (records, conditions, indexed) => {
        const dataset = await store.createDataset(`d${round++}`, indexed ? { indexed: ["p", "q.r"] } : {});
        await dataset.insertMany(
          records.map((one, index) => ({ tensor: scalar(index), name: String(index), metadata: one })),
        );
        for (const [path, [operator, operand]] of conditions) {
          // -0 is 0 in JSON.
          const expected = records.flatMap((one, index) =>
            operators[operator]!(at(JSON.parse(JSON.stringify(one)) as JsonObject, path), operand as never)
              ? [String(index)]
              : [],
          );
          const where = { [path]: { [operator]: operand } };
          expect(await namesOf(dataset.records({ where })), JSON.stringify([where, records])).toEqual(
            expected,
          );
        }
        await store.deleteDataset(`d${round - 1}`);
      },
    ),
    { numRuns: 60 },
  );
});
