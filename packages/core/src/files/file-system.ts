/**
 * The one seam to the disk. Everything in core reads and writes through a `FileSystem`: the real one
 * (node.ts), one in memory for ":memory:" stores (memory.ts), one that logs and one that fails for the tests
 * (recording.ts, failing.ts). SQLite is the exception: it opens the catalog and the lock database itself.
 *
 * Every error of the operating system leaves here as `StorageError(operation, path, cause)`. What is merely
 * missing is `undefined` or `false` where a caller asks whether it is there, and an error where the caller
 * needs it.
 */

/**
 * `read`: existing, read only. `write`: existing, read and write. `create`: read and write, must not exist
 * yet.
 */
export type OpenMode = "read" | "write" | "create";

export type FileKind = "file" | "directory" | "other";

/** What a directory entry is. */
export interface FileStatus {
  readonly kind: FileKind;
  /** Length of a file; 0 for anything else. */
  readonly bytes: number;
  /** Last change of the content, in milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** One entry of a directory. */
export interface DirectoryEntry extends FileStatus {
  readonly name: string;
}

/** A file that is open. Reads and writes name their position; several may run at once. */
export interface OpenFile {
  /**
   * Fills `into` from `position` as far as the file goes. Resolves to the bytes read: fewer than asked only
   * at the end.
   */
  read(into: Uint8Array, position: number): Promise<number>;
  /** Writes all of `bytes` at `position`, or rejects; then any part of them may have been written. */
  write(bytes: Uint8Array, position: number): Promise<void>;
  /** Resolves once everything written, and the file's length, survive a power cut. */
  sync(): Promise<void>;
  /** Cuts the file to `bytes`. */
  truncate(bytes: number): Promise<void>;
  /** Length in bytes. */
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<OpenFile>;
  /** Renames a file; one that is called `to` already is replaced. Durable after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. Resolves to false when there was none. */
  unlink(path: string): Promise<boolean>;
  /** Makes a directory and those above it; fine when it exists. Durable when it resolves. */
  makeDirectory(path: string): Promise<void>;
  /** Entries of a directory, by name. Rejects when there is no such directory. */
  list(path: string): Promise<DirectoryEntry[]>;
  /** What is at `path`; undefined when nothing is. */
  stat(path: string): Promise<FileStatus | undefined>;
  exists(path: string): Promise<boolean>;
  /** Makes creations, renames and removals in a directory survive a power cut, where the platform can. */
  syncDirectory(path: string): Promise<void>;
  /**
   * A whole file; undefined when there is none. Rejects with `LimitError` when it is longer than `maxBytes`.
   */
  readWhole(path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Puts a whole file in place at once and durably: staging name, sync, rename, sync of the directory. */
  writeWhole(path: string, bytes: Uint8Array): Promise<void>;
  /**
   * Which network file system `path` (or the nearest parent that exists) lies on; undefined for local ones.
   */
  networkKind(path: string): Promise<string | undefined>;
}
