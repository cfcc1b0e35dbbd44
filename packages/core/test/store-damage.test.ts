import { readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DamageError } from "@tensorcask/codec";
import { expect, test } from "vitest";
import { failingFileSystem, nodeFileSystem } from "../src/index.ts";
import {
  expectTensor,
  type FoundFrame,
  failureOf,
  floats,
  framesIn,
  openTestStore,
  scalar,
  temporaryDirectory,
} from "./store-harness.ts";

const tensors = { first: floats([30_000], 1), middle: floats([40, 9000], 2), last: floats([50_000], 3) };

async function filled(): Promise<{ directory: string; frames: FoundFrame[] }> {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory, { chunkElements: 16_384 });
  const dataset = await store.createDataset("zoo/cats");
  for (const [name, tensor] of Object.entries(tensors)) await dataset.insert(tensor, { name });
  await dataset.insertMany([1, 2, 3].map((value) => ({ tensor: scalar(value), name: `small ${value}` })));
  await store.close();
  return { directory, frames: framesIn(directory) };
}

function flip({ pack, offset }: FoundFrame, at: number): void {
  const bytes = readFileSync(pack);
  bytes[offset + at]! ^= 0x10;
  writeFileSync(pack, bytes);
}

/** Whether reading a tensor is refused as damage that names it. */
async function isDamaged(directory: string, name: string): Promise<boolean> {
  const store = await openTestStore(directory);
  const dataset = (await store.dataset("zoo/cats"))!;
  try {
    const found = (await dataset.get(name))!;
    if (name in tensors) expectTensor(found, tensors[name as keyof typeof tensors]);
    else expect(found.data[0]).toBe(Number(name.at(-1)));
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(DamageError);
    expect((error as DamageError).tensors).toContain(`zoo/cats/${name}`);
    expect((error as DamageError).message).toContain(`zoo/cats/${name}`);
    expect((error as DamageError).where).toMatch(/pack/);
    return true;
  } finally {
    await store.close();
  }
}

test("a damaged byte anywhere in a frame hits the tensors that need it, by name, and no others", async () => {
  const { directory, frames } = await filled();
  const clean = readFileSync(frames[0]!.pack);
  // Magic, lengths, dtype, steps, hash, checksum, extension, payload, end.
  const places = [0, 2, 4, 8, 12, 13, 14, 20, 50, 56, 60, 500];
  for (const at of places) {
    flip(frames[3]!, at);
    const damaged = [];
    for (const name of [...Object.keys(tensors), "small 2"])
      if (await isDamaged(directory, name)) damaged.push(name);
    expect(damaged, `byte ${at}`).toEqual(["middle"]);
    writeFileSync(frames[0]!.pack, clean);
  }
  flip(frames[3]!, frames[3]!.bytes - 1);
  expect(await isDamaged(directory, "middle")).toBe(true);
});

test("chunks of a damaged tensor that are whole can still be sliced", async () => {
  const { directory, frames } = await filled();
  flip(frames[3]!, 500);
  const dataset = (await (await openTestStore(directory)).dataset("zoo/cats"))!;
  let whole = 0;
  for (let row = 0; row < 40; row++) {
    const found = await dataset.slice("middle", [row]).catch((error: unknown) => error as Error);
    if (found instanceof Error) expect(found).toBeInstanceOf(DamageError);
    else {
      expect(found!.data).toEqual(tensors.middle.data.slice(row * 9000, (row + 1) * 9000));
      whole += 1;
    }
  }
  expect(whole).toBe(39);
});

test("a damaged bundle names all that lie in it", async () => {
  const { directory, frames } = await filled();
  flip(frames.at(-1)!, 58);
  for (const name of ["small 1", "small 2", "small 3"]) expect(await isDamaged(directory, name)).toBe(true);
  for (const name of Object.keys(tensors)) expect(await isDamaged(directory, name)).toBe(false);
});

test("a pack that was cut short or lost is damage that names tensors, never zeros", async () => {
  const { directory, frames } = await filled();
  const last = frames.at(-2)!;
  truncateSync(last.pack, last.offset + 10);
  expect(await isDamaged(directory, "first")).toBe(false);
  expect(await isDamaged(directory, "middle")).toBe(false);
  expect(await isDamaged(directory, "last")).toBe(true);
  expect(await isDamaged(directory, "small 1")).toBe(true);
  for (const name of readdirSync(join(directory, "packs"))) rmSync(join(directory, "packs", name));
  for (const name of Object.keys(tensors)) expect(await isDamaged(directory, name)).toBe(true);
});

test("a disk that cannot be read is an error of the disk, not damage; afterwards everything is readable", async () => {
  const { directory } = await filled();
  const files = failingFileSystem(nodeFileSystem);
  const store = await openTestStore(directory, { fileSystem: files });
  const dataset = (await store.dataset("zoo/cats"))!;
  files.fail({ operation: "read", path: "packs", code: "EIO" });
  expect(await failureOf(dataset.get("middle"))).toMatchObject({ tag: "storage", code: "EIO" });
  files.fail({ operation: "open", path: "packs", code: "EACCES", forGood: true });
  expect(await failureOf(dataset.get("first"))).toMatchObject({ tag: "storage", code: "EACCES" });
  files.heal();
  for (const [name, tensor] of Object.entries(tensors)) expectTensor(await dataset.get(name), tensor);
});

test("damage is found by worker threads, too", async () => {
  const directory = join(temporaryDirectory(), "store");
  const store = await openTestStore(directory, { workers: 2 });
  const dataset = await store.createDataset("a");
  const big = floats([2_000_000], 1);
  await dataset.insert(big, { name: "big" });
  await store.close();
  const frames = framesIn(directory);
  flip(frames[7]!, 1000);
  const again = (await (await openTestStore(directory, { workers: 2 })).dataset("a"))!;
  const failure = await failureOf(again.get("big"));
  expect(failure).toBeInstanceOf(DamageError);
  expect(failure["tensors"]).toEqual(["a/big"]);
  expect((await again.slice("big", [0]))!.data[0]).toBe(big.data[0]);
});
