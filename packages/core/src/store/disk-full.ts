/** What frees space must work on a full disk: it may take the store's reserve. */
import { StorageError } from "@tensorcask/codec";
import type { ReserveFile } from "../files/reserve.ts";

/** Whether an error says that the disk, or a quota on it, is full. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof StorageError && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** Runs `action`; when the disk is full, gives up the reserve, if it is there, and runs it once more. */
export async function withReserve<T>(reserve: ReserveFile, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!isDiskFull(error) || !(await reserve.release())) throw error;
    return action();
  }
}
