/**
 * Deleting the rows of dropped datasets in slices: a million rows in one statement would hold up everything else for seconds. Not
 * journaled: the rows are invisible from the entry that dropped the dataset, and a rebuild does not make them at all.
 */
import { nameHash } from "./names.ts";
import type { Sqlite } from "./sqlite.ts";

/** Deletes about `limit` rows of dropped datasets; whether more are left. */
export function reap(sqlite: Sqlite, limit: number): boolean {
  if (sqlite.value<number>("SELECT 1 FROM dataset WHERE name IS NULL LIMIT 1") === undefined) {
    return false;
  }
  return sqlite.write(() => {
    const dataset = sqlite.value<number>(
      "SELECT dataset FROM dataset WHERE name IS NULL ORDER BY dataset LIMIT 1",
    );
    if (dataset === undefined) {
      return false;
    }
    let left = limit - reapRecords(sqlite, dataset, limit);
    for (const [table, key] of [
      ["file", "row"],
      ["version", "version"],
      ["tag", "tag"],
    ]) {
      if (left > 0) {
        left -= sqlite.run(
          `DELETE FROM ${table} WHERE dataset = ? AND ${key} IN (SELECT ${key} FROM ${table} WHERE dataset = ? LIMIT ?)`,
          dataset,
          dataset,
          left,
        );
      }
    }
    if (left > 0) {
      sqlite.run("DELETE FROM dataset WHERE dataset = ?", dataset);
    }
    return sqlite.value<number>("SELECT 1 FROM dataset WHERE name IS NULL LIMIT 1") !== undefined;
  });
}

function reapRecords(sqlite: Sqlite, dataset: number, limit: number): number {
  const boundary = sqlite.value<Buffer>(
    "SELECT id FROM (SELECT id, added FROM record WHERE dataset = ? ORDER BY id, added LIMIT ?) ORDER BY id DESC LIMIT 1",
    dataset,
    limit,
  );
  if (boundary === undefined) {
    return 0;
  }
  // A few more than the slice when its last id has other rows.
  const rows = sqlite.tuples<[Buffer, string | null]>(
    "DELETE FROM record WHERE dataset = ? AND id <= ? RETURNING id, name",
    dataset,
    boundary,
  );
  for (const [id, name] of rows) {
    if (name !== null) {
      sqlite.run("DELETE FROM name WHERE hash = ? AND id = ?", nameHash(dataset, name), id);
    }
  }
  return rows.length;
}
