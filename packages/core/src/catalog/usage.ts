/**
 * Sizes of all datasets in one pass over the catalog (the words are in rows.ts). Every byte of every frame lands in exactly one of
 * amortized, history or unreferenced bytes, so the residual is zero by construction; a test says so.
 *
 * First each dataset marks the chunks that it uses and counts itself as their user, then each takes its part. The chunks of a dataset
 * are kept between the two as runs, because models use them in long runs.
 */

import type { Runs } from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import {
  type ChunkCensus,
  forEachFile,
  forEachRecordTensor,
  forEachRun,
  type Rows,
  readChunks,
  readTensors,
  type TensorCensus,
} from "./census.ts";
import { chainOf } from "./chunks.ts";
import { measureFamilies } from "./families.ts";
import type { ChainUsage, DatasetUsage, StoreUsage } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";

interface Totals {
  records: number;
  files: number;
  originalBytes: number;
  derivedBytes: number;
  tensorBytes: number;
  arrayBytes: number;
}

interface Uses {
  readonly totals: Totals;
  /** Places of the distinct chunks in which arrays of the current version lie. */
  readonly current: Runs;
  /** Places of the others that these are coded against. */
  readonly bases: Runs;
  /** Places of what only old versions of this dataset use. */
  readonly history: Runs;
}

/** Counts of datasets that use a chunk. */
interface Users {
  readonly current: Uint32Array;
  readonly history: Uint32Array;
}

/** Marks distinct tensors and chunks of one dataset after the other. */
class Marker {
  readonly #sqlite: Sqlite;
  readonly #chunks: ChunkCensus;
  readonly #tensors: TensorCensus;
  readonly #users: Users;
  /** Number of the dataset pass that met it last. */
  readonly #tensorSeen: Uint32Array;
  /** Number of the dataset pass in which a current file had it as a part. */
  readonly #tensorInFile: Uint32Array;
  readonly #chunkSeen: Uint32Array;
  #pass = 0;

  constructor(sqlite: Sqlite, chunks: ChunkCensus, tensors: TensorCensus, users: Users) {
    this.#sqlite = sqlite;
    this.#chunks = chunks;
    this.#tensors = tensors;
    this.#users = users;
    this.#tensorSeen = new Uint32Array(tensors.order.ids.length);
    this.#tensorInFile = new Uint32Array(tensors.order.ids.length);
    this.#chunkSeen = new Uint32Array(chunks.order.ids.length);
  }

  dataset(dataset: number): Uses {
    this.#pass += 1;
    const totals: Totals = {
      records: 0,
      files: 0,
      originalBytes: 0,
      derivedBytes: 0,
      tensorBytes: 0,
      arrayBytes: 0,
    };
    const current = new RunsBuilder();
    const history = new RunsBuilder();
    this.#mark(dataset, "current", totals, current, this.#users.current);
    const bases = this.#bases(current.runs, this.#users.current);
    // What is marked as current stays so: only what is left counts as history.
    this.#mark(dataset, "removed", undefined, history, this.#users.history);
    const historyBases = this.#bases(history.runs, this.#users.history);
    return { totals, current: current.runs, bases, history: history.runs.concat(historyBases) };
  }

  /** Marks what the chunks are coded against, as far as it is not marked yet. */
  #bases(runs: Runs, users: Uint32Array): number[] {
    const bases = new RunsBuilder();
    for (let run = 0; run < runs.length; run += 2) {
      const end = runs[run]! + runs[run + 1]!;
      for (let chunk = runs[run]!; chunk < end; chunk += 1) {
        const base = this.#chunks.bases[chunk]!;
        if (base >= 0) this.#run(base, 1, bases, users);
      }
    }
    return bases.runs;
  }

  #mark(
    dataset: number,
    rows: Rows,
    totals: Totals | undefined,
    chunks: RunsBuilder,
    users: Uint32Array,
  ): void {
    const { order, sourceBytes } = this.#tensors;
    forEachFile(this.#sqlite, dataset, rows, (bytes, parts) => {
      if (totals !== undefined) {
        totals.files += 1;
        totals.originalBytes += bytes;
      }
      for (const id of parts) {
        const place = order.place(id);
        this.#tensorInFile[place] = this.#pass;
        this.#tensor(place, totals, chunks, users);
      }
    });
    forEachRecordTensor(this.#sqlite, dataset, rows, (ids, withFile) => {
      for (const id of ids) {
        const place = order.place(id);
        if (totals !== undefined) {
          totals.records += 1;
          if (!withFile) totals.originalBytes += sourceBytes[place]!;
          else if (this.#tensorInFile[place] !== this.#pass) totals.derivedBytes += sourceBytes[place]!;
        }
        this.#tensor(place, totals, chunks, users);
      }
    });
  }

  #tensor(place: number, totals: Totals | undefined, chunks: RunsBuilder, users: Uint32Array): void {
    if (this.#tensorSeen[place] === this.#pass) {
      return;
    }
    this.#tensorSeen[place] = this.#pass;
    if (totals !== undefined) {
      totals.tensorBytes += this.#tensors.sourceBytes[place]!;
      totals.arrayBytes += this.#tensors.arrayBytes[place]!;
    }
    // The common case, one run, is spelled out: a closure a tensor is half of the whole pass.
    const count = this.#tensors.count[place]!;
    if (count > 0) {
      this.#run(this.#tensors.first[place]!, count, chunks, users);
    } else {
      forEachRun(this.#tensors, place, (first, more) => this.#run(first, more, chunks, users));
    }
  }

  #run(first: number, count: number, chunks: RunsBuilder, users: Uint32Array): void {
    const seen = this.#chunkSeen;
    for (let chunk = first; chunk < first + count; chunk += 1) {
      if (seen[chunk] !== this.#pass) {
        seen[chunk] = this.#pass;
        users[chunk]! += 1;
        chunks.push(chunk);
      }
    }
  }
}

