/** Options of streams, and the pool of workers that one stream runs on. */
import { availableParallelism } from "node:os";
import {
  builtinPresets,
  DEFAULT_CHUNK_ELEMENTS,
  DEFAULT_PRESET,
  findBuiltinPreset,
  MAX_HEADER_BYTES,
  NotFoundError,
  type Preset,
  UsageError,
} from "@tensorcask/codec";
import { WorkerPool } from "../workers/pool.ts";

const DEFAULT_MEMORY_BYTES = 256 * 1024 * 1024;
const LEAST_MEMORY_BYTES = 32 * 1024 * 1024;
const MOST_WORKERS = 256;

/** Widest element: complex128. */
const WIDEST_ELEMENT_BYTES = 16;

/** How far a stream has got. */
export interface StreamProgress {
  readonly phase: "compress" | "decompress";
  /** Bytes of the source taken. */
  readonly done: number;
  /** Bytes of the source; 0 when not known. */
  readonly total: number;
  readonly item?: string;
}

/** Options of both directions. */
export interface StreamOptions {
  /** Name of the stream in errors and progress. Default: `stream`. */
  readonly name?: string;
  /** Bytes of the source, when known: progress tells the share, and a compressed stream says it at its start. */
  readonly size?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: StreamProgress) => void;
  /** Memory for buffers and workers, in bytes. Default 256 MiB; at least 32 MiB. */
  readonly memoryBytes?: number;
  /** Worker threads. Default: the number of cores available. 0: everything in the calling thread. */
  readonly workers?: number;
}

export interface CompressOptions extends StreamOptions {
  /** Name of a built-in preset, or one from `parsePreset`; it must be lossless. Default: `lossless`. */
  readonly preset?: string | Preset;
}

/** What went through a stream. */
export interface StreamResult {
  readonly originalBytes: number;
  readonly compressedBytes: number;
  readonly frames: number;
  /** SHA-256 of the original. */
  readonly sha256: Uint8Array;
}

const NAMES: readonly (keyof StreamOptions)[] = [
  "name",
  "size",
  "signal",
  "onProgress",
  "memoryBytes",
  "workers",
];

/** Throws `UsageError` naming the option. */
export function checkStreamOptions(options: StreamOptions, what: string, more: readonly string[] = []): void {
  const names: readonly string[] = [...NAMES, ...more];
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    throw new UsageError(
      name,
      `${what} has no option ${JSON.stringify(name)}: there are ${names.join(", ")}`,
    );
  }
  const { size, memoryBytes, workers } = options;
  if (size !== undefined && !(Number.isSafeInteger(size) && size >= 0))
    throw new UsageError("size", `size is ${size}; it must be a number of bytes`);
  if (memoryBytes !== undefined && !(memoryBytes >= LEAST_MEMORY_BYTES)) {
    throw new UsageError(
      "memoryBytes",
      `memoryBytes is ${memoryBytes}; at least ${LEAST_MEMORY_BYTES} (32 MiB) are needed`,
    );
  }
  if (workers !== undefined && !(Number.isInteger(workers) && workers >= 0 && workers <= MOST_WORKERS)) {
    throw new UsageError("workers", `workers is ${workers}; it must be an integer from 0 to ${MOST_WORKERS}`);
  }
}

/** The preset of a stream. Throws `NotFoundError`, and `UsageError` for a lossy one: a file must come back bit by bit. */
export function losslessPreset(asked: string | Preset = DEFAULT_PRESET): Preset {
  const preset = typeof asked === "string" ? findBuiltinPreset(asked) : asked;
  const exact = builtinPresets.filter((one) => one.lossless).map((one) => one.name);
  if (preset === undefined) {
    throw new NotFoundError(
      "preset",
      String(asked),
      `streams know ${exact.join(", ")}, and presets from parsePreset`,
    );
  }
  if (!preset.lossless) {
    throw new UsageError(
      "preset",
      `preset ${JSON.stringify(preset.name)} loses precision, and a compressed file must come back bit by bit; ` +
        `take ${exact.join(", ")}, or import the file into a store to quantize its tensors`,
    );
  }
  return preset;
}

/** The workers and buffers of one stream. */
export function streamPool(options: StreamOptions): WorkerPool {
  return new WorkerPool({
    workers: options.workers ?? availableParallelism(),
    memoryBytes: options.memoryBytes ?? DEFAULT_MEMORY_BYTES,
    largestChunkBytes: DEFAULT_CHUNK_ELEMENTS * WIDEST_ELEMENT_BYTES + MAX_HEADER_BYTES,
  });
}

/** Slots that may be in work while another one is being filled. */
export function pipelineDepth(pool: WorkerPool): number {
  return Math.min(pool.parallelism + 1, pool.slots.limit - 1);
}
