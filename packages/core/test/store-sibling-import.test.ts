import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TensorData } from "@tensorcask/codec";
import { describe, expect, test, vi } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import type { Store } from "../src/index.ts";
import { differencesIn, rounded, trained, weights } from "./sibling-samples.ts";
import {
  examplesData,
  expectTensor,
  failureOf,
  filesBelow,
  frameBytesIn,
  framesIn,
  noise,
  openTestStore,
  sameBytes,
  sharedData,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

const family = ["base", "ft-full", "ft-lora-merged"] as const;
const orders = [
  [0, 1, 2],
  [0, 2, 1],
  [1, 0, 2],
  [1, 2, 0],
  [2, 0, 1],
  [2, 1, 0],
].map((order) => order.map((index) => family[index]!));
const modelOf = (name: string): string => join(examplesData, name, "model.safetensors");

async function expectExported(store: Store, dataset: string, path: string): Promise<void> {
  const target = temporaryDirectory();
  const { files, exact } = await store.exportDataset(dataset, target);
  expect(exact).toBe(true);
  expect(files).toHaveLength(1);
  expect(sameBytes(readFileSync(files[0]!.target), readFileSync(path)), `${path} comes back`).toBe(true);
}

/** Imports files, each into a dataset of its own, and expects all of them back. Returns the bytes of all frames. */
async function stored(paths: readonly string[], options: { siblings?: boolean } = {}): Promise<number> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory);
  for (const [index, path] of paths.entries())
    await store.importFile(path, { dataset: `m${index}`, ...options });
  for (const [index, path] of paths.entries()) await expectExported(store, `m${index}`, path);
  expect(differencesIn(directory).length > 0).toBe(options.siblings !== false);
  return frameBytesIn(directory);
}

describe("a family of trained models", () => {
  test("is stored as what its members changed, in whatever order they come", async () => {
    const alone = await stored(family.map(modelOf), { siblings: false });
    for (const order of orders) expect(await stored(order.map(modelOf))).toBeLessThan(0.9 * alone);
  });

  test("is found whatever its members' tensors are called", async () => {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    const same = await store.importFile(modelOf("base"), { dataset: "base" });
    const plain = await store.importFile(modelOf("ft-full"), { dataset: "tuned" });
    const renamed = join(temporaryDirectory(), "renamed.safetensors");
    const other = await openTestStore(join(temporaryDirectory(), "other"));
    await other.importFile(modelOf("base"), { dataset: "base" });
    writeFileSync(renamed, withPrefix(readFileSync(modelOf("ft-full")), "model."));
    const result = await other.importFile(renamed, { dataset: "renamed" });
    expect(same.chunksAsDifferences).toBe(0);
    // One more: the file's header, in which the names are.
    expect(result.chunksAsDifferences).toBe(plain.chunksAsDifferences + 1);
    expect(result.differenceBytes).toBeGreaterThan(plain.differenceBytes);
    expect(result.differenceBytes).toBeLessThan(plain.differenceBytes + 1000);
    await expectExported(other, "renamed", renamed);
  });

  test("finds itself in one import", async () => {
    const folder = temporaryDirectory();
    for (const name of family) copyFileSync(modelOf(name), join(folder, `${name}.safetensors`));
    const directory = join(folder, "store");
    const store = await openTestStore(directory);
    const paths = family.map((name) => join(folder, `${name}.safetensors`));
    const { chunksAsDifferences, differenceBytes, differenceRawBytes } = await store.importFile(paths, {
      dataset: "all",
    });
    const differences = differencesIn(directory);
    expect(chunksAsDifferences).toBe(differences.length);
    expect(differenceBytes).toBe(differences.reduce((sum, { bytes }) => sum + bytes, 0));
    expect(differenceBytes).toBeLessThan(0.85 * differenceRawBytes);
    const target = temporaryDirectory();
    await store.exportDataset("all", target);
    for (const path of paths) {
      const [found] = filesBelow(target, path.split("/").at(-1)!);
      expect(sameBytes(readFileSync(found!), readFileSync(path))).toBe(true);
    }
    const apart = await stored(family.map(modelOf));
    expect(frameBytesIn(directory)).toBeLessThan(1.01 * apart);
  });
});

