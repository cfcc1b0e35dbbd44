/**
 * A file system in memory: what ":memory:" stores live in, and what tests copy, cut and replay. It behaves
 * like the disk where it matters: a file that was removed or replaced stays readable through descriptors that
 * are open, `create` refuses a name that is taken, and directories must exist before files are made in them.
 */
import { basename, dirname, normalize, sep } from "node:path";
import { StorageError } from "@tensorcask/codec";
import type { DirectoryEntry, FileStatus, FileSystem, OpenFile, OpenMode } from "./file-system.ts";
import { readWholeFile, writeWholeFile } from "./staging.ts";

/**
 * The content of one file: `bytes` may be longer than the file, so that appending does not copy all of it
 * each time.
 */
class MemoryContent {
  bytes: Uint8Array = new Uint8Array(0);
  length = 0;
  modifiedMs: number = Date.now();

  reserve(length: number): void {
    if (length > this.bytes.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.bytes.length));
      grown.set(this.bytes.subarray(0, this.length));
      this.bytes = grown;
    }
  }

  resize(length: number): void {
    this.reserve(length);
    // What lies behind the end must read as zeros when the file grows over it again.
    if (length < this.length) this.bytes.fill(0, length, this.length);
    this.length = length;
    this.modifiedMs = Date.now();
  }
}

function systemError(code: string, operation: string, path: string): StorageError {
  const cause = Object.assign(new Error(`${code}: ${operation} '${path}'`), { code });
  return new StorageError(operation, path, cause);
}

class MemoryFile implements OpenFile {
  readonly #content: MemoryContent;
  readonly #path: string;
  readonly #writable: boolean;
  #open = true;

  constructor(content: MemoryContent, path: string, writable: boolean) {
    this.#content = content;
    this.#path = path;
    this.#writable = writable;
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    this.#check("read");
    const { bytes, length } = this.#content;
    const count = Math.max(0, Math.min(into.length, length - position));
    into.set(bytes.subarray(position, position + count));
    return count;
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    this.#check("write");
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    if (end > this.#content.length) this.#content.resize(end);
    this.#content.bytes.set(bytes, position);
    this.#content.modifiedMs = Date.now();
  }

  async sync(): Promise<void> {
    this.#check("fsync");
  }

  async truncate(bytes: number): Promise<void> {
    this.#check("truncate");
    this.#content.resize(bytes);
  }

  async size(): Promise<number> {
    this.#check("stat");
    return this.#content.length;
  }

  async close(): Promise<void> {
    this.#check("close");
    this.#open = false;
  }

  #check(operation: string): void {
    const writes = operation === "write" || operation === "truncate";
    if (!this.#open || (writes && !this.#writable)) throw systemError("EBADF", operation, this.#path);
  }
}

/** A file system in memory. Its root directory exists. */
export class MemoryFileSystem implements FileSystem {
  readonly #files = new Map<string, MemoryContent>();
  readonly #directories = new Set<string>();

  /** A copy that changes on its own from now on. */
  copy(): MemoryFileSystem {
    const copy = new MemoryFileSystem();
    for (const directory of this.#directories) copy.#directories.add(directory);
    for (const [path, content] of this.#files) {
      const twin = new MemoryContent();
      twin.bytes = content.bytes.slice(0, content.length);
      twin.length = content.length;
      twin.modifiedMs = content.modifiedMs;
      copy.#files.set(path, twin);
    }
    return copy;
  }

  /** Paths of all files, sorted: for tests. */
  paths(): string[] {
    return [...this.#files.keys()].sort();
  }

  async open(path: string, mode: OpenMode): Promise<OpenFile> {
    const key = keyOf(path);
    if (this.#isDirectory(key)) throw systemError("EISDIR", "open", path);
    let content = this.#files.get(key);
    if (mode === "create") {
      if (content !== undefined) throw systemError("EEXIST", "open", path);
      if (!this.#isDirectory(dirname(key))) throw systemError("ENOENT", "open", path);
      content = new MemoryContent();
      this.#files.set(key, content);
    }
    if (content === undefined) throw systemError("ENOENT", "open", path);
    return new MemoryFile(content, path, mode !== "read");
  }

  async rename(from: string, to: string): Promise<void> {
    const content = this.#files.get(keyOf(from));
    if (content === undefined) throw systemError("ENOENT", "rename", from);
    if (!this.#isDirectory(dirname(keyOf(to)))) throw systemError("ENOENT", "rename", to);
    this.#files.delete(keyOf(from));
    this.#files.set(keyOf(to), content);
  }

  async unlink(path: string): Promise<boolean> {
    return this.#files.delete(keyOf(path));
  }

  async makeDirectory(path: string): Promise<void> {
    for (let key = keyOf(path); !this.#isDirectory(key); key = dirname(key)) {
      if (this.#files.has(key)) throw systemError("EEXIST", "mkdir", path);
      this.#directories.add(key);
    }
  }

  async list(path: string): Promise<DirectoryEntry[]> {
    const key = keyOf(path);
    if (!this.#isDirectory(key)) throw systemError("ENOENT", "list", path);
    const entries: DirectoryEntry[] = [];
    for (const each of [...this.#files.keys(), ...this.#directories]) {
      if (each === key || dirname(each) !== key) continue;
      entries.push({ name: basename(each), ...this.#status(each)! });
    }
    return entries.sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  async stat(path: string): Promise<FileStatus | undefined> {
    return this.#status(keyOf(path));
  }

  async exists(path: string): Promise<boolean> {
    return this.#status(keyOf(path)) !== undefined;
  }

  async syncDirectory(path: string): Promise<void> {
    if (!this.#isDirectory(keyOf(path))) throw systemError("ENOENT", "open", path);
  }

  async readWhole(path: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return this.#files.has(keyOf(path)) ? readWholeFile(this, path, maxBytes) : undefined;
  }

  writeWhole(path: string, bytes: Uint8Array): Promise<void> {
    return writeWholeFile(this, path, bytes);
  }

  async networkKind(_path: string): Promise<undefined> {
    return undefined;
  }

  #isDirectory(key: string): boolean {
    return key === dirname(key) || this.#directories.has(key);
  }

  #status(key: string): FileStatus | undefined {
    const content = this.#files.get(key);
    if (content !== undefined) return { kind: "file", bytes: content.length, modifiedMs: content.modifiedMs };
    return this.#isDirectory(key) ? { kind: "directory", bytes: 0, modifiedMs: 0 } : undefined;
  }
}

/** One spelling per path: no `.` or `..` parts, no separator at the end. */
function keyOf(path: string): string {
  const key = normalize(path);
  return key.length > 1 && key.endsWith(sep) ? key.slice(0, -1) : key;
}

/** An empty file system in memory. */
export function memoryFileSystem(): MemoryFileSystem {
  return new MemoryFileSystem();
}
