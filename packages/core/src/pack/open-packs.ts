/**
 * Packs that are open for reading. Opening costs a system call or two and descriptors are limited, so the
 * most recently used files stay open. A file that is in use is closed only when its last reader is done with
 * it.
 */
import { DamageError, StorageError } from "@tensorcask/codec";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import { checkPackHeader, PACK_HEADER_BYTES } from "./pack-header.ts";

/** Well under the usual limit of 1,024 descriptors, and 4 GiB of packs. */
export const DEFAULT_OPEN_FILES = 64;

interface OpenPack {
  readonly file: Promise<OpenFile | undefined>;
  users: number;
  /** No longer among the open packs: the last user closes it. */
  dropped: boolean;
}

/** Open files by pack name. */
export class OpenPacks {
  readonly #files: FileSystem;
  readonly #pathOf: (name: string) => string;
  readonly #limit: number;
  /** In the order of use, the longest unused first. */
  readonly #open = new Map<string, OpenPack>();

  constructor(files: FileSystem, pathOf: (name: string) => string, limit: number = DEFAULT_OPEN_FILES) {
    this.#files = files;
    this.#pathOf = pathOf;
    this.#limit = limit;
  }

  /** Runs `action` on the pack's file, with undefined when the pack does not exist. */
  async use<T>(name: string, action: (file: OpenFile | undefined) => Promise<T>): Promise<T> {
    let pack = this.#open.get(name);
    if (pack === undefined) pack = { file: this.openFile(name), users: 0, dropped: false };
    else this.#open.delete(name);
    this.#open.set(name, pack);
    pack.users++;
    try {
      this.#trim();
      const file = await pack.file;
      // Not remembered: the next reader looks again.
      if (file === undefined && this.#open.get(name) === pack) this.#open.delete(name);
      return await action(file);
    } catch (error) {
      // A file that failed is opened anew next time.
      if (this.#open.get(name) === pack) this.#forget(name, pack);
      throw error;
    } finally {
      pack.users--;
      if (pack.dropped) await closeUnused(pack);
    }
  }

  /** Closes a pack's file, now or when its last user is done. */
  async drop(name: string): Promise<void> {
    const pack = this.#open.get(name);
    if (pack === undefined) return;
    this.#forget(name, pack);
    await closeUnused(pack);
  }

  /** Closes all files. */
  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((name) => this.drop(name)));
  }

  #forget(name: string, pack: OpenPack): void {
    this.#open.delete(name);
    pack.dropped = true;
  }

  #trim(): void {
    for (const [name, pack] of this.#open) {
      if (this.#open.size <= this.#limit) return;
      if (pack.users > 0) continue;
      this.#forget(name, pack);
      // Nobody waits for it: a descriptor that was only read from has nothing to lose.
      closeUnused(pack).catch(() => undefined);
    }
  }

  /** Opens a pack and checks its header; undefined when there is none. The caller closes it. */
  async openFile(name: string): Promise<OpenFile | undefined> {
    const path = this.#pathOf(name);
    let file: OpenFile;
    try {
      file = await this.#files.open(path, "read");
    } catch (error) {
      if (error instanceof StorageError && error.code === "ENOENT") return undefined;
      throw error;
    }
    try {
      const header = new Uint8Array(PACK_HEADER_BYTES);
      const count = await file.read(header, 0);
      checkPackHeader(header.subarray(0, count), `pack ${name}`);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  }
}

/** Reads exactly `into.length` bytes. Throws `DamageError` when the pack ends before. */
export async function readExactly(
  file: OpenFile,
  into: Uint8Array,
  offset: number,
  name: string,
): Promise<void> {
  const count = await file.read(into, offset);
  if (count < into.length) {
    throw new DamageError(
      `pack ${name}`,
      `ends at ${offset + count}, but bytes ${offset} to ${offset + into.length} are wanted`,
    );
  }
}

async function closeUnused(pack: OpenPack): Promise<void> {
  if (pack.users > 0) return;
  // Whoever opened it got the error, if opening failed.
  const file = await pack.file.catch(() => undefined);
  await file?.close();
}
