/**
 * The directory that a run works in, and what lies there. It is removed at the end; a benchmark removes its big files as soon as it is done
 * with them, so that the largest one decides how much room a run needs.
 */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Given up when the disk is full; every store has one of a fixed size, so it says nothing about what is stored. */
const RESERVE_NAME = "reserve";

export class Scratch {
  readonly directory: string;
  #last = 0;

  /** `parent`: where to work; the system's directory for temporary files by default. */
  constructor(parent: string = tmpdir()) {
    this.directory = mkdtempSync(join(parent, "tensorcask-bench-"));
  }

  /** A path that nothing is at. */
  fresh(name: string): string {
    this.#last += 1;
    return join(this.directory, `${name}-${this.#last}`);
  }

  /** A path that stays the same for a name: inputs that benchmarks share. */
  path(name: string): string {
    return join(this.directory, name);
  }

  remove(path: string): void {
    rmSync(path, { recursive: true, force: true });
  }

  close(): void {
    this.remove(this.directory);
  }
}

/** Sum of the sizes of all files in a store's directory, its reserve left out. The store should be closed. */
export function storeBytes(directory: string): number {
  let bytes = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || entry.name === RESERVE_NAME) continue;
    bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
