/** What only a real process shows: exit statuses, signals, readers that go away. */
import { open, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { data, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

const FILE_BYTES = 32 * 2 ** 20;

/** A safetensors file that takes a while to import: floats that compress badly. */
async function writeLargeFile(path: string): Promise<void> {
  const elements = FILE_BYTES / 4;
  const header = JSON.stringify({
    w: { dtype: "F32", shape: [1024, elements / 1024], data_offsets: [0, FILE_BYTES] },
  });
  const padded = header.padEnd(Math.ceil(header.length / 8) * 8);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  const file = await open(path, "w");
  try {
    await file.write(length);
    await file.write(padded);
    const block = new Uint32Array(2 ** 18);
    let state = 12345;
    for (let written = 0; written < FILE_BYTES; written += block.byteLength) {
      for (let index = 0; index < block.length; index += 1) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        // Sign, an exponent near that of weights, random mantissa.
        block[index] = (state & 0x807fffff) | 0x3d000000;
      }
      await file.write(block);
    }
  } finally {
    await file.close();
  }
}

/** Resolves once an import has begun to write packs. */
async function packsGrow(store: string): Promise<void> {
  for (;;) {
    const names = await readdir(join(store, "packs")).catch(() => []);
    for (const name of names) {
      const bytes = await stat(join(store, "packs", name)).then(
        ({ size }) => size,
        () => 0,
      );
      if (bytes > 0) {
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe("the process", () => {
  it("exits 0, 1 and 2", async () => {
    expect((await place.command("--version")).status).toBe(0);
    expect((await place.command("ls")).status).toBe(1);
    expect((await place.command("nope")).status).toBe(2);
  });

  it("Ctrl-C during an import: exit 130, the store is whole, the import can be run again", async () => {
    const path = place.path("large.safetensors");
    await writeLargeFile(path);
    // So slow a codec that the signal comes in the middle on any machine.
    await writeFile(place.path("slow.json"), '{"codec":{"id":"zstd","level":12}}');
    (await place.inside("presets", "define", "slow", place.path("slow.json"))).checked();
    const argv = ["import", path, "--dataset", "large"];
    const { child, ended } = place.start(...argv, "--preset", "slow");
    await packsGrow(place.store);
    child.kill("SIGINT");
    const { status, stdout, stderr } = await ended;
    expect({ status, stdout, stderr }).toEqual({
      status: 130,
      stdout: "",
      stderr: "interrupted (SIGINT): the command stopped, the store is whole; run it again: it resumes\n",
    });
    expect((await place.inside("verify", "--deep")).status).toBe(0);
    expect((await place.inside("ls", "--json")).json).toEqual({ datasets: [] });
    const again = await place.command(...argv, "--preset", "fast", "--json");
    expect(again.status).toBe(0);
    expect(again.json).toMatchObject({
      dataset: "large",
      files: 1,
      version: 1,
      originalBytes: (await stat(path)).size,
    });
  });

  it("ends quietly when its reader goes away", async () => {
    await place.inside("import", join(data, "base"), "--dataset", "llm");
    const { child, ended } = place.start("get", "llm", "model.embed_tokens.weight");
    child.stdout?.destroy();
    const { status, stderr } = await ended;
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("prints neither bars nor colours into a pipe", async () => {
    const { stderr, stdout } = await place.command("verify", "--deep");
    expect(stderr).toBe("");
    expect(stdout.includes("\u001b")).toBe(false);
  });
});
