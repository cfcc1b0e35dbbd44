/**
 * Makes the catalog anew from the journal. An open store empties its catalog and applies everything again; where the catalog cannot even be opened,
 * `rebuildStore` makes a new one beside it and puts it in the place of the old one once it is complete.
 *
 * Nothing is emptied before the journal was read to its end and all packs it needs were found: a catalog that can still answer is worth more than
 * none.
 */
import { resolve } from "node:path";
import { CancelledError, DamageError, ready, StoreOpenError } from "@tensorcask/codec";
import { Catalog } from "../catalog/catalog.ts";
import type { FileSystem } from "../files/file-system.ts";
import { WriterLock } from "../files/lock.ts";
import { nodeFileSystem } from "../files/node.ts";
import { JOURNAL_START, Journal } from "../journal/journal.ts";
import { FilePackStorage, type PackStorage } from "../pack/pack-storage.ts";
import type { StoreContext } from "./context.ts";
import { CATALOG_NAME, JOURNAL_NAME, PACKS_NAME, REBUILT_CATALOG_NAME, SQLITE_SUFFIXES } from "./layout.ts";
import { readMarker } from "./marker.ts";
import { catchUp } from "./recovery.ts";
import type { LongCallOptions, RebuildResult } from "./types.ts";

/** Options of `rebuildStore`. */
export interface RebuildStoreOptions extends LongCallOptions {
  /** How long to wait for the writer lock, in milliseconds. Default 60,000. */
  readonly waitMs?: number;
  /** The seam to the disk. The catalog is SQLite's and always on the real one. */
  readonly fileSystem?: FileSystem;
}

/** Empties the catalog of an open store and applies the journal again. Readers find it empty, then growing, meanwhile. */
export async function rebuild(context: StoreContext, options: LongCallOptions = {}): Promise<RebuildResult> {
  context.checkWritable();
  const started = performance.now();
  const { parts } = context;
  return parts.committer.exclusive(
    async (exclusive) => {
      await exclusive.closeTail();
      await parts.journal.recover();
      await checkReplayable(parts.journal, parts.packs, options);
      context.catalog.clear();
      const done = await catchUp(parts, { ...uninterrupted(options), recover: true });
      context.catalog.checkpoint();
      return { ...done, seconds: (performance.now() - started) / 1000 };
    },
    { signal: options.signal },
  );
}

/**
 * Rebuilds the catalog of the store in a directory, also one that cannot be opened because its catalog is broken. Throws `StoreOpenError` when there
 * is no store, `DamageError` when the journal or a pack is damaged; the old catalog is still there then.
 */
export async function rebuildStore(
  directory: string,
  options: RebuildStoreOptions = {},
): Promise<RebuildResult> {
  await ready();
  const started = performance.now();
  const root = resolve(directory);
  const files = options.fileSystem ?? nodeFileSystem;
  if ((await readMarker(files, root)) === undefined)
    throw new StoreOpenError(root, "missing", "there is no store here");
  const lock = WriterLock.open(root);
  try {
    const { signal, waitMs } = options;
    const lease = await lock.acquire({
      ...(waitMs !== undefined && { waitMs }),
      ...(signal !== undefined && { signal }),
    });
    try {
      const done = await rebuildBeside(root, files, options);
      return { ...done, seconds: (performance.now() - started) / 1000 };
    } finally {
      lease.release();
    }
  } finally {
    lock.close();
  }
}

/** Makes a new catalog beside the old one, then takes its place. */
async function rebuildBeside(
  root: string,
  files: FileSystem,
  options: LongCallOptions,
): Promise<{ entries: number; chunks: number }> {
  const path = `${root}/${REBUILT_CATALOG_NAME}`;
  await removeDatabase(path);
  const journal = await Journal.open(files, `${root}/${JOURNAL_NAME}`);
  const packs = await FilePackStorage.open(files, `${root}/${PACKS_NAME}`);
  try {
    const catalog = Catalog.open(path);
    let done: { entries: number; chunks: number };
    try {
      done = await catchUp({ catalog, journal, packs }, { ...options, recover: true });
      catalog.checkpoint();
    } finally {
      catalog.close();
    }
    // A crash between these leaves no catalog: opening the store then makes one, from the journal.
    await removeDatabase(`${root}/${CATALOG_NAME}`);
    await nodeFileSystem.rename(path, `${root}/${CATALOG_NAME}`);
    await nodeFileSystem.syncDirectory(root);
    return done;
  } catch (error) {
    await removeDatabase(path);
    throw error;
  } finally {
    await packs.close();
    await journal.close();
  }
}

async function removeDatabase(path: string): Promise<void> {
  for (const suffix of SQLITE_SUFFIXES) await nodeFileSystem.unlink(path + suffix);
}

/** Throws unless the journal can be read to its end and every pack that it needs is there, and long enough. */
async function checkReplayable(
  journal: Journal,
  packs: PackStorage,
  options: LongCallOptions,
): Promise<void> {
  const names = new Map<number, string>();
  const lengths = new Map<number, number>();
  for await (const item of journal.read(JOURNAL_START)) {
    if (options.signal?.aborted) throw new CancelledError("the rebuild", { cause: options.signal.reason });
    if (item.restart) continue;
    for (const op of item.entry.ops) {
      if (op.op === "pack.add") names.set(op.pack, op.name);
      else if (op.op === "frames" && op.bytes > 0) {
        lengths.set(op.pack, Math.max(lengths.get(op.pack) ?? 0, op.offset + op.bytes));
      }
    }
  }
  for (const [pack, bytes] of lengths) {
    const name = names.get(pack);
    if (name === undefined)
      throw new DamageError("journal", `places frames in pack ${pack}, which it does not know`);
    if (!(await packs.has(name, bytes)))
      throw new DamageError(
        `pack ${name}`,
        `is missing, or shorter than the ${bytes} bytes that were committed`,
      );
  }
}

/** Behind the check, stopping would only leave half a catalog. */
function uninterrupted({ onProgress }: LongCallOptions): LongCallOptions {
  return onProgress === undefined ? {} : { onProgress };
}
