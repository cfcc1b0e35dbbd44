/**
 * The catalog as journal operations: applied to an empty catalog as a snapshot they give this one again. gc writes them in place of all
 * entries so far.
 *
 * Frames are not described but pointed to, like everywhere in the journal: an operation for each run of frames that lie side by side.
 * Slices hold up to 10,000 rows, so that an entry stays small; the iteration pages inside, and its caller must keep writers out
 * until it ends.
 */
import type { DatasetFacts, FileFacts, FramesOp, Op, RecordFacts, TensorFacts } from "../model/entry.ts";
import { RunsBuilder, runsOf } from "../model/runs.ts";
import { bindable, Chunks, plainBytes } from "./chunks.ts";
import { Datasets } from "./datasets.ts";
import { layoutsOf, partsOf } from "./files.ts";
import type { ChunkRow, DatasetRow, StagedRow } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";
import { readCounters } from "./state.ts";
import { Tensors } from "./tensors.ts";

const SLICE_ROWS = 10_000;
const PAGE_ROWS = 2000;

/** Collects operations into slices by the rows they hold. */
class Slices {
  #ops: Op[] = [];
  #rows = 0;

  /** Adds an operation; gives back a slice when one is full. */
  add(op: Op, rows: number): readonly Op[] | undefined {
    const full = this.#rows > 0 && this.#rows + rows > SLICE_ROWS ? this.rest() : undefined;
    this.#ops.push(op);
    this.#rows += Math.max(1, rows);
    return full;
  }

  rest(): readonly Op[] | undefined {
    const ops = this.#ops;
    this.#ops = [];
    this.#rows = 0;
    return ops.length === 0 ? undefined : ops;
  }
}

/** Operations and the number of rows of each. */
type Counted = Generator<readonly [op: Op, rows: number]>;

/** All of the catalog in slices of operations. The last operation sets the counters. */
export function* snapshotOps(sqlite: Sqlite): Generator<readonly Op[]> {
  const slices = new Slices();
  for (const part of [storeOps(sqlite), frameOps(sqlite), tensorOps(sqlite), datasetOps(sqlite)]) {
    for (const [op, rows] of part) {
      const full = slices.add(op, rows);
      if (full !== undefined) {
        yield full;
      }
    }
  }
  slices.add({ op: "counters", next: readCounters(sqlite) }, 0);
  const rest = slices.rest();
  if (rest !== undefined) {
    yield rest;
  }
}

function* storeOps(sqlite: Sqlite): Counted {
  const datasets = new Datasets(sqlite);
  const settings = datasets.settings();
  if (Object.keys(settings).length > 0) {
    yield [{ op: "settings.set", settings }, 1];
  }
  for (const { name, preset } of datasets.presets()) {
    yield [{ op: "preset.set", name, preset }, 1];
  }
  for (const { pack, name, tail } of new Chunks(sqlite).packs()) {
    yield [{ op: "pack.add", pack, name, tail }, 1];
  }
}

function* frameOps(sqlite: Sqlite): Counted {
  const chunks = new Chunks(sqlite);
  const staged = chunks.staged();
  const packs = chunks.packs();
  let isAnyCoded = false;
  for (const { pack, committedBytes } of packs) {
    const all = chunks.inPack(pack);
    const plain = all.filter(({ sibling }) => sibling === undefined);
    isAnyCoded ||= plain.length < all.length;
    yield* framesOfPack(pack, plain, staged);
    const last = all[all.length - 1];
    if ((last === undefined ? 0 : last.offset + last.frameBytes) < committedBytes) {
      // The pack ends in frames of dropped chunks: keep its length, which tells the next writer where to go on.
      yield [{ op: "frames", pack, offset: committedBytes, bytes: 0, chunks: [] }, 1];
    }
  }
  // What is coded against others comes behind them, wherever they lie: slices are applied one after the other.
  for (const { pack } of isAnyCoded ? packs : []) {
    const coded = chunks.inPack(pack).filter(({ sibling }) => sibling !== undefined);
    yield* framesOfPack(pack, coded, staged);
  }
}

/** Runs of adjacent frames; a staged range is an operation of its own, with the time it was staged at. */
function* framesOfPack(
  pack: number,
  chunks: readonly ChunkRow[],
  staged: readonly StagedRow[],
): Generator<readonly [op: FramesOp, rows: number]> {
  let start = 0;
  while (start < chunks.length) {
    const first = chunks[start]!;
    const range = stagedRange(staged, first.id);
    const ids = new RunsBuilder();
    let end = first.offset;
    let at = start;
    for (; at < chunks.length && at - start < SLICE_ROWS; at += 1) {
      const chunk = chunks[at]!;
      if (chunk.offset !== end || stagedRange(staged, chunk.id) !== range) {
        break;
      }
      ids.push(chunk.id);
      end += chunk.frameBytes;
    }
    const op = {
      op: "frames",
      pack,
      offset: first.offset,
      bytes: end - first.offset,
      chunks: ids.runs,
    } as const;
    yield [range === undefined ? op : { ...op, staged: true, timeMs: range.timeMs }, at - start];
    start = at;
  }
}

