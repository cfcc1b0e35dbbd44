import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import {
  CancelledError,
  InvalidFileError,
  NotFoundError,
  StorageError,
  TensorcaskError,
  UsageError,
} from "@tensorcask/codec";
import { describe, expect, test, vi } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import { failingFileSystem, memoryFileSystem, openStore } from "../src/index.ts";
import {
  contentOf,
  examplesData,
  expectTensor,
  failureOf,
  filesBelow,
  floats,
  frameBytesIn,
  framesIn,
  kinds,
  namesOf,
  newStore,
  noise,
  openTestStore,
  safetensorsBytes,
  sameBytes,
  scalar,
  sharedData,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

describe.each(kinds)("imports (%s)", (kind) => {
  test("a file becomes a dataset, its tensors records of their names", async () => {
    const store = await newStore(kind);
    const path = join(examplesData, "byte-classifier.safetensors");
    const phases: string[] = [];
    let last = 0;
    const result = await store.importFile(path, {
      dataset: "acme/classifier",
      onProgress: ({ phase, done, total }) => {
        if (phase === "import") {
          expect(done).toBeGreaterThanOrEqual(last);
          expect(done).toBeLessThanOrEqual(total);
          last = done;
        }
        if (phases.at(-1) !== phase) phases.push(phase);
      },
    });
    const bytes = readFileSync(path);
    expect(last).toBe(bytes.length);
    expect(phases).toEqual(["import", "commit"]);
    expect(result).toMatchObject({
      dataset: "acme/classifier",
      files: 1,
      originalBytes: bytes.length,
      lossless: true,
      version: 1,
      skipped: [],
      quantized: 0,
    });
    expect(result.storedBytes).toBeLessThan(bytes.length);
    expect(result.newBytes).toBe(result.storedBytes);
    expect(result.ratio).toBeCloseTo(bytes.length / result.storedBytes, 6);
    const dataset = (await store.dataset("acme/classifier"))!;
    const [file] = await dataset.files();
    expect(file).toMatchObject({
      path: "byte-classifier.safetensors",
      format: "safetensors",
      bytes: bytes.length,
      sha256: createHash("sha256").update(bytes).digest("hex"),
      exact: true,
    });
    expect(await dataset.count()).toBe(result.tensors);
    const header = JSON.parse(bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString()) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    delete header["__metadata__"];
    expect((await namesOf(dataset.records())).sort()).toEqual(Object.keys(header).sort());
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    for (const [
      name,
      {
        dtype,
        shape,
        data_offsets: [from, to],
      },
    ] of Object.entries(header)) {
      expectTensor(await dataset.get(name), {
        dtype: dtype as never,
        shape,
        data: bytes.subarray(start + from, start + to),
      });
    }
  });

  test("a folder keeps relative paths; other files are kept as they are", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    mkdirSync(join(folder, "sub/deeper"), { recursive: true });
    mkdirSync(join(folder, ".git"));
    writeFileSync(join(folder, ".git/config"), "x");
    writeFileSync(join(folder, "config.json"), "{}");
    writeFileSync(join(folder, "empty"), "");
    writeFileSync(join(folder, "sub/notes.txt"), noise(200_000, 1));
    writeSafetensors(join(folder, "sub/deeper/m.safetensors"), {
      w: floats([70, 70], 1),
      scalar: scalar(1),
      none: floats([0, 3]),
    });
    writeSafetensors(join(folder, "m.safetensors"), { w: floats([70, 70], 2) });
    const result = await store.importFile(folder, { dataset: "a" });
    expect(result).toMatchObject({ files: 5, tensors: 4 });
    expect(result.skipped.map(({ path }) => path)).toEqual([".git"]);
    const dataset = (await store.dataset("a"))!;
    expect((await dataset.files()).map(({ path, format }) => [path, format])).toEqual([
      ["config.json", "opaque"],
      ["empty", "opaque"],
      ["m.safetensors", "safetensors"],
      ["sub/deeper/m.safetensors", "safetensors"],
      ["sub/notes.txt", "opaque"],
    ]);
    expect((await failureOf(dataset.get("w")))["candidates"]).toEqual([
      "m.safetensors#w",
      "sub/deeper/m.safetensors#w",
    ]);
    expectTensor(await dataset.get("sub/deeper/m.safetensors#w"), floats([70, 70], 1));
    expect((await dataset.get("none"))!.shape).toEqual([0, 3]);
    expect(dataset.version).toBe(1);
  });

  test("a sharded index brings its shards", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    writeSafetensors(join(folder, "model-00001-of-00002.safetensors"), { a: floats([60, 60], 1) });
    writeSafetensors(join(folder, "model-00002-of-00002.safetensors"), { b: floats([60, 60], 2) });
    const index = join(folder, "model.safetensors.index.json");
    const weights = { a: "model-00001-of-00002.safetensors", b: "model-00002-of-00002.safetensors" };
    writeFileSync(index, JSON.stringify({ metadata: { total_size: 28_800 }, weight_map: weights }));
    expect(await store.importFile(index, { dataset: "a" })).toMatchObject({ files: 3, tensors: 2 });
    const dataset = (await store.dataset("a"))!;
    expectTensor(await dataset.get("b"), floats([60, 60], 2));
    expect((await dataset.info("b"))!.file).toBe("model-00002-of-00002.safetensors");
    writeFileSync(
      index,
      JSON.stringify({ weight_map: { ...weights, c: "model-00003-of-00003.safetensors" } }),
    );
    expect(await failureOf(store.importFile(index, { dataset: "b" }))).toBeInstanceOf(InvalidFileError);
    writeFileSync(index, JSON.stringify({ weight_map: { ...weights, c: "../../etc/passwd" } }));
    expect(await failureOf(store.importFile(index, { dataset: "b" }))).toMatchObject({ rule: "shard-name" });
    expect(await store.dataset("b")).toBeUndefined();
  });

  test("the same path again replaces the file, in one version", async () => {
    const store = await newStore(kind);
    const path = join(temporaryDirectory(), "m.safetensors");
    writeSafetensors(path, { w: floats([50, 50], 1), gone: scalar(1) });
    await store.importFile(path, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    await dataset.insert(scalar(7), { name: "loose" });
    writeSafetensors(path, { w: floats([50, 50], 2), fresh: scalar(2) });
    expect(await store.importFile(path, { dataset: "a" })).toMatchObject({ version: 3 });
    expect((await namesOf(dataset.records())).sort()).toEqual(["fresh", "loose", "w"]);
    expect(await dataset.files()).toHaveLength(1);
    expectTensor(await dataset.get("w"), floats([50, 50], 2));
    expectTensor(await dataset.at(1).get("w"), floats([50, 50], 1));
    expect(await namesOf(dataset.at(2).records())).toHaveLength(3);
    expect((await dataset.versions()).map(({ note }) => note)).toEqual([
      "import m.safetensors",
      undefined,
      "import m.safetensors",
    ]);
    // Another file beside it.
    const other = writeSafetensors(join(temporaryDirectory(), "n.safetensors"), { w: floats([5], 5) });
    await store.importFile(other, { dataset: "a" });
    expect(await dataset.files()).toHaveLength(2);
    expect(await dataset.deleteFile("m.safetensors")).toBe(true);
    expect(await dataset.deleteFile("m.safetensors")).toBe(false);
    expect((await namesOf(dataset.records())).sort()).toEqual(["loose", "w"]);
    expectTensor(await dataset.get("w"), floats([5], 5));
  });

  test("what cannot be imported leaves no trace", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const good = writeSafetensors(join(folder, "good.safetensors"), { w: floats([80, 80], 1) });
    await store.importFile(good, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    const before = await contentOf(dataset);
    const whole = safetensorsBytes({ w: floats([80, 80], 2) });
    const broken = join(folder, "broken.safetensors");
    writeFileSync(broken, whole.subarray(0, whole.length - 5));
    mkdirSync(join(folder, "x"));
    const twin = join(folder, "x/good.safetensors");
    writeFileSync(twin, whole);
    mkdirSync(join(folder, "links"));
    symlinkSync("/etc/hostname", join(folder, "links/out"));
    const cases: [string | string[], object, unknown][] = [
      [broken, { dataset: "a" }, InvalidFileError],
      [[good, broken], { dataset: "b" }, InvalidFileError],
      [join(folder, "nothing"), { dataset: "b" }, NotFoundError],
      [[good, twin], { dataset: "b" }, UsageError],
      [[], { dataset: "b" }, UsageError],
      [good, { dataset: "../b" }, UsageError],
      [good, { dataset: "api/b" }, UsageError],
      [join(folder, "links"), { dataset: "b" }, InvalidFileError],
      ["/dev/null", { dataset: "b" }, InvalidFileError],
      [good, { dataset: "b", signal: AbortSignal.abort() }, CancelledError],
    ];
    for (const [paths, options, kindOfError] of cases) {
      expect(await failureOf(store.importFile(paths, options as never)), String(paths)).toBeInstanceOf(
        kindOfError,
      );
    }
    expect((await store.datasets()).map(({ name }) => name)).toEqual(["a"]);
    expect(await contentOf(dataset)).toEqual(before);
    const opaque = await store.importFile([good, broken], { dataset: "b", opaque: true });
    expect(opaque).toMatchObject({ files: 2, tensors: 1 });
    expect(opaque.skipped).toEqual([
      { path: "broken.safetensors", reason: expect.stringContaining("opaque") },
    ]);
  });

  test("cancelled half-way, it leaves no trace and can be run again", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const path = writeSafetensors(
      join(folder, "m.safetensors"),
      Object.fromEntries([1, 2, 3, 4].map((seed) => [`w${seed}`, floats([300, 1000], seed)])),
    );
    const controller = new AbortController();
    const importing = store.importFile(path, {
      dataset: "a",
      signal: controller.signal,
      onProgress: ({ done, total }) => {
        if (done > total / 2) controller.abort();
      },
    });
    expect(await failureOf(importing)).toMatchObject({ tag: "cancelled" });
    expect(await store.datasets()).toEqual([]);
    expect(await store.importFile(path, { dataset: "a" })).toMatchObject({ tensors: 4 });
  });
});

