import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { InvalidFileError, UsageError } from "@tensorcask/codec";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { FileSystem } from "../src/files/file-system.ts";
import { exportTarget } from "../src/files/links.ts";
import { memoryFileSystem } from "../src/files/memory.ts";
import { nodeFileSystem } from "../src/files/node.ts";
import { type PlanInputsOptions, planInputs, planSource } from "../src/format/inputs.ts";
import { bufferSource, type FilePlan, fileSource } from "../src/model/plan.ts";
import { entry, fileOf } from "./format-safetensors-cases.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "tensorcask-format-"));
});
afterAll(() => rmSync(root, { recursive: true }));

let folders = 0;
/** A new folder with these files. */
function folder(files: Record<string, string | Uint8Array>): string {
  const path = join(root, String(folders++));
  mkdirSync(path);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true });
    writeFileSync(join(path, name), content);
  }
  return path;
}

const tensor = (name: string): Uint8Array =>
  fileOf(`{${entry(name, "U8", "[2]", 0, 2)}}`, Uint8Array.of(1, 2));
const broken = fileOf("{", 0);
const index = (weights: Record<string, string>): string => JSON.stringify({ weight_map: weights });
const plan = (paths: string | string[], options?: PlanInputsOptions) =>
  planInputs(nodeFileSystem, [paths].flat(), options);
const paths = (files: FilePlan[]): string[] => files.map(({ path, format }) => `${path}: ${format}`);

async function bytesOf(file: FilePlan): Promise<Uint8Array> {
  const source = await file.source();
  const pieces: Uint8Array[] = [];
  for (const { offset, bytes } of file.parts) {
    const piece = new Uint8Array(bytes);
    await source.read(piece, offset);
    pieces.push(piece);
  }
  await source.close();
  return Buffer.concat(pieces);
}

