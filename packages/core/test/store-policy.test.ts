/** Presets with a policy: which quantizer each tensor of a dataset gets, what is recorded of it, and what the user is told. */
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { Dataset, Store } from "../src/index.ts";
import { failureOf, floats, openTestStore, temporaryDirectory, writeSafetensors } from "./store-harness.ts";

/** Several chunks of each tensor. */
const CHUNK_ELEMENTS = 4096;

let store: Store;
beforeEach(async () => {
  store = await openTestStore(":memory:", { chunkElements: CHUNK_ELEMENTS });
});

async function datasetWith(preset: object): Promise<Dataset> {
  await store.definePreset("mine", { codec: "none", ...preset });
  return store.createDataset("d", { preset: "mine" });
}

/** Quantizers of the records by name; null: stored exactly. */
async function quantizersOf(dataset: Dataset): Promise<Record<string, string | null>> {
  const found: Record<string, string | null> = {};
  for await (const { name, quantization } of dataset.records())
    found[name!] = quantization?.quantizer ?? null;
  return found;
}

describe("rules", () => {
  const policy = {
    minElements: 100,
    rules: [
      { names: ["*norm*"], quantizer: "none" },
      { names: ["*.attn.*"], quantizer: { id: "int8", granularity: "tensor" } },
      { names: ["*.mlp.*"], dtypes: ["float32"], quantizer: "q4_0" },
    ],
  };

  test("decide by name, dtype and size; what no rule is for gets the preset's quantizer", async () => {
    const dataset = await datasetWith({ quantizer: "bf16", policy });
    const tensor = floats([64, 160], 1);
    const half = { dtype: "float16", shape: [64, 160], data: new Uint16Array(64 * 160).fill(0x3c00) };
    const integers = { dtype: "int32", shape: [200], data: new Int32Array(200) };
    await dataset.insert(tensor, { name: "h.0.attn.q" });
    await dataset.insertMany([
      { tensor, name: "h.0.norm.w" },
      { tensor, name: "h.0.mlp.up" },
      { tensor: half, name: "h.1.mlp.up" },
      { tensor: floats([99], 2), name: "h.0.attn.bias" },
      { tensor: integers, name: "h.0.attn.mask" },
      { tensor, name: "embed" },
    ]);
    await dataset.insert(tensor);
    await store.transaction(async (tx) => {
      await (await tx.dataset("d"))!.insert(tensor, { name: "h.2.attn.q" });
    });
    await dataset.insert(tensor, { name: "later" });
    await dataset.update("later", { name: "h.3.mlp.up", tensor: floats([64, 160], 3) });
    const found: Record<string, string | null> = {};
    for await (const { name = "", quantization } of dataset.records())
      found[name] = quantization?.quantizer ?? null;
    expect(found).toEqual({
      "h.0.attn.q": "int8",
      "h.0.norm.w": null,
      "h.0.mlp.up": "q4_0",
      "h.1.mlp.up": null,
      "h.0.attn.bias": null,
      "h.0.attn.mask": null,
      embed: "bf16",
      "": "bf16",
      "h.2.attn.q": "int8",
      "h.3.mlp.up": "q4_0",
    });
    const { quantization, note } = (await dataset.info("h.0.attn.q"))!;
    expect(quantization!.parameters).toMatchObject({ granularity: "tensor" });
    expect(note).toBe("rule 2");
  });

  test("tensors of files go by their names", async () => {
    const tensor = floats([64, 160], 1);
    const path = join(temporaryDirectory(), "m.safetensors");
    writeSafetensors(path, { "h.0.attn.q": tensor, "h.0.norm.w": tensor, "h.0.mlp.up": tensor });
    await store.definePreset("mine", { codec: "none", policy });
    const { quantized, notes } = await store.importFile(path, {
      dataset: "d",
      preset: "mine",
    });
    expect([quantized, notes]).toEqual([2, []]);
    const dataset = (await store.dataset("d"))!;
    expect(await quantizersOf(dataset)).toEqual({
      "h.0.attn.q": "int8",
      "h.0.norm.w": null,
      "h.0.mlp.up": "q4_0",
    });
  });

  test("a pattern that fits no tensor of the import or the dataset is an error that names it", async () => {
    const tensor = floats([64, 160], 1);
    const folder = temporaryDirectory();
    writeSafetensors(join(folder, "a.safetensors"), { "h.0.attn.q": tensor, "h.0.norm.w": tensor });
    writeSafetensors(join(folder, "b.safetensors"), { "h.0.mlp.up": tensor });
    await store.definePreset("mine", { codec: "none", policy });
    const options = { dataset: "d", preset: "mine" };
    const failure = await failureOf(store.importFile(join(folder, "a.safetensors"), options));
    expect(failure).toMatchObject({ tag: "usage", message: expect.stringContaining('"*.mlp.*"') });
    expect(await store.dataset("d")).toBeUndefined();
    await store.importFile(folder, options);
    await store.importFile(join(folder, "b.safetensors"), { ...options, dataset: "d" });
  });
});

