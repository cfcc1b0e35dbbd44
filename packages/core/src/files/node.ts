/**
 * The real disk, by Node's callback API: a file is a plain descriptor, so nothing closes behind our back when
 * it is garbage collected, and an operation costs one hop to the thread pool.
 *
 * `sync` is fdatasync: on Linux it also writes the length of a file that grew, which is all the metadata that
 * reading needs; libuv makes it F_FULLFSYNC on macOS and FlushFileBuffers on Windows. Directories are synced
 * where they can be: Windows cannot.
 */
import {
  type BigIntStats,
  close,
  fdatasync,
  fstat,
  fsync,
  ftruncate,
  mkdir,
  type NoParamCallback,
  open,
  read,
  readdir,
  rename,
  type Stats,
  stat,
  unlink,
  write,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import { StorageError } from "@tensorcask/codec";
import type { DirectoryEntry, FileKind, FileStatus, FileSystem, OpenFile, OpenMode } from "./file-system.ts";
import { networkKind } from "./network.ts";
import { readWholeFile, writeWholeFile } from "./staging.ts";

/** Linux reads and writes at most 2^31 - 4096 bytes at once; other systems take at least as many. */
const MAX_BYTES_AT_ONCE = 1024 * 1024 * 1024;

/** How many entries of a directory are looked at together. */
const STAT_BATCH = 64;

const flags: Readonly<Record<OpenMode, string>> = { read: "r", write: "r+", create: "wx+" };

/** A promise of what `start` hands to its callback; an error becomes a `StorageError`. */
function call<T>(
  operation: string,
  path: string,
  start: (done: (error: NodeJS.ErrnoException | null, value: T) => void) => void,
): Promise<T> {
  return new Promise((fulfil, reject) => {
    start((error, value) => {
      if (error === null || error === undefined) fulfil(value);
      else reject(new StorageError(operation, path, error));
    });
  });
}

function run(operation: string, path: string, start: (done: NoParamCallback) => void): Promise<void> {
  return call<void>(operation, path, (done) => start((error) => done(error, undefined)));
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof StorageError && codes.includes(error.code);
}

class NodeFile implements OpenFile {
  readonly #descriptor: number;
  readonly #path: string;

  constructor(descriptor: number, path: string) {
    this.#descriptor = descriptor;
    this.#path = path;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < into.length) {
      const at = done;
      const want = Math.min(into.length - at, MAX_BYTES_AT_ONCE);
      const count = await call<number>("read", this.#path, (finish) =>
        read(this.#descriptor, into, at, want, position + at, finish),
      );
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const at = done;
      const want = Math.min(bytes.length - at, MAX_BYTES_AT_ONCE);
      done += await call<number>("write", this.#path, (finish) =>
        write(this.#descriptor, bytes, at, want, position + at, finish),
      );
    }
  }

  sync(): Promise<void> {
    return run("fsync", this.#path, (done) => fdatasync(this.#descriptor, done));
  }

  truncate(bytes: number): Promise<void> {
    return run("truncate", this.#path, (done) => ftruncate(this.#descriptor, bytes, done));
  }

  async size(): Promise<number> {
    return (await call<Stats>("stat", this.#path, (done) => fstat(this.#descriptor, done))).size;
  }

  close(): Promise<void> {
    return run("close", this.#path, (done) => close(this.#descriptor, done));
  }
}

function kindOf(stats: Stats | BigIntStats): FileKind {
  if (stats.isFile()) return "file";
  return stats.isDirectory() ? "directory" : "other";
}

async function status(path: string): Promise<FileStatus | undefined> {
  try {
    const stats = await call<Stats>("stat", path, (done) => stat(path, done));
    const kind = kindOf(stats);
    return { kind, bytes: kind === "file" ? stats.size : 0, modifiedMs: stats.mtimeMs };
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

async function openNodeFile(path: string, mode: OpenMode): Promise<OpenFile> {
  const descriptor = await call<number>("open", path, (done) => open(path, flags[mode], 0o666, done));
  return new NodeFile(descriptor, path);
}

async function syncNodeDirectory(path: string): Promise<void> {
  if (process.platform === "win32") return;
  const descriptor = await call<number>("open", path, (done) => open(path, "r", done));
  try {
    await run("fsync", path, (done) => fsync(descriptor, done));
  } finally {
    await run("close", path, (done) => close(descriptor, done));
  }
}

const renameNodeFile: FileSystem["rename"] = (from, to) =>
  run("rename", from, (done) => rename(from, to, done));

async function unlinkNodeFile(path: string): Promise<boolean> {
  try {
    await run("unlink", path, (done) => unlink(path, done));
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

/** The disk of this machine. */
export const nodeFileSystem: FileSystem = {
  open: openNodeFile,
  rename: renameNodeFile,
  unlink: unlinkNodeFile,
  networkKind,
  syncDirectory: syncNodeDirectory,
  stat: status,

  async makeDirectory(path) {
    const first = await call<string | undefined>("mkdir", path, (done) =>
      mkdir(path, { recursive: true }, done),
    );
    if (first === undefined) return;
    // Every directory that is new must be an entry of a durable parent.
    const top = resolve(first);
    for (let made = resolve(path); ; made = dirname(made)) {
      await syncNodeDirectory(dirname(made));
      if (made === top || made === dirname(made)) return;
    }
  },

  async list(path) {
    const names = await call<string[]>("list", path, (done) => readdir(path, done));
    names.sort();
    const entries: DirectoryEntry[] = [];
    for (let first = 0; first < names.length; first += STAT_BATCH) {
      const batch = names.slice(first, first + STAT_BATCH);
      const found = await Promise.all(batch.map((name) => status(join(path, name))));
      found.forEach((facts, index) => {
        // Undefined: removed since the directory was read.
        if (facts !== undefined) entries.push({ name: batch[index]!, ...facts });
      });
    }
    return entries;
  },

  async exists(path) {
    return (await status(path)) !== undefined;
  },

  async readWhole(path, maxBytes) {
    try {
      return await readWholeFile(nodeFileSystem, path, maxBytes);
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  },

  writeWhole: (path, bytes) => writeWholeFile(nodeFileSystem, path, bytes),
};