test("a store's own folder is not imported into it", async () => {
  const folder = temporaryDirectory();
  const store = await openTestStore(join(folder, "store"));
  writeSafetensors(join(folder, "m.safetensors"), { w: scalar(1) });
  const result = await store.importFile(folder, { dataset: "a" });
  expect(result).toMatchObject({ files: 1, skipped: [{ path: "store" }] });
});

test("imports that run at once, into one dataset and into others, all land", async () => {
  const folder = temporaryDirectory();
  const store = await openTestStore(join(folder, "store"), { workers: 2 });
  const paths = [0, 1, 2, 3, 4, 5].map((seed) =>
    writeSafetensors(join(folder, `m${seed}.safetensors`), {
      w: floats([400, 500], seed % 3),
      own: floats([2000 + seed], seed),
    }),
  );
  await Promise.all(
    paths.map((path, index) => store.importFile(path, { dataset: index % 2 === 0 ? "even" : "odd" })),
  );
  for (const [name, files] of [
    ["even", [0, 2, 4]],
    ["odd", [1, 3, 5]],
  ] as const) {
    const dataset = (await store.dataset(name))!;
    expect((await dataset.files()).map(({ path }) => path)).toEqual(files.map((n) => `m${n}.safetensors`));
    for (const n of files) {
      expectTensor(await dataset.get(`m${n}.safetensors#w`), floats([400, 500], n % 3));
      expectTensor(await dataset.get(`m${n}.safetensors#own`), floats([2000 + n], n));
    }
  }
  const hashes = framesIn(join(folder, "store")).map(({ hash }) => hash);
  // Two chunks of each `w`, one of each `own`, and at most a bundle of header bytes an import.
  expect(new Set(hashes).size).toBe(hashes.length);
  expect(hashes.length).toBeLessThanOrEqual(3 * 2 + 6 + 6);
});

