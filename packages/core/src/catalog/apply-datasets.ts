/**
 * Applying operations about datasets, versions, settings and presets.
 */
import type { JsonObject } from "../model/entry.ts";
import type { ApplyContext, OpOf } from "./apply-context.ts";
import { currentVersion } from "./datasets.ts";
import { dropName } from "./names.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

/** Rows looked at by one step of an expiry. */
const PAGE_ROWS = 4096;

export function addDataset(context: ApplyContext, op: OpOf<"dataset.add">): void {
  const { sqlite, counters } = context;
  sqlite.run(
    "INSERT INTO dataset (dataset, name, version, time_ms, preset, metadata, schema, indexed) VALUES (?, ?, 0, ?, ?, ?, ?, ?)",
    op.dataset,
    op.name,
    op.timeMs,
    op.preset,
    JSON.stringify(op.metadata),
    op.schema === null ? null : JSON.stringify(op.schema),
    JSON.stringify(op.indexed),
  );
  counters.dataset = Math.max(counters.dataset, op.dataset + 1);
  context.pathsChanged ||= op.indexed.length > 0;
}

export function setDataset(context: ApplyContext, op: OpOf<"dataset.set">): void {
  const { sqlite } = context;
  const { dataset, name, preset, metadata, schema, indexed } = op;
  requireDataset(context, dataset);
  if (name !== undefined) {
    sqlite.run("UPDATE dataset SET name = ? WHERE dataset = ?", name, dataset);
  }
  if (preset !== undefined) {
    sqlite.run("UPDATE dataset SET preset = ? WHERE dataset = ?", preset, dataset);
  }
  if (metadata !== undefined) {
    sqlite.run("UPDATE dataset SET metadata = ? WHERE dataset = ?", JSON.stringify(metadata), dataset);
  }
  if (schema !== undefined) {
    const text = schema === null ? null : JSON.stringify(schema);
    sqlite.run("UPDATE dataset SET schema = ? WHERE dataset = ?", text, dataset);
  }
  if (indexed !== undefined) {
    sqlite.run("UPDATE dataset SET indexed = ? WHERE dataset = ?", JSON.stringify(indexed), dataset);
    context.pathsChanged = true;
  }
}

/** Takes the name away, which hides all rows of the dataset; `reap` deletes them in slices later. */
export function dropDataset(context: ApplyContext, dataset: number): void {
  context.sqlite.run("UPDATE dataset SET name = NULL, indexed = '[]' WHERE dataset = ?", dataset);
  context.pathsChanged = true;
}

/** Throws unless the dataset is there; and, outside snapshots, unless `version` (when given) is its current one. */
export function requireDataset(context: ApplyContext, dataset: number, version?: number): void {
  const current = currentVersion(context.sqlite, dataset);
  if (current === undefined) {
    throw damaged(`entry ${context.sequence} is about dataset ${dataset}, which is not there`);
  }
  if (!context.snapshot && version !== undefined && version !== current) {
    throw damaged(
      `entry ${context.sequence} changes version ${version} of dataset ${dataset}, which is at ${current}`,
    );
  }
}

export function addVersion(context: ApplyContext, op: OpOf<"version">): void {
  const { sqlite } = context;
  requireDataset(context, op.dataset);
  sqlite.run(
    "INSERT INTO version VALUES (?, ?, ?, ?, ?)",
    op.dataset,
    op.version,
    op.sequence ?? context.sequence,
    op.timeMs ?? context.timeMs,
    op.note ?? null,
  );
  sqlite.run("UPDATE dataset SET version = max(version, ?) WHERE dataset = ?", op.version, op.dataset);
}

/** Drops versions that are not kept, and the rows that none of the kept ones sees. A tag of an expired version goes with it. */
export function expireVersions({ sqlite }: Pick<ApplyContext, "sqlite">, op: OpOf<"expire">): void {
  const { dataset } = op;
  const kept = JSON.stringify(op.kept);
  sqlite.run(
    "DELETE FROM version WHERE dataset = ? AND version NOT IN (SELECT value FROM json_each(?))",
    dataset,
    kept,
  );
  sqlite.run(
    "DELETE FROM tag WHERE dataset = ? AND version NOT IN (SELECT value FROM json_each(?))",
    dataset,
    kept,
  );
  sqlite.run(
    `DELETE FROM file WHERE dataset = ? AND removed IS NOT NULL AND NOT EXISTS (${keeping("file")})`,
    dataset,
  );
  expireRecords(sqlite, dataset);
}

/** SQL that finds a kept version which sees a removed row. */
function keeping(table: string): string {
  return `SELECT 1 FROM version v
    WHERE v.dataset = ${table}.dataset AND v.version >= ${table}.added AND v.version < ${table}.removed`;
}

function expireRecords(sqlite: Sqlite, dataset: number): void {
  // Only removed rows can be unseen, and they have an index; the walk goes along it.
  let last: [removed: number, id: Uint8Array, added: number] = [0, new Uint8Array(0), 0];
  for (;;) {
    const page = sqlite.tuples<[number, Buffer, number, string | null, number]>(
      `SELECT removed, id, added, name, EXISTS (${keeping("record")}) FROM record INDEXED BY record_removed
       WHERE dataset = ? AND removed IS NOT NULL AND (removed, id, added) > (?, ?, ?)
       ORDER BY removed, id, added LIMIT ${PAGE_ROWS}`,
      dataset,
      ...last,
    );
    for (const [removed, id, added, name, isKept] of page) {
      last = [removed, id, added];
      if (isKept === 0) {
        sqlite.run("DELETE FROM record WHERE dataset = ? AND id = ? AND added = ?", dataset, id, added);
        if (name !== null) {
          dropName(sqlite, dataset, name, id);
        }
      }
    }
    if (page.length < PAGE_ROWS) {
      return;
    }
  }
}

export function setSettings({ sqlite }: ApplyContext, settings: JsonObject): void {
  sqlite.run("INSERT OR REPLACE INTO meta VALUES ('settings', ?)", JSON.stringify(settings));
}

export function setPreset({ sqlite }: ApplyContext, name: string, preset: JsonObject): void {
  sqlite.run("INSERT OR REPLACE INTO preset VALUES (?, ?)", name, JSON.stringify(preset));
}
