import { join } from "node:path";
import { AlreadyExistsError, builtinPresets, NotFoundError, UsageError } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  expectTensor,
  failureOf,
  floats,
  frameBytesIn,
  framesIn,
  kinds,
  newStore,
  openTestStore,
  randomTensor,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

const LOSSLESS = ["none", "fast", "lossless", "lossless-fast", "archive"] as const;
const LOSSY = ["balanced", "maximum", "fp16_only", "int8_only"] as const;

function worst(found: ArrayLike<unknown>, expected: ArrayLike<number>): number {
  let error = 0;
  for (let index = 0; index < expected.length; index++)
    error = Math.max(error, Math.abs(Number(found[index]) - expected[index]!));
  return error;
}

describe.each(kinds)("presets (%s)", (kind) => {
  test("each built-in one keeps its promise", async () => {
    const store = await newStore(kind);
    const tensor = floats([100, 300], 1);
    for (const name of [...LOSSLESS, ...LOSSY]) {
      const dataset = await store.createDataset(name, { preset: name });
      expect([dataset.preset().name, dataset.ownPreset]).toEqual([name, name]);
      await dataset.insert(tensor, { name: "w", metadata: {} });
      await dataset.insert(scalar(5), { name: "int" });
      expectTensor(await dataset.get("int"), scalar(5));
      const found = (await dataset.get("w"))!;
      const { quantization } = (await dataset.info("w"))!;
      expect([found.dtype, found.shape]).toEqual(["float32", [100, 300]]);
      if ((LOSSLESS as readonly string[]).includes(name)) {
        expectTensor(found, tensor);
        expect(quantization).toBeUndefined();
        expect(dataset.preset().lossless).toBe(true);
        continue;
      }
      expect(dataset.preset().lossless).toBe(false);
      const int8 = name === "maximum" || name === "int8_only";
      expect(quantization!.quantizer).toBe(int8 ? "int8" : "fp16");
      const error = worst(found.data, tensor.data);
      expect(error).toBeGreaterThan(0);
      expect(error).toBeLessThan(int8 ? 1 / 254 + 1e-6 : 2 ** -12 + 1e-9);
      expect(quantization!.error.maxAbsolute).toBeCloseTo(error, 6);
      expect(quantization!.bitsPerWeight).toBeCloseTo(int8 ? 8 + 32 / 300 : 16, 1);
    }
  });

  test("they are switched at runtime, per dataset and per store; what is stored stays readable", async () => {
    const store = await newStore(kind);
    expect((await store.preset()).name).toBe("lossless");
    const follows = await store.createDataset("follows");
    const own = await store.createDataset("own", { preset: "none" });
    const tensor = floats([40, 100], 1);
    await follows.insert(tensor, { name: "exact" });
    await own.insert(tensor, { name: "exact" });
    expect(await store.setPreset("maximum")).toEqual({ preset: "maximum", lossless: false, tensorsKept: 1 });
    expect([follows.preset().name, follows.ownPreset, own.preset().name]).toEqual(["maximum", null, "none"]);
    await follows.insert(tensor, { name: "int8" });
    expect(await follows.setPreset("balanced")).toEqual({
      preset: "balanced",
      lossless: false,
      tensorsKept: 2,
    });
    await follows.insert(tensor, { name: "fp16" });
    await follows.insert(tensor, { name: "this one", preset: "fast" });
    expect(await follows.setPreset(null)).toMatchObject({ preset: "maximum", tensorsKept: 4 });
    await store.setPreset("lossless");
    await follows.insert(tensor, { name: "exact again" });
    const quantizers: Record<string, string | undefined> = {};
    for await (const { name, quantization } of follows.records()) quantizers[name!] = quantization?.quantizer;
    expect(quantizers).toEqual({
      exact: undefined,
      int8: "int8",
      fp16: "fp16",
      "this one": undefined,
      "exact again": undefined,
    });
    for (const name of ["exact", "this one", "exact again"]) expectTensor(await follows.get(name), tensor);
    const int8 = (await follows.get("int8"))!;
    expect(worst(int8.data, tensor.data)).toBeLessThan(0.004);
    for (const preset of [...LOSSLESS, ...LOSSY]) {
      await follows.setPreset(preset);
      expect((await follows.get("int8"))!.data).toEqual(int8.data);
    }
    expect(await failureOf(follows.setPreset("nope"))).toMatchObject({ tag: "not-found", kind: "preset" });
    expect(await failureOf(store.setPreset("nope"))).toBeInstanceOf(NotFoundError);
  });

  test("custom ones are stored by name; the quantizer's parameters are those of the time of storing", async () => {
    const store = await newStore(kind);
    const preset = await store.definePreset("tiny", {
      quantizer: { id: "int8", granularity: "tensor" },
      codec: ["planes", { id: "zstd", level: 3 }],
      description: "per tensor",
    });
    expect(preset).toMatchObject({ name: "tiny", lossless: false });
    const dataset = await store.createDataset("a", { preset: "tiny" });
    const tensor = floats([20, 500], 1);
    tensor.data[0] = 100;
    await dataset.insert(tensor, { name: "per tensor" });
    await store.definePreset("tiny", { quantizer: "int8", codec: "gzip" });
    await dataset.insert(tensor, { name: "per channel" });
    const first = (await dataset.info("per tensor"))!.quantization!;
    const second = (await dataset.info("per channel"))!.quantization!;
    expect([first.parameters["granularity"], second.parameters["granularity"]]).toEqual(["tensor", "auto"]);
    const row = async (name: string) =>
      worst((await dataset.slice(name, [19]))!.data, tensor.data.slice(19 * 500));
    expect(await row("per channel")).toBeLessThan(0.004);
    expect(await row("per tensor")).toBeGreaterThan(0.1);
    expect(worst((await dataset.get("per tensor"))!.data, tensor.data)).toBeLessThan(0.21);

    const names = (await store.presets()).map(({ name }) => name);
    expect(names.slice(0, LOSSLESS.length + LOSSY.length)).toEqual([...LOSSLESS, ...LOSSY]);
    expect(names).toEqual([...builtinPresets.map(({ name }) => name), "tiny"]);
    expect(await failureOf(store.removePreset("tiny"))).toMatchObject({ field: "preset" });
    await dataset.setPreset("fast");
    await store.removePreset("tiny");
    expect(await failureOf(store.removePreset("tiny"))).toBeInstanceOf(NotFoundError);
    expect(await row("per channel")).toBeLessThan(0.004);
    expect(await failureOf(store.definePreset("lossless", { codec: "none" }))).toBeInstanceOf(
      AlreadyExistsError,
    );
    const wrong: [unknown, string | RegExp][] = [
      [{ codec: ["planes", "zzz"] }, "codec"],
      [{ codec: "gzip", quantizer: "int3" }, "quantizer"],
      [{}, "codec"],
      [{ codec: "gzip", lossless: true }, /lossless|preset/],
      [7, "preset"],
    ];
    for (const [json, field] of wrong) {
      const failure = await failureOf(store.definePreset("x", json));
      expect(failure).toBeInstanceOf(UsageError);
      expect(String(failure["field"])).toMatch(field);
    }
    const wrongStep = await failureOf(store.definePreset("x", { codec: ["planes", "zzz"] }));
    expect(wrongStep.message).toContain("step 2");
    expect(await failureOf(store.definePreset("a b", { codec: "none" }))).toBeInstanceOf(UsageError);
  });
});

