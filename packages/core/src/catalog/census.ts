/**
 * All chunks and tensors as dense typed arrays, for the two passes over the whole store: statistics and gc. Ids are given out once and
 * never again, so they may lie far apart; here each row has its place in the order of ids instead, and a run of ids that a tensor
 * uses is a run of places, too (all of its chunks are there).
 *
 * Memory: about 32 bytes a chunk and 40 a tensor while a pass runs.
 */
import type { Runs } from "../model/entry.ts";
import { partsOf } from "./files.ts";
import { damaged, type Sqlite } from "./sqlite.ts";

/** Rows fetched at once: one result list this long is cheap to collect, all rows at once are not. */
const PAGE_ROWS = 8192;

/** Ids in rising order, and the place of each. */
export class IdOrder {
  readonly ids: Float64Array;
  readonly #what: string;
  readonly #first: number;
  /** Without gaps, a place is just the distance from the first id. */
  readonly #dense: boolean;

  constructor(what: string, ids: Float64Array) {
    this.#what = what;
    this.ids = ids;
    this.#first = ids[0] ?? 0;
    this.#dense = ids.length > 0 && ids[ids.length - 1]! - this.#first === ids.length - 1;
  }

  /** The place of an id. Throws `DamageError` when it is not there. */
  place(id: number): number {
    const place = this.find(id);
    if (place < 0) throw damaged(`${this.#what} ${id} is in use but missing`);
    return place;
  }

  /** The place of an id; -1 when it is not there. */
  find(id: number): number {
    if (this.#dense) {
      const place = id - this.#first;
      return place < this.ids.length ? Math.max(place, -1) : -1;
    }
    let low = 0;
    let high = this.ids.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const found = this.ids[middle]!;
      if (found === id) {
        return middle;
      }
      if (found < id) {
        low = middle + 1;
      } else {
        high = middle - 1;
      }
    }
    return -1;
  }
}

export interface ChunkCensus {
  readonly order: IdOrder;
  readonly frameBytes: Float64Array;
  readonly rawBytes: Float64Array;
  /** Row of the `chain` table. */
  readonly chains: Uint32Array;
  /** Place of the chunk that it is coded against; -1 for none. */
  readonly bases: Int32Array;
}

export interface TensorCensus {
  readonly order: IdOrder;
  readonly sourceBytes: Float64Array;
  readonly arrayBytes: Float64Array;
  /** Place of the first chunk and number of chunks; count 0: look in `runs`. */
  readonly first: Uint32Array;
  readonly count: Uint32Array;
  /** By place of the tensor: runs of chunk places of tensors that have more than one run. */
  readonly runs: ReadonlyMap<number, Runs>;
}

/**
 * The next page of rows behind the key `last`, column by column. One JSON text a column takes half the time of a thousand row objects:
 * calls between SQLite and JavaScript cost more than digits.
 */
function columnsBehind(
  sqlite: Sqlite,
  table: string,
  names: readonly string[],
  last: number,
): (number | null)[][] {
  const key = names[0]!;
  const texts = sqlite.tuples<string[]>(
    `SELECT ${names.map((name) => `json_group_array(${name})`).join(", ")}
     FROM (SELECT ${names.join(", ")} FROM ${table} WHERE ${key} > ? ORDER BY ${key} LIMIT ${PAGE_ROWS})`,
    last,
  )[0]!;
  return texts.map((text) => JSON.parse(text) as (number | null)[]);
}

export function readChunks(sqlite: Sqlite): ChunkCensus {
  const size = sqlite.value<number>("SELECT count(*) FROM chunk") ?? 0;
  const ids = new Float64Array(size);
  const frameBytes = new Float64Array(size);
  const rawBytes = new Float64Array(size);
  const chains = new Uint32Array(size);
  for (let at = 0, last = 0; at < size; last = ids[at - 1]!) {
    const page = columnsBehind(
      sqlite,
      "chunk",
      ["chunk", "frame_bytes", "raw_bytes", "chain"],
      last,
    ) as number[][];
    ids.set(page[0]!, at);
    frameBytes.set(page[1]!, at);
    rawBytes.set(page[2]!, at);
    chains.set(page[3]!, at);
    at += page[0]!.length;
  }
  const order = new IdOrder("chunk", ids);
  return { order, frameBytes, rawBytes, chains, bases: readBases(sqlite, order) };
}

function readBases(sqlite: Sqlite, order: IdOrder): Int32Array {
  const bases = new Int32Array(order.ids.length).fill(-1);
  for (let last = 0; ; ) {
    const [chunks, siblings] = columnsBehind(sqlite, "sibling", ["chunk", "base"], last) as [
      number[],
      number[],
    ];
    for (let row = 0; row < chunks.length; row += 1) {
      bases[order.place(chunks[row]!)] = order.place(siblings[row]!);
    }
    if (chunks.length < PAGE_ROWS) {
      return bases;
    }
    last = chunks[chunks.length - 1]!;
  }
}

