/** `get` of tensors of blocks: as bytes, and as the floats in them. */
import { readFile, writeFile } from "node:fs/promises";
import { dequantizeBlocks, dtypeOf, ready } from "@tensorcask/codec";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Ran, type Workplace, workplace } from "./workplace.ts";

const q8 = dtypeOf("ggml_q8_0");
/** Scales around 0.01, in 3 rows of blocks. */
function blocksOf(columns: number): Uint8Array {
  const bytes = Uint8Array.from(
    { length: 3 * columns * 34 },
    (_, index) => (index * 37 + (index >> 3)) & 0xff,
  );
  for (let at = 1; at < bytes.length; at += 34) bytes[at] = 0x21;
  return bytes;
}
const small = blocksOf(4);
const large = blocksOf(12_000);

let place: Workplace;
const run = async (...argv: string[]): Promise<Ran> => (await place.inside(...argv)).checked();

beforeAll(async () => {
  await ready();
  place = await workplace();
  await run("create", "b");
  for (const [name, data, columns] of [
    ["small", small, 4],
    ["large", large, 12_000],
  ] as const) {
    const path = place.path(`${name}.bin`);
    await writeFile(path, data);
    await run("put", "b", path, "--dtype", "ggml_q8_0", "--shape", `3,${columns}`, "--name", name);
  }
});

afterAll(() => place.remove());

it("shows blocks as bytes, cut short; JSON has all of them", async () => {
  const { stdout } = await run("get", "b", "small", "--print");
  expect(stdout).toContain("dtype   ggml_q8_0");
  expect(stdout).toContain(Buffer.from(small.subarray(0, 8)).toString("hex"));
  const { json } = await run("get", "b", "small", "--slice", "2,3", "--json");
  expect(json).toMatchObject({ values: [Buffer.from(small.subarray(11 * 34)).toString("hex")] });
});

it("shows, prints and writes the values with --as", async () => {
  const values = dequantizeBlocks(q8, small);
  const { json } = await run("get", "b", "small", "--as", "float32", "--json");
  expect(json).toMatchObject({ dtype: "float32", shape: [3, 128], values: [...values] });
  const out = place.path("small.safetensors");
  await run("get", "b", "small", "--as", "float32", "--out", out);
  const file = await readFile(out);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerBytes)) as Record<string, unknown>;
  expect(header["small"]).toMatchObject({ dtype: "F32", shape: [3, 128] });
  expect(new Float32Array(new Uint8Array(file.subarray(8 + headerBytes)).buffer)).toEqual(values);
});

it("previews the ends of large tensors by their values", async () => {
  const values = dequantizeBlocks(q8, large);
  const { stdout } = await run("get", "b", "large", "--as", "float32", "--print");
  expect(stdout).toContain("shape   [3, 384000]");
  const [, first, last] = /\[\[ *(-?[\d.e+-]+) .* (-?[\d.e+-]+)\]\n/.exec(stdout) ?? [];
  expect(Number(first)).toBeCloseTo(values[0]!, 3);
  expect(Number(last)).toBeCloseTo(values[383_999]!, 3);
});
