/**
 * Reads chunks: frames from packs, neighbouring ones in one read, checked and decoded, in worker threads when there is much to do, and the
 * last decoded ones kept. A chunk that is coded against another one takes that one's frame along; in a batch each is read and decoded once.
 * The order of what a caller gets is the order it asked for.
 */
import { CancelledError, DamageError, decodeFrame } from "@tensorcask/codec";
import type { Catalog, ChunkRow } from "../catalog/catalog.ts";
import { RunsBuilder } from "../model/runs.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { Slot } from "../workers/slot.ts";
import type { ChunkRange } from "../workers/tasks.ts";
import { BatchPlanner, type ChunkBatch, type JoinedFrames, joinFrames } from "./chunk-batches.ts";
import { DecodedChunks } from "./decoded-chunks.ts";
import { Decoding, placeOf } from "./decoding.ts";
import { GoneError } from "./gone.ts";
import { recordIdText } from "./record-id.ts";

/** Up to so many decoded bytes are read in the calling thread: handing them over would take longer. */
const INLINE_BYTES = 1024 * 1024;

/** Rows are looked up in slices of this many chunks, so that a long read does not hold all of them. */
const ROWS_AT_ONCE = 512;

/** Times that a chunk is looked up because gc moved it, or what it is coded against, away under the reader. */
const TRIES = 2;

export interface ChunkReaderContext {
  readonly catalog: Catalog;
  readonly packs: PackStorage;
  readonly pool: WorkerPool;
}

export interface ReadChunksOptions {
  readonly signal?: AbortSignal | undefined;
  /** Compare the SHA-256 of every decoded chunk. */
  readonly rehash?: boolean;
}

/** Gets chunks in the order asked for. `bytes` is only valid until the visit is over. */
export type VisitChunk = (index: number, bytes: Uint8Array) => void | Promise<void>;

/** Something that could not be read or decoded: a chunk of a batch, or one that such a chunk is coded against. */
export interface ReadFailure {
  readonly row: ChunkRow;
  readonly message: string;
  /** Where it was looked up again by itself: all that is to say. */
  readonly error?: DamageError;
}

/** A batch in a slot. */
export interface DecodedBatch {
  /** Views of the slot's output, by id. */
  readonly chunks: ReadonlyMap<number, Uint8Array>;
  /** Their frames, views of the slot's input. Those that were looked up again are not among them. */
  readonly frames: ReadonlyMap<number, Uint8Array>;
  readonly failures: readonly ReadFailure[];
  /** Ids of chunks that were collected meanwhile. */
  readonly gone: readonly number[];
}

/** A chunk and what it is coded against. */
interface Pair {
  readonly row: ChunkRow;
  readonly base: ChunkRow | undefined;
}

export class ChunkReader {
  readonly #context: ChunkReaderContext;
  readonly #cache: DecodedChunks;

  constructor(context: ChunkReaderContext, cacheBytes: number) {
    this.#context = context;
    this.#cache = new DecodedChunks(cacheBytes);
  }

  /** One decoded chunk. The bytes may be shared with other readers: do not change them. */
  async chunk(id: number): Promise<Uint8Array> {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const bytes = await this.#alone(id, false);
    this.#cache.set(id, bytes);
    return bytes;
  }

  /** The frame of a chunk as it lies in its pack, unchecked; looked up again, once, when gc moved it. */
  async frame(row: ChunkRow): Promise<Uint8Array> {
    const frame = await this.#readFrame(row);
    if (frame !== undefined) return frame;
    const again = this.#pairs([row.id])[0]!.row;
    const moved = await this.#readFrame(again);
    if (moved === undefined) throw this.#damage(again, "the pack is missing");
    return moved;
  }