/** A safetensors file with other names, its data as they are. */
function withPrefix(file: Buffer, prefix: string): Uint8Array {
  const headerBytes = Number(file.readBigUInt64LE());
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerBytes)) as Record<string, unknown>;
  const entries = Object.entries(header).map(([name, value]) => [
    name === "__metadata__" ? name : prefix + name,
    value,
  ]);
  const renamed = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(renamed.length));
  return Buffer.concat([length, renamed, file.subarray(8 + headerBytes)]);
}

describe("one tensor after another", () => {
  /** Imports tensors one after the other and returns what each made the packs grow by. */
  async function grown(tensors: readonly TensorData[]): Promise<{ bytes: number[]; directory: string }> {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory);
    const bytes: number[] = [];
    for (const [index, tensor] of tensors.entries()) {
      const path = writeSafetensors(join(folder, `${index}.safetensors`), { [`t${index}`]: tensor });
      const before = index === 0 ? 0 : frameBytesIn(directory);
      await store.importFile(path, { dataset: `m${index}` });
      bytes.push(frameBytesIn(directory) - before);
      expectTensor(await (await store.dataset(`m${index}`))!.get(`t${index}`), tensor);
    }
    return { bytes, directory };
  }

  test("rows were added: an embedding of more words", async () => {
    const old = weights([3000, 200], 1);
    const data = new Float32Array(3016 * 200);
    data.set(trained(old, 2).data);
    data.set(weights([16, 200], 3).data, old.data.length);
    const { bytes, directory } = await grown([old, { dtype: "float32", shape: [3016, 200], data }]);
    expect(differencesIn(directory)).toHaveLength(5);
    expect(bytes[1]).toBeLessThan(0.75 * bytes[0]!);
  });

  test("rows went away", async () => {
    const old = weights([3000, 200], 1);
    const data = trained(old, 2).data.slice(0, 2950 * 200);
    const { bytes } = await grown([old, { dtype: "float32", shape: [2950, 200], data }]);
    expect(bytes[1]).toBeLessThan(0.75 * bytes[0]!);
  });

  test("a bfloat16 copy of a float32 master costs next to nothing, and the master is found by its copy", async () => {
    const master = weights([1000, 300], 1);
    const copy = rounded(master);
    const { bytes } = await grown([master, copy]);
    expect(bytes[1]).toBeLessThan(0.02 * 1000 * 300 * 2);
    const { bytes: reverse, directory } = await grown([copy, master]);
    expect(differencesIn(directory).length).toBeGreaterThan(0);
    expect(reverse[1]).toBeLessThan(bytes[0]!);
  });

  test("a tensor of other rows, of another dtype that does not convert, or of no known kind is no sibling", async () => {
    const old = weights([1000, 300], 1);
    const tuned = trained(old, 2);
    const bits = new Int32Array(tuned.data.buffer);
    for (const other of [
      { ...tuned, shape: [3000, 100] },
      { ...tuned, shape: [300_000] },
      { dtype: "int32", shape: [1000, 300], data: bits } as const,
    ]) {
      const { directory } = await grown([old, other]);
      expect(differencesIn(directory)).toEqual([]);
    }
  });

  test("a vector of another length is", async () => {
    const old = weights([20_000], 1);
    const { directory } = await grown([
      old,
      { dtype: "float32", shape: [19_900], data: trained(old, 2).data.slice(0, 19_900) },
    ]);
    expect(differencesIn(directory)).toHaveLength(1);
  });

  test("one that has nothing to do with the first is stored as if it were alone", async () => {
    const { bytes, directory } = await grown([weights([800, 300], 1), weights([800, 300], 2)]);
    const { bytes: alone } = await grown([weights([800, 300], 2)]);
    expect(differencesIn(directory)).toEqual([]);
    expect(bytes[1]).toBe(alone[0]);
  });

  test("the third one is coded against the first, not against the second", async () => {
    const first = weights([600, 300], 1);
    const second = trained(first, 2);
    const { directory } = await grown([first, second, trained(second, 3), trained(trained(second, 4), 5)]);
    const differences = differencesIn(directory);
    expect(differences).toHaveLength(6);
    expect(new Set(differences.map(({ sibling }) => sibling)).size).toBe(2);
  });
});

