/**
 * Files and standard streams as runs of bytes. A file that is written appears under its name only when it is complete and on the disk, and takes
 * the place of another one only when that is asked for.
 */
import { createReadStream, type Stats } from "node:fs";
import { open, realpath, rename, stat, unlink } from "node:fs/promises";
import { CommandUsageError } from "./failure.ts";
import type { Host, Sink } from "./host.ts";

/** Stands for standard input or output. */
export const STANDARD = "-";

const BLOCK_BYTES = 2 ** 20;

/** What may read and write a file that has no original to take it from. */
const DEFAULT_MODE = 0o666;

/** What a command reads. */
export interface ByteInput {
  readonly source: AsyncIterable<Uint8Array>;
  /** Its length, when it has one. */
  readonly size?: number;
  /** Who may read and write it. */
  readonly mode?: number;
}

/** A file, or standard input. Throws `NotFoundError`, and `CommandUsageError` for a directory. */
export async function openInput(path: string, host: Host): Promise<ByteInput> {
  if (path === STANDARD) return { source: host.stdin() };
  const status = await stat(path).catch(() => undefined);
  if (status === undefined) {
    const { NotFoundError } = await import("@tensorcask/codec");
    throw new NotFoundError("file", path);
  }
  if (status.isDirectory())
    throw new CommandUsageError("file", `${path} is a directory; tensorcask import takes directories`);
  const source = bytesOf(path);
  return status.isFile() ? { source, size: status.size, mode: status.mode & 0o777 } : { source };
}

/** The bytes of a file, which is opened when the first are wanted. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array, void, void> {
  yield* createReadStream(path, { highWaterMark: BLOCK_BYTES });
}

/** Where bytes go. */
export interface ByteOutput {
  write(bytes: Uint8Array): Promise<void>;
  /** False once nobody wants more. */
  readonly open: boolean;
  /** Puts the file in its place. */
  complete(): Promise<void>;
  /** Leaves nothing behind; harmless after `complete`. */
  discard(): Promise<void>;
}

export interface OutputOptions {
  /** Take the place of a file that is there. */
  readonly force?: boolean | undefined;
  readonly mode?: number | undefined;
}

/** Ends a write into a pipe that nobody reads any more. */
class ReaderGoneError extends Error {}

/**
 * Lets `write` fill a file, or standard output, through a function that takes bytes in order; opens it with the first of them. Undefined when the reader
 * of a pipe went away, which is no failure. Throws what `openOutput` throws, before `write` begins.
 */
export async function writeOutput<T>(
  path: string,
  host: Host,
  options: OutputOptions,
  write: (take: (bytes: Uint8Array) => Promise<void>) => Promise<T>,
): Promise<T | undefined> {
  await checkOutput(path, options);
  let output: ByteOutput | undefined;
  const opened = async (): Promise<ByteOutput> => {
    output ??= await openOutput(path, host, options);
    return output;
  };
  try {
    const result = await write(async (bytes) => {
      const target = await opened();
      await target.write(bytes);
      if (!target.open) throw new ReaderGoneError();
    });
    await (await opened()).complete();
    return result;
  } catch (error) {
    if (error instanceof ReaderGoneError) return undefined;
    throw error;
  } finally {
    await output?.discard();
  }
}

/** What is at a path that is to be written. Throws what `openOutput` throws. */
async function checkOutput(path: string, options: OutputOptions): Promise<Stats | undefined> {
  if (path === STANDARD) return undefined;
  const status = await stat(path).catch(() => undefined);
  if (status?.isDirectory()) throw new CommandUsageError("out", `${path} is a directory; name a file`);
  if (status?.isFile() && options.force !== true) throw await exists(path);
  return status;
}

/**
 * A file, or standard output. Devices and named pipes are written as they are, files through a staging name beside them.
 * Throws `AlreadyExistsError` unless `force` is set.
 */
export async function openOutput(path: string, host: Host, options: OutputOptions): Promise<ByteOutput> {
  if (path === STANDARD) return sinkOutput(host.stdout);
  const status = await checkOutput(path, options);
  if (status !== undefined && !status.isFile()) return fileOutput(path, path, options);
  // A link that is there stays one: what it leads to is replaced.
  const target = status === undefined ? path : await realpath(path);
  return fileOutput(`${target}.${process.pid}.partial`, target, options);
}

async function exists(path: string): Promise<Error> {
  const { AlreadyExistsError } = await import("@tensorcask/codec");
  return new AlreadyExistsError("file", path, "--force writes it anew");
}

function sinkOutput(sink: Sink): ByteOutput {
  return {
    write: (bytes) => sink.write(bytes),
    get open() {
      return sink.open;
    },
    async complete() {},
    async discard() {},
  };
}

async function fileOutput(partial: string, path: string, options: OutputOptions): Promise<ByteOutput> {
  const isStaged = partial !== path;
  const file = await open(partial, "w", options.mode ?? DEFAULT_MODE);
  let isDone = false;
  return {
    open: true,
    async write(bytes) {
      await file.writeFile(bytes);
    },
    async complete() {
      if (!isStaged) {
        isDone = true;
        await file.close();
        return;
      }
      await file.sync();
      await file.close();
      const appeared = options.force !== true && (await stat(path).catch(() => undefined)) !== undefined;
      if (appeared) throw await exists(path);
      await rename(partial, path);
      isDone = true;
    },
    async discard() {
      if (isDone) return;
      isDone = true;
      await file.close().catch(() => undefined);
      if (isStaged) await unlink(partial).catch(() => undefined);
    },
  };
}