describe("known bugs of the presets' origin", () => {
  const stored = async (tensor: Parameters<typeof expectTensor>[1], preset: string) => {
    const store = await newStore(":memory:");
    const dataset = await store.createDataset("a", { preset });
    await dataset.insert(tensor, { name: "x" });
    return { data: [...(await dataset.get("x"))!.data].map(Number), info: (await dataset.info("x"))! };
  };
  const vector = (values: number[]) => ({
    dtype: "float32" as const,
    shape: [values.length],
    data: new Float32Array(values),
  });

  test("10 to 20 does not decode to all 10s", async () => {
    const values = Array.from({ length: 101 }, (_, index) => 10 + index / 10);
    const { data, info } = await stored(vector(values), "int8_only");
    expect(info.quantization!.quantizer).toBe("int8");
    expect(worst(data, values)).toBeLessThan(10 / 255);
    expect(new Set(data).size).toBeGreaterThan(90);
  });

  test("a range of exactly 255 is not taken for a constant", async () => {
    const values = Array.from({ length: 256 }, (_, index) => index);
    expect((await stored(vector(values), "int8_only")).data).toEqual(values);
    const shifted = values.map((value) => value - 1000);
    expect(worst((await stored(vector(shifted), "maximum")).data, shifted)).toBeLessThan(0.51);
  });

  test("constants are exact", async () => {
    for (const value of [0.5, 0, -0, -3.7, 1e-30, 1e30]) {
      const values = new Array<number>(100).fill(Math.fround(value));
      const { data, info } = await stored(vector(values), "int8_only");
      expect(info.quantization!.error.maxAbsolute).toBe(0);
      expect(data, String(value)).toEqual(values.map((one) => one + 0));
    }
  });

  test("fp16_only reports what it saved against the source", async () => {
    const folder = temporaryDirectory();
    const path = writeSafetensors(join(folder, "m.safetensors"), { w: floats([500, 400], 1) });
    const store = await openTestStore(join(folder, "store"));
    const result = await store.importFile(path, { dataset: "a", preset: "fp16_only" });
    expect(result.ratio).toBeGreaterThan(1.98);
    expect(result.ratio).toBeLessThan(2.02);
    expect(result).toMatchObject({ lossless: false, quantized: 1, notes: [], preset: "fp16_only" });
  });
});

