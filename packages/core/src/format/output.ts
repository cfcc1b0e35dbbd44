/**
 * New files of tensors, on their way out: to a path, where the file appears under its name when it is complete, or to whoever takes the bytes.
 */
import { dirname } from "node:path";
import { AlreadyExistsError, CancelledError, ready, UsageError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { nodeFileSystem } from "../files/node.ts";
import { stagingPath } from "../files/staging.ts";
import { BufferedOutput } from "../store/buffered-output.ts";
import { writers } from "./registry.ts";
import type { OutputTensor, Sink, TensorWriter } from "./writer.ts";

/** Where a file goes: a path, or something that takes its bytes in order; they may change once its promise is settled. */
export type Output = string | Sink;

/** The writer of a format by its id, or by the extension of the output. Throws `UsageError` (field `format`). */
export function writerFor(out: Output, format?: string): TensorWriter {
  const found = writers.find(({ id, extensions }) =>
    format === undefined
      ? typeof out === "string" && extensions.some((extension) => out.toLowerCase().endsWith(extension))
      : id === format,
  );
  if (found !== undefined) return found;
  const known = writers.map(({ id }) => id).join(", ");
  if (format !== undefined)
    throw new UsageError("format", `${JSON.stringify(format)} cannot be written; ${known} can`);
  throw new UsageError(
    "format",
    typeof out === "string"
      ? `the extension of ${out} is none of a format that can be written (${known}); name the format`
      : `which format? ${known} can be written`,
  );
}

/** How a file is written. */
export interface WriteTensorsOptions {
  /** Id of the format: `safetensors`, `npz`, `npy`. Default: by the extension of the path. */
  readonly format?: string;
  /** Strings by name, for formats that hold them (safetensors). */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Take the place of a file that is there. Default: refuse. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal;
  /** Hears how many bytes of the file have been written. */
  readonly onWritten?: (bytes: number) => void;
}

/**
 * Writes tensors into one file, each read once; resolves to its size in bytes. A path gets a file when all of it is written and durable; its folder
 * is made. Throws `UsageError` and `LimitError` for what the format cannot hold, before anything is written; `AlreadyExistsError`,
 * `CancelledError`, `StorageError`, and what tensors and sink throw.
 *
 * @example
 * await writeTensors("x.npy", [{ name: "x", dtype: dtypeOf("float32"), shape: [2], async *elements() { yield bytes; } }]);
 */
export async function writeTensors(
  out: Output,
  tensors: Iterable<OutputTensor>,
  options: WriteTensorsOptions = {},
  files: FileSystem = nodeFileSystem,
): Promise<number> {
  await ready();
  const { metadata = {}, signal, onWritten } = options;
  const writer = writerFor(out, options.format);
  return toOutput(files, out, options.replace === true, async (output) => {
    let written = 0;
    const take: Sink = async (bytes) => {
      if (signal?.aborted) throw new CancelledError("writing the file", { cause: signal.reason });
      await output.write(bytes);
      written += bytes.length;
      onWritten?.(written);
    };
    await writer.write(tensors, metadata, take);
    await output.flush();
    return written;
  });
}

async function toOutput<T>(
  files: FileSystem,
  out: Output,
  replace: boolean,
  write: (output: BufferedOutput) => Promise<T>,
): Promise<T> {
  if (typeof out !== "string") return write(new BufferedOutput({ write: (bytes) => out(bytes) }));
  const refuseTaken = async (): Promise<void> => {
    if (!replace && (await files.exists(out))) throw new AlreadyExistsError("file", out);
  };
  await refuseTaken();
  const folder = dirname(out);
  await files.makeDirectory(folder);
  const staging = stagingPath(out);
  const file = await files.open(staging, "create");
  try {
    const result = await write(new BufferedOutput(file));
    await file.sync();
    await file.close();
    await refuseTaken();
    await files.rename(staging, out);
    await files.syncDirectory(folder);
    return result;
  } catch (error) {
    await file.close().catch(() => undefined);
    await files.unlink(staging).catch(() => false);
    throw error;
  }
}
