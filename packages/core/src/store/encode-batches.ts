/**
 * Chunks of a slot in batches to be coded, with the frames of the chunks that they may be coded against. A batch fits the slot: its new frames
 * in the output even if nothing gets smaller, the frames of siblings in the region for them. One batch, unless chunks are tiny or
 * siblings large.
 *
 * A chunk is never coded against one that is itself coded against another: then that other one is taken. Siblings may be
 *
 *   stored                      their frames are read
 *   coded earlier in this ingest  their frames are in memory or in a pack of its own
 *   in the same batch           the worker knows what became of them
 *   in an earlier slot, not coded yet  they are waited for: earlier slots never wait for later ones
 */
import { equalBytes, MAX_HEADER_BYTES, readFrameHeader, TensorcaskError } from "@tensorcask/codec";
import type { Catalog, ChunkRow } from "../catalog/catalog.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import { type Slot, siblingRegion } from "../workers/slot.ts";
import type { ChunkRange, EncodeItem } from "../workers/tasks.ts";
import { GoneError } from "./gone.ts";
import { type ChunkRef, chunkId, type PendingChunk, type PendingSibling } from "./pending.ts";

/** A chunk that has to be coded. */
export interface FreshChunk {
  /** Where it lies in the slot's input. */
  readonly range: ChunkRange;
  /** Dtype code. */
  readonly dtype: number;
  readonly chunk: PendingChunk;
  /** What its tensor or run of bytes is coded against, and which of the chunks it is, where it may be coded against another. */
  readonly of: { readonly siblings: ChunkSiblings; readonly index: number } | undefined;
}

/** Finds what the chunks of one tensor, or of a run of opaque bytes, may be coded against. */
export interface ChunkSiblings {
  /** What chunk `index` may be coded against; 0: a chunk on its way that is not known yet. */
  of(index: number): ChunkRef | undefined;
  /** A chunk has been coded against what `of` gave, or plainly though it was given something. */
  coded(against: boolean): void;
}

export interface SiblingSource {
  readonly catalog: Catalog;
  readonly packs: PackStorage;
  /** The bytes of a stored frame, wherever gc has moved it. */
  frame(row: ChunkRow): Promise<Uint8Array>;
}

/** A chunk whose frame is there: stored, or coded in this ingest. */
type Framed = ChunkRow | PendingChunk;

/** What a chunk is coded against: one whose frame is there, or an item of the same batch. */
type Base = { readonly framed: Framed } | { readonly item: number };

/**
 * Cuts chunks into batches. The caller must have coded a batch, and set the frames of its chunks, before it asks for the next one. `before`: all
 * chunks of earlier slots are coded.
 */
export async function* encodeBatches(
  source: SiblingSource,
  slot: Slot,
  fresh: readonly FreshChunk[],
  before: Promise<void>,
): AsyncGenerator<EncodeBatch, void> {
  let batch = new EncodeBatch(slot);
  const here = new Set(fresh.map(({ chunk }) => chunk));
  for (const one of fresh) {
    const base = (): Promise<Base | undefined> => baseOf(one, source.catalog, batch, here, before);
    if (batch.add(one, await base())) continue;
    yield batch;
    batch = new EncodeBatch(slot);
    batch.add(one, await base());
  }
  if (batch.items.length > 0) yield batch;
}

/** What a chunk is to be coded against. */
async function baseOf(
  { of }: FreshChunk,
  catalog: Catalog,
  batch: EncodeBatch,
  here: ReadonlySet<PendingChunk>,
  before: Promise<void>,
): Promise<Base | undefined> {
  if (of === undefined) return undefined;
  let ref = of.siblings.of(of.index);
  if (ref === undefined) return undefined;
  const isOnItsWay = ref === 0 || (typeof ref === "object" && isUnframed(ref) && !here.has(ref));
  if (isOnItsWay) {
    await before;
    ref = of.siblings.of(of.index);
  }
  return ref === undefined || ref === 0 ? undefined : plainBase(ref, catalog, batch);
}

/** The chunk itself, or the one that it is coded against. Undefined when it is gone, or not coded yet. */
function plainBase(ref: ChunkRef, catalog: Catalog, batch: EncodeBatch): Base | undefined {
  if (typeof ref === "object" && ref.id === 0) {
    const item = batch.itemOf(ref);
    if (item !== undefined) return { item };
    if (isUnframed(ref)) return undefined;
    return ref.sibling === undefined ? { framed: ref } : plainBase(ref.sibling.ref, catalog, batch);
  }
  const row = catalog.chunk(chunkId(ref));
  const plain = row?.sibling === undefined ? row : catalog.chunk(row.sibling);
  return plain === undefined || plain.sibling !== undefined ? undefined : { framed: plain };
}

function isUnframed(chunk: PendingChunk): boolean {
  return chunk.id === 0 && chunk.frame === undefined;
}

