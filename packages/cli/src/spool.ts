/**
 * Standard input as a file: formats are read here and there, not from front to back. It goes into the system's folder for temporary files (`TMPDIR`
 * names another), and away when the command ends.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CommandContext } from "./context.ts";

/** Runs with the path of a file that holds all of standard input; its name is `name`, which has no folders. */
export async function withSpooledInput<T>(
  context: CommandContext,
  name: string,
  run: (path: string) => Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "tensorcask-pipe-"));
  try {
    const path = join(folder, name);
    await spool(context, path);
    return await run(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function spool({ host, signal }: CommandContext, path: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  const input = host.stdin()[Symbol.asyncIterator]();
  // A pipe may never give another piece: Ctrl-C does not wait for it.
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason);
  });
  aborted.catch(() => undefined);
  signal.addEventListener("abort", abort, { once: true });
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await Promise.race([input.next(), aborted]);
      if (next.done === true) break;
      await file.writeFile(next.value);
    }
    signal.throwIfAborted();
  } catch (error) {
    // What Ctrl-C closes may end with an error of its own.
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    await file.close();
  }
}
