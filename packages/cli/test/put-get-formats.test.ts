/** Records in and out: .npy, .npz and others, slices, pipes, whole selections as one file. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { numpyArrays, numpyHeaders, numpyWritten } from "../../core/test/format-npy-cases.ts";
import { run } from "../src/run.ts";
import { fakeHost } from "./fake-host.ts";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

async function ok(...argv: string[]): Promise<Ran> {
  return (await place.inside(...argv)).checked();
}

async function failed(status: number, ...argv: string[]): Promise<string> {
  const result = await place.inside(...argv);
  expect(result.status, result.stderr).toBe(status);
  expect(argv.includes("--json") || result.stdout === "").toBe(true);
  return argv.includes("--json") ? result.stdout : result.stderr;
}

/** Runs a command as a process, with bytes for its standard input. */
async function piped(input: Uint8Array, ...argv: string[]): Promise<Ran> {
  const { child, ended } = place.start(...argv);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  return (await ended).checked();
}

async function recordsOf(dataset: string): Promise<{ name: string | null; metadata: unknown; id: string }[]> {
  const { json } = await ok("ls", dataset, "--json", "--long");
  return (json as { records: { name: string | null; metadata: unknown; id: string }[] }).records;
}

describe("NumPy arrays as records", () => {
  it("come back as the files that NumPy wrote, byte for byte", async () => {
    for (const [index, { bytes }] of numpyHeaders.entries()) {
      // Headers alone are no files; of empty arrays they are.
      if (!Buffer.from(bytes).includes("(0,")) continue;
      await writeFile(place.path(`h${index}.npy`), bytes);
      await ok("put", "headers", place.path(`h${index}.npy`));
      const { bytes: back } = await ok("get", "headers", `h${index}`, "--format", "npy");
      expect(Buffer.compare(back, bytes)).toBe(0);
    }
    for (const name of ["v1", "v2", "v3"] as const) {
      await writeFile(place.path(`${name}.npy`), numpyArrays[name]);
      await ok("put", "arrays", place.path(`${name}.npy`));
      await ok("get", "arrays", name, "--out", place.path("back.npy"));
      expect(Buffer.compare(await readFile(place.path("back.npy")), Buffer.from(numpyArrays.v1))).toBe(0);
    }
  });

  it("go through pipes, as processes", async () => {
    const { stdout } = await piped(numpyArrays.v1, "put", "piped", "-", "--name", "x");
    expect(stdout).toMatch(/^Inserted 1 tensor into piped, version 1: 24 B in /);
    const back = await piped(new Uint8Array(0), "get", "piped", "x", "--format", "npy");
    expect(Buffer.compare(back.bytes, numpyArrays.v1)).toBe(0);
    const again = await piped(back.bytes, "put", "piped", "-", "--metadata", '{"k":1}');
    expect(again.stdout).toMatch(/, id [0-9A-Z]{26}\n$/);
    const [, second] = await recordsOf("piped");
    expect(second).toMatchObject({ name: null, metadata: { k: 1 } });
    await piped(
      new Uint8Array(8),
      "put",
      "piped",
      "-",
      "--dtype",
      "float32",
      "--shape",
      "2",
      "--name",
      "raw",
    );
    expect((await ok("get", "piped", "raw", "--json")).json).toMatchObject({ values: [0, 0] });
  });

  it("archives are one record an array; slices and rows are files, too", async () => {
    await writeFile(place.path("all.npz"), numpyWritten("npzCompressed"));
    await ok("put", "archive", place.path("all.npz"));
    expect((await recordsOf("archive")).map(({ name }) => name)).toEqual(["row", "col", "é", "noise"]);
    await ok("get", "archive", "row", "--slice", "1,:2", "--out", place.path("slice.npy"));
    await ok("put", "archive", place.path("slice.npy"));
    expect((await ok("get", "archive", "slice", "--json")).json).toMatchObject({
      shape: [2],
      values: [3, 4],
    });
    await ok("get", "archive", "row", "--rows", "1,0", "--as", "float16", "--out", place.path("rows.npz"));
    await ok("put", "archive", place.path("rows.npz"), "--name", "rows");
    expect((await ok("get", "archive", "rows", "--json")).json).toMatchObject({
      dtype: "float16",
      shape: [2, 3],
      values: [3, 4, 5, 0, 1, 2],
    });
  });

  it("--as and --dtype convert rows, as they convert the rest", async () => {
    const { json } = await ok("get", "archive", "row", "--rows", "1", "--dtype", "float16", "--json");
    expect(json).toMatchObject({ dtype: "float16", values: [3, 4, 5] });
  });
});

