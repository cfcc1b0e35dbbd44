/**
 * Sketches of tensors, and the index that finds a tensor by any of the hashes in them. What a hash means is the codec's business
 * (`sketch`); tensors that share some resemble each other.
 */
import { bindable } from "./chunks.ts";
import type { SiblingCandidate } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";

/** Tensors looked at for each hash, the newest: a family of thousands must not make a look-up slow. */
const TENSORS_PER_HASH = 256;

export function insertSketch(sqlite: Sqlite, tensor: number, sketch: Uint8Array): void {
  sqlite.run("INSERT INTO sketch VALUES (?, ?)", tensor, bindable(sketch));
  for (const hash of hashesOf(sketch)) sqlite.run("INSERT INTO band VALUES (?, ?)", hash, tensor);
}

/** Drops the sketches of tensors [first, end). */
export function dropSketches(sqlite: Sqlite, first: number, end: number): void {
  const sketches = sqlite.tuples<[number, Buffer]>(
    "DELETE FROM sketch WHERE tensor >= ? AND tensor < ? RETURNING tensor, hashes",
    first,
    end,
  );
  for (const [tensor, sketch] of sketches) {
    for (const hash of hashesOf(sketch))
      sqlite.run("DELETE FROM band WHERE hash = ? AND tensor = ?", hash, tensor);
  }
}

/** The tensors that share most hashes with a sketch, then the newest; of tensors with the same hash the newest 256 are looked at. */
export function siblingCandidates(sqlite: Sqlite, sketch: Uint8Array, limit: number): SiblingCandidate[] {
  const bands = new Map<number, number>();
  sqlite.read(() => {
    for (const hash of hashesOf(sketch)) {
      const tensors = sqlite.values<number>(
        `SELECT tensor FROM band WHERE hash = ? ORDER BY tensor DESC LIMIT ${TENSORS_PER_HASH}`,
        hash,
      );
      for (const tensor of tensors) bands.set(tensor, (bands.get(tensor) ?? 0) + 1);
    }
  });
  return [...bands]
    .map(([tensor, count]) => ({ tensor, bands: count }))
    .sort((a, b) => b.bands - a.bands || b.tensor - a.tensor)
    .slice(0, limit);
}

/** The distinct hashes of a sketch. Signed, because SQLite takes two bytes more for half of the unsigned ones. */
function hashesOf(sketch: Uint8Array): Set<number> {
  const view = new DataView(sketch.buffer, sketch.byteOffset, sketch.byteLength);
  const hashes = new Set<number>();
  for (let at = 0; at + 4 <= sketch.length; at += 4) hashes.add(view.getInt32(at, true));
  return hashes;
}
