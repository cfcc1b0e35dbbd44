/** GGUF files in a store: what comes back, as blocks and as floats. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dequantizeBlocks, dtypeOf, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { type Dataset, layoutSafetensors, type Store } from "../src/index.ts";
import { type GgufToWrite, someBytes, writeGguf } from "./format-gguf-writer.ts";
import { failureOf, kinds, newStore, type StoreKind, temporaryDirectory } from "./store-harness.ts";

/** Blocks whose scales are small normal numbers. */
function q8Blocks(count: number, seed: number): Uint8Array {
  const bytes = someBytes(34 * count, seed);
  for (let at = 0; at < bytes.length; at += 34) bytes[at + 1] = 0x20 | (bytes[at + 1]! & 0x03);
  return bytes;
}

const q8 = q8Blocks(3 * 2000, 1);
const q5 = someBytes(2 * 176, 2);
const floats = new Float32Array([1, -2, 3.5, 0.25, 5, -6]);
const file: GgufToWrite = {
  metadata: [["general.architecture", { type: "string", value: "test" }]],
  tensors: [
    { name: "q8", type: 8, dimensions: [64_000, 3], data: q8 },
    { name: "q5", type: 13, dimensions: [256, 2], data: q5 },
    { name: "f", type: 0, dimensions: [3, 2], data: new Uint8Array(floats.buffer) },
  ],
};

async function imported(
  kind: StoreKind,
  toWrite: GgufToWrite,
): Promise<{ store: Store; dataset: Dataset; bytes: Uint8Array }> {
  const path = join(temporaryDirectory(), "m.gguf");
  const { bytes } = writeGguf(toWrite);
  writeFileSync(path, bytes);
  const store = await newStore(kind, { chunkElements: 4096 });
  await store.importFile(path, { dataset: "m" });
  return { store, dataset: (await store.dataset("m"))!, bytes };
}

describe.each(kinds)("GGUF files (%s)", (kind) => {
  test("come back bit by bit, their tensors as blocks", async () => {
    const { store, dataset, bytes } = await imported(kind, file);
    expect(await dataset.info("q8")).toMatchObject({
      dtype: "ggml_q8_0",
      shape: [3, 2000],
      bytes: q8.length,
      metadata: { gguf: { type: "Q8_0", shape: [3, 64_000] } },
    });
    expect((await dataset.get("q8"))!.data).toEqual(q8);
    expect((await dataset.get("q5"))!.bytes()).toEqual(q5);
    expect((await dataset.get("f"))!.data).toEqual(floats);
    expect((await dataset.slice("q8", [1, [100, 102]]))!.data).toEqual(q8.subarray(34 * 2100, 34 * 2102));
    const swapped = new Uint8Array([...q5.subarray(176), ...q5.subarray(0, 176)]);
    expect((await dataset.gather("q5", [1, 0]))!.bytes()).toEqual(swapped);
    const out = join(temporaryDirectory(), "out.gguf");
    await store.exportFile("m", "m.gguf", out);
    expect(Buffer.compare(readFileSync(out), bytes)).toBe(0);
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
  });

  test("big-endian files do too, their elements as numbers", async () => {
    const data = new Uint8Array(floats.slice().buffer).reverse();
    const values = floats.toReversed();
    const { store, dataset, bytes } = await imported(kind, {
      bigEndian: true,
      tensors: [{ name: "f", type: 0, dimensions: [3, 2], data }],
    });
    expect(await dataset.get("f")).toMatchObject({ dtype: "float32", shape: [2, 3], data: values });
    const out = join(temporaryDirectory(), "out.gguf");
    await store.exportFile("m", "m.gguf", out);
    expect(Buffer.compare(readFileSync(out), bytes)).toBe(0);
  });

  test("blocks are read as floats: whole, by slices, by rows", async () => {
    const { dataset } = await imported(kind, file);
    const all = dequantizeBlocks(dtypeOf("ggml_q8_0"), q8);
    const as = "float32";
    expect(await dataset.get("q8", { as })).toMatchObject({
      dtype: "float32",
      shape: [3, 64_000],
      data: all,
    });
    const half = (await dataset.get("q8", { as: "float16" }))!;
    expect([half.dtype, half.shape]).toEqual(["float16", [3, 64_000]]);
    expect(half.data).toBeInstanceOf(Uint16Array);
    expect(await dataset.slice("q8", [2, [10, 12]], { as })).toMatchObject({
      shape: [64],
      data: all.subarray(128_320, 128_384),
    });
    // One block is an axis of its values.
    expect(await dataset.slice("q8", [2, 10], { as })).toMatchObject({
      shape: [32],
      data: all.subarray(128_320, 128_352),
    });
    const column = (await dataset.slice("q8", [null, -1], { as }))!;
    expect(column.shape).toEqual([3, 32]);
    expect(column.data.subarray(64)).toEqual(all.subarray(-32));
    expect(await dataset.gather("q8", [2], { as })).toMatchObject({
      shape: [1, 64_000],
      data: all.subarray(128_000),
    });
  });

  test("other blocks are refused as floats, by name; quantizers leave all of them alone", async () => {
    const { dataset } = await imported(kind, file);
    const error = await failureOf(dataset.get("q5", { as: "float32" }));
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(/ggml_q5_k cannot.*ggml_q8_0, .*can/);
    const id = await dataset.insert(
      { dtype: "ggml_q8_0", shape: [100], data: q8.subarray(0, 3400) },
      { preset: "int8_only" },
    );
    expect((await dataset.get(id))!.data).toEqual(q8.subarray(0, 3400));
  });
});

test("safetensors cannot hold blocks, and says so", () => {
  const tensor = { name: "w", dtype: dtypeOf("ggml_q4_k"), shape: [1] };
  expect(() => layoutSafetensors([tensor])).toThrow(/"w" cannot be written.*no code for ggml_q4_k/);
});

test("a dataset's schema takes block types by name", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("b", { schema: { dtype: "ggml_q4_0" } });
  await dataset.insert({ dtype: "ggml_q4_0", shape: [2], data: someBytes(36) });
  expect(
    await failureOf(dataset.insert({ dtype: "float32", shape: [], data: new Float32Array(1) })),
  ).toMatchObject({
    tag: "schema",
  });
});
