/**
 * Codes stored chunks anew, slot by slot:
 *
 *   read and decode a batch (worker) -> the chunks become the slot's input -> encode (worker) -> keep what is better -> pack
 *
 * A chunk that is coded against another one may be coded against the same one again, where the policy does that, or by itself. All others
 * are coded by themselves: something may be coded against them.
 */
import {
  CancelledError,
  type CodecPolicy,
  DamageError,
  readFrameHeader,
  usesSiblings,
} from "@tensorcask/codec";
import type { ChunkRow } from "../catalog/catalog.ts";
import { type Slot, siblingRegion } from "../workers/slot.ts";
import type { ChunkRange, EncodeItem } from "../workers/tasks.ts";
import type { ChunkBatch } from "./chunk-batches.ts";
import type { StoreContext } from "./context.ts";
import { placeOf } from "./decoding.ts";
import { GoneError } from "./gone.ts";
import { RecodedPacks } from "./recoded-packs.ts";
import type { LongCallOptions } from "./types.ts";

/** Chunks are looked up in slices of this many. */
const CHUNKS_AT_ONCE = 4096;

/** New frames are committed each time so many bytes of them are there, so that a recompression which is cut short was not for nothing. */
const COMMIT_BYTES = 256 * 1024 * 1024;

/** Times that a chunk is looked up because gc moved it away under the reader. */
const TRIES = 3;

/** What became of the chunks. */
export interface Recoding {
  /** Bytes of the frames that there were. */
  readonly bytesBefore: number;
  /** Ids of chunks that have new frames. */
  readonly moved: ReadonlySet<number>;
  readonly savedBytes: number;
}

export class Recoder {
  readonly #context: StoreContext;
  readonly #policy: CodecPolicy;
  readonly #options: LongCallOptions;
  readonly #packs: RecodedPacks;
  #total = 0;
  #done = 0;
  #bytesBefore = 0;

  constructor(context: StoreContext, policy: CodecPolicy, options: LongCallOptions) {
    this.#context = context;
    this.#policy = policy;
    this.#options = options;
    this.#packs = new RecodedPacks(context);
  }

  /** Codes chunks, given by rising ids. */
  async run(chunks: readonly number[]): Promise<Recoding> {
    this.#total = chunks.length;
    for (let at = 0; at < chunks.length; at += CHUNKS_AT_ONCE) {
      await this.#some(chunks.slice(at, at + CHUNKS_AT_ONCE), TRIES);
    }
    await this.#packs.seal();
    await this.#packs.commit(this.#options.signal);
    this.#options.onProgress?.({ phase: "recompress", done: this.#total, total: this.#total });
    const { moved, savedBytes } = this.#packs;
    return { bytesBefore: this.#bytesBefore, moved, savedBytes };
  }

  /** Gives up: what is not committed goes. */
  abandon(): Promise<void> {
    return this.#packs.abandon();
  }

  async #some(ids: readonly number[], tries: number): Promise<void> {
    const { slots, parallelism } = this.#context.pool;
    const again: number[] = [];
    const running = new Set<Promise<void>>();
    let failure: unknown;
    try {
      for (const batch of this.#context.parts.reader.batches(this.#inOrder(ids))) {
        this.#check();
        // A batch takes one slot and gives it back by itself: nobody waits for a slot while holding one.
        while (running.size >= Math.min(parallelism + 1, slots.limit - 1)) await Promise.race(running);
        if (failure !== undefined) break;
        const one = this.#batch(batch, again)
          .catch((error: unknown) => {
            failure ??= error;
          })
          .finally(() => running.delete(one));
        running.add(one);
        if (this.#packs.sealedBytes >= COMMIT_BYTES) await this.#packs.commit(this.#options.signal);
      }
    } finally {
      // Also when it is cancelled: nothing may go on writing behind the caller's back.
      while (running.size > 0) await Promise.all(running);
    }
    if (failure !== undefined) throw failure;
    if (again.length === 0) return;
    if (tries === 1) throw new DamageError("packs", `chunk ${again[0]} is missing with its pack`);
    await this.#some(again, tries - 1);
  }

  /** Rows of the chunks, by pack and offset. Chunks that were collected meanwhile are left out. */
  #inOrder(ids: readonly number[]): ChunkRow[] {
    const { catalog } = this.#context;
    const rows = catalog.read(() => ids.map((id) => catalog.chunk(id)).filter((row) => row !== undefined));
    return rows.sort((a, b) => (a.pack === b.pack ? a.offset - b.offset : a.pack < b.pack ? -1 : 1));
  }

