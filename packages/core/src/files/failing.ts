/**
 * A file system that fails on demand, as disks do: full, broken, or cut off in the middle of a write. Fault
 * tests use it to check that what was acknowledged stays, and that a file which failed once is never trusted
 * again.
 */
import { StorageError } from "@tensorcask/codec";
import type { FileSystem, OpenFile, OpenMode } from "./file-system.ts";
import { readWholeFile, writeWholeFile } from "./staging.ts";

export type FaultKind =
  | "open"
  | "read"
  | "write"
  | "sync"
  | "truncate"
  | "close"
  | "rename"
  | "unlink"
  | "makeDirectory"
  | "syncDirectory";

/** Which operation fails, and how. */
export interface Fault {
  readonly operation: FaultKind;
  /** The how-manieth such operation (that `path` matches) from now on fails: 1 is the next one. Default 1. */
  readonly after?: number;
  /** Only operations on paths that contain this text count. */
  readonly path?: string;
  /** errno name. Default EIO. */
  readonly code?: "EIO" | "ENOSPC" | "EDQUOT" | "EACCES" | "EROFS";
  /** Of a failing write, so many bytes reach the file first. Default 0. */
  readonly shortBytes?: number;
  /** Whether every such operation from then on fails, too. */
  readonly forGood?: boolean;
}

/** A file system with faults. */
export interface FailingFileSystem extends FileSystem {
  /** Adds a fault. */
  fail(fault: Fault): void;
  /** Takes all faults away: the disk works again. */
  heal(): void;
  /** How many operations failed so far. */
  readonly failures: number;
}

/** Wraps `inner`; `plan` holds the first faults. */
export function failingFileSystem(inner: FileSystem, plan: readonly Fault[] = []): FailingFileSystem {
  let faults: { fault: Fault; left: number }[] = [];
  let failures = 0;
  const fail = (fault: Fault): void => {
    faults.push({ fault, left: fault.after ?? 1 });
  };
  for (const fault of plan) fail(fault);

  /** The fault that hits this operation, if one does. */
  function strike(operation: FaultKind, path: string): Fault | undefined {
    for (const armed of faults) {
      const { fault } = armed;
      if (fault.operation !== operation || !path.includes(fault.path ?? "")) continue;
      if (armed.left > 0) armed.left--;
      if (armed.left > 0) continue;
      if (fault.forGood !== true) faults = faults.filter((each) => each !== armed);
      failures++;
      return fault;
    }
    return undefined;
  }

  function errorOf(fault: Fault, operation: string, path: string): StorageError {
    const code = fault.code ?? "EIO";
    return new StorageError(operation, path, Object.assign(new Error(`${code}: made to fail`), { code }));
  }

  /** Throws when this operation is to fail. */
  function check(operation: FaultKind, path: string): void {
    const fault = strike(operation, path);
    if (fault !== undefined) throw errorOf(fault, operation, path);
  }

  async function open(path: string, mode: OpenMode): Promise<OpenFile> {
    check("open", path);
    const file = await inner.open(path, mode);
    return {
      async read(into, position) {
        check("read", path);
        return file.read(into, position);
      },
      async write(bytes, position) {
        const fault = strike("write", path);
        if (fault === undefined) return file.write(bytes, position);
        await file.write(bytes.subarray(0, fault.shortBytes ?? 0), position);
        throw errorOf(fault, "write", path);
      },
      async sync() {
        check("sync", path);
        return file.sync();
      },
      async truncate(bytes) {
        check("truncate", path);
        return file.truncate(bytes);
      },
      size: () => file.size(),
      async close() {
        await file.close();
        check("close", path);
      },
    };
  }

  const failing: FailingFileSystem = {
    fail,
    heal() {
      faults = [];
    },
    get failures() {
      return failures;
    },
    open,
    async rename(from, to) {
      check("rename", to);
      return inner.rename(from, to);
    },
    async unlink(path) {
      check("unlink", path);
      return inner.unlink(path);
    },
    async makeDirectory(path) {
      check("makeDirectory", path);
      return inner.makeDirectory(path);
    },
    async syncDirectory(path) {
      check("syncDirectory", path);
      return inner.syncDirectory(path);
    },
    list: (path) => inner.list(path),
    stat: (path) => inner.stat(path),
    exists: (path) => inner.exists(path),
    networkKind: (path) => inner.networkKind(path),
    async readWhole(path, maxBytes) {
      return (await inner.exists(path)) ? readWholeFile(failing, path, maxBytes) : undefined;
    },
    writeWhole: (path, bytes) => writeWholeFile(failing, path, bytes),
  };
  return failing;
}