describe("put and get", () => {
  it("end quietly when their reader goes away", async () => {
    for (const argv of [
      ["get", "arrays", "v1", "--format", "npy"],
      ["export", "arrays", "--as", "npz", "--out", "-"],
    ]) {
      const { child, ended } = place.start(...argv);
      child.stdout?.destroy();
      expect(await ended).toMatchObject({ status: 0, stderr: "" });
    }
  });

  it("say what is wrong", async () => {
    expect(await failed(2, "put", "x", join(data, "base", "config.json"))).toContain(
      "config.json: it is of no format whose tensors are read; raw elements need --dtype and --shape",
    );
    expect(await failed(2, "put", "x", place.path("v1.npy"), "--format", "npy")).toContain(
      "for standard input",
    );
    expect(await failed(2, "get", "arrays", "v1", "--format", "npy", "--json")).toContain("--json prints");
    const terminal = await place.onTerminal("get", "arrays", "v1", "--format", "npy");
    expect({ status: terminal.status, stdout: terminal.stdout }).toEqual({ status: 2, stdout: "" });
    await ok("put", "model", join(data, "base", "model.safetensors"));
    expect(await failed(2, "get", "model", "lm_head.weight", "--out", place.path("no.npy"))).toContain(
      "NumPy has no dtype for bfloat16; convert it to float32 (--dtype float32)",
    );
    expect((await readdir(place.folder)).filter((name) => /no\.npy|partial/.test(name))).toEqual([]);
    const host = fakeHost({ stdin: [numpyArrays.v1] });
    expect(await run(["put", "x", "-", "--format", "torch", "--store", place.store], host)).toBe(1);
  });

  it("leave a store that is not there alone when there is nothing to put", async () => {
    const host = fakeHost({ stdin: [], environment: { TENSORCASK_STORE: place.path("never") } });
    expect(await run(["put", "x", "-"], host)).toBe(2);
    expect(host.opened).toEqual([]);
    expect(host.stderr.text()).toContain("stdin: ");
  });

  it("import takes a file from a pipe, under a name", async () => {
    await piped(numpyArrays.fortran, "import", "-", "--name", "f.npy", "--dataset", "imported");
    const { bytes } = await ok("export", "imported", "f.npy", "--out", place.path("f.npy")).then(
      async () => ({
        bytes: await readFile(place.path("f.npy")),
      }),
    );
    expect(Buffer.compare(bytes, Buffer.from(numpyArrays.fortran))).toBe(0);
    expect(await failed(2, "import", "-", "--dataset", "imported")).toContain("give --name");
    expect(await failed(2, "import", "-", "--name", "../x.npy", "--dataset", "imported")).toContain(
      "without folders",
    );
  });
});

