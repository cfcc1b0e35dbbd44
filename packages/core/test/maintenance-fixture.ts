/** What the tests of the store's maintenance share: directories that go away, seeded tensors, and what a store holds as one comparable value. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkTensor, encodeFrame, sha256 } from "@tensorcask/codec";
import { afterAll, vi } from "vitest";
import type { OpenOptions, Store, TensorData } from "../src/index.ts";
import { StoreContext } from "../src/store/context.ts";
import type { OwnPack } from "../src/store/pending.ts";

const directories: string[] = [];

afterAll(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

/** A new directory that is removed when the tests of the file are through. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "tensorcask-"));
  directories.push(directory);
  return directory;
}

/** Small chunks and no threads: small stores with many chunks, and fast tests. */
export const SMALL: OpenOptions = { workers: 0, chunkElements: 1024 };

/** Numbers between 0 and 1, the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = (seed * 2654435761) >>> 0;
  return () => {
    state = (Math.imul(state ^ (state >>> 15), state | 1) + 0x6d2b79f5) >>> 0;
    return ((state ^ (state >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A float32 tensor of random numbers. */
export function floats(shape: readonly number[], seed: number): TensorData {
  const random = randomOf(seed);
  const count = shape.reduce((product, axis) => product * axis, 1);
  return { dtype: "float32", shape, data: Float32Array.from({ length: count }, random) };
}

/** Every record of every dataset, by address, with a hash of its bytes. */
export async function contents(store: Store): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const dataset of await store.datasets()) {
    for await (const record of dataset.records()) {
      const tensor = await record.read();
      const hash = createHash("sha256").update(tensor.bytes()).digest("hex");
      found[`${dataset.name}/${record.file ?? ""}#${record.name ?? record.id}`] =
        `${tensor.dtype} [${tensor.shape}] ${hash}`;
    }
  }
  return found;
}

/** The parts behind a store, for tests that look or reach inside. */
export async function contextOf(store: Store): Promise<StoreContext> {
  const spy = vi.spyOn(StoreContext.prototype, "checkOpen");
  await store.datasets();
  const [context] = spy.mock.contexts;
  spy.mockRestore();
  return context as StoreContext;
}

/** Writes the chunks of a tensor to a pack of its own and seals it, without a commit. */
export async function sealedPack(context: StoreContext, tensor: TensorData): Promise<OwnPack> {
  const { dtype, bytes } = checkTensor(tensor);
  const writer = await context.packs.create();
  const pack: OwnPack = {
    name: writer.name,
    chunks: [],
    read: (offset, into) => context.packs.readInto(writer.name, offset, into),
  };
  const chunkBytes = context.chunkElements * (dtype.bits / 8);
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = bytes.slice(at, at + chunkBytes);
    const hash = sha256(chunk);
    const frame = encodeFrame({ hash, dtype, bytes: chunk, policy: { chain: [] } });
    const { offset } = await writer.append([frame]);
    pack.chunks.push({
      hash,
      rawBytes: chunk.length,
      frame: { pack, offset },
      frameBytes: frame.length,
      chain: [],
      sibling: undefined,
      id: 0,
    });
  }
  await writer.seal();
  return pack;
}