test("only floats are quantized, and only where it makes them smaller", async () => {
  const store = await newStore(":memory:");
  const dataset = await store.createDataset("a", { preset: "balanced" });
  const exact = [
    "int32",
    "bfloat16",
    "float16",
    "uint8",
    "bool",
    "complex64",
    "float8_e4m3fn",
    "int4",
  ] as const;
  for (const dtype of exact) {
    const tensor = randomTensor(dtype, [30, 40], 1);
    await dataset.insert(tensor, { name: dtype });
    expectTensor(await dataset.get(dtype), tensor);
    expect((await dataset.info(dtype))!.quantization).toBeUndefined();
  }
  await dataset.insert(
    { dtype: "float64", shape: [3], data: new Float64Array([1, 1e-3, 60_000]) },
    { name: "float64" },
  );
  expect((await dataset.info("float64"))!.quantization!.quantizer).toBe("fp16");
  expect((await dataset.get("float64"))!.data).toEqual(new Float64Array([1, 0.0010004043579101562, 60_000]));
  await dataset.insert({ dtype: "float32", shape: [0, 4], data: new Float32Array(0) }, { name: "empty" });
  expect((await dataset.get("empty"))!.shape).toEqual([0, 4]);
});

test("what a quantizer cannot hold is stored exactly, and the record says why", async () => {
  const store = await newStore(":memory:");
  const cases: [string, Float32Array, string][] = [
    ["balanced", new Float32Array([1, 70_000]), "70000"],
    ["maximum", new Float32Array(100).fill(Number.NaN), "NaN"],
    ["int8_only", new Float32Array(100).fill(Number.POSITIVE_INFINITY), "infinit"],
    ["int8_only", new Float32Array([1]), "bytes"],
  ];
  for (const [index, [preset, data, reason]] of cases.entries()) {
    const dataset = await store.createDataset(String(index), { preset });
    const tensor = { dtype: "float32" as const, shape: [data.length], data };
    await dataset.insert(tensor, { name: "x" });
    expectTensor(await dataset.get("x"), tensor);
    const info = (await dataset.info("x"))!;
    expect(info.quantization).toBeUndefined();
    expect(info.note).toContain(reason);
    // Somebody who never asked for a quantizer has nothing to be told.
    const plain = await store.createDataset(`plain ${index}`);
    await plain.insert(tensor, { name: "x" });
    expect((await plain.info("x"))!.note).toBeUndefined();
    expectTensor(await plain.get("x"), tensor);
  }
  const kept = await store.createDataset("kept", { preset: "balanced" });
  await kept.insert(
    { dtype: "float32", shape: [3], data: new Float32Array([Number.NaN, Number.NEGATIVE_INFINITY, 2]) },
    { name: "x" },
  );
  expect((await kept.get("x"))!.data).toEqual(new Float32Array([Number.NaN, Number.NEGATIVE_INFINITY, 2]));
});

