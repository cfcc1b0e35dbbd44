/**
 * Chunks, packs and staged ranges: which frames there are and where they lie.
 */
import { equalBytes } from "@tensorcask/codec";
import type { Runs } from "../model/entry.ts";
import type { ChunkRow, PackLiveness, PackRow, StagedRow } from "./rows.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

/** Chunks fetched by one step of an iteration over many. */
const PAGE_CHUNKS = 4096;

interface StoredChunk {
  readonly id: number;
  readonly hash: Buffer;
  readonly pack: string | null;
  readonly offset: number;
  readonly frameBytes: number;
  readonly rawBytes: number;
  readonly codes: string;
  readonly sibling: number | null;
}

// LEFT JOIN, so that a chunk whose pack is gone shows up as damage and does not just vanish.
const selectChunk = `
  SELECT c.chunk AS id, c.hash, p.name AS pack, c.offset, c.frame_bytes AS frameBytes, c.raw_bytes AS rawBytes, h.codes,
    s.base AS sibling
  FROM chunk c LEFT JOIN pack p ON p.pack = c.pack JOIN chain h ON h.chain = c.chain LEFT JOIN sibling s ON s.chunk = c.chunk`;

const byHash = `${selectChunk} WHERE substr(c.hash, 1, 5) = ? AND c.hash = ? ORDER BY c.chunk LIMIT 1`;
const byId = `${selectChunk} WHERE c.chunk = ?`;
const byIds = `${selectChunk} WHERE c.chunk >= ? AND c.chunk < ? ORDER BY c.chunk LIMIT ?`;
const byPack = `${selectChunk} WHERE c.pack = ? AND c.chunk BETWEEN ? AND ? ORDER BY c.offset`;

const selectPack = "SELECT pack, name, tail, committed AS committedBytes FROM pack";

/** There are few distinct chains, and every row of a read names one. */
const chains = new Map<string, readonly number[]>();
const CHAINS_KEPT = 1024;

/** The codes of a stored chain. The list is shared and frozen. */
export function chainOf(codes: string): readonly number[] {
  let chain = chains.get(codes);
  if (chain === undefined) {
    chain = Object.freeze(JSON.parse(codes) as number[]);
    if (chains.size < CHAINS_KEPT) {
      chains.set(codes, chain);
    }
  }
  return chain;
}

/** A plain view of a blob column: callers are promised `Uint8Array`, not Node's subclass. */
export function plainBytes(blob: Uint8Array): Uint8Array {
  return new Uint8Array(blob.buffer, blob.byteOffset, blob.byteLength);
}

/** The bytes of a hash that its index holds. */
export function prefixOf(hash: Uint8Array): Uint8Array {
  return hash.subarray(0, 5);
}

/** SQLite refuses views of shared memory, so those are copied. */
export function bindable(bytes: Uint8Array): Uint8Array {
  return bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice();
}

function chunkRow(stored: StoredChunk): ChunkRow {
  const { id, hash, pack, offset, frameBytes, rawBytes, codes, sibling } = stored;
  if (pack === null) {
    throw damaged(`chunk ${id} lies in a pack that is not there`);
  }
  return {
    id,
    hash: plainBytes(hash),
    pack,
    offset,
    frameBytes,
    rawBytes,
    chain: chainOf(codes),
    ...(sibling !== null && { sibling }),
  };
}

