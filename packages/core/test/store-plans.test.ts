/** Files of any plan in a store: whatever their parts' layouts, they come back bit by bit, and their records are the tensors. */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { dtypeOf } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { checkPlan } from "../src/format/check-plan.ts";
import { storeFormats } from "../src/format/store-formats.ts";
import type { Dataset, OpenOptions, Store } from "../src/index.ts";
import type { FilePlan } from "../src/model/plan.ts";
import { LAYOUT_BLOCK_BYTES } from "../src/store/layout-blocks.ts";
import { open } from "../src/store/open.ts";
import { SpecStore } from "./format-spec/store.ts";
import { anyFile, laidOut, type SampleFile, type SamplePiece, sampleFile } from "./plan-samples.ts";
import { bytesOf, failureOf, floats, noise, sameBytes, temporaryDirectory } from "./store-harness.ts";

/** A store into which any plans can be imported. */
interface PlannedStore {
  readonly store: Store;
  readonly directory: string;
  /** Imports these files into the dataset `d`. */
  import(
    files: readonly FilePlan[],
    options?: { preset?: string; opaque?: boolean },
  ): ReturnType<Store["importFile"]>;
}

async function plannedStore(
  options: OpenOptions = {},
  layoutBlockBytes = LAYOUT_BLOCK_BYTES,
  directory = join(temporaryDirectory(), "store"),
): Promise<PlannedStore> {
  let files: readonly FilePlan[] = [];
  const planInputs = async () => ({ files, skipped: [], keptOpaque: [] });
  const formats = { ...storeFormats, planInputs };
  const store = await open(directory, { workers: 0, ...options }, formats, layoutBlockBytes);
  onTestFinished(() => store.close());
  return {
    store,
    directory,
    import(next, importOptions = {}) {
      for (const { path, bytes, parts, derived } of next) checkPlan(path, bytes, parts, derived);
      files = next;
      return store.importFile("anything", { dataset: "d", ...importOptions });
    },
  };
}

/** Expects the files of the dataset, exported, to be these, bit by bit. */
async function expectFiles(store: Store, files: readonly SampleFile[], version?: number): Promise<void> {
  const out = join(temporaryDirectory(), "out");
  const result = await store.exportDataset("d", out, version === undefined ? {} : { version });
  expect(result.exact).toBe(true);
  expect(result.files.map(({ path }) => path).sort()).toEqual(files.map(({ path }) => path).sort());
  for (const { path, bytes } of files) {
    const found = readFileSync(join(out, path));
    expect(sameBytes(found, bytes), `${path} is exact`).toBe(true);
  }
  rmSync(out, { recursive: true });
}

/** Expects the records of a file to be its tensors, with their metadata, and no others. */
async function expectRecords(dataset: Dataset, { path, records }: SampleFile): Promise<void> {
  let count = 0;
  for await (const record of dataset.records({ file: path })) {
    count += 1;
    const expected = records.get(record.name!)!;
    expect(record.dtype).toBe(expected.dtype.name);
    expect(record.shape).toEqual(expected.shape);
    expect(record.metadata).toEqual(expected.metadata ?? {});
    const tensor = await record.read();
    expect(sameBytes(tensor.bytes(), expected.bytes), `${path}#${record.name} is exact`).toBe(true);
  }
  expect(count).toBe(records.size);
}

function originals(files: readonly SampleFile[]): string {
  const folder = join(temporaryDirectory(), "in");
  for (const { path, bytes } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), bytes);
  }
  return folder;
}

const derivedBytesOf = (files: readonly SampleFile[]): number =>
  files.flatMap(({ plan }) => plan.derived ?? []).reduce((sum, { bytes }) => sum + bytes, 0);

const f32 = dtypeOf("float32");
const part = (
  shape: readonly number[],
  seed: number,
  layout?: { bigEndian?: boolean; columnMajor?: boolean },
): SamplePiece => ({
  kind: "part",
  tensor: { dtype: f32, shape, bytes: bytesOf(floats(shape, seed)) },
  layout,
});
const derived = (shape: readonly number[], seed: number): SamplePiece => ({
  kind: "derived",
  tensor: { dtype: f32, shape, bytes: bytesOf(floats(shape, seed)) },
  pieces: [1000],
});

