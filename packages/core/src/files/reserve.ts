/**
 * The reserve: a small file that is given up when the disk is full, so that deleting, pruning and collecting
 * garbage, which must write a little before they free a lot, still work. It is put back when there is room
 * again.
 *
 * It holds random bytes: a file of zeros takes no room on file systems that keep holes or compress.
 */
import { randomFillSync } from "node:crypto";
import { StorageError } from "@tensorcask/codec";
import type { FileSystem } from "./file-system.ts";

/** Room for the journal entries and catalog pages of a few deletions. */
export const RESERVE_BYTES: number = 256 * 1024;

/** One reserve file. */
export class ReserveFile {
  readonly #files: FileSystem;
  readonly #path: string;
  readonly #bytes: number;

  constructor(files: FileSystem, path: string, bytes: number = RESERVE_BYTES) {
    this.#files = files;
    this.#path = path;
    this.#bytes = bytes;
  }

  /** Whether the reserve is there, in full. */
  async present(): Promise<boolean> {
    return (await this.#files.stat(this.#path))?.bytes === this.#bytes;
  }

  /**
   * Makes the reserve if it is not there. Resolves to whether it is there now: false when the disk has no
   * room for it, in which case nothing stays behind. Any other failure rejects with `StorageError`.
   */
  async restore(): Promise<boolean> {
    if (await this.present()) return true;
    const content = randomFillSync(new Uint8Array(this.#bytes));
    try {
      await this.#files.writeWhole(this.#path, content);
      return true;
    } catch (error) {
      if (error instanceof StorageError && (error.code === "ENOSPC" || error.code === "EDQUOT")) return false;
      throw error;
    }
  }

  /** Gives the reserve up. Resolves to whether there was one. */
  release(): Promise<boolean> {
    return this.#files.unlink(this.#path);
  }
}
