/** What stored tensors occupy: the frames that they need, each counted once. */
import type { Catalog, ChunkRow, StoredTensor } from "../catalog/catalog.ts";
import { idsOf, runsOf } from "../model/runs.ts";

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

/** The chunks of many tensors, and those that they are coded against, each once. */
export function neededChunks(catalog: Catalog, tensors: Iterable<number>): ChunkRow[] {
  const rows = catalog.chunks(runsOf(distinctChunks(catalog, tensors)));
  const own = new Set(rows.map(({ id }) => id));
  const bases = new Set<number>();
  for (const { sibling } of rows) if (sibling !== undefined && !own.has(sibling)) bases.add(sibling);
  return [...rows, ...catalog.chunks(runsOf(bases))];
}

/**
 * Bytes of the frames of the chunks of many tensors, shared ones once and in full. Those that some of these are coded against are counted where
 * they are chunks of these tensors, too.
 */
export function tensorFootprint(catalog: Catalog, tensors: Iterable<number>): number {
  const rows = catalog.chunks(runsOf(distinctChunks(catalog, tensors)));
  return rows.reduce((sum, row) => sum + row.frameBytes, 0);
}