  /** Visits decoded chunks in order, reading ahead. */
  async each(ids: readonly number[], visit: VisitChunk, options: ReadChunksOptions = {}): Promise<void> {
    if (ids.length === 1 && options.rehash !== true) {
      await visit(0, await this.chunk(ids[0]!));
      return;
    }
    const { slots, parallelism } = this.#context.pool;
    const running: { batch: ChunkBatch; slot: Slot; done: Promise<DecodedBatch> }[] = [];
    const depth = Math.min(parallelism + 1, slots.limit - 1);
    let index = 0;
    const finishFirst = async (): Promise<void> => {
      const { batch, slot, done } = running.shift()!;
      try {
        const { chunks, failures, gone } = await done;
        const [failure] = failures;
        if (failure !== undefined) throw this.damageOf(failure);
        if (gone.length > 0) throw new GoneError(`chunk ${gone[0]}`);
        for (const row of batch.rows) await visit(index++, chunks.get(row.id)!);
      } finally {
        slots.release(slot);
      }
    };
    try {
      for (const batch of this.#batchesOf(ids)) {
        if (options.signal?.aborted) throw new CancelledError("the read", { cause: options.signal.reason });
        if (running.length >= depth) await finishFirst();
        // Reading ahead must not wait for a slot: readers that hold one each could wait for each other for good.
        let slot = running.length === 0 ? await slots.acquire() : slots.tryAcquire();
        while (slot === undefined) {
          await finishFirst();
          slot = running.length === 0 ? await slots.acquire() : slots.tryAcquire();
        }
        const done = this.decode(batch, slot, options.rehash === true);
        done.catch(() => undefined);
        running.push({ batch, slot, done });
      }
      while (running.length > 0) await finishFirst();
    } finally {
      for (const { slot, done } of running) {
        await done.catch(() => undefined);
        slots.release(slot);
      }
    }
  }

  /** Splits chunks into batches that fit a slot. What is not there any more is left out. */
  *batches(rows: readonly ChunkRow[]): Generator<ChunkBatch> {
    const planner = new BatchPlanner(this.#context.pool.slots.slotBytes);
    for (let at = 0; at < rows.length; at += ROWS_AT_ONCE) {
      const ids = rows.slice(at, at + ROWS_AT_ONCE).map(({ id }) => id);
      const still = this.#context.catalog.read(() =>
        this.#pairs(ids.filter((id) => this.#context.catalog.chunk(id) !== undefined)),
      );
      yield* planned(planner, still);
    }
    const rest = planner.rest();
    if (rest !== undefined) yield rest;
  }

  *#batchesOf(ids: readonly number[]): Generator<ChunkBatch> {
    const planner = new BatchPlanner(this.#context.pool.slots.slotBytes);
    for (let at = 0; at < ids.length; at += ROWS_AT_ONCE) {
      yield* planned(planner, this.#pairs(ids.slice(at, at + ROWS_AT_ONCE)));
    }
    const rest = planner.rest();
    if (rest !== undefined) yield rest;
  }

  /** Reads the frames of a batch into a slot, with those of what they are coded against, and decodes them there. */
  async decode(batch: ChunkBatch, slot: Slot, rehash: boolean): Promise<DecodedBatch> {
    const rows = [...new Map(batch.rows.map((row) => [row.id, row])).values()];
    const chunks = new Map<number, Uint8Array>();
    let target = 0;
    for (const { id, rawBytes } of rows) {
      chunks.set(id, slot.output.subarray(target, target + rawBytes));
      target += rawBytes;
    }
    const bases = [...batch.bases.values()];
    const basePlaces = await this.#readFrames(bases, slot.output);
    const places = await this.#readFrames(rows, slot.input);
    const decoding = new Decoding();
    for (const base of bases) decoding.addBase(base, basePlaces.get(base.id));
    // What has no sibling comes first: it may be one.
    const ordered = [
      ...rows.filter(({ sibling }) => sibling === undefined),
      ...rows.filter(({ sibling }) => sibling !== undefined),
    ];
    const alone: ChunkRow[] = [];
    for (const row of ordered) {
      const at = chunks.get(row.id)!.byteOffset - slot.output.byteOffset;
      if (!decoding.add(row, places.get(row.id), at)) alone.push(row);
    }
    const { items, decoded, work } = decoding;
    const failed = await this.#context.pool.run(
      { kind: "decode", slot, items, rehash },
      work < INLINE_BYTES ? 0 : work,
    );
    const failures: ReadFailure[] = failed.map(({ index, message }) => ({ row: decoded[index]!, message }));
    const frames = new Map<number, Uint8Array>();
    for (const [id, { start, end }] of places) frames.set(id, slot.input.subarray(start, end));
    const gone: number[] = [];
    for (const row of alone) {
      frames.delete(row.id);
      try {
        chunks.get(row.id)!.set(await this.#alone(row.id, rehash));
      } catch (error) {
        if (error instanceof DamageError) failures.push({ row, message: error.message, error });
        else if (error instanceof GoneError) gone.push(row.id);
        else throw error;
      }
    }
    return { chunks, frames, failures, gone };
  }

  /**
   * Reads frames, and tells where in `into` they lie. Frames that are missing from the answer could not be read: gc dropped their pack, or it
   * ends early.
   */
  async #readFrames(rows: readonly ChunkRow[], into: Uint8Array): Promise<Map<number, ChunkRange>> {
    const places = new Map<number, ChunkRange>();
    let at = 0;
    for (const span of joinFrames(rows)) {
      if (!(await this.#readSpan(span, into.subarray(at, at + span.bytes)))) continue;
      for (const { id, offset, frameBytes } of span.rows) {
        const start = at + offset - span.offset;
        places.set(id, { start, end: start + frameBytes });
      }
      at += span.bytes;
    }
    return places;
  }

  /** Reads frames that lie together; false when the pack is gone or not what it should be. */
  async #readSpan(span: JoinedFrames, into: Uint8Array): Promise<boolean> {
    try {
      return await this.#context.packs.readInto(span.pack, span.offset, into);
    } catch (error) {
      if (error instanceof DamageError) return false;
      throw error;
    }
  }

  /** A chunk by itself, decoded in this thread. Looked up again, once, when a pack is gone: both frames may lie elsewhere then. */
  async #alone(id: number, rehash: boolean): Promise<Uint8Array> {
    for (let tries = 1; ; tries++) {
      const { row, base } = this.#pairs([id])[0]!;
      const frame = await this.#readFrame(row);
      const sibling = base && (this.#cache.get(base.id) ?? (await this.#base(base, rehash)));
      if (frame !== undefined && (base === undefined || sibling !== undefined)) {
        return this.#decode(row, frame, rehash, base && { hash: base.hash, bytes: sibling! });
      }
      if (tries === TRIES) throw this.#damage(frame === undefined ? row : base!, "the pack is missing");
    }
  }

  /** What a chunk is coded against, kept for the next one; undefined when its pack is gone. */
  async #base(row: ChunkRow, rehash: boolean): Promise<Uint8Array | undefined> {
    const frame = await this.#readFrame(row);
    if (frame === undefined) return undefined;
    const bytes = this.#decode(row, frame, rehash);
    this.#cache.set(row.id, bytes);
    return bytes;
  }