describe("planning inputs", () => {
  it("plans files by their basenames", async () => {
    const at = folder({ "m.safetensors": tensor("a"), "config.json": "{}", "empty.bin": "" });
    const { files, skipped } = await plan([
      join(at, "m.safetensors"),
      join(at, "config.json"),
      join(at, "empty.bin"),
    ]);
    expect(paths(files)).toEqual(["m.safetensors: safetensors", "config.json: opaque", "empty.bin: opaque"]);
    expect(files[2]!.parts).toEqual([]);
    expect(skipped).toEqual([]);
    for (const file of files) expect(await bytesOf(file)).toEqual(readFileSync(join(at, file.path)));
  });

  it("walks folders: relative paths, sorted, hidden names reported", async () => {
    const at = folder({
      "b.txt": "b",
      "a/z.txt": "z",
      "a-b.txt": "-",
      ".DS_Store": "x",
      ".git/config": "x",
      "a/.x": "",
      "a/Thumbs.db": "",
    });
    const { files, skipped } = await plan(at);
    expect(paths(files)).toEqual(["a-b.txt: opaque", "a/z.txt: opaque", "b.txt: opaque"]);
    expect(skipped).toEqual([
      { path: ".DS_Store", reason: "hidden" },
      { path: ".git", reason: "hidden" },
      { path: "a/.x", reason: "hidden" },
      { path: "a/Thumbs.db", reason: "left by the desktop" },
    ]);
  });

  it("takes the same file once and refuses two of one name", async () => {
    const at = folder({ "x/m.bin": "1", "y/m.bin": "2" });
    const { files } = await plan([join(at, "x/m.bin"), `${at}/x/../x/m.bin`, join(at, "x")]);
    expect(files.length).toBe(1);
    await expect(plan([join(at, "x/m.bin"), join(at, "y/m.bin")])).rejects.toThrow(UsageError);
    await expect(plan([join(at, "x"), join(at, "y")])).rejects.toThrow(/"m.bin"/);
    expect(paths((await plan(at)).files)).toEqual(["x/m.bin: opaque", "y/m.bin: opaque"]);
  });

  it("says what is missing", async () => {
    await expect(plan(join(root, "nothing"))).rejects.toMatchObject({ tag: "not-found" });
  });

  it("refuses invalid files, or keeps them as opaque bytes", async () => {
    const at = folder({ "ok.safetensors": tensor("a"), "bad.safetensors": broken });
    await expect(plan(at)).rejects.toMatchObject({
      tag: "invalid-file",
      file: join(at, "bad.safetensors"),
      rule: "json",
    });
    const { files, keptOpaque } = await plan(at, { opaque: true });
    expect(paths(files)).toEqual(["bad.safetensors: opaque", "ok.safetensors: safetensors"]);
    expect(keptOpaque).toEqual([
      { path: "bad.safetensors", reason: expect.stringContaining("not valid JSON") },
    ]);
    expect(await bytesOf(files[0]!)).toEqual(Buffer.from(broken));
  });

  it("recognises formats by content; what only looks like one is opaque", async () => {
    const at = folder({ "a.bin": tensor("a"), "b.bin": fileOf('{"a"', 0) });
    const { files, keptOpaque } = await plan(at);
    expect(paths(files)).toEqual(["a.bin: safetensors", "b.bin: opaque"]);
    expect(keptOpaque.map(({ path }) => path)).toEqual(["b.bin"]);
  });

  it("carries what a file says about itself", async () => {
    const { plan: found } = await planSource(
      bufferSource("x", fileOf('{"__metadata__":{"format":"pt"}}')),
      "x.safetensors",
    );
    expect(found.metadata).toEqual({ format: "pt" });
  });

  it("reads headers only, and opens one file at a time", async () => {
    const bytes = 1_000_000;
    const json = `{${entry("a", "U8", `[${bytes}]`, 0, bytes)}}`;
    const at = folder({ "m.safetensors": fileOf(json, bytes), "x.bin": new Uint8Array(bytes) });
    let read = 0;
    let open = 0;
    const counting: FileSystem = Object.assign(Object.create(nodeFileSystem), {
      async open(path: string, mode: "read") {
        expect(++open).toBe(1);
        const file = await nodeFileSystem.open(path, mode);
        return {
          size: () => file.size(),
          read(into: Uint8Array, position: number) {
            read += into.length;
            return file.read(into, position);
          },
          close() {
            open--;
            return file.close();
          },
        };
      },
    });
    await planInputs(counting, [at]);
    expect(read).toBe(256 + 8 + json.length + 256);
  });

  it("plans what lies in another file system", async () => {
    const memory = memoryFileSystem();
    await memory.makeDirectory("/nowhere/on/disk");
    await memory.writeWhole("/nowhere/on/m.safetensors", tensor("a"));
    await memory.writeWhole("/nowhere/on/disk/x", new Uint8Array(3));
    const { files } = await planInputs(memory, ["/nowhere/on"]);
    expect(paths(files)).toEqual(["disk/x: opaque", "m.safetensors: safetensors"]);
    expect(await bytesOf(files[1]!)).toEqual(Buffer.from(tensor("a")));
  });

  it("refuses a file that changes after it was planned", async () => {
    const at = folder({ "m.safetensors": tensor("a") });
    const { files } = await plan(at);
    writeFileSync(join(at, "m.safetensors"), tensor("ab"));
    await expect(files[0]!.source()).rejects.toMatchObject({ rule: "changed" });
  });

  it("stops when told", async () => {
    const at = folder({ "m.bin": "" });
    await expect(plan(at, { signal: AbortSignal.abort() })).rejects.toMatchObject({ tag: "cancelled" });
  });

  it("leaves out the store itself", async () => {
    const at = folder({ "m.bin": "", "zoo/packs/x": "" });
    const { files, skipped } = await plan(at, { exclude: [join(at, "zoo")] });
    expect(paths(files)).toEqual(["m.bin: opaque"]);
    expect(skipped).toEqual([{ path: "zoo", reason: "the store itself" }]);
  });
});

