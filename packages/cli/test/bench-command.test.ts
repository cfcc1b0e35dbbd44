/** `bench`: kinds, files, written data, and what it refuses. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { generateSample, kinds } from "@tensorcask/samples";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

interface CoderJson {
  readonly coder: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly ratio: number | null;
  readonly isPart: boolean;
  readonly chains: readonly { readonly chain: string; readonly chunks: number; readonly bytes: number }[];
}

interface InputJson {
  readonly name: string;
  readonly bytes: number;
  readonly chunks: number;
  readonly coders: readonly CoderJson[];
}

async function benched(...argv: string[]): Promise<readonly InputJson[]> {
  const ran = (await place.inside("bench", ...argv, "--json")).checked();
  return (ran.json as { readonly inputs: readonly InputJson[] }).inputs;
}

const coderOf = ({ coders }: InputJson, name: string): CoderJson =>
  coders.find(({ coder }) => coder === name)!;

describe("kinds", () => {
  it("are listed", async () => {
    const { json } = (await place.inside("bench", "--list", "--json")).checked();
    expect(json).toMatchObject({ kinds: kinds.map(({ name, description }) => ({ name, description })) });
    const { stdout } = (await place.inside("bench", "--list")).checked();
    for (const { name } of kinds) expect(stdout).toContain(`\n${name} `);
  });

  it("are measured, with the chains that were chosen", async () => {
    const [input] = await benched("--generate", "weights-bf16-in-fp32", "--bytes", "512KiB");
    expect(input).toMatchObject({ name: "weights-bf16-in-fp32", seed: 1, dtype: "float32", bytes: 2 ** 19 });
    const lossless = coderOf(input!, "lossless");
    expect(lossless).toMatchObject({ bytesBefore: 2 ** 19, isPart: false });
    expect(lossless.chains).toEqual([{ chain: "entropy", chunks: 1, bytes: 2 ** 19 }]);
    expect(lossless.ratio).toBeGreaterThan(3);
    expect(coderOf(input!, "zstd -3").chains).toEqual([]);
  });

  it("of random bytes grow by a thousandth at most", async () => {
    const [input] = await benched("--generate", "random", "--bytes", "128KiB");
    for (const name of ["lossless", "lossless-fast", "archive", "fast"]) {
      const { bytesBefore, bytesAfter } = coderOf(input!, name);
      expect(bytesAfter, name).toBeGreaterThan(bytesBefore);
      expect(bytesAfter, name).toBeLessThanOrEqual(bytesBefore * 1.001);
    }
  });

  it("come as a table", async () => {
    const { stdout } = (
      await place.inside("bench", "--generate", "periodic", "--bytes", "32KiB", "--seed", "3", "--codecs")
    ).checked();
    const lines = stdout.split("\n");
    expect(lines[0]).toBe("periodic: seed 3, uint8 [32768], 32.8 kB in 1 chunk");
    expect(lines[1]).toMatch(/^ {2}coder +ratio +bits\/byte +encode MB\/s +decode MB\/s +chains$/);
    expect(stdout).toMatch(/\n {2}lossless +\d+\.\d+ .* pattern251\n/);
    expect(stdout).toMatch(/\n {2}delta\+bitshuffle\+zstd /);
  });
});

describe("files", () => {
  it("are measured as imports cut them, one after the other", async () => {
    const text = await generateSample("text", 9, 100_000);
    await writeFile(place.path("words.txt"), text.data);
    await writeFile(place.path("nothing"), "");
    const [words, nothing] = await benched(place.path("words.txt"), place.path("nothing"));
    expect(words).toMatchObject({ bytes: 100_000, isWhole: true, dtypes: ["uint8"] });
    expect(words!.chunks).toBeGreaterThan(1);
    expect(coderOf(words!, "fast").ratio).toBeGreaterThan(1.2);
    expect(nothing).toMatchObject({ bytes: 0, chunks: 0, isWhole: true });
    expect(coderOf(nothing!, "lossless").ratio).toBeNull();
    const [part] = await benched(place.path("words.txt"), "--bytes", "20kB");
    expect(part!.bytes).toBeGreaterThanOrEqual(20_000);
    expect(part!.bytes).toBeLessThan(100_000);
    expect(part).toMatchObject({ isWhole: false });
  });
});

describe("data", () => {
  it("is written raw, or as a tensor", async () => {
    const { dtype, shape, data } = await generateSample("telemetry", 5, 2 ** 17);
    const options = ["--generate", "telemetry", "--seed", "5", "--bytes", "128KiB", "--out"];
    const raw = (await place.inside("bench", ...options, place.path("t.f32"), "--json")).checked();
    expect(raw.json).toMatchObject({ kind: "telemetry", seed: 5, dtype, shape, format: "raw" });
    expect(Buffer.compare(await readFile(place.path("t.f32")), data)).toBe(0);
    (await place.inside("bench", ...options, place.path("t.safetensors"))).checked();
    const file = await readFile(place.path("t.safetensors"));
    const headerBytes = Number(file.readBigUInt64LE(0));
    expect(JSON.parse(file.subarray(8, 8 + headerBytes).toString())).toMatchObject({
      telemetry: { dtype: "F32", shape, data_offsets: [0, data.length] },
    });
    expect(Buffer.compare(file.subarray(8 + headerBytes), data)).toBe(0);
    const piped = (await place.inside("bench", ...options, "-")).checked();
    expect(Buffer.compare(piped.bytes, data)).toBe(0);
  });

  it("takes no file's place without --force", async () => {
    await writeFile(place.path("mine"), "mine");
    const options = ["--generate", "random", "--bytes", "4KiB", "--out", place.path("mine")];
    const { status, stderr } = await place.inside("bench", ...options);
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("--force") });
    expect(await readFile(place.path("mine"), "utf8")).toBe("mine");
    (await place.inside("bench", ...options, "--force")).checked();
    expect(await readFile(place.path("mine"))).toHaveLength(4096);
  });
});

describe("what is refused", () => {
  it.each([
    [2, "files", []],
    [2, "files", ["a", "--list"]],
    [2, "files", ["a", "--generate", "text"]],
    [2, "seed", ["a", "--seed", "1"]],
    [2, "out", ["a", "--out", "b"]],
    [2, "codecs", ["--generate", "text", "--out", "b", "--codecs"]],
    [2, "json", ["--generate", "text", "--out", "-"]],
    [2, "bytes", ["--generate", "text", "--bytes", "1kB"]],
  ] as const)("exit %i, field %s: %j", async (exit, field, argv) => {
    const before = await readdir(place.folder);
    const { status, json } = await place.inside("bench", ...argv, "--json");
    expect(status).toBe(exit);
    expect(json).toMatchObject({ error: { tag: "usage", field } });
    expect(await readdir(place.folder)).toEqual(before);
  });

  it("names what is not there", async () => {
    const kind = await place.inside("bench", "--generate", "nope");
    expect(kind.status).toBe(1);
    expect(kind.stderr).toContain("weights-bf16, ");
    const file = await place.inside("bench", place.path("absent"));
    expect(file.status).toBe(1);
    expect(file.stderr).toContain("there is no file");
  });
});