  async #readFrame(row: ChunkRow): Promise<Uint8Array | undefined> {
    try {
      return await this.#context.packs.readRange(row.pack, row.offset, row.frameBytes);
    } catch (error) {
      if (error instanceof DamageError) throw this.#damage(row, error.message, error);
      throw error;
    }
  }

  #decode(
    row: ChunkRow,
    frame: Uint8Array,
    rehash: boolean,
    sibling?: { readonly hash: Uint8Array; readonly bytes: Uint8Array },
  ): Uint8Array {
    try {
      return decodeFrame(frame, placeOf(row), row.hash, { verifyHash: rehash, sibling });
    } catch (error) {
      if (error instanceof DamageError) throw this.#damage(row, error.message, error);
      throw error;
    }
  }

  /** The chunks of the ids with what they are coded against, of one state of the catalog. */
  #pairs(ids: readonly number[]): Pair[] {
    const { catalog } = this.#context;
    return catalog.read(() => {
      const rows = this.#rows(ids);
      const wanted = new RunsBuilder();
      for (const { sibling } of rows) if (sibling !== undefined) wanted.push(sibling);
      const bases = new Map(catalog.chunks(wanted.runs).map((base) => [base.id, base]));
      return rows.map((row) => ({
        row,
        base: row.sibling === undefined ? undefined : bases.get(row.sibling),
      }));
    });
  }

  #rows(ids: readonly number[]): ChunkRow[] {
    const runs = new RunsBuilder();
    for (const id of ids) runs.push(id);
    try {
      return this.#context.catalog.chunks(runs.runs);
    } catch (error) {
      const missing = ids.find((id) => this.#context.catalog.chunk(id) === undefined);
      if (missing !== undefined) throw new GoneError(`chunk ${missing}`);
      throw error;
    }
  }

  /** The error that says what failed, and which tensors that hits. */
  damageOf({ row, message, error }: ReadFailure): DamageError {
    return error ?? this.#damage(row, message);
  }

  #damage(row: ChunkRow, message: string, cause?: Error): DamageError {
    const tensors = this.#context.catalog.usersOf([row.id], recordIdText);
    const where = placeOf(row);
    const text = message.startsWith(`${where}: `) ? message.slice(where.length + 2) : message;
    const hit =
      tensors.length === 0
        ? ""
        : `; it hits ${tensors.slice(0, 5).join(", ")}${tensors.length > 5 ? ", ..." : ""}`;
    return new DamageError(where, `${text}${hit}`, { tensors, ...(cause !== undefined && { cause }) });
  }
}

/** The full ones of the batches that chunks make. */
function* planned(planner: BatchPlanner, pairs: readonly Pair[]): Generator<ChunkBatch> {
  for (const { row, base } of pairs) {
    const full = planner.add(row, base);
    if (full !== undefined) yield full;
  }
}
