/** The files that a store occupies, for everything that counts its bytes. Only looks at names and sizes: the lock's files must never be opened. */
import type { FileSystem } from "../files/file-system.ts";
import type { StoreParts } from "./context.ts";

/** Folders in a store are two levels deep at most; deeper ones are not ours, and a loop of links must end. */
const MAX_DEPTH = 8;

export interface StoredFile {
  /** Relative to the store's directory, parts separated by `/`. */
  readonly path: string;
  readonly bytes: number;
}

/** All files of a store. One in memory has only those of its packs and its journal. */
export async function directoryFiles(parts: Pick<StoreParts, "files" | "directory">): Promise<StoredFile[]> {
  const found: StoredFile[] = [];
  await walk(parts.files, parts.directory, "", 0, found);
  return found;
}

/** Bytes of all files of a store. */
export async function directoryBytes(parts: Pick<StoreParts, "files" | "directory">): Promise<number> {
  return (await directoryFiles(parts)).reduce((sum, file) => sum + file.bytes, 0);
}

async function walk(
  files: FileSystem,
  directory: string,
  prefix: string,
  depth: number,
  found: StoredFile[],
): Promise<void> {
  for (const { name, kind, bytes } of await files.list(directory)) {
    const path = prefix + name;
    if (kind === "file") found.push({ path, bytes });
    else if (kind === "directory" && depth < MAX_DEPTH) {
      await walk(files, `${directory}/${name}`, `${path}/`, depth + 1, found);
    }
  }
}