/** The staged range that holds a chunk; ranges are in rising order and do not overlap. */
function stagedRange(staged: readonly StagedRow[], chunk: number): StagedRow | undefined {
  let low = 0;
  let high = staged.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (staged[middle]!.first <= chunk) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const range = staged[low - 1];
  return range !== undefined && chunk < range.first + range.count ? range : undefined;
}

function* tensorOps(sqlite: Sqlite): Counted {
  const tensors = new Tensors(sqlite);
  for (let last = 0; ; ) {
    const page = tensors.behind(last, PAGE_ROWS);
    if (page.length === 0) {
      return;
    }
    last = page[page.length - 1]!.id;
    const runs = runsOf(page.map(({ id }) => id));
    let at = 0;
    for (let run = 0; run < runs.length; run += 2) {
      const facts = page.slice(at, at + runs[run + 1]!).map(({ id: _, ...rest }): TensorFacts => rest);
      yield [{ op: "tensors.add", first: runs[run]!, tensors: facts }, facts.length];
      at += facts.length;
    }
  }
}

function* datasetOps(sqlite: Sqlite): Counted {
  const datasets = new Datasets(sqlite);
  for (const row of datasets.all().sort((a, b) => a.dataset - b.dataset)) {
    const { version, ...facts } = row;
    yield [{ op: "dataset.add", ...(facts satisfies DatasetFacts) }, 1];
    for (const each of datasets.versions(row.dataset)) {
      const { version: number, timeMs, sequence, note } = each;
      const op = { op: "version", dataset: row.dataset, version: number, timeMs, sequence } as const;
      yield [{ ...op, ...(note === undefined ? {} : { note }) }, 1];
    }
    for (const { tag, version: tagged } of datasets.tags(row.dataset)) {
      yield [{ op: "tag.set", dataset: row.dataset, tag, version: tagged }, 1];
    }
    yield* fileOps(sqlite, row);
    yield* recordOps(sqlite, row);
  }
}

/** The versions of a row, where they differ from the operation's. */
function lifetime(
  added: number,
  removed: number | null,
  version: number,
): { added?: number; removed?: number } {
  return { ...(added === version ? {} : { added }), ...(removed === null ? {} : { removed }) };
}

function* fileOps(sqlite: Sqlite, { dataset, version }: DatasetRow): Counted {
  for (let last = 0; ; ) {
    const page = sqlite.tuples<
      [number, number, string, string, number, Buffer, string, string | null, number, number | null]
    >(
      `SELECT row, file, path, format, bytes, sha256, parts, layouts, added, removed FROM file
       WHERE dataset = ? AND row > ? ORDER BY row LIMIT 500`,
      dataset,
      last,
    );
    const files = page.map(
      ([, file, path, format, bytes, sha256, parts, layouts, added, removed]): FileFacts => ({
        file,
        path,
        format,
        bytes,
        sha256: plainBytes(sha256),
        parts: partsOf(parts),
        ...layoutsOf(layouts),
        ...lifetime(added, removed, version),
      }),
    );
    if (files.length === 0) {
      return;
    }
    yield [{ op: "files.add", dataset, version, files }, files.length];
    last = page[page.length - 1]![0];
  }
}

function* recordOps(sqlite: Sqlite, { dataset, version }: DatasetRow): Counted {
  let lastId: Uint8Array = new Uint8Array(0);
  let lastAdded = 0;
  for (;;) {
    const page = sqlite.tuples<[Buffer, number, number | null, number, number, string | null, string | null]>(
      `SELECT id, added, removed, file, tensor, name, metadata FROM record
       WHERE dataset = ? AND (id, added) > (?, ?) ORDER BY id, added LIMIT ${PAGE_ROWS}`,
      dataset,
      bindable(lastId),
      lastAdded,
    );
    const records = page.map(
      ([id, added, removed, file, tensor, name, metadata]): RecordFacts => ({
        id: plainBytes(id),
        file,
        tensor,
        ...(name === null ? {} : { name }),
        ...(metadata === null ? {} : { metadata: JSON.parse(metadata) }),
        ...lifetime(added, removed, version),
      }),
    );
    const last = page[page.length - 1];
    if (last === undefined) {
      return;
    }
    yield [{ op: "records.add", dataset, version, records }, records.length];
    [lastId, lastAdded] = last;
  }
}
