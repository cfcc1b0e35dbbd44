import { join } from "node:path";
import { SchemaError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import type { DatasetSchema } from "../src/index.ts";
import {
  failureOf,
  floats,
  kinds,
  newStore,
  openTestStore,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

describe.each(kinds)("schemas (%s)", (kind) => {
  test("errors name the field that is wrong", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a", {
      schema: {
        dtype: ["float32", "BF16"],
        shape: [null, 3],
        metadata: {
          label: "integer",
          name: "string",
          score: "number",
          ok: "boolean",
          list: "array",
          more: "object",
        },
      },
    });
    const good = { label: 1, name: "x", score: 0.5, ok: true, list: [], more: {} };
    await dataset.insert(floats([2, 3]), { name: "good", metadata: good });
    await dataset.insert(floats([0, 3]), { metadata: { ...good, extra: 1 } });
    await dataset.insert({ dtype: "bfloat16", shape: [1, 3], data: new Uint16Array(3) }, { metadata: good });
    const wrong: [Parameters<typeof dataset.insert>[0], object, string][] = [
      [{ dtype: "float64", shape: [2, 3], data: new Float64Array(6) }, good, "dtype"],
      [floats([3, 2]), good, "shape"],
      [floats([3]), good, "shape"],
      [floats([1, 3, 1]), good, "shape"],
      [scalar(1), good, "dtype"],
      [floats([2, 3]), {}, "metadata.label"],
      [floats([2, 3]), { ...good, label: 1.5 }, "metadata.label"],
      [floats([2, 3]), { ...good, label: "1" }, "metadata.label"],
      [floats([2, 3]), { ...good, name: null }, "metadata.name"],
      [floats([2, 3]), { ...good, score: "high" }, "metadata.score"],
      [floats([2, 3]), { ...good, ok: 1 }, "metadata.ok"],
      [floats([2, 3]), { ...good, list: {} }, "metadata.list"],
      [floats([2, 3]), { ...good, more: [] }, "metadata.more"],
      [floats([2, 3]), { ...good, more: null }, "metadata.more"],
    ];
    for (const [tensor, metadata, field] of wrong) {
      const failure = await failureOf(
        dataset.insert(tensor, { name: "culprit", metadata: metadata as never }),
      );
      expect(failure).toBeInstanceOf(SchemaError);
      expect(failure).toMatchObject({ tag: "schema", field });
      expect(failure.message).toContain("culprit");
    }
    expect(
      await failureOf(
        dataset.insertMany([
          { tensor: floats([1, 3]), metadata: good },
          { tensor: scalar(1), metadata: good },
        ]),
      ),
    ).toMatchObject({ field: "dtype" });
    const inTransaction = store.transaction(async (tx) => {
      await (await tx.dataset("a"))!.insert(floats([1, 4]), { metadata: good });
    });
    expect(await failureOf(inTransaction)).toMatchObject({ tag: "schema", field: "shape" });
    expect(await dataset.count()).toBe(3);

    expect(await failureOf(dataset.update("good", { metadata: { label: null } }))).toMatchObject({
      field: "metadata.label",
    });
    expect(await failureOf(dataset.update("good", { tensor: scalar(1) }))).toMatchObject({ field: "dtype" });
    expect(
      await failureOf(dataset.append("good", { dtype: "float32", shape: [1, 4], data: new Float32Array(4) })),
    ).toMatchObject({ field: "shape" });
    await dataset.update("good", { metadata: { label: 2 } });
    await dataset.append("good", floats([1, 3]));
    expect((await dataset.info("good"))!.shape).toEqual([3, 3]);
  });

  test("holds for imports, which land not at all", async () => {
    const store = await newStore(kind);
    const path = writeSafetensors(join(temporaryDirectory(), "m.safetensors"), {
      fits: floats([4]),
      odd: scalar(1),
    });
    const dataset = await store.createDataset("a", { schema: { dtype: "float32" } });
    const failure = await failureOf(store.importFile(path, { dataset: "a" }));
    expect(failure).toMatchObject({ tag: "schema", field: "dtype" });
    expect(failure.message).toContain("m.safetensors#odd");
    expect([await dataset.count(), (await dataset.files()).length, dataset.version]).toEqual([0, 0, 0]);
    await dataset.setSchema(null);
    await store.importFile(path, { dataset: "a" });
    expect(await dataset.count()).toBe(2);
  });

  test("a schema holds from now on", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    expect(dataset.schema).toBeNull();
    await dataset.insert(scalar(1), { name: "before" });
    await dataset.setSchema({ dtype: "float32" });
    expect(dataset.schema).toEqual({ dtype: ["float32"] });
    expect((await dataset.get("before"))!.dtype).toBe("int32");
    expect(await failureOf(dataset.insert(scalar(2)))).toMatchObject({ field: "dtype" });
    await dataset.setSchema({});
    await dataset.insert(scalar(2));
  });

  test("a schema that is wrong itself is refused by field", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    const wrong: [unknown, string][] = [
      [{ dtypes: "float32" }, "schema.dtypes"],
      [{ dtype: "float31" }, "schema.dtype"],
      [{ dtype: ["float32", 3] }, "schema.dtype"],
      [{ shape: 3 }, "schema.shape"],
      [{ shape: [1, -1] }, "schema.shape[1]"],
      [{ shape: ["any"] }, "schema.shape[0]"],
      [{ shape: new Array(65).fill(null) }, "schema.shape"],
      [{ metadata: { label: "int" } }, "schema.metadata.label"],
      [{ metadata: "label" }, "schema.metadata"],
      [{ metadata: ["label"] }, "schema.metadata"],
      [[], "schema"],
      ["float32", "schema"],
    ];
    for (const [schema, field] of wrong) {
      for (const call of [
        () => store.createDataset("b", { schema: schema as DatasetSchema }),
        () => dataset.setSchema(schema as DatasetSchema),
        () => store.transaction((tx) => tx.createDataset("b", { schema: schema as DatasetSchema })),
      ]) {
        const failure = await failureOf(call());
        expect(failure, JSON.stringify(schema)).toBeInstanceOf(UsageError);
        expect(failure["field"]).toBe(field);
      }
    }
    expect(await failureOf(store.createDataset("b", { schema: null as never }))).toMatchObject({
      field: "schema",
    });
    expect((await store.datasets()).length).toBe(1);
  });
});

test("schemas survive closing and hold for other handles", async () => {
  const directory = join(temporaryDirectory(), "store");
  const first = await openTestStore(directory);
  await first.createDataset("a", { schema: { shape: [2, null] } });
  const second = await openTestStore(directory);
  expect(await failureOf((await second.dataset("a"))!.insert(floats([3, 2])))).toMatchObject({
    field: "shape",
  });
  await (await second.dataset("a"))!.setSchema({ shape: [3, null] });
  await (await first.dataset("a"))!.insert(floats([3, 2]));
});
