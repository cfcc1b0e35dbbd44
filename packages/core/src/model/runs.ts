/**
 * Runs of ids, `[first, count, first, count, ...]`: lists of chunk, tensor and pack ids are long and mostly consecutive.
 */
import type { Runs } from "./entry.ts";

/** Collects ids into runs; ids one above the one before extend the last run. Keeps the order it is given. */
export class RunsBuilder {
  readonly runs: number[] = [];

  push(id: number): void {
    const { runs } = this;
    const end = runs.length;
    if (end > 0 && runs[end - 2]! + runs[end - 1]! === id) {
      runs[end - 1]! += 1;
    } else {
      runs.push(id, 1);
    }
  }
}

/** The ids as runs, in their order. */
export function runsOf(ids: Iterable<number>): number[] {
  const builder = new RunsBuilder();
  for (const id of ids) {
    builder.push(id);
  }
  return builder.runs;
}

/** How many ids the runs hold. */
export function countOfRuns(runs: Runs): number {
  let count = 0;
  for (let at = 1; at < runs.length; at += 2) {
    count += runs[at]!;
  }
  return count;
}

/** The ids of the runs, one by one. */
export function* idsOf(runs: Runs): Generator<number> {
  for (let at = 0; at + 1 < runs.length; at += 2) {
    const first = runs[at]!;
    for (let id = first; id < first + runs[at + 1]!; id += 1) {
      yield id;
    }
  }
}

/** The runs of ids from the `from`th to before the `to`th. */
export function sliceRuns(runs: Runs, from: number, to: number): Runs {
  const slice: number[] = [];
  let position = 0;
  for (let index = 0; index < runs.length && position < to; index += 2) {
    const first = runs[index]!;
    const count = runs[index + 1]!;
    const low = Math.max(from, position);
    const high = Math.min(to, position + count);
    if (low < high) slice.push(first + low - position, high - low);
    position += count;
  }
  return slice;
}