describe("files of random plans", () => {
  test("come back exactly, through everything that can happen to them (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyFile("a.sample"),
        anyFile("sub/b.sample"),
        anyFile("a.sample"),
        fc.integer({ min: 16, max: 3000 }),
        async (a, b, changed, blockBytes) => {
          const planned = await plannedStore({ chunkElements: 64, preset: "fast" }, blockBytes);
          const { store, directory } = planned;
          const result = await planned.import([a.plan, b.plan]);
          expect(result).toMatchObject({
            files: 2,
            tensors: a.records.size + b.records.size,
            originalBytes: a.bytes.length + b.bytes.length,
            derivedTensors: (a.plan.derived?.length ?? 0) + (b.plan.derived?.length ?? 0),
            derivedBytes: derivedBytesOf([a, b]),
          });
          const dataset = (await store.dataset("d"))!;
          await expectFiles(store, [a, b]);
          for (const file of [a, b]) await expectRecords(dataset, file);
          expect((await store.verifyAgainst("d", originals([a, b]))).problems).toEqual([]);

          await planned.import([changed.plan]);
          await expectFiles(store, [changed, b]);
          await expectRecords(dataset, changed);
          await expectFiles(store, [a, b], 1);
          await dataset.rollback(1);
          await expectFiles(store, [a, b]);
          for (const file of [a, b]) await expectRecords(dataset, file);

          await store.gc();
          await store.rebuild();
          expect((await store.verify({ deep: true })).problems).toEqual([]);
          await expectFiles(store, [a, b]);
          for (const file of [a, b]) await expectRecords(dataset, file);
          await store.close();

          // By docs/format.md alone.
          const spec = new SpecStore(directory);
          for (const { path, bytes } of [a, b]) {
            const file = spec.files("d").find((one) => one.path === path)!;
            expect(sameBytes(spec.fileBytes(file), bytes)).toBe(true);
            expect(createHash("sha256").update(bytes).digest()).toEqual(file.sha256);
          }
          const again = await plannedStore({}, LAYOUT_BLOCK_BYTES, directory);
          await expectFiles(again.store, [a, b]);
          expect((await again.store.stats()).residualBytes).toBe(0);
        },
      ),
      { numRuns: 12 },
    );
  });

  test("quantized, they are what the same tensors become by themselves, laid out (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        anyFile("a.sample"),
        fc.constantFrom("int8_only", "fp16_only"),
        fc.integer({ min: 16, max: 3000 }),
        async (file, preset, blockBytes) => {
          const planned = await plannedStore({ chunkElements: 64 }, blockBytes);
          const { store } = planned;
          await planned.import([file.plan], { preset });
          const alone = await store.createDataset("alone", { preset });
          const dataset = (await store.dataset("d"))!;
          const decoded = new Map<string, Uint8Array>();
          for (const [name, { dtype, shape, bytes }] of file.records) {
            await alone.insert({ dtype: dtype.name, shape, data: bytes }, { name });
            const [found, expected] = [(await dataset.get(name))!, (await alone.get(name))!];
            expect(sameBytes(found.bytes(), expected.bytes())).toBe(true);
            decoded.set(name, expected.bytes());
          }
          const lossy = file.plan.parts.filter(
            (one) =>
              one.kind === "tensor" && !sameBytes(decoded.get(one.name)!, file.records.get(one.name)!.bytes),
          );
          const out = temporaryDirectory();
          const { exact } = await store.exportDataset("d", out);
          if (lossy.length > 0) expect(exact).toBe(false);
          const exported = readFileSync(join(out, file.path));
          for (const one of file.plan.parts) {
            const found = exported.subarray(one.offset, one.offset + one.bytes);
            const expected =
              one.kind === "literal"
                ? file.bytes.subarray(one.offset, one.offset + one.bytes)
                : laidOut({ ...file.records.get(one.name)!, bytes: decoded.get(one.name)! }, one.layout);
            expect(sameBytes(found, expected)).toBe(true);
          }
          expect((await store.verify({ deep: true })).problems).toEqual([]);
        },
      ),
      { numRuns: 15 },
    );
  });
});