test("an import too large for the tail pack gets packs of its own", async () => {
  const folder = temporaryDirectory();
  const directory = join(folder, "store");
  const store = await openTestStore(directory, { preset: "none", memoryBytes: 32 * 2 ** 20 });
  const bytes = noise(12_000_000, 1);
  const tensors = {
    a: { dtype: "uint8", shape: [7_000_000], data: bytes.subarray(0, 7_000_000) },
    b: { dtype: "uint8", shape: [5, 1_000_000], data: bytes.subarray(7_000_000) },
  } as const;
  const path = writeSafetensors(join(folder, "m.safetensors"), tensors);
  const result = await store.importFile(path, { dataset: "a" });
  expect(result.newBytes).toBe(frameBytesIn(directory));
  expect(result.newBytes).toBeGreaterThan(12_000_000);
  expect(readdirSync(join(directory, "packs")).filter((name) => !name.endsWith(".pack"))).toEqual([]);
  await store.close();
  const again = await openTestStore(directory);
  const dataset = (await again.dataset("a"))!;
  expectTensor(await dataset.get("a"), tensors.a);
  expectTensor(await dataset.get("b"), tensors.b);
  expect(await again.importFile(path, { dataset: "b" })).toMatchObject({ newBytes: 0, tensorsShared: 2 });
});

