/** What two versions hold, chunk by chunk: what both have, what only one has, and what they are coded against. */
import { setImmediate } from "node:timers/promises";
import { byteLength, dtypeOfCode } from "@tensorcask/codec";
import type { RecordRow } from "../catalog/catalog.ts";
import { runsOf } from "../model/runs.ts";
import type { StoreContext } from "./context.ts";
import { type DatasetAt, readAt } from "./dataset-at.ts";
import type { DiffSummary } from "./diff-types.ts";
import { chunksOf } from "./footprint.ts";
import { IdSet } from "./id-set.ts";

/** Records, tensors and chunks that are looked up at once. */
const PAGE_RECORDS = 4096;
const TENSORS_AT_ONCE = 1000;
const CHUNKS_AT_ONCE = 4096;

/** The records of a version in pages, by id. */
export async function* recordPages(
  context: StoreContext,
  at: DatasetAt,
): AsyncGenerator<readonly RecordRow[], void, void> {
  const { dataset, version } = at;
  for (let last: Uint8Array | undefined; ; ) {
    const page = readAt(context, at, () => context.catalog.page({ dataset, version }, last, PAGE_RECORDS));
    yield page;
    if (page.length < PAGE_RECORDS) return;
    last = page.at(-1)!.id;
    // Others get their turn, and a signal is heard.
    await setImmediate();
  }
}

/** The chunks that a version holds, and the bytes of its records as given. */
interface Held {
  readonly chunks: IdSet;
  readonly recordBytes: number;
}

async function heldBy(context: StoreContext, at: DatasetAt, check: () => void): Promise<Held> {
  const { catalog } = context;
  const limits = catalog.counters();
  const tensors = new IdSet(limits.tensor);
  let recordBytes = 0;
  for await (const page of recordPages(context, at)) {
    check();
    for (const { tensor } of page) tensors.add(tensor);
    for (const tensor of readAt(context, at, () => catalog.tensors(page.map((record) => record.tensor))))
      recordBytes += byteLength(dtypeOfCode(tensor.dtype)!, tensor.shape);
  }
  for (const { parts } of readAt(context, at, () => catalog.files(at.dataset, at.version)))
    for (const part of parts) tensors.add(part);
  const chunks = new IdSet(limits.chunk);
  for (const ids of tensors.slices(TENSORS_AT_ONCE)) {
    check();
    for (const tensor of readAt(context, at, () => catalog.tensors(ids)))
      for (const chunk of chunksOf(tensor)) chunks.add(chunk);
    await setImmediate();
  }
  return { chunks, recordBytes };
}

/** Totals over all chunks of both. */
export type HeldSizes = Pick<
  DiffSummary,
  "sharedBytes" | "onlyABytes" | "onlyBBytes" | "differenceRawBytes" | "differenceBytes" | "otherBytes"
> & {
  /** Bytes of the records of both as given. */
  readonly recordBytes: number;
};

/** Measures what both hold. `check` is called now and then; it throws to end the work. */
export async function measureHeld(
  context: StoreContext,
  atA: DatasetAt,
  atB: DatasetAt,
  check: () => void,
): Promise<HeldSizes> {
  const { catalog } = context;
  const a = await heldBy(context, atA, check);
  const b = await heldBy(context, atB, check);
  const bases = new IdSet(catalog.counters().chunk);
  const sizes = {
    sharedBytes: 0,
    onlyABytes: 0,
    onlyBBytes: 0,
    differenceRawBytes: 0,
    differenceBytes: 0,
    otherBytes: 0,
    recordBytes: a.recordBytes + b.recordBytes,
  };
  for (const ids of a.chunks.slices(CHUNKS_AT_ONCE, b.chunks)) {
    check();
    const rows = readAt(context, atA, () => readAt(context, atB, () => catalog.chunks(runsOf(ids))));
    for (const { id, frameBytes, rawBytes, sibling } of rows) {
      const inA = a.chunks.has(id);
      const inB = b.chunks.has(id);
      if (inA && inB) sizes.sharedBytes += frameBytes;
      else if (inA) sizes.onlyABytes += frameBytes;
      else sizes.onlyBBytes += frameBytes;
      if (sibling === undefined) continue;
      if (!a.chunks.has(sibling) && !b.chunks.has(sibling)) bases.add(sibling);
      else if (inA !== inB && (inA ? b : a).chunks.has(sibling)) {
        sizes.differenceRawBytes += rawBytes;
        sizes.differenceBytes += frameBytes;
      }
    }
    await setImmediate();
  }
  for (const ids of bases.slices(CHUNKS_AT_ONCE)) {
    const rows = readAt(context, atA, () => readAt(context, atB, () => catalog.chunks(runsOf(ids))));
    for (const { frameBytes } of rows) sizes.otherBytes += frameBytes;
  }
  return sizes;
}
