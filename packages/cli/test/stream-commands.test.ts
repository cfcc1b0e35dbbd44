/** `compress` and `decompress`: files in this process, pipes as processes of their own. */

import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run } from "../src/run.ts";
import { fakeHost } from "./fake-host.ts";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

const model = join(data, "base", "model.safetensors");
let place: Workplace;
let original: Buffer;

beforeAll(async () => {
  place = await workplace();
  original = await readFile(model);
  await writeFile(place.path("m.safetensors"), original);
});

afterAll(() => place.remove());

async function ok(...argv: string[]): Promise<Ran> {
  return (await place.inside(...argv)).checked();
}

async function failed(status: number, ...argv: string[]): Promise<string> {
  const before = await readdir(place.folder);
  const result = await place.inside(...argv);
  expect(result.status).toBe(status);
  expect(result.stdout).toBe("");
  expect(await readdir(place.folder)).toEqual(before);
  return result.stderr;
}

/** Runs a command as a process, with bytes for its standard input. */
async function piped(input: Uint8Array, ...argv: string[]): Promise<Ran> {
  const { child, ended } = place.start(...argv);
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  return ended;
}

describe("files", () => {
  it("go to FILE.tcz and come back, bit for bit", async () => {
    const { stdout } = await ok("compress", place.path("m.safetensors"));
    expect(stdout).toMatch(
      /^Compressed .*m\.safetensors to .*m\.safetensors\.tcz: 1\.78 MB original, 1\.\d+ MB compressed \(ratio 1\.5\d+\), preset lossless, .* s, .*\/s\n$/,
    );
    const result = await ok(
      "decompress",
      place.path("m.safetensors.tcz"),
      "-o",
      place.path("back"),
      "--json",
    );
    const { size } = await stat(place.path("m.safetensors.tcz"));
    expect(result.json).toMatchObject({
      input: place.path("m.safetensors.tcz"),
      output: place.path("back"),
      originalBytes: original.length,
      compressedBytes: size,
      ratio: original.length / size,
      sha256: createHash("sha256").update(original).digest("hex"),
    });
    expect(Buffer.compare(await readFile(place.path("back")), original)).toBe(0);
    expect((await readdir(place.folder)).filter((name) => name.includes("partial"))).toEqual([]);
  });

  it("that exist are not overwritten without --force", async () => {
    await writeFile(place.path("taken"), "mine");
    expect(await failed(1, "compress", place.path("m.safetensors"), "-o", place.path("taken"))).toContain(
      "exists already; --force",
    );
    expect(await readFile(place.path("taken"), "utf8")).toBe("mine");
    await ok(
      "compress",
      place.path("m.safetensors"),
      "-o",
      place.path("taken"),
      "--force",
      "--preset",
      "fast",
    );
    await ok("decompress", place.path("taken"), "-o", place.path("back"), "--force");
    expect(Buffer.compare(await readFile(place.path("back")), original)).toBe(0);
  });

  it("keep who may read them, and links", async () => {
    await writeFile(place.path("secret"), "s");
    await chmod(place.path("secret"), 0o600);
    await ok("compress", place.path("secret"));
    expect((await stat(place.path("secret.tcz"))).mode & 0o777).toBe(0o600);
    await writeFile(place.path("linked"), "old");
    await symlink(place.path("linked"), place.path("link"));
    await ok("compress", place.path("secret"), "-o", place.path("link"), "--force");
    expect((await readFile(place.path("linked"))).subarray(0, 4).toString()).toBe("TCSF");
  });

  it("that are empty are streams too", async () => {
    await writeFile(place.path("nothing"), "");
    const { stdout } = await ok("compress", place.path("nothing"));
    expect(stdout).toContain("0 B original, 80 B compressed (ratio -)");
    await ok("decompress", place.path("nothing.tcz"), "--force");
    expect(await readFile(place.path("nothing"))).toHaveLength(0);
  });

  it("may be coded with a preset from a JSON file", async () => {
    await writeFile(place.path("mine.json"), '{"codec":["planes","zstd"]}');
    const { json } = await ok(
      ...["compress", place.path("m.safetensors"), "-o", place.path("mine.tcz")],
      ...["--preset", place.path("mine.json"), "--json"],
    );
    expect(json).toMatchObject({ preset: "custom" });
  });
});

