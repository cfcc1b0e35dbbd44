/**
 * New files are written under a staging name and renamed when they are complete and durable, so that a file
 * under its own name is never half written. What a crash leaves under a staging name is rubbish, and readers
 * never look at it.
 */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { LimitError, toHex } from "@tensorcask/codec";
import type { FileSystem } from "./file-system.ts";

/** Names that end so are never data. */
export const STAGING_SUFFIX = ".partial";

/** A name beside `path` that nobody else uses. */
export function stagingPath(path: string): string {
  return `${path}.${toHex(randomBytes(6))}${STAGING_SUFFIX}`;
}

/** What `writeWholeFile` and `readWholeFile` need of a file system. */
export type WholeFileOperations = Pick<FileSystem, "open" | "rename" | "unlink" | "syncDirectory">;

/**
 * Writes `path` as a whole: it holds either what it held before or all of `bytes`, also after a power cut.
 */
export async function writeWholeFile(
  files: WholeFileOperations,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const staging = stagingPath(path);
  try {
    const file = await files.open(staging, "create");
    try {
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(staging, path);
  } catch (error) {
    // The first error is the one to report; a staging file that stays is rubbish, not damage.
    await files.unlink(staging).catch(() => false);
    throw error;
  }
  await files.syncDirectory(dirname(path));
}

/** Reads an open file as a whole. Throws `LimitError` when it is longer than `maxBytes`. */
export async function readWholeFile(
  files: Pick<FileSystem, "open">,
  path: string,
  maxBytes: number,
): Promise<Uint8Array> {
  const file = await files.open(path, "read");
  try {
    const bytes = await file.size();
    if (bytes > maxBytes) throw new LimitError("bytes of the file", bytes, maxBytes, path);
    const content = new Uint8Array(bytes);
    return content.subarray(0, await file.read(content, 0));
  } finally {
    await file.close();
  }
}
