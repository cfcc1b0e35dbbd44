/**
 * Features of chunks of opaque bytes, and the indexes that find a chunk by any of them. What a feature means is the codec's business
 * (`features`); chunks that share some resemble each other.
 *
 * A cache: features are in no journal, so only the commit that brings a chunk can note them. A rebuild starts without any, which costs what later
 * imports might have shared with the chunks of before, and nothing else.
 */
import type { Sqlite } from "./sqlite.ts";

/** Chunks looked at for each feature, the newest: versions of a file by the thousand must not make a look-up slow. */
const CHUNKS_PER_FEATURE = 16;

/** Groups without a feature are 0, which no index holds. */
export function insertFeatures(sqlite: Sqlite, chunk: number, [a, b, c]: Int32Array): void {
  sqlite.run("INSERT OR REPLACE INTO feature VALUES (?, ?, ?, ?)", chunk, a || null, b || null, c || null);
}

/** Drops the features of chunks [first, end). */
export function dropFeatures(sqlite: Sqlite, first: number, end: number): void {
  sqlite.run("DELETE FROM feature WHERE chunk >= ? AND chunk < ?", first, end);
}

/** The chunk that shares most features, of several the newest, and how many it shares; undefined where none does. */
export function chunkAlike(
  sqlite: Sqlite,
  features: Int32Array,
): { readonly chunk: number; readonly shared: number } | undefined {
  const [a, b, c] = features;
  const [best] = sqlite.tuples<[number, number]>(alike, a || null, b || null, c || null);
  return best && { chunk: best[0], shared: best[1] };
}

const alike = `SELECT chunk, count(*) AS shared FROM (${["a", "b", "c"]
  .map(
    (group) =>
      `SELECT * FROM (SELECT chunk FROM feature WHERE ${group} = ? ORDER BY chunk DESC LIMIT ${CHUNKS_PER_FEATURE})`,
  )
  .join(" UNION ALL ")}) GROUP BY chunk ORDER BY shared DESC, chunk DESC LIMIT 1`;