describe("sharded sets", () => {
  const shards = { "m-1.safetensors": tensor("a"), "m-2.safetensors": tensor("b") };
  const good = index({ a: "m-1.safetensors", b: "m-2.safetensors" });

  it("an index brings its shards", async () => {
    const at = folder({ ...shards, "m.safetensors.index.json": good, "other.safetensors": tensor("c") });
    const all = [
      "m.safetensors.index.json: safetensors-index",
      "m-1.safetensors: safetensors",
      "m-2.safetensors: safetensors",
    ];
    expect(paths((await plan(join(at, "m.safetensors.index.json"))).files)).toEqual(all);
    const both = await plan([join(at, "m-2.safetensors"), join(at, "m.safetensors.index.json")]);
    expect(paths(both.files).sort()).toEqual(all.sort());
    expect((await plan(at)).files.length).toBe(4);
  });

  it("in a folder of a folder too", async () => {
    const at = folder({
      "sub/m-1.safetensors": tensor("a"),
      "sub/m.safetensors.index.json": index({ a: "m-1.safetensors" }),
    });
    expect((await plan(at)).files.length).toBe(2);
  });

  it("refuses incomplete and contradictory sets, or keeps the index as opaque bytes", async () => {
    const cases: [Record<string, string | Uint8Array>, string, string][] = [
      [{ "m-1.safetensors": tensor("a"), "m.safetensors.index.json": good }, "shard-missing", "b"],
      [
        {
          ...shards,
          "m.safetensors.index.json": index({ a: "m-1.safetensors" }),
          "m-1.safetensors": tensor("x"),
        },
        "tensor-missing",
        "a",
      ],
      [
        {
          ...shards,
          "m.safetensors.index.json": good,
          "m-2.safetensors": fileOf(`{${entry("b", "U8", "[1]", 0, 1)},${entry("z", "U8", "[1]", 1, 2)}}`, 2),
        },
        "tensor-unknown",
        "z",
      ],
    ];
    for (const [files, rule, tensor] of cases) {
      const at = folder(files);
      for (const input of [at, join(at, "m.safetensors.index.json")]) {
        await expect(plan(input)).rejects.toMatchObject({ rule, tensor });
        const kept = await plan(input, { opaque: true });
        expect(kept.keptOpaque.map(({ path }) => path)).toEqual(["m.safetensors.index.json"]);
        expect(paths(kept.files)).toContain("m.safetensors.index.json: opaque");
      }
    }
  });

  it("never looks outside its folder", async () => {
    const at = folder({
      "secret.safetensors": tensor("a"),
      "in/m.safetensors.index.json": index({ a: "../secret.safetensors" }),
    });
    await expect(plan(join(at, "in"))).rejects.toMatchObject({ rule: "shard-name", tensor: "a" });
    await expect(plan(join(at, "in/m.safetensors.index.json"))).rejects.toMatchObject({ rule: "shard-name" });
  });
});

