/** Runs of ids: `[first, count, first, count, ...]`, how lists of chunks and tensors are kept. */
import type { Runs as FlatRuns } from "../model/entry.ts";

/** Builds runs from ids in any order; rising neighbours join. */
export class Runs {
  readonly #flat: number[] = [];

  push(id: number): void {
    const flat = this.#flat;
    const last = flat.length - 2;
    if (last >= 0 && flat[last]! + flat[last + 1]! === id) flat[last + 1]! += 1;
    else flat.push(id, 1);
  }

  get flat(): FlatRuns {
    return this.#flat;
  }
}

/** The ids of runs, one by one. */
export function* idsOf(runs: FlatRuns): Generator<number> {
  for (let index = 0; index < runs.length; index += 2) {
    const first = runs[index]!;
    const end = first + runs[index + 1]!;
    for (let id = first; id < end; id++) yield id;
  }
}

/** How many ids there are. */
export function countOf(runs: FlatRuns): number {
  let count = 0;
  for (let index = 1; index < runs.length; index += 2) count += runs[index]!;
  return count;
}

/** The runs of ids from the `from`th to before the `to`th. */
export function sliceRuns(runs: FlatRuns, from: number, to: number): FlatRuns {
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
