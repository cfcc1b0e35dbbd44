/**
 * What the tests of the store's public calls share: stores in temporary directories and in memory that go when the test ends, seeded tensors, files to
 * import, and looks behind the scenes (frames in packs, bytes read).
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  byteLength,
  type DTypeName,
  dtypeOf,
  readFrameHeader,
  type TensorData,
  toHex,
  typedArrayOf,
} from "@tensorcask/codec";
import { expect, onTestFinished } from "vitest";
import {
  type Dataset,
  type FileSystem,
  layoutSafetensors,
  type OpenOptions,
  openStore,
  type Store,
  type Tensor,
} from "../src/index.ts";

export const repository: string = join(import.meta.dirname, "../../..");
/** Small real models that are part of the project. */
export const examplesData: string = join(repository, "examples/data");
/** More real models, beside the repository; not everywhere. */
export const sharedData: string = join(repository, "../shared/data");

export const kinds = ["directory", ":memory:"] as const;
export type StoreKind = (typeof kinds)[number];

/** A new directory, removed when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "tensorcask-store-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Opens a store that is closed when the test ends. Work runs in this thread unless told otherwise. */
export async function openTestStore(directory: string, options: OpenOptions = {}): Promise<Store> {
  const store = await openStore(directory, { workers: 0, ...options });
  onTestFinished(() => store.close());
  return store;
}

/** A new store in a directory of its own or in memory. */
export async function newStore(kind: StoreKind = "directory", options: OpenOptions = {}): Promise<Store> {
  return openTestStore(kind === ":memory:" ? kind : join(temporaryDirectory(), "store"), options);
}

/** Numbers in [0, 1) that are the same on every run (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes that no codec makes smaller. */
export function noise(count: number, seed: number): Uint8Array<ArrayBuffer> {
  const random = randomNumbers(seed);
  const bytes = new Uint8Array(count);
  for (let index = 0; index < count; index++) bytes[index] = random() * 256;
  return bytes;
}

/** A float32 tensor of values in [-1, 1). */
export function floats(shape: readonly number[], seed = 1): TensorData & { readonly data: Float32Array } {
  const random = randomNumbers(seed);
  const data = new Float32Array(shape.reduce((product, length) => product * length, 1));
  for (let index = 0; index < data.length; index++) data[index] = random() * 2 - 1;
  return { dtype: "float32", shape, data };
}

/** A tensor of any dtype with random bytes; bits beyond the last element are zero. */
export function randomTensor(name: DTypeName, shape: readonly number[], seed = 1): TensorData {
  const dtype = dtypeOf(name);
  const bytes = noise(byteLength(dtype, shape), seed);
  const bits = (shape.reduce((product, length) => product * length, 1) * dtype.bits) % 8;
  if (bits !== 0) bytes[bytes.length - 1]! &= (1 << bits) - 1;
  if (name === "bool") for (let index = 0; index < bytes.length; index++) bytes[index]! &= 1;
  return { dtype: name, shape, data: typedArrayOf(dtype, bytes) };
}

/** int32 scalars are the smallest tensors that tell each other apart. */
export function scalar(value: number): TensorData {
  return { dtype: "int32", shape: [], data: new Int32Array([value]) };
}

/** The bytes of a tensor's data. */
export function bytesOf({ data }: { readonly data: ArrayBufferView }): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Compares without vitest's slow diff of large arrays. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** Expects a stored tensor to be, bit by bit, what was put in. */
export function expectTensor(found: Tensor | undefined, expected: TensorData): void {
  expect(found).toBeDefined();
  expect(found!.dtype).toBe(dtypeOf(expected.dtype).name);
  expect([...found!.shape]).toEqual([...expected.shape]);
  expect(sameBytes(found!.bytes(), bytesOf(expected)), "bytes are equal").toBe(true);
}

/** What a promise rejects with; fails when it does not. */
export async function failureOf(promise: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(Error);
    return error as Error & Record<string, unknown>;
  }
  throw new Error("it did not fail");
}

/** Names of the records that an iteration yields. */
export async function namesOf(
  records: AsyncIterable<{ readonly name: string | undefined }>,
): Promise<(string | undefined)[]> {
  const names: (string | undefined)[] = [];
  for await (const { name } of records) names.push(name);
  return names;
}

/** The bytes of a safetensors file. */
export function safetensorsBytes(
  tensors: Readonly<Record<string, TensorData>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const layout = layoutSafetensors(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype: dtypeOf(dtype),
      shape,
      data,
    })),
    metadata,
  );
  return Buffer.concat([layout.header, ...layout.tensors.map(({ source }) => bytesOf(source))]);
}

/** Writes a safetensors file; returns its path. */
export function writeSafetensors(
  path: string,
  tensors: Readonly<Record<string, TensorData>>,
  metadata: Readonly<Record<string, string>> = {},
): string {
  writeFileSync(path, safetensorsBytes(tensors, metadata));
  return path;
}

/** A frame as it lies in a pack. */
export interface FoundFrame {
  readonly pack: string;
  readonly offset: number;
  readonly bytes: number;
  readonly hash: string;
}

/** All frames in the packs of a directory store. */
export function framesIn(directory: string): FoundFrame[] {
  const folder = join(directory, "packs");
  return readdirSync(folder).flatMap((name) => {
    const pack = join(folder, name);
    const content = readFileSync(pack);
    const frames: FoundFrame[] = [];
    for (let offset = 16; offset < content.length; ) {
      const { frameBytes, hash } = readFrameHeader(content.subarray(offset), `${name} at ${offset}`);
      frames.push({ pack, offset, bytes: frameBytes, hash: toHex(hash) });
      offset += frameBytes;
    }
    return frames;
  });
}

/** Bytes of all frames of a directory store. */
export function frameBytesIn(directory: string): number {
  return framesIn(directory).reduce((sum, frame) => sum + frame.bytes, 0);
}

export interface CountingFileSystem extends FileSystem {
  /** Bytes that were read from packs, and in how many calls, since the last `reset`. */
  readonly packBytes: number;
  readonly packReads: number;
  reset(): void;
}

/** Counts what is read from packs. Their 16-byte headers, read on opening, do not count. */
export function countingFileSystem(inner: FileSystem): CountingFileSystem {
  let packBytes = 0;
  let packReads = 0;
  return {
    ...inner,
    get packBytes() {
      return packBytes;
    },
    get packReads() {
      return packReads;
    },
    reset() {
      packBytes = 0;
      packReads = 0;
    },
    async open(path, mode) {
      const file = await inner.open(path, mode);
      if (!path.includes("packs")) return file;
      return {
        read: async (into, position) => {
          const count = await file.read(into, position);
          if (position > 0) {
            packBytes += count;
            packReads += 1;
          }
          return count;
        },
        write: (bytes, position) => file.write(bytes, position),
        sync: () => file.sync(),
        truncate: (bytes) => file.truncate(bytes),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
  };
}

/** All files below a folder whose name ends so, sorted. */
export function filesBelow(folder: string, suffix: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** Id, name, metadata, dtype, shape and bytes of all records: equal lists mean equal content. */
export async function contentOf(view: Pick<Dataset, "records">): Promise<unknown[]> {
  const content: unknown[] = [];
  for await (const record of view.records()) {
    const { id, name, file, metadata, dtype, shape } = record;
    content.push([
      id,
      name,
      file,
      metadata,
      dtype,
      shape,
      Buffer.from((await record.read()).bytes()).toString("base64"),
    ]);
  }
  return content;
}