describe("export --as", () => {
  it("writes records with their metadata, which come back with put", async () => {
    await ok("create", "pets", "--metadata", '{"source":"camera 3"}');
    await ok("put", "pets", place.path("v1.npy"), "--name", "cat", "--metadata", '{"label":3,"tags":["a"]}');
    await piped(numpyArrays.fortran, "put", "pets", "-", "--metadata", '{"label":7}');
    await ok("put", "pets", place.path("v2.npy"), "--name", "plain");
    const { stdout } = await ok(
      "export",
      "pets",
      "--as",
      "safetensors",
      "--out",
      place.path("out/pets.safetensors"),
    );
    expect(stdout).toMatch(/^Exported 3 records of pets to .*pets\.safetensors: .* s, .*\/s, exact\n$/);
    const header = (await readFile(place.path("out/pets.safetensors"))).toString("latin1");
    expect(header).toContain('"tensorcask.dataset":"{\\"source\\":\\"camera 3\\"}"');
    await ok("put", "copies", place.path("out/pets.safetensors"));
    const originals = await recordsOf("pets");
    const copies = await recordsOf("copies");
    const unnamed = originals.find(({ name }) => name === null)!;
    expect(new Map(copies.map(({ name, metadata }) => [name, metadata]))).toEqual(
      new Map<string | null, unknown>([
        ["cat", { label: 3, tags: ["a"] }],
        [unnamed.id, { label: 7 }],
        ["plain", {}],
      ]),
    );
    await ok("import", place.path("out/pets.safetensors"), "--dataset", "reimported");
    expect((await recordsOf("reimported")).find(({ name }) => name === "cat")!.metadata).toEqual({
      label: 3,
      tags: ["a"],
    });
  });

  it("selects by metadata, by name and by file", async () => {
    const bytes = async (...argv: string[]): Promise<Uint8Array> =>
      (await ok("export", ...argv, "--out", "-")).bytes;
    expect(Buffer.compare(await bytes("pets", "--as", "npy", "--where", '{"label":3}'), numpyArrays.v1)).toBe(
      0,
    );
    expect(Buffer.compare(await bytes("pets", "--as", "npy", "--tensor", "plain"), numpyArrays.v1)).toBe(0);
    expect(await failed(2, "export", "pets", "--as", "npy", "--out", "-")).toContain("holds one tensor");
    expect(await failed(1, "export", "pets", "--as", "npy", "--tensor", "dog", "--out", "-")).toContain(
      '"dog"',
    );
    expect(await failed(2, "export", "pets", "--tensor", "cat", "--out", "x")).toContain(
      "give --as FORMAT too",
    );
    expect(await failed(1, "export", "pets", "--out", place.path("folder"))).toContain("--as safetensors");
    const npz = await ok("export", "pets", "--as", "npz", "--out", place.path("pets.npz"), "--json");
    expect(npz.json).toMatchObject({
      format: "npz",
      tensors: 3,
      converted: 0,
      exact: true,
      metadataDropped: true,
    });
  });

  it("names tensors of one name by their files, and takes one file's alone", async () => {
    for (const model of ["base", "ft-full"]) {
      await ok("import", join(data, model), "--dataset", `zoo-${model}`);
    }
    await writeFile(place.path("m.npz"), numpyWritten("npz"));
    await writeFile(place.path("n.npz"), numpyWritten("npz"));
    await ok("import", place.path("m.npz"), place.path("n.npz"), "--dataset", "twins");
    await ok("export", "twins", "--as", "npz", "--out", place.path("twins.npz"));
    await ok("put", "split", place.path("twins.npz"));
    expect((await recordsOf("split")).map(({ name }) => name).sort()).toEqual(
      ["col", "row", "é"].flatMap((name) => [`m.npz#${name}`, `n.npz#${name}`]).sort(),
    );
    await ok("export", "twins", "n.npz", "--as", "npz", "--out", place.path("n-only.npz"));
    await ok("put", "single", place.path("n-only.npz"));
    expect((await recordsOf("single")).map(({ name }) => name).sort()).toEqual(["col", "row", "é"]);
    const exported = await ok(
      ...[
        "export",
        "zoo-base",
        "--as",
        "npz",
        "--dtype",
        "float32",
        "--out",
        place.path("zoo.npz"),
        "--json",
      ],
    );
    expect(exported.json).toMatchObject({ tensors: 39, converted: 39, exact: false, quantized: [] });
  });

  it("says which tensors were stored quantized", async () => {
    await ok(
      "import",
      join(data, "byte-classifier.safetensors"),
      "--dataset",
      "lossy",
      "--preset",
      "balanced",
    );
    const { stdout } = await ok(
      "export",
      "lossy",
      "--as",
      "safetensors",
      "--out",
      place.path("lossy.safetensors"),
    );
    expect(stdout).toContain(", not exact\n15 tensors stored quantized, written dequantized:\n");
    expect(stdout).toContain("  byte-classifier.safetensors#c1.bias\n");
  });
});