describe.skipIf(process.platform === "win32")("links", () => {
  it("follows links to files inside, skips links to folders inside", async () => {
    const at = folder({ "a/m.bin": "m" });
    symlinkSync("a/m.bin", join(at, "l.bin"));
    symlinkSync("a", join(at, "twin"));
    symlinkSync("..", join(at, "a/up"));
    await expect(plan(at)).rejects.toMatchObject({ rule: "link", file: join(at, "a/up") });
    rmSync(join(at, "a/up"));
    const { files, skipped } = await plan(at);
    expect(paths(files)).toEqual(["a/m.bin: opaque", "l.bin: opaque"]);
    expect(skipped).toEqual([{ path: "twin", reason: "a link to a folder" }]);
    expect(Buffer.from(await bytesOf(files[1]!)).toString()).toBe("m");
  });

  it("refuses links that lead out or nowhere", async () => {
    const outside = folder({ "secret.bin": "s", "inner/ok": "" });
    for (const target of [join(outside, "secret.bin"), join(outside, "inner"), "nothing", "/dev/null"]) {
      const at = folder({ "m.bin": "" });
      symlinkSync(target, join(at, "l"));
      await expect(plan(at)).rejects.toThrow(InvalidFileError);
    }
    // A neighbour whose name starts like the folder's is outside.
    const at = folder({ "x/m.bin": "", "xy/secret": "" });
    symlinkSync("../xy/secret", join(at, "x/l"));
    await expect(plan(join(at, "x"))).rejects.toMatchObject({ rule: "link" });
  });

  it("follows the snapshot links of a Hugging Face cache, into its blobs only", async () => {
    const at = folder({
      "models--o--n/blobs/abc": tensor("a"),
      "models--o--n/blobs/sub/deep": "",
      "models--o--n/snapshots/r1/x": "",
      "models--o--n/refs/main": "r1",
    });
    const snapshot = join(at, "models--o--n/snapshots/r1");
    mkdirSync(join(snapshot, "onnx"));
    symlinkSync("../../blobs/abc", join(snapshot, "m-1.safetensors"));
    symlinkSync("../../../blobs/abc", join(snapshot, "onnx/m.safetensors"));
    writeFileSync(join(snapshot, "m.safetensors.index.json"), index({ a: "m-1.safetensors" }));
    const { files } = await plan(snapshot);
    expect(paths(files)).toEqual([
      "m-1.safetensors: safetensors",
      "m.safetensors.index.json: safetensors-index",
      "onnx/m.safetensors: safetensors",
      "x: opaque",
    ]);
    expect((await plan(join(snapshot, "onnx"))).files.length).toBe(1);
    expect((await plan(join(snapshot, "m.safetensors.index.json"))).files.length).toBe(2);
    symlinkSync("../../refs/main", join(snapshot, "l"));
    await expect(plan(snapshot)).rejects.toMatchObject({ rule: "link" });
    rmSync(join(snapshot, "l"));
    symlinkSync("../../blobs/sub/deep", join(snapshot, "l"));
    await expect(plan(snapshot)).rejects.toMatchObject({ rule: "link" });
  });

  it("an index does not follow a shard's link out of its folder; a file given by itself may be a link", async () => {
    const outside = folder({ "s.safetensors": tensor("a") });
    const at = folder({ "m.safetensors.index.json": index({ a: "s.safetensors" }) });
    symlinkSync(join(outside, "s.safetensors"), join(at, "s.safetensors"));
    await expect(plan(join(at, "m.safetensors.index.json"))).rejects.toMatchObject({ rule: "link" });
    expect((await plan(join(at, "s.safetensors"))).files.length).toBe(1);
  });

  it("refuses devices and pipes", async () => {
    await expect(plan("/dev/null")).rejects.toMatchObject({ rule: "not-a-file" });
    const at = folder({});
    execFileSync("mkfifo", [join(at, "pipe")]);
    await expect(plan(at)).rejects.toMatchObject({ rule: "not-a-file", file: join(at, "pipe") });
  });

  it("exports into the folder only", async () => {
    const outside = folder({ "x/y": "" });
    const at = folder({ "in/a": "" });
    symlinkSync(outside, join(at, "out"));
    symlinkSync("in", join(at, "within"));
    symlinkSync("nothing", join(at, "dangling"));
    symlinkSync("/etc/passwd", join(at, "file"));
    expect(await exportTarget(at, "in/new/b.bin")).toBe(join(at, "in/new/b.bin"));
    expect(await exportTarget(at, "within/b")).toBe(join(at, "within/b"));
    expect(await exportTarget(at, "file")).toBe(join(at, "file"));
    expect(await exportTarget(join(at, "new/folder"), "a/b")).toBe(join(at, "new/folder/a/b"));
    for (const path of ["out/b", "out/x/b", "out/new/b", "dangling/b", "dangling/new/b"]) {
      await expect(exportTarget(at, path), path).rejects.toThrow(/link/);
    }
    await expect(exportTarget(at, "../b")).rejects.toThrow(UsageError);
  });
});

describe("sources", () => {
  it("fill what is asked for, or say that the file ends early", async () => {
    const at = folder({ "m.bin": "0123456789" });
    const file = await fileSource(nodeFileSystem, join(at, "m.bin"), "m");
    for (const source of [bufferSource("m", new TextEncoder().encode("0123456789")), file]) {
      expect(source.bytes).toBe(10);
      const into = new Uint8Array(4);
      await source.read(into, 6);
      expect(Buffer.from(into).toString()).toBe("6789");
      await source.read(new Uint8Array(0), 10);
      for (const position of [7, 10, 11, 1000]) {
        await expect(source.read(into, position)).rejects.toMatchObject({ rule: "truncated", file: "m" });
      }
      await source.close();
    }
  });
});