export function readTensors(sqlite: Sqlite, chunks: IdOrder): TensorCensus {
  const size = sqlite.value<number>("SELECT count(*) FROM tensor") ?? 0;
  const bytesOfForm = new Map(sqlite.tuples<[number, number]>("SELECT form, bytes FROM form"));
  const ids = new Float64Array(size);
  const sourceBytes = new Float64Array(size);
  const arrayBytes = new Float64Array(size);
  const firsts = new Uint32Array(size);
  const counts = new Uint32Array(size);
  const runs = new Map<number, Runs>();
  for (let at = 0, last = 0; at < size; last = ids[at - 1]!) {
    const page = columnsBehind(sqlite, "tensor", ["tensor", "form", "first", "place"], last);
    const [tensors, forms, starts, places] = page as [
      number[],
      number[],
      (number | null)[],
      (number | null)[],
    ];
    ids.set(tensors, at);
    let long = 0;
    for (let row = 0; row < tensors.length; row += 1) {
      const bytes = bytesOfForm.get(forms[row]!) ?? 0;
      const first = starts[row]!;
      const place = places[row]!;
      sourceBytes[at + row] = bytes;
      if (first === null || place === null) {
        long += 1;
      } else {
        arrayBytes[at + row] = bytes;
        firsts[at + row] = chunks.place(first);
        counts[at + row] = place < 0 ? -place : 1;
      }
    }
    if (long > 0) {
      const rows = sqlite.tuples<[number, string]>(
        "SELECT tensor, more FROM tensor WHERE tensor > ? AND tensor <= ? AND more IS NOT NULL ORDER BY tensor",
        last,
        tensors.at(-1)!,
      );
      for (let row = 0, next = 0; next < rows.length; row += 1) {
        const [tensor, more] = rows[next]!;
        if (tensors[row] === tensor) {
          const [stored = 0, ...used] = JSON.parse(more) as number[];
          arrayBytes[at + row] = stored;
          runs.set(at + row, runsOfPlaces(used, chunks));
          next += 1;
        }
      }
    }
    at += tensors.length;
  }
  return { order: new IdOrder("tensor", ids), sourceBytes, arrayBytes, first: firsts, count: counts, runs };
}

/** Turns runs of chunk ids into runs of their places. */
function runsOfPlaces(runs: number[], chunks: IdOrder): Runs {
  for (let at = 0; at < runs.length; at += 2) {
    runs[at] = chunks.place(runs[at]!);
  }
  return runs;
}

/** The runs of chunk places that the tensor at `place` uses, as (first, count) calls. */
export function forEachRun(
  tensors: TensorCensus,
  place: number,
  use: (first: number, count: number) => void,
): void {
  const count = tensors.count[place]!;
  if (count > 0) {
    use(tensors.first[place]!, count);
    return;
  }
  const runs = tensors.runs.get(place) ?? [];
  for (let at = 0; at + 1 < runs.length; at += 2) {
    use(runs[at]!, runs[at + 1]!);
  }
}

/** Longer than any record id, and so behind all of them. */
const behindAllIds = new Uint8Array(17).fill(0xff);

/** Which rows of a dataset to look at. */
export type Rows = "current" | "removed";

/** Calls `use` with slices of the tensor ids of a dataset's records; `withFile` tells those that came with a file. */
export function forEachRecordTensor(
  sqlite: Sqlite,
  dataset: number,
  rows: Rows,
  use: (tensors: readonly number[], withFile: boolean) => void,
): void {
  if (rows === "removed") {
    if (
      sqlite.value<number>(
        "SELECT 1 FROM record INDEXED BY record_removed WHERE dataset = ? AND removed IS NOT NULL LIMIT 1",
        dataset,
      ) === 1
    ) {
      use(
        sqlite.values<number>(
          "SELECT tensor FROM record INDEXED BY record_removed WHERE dataset = ? AND removed IS NOT NULL",
          dataset,
        ),
        false,
      );
    }
    return;
  }
  const kinds =
    sqlite.value<number>("SELECT 1 FROM file WHERE dataset = ? LIMIT 1", dataset) === 1
      ? [false, true]
      : [false];
  // Ids are only stepped over inside SQLite, to cut slices; fetching each would cost more than all the rest.
  for (let last: Uint8Array = new Uint8Array(0); ; ) {
    const boundary =
      sqlite.value<Buffer>(
        `SELECT id FROM record WHERE dataset = ? AND id > ? ORDER BY id LIMIT 1 OFFSET ${PAGE_ROWS * 4}`,
        dataset,
        last,
      ) ?? behindAllIds;
    for (const withFile of kinds) {
      const tensors = JSON.parse(
        sqlite.value<string>(
          `SELECT json_group_array(tensor) FROM record WHERE dataset = ? AND id > ? AND id <= ?
           AND removed IS NULL AND file ${withFile ? "<>" : "="} 0`,
          dataset,
          last,
          boundary,
        )!,
      ) as number[];
      if (tensors.length > 0) {
        use(tensors, withFile);
      }
    }
    if (boundary === behindAllIds) {
      return;
    }
    last = boundary;
  }
}

/** Calls `use` with the bytes and the parts of each file of a dataset. */
export function forEachFile(
  sqlite: Sqlite,
  dataset: number,
  rows: Rows,
  use: (bytes: number, parts: readonly number[]) => void,
): void {
  for (let last = 0; ; ) {
    const page = sqlite.tuples<[number, number, string]>(
      `SELECT row, bytes, parts FROM file WHERE dataset = ? AND row > ? AND removed IS ${rows === "current" ? "" : "NOT "}NULL
       ORDER BY row LIMIT ${PAGE_ROWS}`,
      dataset,
      last,
    );
    for (const [row, bytes, parts] of page) {
      last = row;
      use(bytes, partsOf(parts));
    }
    if (page.length < PAGE_ROWS) {
      return;
    }
  }
}