describe("tensors that are too small for a sketch", () => {
  // Own chunks, but fewer than 4,096 elements; some of one shape, as the layers of a model have them.
  const shapes = [[100, 100], [30, 50], [30, 50], [1100], [90, 90], [30, 50], [1200]] as const;
  const old = shapes.map((shape, index) => weights(shape, index + 1));
  const tuned = old.map((tensor, index) => trained(tensor, 50 + index));
  const named = (tensors: readonly TensorData[]): Record<string, TensorData> =>
    Object.fromEntries(tensors.map((tensor, index) => [`t${index}`, tensor]));

  test("are found behind their larger neighbours, in the store or in the same import", async () => {
    for (const together of [false, true]) {
      const folder = temporaryDirectory();
      const directory = join(folder, "store");
      const store = await openTestStore(directory);
      // Another model lies in between in the store.
      const paths = [old, shapes.map((shape, index) => weights(shape, 90 + index)), tuned].map(
        (tensors, index) => writeSafetensors(join(folder, `m${index}.safetensors`), named(tensors)),
      );
      if (together) await store.importFile(paths, { dataset: "all" });
      else for (const path of paths) await store.importFile(path, { dataset: "all" });
      expect(differencesIn(directory)).toHaveLength(shapes.length);
      const dataset = (await store.dataset("all"))!;
      for (const [index, tensor] of tuned.entries())
        expectTensor(await dataset.get(`m2.safetensors#t${index}`), tensor);
    }
  });

  test("are looked for no further where nothing was found before them", async () => {
    const folder = temporaryDirectory();
    const store = await openTestStore(join(folder, "store"));
    const small = Array.from({ length: 40 }, (_, index) => weights([30, 50], 200 + index));
    const asked = vi.spyOn(Catalog.prototype, "tensor");
    const path = writeSafetensors(join(folder, "small.safetensors"), named(small));
    const { chunksAsDifferences } = await store.importFile(path, { dataset: "a" });
    expect(chunksAsDifferences).toBe(0);
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
  });
});

describe("what the caller says", () => {
  const old = weights([500, 300], 1);
  const tuned = trained(old, 2);

  async function twoFiles(): Promise<{ store: Store; directory: string; first: string; second: string }> {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory);
    const first = writeSafetensors(join(folder, "first.safetensors"), { w: old });
    const second = writeSafetensors(join(folder, "second.safetensors"), { w: tuned });
    return { store, directory, first, second };
  }

  test("siblings: false stores everything plainly, and lets others find it all the same", async () => {
    const { store, directory, first, second } = await twoFiles();
    await store.importFile(first, { dataset: "a", siblings: false });
    const without = await store.importFile(second, { dataset: "b", siblings: false });
    expect(without).toMatchObject({ chunksAsDifferences: 0, differenceBytes: 0, differenceRawBytes: 0 });
    expect(differencesIn(directory)).toEqual([]);
    const third = writeSafetensors(join(temporaryDirectory(), "t.safetensors"), { w: trained(tuned, 3) });
    await store.importFile(third, { dataset: "c" });
    expect(differencesIn(directory)).toHaveLength(2);
  });

  test("presets without siblings look for none and are found by none", async () => {
    const { store, directory, first, second } = await twoFiles();
    const asked = vi.spyOn(Catalog.prototype, "siblingCandidates");
    for (const preset of ["fast", "none"]) {
      await store.importFile(first, { dataset: `a-${preset}`, preset });
      await store.importFile(second, { dataset: `b-${preset}`, preset });
    }
    expect(asked).not.toHaveBeenCalled();
    expect(differencesIn(directory)).toEqual([]);
    asked.mockRestore();
  });

  test("parent: tensors of the same name are tried where sketches say nothing", async () => {
    // Few values: neither has a sketch.
    const random = noise(150_000, 9);
    const flags = Float32Array.from(random, (value) => (value < 128 ? 1 : 0));
    const changed = flags.slice();
    for (let index = 70_000; index < 70_100; index++) changed[index] = 1 - changed[index]!;
    const folder = temporaryDirectory();
    const base = writeSafetensors(join(folder, "base.safetensors"), {
      mask: { dtype: "float32", shape: [500, 300], data: flags },
    });
    const next = writeSafetensors(join(folder, "next.safetensors"), {
      mask: { dtype: "float32", shape: [500, 300], data: changed },
    });
    const sizes: number[] = [];
    for (const parent of [undefined, "acme/base"]) {
      const directory = join(temporaryDirectory(), "store");
      const store = await openTestStore(directory);
      await store.importFile(base, { dataset: "acme/base" });
      const result = await store.importFile(next, { dataset: "next", ...(parent && { parent }) });
      expect(result.chunksAsDifferences > 0).toBe(parent !== undefined);
      await expectExported(store, "next", next);
      sizes.push(result.newBytes);
    }
    expect(sizes[1]).toBeLessThan(0.7 * sizes[0]!);
  });

  test("a parent that is not there is refused before anything is read", async () => {
    const { store, first } = await twoFiles();
    const error = await failureOf(store.importFile(first, { dataset: "a", parent: "nobody" }));
    expect(error).toMatchObject({ name: "NotFoundError", kind: "dataset" });
    expect(error.message).toContain("nobody");
    expect(await store.dataset("a")).toBeUndefined();
  });
});