function isStored(framed: Framed): framed is ChunkRow {
  return "pack" in framed;
}

function referenceTo(framed: Framed): PendingSibling {
  return { ref: isStored(framed) ? framed.id : framed, hash: framed.hash };
}

/** Chunks that are coded together. */
export class EncodeBatch {
  readonly items: EncodeItem[] = [];
  readonly #slot: Slot;
  readonly #fresh: FreshChunk[] = [];
  readonly #bases: (Base | undefined)[] = [];
  readonly #places = new Map<PendingChunk, number>();
  /** Frames of siblings by their chunks. */
  readonly #frames = new Map<number | PendingChunk, { range: ChunkRange; framed: Framed }>();
  #output = 0;
  #region = 0;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  get chunks(): readonly PendingChunk[] {
    return this.#fresh.map(({ chunk }) => chunk);
  }

  /** Bytes of its chunks. */
  get bytes(): number {
    return this.items.reduce((sum, { start, end }) => sum + end - start, 0);
  }

  /** Which item of the batch a chunk is. */
  itemOf(chunk: PendingChunk): number | undefined {
    return this.#places.get(chunk);
  }

  /** Adds a chunk; false when it, or the frame of what it is coded against, does not fit behind the others. */
  add(fresh: FreshChunk, base: Base | undefined): boolean {
    const { range, dtype, chunk } = fresh;
    const most = range.end - range.start + MAX_HEADER_BYTES;
    const isFirst = this.items.length === 0;
    if (!isFirst && this.#output + most > this.#slot.output.length) return false;
    const sibling = base !== undefined && "framed" in base ? this.#place(base.framed) : base;
    if (!isFirst && base !== undefined && sibling === undefined) return false;
    this.#output += most;
    this.#places.set(chunk, this.items.length);
    this.#fresh.push(fresh);
    this.#bases.push(sibling === undefined ? undefined : base);
    this.items.push({ ...range, dtype, hash: chunk.hash, ...(sibling !== undefined && { sibling }) });
    return true;
  }

  /** Reads the frames that chunks are coded against into the slot. What cannot be read is done without. */
  async read(source: SiblingSource): Promise<void> {
    const frames = [...this.#frames.values()];
    const found = await Promise.all(
      frames.map(({ framed, range }) => this.#readFrame(source, framed, range)),
    );
    const missing = new Set(frames.filter((_, index) => !found[index]).map(({ range }) => range));
    if (missing.size === 0) return;
    for (const [index, item] of this.items.entries()) {
      if (item.sibling === undefined || !missing.has(item.sibling as ChunkRange)) continue;
      this.items[index] = { ...item, sibling: undefined };
      this.#bases[index] = undefined;
    }
  }

  /** Tells the tensor of a chunk what became of it; returns what it is coded against by its new frame. */
  settle(index: number, frame: Uint8Array): PendingSibling | undefined {
    const base = this.#bases[index];
    if (base === undefined) return undefined;
    const { sibling } = readFrameHeader(frame, "new frame");
    this.#fresh[index]!.of?.siblings.coded(sibling !== undefined);
    if (sibling === undefined) return undefined;
    if ("framed" in base) return referenceTo(base.framed);
    const { chunk } = this.#fresh[base.item]!;
    return chunk.sibling ?? { ref: chunk, hash: chunk.hash };
  }

  /** Gives a frame its place in the region for siblings; undefined when there is no room left. */
  #place(framed: Framed): ChunkRange | undefined {
    const key = isStored(framed) ? framed.id : framed;
    const placed = this.#frames.get(key);
    if (placed !== undefined) return placed.range;
    const start = this.#region;
    const end = start + framed.frameBytes;
    if (end > this.#slot.output.length) return undefined;
    this.#region = end;
    const range = { start, end };
    this.#frames.set(key, { range, framed });
    return range;
  }

  async #readFrame(source: SiblingSource, framed: Framed, { start, end }: ChunkRange): Promise<boolean> {
    const into = siblingRegion(this.#slot).subarray(start, end);
    try {
      if (isStored(framed)) {
        if (!(await source.packs.readInto(framed.pack, framed.offset, into))) {
          // gc moved it.
          const bytes = await source.frame(framed);
          if (bytes.length !== into.length) return false;
          into.set(bytes);
        }
      } else {
        const { frame } = framed;
        if (frame === undefined) return false;
        if ("memory" in frame) into.set(frame.memory);
        else if (!(await frame.pack.read(frame.offset, into))) return false;
      }
      const { hash, sibling } = readFrameHeader(into, "sibling");
      return sibling === undefined && equalBytes(hash, framed.hash);
    } catch (error) {
      if (error instanceof TensorcaskError || error instanceof GoneError) return false;
      throw error;
    }
  }
}
