/**
 * Where packs lie. `PackStorage` is a seam: the store knows nothing of what is behind it. `FilePackStorage`
 * keeps them as files in a directory, `<name>.pack`; packs of imports that are still being written are
 * `<name>.<pid>.partial`.
 */
import { join } from "node:path";
import { DamageError, NotFoundError, UsageError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { STAGING_SUFFIX } from "../files/staging.ts";
import type { FrameFacts } from "../model/entry.ts";
import { scanFrames } from "./frame-scan.ts";
import { OpenPacks, readExactly } from "./open-packs.ts";
import {
  checkPackHeader,
  isPackName,
  newPackName,
  PACK_HEADER_BYTES,
  PACK_SUFFIX,
  packHeader,
} from "./pack-header.ts";
import { PackWriter } from "./pack-writer.ts";

/** A pack that is there. */
export interface PackFile {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedMs: number;
  /** Still being written by an import, or left behind by one. */
  readonly partial: boolean;
}

/** Which packs are rubbish. */
export interface OrphanOptions {
  /** Names that the journal has. */
  readonly known: ReadonlySet<string>;
  /** Only packs that nobody has written to for so long. */
  readonly olderThanMs: number;
  /** The time now, in milliseconds since 1970. */
  readonly now: number;
}

export interface PackStorage {
  /** Begins a pack of its own, for an import: it gets its name when it is sealed. No lock is needed. */
  create(): Promise<PackWriter>;
  /** Begins a pack that small commits append to. Durable, under its own name. Under the writer lock. */
  createTail(): Promise<PackWriter>;
  /**
   * Goes on with a pack up to `committedBytes`, cutting off what lies beyond. Under the writer lock. Throws
   * `NotFoundError` when it is gone, `DamageError` when it is shorter than that.
   */
  openTail(name: string, committedBytes: number): Promise<PackWriter>;
  /** Bytes of a pack; undefined when the pack is gone, `DamageError` when it ends before. */
  readRange(name: string, offset: number, bytes: number): Promise<Uint8Array | undefined>;
  /** As `readRange`, into memory of the caller. Resolves to false when the pack is gone. */
  readInto(name: string, offset: number, into: Uint8Array): Promise<boolean>;
  /**
   * What the headers of the frames in a range say, in order. Throws `NotFoundError` when the pack is gone,
   * `DamageError`.
   */
  scanHeaders(name: string, offset: number, bytes: number): AsyncIterable<FrameFacts>;
  /** All of `scanHeaders` at once. */
  framesIn(name: string, offset: number, bytes: number): Promise<FrameFacts[]>;
  /** Whether the pack is there, under its own name and at least so long. */
  has(name: string, bytes: number): Promise<boolean>;
  /** All packs, by name. */
  list(): Promise<PackFile[]>;
  /** Removes a pack. Resolves to false when it was not there. Who reads it at the moment may go on. */
  drop(name: string): Promise<boolean>;
  /**
   * Removes packs that no journal entry mentions and whose writers are gone. Under the writer lock. Resolves
   * to their names.
   */
  removeOrphans(options: OrphanOptions): Promise<string[]>;
  close(): Promise<void>;
}

export interface FilePackStorageOptions {
  /** How many packs stay open for reading. */
  readonly openFiles?: number;
  /** Never makes the directory. */
  readonly readOnly?: boolean;
}

const partialPattern = /^([0-9A-Z]{26})\.(\d{1,10})\.partial$/;

/** Packs in a directory. */
export class FilePackStorage implements PackStorage {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #open: OpenPacks;

  private constructor(files: FileSystem, directory: string, openFiles: number | undefined) {
    this.#files = files;
    this.#directory = directory;
    this.#open = new OpenPacks(files, (name) => this.#path(name), openFiles);
  }

  /** The packs in `directory`, which is made if it is missing. */
  static async open(
    files: FileSystem,
    directory: string,
    options: FilePackStorageOptions = {},
  ): Promise<FilePackStorage> {
    if (options.readOnly !== true) await files.makeDirectory(directory);
    return new FilePackStorage(files, directory, options.openFiles);
  }

  async create(): Promise<PackWriter> {
    const name = newPackName();
    const path = join(this.#directory, `${name}.${process.pid}${STAGING_SUFFIX}`);
    const files = this.#files;
    const file = await files.open(path, "create");
    try {
      await file.write(packHeader(), 0);
    } catch (error) {
      await file.close();
      await files.unlink(path).catch(() => false);
      throw error;
    }
    const finalPath = this.#path(name);
    return new PackWriter({ files, file, name, tail: false, path, finalPath, bytes: PACK_HEADER_BYTES });
  }

  async createTail(): Promise<PackWriter> {
    const name = newPackName();
    const path = this.#path(name);
    await this.#files.writeWhole(path, packHeader());
    return this.openTail(name, PACK_HEADER_BYTES);
  }

  async openTail(name: string, committedBytes: number): Promise<PackWriter> {
    const path = this.#path(name);
    const where = `pack ${name}`;
    if (!(await this.#files.exists(path))) throw new NotFoundError("pack", name);
    const file = await this.#files.open(path, "write");
    try {
      const header = new Uint8Array(PACK_HEADER_BYTES);
      checkPackHeader(header.subarray(0, await file.read(header, 0)), where);
      const size = await file.size();
      if (size < committedBytes) {
        throw new DamageError(where, `has ${size} bytes, though ${committedBytes} were committed`);
      }
      if (size > committedBytes) await file.truncate(committedBytes);
      return new PackWriter({
        files: this.#files,
        file,
        name,
        tail: true,
        path,
        finalPath: path,
        bytes: committedBytes,
      });
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  async readRange(name: string, offset: number, bytes: number): Promise<Uint8Array | undefined> {
    const into = new Uint8Array(bytes);
    return (await this.readInto(name, offset, into)) ? into : undefined;
  }

  readInto(name: string, offset: number, into: Uint8Array): Promise<boolean> {
    return this.#open.use(name, async (file) => {
      if (file === undefined) return false;
      await readExactly(file, into, offset, name);
      return true;
    });
  }

  async *scanHeaders(name: string, offset: number, bytes: number): AsyncGenerator<FrameFacts, void> {
    // Opened for itself: nobody knows how long the caller takes from frame to frame.
    const file = await this.#open.openFile(name);
    if (file === undefined) throw new NotFoundError("pack", name);
    try {
      yield* scanFrames(file, name, offset, bytes);
    } finally {
      await file.close();
    }
  }

  framesIn(name: string, offset: number, bytes: number): Promise<FrameFacts[]> {
    return this.#open.use(name, async (file) => {
      if (file === undefined) throw new NotFoundError("pack", name);
      const frames: FrameFacts[] = [];
      for await (const frame of scanFrames(file, name, offset, bytes)) frames.push(frame);
      return frames;
    });
  }

  async has(name: string, bytes: number): Promise<boolean> {
    const status = await this.#files.stat(this.#path(name));
    return status?.kind === "file" && status.bytes >= bytes;
  }

  async list(): Promise<PackFile[]> {
    return (await this.#entries()).map(({ name, bytes, modifiedMs, partial }) => ({
      name,
      bytes,
      modifiedMs,
      partial,
    }));
  }

  async drop(name: string): Promise<boolean> {
    const removed = await this.#files.unlink(this.#path(name));
    await this.#open.drop(name);
    return removed;
  }

  async removeOrphans({ known, olderThanMs, now }: OrphanOptions): Promise<string[]> {
    const removed: string[] = [];
    for (const { name, file, modifiedMs, partial, pid } of await this.#entries()) {
      if (now - modifiedMs < olderThanMs || (!partial && known.has(name))) continue;
      if (pid !== undefined && isAlive(pid)) continue;
      await this.#files.unlink(join(this.#directory, file));
      await this.#open.drop(name);
      removed.push(name);
    }
    return removed;
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  /** Packs and partial packs, and rubbish under staging names. */
  async #entries(): Promise<(PackFile & { readonly file: string; readonly pid: number | undefined })[]> {
    const entries = [];
    for (const { name: file, kind, bytes, modifiedMs } of await this.#files.list(this.#directory)) {
      if (kind !== "file") continue;
      const partial = file.endsWith(STAGING_SUFFIX);
      const name = file.split(".")[0]!;
      if (!isPackName(name) || !(partial || file === name + PACK_SUFFIX)) continue;
      const pid = partialPattern.exec(file)?.[2];
      entries.push({ name, file, bytes, modifiedMs, partial, pid: pid === undefined ? pid : Number(pid) });
    }
    return entries;
  }

  #path(name: string): string {
    if (!isPackName(name)) throw new UsageError("pack", `${JSON.stringify(name)} is not a pack's name`);
    return join(this.#directory, name + PACK_SUFFIX);
  }
}

/**
 * Whether a process of this number runs here. It may be another one by now: then its rubbish stays a little
 * longer.
 */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