test("a preset given to an import is the new dataset's, or this import's only", async () => {
  const folder = temporaryDirectory();
  const path = writeSafetensors(join(folder, "m.safetensors"), {
    w: floats([50, 60], 1),
    odd: { dtype: "float32", shape: [2], data: new Float32Array([1e30, 1]) },
  });
  const store = await openTestStore(join(folder, "store"));
  const first = await store.importFile(path, { dataset: "new", preset: "balanced" });
  expect(first).toMatchObject({ preset: "balanced", quantized: 1, lossless: false });
  expect(first.notes).toEqual([{ tensor: "odd", note: expect.stringContaining("float16") }]);
  expect((await store.dataset("new"))!.ownPreset).toBe("balanced");
  await store.createDataset("old");
  await store.importFile(path, { dataset: "old", preset: "maximum" });
  const old = (await store.dataset("old"))!;
  expect([old.ownPreset, old.preset().name]).toEqual([null, "lossless"]);
  expect((await old.info("w"))!.quantization!.quantizer).toBe("int8");
  // What the store has already is told of as what it is.
  const again = await store.importFile(path, { dataset: "other", preset: "balanced" });
  expect(again).toMatchObject({ quantized: 1, tensorsShared: 2, notes: first.notes });
  expect(await failureOf(store.importFile(path, { dataset: "x", preset: "nope" }))).toBeInstanceOf(
    NotFoundError,
  );
  expect(await store.dataset("x")).toBeUndefined();
});

test("a store's preset is kept, and changed by opening with another", async () => {
  const directory = join(temporaryDirectory(), "store");
  await (await openTestStore(directory, { preset: "fast" })).close();
  const store = await openTestStore(directory);
  expect((await store.preset()).name).toBe("fast");
  await store.close();
  const again = await openTestStore(directory, { preset: "none" });
  expect((await again.preset()).name).toBe("none");
});

test("presets make the sizes that they are for", async () => {
  const sizes: Record<string, number> = {};
  const smooth = floats([256, 512], 1);
  for (let index = 0; index < smooth.data.length; index++)
    smooth.data[index] = Math.fround(Math.round(smooth.data[index]! * 50) / 50);
  for (const preset of [...LOSSLESS, ...LOSSY]) {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory, { preset });
    await (await store.createDataset("a")).insert(smooth);
    sizes[preset] = frameBytesIn(directory);
    expect(framesIn(directory).length).toBeGreaterThan(0);
  }
  const raw = 256 * 512 * 4;
  expect(sizes["none"]).toBeLessThan(raw + 200);
  expect(sizes["fast"]).toBeLessThan(raw * 0.95);
  expect(sizes["lossless"]).toBeLessThan(raw / 3);
  expect(sizes["fp16_only"]).toBeLessThan(raw / 2 + 200);
  expect(sizes["int8_only"]).toBeLessThan(raw / 4 + 256 * 4 + 300);
  expect(sizes["balanced"]).toBeLessThan(sizes["fp16_only"]!);
  expect(sizes["maximum"]).toBeLessThan(sizes["int8_only"]!);
});