describe("layouts", () => {
  test("the same tensor of files of other layouts is stored once", async () => {
    const { import: take, store } = await plannedStore();
    const shape = [100, 70];
    const files = [
      undefined,
      { bigEndian: true },
      { columnMajor: true },
      { bigEndian: true, columnMajor: true },
    ].map((layout, index) => sampleFile(`${index}.sample`, [part(shape, 1, layout)]));
    const result = await take(files.map(({ plan }) => plan));
    expect(result).toMatchObject({ tensors: 4, tensorsShared: 3 });
    await expectFiles(store, files);
    expect((await store.verify({ deep: true })).problems).toEqual([]);
  });

  test("large tensors of several chunks are turned in blocks, by worker threads as well", async () => {
    const { import: take, store } = await plannedStore({ workers: 2 }, 200_000);
    const file = sampleFile("a.sample", [
      { kind: "literal", bytes: noise(100, 1) },
      part([700, 900], 1, { columnMajor: true }),
      part([3, 210_000], 2, { columnMajor: true, bigEndian: true }),
      part([210_000, 3], 3, { columnMajor: true }),
      part([60, 70, 80], 4, { columnMajor: true }),
      part([600_000], 5, { bigEndian: true }),
    ]);
    await take([file.plan]);
    await expectFiles(store, [file]);
    await expectRecords((await store.dataset("d"))!, file);
  });

  test("a file that differs in its layouts only is another file to verify", async () => {
    const { import: take, store } = await plannedStore();
    // All elements equal: the bytes of both files are the same, whatever the layout.
    const bytes = new Uint8Array(40_000);
    const make = (path: string, columnMajor: boolean): SampleFile =>
      sampleFile(path, [
        { kind: "part", tensor: { dtype: f32, shape: [100, 100], bytes }, layout: { columnMajor } },
      ]);
    await take([make("a", false).plan, make("b", true).plan]);
    const read = new Set<string | undefined>();
    await store.verify({ deep: true, onProgress: ({ item }) => read.add(item) });
    expect([...read]).toEqual(expect.arrayContaining(["d/a", "d/b"]));
  });

  test("verify finds a file whose bytes are not those that were imported", async () => {
    const { import: take, store } = await plannedStore();
    const right = sampleFile("a.sample", [part([20, 30], 1, { columnMajor: true })]);
    await take([right.plan]);
    const wrong = originals([sampleFile("a.sample", [part([20, 30], 1)])]);
    const found = await store.verifyAgainst("d", wrong);
    expect(found.problems).toEqual([
      { file: "a.sample", message: expect.stringMatching(/differs .* at byte 4/) },
    ]);
  });
});

describe("metadata of parts", () => {
  const about = (kind: "part" | "derived", metadata: { label: number } | undefined): SamplePiece => {
    const tensor = {
      dtype: f32,
      shape: [4],
      bytes: noise(16, 1),
      ...(metadata !== undefined && { metadata }),
    };
    return kind === "part" ? { kind, tensor, layout: undefined } : { kind, tensor, pieces: [5] };
  };

  test("is found by queries", async () => {
    const { import: take, store } = await plannedStore();
    await take([sampleFile("a.sample", [about("part", { label: 1 }), about("derived", { label: 2 })]).plan]);
    const dataset = (await store.dataset("d"))!;
    expect(await dataset.count({ where: { label: 2 } })).toBe(1);
    expect((await dataset.info("t0"))!.metadata).toEqual({ label: 1 });
  });

  test.each(["part", "derived"] as const)("must keep the dataset's schema (%s)", async (kind) => {
    const { import: take, store } = await plannedStore();
    await store.createDataset("d", { schema: { metadata: { label: "integer" } } });
    const error = await failureOf(take([sampleFile("a.sample", [about(kind, undefined)]).plan]));
    expect(error).toMatchObject({ tag: "schema", field: "metadata.label" });
    await take([sampleFile("a.sample", [about(kind, { label: 1 })]).plan]);
    expect(await (await store.dataset("d"))!.count()).toBe(1);
  });
});

