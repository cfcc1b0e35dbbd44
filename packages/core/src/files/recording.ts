/**
 * A file system that logs every change in the order in which it was asked for, and `crashImage`, which builds
 * the disk that a power cut after any of them would leave. Crash tests replay every prefix of a workload with
 * it.
 *
 * Files are told apart by number, not by path, so that a write through a descriptor still hits its file after
 * a rename.
 */
import { dirname, normalize } from "node:path";
import { UsageError } from "@tensorcask/codec";
import type { FileSystem, OpenFile, OpenMode } from "./file-system.ts";
import { type MemoryFileSystem, memoryFileSystem } from "./memory.ts";
import { readWholeFile, writeWholeFile } from "./staging.ts";

/** One change. `file` numbers the files in the order of their creation. */
export type Operation =
  | { readonly kind: "create"; readonly path: string; readonly file: number }
  | { readonly kind: "write"; readonly file: number; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly file: number; readonly bytes: number }
  | { readonly kind: "sync"; readonly file: number }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string }
  | { readonly kind: "makeDirectory"; readonly path: string }
  | { readonly kind: "syncDirectory"; readonly path: string };

/** What a power cut does to the last operations. */
export interface CrashOptions {
  /** Of the last operation, when it is a write, only so many bytes arrive. */
  readonly tornBytes?: number;
  /**
   * The rest of the torn write: not there (default), or zeros because the length was written and the content
   * was not.
   */
  readonly tornRest?: "missing" | "zeros";
  /**
   * What was not synced is lost: content written since the last `sync`, names since the last `syncDirectory`.
   */
  readonly loseUnsynced?: boolean;
}

/** A file system and the log of its changes. */
export interface RecordingFileSystem extends FileSystem {
  readonly log: readonly Operation[];
}

/** Wraps `inner`, which must hold no files yet: files from before the recording cannot be replayed. */
export function recordingFileSystem(inner: FileSystem): RecordingFileSystem {
  const log: Operation[] = [];
  const numbers = new Map<string, number>();
  let nextFile = 0;

  async function open(path: string, mode: OpenMode): Promise<OpenFile> {
    const opened = await inner.open(path, mode);
    if (mode === "read") return opened;
    const key = normalize(path);
    if (mode === "create") {
      numbers.set(key, nextFile);
      log.push({ kind: "create", path, file: nextFile++ });
    }
    const file = numbers.get(key);
    if (file === undefined) throw new UsageError("path", `${path} is older than the recording`);
    return {
      read: (into, position) => opened.read(into, position),
      write(bytes, position) {
        log.push({ kind: "write", file, position, bytes: bytes.slice() });
        return opened.write(bytes, position);
      },
      truncate(bytes) {
        log.push({ kind: "truncate", file, bytes });
        return opened.truncate(bytes);
      },
      async sync() {
        await opened.sync();
        log.push({ kind: "sync", file });
      },
      size: () => opened.size(),
      close: () => opened.close(),
    };
  }

  const recording: RecordingFileSystem = {
    log,
    open,
    async rename(from, to) {
      await inner.rename(from, to);
      log.push({ kind: "rename", from, to });
      const file = numbers.get(normalize(from));
      numbers.delete(normalize(from));
      if (file !== undefined) numbers.set(normalize(to), file);
    },
    async unlink(path) {
      const removed = await inner.unlink(path);
      if (removed) log.push({ kind: "unlink", path });
      return removed;
    },
    async makeDirectory(path) {
      await inner.makeDirectory(path);
      log.push({ kind: "makeDirectory", path });
    },
    async syncDirectory(path) {
      await inner.syncDirectory(path);
      log.push({ kind: "syncDirectory", path });
    },
    list: (path) => inner.list(path),
    stat: (path) => inner.stat(path),
    exists: (path) => inner.exists(path),
    networkKind: (path) => inner.networkKind(path),
    async readWhole(path, maxBytes) {
      return (await inner.exists(path)) ? readWholeFile(recording, path, maxBytes) : undefined;
    },
    writeWhole: (path, bytes) => writeWholeFile(recording, path, bytes),
  };
  return recording;
}

/** Content of one file now, and as the disk surely has it. */
interface ReplayedFile {
  now: Uint8Array;
  durable: Uint8Array;
}

/** The disk after the first `count` operations of `log` and a power cut. */
export async function crashImage(
  log: readonly Operation[],
  count: number,
  options: CrashOptions = {},
): Promise<MemoryFileSystem> {
  const files = new Map<number, ReplayedFile>();
  const now = new Map<string, number>();
  const durable = new Map<string, number>();
  const image = memoryFileSystem();

  for (let index = 0; index < count; index++) {
    const operation = log[index]!;
    if (operation.kind === "create") {
      files.set(operation.file, { now: new Uint8Array(0), durable: new Uint8Array(0) });
      now.set(normalize(operation.path), operation.file);
    } else if (operation.kind === "write") {
      const file = files.get(operation.file)!;
      file.now = written(file.now, operation, index === count - 1 ? options : {});
    } else if (operation.kind === "truncate") {
      const file = files.get(operation.file)!;
      const cut = new Uint8Array(operation.bytes);
      cut.set(file.now.subarray(0, operation.bytes));
      file.now = cut;
    } else if (operation.kind === "sync") {
      const file = files.get(operation.file)!;
      file.durable = file.now;
    } else if (operation.kind === "rename") {
      const file = now.get(normalize(operation.from))!;
      now.delete(normalize(operation.from));
      now.set(normalize(operation.to), file);
    } else if (operation.kind === "unlink") {
      now.delete(normalize(operation.path));
    } else if (operation.kind === "makeDirectory") {
      await image.makeDirectory(operation.path);
    } else {
      const inside = (path: string): boolean => dirname(path) === normalize(operation.path);
      for (const path of [...durable.keys()].filter(inside)) durable.delete(path);
      for (const [path, file] of now) if (inside(path)) durable.set(path, file);
    }
  }

  for (const [path, number] of options.loseUnsynced === true ? durable : now) {
    const file = files.get(number)!;
    const opened = await image.open(path, "create");
    await opened.write(options.loseUnsynced === true ? file.durable : file.now, 0);
    await opened.close();
  }
  return image;
}

function written(
  before: Uint8Array,
  operation: { readonly position: number; readonly bytes: Uint8Array },
  options: CrashOptions,
): Uint8Array {
  const arrived = operation.bytes.subarray(0, options.tornBytes ?? operation.bytes.length);
  const reached = options.tornRest === "zeros" ? operation.bytes.length : arrived.length;
  const after = new Uint8Array(Math.max(before.length, operation.position + reached));
  after.set(before);
  after.fill(0, operation.position, operation.position + reached);
  after.set(arrived, operation.position);
  return after;
}
