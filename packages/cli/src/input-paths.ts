/**
 * Paths that commands read from.
 */
import { stat } from "node:fs/promises";

/** Refuses paths that are not there, before a store is created for them. Throws `NotFoundError`. */
export async function requirePaths(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if ((await stat(path).catch(() => undefined)) === undefined) {
      const { NotFoundError } = await import("@tensorcask/codec");
      throw new NotFoundError("file or directory", path);
    }
  }
}