/** Sizes of the store and of every dataset. */
export function measureUsage(sqlite: Sqlite): StoreUsage {
  return sqlite.read(() => {
    const chunks = readChunks(sqlite);
    const tensors = readTensors(sqlite, chunks.order);
    const size = chunks.order.ids.length;
    const users: Users = { current: new Uint32Array(size), history: new Uint32Array(size) };
    const marker = new Marker(sqlite, chunks, tensors, users);
    const names = sqlite.tuples<[number, string]>(
      "SELECT dataset, name FROM dataset WHERE name IS NOT NULL ORDER BY dataset",
    );
    const uses = names.map(([dataset]) => marker.dataset(dataset));
    const chains = new Map(sqlite.tuples<[number, string]>("SELECT chain, codes FROM chain"));
    // Datasets come in the order of their ids: the first to take its part of a chunk takes the remainder.
    const taken = new Uint8Array(size);
    const datasets = names.map(([dataset, name], at) =>
      share(dataset, name, uses[at]!, chunks, users, taken, chains),
    );
    let frameBytes = 0;
    let unreferencedBytes = 0;
    for (let chunk = 0; chunk < size; chunk += 1) {
      frameBytes += chunks.frameBytes[chunk]!;
      if (users.current[chunk] === 0 && users.history[chunk] === 0) {
        unreferencedBytes += chunks.frameBytes[chunk]!;
      }
    }
    const families = measureFamilies(
      chunks,
      names.map(([, name], at) => ({ name, chunks: uses[at]!.current })),
    );
    return {
      datasets,
      families,
      unreferencedBytes,
      frameBytes,
      chunks: size,
      tensors: tensors.order.ids.length,
    };
  });
}

/** The part of `bytes` that one of `users` pays; the first asked pays the remainder. */
function partOf(bytes: number, users: number, chunk: number, taken: Uint8Array): number {
  if (users === 1) {
    return bytes;
  }
  const part = Math.floor(bytes / users);
  if (taken[chunk] === 1) {
    return part;
  }
  taken[chunk] = 1;
  return bytes - part * (users - 1);
}

/** Sums over chunks, and over those of each chain. */
class Sums {
  rawBytes = 0;
  frameBytes = 0;
  siblingChunks = 0;
  siblingBytes = 0;
  readonly byChain = new Map<number, { chunks: number; rawBytes: number; frameBytes: number }>();

  add(chunks: ChunkCensus, chunk: number): void {
    const frame = chunks.frameBytes[chunk]!;
    const raw = chunks.rawBytes[chunk]!;
    const chain = chunks.chains[chunk]!;
    this.rawBytes += raw;
    this.frameBytes += frame;
    if (chunks.bases[chunk]! >= 0) {
      this.siblingChunks += 1;
      this.siblingBytes += frame;
    }
    let sums = this.byChain.get(chain);
    if (sums === undefined) {
      sums = { chunks: 0, rawBytes: 0, frameBytes: 0 };
      this.byChain.set(chain, sums);
    }
    sums.chunks += 1;
    sums.rawBytes += raw;
    sums.frameBytes += frame;
  }

  /** By the codes: numbers of rows depend on the order in which chains came up. */
  chains(codesOf: ReadonlyMap<number, string>): ChainUsage[] {
    return [...this.byChain]
      .map(([chain, sums]) => ({ codes: codesOf.get(chain) ?? "[]", sums }))
      .sort((a, b) => (a.codes < b.codes ? -1 : 1))
      .map(({ codes, sums }) => ({ chain: chainOf(codes), ...sums }));
  }
}

function share(
  dataset: number,
  name: string,
  uses: Uses,
  chunks: ChunkCensus,
  users: Users,
  taken: Uint8Array,
  chains: ReadonlyMap<number, string>,
): DatasetUsage {
  const sums = new Sums();
  let exclusiveBytes = 0;
  let amortizedBytes = 0;
  let historyBytes = 0;
  const pay = (runs: Runs): void => {
    for (let run = 0; run < runs.length; run += 2) {
      const end = runs[run]! + runs[run + 1]!;
      for (let chunk = runs[run]!; chunk < end; chunk += 1) {
        const frame = chunks.frameBytes[chunk]!;
        const owners = users.current[chunk]!;
        sums.add(chunks, chunk);
        if (owners === 1 && users.history[chunk] === 0) {
          exclusiveBytes += frame;
        }
        amortizedBytes += partOf(frame, owners, chunk, taken);
      }
    }
  };
  pay(uses.current);
  const uniqueRawBytes = sums.rawBytes;
  pay(uses.bases);
  for (let run = 0; run < uses.history.length; run += 2) {
    const end = uses.history[run]! + uses.history[run + 1]!;
    for (let chunk = uses.history[run]!; chunk < end; chunk += 1) {
      if (users.current[chunk] === 0) {
        historyBytes += partOf(chunks.frameBytes[chunk]!, users.history[chunk]!, chunk, taken);
      }
    }
  }
  return {
    dataset,
    name,
    ...uses.totals,
    uniqueRawBytes,
    standaloneBytes: sums.frameBytes,
    exclusiveBytes,
    sharedBytes: sums.frameBytes - exclusiveBytes,
    amortizedBytes,
    historyBytes,
    siblingChunks: sums.siblingChunks,
    siblingBytes: sums.siblingBytes,
    chains: sums.chains(chains),
  };
}
