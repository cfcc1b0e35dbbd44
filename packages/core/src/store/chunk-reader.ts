/**
 * Reads chunks: frames from packs, neighbouring ones in one read, checked and decoded, in worker threads when there is much to do, and the
 * last decoded ones kept. The order of what a caller gets is the order it asked for.
 */
import { CancelledError, DamageError, decodeFrame } from "@tensorcask/codec";
import type { Catalog, ChunkRow } from "../catalog/catalog.ts";
import { RunsBuilder } from "../model/runs.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { Slot } from "../workers/slot.ts";
import type { DecodeItem } from "../workers/tasks.ts";
import { GoneError } from "./gone.ts";
import { recordIdText } from "./record-id.ts";

/** Up to so many decoded bytes are read in the calling thread: handing them over would take longer. */
const INLINE_BYTES = 1024 * 1024;

/** Rows are looked up in slices of this many chunks, so that a long read does not hold all of them. */
const ROWS_AT_ONCE = 512;

/** Frames in one pack with a gap of at most this many bytes between them are read together. */
const JOIN_GAP_BYTES = 16 * 1024;

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

interface Batch {
  /** Index of the first chunk in what was asked for. */
  readonly first: number;
  readonly rows: ChunkRow[];
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
    const row = this.#rows([id])[0]!;
    const frame = await this.#frame(row);
    const bytes = this.#decode(row, frame, false);
    this.#cache.set(id, bytes);
    return bytes;
  }

  /** Visits decoded chunks in order, reading ahead. */
  async each(ids: readonly number[], visit: VisitChunk, options: ReadChunksOptions = {}): Promise<void> {
    if (ids.length === 1 && options.rehash !== true) {
      await visit(0, await this.chunk(ids[0]!));
      return;
    }
    const running: { batch: Batch; slot: Slot; done: Promise<ReadonlyMap<number, Uint8Array>> }[] = [];
    const depth = Math.min(this.#context.pool.parallelism + 1, this.#context.pool.slots.limit - 1);
    const finishFirst = async (): Promise<void> => {
      const { batch, slot, done } = running.shift()!;
      try {
        const decoded = await done;
        for (const [index, row] of batch.rows.entries())
          await visit(batch.first + index, decoded.get(row.id)!);
      } finally {
        this.#context.pool.slots.release(slot);
      }
    };
    try {
      for (const batch of this.#batches(ids)) {
        if (options.signal?.aborted) throw new CancelledError("the read", { cause: options.signal.reason });
        if (running.length >= depth) await finishFirst();
        // Reading ahead must not wait for a slot: readers that hold one each could wait for each other for good.
        let slot =
          running.length === 0
            ? await this.#context.pool.slots.acquire()
            : this.#context.pool.slots.tryAcquire();
        while (slot === undefined) {
          await finishFirst();
          slot =
            running.length === 0
              ? await this.#context.pool.slots.acquire()
              : this.#context.pool.slots.tryAcquire();
        }
        const done = this.#readBatch(batch.rows, slot, options.rehash === true);
        done.catch(() => undefined);
        running.push({ batch, slot, done });
      }
      while (running.length > 0) await finishFirst();
    } finally {
      for (const { slot, done } of running) {
        await done.catch(() => undefined);
        this.#context.pool.slots.release(slot);
      }
    }
  }

  /** Splits what is asked for into batches that fit a slot. */
  *#batches(ids: readonly number[]): Generator<Batch> {
    const inputBytes = this.#context.pool.slots.slotBytes;
    let first = 0;
    let rows: ChunkRow[] = [];
    let frames = 0;
    let raw = 0;
    for (let at = 0; at < ids.length; at += ROWS_AT_ONCE) {
      for (const row of this.#rows(ids.slice(at, at + ROWS_AT_ONCE))) {
        // The gaps that joined reads take along are counted as if there were one before each frame.
        const span = row.frameBytes + JOIN_GAP_BYTES;
        if (rows.length > 0 && (frames + span > inputBytes || raw + row.rawBytes > inputBytes)) {
          yield { first, rows };
          first += rows.length;
          rows = [];
          frames = 0;
          raw = 0;
        }
        rows.push(row);
        frames += span;
        raw += row.rawBytes;
      }
    }
    if (rows.length > 0) yield { first, rows };
  }

  async #readBatch(
    rows: readonly ChunkRow[],
    slot: Slot,
    rehash: boolean,
  ): Promise<ReadonlyMap<number, Uint8Array>> {
    const items: DecodeItem[] = [];
    const decoded = new Map<number, Uint8Array>();
    const wanted: ChunkRow[] = [];
    let target = 0;
    for (const row of rows) {
      if (decoded.has(row.id)) continue;
      decoded.set(row.id, slot.output.subarray(target, target + row.rawBytes));
      target += row.rawBytes;
      wanted.push(row);
    }
    let at = 0;
    for (const span of joinFrames(wanted)) {
      if (!(await this.#readSpan(span, slot.input.subarray(at, at + span.bytes)))) {
        // gc dropped the pack, or it ends early: each frame is looked up again on its own, and may have another length now.
        for (const row of span.rows)
          decoded.get(row.id)!.set(this.#decode(row, await this.#frame(row), rehash));
        continue;
      }
      for (const row of span.rows) {
        const start = at + row.offset - span.offset;
        items.push({
          start,
          end: start + row.frameBytes,
          target: decoded.get(row.id)!.byteOffset - slot.output.byteOffset,
          rawBytes: row.rawBytes,
          hash: row.hash,
          where: placeOf(row),
        });
      }
      at += span.bytes;
    }
    const work = wanted.reduce((sum, row) => sum + row.rawBytes, 0);
    const failures = await this.#context.pool.run(
      { kind: "decode", slot, items, rehash },
      work < INLINE_BYTES ? 0 : work,
    );
    if (failures.length > 0) {
      const { index, message } = failures[0]!;
      const bad = wanted.find((row) => placeOf(row) === items[index]!.where)!;
      throw this.#damage(bad, message);
    }
    return decoded;
  }

  /** Reads frames that lie together; false when the pack is gone or not what it should be. */
  async #readSpan(span: Span, into: Uint8Array): Promise<boolean> {
    try {
      return await this.#context.packs.readInto(span.pack, span.offset, into);
    } catch (error) {
      if (error instanceof DamageError) return false;
      throw error;
    }
  }

  /** The bytes of a frame; looks the chunk up again, once, when its pack is gone. */
  async #frame(row: ChunkRow): Promise<Uint8Array> {
    const frame = await this.#readFrame(row);
    if (frame !== undefined) return frame;
    const again = this.#rows([row.id])[0]!;
    const moved = await this.#readFrame(again);
    if (moved === undefined) throw this.#damage(again, "the pack is missing");
    return moved;
  }

  async #readFrame(row: ChunkRow): Promise<Uint8Array | undefined> {
    try {
      return await this.#context.packs.readRange(row.pack, row.offset, row.frameBytes);
    } catch (error) {
      if (error instanceof DamageError) throw this.#damage(row, error.message, error);
      throw error;
    }
  }

  #decode(row: ChunkRow, frame: Uint8Array, rehash: boolean): Uint8Array {
    try {
      return decodeFrame(frame, placeOf(row), row.hash, { verifyHash: rehash });
    } catch (error) {
      if (error instanceof DamageError) throw this.#damage(row, error.message, error);
      throw error;
    }
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