export class Chunks {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
  }

  /** For each hash the chunk of it, or undefined. */
  resolve(hashes: readonly Uint8Array[]): (ChunkRow | undefined)[] {
    return this.#sqlite.read(() =>
      hashes.map((each) => {
        const hash = bindable(each);
        const stored = this.#sqlite.row<StoredChunk>(byHash, prefixOf(hash), hash);
        return stored === undefined ? undefined : chunkRow(stored);
      }),
    );
  }

  byId(id: number): ChunkRow | undefined {
    const stored = this.#sqlite.row<StoredChunk>(byId, id);
    return stored === undefined ? undefined : chunkRow(stored);
  }

  /** The chunks of the runs, in their order. Throws `DamageError` naming an id that is missing. */
  byRuns(runs: Runs): ChunkRow[] {
    return this.#sqlite.read(() => {
      const chunks: ChunkRow[] = [];
      for (let at = 0; at + 1 < runs.length; at += 2) {
        const first = runs[at]!;
        const count = runs[at + 1]!;
        let expected = first;
        for (const stored of this.#sqlite.rows<StoredChunk>(byIds, first, first + count, count)) {
          if (stored.id !== expected) {
            break;
          }
          chunks.push(chunkRow(stored));
          expected += 1;
        }
        if (expected !== first + count) {
          throw damaged(`chunk ${expected} is missing`);
        }
      }
      return chunks;
    });
  }

  /** All chunks by rising id. Pages inside: rows added or moved meanwhile may or may not be seen. */
  *all(): Generator<ChunkRow> {
    for (let next = 0; ; ) {
      const page = this.#sqlite.rows<StoredChunk>(byIds, next, Number.MAX_SAFE_INTEGER, PAGE_CHUNKS);
      for (const stored of page) {
        yield chunkRow(stored);
      }
      if (page.length < PAGE_CHUNKS) {
        return;
      }
      next = page[page.length - 1]!.id + 1;
    }
  }

  packs(): PackRow[] {
    return this.#packs(`${selectPack} ORDER BY pack`);
  }

  /** The pack that small commits append to: the newest one that was added as a tail. */
  tailPack(): PackRow | undefined {
    return this.#packs(`${selectPack} WHERE tail = 1 ORDER BY pack DESC LIMIT 1`)[0];
  }

  #packs(sql: string): PackRow[] {
    const rows = this.#sqlite.rows<{ pack: number; name: string; tail: number; committedBytes: number }>(sql);
    return rows.map((row) => ({ ...row, tail: row.tail === 1 }));
  }

  /** The chunks of a pack, ordered by offset. */
  inPack(pack: number): ChunkRow[] {
    return this.#sqlite.read(() => {
      const range = this.#sqlite.tuples<[number | null, number | null]>(
        "SELECT chunk_first, chunk_last FROM pack WHERE pack = ?",
        pack,
      )[0];
      const [first, last] = range ?? [null, null];
      return first === null || last === null
        ? []
        : this.#sqlite.rows<StoredChunk>(byPack, pack, first, last).map(chunkRow);
    });
  }

  staged(): StagedRow[] {
    return this.#sqlite.rows<StagedRow>("SELECT first, count, time_ms AS timeMs FROM staged ORDER BY first");
  }

  /** For each pack, how much of it stays when `dead` chunks go. */
  packLiveness(dead: Runs): PackLiveness[] {
    return this.#sqlite.read(() => {
      const live = new Map(
        this.#sqlite.tuples<[number, number]>("SELECT pack, sum(frame_bytes) FROM chunk GROUP BY pack"),
      );
      for (let at = 0; at + 1 < dead.length; at += 2) {
        const lost = this.#sqlite.tuples<[number, number]>(
          "SELECT pack, sum(frame_bytes) FROM chunk WHERE chunk >= ? AND chunk < ? GROUP BY pack",
          dead[at]!,
          dead[at]! + dead[at + 1]!,
        );
        for (const [pack, bytes] of lost) {
          live.set(pack, (live.get(pack) ?? 0) - bytes);
        }
      }
      return this.packs().map((pack) => ({ ...pack, liveBytes: live.get(pack.pack) ?? 0 }));
    });
  }

  /** Whether chunk `id` is there, with this hash. Throws `DamageError` when it is there with another. */
  has(id: number, hash: Uint8Array): boolean {
    const stored = this.#sqlite.value<Buffer>("SELECT hash FROM chunk WHERE chunk = ?", id);
    if (stored !== undefined && !equalBytes(stored, hash)) {
      throw damaged(`an entry moves chunk ${id} to a frame that holds another chunk`);
    }
    return stored !== undefined;
  }
}
