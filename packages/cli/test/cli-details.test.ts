/** What commands do in corners: run in this process on a real store. */
import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
  const floats = Float32Array.from({ length: 2000 }, (_, index) => Math.sin(index));
  await writeFile(place.path("wave.bin"), floats);
  await ok("put", "waves", place.path("wave.bin"), "--dtype", "F32", "--shape", "20,100", "--name", "sine");
});

afterAll(() => place.remove());

async function ok(...argv: string[]): Promise<Ran> {
  return (await place.inside(...argv)).checked();
}

async function failed(status: number, ...argv: string[]): Promise<string> {
  const result = await place.inside(...argv);
  expect(result.status).toBe(status);
  expect(result.stdout).toBe("");
  return result.stderr;
}

describe("get", () => {
  it("prints a preview on a terminal", async () => {
    const { stdout } = await place.onTerminal("get", "waves", "sine");
    const lines = stdout.split("\n");
    expect(lines.slice(0, 5)).toEqual([
      "waves sine",
      "  dtype   float32",
      "  shape   [20, 100]",
      "  size    8.00 kB",
      "  stored  exactly",
    ]);
    expect(lines.slice(6)).toEqual([
      "[[ 0.0000  0.8415  0.9093 ...  0.3796 -0.5734 -0.9992]",
      " [-0.5064  0.4520  0.9948 ...  0.3023 -0.6386 -0.9923]".replace(/.*/, lines[7] ?? ""),
      ...lines.slice(8),
    ]);
    expect(lines.filter((line) => line === " ...")).toHaveLength(1);
  });

  it("prints slices, rows and conversions", async () => {
    const part = await place.onTerminal("get", "waves", "sine", "--slice", "0,:4");
    expect(part.stdout).toContain("  shape   [4] of [20, 100]\n");
    expect(part.stdout).toMatch(/\n\[0\.0000 0\.8415 0\.9093 0\.1411\]\n$/);
    const { json } = await ok("get", "waves", "sine", "--rows", "19,0", "--json");
    expect(json).toMatchObject({ shape: [2, 100] });
    expect((json as { values: number[] }).values[100]).toBe(0);
    const half = await place.onTerminal("get", "waves", "sine", "--as", "float16", "--slice", "0,1");
    expect(half.stdout).toContain("  dtype   float16 (stored as float32)\n");
  });

  it("writes raw files, and nothing when it fails", async () => {
    await ok("get", "waves", "sine", "--out", place.path("out.bin"));
    expect(await readFile(place.path("out.bin"))).toEqual(await readFile(place.path("wave.bin")));
    const { bytes } = await ok("get", "waves", "sine", "--out", "-");
    expect(Buffer.from(bytes)).toEqual(await readFile(place.path("wave.bin")));
    expect(await failed(1, "get", "waves", "sine", "--out", place.path("nowhere/x.bin"))).toContain("ENOENT");
    expect((await readdir(place.folder)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("names what is wrong", async () => {
    expect(await failed(1, "get", "waves", "cosine")).toBe(
      'error: there is no tensor "cosine"; tensorcask ls waves lists what there is\n',
    );
    expect(await failed(2, "get", "waves", "sine", "--slice", "0,500")).toContain(
      "axis 1: index 500 is out of range",
    );
    expect(await failed(2, "get", "waves", "sine", "--slice", "a")).toContain("axis 0");
    expect(await failed(1, "get", "waves", "sine", "--version", "nope")).toContain("nope");
    expect(await failed(1, "get", "waves", "sine", "--version", "99")).toContain("version 99");
  });
});

describe("put", () => {
  it("refuses taken names unless told to replace them", async () => {
    const argv = [
      "put",
      "waves",
      place.path("wave.bin"),
      "--dtype",
      "float32",
      "--shape",
      "2000",
      "--name",
      "taken",
    ];
    await ok(...argv);
    expect(await failed(1, ...argv)).toContain("exists already");
    expect((await ok(...argv, "--replace", "--json")).json).toMatchObject({
      records: [{ name: "taken", shape: [2000] }],
    });
  });

  it("checks raw files against dtype and shape", async () => {
    expect(
      await failed(2, "put", "waves", place.path("wave.bin"), "--dtype", "float32", "--shape", "7"),
    ).toContain("8000 bytes, but float32 of shape [7] takes 28");
    expect(
      await failed(2, "put", "waves", place.path("wave.bin"), "--dtype", "float", "--shape", "7"),
    ).toContain('unknown dtype "float"');
    expect(await failed(1, "put", "waves", place.path("none.safetensors"))).toContain("no file or directory");
  });

  it("inserts all tensors of a safetensors file", async () => {
    const { json } = await ok("put", "classifier", join(data, "byte-classifier.safetensors"), "--json");
    const names = (json as { records: { name: string }[] }).records.map(({ name }) => name);
    expect(names.length).toBeGreaterThan(3);
    expect((await ok("ls", "classifier", "--json")).json).toMatchObject({
      records: { length: names.length },
    });
    expect(
      await failed(2, "put", "classifier", join(data, "byte-classifier.safetensors"), "--name", "x"),
    ).toContain("--name is for a file with one tensor");
  });
});

describe("import", () => {
  it("--each makes a dataset of each subfolder", async () => {
    const models = place.path("models");
    await mkdir(models);
    await symlink(join(data, "base"), join(models, "base"));
    await symlink(join(data, "ft-full"), join(models, "tuned"));
    await writeFile(join(models, "notes.txt"), "x");
    const { stdout } = await ok("import", models, "--each", "--dataset", "zoo");
    const lines = stdout.trimEnd().split("\n");
    expect(lines[0]).toMatch(/^zoo\/base: 3 files, 39 tensors, 1\.78 MB -> .*, lossless, /);
    expect(lines[1]).toMatch(/^zoo\/tuned: 3 files, 39 tensors/);
    expect(lines[2]).toMatch(/^not imported, since it is not a subfolder: .*notes\.txt$/);
    expect(lines[3]).toMatch(/^Total: 2 datasets, 6 files, 78 tensors, 3\.55 MB added /);
  });

  it("says what is lossy, and what was stored exactly in spite of it", async () => {
    const file = join(data, "byte-classifier.safetensors");
    const { stdout } = await ok("import", file, "--dataset", "small", "--preset", "maximum");
    expect(stdout).toMatch(/maximum \(lossy: \d+ tensors? quantized\)/);
    expect(stdout).toMatch(/ratio +[\d.]+ = [\d.]+ lossy x [\d.]+ lossless\n/);
    const listed = await ok("ls", "small", "--files");
    expect(listed.stdout).toContain("not bit-exact");
    const exported = await ok("export", "small", "--out", place.path("small"));
    expect(exported.stdout).toContain("not bit-exact");
    expect(exported.stdout).toMatch(
      /\d+ tensors? stored quantized, written dequantized:\n {2}byte-classifier\.safetensors#/,
    );
    expect((await ok("stats", "small")).stdout).toMatch(/ratio +\d.* = .* lossy x .* lossless/);
  });

  it("refuses broken files as a whole, or keeps them as bytes", async () => {
    const broken = place.path("broken.safetensors");
    await writeFile(broken, "hello world, this is no safetensors file");
    expect(await failed(1, "import", broken, "--dataset", "broken")).toContain("broken.safetensors");
    expect(await failed(1, "ls", "broken")).toContain("no dataset");
    await ok("import", broken, "--dataset", "broken", "--opaque");
    await ok("export", "broken", "--out", place.path("unbroken"));
    expect(await readFile(place.path("unbroken/broken.safetensors"))).toEqual(await readFile(broken));
  });

  it("does not create a store for what is not there", async () => {
    const store = place.path("new-store");
    expect(await failed(1, "--store", store, "import", place.path("nowhere"), "--dataset", "x")).toContain(
      "no file or directory",
    );
    expect(await failed(1, "--store", store, "ls")).toContain("there is no store here");
    await expect(readdir(store)).rejects.toThrow();
  });
});

describe("rm", () => {
  it("deletes records and files, or nothing when one is not there", async () => {
    await ok("import", join(data, "base"), "--dataset", "rm-me");
    expect(await failed(1, "rm", "rm-me", "lm_head.weight", "nope")).toContain("nothing was deleted");
    expect(await failed(1, "rm", "rm-me", "--file", "nope")).toContain("nothing was deleted");
    await ok(
      "put",
      "rm-me",
      place.path("wave.bin"),
      "--dtype",
      "float32",
      "--shape",
      "2000",
      "--name",
      "loose",
    );
    expect((await ok("rm", "rm-me", "loose")).stdout).toMatch(/^Deleted 1 record of rm-me, version 3\n/);
    await ok("rm", "rm-me", "--file", "config.json");
    expect((await ok("ls", "rm-me", "--files")).stdout).not.toContain("\nconfig.json");
    expect((await ok("ls", "rm-me", "--files", "--version", "1")).stdout).toContain("\nconfig.json");
  });
});

describe("presets", () => {
  it("are defined, shown and removed", async () => {
    const path = place.path("preset.json");
    await writeFile(path, '{"quantizer":"fp16","codec":["planes",{"id":"zstd","level":9}]}');
    expect((await ok("presets", "define", "mine", path)).stdout).toBe("Defined mine: lossy\n");
    expect((await ok("presets")).stdout).toMatch(/\nmine +lossy +fp16/);
    expect((await ok("presets", "show", "mine", "--json")).json).toMatchObject({ quantizer: { id: "fp16" } });
    expect((await ok("presets", "remove", "mine")).stdout).toBe("Removed mine\n");
    expect(await failed(1, "presets", "show", "mine")).toContain("known: none, fast");
  });

  it("refuse bad definitions by field", async () => {
    const path = place.path("bad.json");
    for (const [json, message] of [
      ["{", "not valid JSON"],
      ['{"codex":"gzip"}', "codex"],
      ['{"codec":["planes","nope"]}', "step 2"],
    ] as const) {
      await writeFile(path, json);
      expect(await failed(2, "presets", "define", "bad", path)).toContain(message);
    }
    await writeFile(path, '{"codec":"gzip"}');
    expect(await failed(1, "presets", "define", "fast", path)).toContain("built-in");
  });
});

describe("names with control characters", () => {
  it("cannot act on the terminal", async () => {
    await ok(
      "put",
      "waves",
      place.path("wave.bin"),
      "--dtype",
      "float32",
      "--shape",
      "2000",
      "--name",
      "a\u001b[2Jb",
    );
    const { stdout } = await place.onTerminal("ls", "waves");
    expect(stdout).toContain("a\\u001b[2Jb");
    expect(stdout.includes("\u001b")).toBe(false);
  });
});

describe("tags", () => {
  it("move only when told to, and go", async () => {
    await ok("tag", "waves", "one", "--version", "1");
    expect(await failed(1, "tag", "waves", "one")).toContain("one");
    await ok("tag", "waves", "one", "--move");
    await ok("tag", "waves", "two", "--version", "one");
    const { json } = await ok("tag", "waves", "--json");
    const { tags } = json as { tags: { tag: string; version: number }[] };
    expect(tags.map(({ tag }) => tag).sort()).toEqual(["one", "two"]);
    expect(tags[0]?.version).toBe(tags[1]?.version);
    await ok("tag", "waves", "one", "--delete");
    expect(await failed(1, "tag", "waves", "one", "--delete")).toContain('no tag "one"');
    expect(await failed(1, "tag", "waves", "x", "--version", "nope")).toContain('no tag "nope"');
  });
});