describe("budgets", () => {
  test.each([
    [{ minSnrDb: 15 }, 15],
    [{ minSnrDb: 30 }, 30],
    [{ maxRelativeError: 0.001 }, 60],
  ])("%j: the cheapest quantizer that keeps it, with its reason", async (budget, decibels) => {
    const candidates = ["bf16", "q8_0", "nf4", "q4_0", "q6_k"];
    const tensor = floats([64, 512], 5);
    const snr: Record<string, number> = {};
    const bits: Record<string, number> = {};
    for (const preset of candidates) {
      const plain = await store.createDataset(preset, { preset });
      await plain.insert(tensor, { name: "w" });
      const { error, bitsPerWeight } = (await plain.info("w"))!.quantization!;
      [snr[preset], bits[preset]] = [error.snrDb!, bitsPerWeight];
    }
    const dataset = await datasetWith({ policy: { budget, candidates } });
    await dataset.insert(tensor, { name: "w" });
    const kept = candidates.filter((id) => snr[id]! >= decibels).sort((a, b) => bits[a]! - bits[b]!);
    const { quantization, note } = (await dataset.info("w"))!;
    expect(quantization?.quantizer).toBe(kept[0]);
    if (quantization === undefined) {
      expect(note).toContain("none of 5 quantizers keeps it");
      expect(Array.from((await dataset.get("w"))!.data as Float32Array)).toEqual(Array.from(tensor.data));
      return;
    }
    expect(quantization.error.snrDb).toBeCloseTo(snr[kept[0]!]!, 9);
    expect(note).toContain(`${snr[kept[0]!]!.toFixed(1)} dB at`);
    // Plain presets say nothing of a policy, and the other way round.
    expect((await store.dataset(kept[0]!).then((plain) => plain!.info("w")))!.note).toBeUndefined();
  });

  test("where all refuse, the tensor is stored exactly and says so", async () => {
    const dataset = await datasetWith({ policy: { budget: { minSnrDb: 20 }, candidates: ["int8", "nf4"] } });
    const tensor = { dtype: "float32", shape: [2000], data: new Float32Array(2000).fill(Number.NaN) };
    await dataset.insert(tensor, { name: "w" });
    const { quantization, note } = (await dataset.info("w"))!;
    expect([quantization, note]).toEqual([
      undefined,
      expect.stringContaining("none of 2 quantizers keeps it"),
    ]);
  });

  test("the error of a policy names its key", async () => {
    const policy = { rules: [{ names: ["a"], budget: { minSnrDb: 3, maxRelativeError: 0.1 } }] };
    const failure = await failureOf(store.definePreset("mine", { codec: "none", policy }));
    expect(failure).toMatchObject({ field: "policy.rules[0].budget" });
  });

  test("a defined policy is kept with the store", async () => {
    const policy = { rules: [{ names: ["a*"], quantizer: "nf4" }], budget: { minSnrDb: 12 } };
    const defined = await store.definePreset("mine", { codec: "none", policy });
    const found = (await store.presets()).find(({ name }) => name === "mine");
    expect(found).toEqual(defined);
  });
});
