/** What stored tensors occupy: the frames that they need, each counted once. */
import type { Catalog, StoredTensor } from "../catalog/catalog.ts";
import { idsOf, RunsBuilder } from "../model/runs.ts";

/** Tensors are looked up in slices of this many. */
const TENSORS_AT_ONCE = 1000;

/** Ids of the chunks that a tensor's arrays lie in. */
export function* chunksOf(tensor: StoredTensor): Generator<number> {
  for (const { place } of tensor.arrays) {
    if ("bundle" in place) yield place.bundle;
    else yield* idsOf(place.runs);
  }
}

/** Ids of the chunks of many tensors, each once, rising. */
export function distinctChunks(catalog: Catalog, tensors: Iterable<number>): number[] {
  const chunks = new Set<number>();
  const ids = [...tensors];
  for (let at = 0; at < ids.length; at += TENSORS_AT_ONCE) {
    for (const tensor of catalog.tensors(ids.slice(at, at + TENSORS_AT_ONCE))) {
      for (const chunk of chunksOf(tensor)) chunks.add(chunk);
    }
  }
  return [...chunks].sort((a, b) => a - b);
}

/** Bytes of the frames of many tensors, shared ones once and in full. */
export function tensorFootprint(catalog: Catalog, tensors: Iterable<number>): number {
  const runs = new RunsBuilder();
  for (const chunk of distinctChunks(catalog, tensors)) runs.push(chunk);
  return catalog.chunks(runs.runs).reduce((sum, row) => sum + row.frameBytes, 0);
}
