/**
 * Applying a journal entry: the one way in which the catalog changes. Live commits, recovery and rebuild all come through here, so an
 * entry must give the same rows whenever it is applied: nothing depends on the clock or on the process. (But for the cache of features, which only
 * live commits fill.)
 *
 * An entry is durable before it gets here. So this refuses only what would make the catalog lie (a gap in the sequence, a frame that is
 * not the chunk it should be, an id given twice, a chunk without what it is coded against); removing what is not there changes nothing.
 */
import type { Entry, JournalPosition, Op } from "../model/entry.ts";
import type { ApplyContext, ApplyOptions, FramesReader } from "./apply-context.ts";
import {
  addDataset,
  addVersion,
  dropDataset,
  expireVersions,
  setDataset,
  setPreset,
  setSettings,
} from "./apply-datasets.ts";
import { addFiles, addRecords, flushRanges, removeFiles, removeRecords } from "./apply-records.ts";
import { addFrames, addPack, addTensors, dropTensors } from "./apply-storage.ts";
import { updateIndexes } from "./metadata-index.ts";
import { dropChunks, linkSiblings } from "./siblings.ts";
import { damaged, type Sqlite } from "./sqlite.ts";
import { readCounters, readPosition, writeCounters, writePosition } from "./state.ts";

/** Applies one entry and moves the position, in one transaction. */
export function applyEntry(
  sqlite: Sqlite,
  entry: Entry,
  frames: FramesReader,
  position: JournalPosition,
  options: ApplyOptions = {},
): void {
  const snapshot = options.snapshot === true;
  sqlite.write(() => {
    if (!snapshot) {
      const { sequence } = readPosition(sqlite);
      if (entry.sequence !== sequence + 1) {
        throw damaged(`entry ${entry.sequence} cannot follow entry ${sequence}`);
      }
    }
    const context: ApplyContext = {
      sqlite,
      sequence: entry.sequence,
      timeMs: entry.timeMs,
      snapshot,
      frames,
      counters: { ...readCounters(sqlite) },
      forms: new Map(),
      chains: new Map(),
      ranges: new Map(),
      siblings: new Map(),
      dropped: [],
      pathsChanged: false,
    };
    for (const op of entry.ops) {
      applyOp(context, op);
    }
    flushRanges(context, true);
    linkSiblings(context);
    if (context.pathsChanged) {
      updateIndexes(sqlite);
    }
    writeCounters(sqlite, context.counters);
    writePosition(sqlite, position);
  });
}

function applyOp(context: ApplyContext, op: Op): void {
  const { sqlite } = context;
  switch (op.op) {
    case "pack.add":
      addPack(context, op);
      return;
    case "pack.drop":
      for (const pack of op.packs) {
        sqlite.run("DELETE FROM pack WHERE pack = ?", pack);
      }
      return;
    case "frames":
      addFrames(context, op);
      return;
    case "staged.drop":
      for (const first of op.firsts) {
        sqlite.run("DELETE FROM staged WHERE first = ?", first);
      }
      return;
    case "chunks.drop":
      dropChunks(context, op.chunks);
      return;
    case "tensors.add":
      addTensors(context, op);
      return;
    case "tensors.drop":
      dropTensors(context, op);
      return;
    case "dataset.add":
      addDataset(context, op);
      return;
    case "dataset.set":
      setDataset(context, op);
      return;
    case "dataset.drop":
      dropDataset(context, op.dataset);
      return;
    case "version":
      addVersion(context, op);
      return;
    case "tag.set":
      sqlite.run("INSERT OR REPLACE INTO tag VALUES (?, ?, ?)", op.dataset, op.tag, op.version);
      return;
    case "tag.drop":
      sqlite.run("DELETE FROM tag WHERE dataset = ? AND tag = ?", op.dataset, op.tag);
      return;
    case "expire":
      expireVersions(context, op);
      return;
    case "records.add":
      addRecords(context, op);
      return;
    case "records.remove":
      removeRecords(context, op);
      return;
    case "files.add":
      addFiles(context, op);
      return;
    case "files.remove":
      removeFiles(context, op);
      return;
    case "settings.set":
      setSettings(context, op.settings);
      return;
    case "preset.set":
      setPreset(context, op.name, op.preset);
      return;
    case "preset.drop":
      sqlite.run("DELETE FROM preset WHERE name = ?", op.name);
      return;
    case "counters":
      Object.assign(context.counters, op.next);
      return;
    default:
      // Ops are read from disk, so one that the types do not know can turn up.
      throw damaged(
        `entry ${context.sequence} has an operation of an unknown kind, ${JSON.stringify((op as Op).op)}`,
      );
  }
}