describe("an import on a failing disk", () => {
  const kindsOfFault = [
    "write",
    "sync",
    "rename",
    "open",
    "syncDirectory",
    "close",
    "truncate",
    "makeDirectory",
  ] as const;
  const SMALL = { w: floats([60, 100], 11), b: floats([10], 12) };
  const LARGE = {
    w: { dtype: "uint8" as const, shape: [9_000_000], data: noise(9_000_000, 13) },
    b: floats([10], 12),
  };

  /** Makes every Nth operation of a kind fail in turn until none is left to fail. Returns how many failed. */
  async function everyFault(
    path: string,
    operation: (typeof kindsOfFault)[number],
    code: "ENOSPC" | "EIO",
    forGood: boolean,
    step = 1,
  ): Promise<number> {
    let failed = 0;
    for (let after = 1; ; after += step) {
      const disk = memoryFileSystem();
      const files = failingFileSystem(disk);
      const store = await openStore(":memory:", { workers: 0, fileSystem: files, preset: "none" });
      const old = await store.createDataset("old");
      await old.insert(floats([3000], 1), { name: "kept" });
      const before = await contentOf(old);
      files.fail({ operation, after, code, forGood, ...(operation === "write" && { shortBytes: 100 }) });
      const what = `${operation} ${after} ${code}`;
      let hit = true;
      let landed = false;
      try {
        await store.importFile(path, { dataset: "new" });
        landed = true;
        hit = files.failures > 0;
      } catch (error) {
        expect(error, what).toBeInstanceOf(TensorcaskError);
        if (error instanceof StorageError) expect(error.code, what).toBe(code);
        expect(await store.dataset("new"), what).toBeUndefined();
        failed += 1;
      }
      expectTensor(await old.get("kept"), floats([3000], 1));
      files.heal();
      if (!landed) await store.importFile(path, { dataset: "new" });
      await old.insert(scalar(1), { name: "after" });
      const after_ = [await contentOf(old), await contentOf((await store.dataset("new"))!)];
      await store.close();

      // Nothing but the disk's files is left: the catalog is made anew from the journal.
      const again = await openStore(":memory:", { workers: 0, fileSystem: disk });
      const reopened = [
        await contentOf((await again.dataset("old"))!),
        await contentOf((await again.dataset("new"))!),
      ];
      expect(JSON.stringify(reopened) === JSON.stringify(after_), what).toBe(true);
      expect(reopened[0]!.slice(0, 1)).toEqual(before);
      await again.close();
      if (!hit) return failed;
    }
  }

  test.each(kindsOfFault)("every %s of a small one", async (operation) => {
    const path = writeSafetensors(join(temporaryDirectory(), "m.safetensors"), SMALL);
    const failures =
      (await everyFault(path, operation, "ENOSPC", false)) + (await everyFault(path, operation, "EIO", true));
    if (operation === "write" || operation === "sync") expect(failures).toBeGreaterThan(3);
  });

  test.each(["write", "sync", "rename", "open", "syncDirectory"] as const)(
    "every %s of one with a pack of its own",
    async (operation) => {
      const path = writeSafetensors(join(temporaryDirectory(), "m.safetensors"), LARGE);
      expect(
        await everyFault(
          path,
          operation,
          operation === "sync" ? "EIO" : "ENOSPC",
          operation === "rename",
          operation === "write" ? 12 : 1,
        ),
      ).toBeGreaterThan(0);
    },
  );

  test("its packs are gone when it failed", async () => {
    const folder = temporaryDirectory();
    const disk = memoryFileSystem();
    const files = failingFileSystem(disk);
    const store = await openTestStore(":memory:", { fileSystem: files, preset: "none" });
    const path = writeSafetensors(join(folder, "m.safetensors"), LARGE);
    await (await store.createDataset("a")).insert(scalar(1));
    const packs = async () => (await disk.list("/memory/packs")).map(({ name }) => name);
    const before = await packs();
    for (const fault of [
      { operation: "write", after: 4 },
      { operation: "sync" },
      { operation: "rename" },
      { operation: "sync", path: "journal" },
      { operation: "write", path: "journal" },
    ] as const) {
      files.fail({ ...fault, code: "ENOSPC" });
      expect(await failureOf(store.importFile(path, { dataset: "a" }))).toBeInstanceOf(StorageError);
      expect(await packs(), JSON.stringify(fault)).toEqual(before);
      files.heal();
    }
    await store.importFile(path, { dataset: "a" });
  });
});

