/** `convert`: files of one format into another, and what comes back. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf, dtypeOf } from "@tensorcask/codec";
import { bufferSource, layoutSafetensors, planSource } from "@tensorcask/core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeGguf } from "../../core/test/format-gguf-writer.ts";
import { numpyArrays, numpyWritten } from "../../core/test/format-npy-cases.ts";
import { run } from "../src/run.ts";
import { fakeHost } from "./fake-host.ts";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

const shared = join(import.meta.dirname, "../../../../shared/data/public");
let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

async function ok(...argv: string[]): Promise<Ran> {
  return (await place.inside(...argv)).checked();
}

async function failed(status: number, ...argv: string[]): Promise<string> {
  const before = await readdir(place.folder);
  const result = await place.inside(...argv);
  expect(result.status, result.stderr).toBe(status);
  expect(result.stdout).toBe("");
  expect(await readdir(place.folder)).toEqual(before);
  return result.stderr;
}

/** Bytes, dtypes and shapes of the tensors of a safetensors file, by name. */
async function tensorsOf(
  path: string,
): Promise<Map<string, { dtype: string; shape: readonly number[]; bytes: Buffer }>> {
  const file = await readFile(path);
  const { plan } = await planSource(bufferSource(path, file), path);
  return new Map(
    plan.parts.flatMap((part) =>
      part.kind === "tensor"
        ? [
            [
              part.name,
              {
                dtype: part.dtype.name,
                shape: part.shape,
                bytes: file.subarray(part.offset, part.offset + part.bytes),
              },
            ] as const,
          ]
        : [],
    ),
  );
}

async function metadataOf(path: string): Promise<unknown> {
  return (await planSource(bufferSource(path, await readFile(path)), path)).plan.metadata;
}

/** A safetensors file of one-element tensors. */
async function writeModel(
  path: string,
  names: readonly string[],
  metadata: Record<string, string> = {},
): Promise<void> {
  const layout = layoutSafetensors(
    names.map((name) => ({ name, dtype: dtypeOf("float32"), shape: [1] })),
    metadata,
  );
  await writeFile(path, Buffer.concat([layout.header, new Uint8Array(4 * names.length)]));
}