describe("what is refused", () => {
  it("leaves nothing behind", async () => {
    const file = place.path("m.safetensors");
    expect(await failed(2, "compress", file, "-o", place.path("x"), "--preset", "balanced")).toContain(
      "loses precision",
    );
    expect(await failed(1, "compress", file, "-o", place.path("x"), "--preset", "nope")).toContain(
      "no preset",
    );
    expect(await failed(1, "compress", place.path("absent"))).toContain("there is no file");
    await mkdir(place.path("folder"));
    expect(await failed(2, "compress", place.path("folder"))).toContain("is a directory");
    expect(await failed(2, "compress", file, "-o", place.path("folder"))).toContain("is a directory");
    expect(await failed(2, "compress", file, "-o", file, "--force")).toContain("is the input");
    expect(await failed(2, "decompress", file)).toContain("does not end in .tcz");
    const json = await place.inside("compress", file, "-o", "-", "--json");
    expect(json.status).toBe(2);
    expect(json.json).toMatchObject({ error: { tag: "usage", field: "json" } });
    const terminal = await place.onTerminal("compress", file, "-o", "-");
    expect({ status: terminal.status, stdout: terminal.stdout }).toEqual({ status: 2, stdout: "" });
  });

  it("damage and other files: exit 1, no file", async () => {
    const stream = await readFile(place.path("m.safetensors.tcz"));
    stream[stream.length >> 1]! ^= 1;
    await writeFile(place.path("bad.tcz"), stream);
    expect(await failed(1, "decompress", place.path("bad.tcz"))).toContain("the frame's checksum is wrong");
    await writeFile(place.path("short.tcz"), stream.subarray(0, 1000));
    expect(await failed(1, "decompress", place.path("short.tcz"))).toContain("truncated");
    await writeFile(place.path("other.tcz"), original);
    const { status, json } = await place.inside("decompress", place.path("other.tcz"), "--json");
    expect(status).toBe(1);
    expect(json).toMatchObject({ error: { tag: "damage" } });
  });
});

describe("pipes", () => {
  it("go through standard input and output", async () => {
    const there = await piped(original, "compress", "-");
    expect({ status: there.status, stderr: there.stderr }).toEqual({ status: 0, stderr: "" });
    const back = await piped(there.bytes, "decompress", "-", "--workers", "1");
    expect({ status: back.status, stderr: back.stderr }).toEqual({ status: 0, stderr: "" });
    expect(Buffer.compare(back.bytes, original)).toBe(0);
  });

  it("hold the same bytes as files, but for the size at the start", async () => {
    const host = fakeHost({ stdin: [original.subarray(0, 77), original.subarray(77)] });
    expect(await run(["--workers", "0", "compress", "-"], host)).toBe(0);
    const file = await readFile(place.path("m.safetensors.tcz"));
    expect(Buffer.compare(host.stdout.bytes().subarray(24), file.subarray(24))).toBe(0);
  });

  it("that end early are exit 1, with what was right before", async () => {
    const file = await readFile(place.path("m.safetensors.tcz"));
    const { status, stderr, bytes } = await piped(file.subarray(0, file.length - 60), "decompress", "-");
    expect(status).toBe(1);
    expect(stderr).toContain("standard input");
    expect(Buffer.compare(bytes, original.subarray(0, bytes.length))).toBe(0);
  });

  it("end quietly when the reader goes away", async () => {
    const { child, ended } = place.start("decompress", place.path("m.safetensors.tcz"), "-o", "-");
    child.stdout?.destroy();
    expect(await ended).toMatchObject({ status: 0, stderr: "" });
  });

  it("are interrupted by Ctrl-C: exit 130, no file", async () => {
    const before = await readdir(place.folder);
    const { child, ended } = place.start("compress", "-", "-o", place.path("never.tcz"));
    child.stdin?.on("error", () => undefined);
    child.stdin?.write(original);
    for (let found = false; !found; ) {
      found = (await readdir(place.folder)).some((name) => name.startsWith("never.tcz."));
    }
    child.kill("SIGINT");
    expect(await ended).toMatchObject({
      status: 130,
      stderr: "interrupted (SIGINT): the command stopped, no file was written\n",
    });
    expect(await readdir(place.folder)).toEqual(before);
  });
});