  /** Codes a batch anew; chunks that lie elsewhere by now are added to `again`. */
  async #batch(batch: ChunkBatch, again: number[]): Promise<void> {
    const { pool, parts } = this.#context;
    const slot = await pool.slots.acquire();
    try {
      const { chunks, frames, failures } = await parts.reader.decode(batch, slot, true);
      const [failure] = failures;
      if (failure !== undefined) throw parts.reader.damageOf(failure);
      const rows: ChunkRow[] = [];
      const encode: EncodeItem[] = [];
      for (const row of batch.rows) {
        const frame = frames.get(row.id);
        const chunk = chunks.get(row.id)!;
        if (frame === undefined) {
          again.push(row.id);
          continue;
        }
        const { dtype, chain } = readFrameHeader(frame, placeOf(row));
        if (chain.join() !== row.chain.join())
          throw parts.reader.damageOf({
            row,
            message: `is coded by [${chain}], the catalog says [${row.chain}]`,
          });
        const start = chunk.byteOffset - slot.output.byteOffset;
        encode.push({ start, end: start + chunk.length, dtype: dtype.code, hash: row.hash });
        rows.push(row);
        this.#bytesBefore += row.frameBytes;
      }
      await this.#recode(slot, rows, encode);
      this.#done += rows.length;
      this.#options.onProgress?.({ phase: "recompress", done: this.#done, total: this.#total });
    } finally {
      pool.slots.release(slot);
    }
  }

  async #recode(slot: Slot, rows: readonly ChunkRow[], items: readonly EncodeItem[]): Promise<void> {
    const end = items.reduce((most, item) => Math.max(most, item.end), 0);
    // The frames are not needed any more: their place takes the chunks that are to be coded.
    slot.input.set(slot.output.subarray(0, end));
    const siblings = usesSiblings(this.#policy) ? await this.#siblings(slot, rows) : new Map();
    const encode = items.map((item, index) => ({ ...item, sibling: siblings.get(rows[index]!.sibling) }));
    const lengths = await this.#context.pool.run(
      { kind: "encode", slot, items: encode, policy: this.#policy },
      end,
    );
    await this.#keep(slot.output, lengths, rows);
  }

  /** Reads what chunks are coded against into the slot's region for siblings: where the frame of each lies, by id. */
  async #siblings(slot: Slot, rows: readonly ChunkRow[]): Promise<Map<number | undefined, ChunkRange>> {
    const { catalog } = this.#context;
    const places = new Map<number | undefined, ChunkRange>();
    let at = 0;
    for (const { sibling } of rows) {
      const base = sibling === undefined || places.has(sibling) ? undefined : catalog.chunk(sibling);
      if (base === undefined) continue;
      const region = siblingRegion(slot);
      const frame = await this.#frame(base);
      if (frame === undefined || at + frame.length > region.length) continue;
      region.set(frame, at);
      places.set(base.id, { start: at, end: at + frame.length });
      at += frame.length;
    }
    return places;
  }

  /** A frame; undefined when its chunk was collected: then nothing is coded against it any more. */
  async #frame(row: ChunkRow): Promise<Uint8Array | undefined> {
    try {
      return await this.#context.parts.reader.frame(row);
    } catch (error) {
      if (error instanceof GoneError) return undefined;
      throw error;
    }
  }

  /** Writes the frames that are better than those there are. */
  async #keep(output: Uint8Array, lengths: readonly number[], rows: readonly ChunkRow[]): Promise<void> {
    const better = [];
    let at = 0;
    for (const [index, row] of rows.entries()) {
      const bytes = output.subarray(at, at + lengths[index]!);
      at += bytes.length;
      const { hash, frameBytes, rawBytes, chain, sibling } = readFrameHeader(bytes, "new frame");
      if (!this.#isBetter(row, frameBytes, chain)) continue;
      const facts = { hash, frameBytes, rawBytes, chain, ...(sibling !== undefined && { sibling }) };
      better.push({ row, bytes, facts });
    }
    await this.#packs.write(better);
  }

  #isBetter(row: ChunkRow, frameBytes: number, chain: readonly number[]): boolean {
    if ("auto" in this.#policy) return frameBytes < row.frameBytes;
    const sameChain =
      chain.length === row.chain.length && chain.every((code, index) => code === row.chain[index]);
    return !sameChain || frameBytes !== row.frameBytes;
  }

  #check(): void {
    const { signal } = this.#options;
    if (signal?.aborted) throw new CancelledError("the recompression", { cause: signal.reason });
  }
}