describe("convert", () => {
  it("npz to safetensors and back: the same arrays, row-major and little-endian", async () => {
    const path = (name: string): string => place.path(`arrays-${name}`);
    for (const written of ["npz", "npzCompressed"] as const) {
      await writeFile(path("in.npz"), numpyWritten(written));
      const { stdout } = await ok("convert", path("in.npz"), path("mid.safetensors"), "--force");
      expect(stdout).toMatch(/^Converted 1 file to .*mid\.safetensors: [34] tensors, .* s, .*\/s, exact\n$/);
      const tensors = await tensorsOf(path("mid.safetensors"));
      const numbers = bytesOf(new Float32Array([0, 1, 2, 3, 4, 5]));
      expect(tensors.get("row")).toEqual({ dtype: "float32", shape: [2, 3], bytes: Buffer.from(numbers) });
      const words = bytesOf(new Int16Array([0, 1, 2, 3, 4, 5]));
      expect(tensors.get("col")).toEqual({ dtype: "int16", shape: [2, 3], bytes: Buffer.from(words) });
      expect(tensors.get("é")).toEqual({ dtype: "float16", shape: [], bytes: Buffer.from([0, 0x3e]) });
      await ok("convert", path("mid.safetensors"), path("back.npz"), "--force");
      await ok("convert", path("back.npz"), path("again.safetensors"), "--force");
      expect(await tensorsOf(path("again.safetensors"))).toEqual(tensors);
    }
  });

  it("a .npy to .npy: as NumPy writes it, whatever order and version it had", async () => {
    for (const name of ["v1", "v2", "v3"] as const) {
      await writeFile(place.path("in.npy"), numpyArrays[name]);
      await ok("convert", place.path("in.npy"), place.path("out.npy"), "--force");
      expect(Buffer.compare(await readFile(place.path("out.npy")), Buffer.from(numpyArrays.v1))).toBe(0);
    }
  });

  it("a safetensors model to npz and back: names, elements; metadata has no place there, and that is said", async () => {
    const model = join(data, "byte-classifier.safetensors");
    const there = await ok("convert", model, place.path("c.npz"), "--json");
    const back = await ok("convert", place.path("c.npz"), place.path("c.safetensors"), "--json");
    expect(back.json).toMatchObject({
      inputs: [place.path("c.npz")],
      output: place.path("c.safetensors"),
      format: "safetensors",
      files: 1,
      tensors: 16,
      converted: 0,
      skipped: [],
    });
    expect((there.json as { metadataDropped: boolean }).metadataDropped).toBe(
      (await metadataOf(model)) !== undefined,
    );
    expect(await tensorsOf(place.path("c.safetensors"))).toEqual(await tensorsOf(model));
  });

  it("a folder: its tensors, and says which files have none", async () => {
    const { stdout } = await ok("convert", join(data, "base"), place.path("base.safetensors"));
    expect(stdout).toContain("not converted: config.json (no tensors)\n");
    expect(await tensorsOf(place.path("base.safetensors"))).toEqual(
      await tensorsOf(join(data, "base", "model.safetensors")),
    );
    expect(await metadataOf(place.path("base.safetensors"))).toEqual(
      await metadataOf(join(data, "base", "model.safetensors")),
    );
  });

  it("several files: two tensors of one name are refused, or named by their files", async () => {
    await writeModel(place.path("one.safetensors"), ["w", "a"], { format: "pt", note: "first" });
    await writeModel(place.path("two.safetensors"), ["w", "b"], { format: "pt", note: "second" });
    const inputs = [place.path("one.safetensors"), place.path("two.safetensors")];
    expect(await failed(2, "convert", ...inputs, place.path("both.safetensors"))).toContain(
      'one.safetensors and two.safetensors both have a tensor "w"; --prefix names them file#tensor',
    );
    await ok("convert", ...inputs, place.path("both.safetensors"), "--prefix");
    expect([...(await tensorsOf(place.path("both.safetensors"))).keys()].sort()).toEqual([
      "one.safetensors#a",
      "one.safetensors#w",
      "two.safetensors#b",
      "two.safetensors#w",
    ]);
    expect(await metadataOf(place.path("both.safetensors"))).toEqual({
      format: "pt",
      note: "first",
      "two.safetensors#note": "second",
    });
  });

  it("a sharded model by its index: one file of all its tensors", async () => {
    const folder = place.path("shards");
    await mkdir(folder);
    await writeModel(join(folder, "m-1.safetensors"), ["a", "b"]);
    await writeModel(join(folder, "m-2.safetensors"), ["c"]);
    const map = { a: "m-1.safetensors", b: "m-1.safetensors", c: "m-2.safetensors" };
    const index = join(folder, "m.safetensors.index.json");
    await writeFile(index, JSON.stringify({ metadata: {}, weight_map: map }));
    const { json } = await ok("convert", index, place.path("joined.safetensors"), "--json");
    expect(json).toMatchObject({ files: 2, tensors: 3, skipped: [] });
    expect([...(await tensorsOf(place.path("joined.safetensors"))).keys()]).toEqual(["a", "b", "c"]);
  });

  it("GGUF: blocks are refused with what to do, or written as floats; metadata comes along", async () => {
    const block = new Uint8Array(34);
    block.set([0, 0x3c, 7]);
    const { bytes } = writeGguf({
      metadata: [
        ["general.name", { type: "string", value: "tiny" }],
        ["x.layers", { type: "uint32", value: 2 }],
      ],
      tensors: [
        { name: "q", type: 8, dimensions: [32, 1], data: block },
        { name: "f", type: 0, dimensions: [1], data: new Uint8Array([0, 0, 0x80, 0x3f]) },
      ],
    });
    await writeFile(place.path("m.gguf"), bytes);
    for (const target of ["g.safetensors", "g.npz"]) {
      expect(await failed(2, "convert", place.path("m.gguf"), place.path(target))).toMatch(
        /"q".*ggml_q8_0; convert it to float32 \(--dtype float32\)/,
      );
    }
    // In a process of its own: nothing has loaded the kernels there.
    const { stdout } = await place.command(
      "convert",
      place.path("m.gguf"),
      place.path("g.safetensors"),
      "--dtype",
      "float32",
    );
    expect(stdout).toContain(", 1 tensor converted to float32\n");
    const tensors = await tensorsOf(place.path("g.safetensors"));
    expect(tensors.get("q")).toMatchObject({ dtype: "float32", shape: [1, 32] });
    expect(tensors.get("q")!.bytes.readFloatLE(0)).toBe(7);
    expect(tensors.get("f")!.bytes.readFloatLE(0)).toBe(1);
    expect(await metadataOf(place.path("g.safetensors"))).toEqual({
      "general.name": "tiny",
      "x.layers": "2",
      "tensorcask.records": '{"q":{"gguf":{"type":"Q8_0","shape":[1,32]}}}',
    });
  });

  it("--dtype converts floats and leaves the rest", async () => {
    const { stdout } = await ok(
      ...["convert", join(data, "base", "model.safetensors"), place.path("f32.npz")],
      ...["--dtype", "float32"],
    );
    expect(stdout).toContain(" tensors converted to float32\n");
    expect(
      await failed(2, "convert", join(data, "base", "model.safetensors"), place.path("no.npz")),
    ).toContain("NumPy has no dtype for bfloat16; convert it to float32 (--dtype float32)");
  });

  const checkpoints = ["mtcnn__facenet-pytorch_rnet.pt", "ultraface-rfb__version-RFB-320.pth"].filter(
    (name) => existsSync(join(shared, name)),
  );
  const absent = checkpoints.length === 0 ? " (skipped: no ../shared/data beside the repository)" : "";
  it.skipIf(checkpoints.length === 0)(
    `PyTorch checkpoints equal their conversions by PyTorch${absent}`,
    async () => {
      for (const name of checkpoints) {
        await ok("convert", join(shared, name), place.path("pt.safetensors"), "--force");
        expect(await tensorsOf(place.path("pt.safetensors"))).toEqual(
          await tensorsOf(join(shared, `${name}.safetensors`)),
        );
      }
    },
  );

  it("refuses what it cannot do, and leaves nothing behind", async () => {
    const model = join(data, "byte-classifier.safetensors");
    await writeFile(place.path("taken.npz"), "mine");
    expect(await failed(1, "convert", model, place.path("taken.npz"))).toContain("exists already; --force");
    expect(await readFile(place.path("taken.npz"), "utf8")).toBe("mine");
    expect(await failed(2, "convert", model)).toContain("what to read, then what to write");
    expect(await failed(2, "convert", model, place.path("x.pt"))).toContain("--to safetensors|npz|npy");
    expect(await failed(2, "convert", model, "-")).toContain("standard output: which format?");
    expect(await failed(2, "convert", model, place.path("x.npy"))).toContain("a .npy file holds one tensor");
    expect(await failed(1, "convert", place.path("absent.npz"), place.path("x.npz"))).toContain("absent.npz");
    expect(await failed(1, "convert", join(data, "base", "config.json"), place.path("x.npz"))).toContain(
      "of no format whose tensors are read",
    );
    expect(await failed(2, "convert", place.path("taken.npz"), place.path("taken.npz"), "--force")).toContain(
      "is the input",
    );
    expect(await failed(2, "convert", "-", "-", place.path("x.npz"))).toContain("give - once");
    expect(await failed(2, "convert", model, place.path("x.npz"), "--name", "y.npy")).toContain(
      "--name says",
    );
    await writeFile(place.path("broken.npy"), numpyArrays.v1.subarray(0, 100));
    expect(await failed(1, "convert", place.path("broken.npy"), place.path("x.npz"))).toContain("broken.npy");
  });
});