describe("what finding costs", () => {
  test("one look-up for a new tensor, none for small ones, and none for what the store has", async () => {
    const folder = temporaryDirectory();
    const store = await openTestStore(join(folder, "store"));
    const tensors = Object.fromEntries(
      [0, 1, 2].map((index) => [`w${index}`, weights([200, 300], index + 1)] as const),
    );
    const path = writeSafetensors(join(folder, "a.safetensors"), {
      ...tensors,
      small: weights([63, 65], 9),
      tiny: weights([10], 10),
    });
    const asked = vi.spyOn(Catalog.prototype, "siblingCandidates");
    await store.importFile(path, { dataset: "a" });
    expect(asked).toHaveBeenCalledTimes(3);
    asked.mockClear();
    await store.importFile(path, { dataset: "b" });
    expect(asked).not.toHaveBeenCalled();
    asked.mockRestore();
  });

  test("of a tensor of which a chunk changed, only that chunk is coded", async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory);
    const old = weights([2000, 300], 1);
    const data = old.data.slice();
    data.set(trained(old, 2).data.subarray(300_000, 310_000), 300_000);
    await store.importFile(writeSafetensors(join(folder, "a.safetensors"), { w: old }), { dataset: "a" });
    const frames = framesIn(directory).length;
    const changed: TensorData = { dtype: "float32", shape: old.shape, data };
    const path = writeSafetensors(join(folder, "b.safetensors"), { w: changed });
    const result = await store.importFile(path, { dataset: "b" });
    expect(result).toMatchObject({ chunksAsDifferences: 1, chunksShared: 4 });
    expect(framesIn(directory)).toHaveLength(frames + 1);
    expect(result.differenceBytes).toBeLessThan(0.1 * result.differenceRawBytes);
  });
});

test("independent real models are never larger than without siblings", async (context) => {
  const models = filesBelow(join(sharedData, "public"), ".safetensors").filter((path) =>
    /waifu2x|silero-vad__16k|mtcnn/.test(path),
  );
  context.skip(models.length === 0, "needs shared/data/public beside the repository");
  const sizes: number[] = [];
  for (const siblings of [false, true]) {
    const directory = join(temporaryDirectory(), "store");
    const store = await openTestStore(directory);
    for (const [index, path] of models.entries())
      await store.importFile(path, { dataset: `m${index}`, siblings });
    sizes.push(frameBytesIn(directory));
  }
  expect(sizes[1]).toBeLessThanOrEqual(sizes[0]!);
}, 60_000);
