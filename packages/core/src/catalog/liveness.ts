/**
 * What gc may drop: tensors that no row of a live dataset refers to, and chunks that no tensor of the others uses. A chunk in use uses
 * the one that it is coded against. Rows of dropped datasets count for nothing, reaped or not.
 */
import { RunsBuilder } from "../model/runs.ts";
import { forEachFile, forEachRecordTensor, forEachRun, readChunks, readTensors } from "./census.ts";
import type { DeadRows, StagedRow } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";

/** `now` and `stagedMs` in milliseconds: chunks that an import staged less than `stagedMs` ago are spared. */
export interface DeadOptions {
  readonly now: number;
  readonly stagedMs: number;
}

export function findDead(sqlite: Sqlite, { now, stagedMs }: DeadOptions): DeadRows {
  return sqlite.read(() => {
    const chunks = readChunks(sqlite);
    const tensors = readTensors(sqlite, chunks.order);
    const tensorIds = tensors.order.ids;
    const chunkIds = chunks.order.ids;
    const tensorUsed = new Uint8Array(tensorIds.length);
    const chunkUsed = new Uint8Array(chunkIds.length);
    const mark = (ids: readonly number[]): void => {
      for (const id of ids) {
        tensorUsed[tensors.order.place(id)] = 1;
      }
    };
    for (const dataset of sqlite.values<number>("SELECT dataset FROM dataset WHERE name IS NOT NULL")) {
      for (const rows of ["current", "removed"] as const) {
        forEachRecordTensor(sqlite, dataset, rows, mark);
        forEachFile(sqlite, dataset, rows, (_bytes, parts) => mark(parts));
      }
    }
    const use = (first: number, count: number): void => {
      chunkUsed.fill(1, first, first + count);
    };
    const deadTensors = new RunsBuilder();
    for (let place = 0; place < tensorIds.length; place += 1) {
      if (tensorUsed[place] === 1) {
        forEachRun(tensors, place, use);
      } else {
        deadTensors.push(tensorIds[place]!);
      }
    }
    const stagedFirsts: number[] = [];
    for (const { first, count, timeMs } of sqlite.rows<StagedRow>(
      "SELECT first, count, time_ms AS timeMs FROM staged ORDER BY first",
    )) {
      if (now - timeMs >= stagedMs) {
        stagedFirsts.push(first);
      } else {
        chunkUsed.fill(1, firstAtLeast(chunkIds, first), firstAtLeast(chunkIds, first + count));
      }
    }
    const { bases } = chunks;
    // One pass is enough: what a chunk is coded against is coded against nothing.
    for (let place = 0; place < chunkIds.length; place += 1) {
      if (chunkUsed[place] === 1 && bases[place]! >= 0) {
        chunkUsed[bases[place]!] = 1;
      }
    }
    const deadChunks = new RunsBuilder();
    for (const isCoded of [true, false]) {
      for (let place = 0; place < chunkIds.length; place += 1) {
        if (chunkUsed[place] === 0 && bases[place]! >= 0 === isCoded) {
          deadChunks.push(chunkIds[place]!);
        }
      }
    }
    return { tensors: deadTensors.runs, chunks: deadChunks.runs, stagedFirsts };
  });
}

/** The place of the first id that is at least `id`. */
function firstAtLeast(ids: Float64Array, id: number): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ids[middle]! < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
