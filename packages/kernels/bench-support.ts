/** What the benchmarks share: tensors of safetensors files, and timing. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";

import { BLOCK_ELEMENTS_LIMIT, type WordLayout } from "./src/index.ts";

export interface Input {
  readonly name: string;
  readonly layout: WordLayout;
  /** Tensors: blocks never span two. */
  readonly tensors: readonly Uint8Array[];
}

const PASSES = 9;
export const BFLOAT16: WordLayout = { elementBytes: 2, exponentBits: 8 };
export const FLOAT16: WordLayout = { elementBytes: 2, exponentBits: 5 };
export const FLOAT32: WordLayout = { elementBytes: 4, exponentBits: 8 };
export const FLOAT8: WordLayout = { elementBytes: 1, exponentBits: 4 };

const LAYOUTS: Record<string, WordLayout> = {
  BF16: BFLOAT16,
  F16: FLOAT16,
  F32: FLOAT32,
  F64: { elementBytes: 8, exponentBits: 11 },
  F8_E4M3: FLOAT8,
  F8_E5M2: { elementBytes: 1, exponentBits: 5 },
  I8: { elementBytes: 1, exponentBits: 0 },
  U8: { elementBytes: 1, exponentBits: 0 },
  I32: { elementBytes: 4, exponentBits: 0 },
  I64: { elementBytes: 8, exponentBits: 0 },
};

/** A tensor of a safetensors file. */
export interface Tensor {
  readonly name: string;
  readonly dtype: string;
  readonly layout: WordLayout;
  readonly bytes: Uint8Array;
}

/** The tensors of a safetensors file whose layout is known. */
export function readTensors(path: string): Tensor[] {
  const file = readFileSync(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name, { dtype }]) => name !== "__metadata__" && dtype in LAYOUTS)
    .map(([name, { dtype, data_offsets }]) => {
      const [start, end] = data_offsets.map((offset) => 8 + headerBytes + offset);
      return { name, dtype, layout: LAYOUTS[dtype]!, bytes: file.subarray(start, end) };
    });
}

/** The tensors of the safetensors files under `path`, one input per file and type. */
export function fileInputs(path: string): Input[] {
  if (statSync(path).isDirectory()) {
    return readdirSync(path)
      .sort()
      .flatMap((name) => fileInputs(join(path, name)));
  }
  if (!path.endsWith(".safetensors")) return [];
  const name =
    basename(path) === "model.safetensors" ? basename(join(path, "..")) : basename(path, ".safetensors");
  const byType = Map.groupBy(readTensors(path), ({ dtype }) => dtype);
  return [...byType].map(([dtype, tensors]) => ({
    name: `${name} ${dtype}`,
    layout: LAYOUTS[dtype]!,
    tensors: tensors.map(({ bytes }) => bytes),
  }));
}

/** An array cut into blocks. */
export function blocksOf(bytes: Uint8Array, layout: WordLayout): Uint8Array[] {
  const blockBytes = BLOCK_ELEMENTS_LIMIT * layout.elementBytes;
  return Array.from({ length: Math.ceil(bytes.length / blockBytes) }, (_, i) =>
    bytes.subarray(i * blockBytes, (i + 1) * blockBytes),
  );
}

/** zstd level 3. */
export function zstd3(bytes: Uint8Array): Buffer {
  return zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
}

/** Milliseconds of processor time of the fastest of several runs: what others do on the machine counts less than in time on the clock. */
export function best(run: () => void): number {
  let least = Number.POSITIVE_INFINITY;
  for (let pass = 0; pass < PASSES; pass++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000);
  }
  return least;
}

/** MB/s, aligned. */
export function speed(bytes: number, milliseconds: number): string {
  return (bytes / 1e3 / milliseconds).toFixed(0).padStart(6);
}