test("packs of an import that was committed stay, even if the catalog could not follow", async () => {
  const folder = temporaryDirectory();
  const directory = join(folder, "store");
  const tensor = { dtype: "uint8" as const, shape: [9_000_000], data: noise(9_000_000, 13) };
  const path = writeSafetensors(join(folder, "m.safetensors"), { w: tensor });
  const store = await openTestStore(directory, { preset: "none" });
  await store.createDataset("before");
  const full = (): never => {
    throw new StorageError("write", "catalog", Object.assign(new Error("full"), { code: "ENOSPC" }));
  };
  const apply = vi.spyOn(Catalog.prototype, "apply").mockImplementation(full);
  try {
    expect(await failureOf(store.importFile(path, { dataset: "a" }))).toMatchObject({ code: "ENOSPC" });
  } finally {
    apply.mockRestore();
  }
  // The journal has it, so the next commit brings it.
  await store.createDataset("after");
  expect((await store.datasets()).map(({ name }) => name)).toEqual(["a", "after", "before"]);
  expectTensor(await (await store.dataset("a"))!.get("w"), tensor);
  await store.close();
  expectTensor(await (await (await openTestStore(directory)).dataset("a"))!.get("w"), tensor);
});

const shared = existsSync(sharedData) ? filesBelow(sharedData, ".safetensors") : [];

test.skipIf(shared.length === 0)(
  `every safetensors file of ../shared/data${shared.length === 0 ? " (skipped: it is not here)" : ""} comes back bit by bit`,
  { timeout: 120_000 },
  async () => {
    const folder = temporaryDirectory();
    const directory = join(folder, "store");
    const store = await openTestStore(directory, { workers: 2 });
    let original = 0;
    for (const path of shared) {
      const dataset = relative(sharedData, path).replaceAll("/", "-");
      const { originalBytes } = await store.importFile(path, { dataset });
      original += originalBytes;
    }
    expect(frameBytesIn(directory)).toBeLessThan(original * 0.9);
    await store.close();
    const again = await openTestStore(directory, { workers: 2 });
    for (const path of shared) {
      const dataset = relative(sharedData, path).replaceAll("/", "-");
      const out = join(folder, "out.safetensors");
      expect(await again.exportFile(dataset, basename(path), out)).toMatchObject({ exact: true });
      expect(sameBytes(readFileSync(out), readFileSync(path)), path).toBe(true);
    }
  },
);