describe("derived tensors", () => {
  test("are kept beside the file's bytes, counted by themselves, and shared where they can be", async () => {
    const planned = await plannedStore({ preset: "none" });
    const { store, directory } = planned;
    const file = sampleFile("a.sample", [part([50, 50], 1), derived([50, 50], 1), derived([50, 50], 2)]);
    const result = await planned.import([file.plan]);
    expect(result).toMatchObject({
      tensors: 3,
      tensorsShared: 1,
      originalBytes: 10_000,
      derivedTensors: 2,
      derivedBytes: 20_000,
    });
    expect(result.storedBytes).toBeGreaterThan(20_000);
    expect(result.storedBytes).toBeLessThan(21_000);
    const stats = await store.stats("d");
    expect(stats).toMatchObject({ originalBytes: 10_000, derivedBytes: 10_000, records: 3 });
    expect(stats.layers[0]).toEqual({
      name: "tensors beside files",
      bytesBefore: 10_000,
      bytesAfter: 20_000,
    });
    for (const [index, { bytesAfter }] of stats.layers.slice(0, -1).entries())
      expect(stats.layers[index + 1]!.bytesBefore).toBe(bytesAfter);
    await store.close();
    const again = await plannedStore({}, LAYOUT_BLOCK_BYTES, directory);
    expect((await again.store.stats()).residualBytes).toBe(0);
    await expectFiles(again.store, [file]);
  });

  test("progress counts them; the total is reached", async () => {
    const { store, import: take } = await plannedStore();
    const file = sampleFile("a.sample", [part([500], 1), derived([3000], 2), derived([10], 3)]);
    await take([file.plan]);
    const seen: number[] = [];
    await store.importFile("anything", {
      dataset: "e",
      onProgress: ({ phase, done, total }) => {
        if (phase !== "import") return;
        expect(total).toBe(2000 + 12_000 + 40);
        seen.push(done);
      },
    });
    expect(seen).toEqual(seen.toSorted((x, y) => x - y));
    expect(seen.at(-1)).toBe(14_040);
  });

  test("go with their file and come back with it; gc takes what nobody has any more", async () => {
    const planned = await plannedStore({ preset: "none" });
    const { store } = planned;
    const file = sampleFile("a.sample", [part([50, 50], 1), derived([50, 50], 2)]);
    await planned.import([file.plan]);
    const dataset = (await store.dataset("d"))!;
    await dataset.tag("kept");
    await dataset.deleteFile("a.sample");
    expect(await dataset.count()).toBe(0);
    await store.gc();
    await expectRecords(dataset.at("kept") as Dataset, file);
    await dataset.rollback("kept");
    await expectRecords(dataset, file);
    await dataset.recompress("lossless");
    await expectRecords(dataset, file);
    await store.deleteDataset("d");
    await store.gc();
    expect(await store.stats()).toMatchObject({ tensors: 0, chunks: 0 });
  });

  const broken = (bytes: number): FilePlan => {
    const { plan } = sampleFile("bad.sample", [part([9], 1), derived([5000], 2)]);
    const [tensor] = plan.derived!;
    const elements = async function* () {
      yield new Uint8Array(bytes);
    };
    return { ...plan, derived: [{ ...tensor!, elements }] };
  };

  test.each([0, 19_999, 20_001])(
    "%i bytes instead of 20,000 refuse the import, with a name",
    async (bytes) => {
      const { import: take, store } = await plannedStore();
      const good = sampleFile("good.sample", [part([50], 1)]);
      const error = await failureOf(take([good.plan, broken(bytes)]));
      expect(error).toMatchObject({ tag: "invalid-file", rule: "derived", file: "bad.sample", tensor: "t1" });
      expect(await store.dataset("d")).toBeUndefined();
    },
  );

  test("with opaque, such a file is kept as bytes, and the others as they are", async () => {
    const { import: take, store } = await plannedStore();
    const good = sampleFile("good.sample", [part([50], 1), derived([7], 5)]);
    const result = await take([broken(7), good.plan], { opaque: true });
    expect(result).toMatchObject({ files: 2, tensors: 2, derivedTensors: 1 });
    expect(result.skipped).toEqual([
      { path: "bad.sample", reason: expect.stringMatching(/^kept as opaque bytes: .*7 bytes only/) },
    ]);
    const dataset = (await store.dataset("d"))!;
    expect((await dataset.files()).map(({ path, format }) => [path, format])).toEqual([
      ["bad.sample", "opaque"],
      ["good.sample", "sample"],
    ]);
    await expectFiles(store, [good, sampleFile("bad.sample", [part([9], 1)])]);
  });
});