describe("convert in a pipe", () => {
  async function piped(input: Uint8Array, ...argv: string[]): Promise<Ran> {
    const { child, ended } = place.start(...argv);
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
    return ended;
  }

  it("goes from standard input to standard output", async () => {
    const there = await piped(numpyArrays.fortran, "convert", "-", "-", "--to", "npz", "--name", "x.npy");
    expect({ status: there.status, stderr: there.stderr }).toEqual({ status: 0, stderr: "" });
    const back = await piped(there.bytes, "convert", "-", "-", "--to", "safetensors");
    expect({ status: back.status, stderr: back.stderr }).toEqual({ status: 0, stderr: "" });
    await writeFile(place.path("piped.safetensors"), back.bytes);
    const words = bytesOf(new Int16Array([0, 1, 2, 3, 4, 5]));
    expect(await tensorsOf(place.path("piped.safetensors"))).toEqual(
      new Map([["x", { dtype: "int16", shape: [2, 3], bytes: Buffer.from(words) }]]),
    );
  });

  it("names what it cannot read", async () => {
    const { status, stderr } = await piped(Buffer.from("hello"), "convert", "-", place.path("x.npz"));
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: "error: stdin: it is of no format whose tensors are read\n",
    });
    const host = fakeHost({ stdin: [numpyArrays.v1.subarray(0, 100)] });
    expect(await run(["convert", "-", place.path("x.npz"), "--name", "w.npy"], host)).toBe(1);
    expect(host.stderr.text()).toContain("w.npy: ");
  });

  it("ends quietly when its reader goes away", async () => {
    const { child, ended } = place.start("convert", join(data, "base"), "-", "--to", "safetensors");
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ status: 0, stderr: "" });
  });

  it("is interrupted by Ctrl-C while it writes: exit 130, no file", async () => {
    const large = place.path("large.safetensors");
    const layout = layoutSafetensors([{ name: "w", dtype: dtypeOf("float32"), shape: [4096, 1024, 1024] }]);
    await writeFile(large, layout.header);
    // A hole of 16 GiB, which takes no room on the disk.
    await truncate(large, layout.bytes);
    const before = await readdir(place.folder);
    const { child, ended } = place.start("convert", large, place.path("never.npz"));
    for (let found = false; !found; ) {
      found = (await readdir(place.folder)).some((name) => name.startsWith("never.npz."));
    }
    child.kill("SIGINT");
    expect(await ended).toMatchObject({
      status: 130,
      stderr: "interrupted (SIGINT): the command stopped, no file was written\n",
    });
    expect(await readdir(place.folder)).toEqual(before);
    await rm(large);
  });

  it("is interrupted by Ctrl-C while it waits: exit 130, no file", async () => {
    const before = await readdir(place.folder);
    const { child, ended } = place.start("convert", "-", place.path("never.npz"), "--name", "waits.npy");
    child.stdin?.on("error", () => undefined);
    child.stdin?.write(numpyArrays.v1);
    // It has begun when what came is in its file.
    for (let isSpooled = false; !isSpooled; ) {
      const folders = (await readdir(tmpdir())).filter((name) => name.startsWith("tensorcask-pipe-"));
      isSpooled = folders.some((name) => existsSync(join(tmpdir(), name, "waits.npy")));
    }
    child.kill("SIGINT");
    expect(await ended).toMatchObject({
      status: 130,
      stderr: "interrupted (SIGINT): the command stopped, no file was written\n",
    });
    expect(await readdir(place.folder)).toEqual(before);
  });
});
