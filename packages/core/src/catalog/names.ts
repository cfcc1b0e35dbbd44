/**
 * The name index: 32 bits of a hash of dataset and name, and the record's id. Names lie in the record rows, and a lookup compares them
 * there, so a collision costs a row read and never a wrong answer. Derived data: the hash may change with the schema version.
 */
import type { Sqlite } from "./sqlite.ts";

/** Trailing characters that go into the low bits. */
const SUFFIX_LENGTH = 3;
const SUFFIX_BITS = 12;

/**
 * 32 signed bits: 20 from the dataset and the name without its last three characters, 12 from those. Numbered names (`frame-00017`), which
 * come by the million, so fall together by the thousand: inserting them in order touches a few pages of the index, not one a name.
 */
export function nameHash(dataset: number, name: string): number {
  const cut = Math.max(0, name.length - SUFFIX_LENGTH);
  const high = hashed(Math.imul(dataset, 0x9e3779b1), name, 0, cut);
  const low = hashed(high, name, cut, name.length);
  return (high << SUFFIX_BITS) | (low >>> (32 - SUFFIX_BITS));
}

/** FNV-1a over UTF-16 units, then murmur3's finisher. */
function hashed(seed: number, text: string, start: number, end: number): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = start; at < end; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

/** Notes that a record has this name. */
export function addName(sqlite: Sqlite, dataset: number, name: string, id: Uint8Array): void {
  sqlite.run("INSERT OR IGNORE INTO name VALUES (?, ?)", nameHash(dataset, name), id);
}

/** Forgets a name once no row of the record has it (an older version's row may). Call it after the record row is gone. */
export function dropName(sqlite: Sqlite, dataset: number, name: string, id: Uint8Array): void {
  const kept = sqlite.value<number>(
    "SELECT 1 FROM record WHERE dataset = ? AND id = ? AND name = ? LIMIT 1",
    dataset,
    id,
    name,
  );
  if (kept === undefined) {
    sqlite.run("DELETE FROM name WHERE hash = ? AND id = ?", nameHash(dataset, name), id);
  }
}