/** Name of a frame for messages. */
function placeOf(row: ChunkRow): string {
  return `pack ${row.pack} at ${row.offset}`;
}

interface Span {
  readonly pack: string;
  readonly offset: number;
  bytes: number;
  readonly rows: ChunkRow[];
}

/** Reads that cover the frames, in the order given; frames that lie close behind each other share one. */
function joinFrames(rows: readonly ChunkRow[]): Span[] {
  const spans: Span[] = [];
  for (const row of rows) {
    const last = spans.at(-1);
    const gap = last === undefined ? -1 : row.offset - (last.offset + last.bytes);
    if (last !== undefined && last.pack === row.pack && gap >= 0 && gap <= JOIN_GAP_BYTES) {
      last.bytes += gap + row.frameBytes;
      last.rows.push(row);
    } else {
      spans.push({ pack: row.pack, offset: row.offset, bytes: row.frameBytes, rows: [row] });
    }
  }
  return spans;
}

/** Decoded chunks by id, the longest unused first to go. Ids are never reused, so nothing here gets stale. */
class DecodedChunks {
  readonly #limit: number;
  readonly #chunks = new Map<number, Uint8Array>();
  #bytes = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get(id: number): Uint8Array | undefined {
    const bytes = this.#chunks.get(id);
    if (bytes !== undefined) {
      this.#chunks.delete(id);
      this.#chunks.set(id, bytes);
    }
    return bytes;
  }

  set(id: number, bytes: Uint8Array): void {
    if (bytes.length > this.#limit / 4 || this.#chunks.has(id)) return;
    this.#chunks.set(id, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, old] of this.#chunks) {
      if (this.#bytes <= this.#limit) return;
      this.#chunks.delete(oldest);
      this.#bytes -= old.length;
    }
  }
}
