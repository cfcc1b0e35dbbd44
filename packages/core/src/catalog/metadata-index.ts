/**
 * Declared metadata paths and their indexes. A path that any dataset declares gets one index over the records of the whole store, on
 * (dataset, value at the path); rows without the path are not in it and cost nothing. A query that says `json_extract(metadata, path)`
 * in the very same words can use it; queries name it (`INDEXED BY`), because SQLite, which knows no figures about our rows, prefers to
 * read a whole dataset.
 */
import { LimitError, UsageError } from "@tensorcask/codec";
import type { Sqlite } from "./sqlite.ts";

/** Each index is written on every insert of a record that has the path. */
export const MAX_INDEXED_PATHS_OF_DATASET = 16;
export const MAX_INDEXED_PATHS_OF_STORE = 64;
/** Longer paths are deeper than any metadata that is worth an index, and SQL text grows with them. */
export const MAX_PATH_PARTS = 16;
export const MAX_PATH_LENGTH = 256;

const part = /^[A-Za-z0-9_-]+$/;

/** A dotted metadata path as SQLite writes it: `info.lang` is `$."info"."lang"`. Throws `UsageError` naming `field`. */
export function jsonPath(path: string, field: string): string {
  const parts = path.split(".");
  if (
    path.length > MAX_PATH_LENGTH ||
    parts.length > MAX_PATH_PARTS ||
    !parts.every((each) => part.test(each))
  ) {
    throw new UsageError(
      field,
      `${JSON.stringify(path)} is not a metadata path: dotted parts of letters, digits, _ and -, at most ${MAX_PATH_PARTS}`,
    );
  }
  return `$${parts.map((each) => `."${each}"`).join("")}`;
}

/** The SQL expression of the value at a path. Index and queries must say it alike. */
export function valueExpression(column: string, path: string): string {
  return `json_extract(${column}, '${path}')`;
}

/** Checks the paths that a dataset declares. Throws `UsageError` or `LimitError`. */
export function checkIndexed(paths: readonly string[], field: string): void {
  if (paths.length > MAX_INDEXED_PATHS_OF_DATASET) {
    throw new LimitError(
      "indexed metadata paths of a dataset",
      paths.length,
      MAX_INDEXED_PATHS_OF_DATASET,
      field,
    );
  }
  if (new Set(paths).size !== paths.length) {
    throw new UsageError(field, "names a metadata path twice");
  }
  for (const path of paths) {
    jsonPath(path, field);
  }
}

/** The name of a path's index. Names ignore case in SQL, paths do not: so it is in hex. */
export function indexName(path: string): string {
  return `record@${Buffer.from(path).toString("hex")}`;
}

/** Whether a path has its index. */
export function isIndexed(sqlite: Sqlite, path: string): boolean {
  return (
    sqlite.value<number>("SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?", indexName(path)) ===
    1
  );
}

/** The distinct paths that datasets declare, in order. */
export function declaredPaths(sqlite: Sqlite): string[] {
  const lists = sqlite.values<string>(
    "SELECT indexed FROM dataset WHERE name IS NOT NULL AND indexed <> '[]'",
  );
  return [...new Set(lists.flatMap((list) => JSON.parse(list) as string[]))].sort();
}

/**
 * Makes and drops indexes until they are those that datasets declare. Part of applying an entry, so it refuses nothing: a path that is
 * none, or one too many, just has no index.
 */
export function updateIndexes(sqlite: Sqlite): void {
  const wanted = new Map<string, string>();
  for (const path of declaredPaths(sqlite)) {
    if (wanted.size < MAX_INDEXED_PATHS_OF_STORE && path.split(".").every((each) => part.test(each))) {
      wanted.set(indexName(path), path);
    }
  }
  const present = new Set(
    sqlite.values<string>("SELECT name FROM sqlite_master WHERE type = 'index' AND name LIKE 'record@%'"),
  );
  for (const name of present) {
    if (!wanted.has(name)) {
      sqlite.exec(`DROP INDEX "${name}"`);
    }
  }
  for (const [name, path] of wanted) {
    if (!present.has(name)) {
      const value = valueExpression("metadata", jsonPath(path, "indexed"));
      sqlite.exec(`CREATE INDEX "${name}" ON record (dataset, ${value}) WHERE ${value} IS NOT NULL`);
    }
  }
}
