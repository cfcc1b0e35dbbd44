/**
 * Which chunk is coded against which: a row of `sibling` for each that is. The frame of a chunk names its sibling by the first bytes of its
 * SHA-256; here that becomes an id, once for good, because chunks keep their ids wherever they move.
 *
 * Two rules hold after each entry, whatever it does: the sibling is there, and it is itself coded against none.
 */
import { toHex } from "@tensorcask/codec";
import type { Runs } from "../model/entry.ts";
import type { ApplyContext } from "./apply-context.ts";
import { bindable, prefixOf } from "./chunks.ts";
import { dropFeatures } from "./features.ts";
import type { Dependent } from "./rows.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

/** Notes what the frame of a chunk says; `linkSiblings` looks it up when the whole entry is there. */
export function noteSibling(context: ApplyContext, chunk: number, reference: Uint8Array | undefined): void {
  if (reference === undefined) {
    context.siblings.delete(chunk);
    context.sqlite.run("DELETE FROM sibling WHERE chunk = ?", chunk);
  } else context.siblings.set(chunk, reference);
}

/** Drops chunks; `linkSiblings` finds out whether any that stays needs them. */
export function dropChunks(context: ApplyContext, runs: Runs): void {
  const { sqlite, siblings, dropped } = context;
  for (let at = 0; at + 1 < runs.length; at += 2) {
    const first = runs[at]!;
    const end = first + runs[at + 1]!;
    sqlite.run("DELETE FROM chunk WHERE chunk >= ? AND chunk < ?", first, end);
    sqlite.run("DELETE FROM sibling WHERE chunk >= ? AND chunk < ?", first, end);
    dropFeatures(sqlite, first, end);
    for (const chunk of siblings.keys()) if (chunk >= first && chunk < end) siblings.delete(chunk);
    dropped.push([first, end]);
  }
}

/** At the end of an entry: finds the siblings of the frames that it places, and holds the rules. Throws `DamageError`. */
export function linkSiblings({ sqlite, sequence, siblings, dropped }: ApplyContext): void {
  for (const [chunk, reference] of siblings) {
    const base = chunkOfReference(sqlite, reference);
    if (base === undefined || base === chunk)
      throw damaged(
        `entry ${sequence} places chunk ${chunk}, which is coded against chunk ${toHex(reference)}..., which is ${base === chunk ? "itself" : "not there"}`,
      );
    sqlite.run("INSERT OR REPLACE INTO sibling VALUES (?, ?)", chunk, base);
  }
  for (const chunk of siblings.keys()) {
    const wrong =
      sqlite.value<number>(
        "SELECT o.chunk FROM sibling s JOIN sibling o ON o.chunk = s.base WHERE s.chunk = ?",
        chunk,
      ) ?? sqlite.value<number>("SELECT base FROM sibling WHERE base = ? LIMIT 1", chunk);
    if (wrong !== undefined)
      throw damaged(
        `entry ${sequence} leaves chunk ${wrong} coded against another one, though others are coded against it`,
      );
  }
  for (const [first, end] of dropped) {
    const left = sqlite.tuples<[number, number]>(
      "SELECT base, chunk FROM sibling WHERE base >= ? AND base < ? LIMIT 1",
      first,
      end,
    )[0];
    if (left !== undefined)
      throw damaged(`entry ${sequence} drops chunk ${left[0]}, though chunk ${left[1]} is coded against it`);
  }
}

/** The chunk whose SHA-256 begins with these bytes. */
function chunkOfReference(sqlite: Sqlite, reference: Uint8Array): number | undefined {
  return sqlite.value<number>(
    `SELECT chunk FROM chunk WHERE substr(hash, 1, 5) = ? AND substr(hash, 1, ${reference.length}) = ? ORDER BY chunk LIMIT 1`,
    bindable(prefixOf(reference)),
    bindable(reference),
  );
}

/** These chunks, and those that are coded against any of them. */
export function withDependents(sqlite: Sqlite, chunks: readonly number[]): number[] {
  const dependents = sqlite.values<number>(
    "SELECT s.chunk FROM json_each(?) j CROSS JOIN sibling s ON s.base = j.value",
    JSON.stringify(chunks),
  );
  return [...new Set([...chunks, ...dependents])];
}

/** Which chunks are coded against any of these. */
export function dependentsOf(sqlite: Sqlite, chunks: readonly number[]): Dependent[] {
  return sqlite
    .tuples<[number, number]>(
      "SELECT s.chunk, s.base FROM json_each(?) j CROSS JOIN sibling s ON s.base = j.value",
      JSON.stringify(chunks),
    )
    .map(([chunk, base]) => ({ chunk, base }));
}
