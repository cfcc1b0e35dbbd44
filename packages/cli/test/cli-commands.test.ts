/** Every command on the models that come with the project, each at least once as a process of its own. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

const started = new Set<string>();

/** Runs a command that must go well: the first of each name as a process of its own, the others in this one, which is much faster. */
async function ok(name: string, ...argv: string[]): Promise<Ran> {
  const first = !started.has(name);
  started.add(name);
  return (await (first ? place.command(name, ...argv) : place.inside(name, ...argv))).checked();
}

/** Files of a folder, by path relative to it. */
async function contents(folder: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const path = join(entry.parentPath, entry.name);
      files.set(path.slice(folder.length + 1), await readFile(path));
    }
  }
  return files;
}

describe("a model's life", { concurrent: false }, () => {
  it("presets, before there is a store", async () => {
    const { json, stdout } = await ok("presets", "--json");
    expect(json).toMatchObject({ storePreset: null });
    for (const name of ["none", "fast", "lossless", "balanced", "maximum", "fp16_only", "int8_only"]) {
      expect(stdout).toContain(`"name":"${name}"`);
    }
  });

  it("import", async () => {
    const { stdout } = await ok("import", join(data, "base"), "--dataset", "llm");
    expect(stdout).toMatch(/^Imported 3 files with \d+ tensors into llm, version 1\n/);
    expect(stdout).toContain("  original  1.78 MB\n");
    expect(stdout).toMatch(/\n {2}ratio {5}1\.[45]\d\d\n/);
    expect(stdout).toContain("lossless: every byte comes back");
    expect(stdout).toMatch(/\d+ [kMG]?B\/s/);
  });

  it("import --json, of a relative that shares most tensors", async () => {
    const { json } = await ok("import", join(data, "ft-lora-merged"), "--dataset", "acme/lora", "--json");
    expect(json).toMatchObject({
      dataset: "acme/lora",
      preset: "lossless",
      lossless: true,
      files: 3,
      tensors: expect.any(Number),
      originalBytes: expect.any(Number),
      storedBytes: expect.any(Number),
      newBytes: expect.any(Number),
      ratio: expect.any(Number),
      seconds: expect.any(Number),
      version: 1,
    });
    const { tensorsShared, newBytes, storedBytes } = json as Record<string, number>;
    expect(tensorsShared).toBeGreaterThan(10);
    expect(newBytes).toBeLessThan((storedBytes ?? 0) / 2);
  });

  it("ls: datasets, records, files", async () => {
    const datasets = await ok("ls");
    expect(datasets.stdout).toMatch(
      /^dataset .*\nacme\/lora +lossless +lossless .*\nllm +lossless +lossless /,
    );
    const records = await ok("ls", "llm", "--dtype", "bfloat16", "--limit", "2");
    expect(records.stdout.split("\n")).toHaveLength(4);
    expect(records.stdout).toMatch(
      /lm_head\.weight +bfloat16 +\[512, 128\] +131 kB +exact +model\.safetensors/,
    );
    const files = await ok("ls", "llm", "--files");
    expect(files.stdout).toMatch(/model\.safetensors +safetensors +1\.78 MB +bit-exact +[0-9a-f]{16}/);
  });

  it("stats, of a dataset and of the store", async () => {
    const one = await ok("stats", "llm");
    expect(one.stdout).toMatch(/^llm\n {2}preset +lossless\n {2}data +lossless\n/);
    const { json } = await ok("stats", "--json");
    const store = json as Record<string, unknown> & { datasets: Record<string, unknown>[] };
    for (const field of ["originalBytes", "storedBytes", "directoryBytes", "unreferencedBytes", "ratio"]) {
      expect(store[field]).toEqual(expect.any(Number));
    }
    expect(store.residualBytes).toBe(0);
    expect(store.datasets.map(({ name }) => name).sort()).toEqual(["acme/lora", "llm"]);
    for (const dataset of store.datasets) {
      expect(dataset).toMatchObject({
        preset: "lossless",
        lossless: true,
        records: expect.any(Number),
        files: 3,
        originalBytes: expect.any(Number),
        amortizedBytes: dataset.storedBytes,
        exclusiveBytes: expect.any(Number),
        sharedBytes: expect.any(Number),
        standaloneBytes: expect.any(Number),
        historyBytes: 0,
        ratio: expect.any(Number),
      });
      expect((dataset.layers as object[]).length).toBeGreaterThan(0);
      for (const layer of dataset.layers as object[]) {
        expect(layer).toEqual({
          name: expect.any(String),
          bytesBefore: expect.any(Number),
          bytesAfter: expect.any(Number),
        });
      }
    }
  });

  it("export writes every byte back", async () => {
    const { stdout } = await ok("export", "llm", "--out", place.path("copy"));
    expect(stdout).toMatch(/Exported 3 files of llm: 1\.78 MB .*, bit-exact\n$/);
    expect(await contents(place.path("copy"))).toEqual(await contents(join(data, "base")));
    await ok("export", "llm", "model.safetensors", "--out", place.path("one.safetensors"));
    expect(await readFile(place.path("one.safetensors"))).toEqual(
      await readFile(join(data, "base/model.safetensors")),
    );
  });

  it("get: raw in a pipe, a slice as JSON, a file", async () => {
    const raw = await ok("get", "llm", "lm_head.weight");
    expect(raw.bytes).toHaveLength(512 * 128 * 2);
    const { json } = await ok("get", "llm", "model.safetensors#lm_head.weight", "--slice", "0,0:4", "--json");
    expect(json).toMatchObject({
      name: "lm_head.weight",
      dtype: "bfloat16",
      shape: [4],
      file: "model.safetensors",
    });
    const bits = new Uint32Array(new Uint16Array(Uint8Array.from(raw.bytes.subarray(0, 8)).buffer)).map(
      (half) => half << 16,
    );
    expect((json as { values: number[] }).values).toEqual([...new Float32Array(bits.buffer)]);
    await ok("get", "llm", "lm_head.weight", "--out", place.path("head.safetensors"));
    const file = await readFile(place.path("head.safetensors"));
    expect(file.subarray(file.length - raw.bytes.length).equals(raw.bytes)).toBe(true);
  });

  it("create, put, mv, set", async () => {
    expect((await ok("create", "images", "--preset", "maximum", "--index", "label")).stdout).toContain(
      "maximum (lossy)",
    );
    const put = await ok(
      "put",
      "images",
      place.path("head.safetensors"),
      "--name",
      "cat",
      "--metadata",
      '{"label":3}',
      "--json",
    );
    expect(put.json).toMatchObject({
      dataset: "images",
      version: 1,
      records: [{ name: "cat", dtype: "bfloat16" }],
    });
    expect((await ok("mv", "images", "cat", "kitten")).stdout).toBe("cat in images is now kitten\n");
    expect((await ok("set", "images", "kitten", "--metadata", '{"fur":true}')).stdout).toBe(
      'kitten: {"label":3,"fur":true}\n',
    );
    const found = await ok("ls", "images", "--where", '{"label":{"gte":3}}', "--json");
    expect(found.json).toMatchObject({
      dataset: "images",
      records: [{ name: "kitten", metadata: { label: 3 } }],
    });
  });

  it("tag, log, rollback, prune", async () => {
    expect((await ok("tag", "images", "v1", "--version", "1")).stdout).toBe("v1 is version 1 of images\n");
    expect((await ok("tag", "images")).stdout).toBe("tag  version\nv1         1\n");
    expect(
      (await ok("get", "images", "cat", "--version", "v1", "--json", "--slice", "0,0")).json,
    ).toMatchObject({
      name: "cat",
      shape: [],
    });
    expect((await ok("rollback", "images", "v1")).stdout).toMatch(
      /^images is at version \d+, which equals v1\n$/,
    );
    const { json } = await ok("log", "images", "--json");
    const { versions, current } = json as {
      versions: { version: number; tags: string[] }[];
      current: number;
    };
    expect(versions[0]?.version).toBe(current);
    expect(versions.at(-1)).toMatchObject({ version: 1, tags: ["v1"] });
    const pruned = await ok("prune", "images", "--keep-last", "1", "--keep-tagged");
    expect(pruned.stdout).toMatch(
      /\n\d+ versions expired; the bytes come back with the next tensorcask gc\n$/,
    );
  });

  it("preset, recompress", async () => {
    expect((await ok("preset", "llm")).stdout).toBe("lossless (lossless, the store's)\n");
    expect((await ok("preset", "llm", "balanced")).stdout).toMatch(
      /^llm now has the preset balanced \(lossy\); \d+ stored tensors keep the encoding they have\n$/,
    );
    expect((await ok("preset", "--store-wide", "fast")).stdout).toContain(
      "the store now has the preset fast (lossless)",
    );
    await writeFile(place.path("mine.json"), '{"codec":{"id":"zstd","level":3}}');
    expect((await ok("presets", "define", "mine", place.path("mine.json"))).stdout).toBe(
      "Defined mine: lossless\n",
    );
    const { json } = await ok("recompress", "llm", "--preset", "mine", "--json");
    expect(json).toMatchObject({ dataset: "llm", preset: "mine", alsoAffects: ["acme/lora"] });
  });

  it("rm, gc", async () => {
    const { stdout } = await ok("rm", "images");
    expect(stdout).toMatch(
      /^Deleted images: 1 record, 0 files, \d+ versions?\nAbout .* become free; tensorcask gc gives them back/,
    );
    const dry = await ok("gc", "--dry-run", "--json");
    const gc = await ok("gc", "--json");
    expect(dry.json).toMatchObject({ dryRun: true });
    const { bytesBefore, bytesAfter } = gc.json as { bytesBefore: number; bytesAfter: number };
    expect(bytesAfter).toBeLessThan(bytesBefore);
  });

  it("verify, rebuild", async () => {
    expect((await ok("verify")).stdout).toContain("\nEverything is whole\n");
    expect((await ok("rebuild")).stdout).toMatch(
      /^Rebuilt the catalog from \d+ journal entries and \d+ chunks in /,
    );
    expect((await ok("verify", "--deep", "--json")).json).toMatchObject({
      ok: true,
      deep: true,
      problems: [],
    });
    expect((await ok("verify", "llm", "--against", join(data, "base"))).stdout).toContain(
      "\nEvery byte is the same\n",
    );
    const other = await place.inside("verify", "llm", "--against", join(data, "ft-full"));
    expect(other.status).toBe(1);
    expect(other.stdout).toMatch(/model\.safetensors: .*\n(.*\n)*Not the same: 1 problem\n$/);
  });
});
