/**
 * Brings the catalog up to the journal: what is in the journal and not in the catalog is applied. Runs under the lock whenever it may have
 * changed hands, and on opening; `rebuild` is the same thing on an empty catalog.
 */
import { CancelledError, DamageError, equalBytes } from "@tensorcask/codec";
import type { Catalog } from "../catalog/catalog.ts";
import type { Journal } from "../journal/journal.ts";
import type { Entry, FrameFacts, FramesOp } from "../model/entry.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { LongCallOptions } from "./types.ts";

interface RecoveryContext {
  readonly catalog: Catalog;
  readonly journal: Journal;
  readonly packs: PackStorage;
}

export interface CatchUpOptions extends LongCallOptions {
  /** Also cut a torn last entry. Only when another writer may have left one. */
  readonly recover: boolean;
}

/** Applies what the catalog lacks. Returns how many entries and chunks that were. */
export async function catchUp(
  context: RecoveryContext,
  options: CatchUpOptions,
): Promise<{ entries: number; chunks: number }> {
  const { catalog, journal } = context;
  const head = options.recover ? await journal.recover() : await journal.refresh();
  const applied = catalog.position();
  if (applied.sequence === head.sequence && equalBytes(applied.hash, head.hash))
    return { entries: 0, chunks: 0 };
  let entries = 0;
  let chunks = 0;
  for await (const item of journal.read(applied)) {
    if (options.signal?.aborted) throw new CancelledError("the rebuild", { cause: options.signal.reason });
    if (item.restart) {
      catalog.clear();
      continue;
    }
    const { facts, count } = await framesOf(item.entry, catalog, context.packs);
    catalog.apply(item.entry, (op) => facts.get(op)!, item.position, { snapshot: item.snapshot });
    entries += 1;
    chunks += count;
    options.onProgress?.({ phase: "rebuild", done: item.entry.sequence, total: head.sequence });
  }
  return { entries, chunks };
}

/** Reads the headers of the frames that an entry places. */
async function framesOf(
  entry: Entry,
  catalog: Catalog,
  packs: PackStorage,
): Promise<{ facts: Map<FramesOp, readonly FrameFacts[]>; count: number }> {
  const facts = new Map<FramesOp, readonly FrameFacts[]>();
  const added = new Map<number, string>();
  let count = 0;
  for (const op of entry.ops) {
    if (op.op === "pack.add") added.set(op.pack, op.name);
    if (op.op !== "frames" || op.bytes === 0) continue;
    const name = added.get(op.pack) ?? catalog.packs().find((row) => row.pack === op.pack)?.name;
    if (name === undefined)
      throw new DamageError(
        "journal",
        `entry ${entry.sequence} places frames in pack ${op.pack}, which it does not know`,
      );
    const frames = await packs.framesIn(name, op.offset, op.bytes);
    facts.set(op, frames);
    count += frames.length;
  }
  return { facts, count };
}
