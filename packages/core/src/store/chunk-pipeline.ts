/**
 * The pipeline that chunks go through on their way in, a slot at a time and several slots at once:
 *
 *   caller fills a slot -> hash (worker) -> known? reference it -> code the others into frames (worker) -> append the frames, in order
 *
 * Frames wait in memory while they are few, for the commit to append them to the tail pack; once they are more than that, they go to packs of
 * the import's own, written without the lock. Whatever is pending is remembered by hash, so that equal chunks of one import are coded once.
 */
import { CancelledError, type CodecPolicy, readFrameHeader } from "@tensorcask/codec";
import { PACK_BYTES } from "../pack/pack-header.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { Slot } from "../workers/slot.ts";
import { type EncodeBatch, encodeBatches, type FreshChunk, type SiblingSource } from "./encode-batches.ts";
import { type ChunkRef, hashKey, newPendingChunk, type OwnPack, type PendingChunk } from "./pending.ts";

/** Up to so many bytes of frames stay in memory and join the tail pack: a pack of one's own for less would litter the store. */
const IN_MEMORY_BYTES = 8 * 1024 * 1024;

/** Packs that are being made durable at once, at most: so much data may wait in the system's memory for the disk. */
const SEALING_PACKS = 2;

/** What becomes of a chunk once it is hashed. */
export type ChunkSink = (hash: Uint8Array, ref: ChunkRef) => void;

/** A chunk in what was reserved since the last flush. */
export interface PipelineItem {
  readonly start: number;
  readonly end: number;
  /** Dtype code. */
  readonly dtype: number;
  readonly policy: CodecPolicy;
  /** Its tensor, and which of its chunks it is, where it may be coded against another. */
  readonly of?: FreshChunk["of"];
  /** What finds it when others resemble it. */
  readonly features?: Int32Array | undefined;
  readonly sink: ChunkSink;
}

/** New chunks that are stored as differences to others. */
export interface Differences {
  readonly chunks: number;
  readonly rawBytes: number;
  readonly frameBytes: number;
}

export interface PipelineContext extends SiblingSource {
  readonly pool: WorkerPool;
}

export class ChunkPipeline {
  readonly #context: PipelineContext;
  readonly #signal: AbortSignal | undefined;
  readonly #pending = new Map<string, PendingChunk>();
  readonly #running = new Set<Promise<void>>();
  #slot: Slot | undefined;
  #filled = 0;
  #items: PipelineItem[] = [];
  #appended: Promise<void> = Promise.resolve();
  #failure: unknown;
  #inMemory: PendingChunk[] = [];
  #inMemoryBytes = 0;
  #writer: PackWriter | undefined;
  #ownPack: OwnPack | undefined;
  #sealed: OwnPack[] = [];
  readonly #sealing = new Set<Promise<void>>();
  /** Settles when all packs so far are sealed or given up. */
  #lastSealed: Promise<void> = Promise.resolve();
  #differences: Differences = { chunks: 0, rawBytes: 0, frameBytes: 0 };

  constructor(context: PipelineContext, signal?: AbortSignal) {
    this.#context = context;
    this.#signal = signal;
  }

  /** Bytes that still fit in the current slot. */
  get room(): number {
    return this.#context.pool.slots.slotBytes - this.#filled;
  }

  get slotBytes(): number {
    return this.#context.pool.slots.slotBytes;
  }

  /** A stretch of the current slot for the caller to fill; hands the slot on first when it does not fit. */
  async reserve(bytes: number): Promise<{ view: Uint8Array; start: number }> {
    this.#check();
    if (bytes > this.slotBytes)
      throw new RangeError(`${bytes} bytes do not fit in a slot of ${this.slotBytes}`);
    if (this.room < bytes) this.flush();
    if (this.#slot === undefined) {
      this.#slot = await this.#context.pool.slots.acquire();
      this.#filled = 0;
    }
    this.#check();
    const start = this.#filled;
    this.#filled += bytes;
    return { view: this.#slot.input.subarray(start, start + bytes), start };
  }

  /** Declares a chunk. */
  chunk(item: PipelineItem): void {
    this.#items.push(item);
  }

  get differences(): Differences {
    return this.#differences;
  }

  /** Hands the current slot on; returns at once. */
  flush(): void {
    const slot = this.#slot;
    if (slot === undefined) return;
    const items = this.#items;
    this.#slot = undefined;
    this.#items = [];
    this.#filled = 0;
    const before = this.#appended;
    const running = this.#process(slot, items, before)
      .catch((error: unknown) => {
        this.#failure ??= error;
      })
      .finally(() => {
        this.#context.pool.slots.release(slot);
        this.#running.delete(running);
      });
    // Appends keep the order of the slots, so that a tensor's chunks get adjacent ids.
    this.#appended = running;
    this.#running.add(running);
  }

  /** Flushes and waits until every chunk has its place. */
  async drain(): Promise<void> {
    this.flush();
    while (this.#running.size > 0) await Promise.all(this.#running);
    this.#check();
  }

  /** Packs that are full and not committed yet. */
  get sealedPacks(): readonly OwnPack[] {
    return this.#sealed;
  }

  /** Seals the pack being written, too. Call when drained. */
  async sealPacks(): Promise<readonly OwnPack[]> {
    await this.#seal();
    await this.#allSealed();
    this.#check();
    return this.#sealed;
  }

  /** Forgets what a commit put into the catalog, where it will be found from now on. */
  forgetCommitted(): void {
    for (const [key, chunk] of this.#pending) if (chunk.id !== 0) this.#pending.delete(key);
    this.#inMemory = this.#inMemory.filter((chunk) => chunk.id === 0);
    this.#inMemoryBytes = this.#inMemory.reduce((sum, chunk) => sum + chunk.frameBytes, 0);
    this.#sealed = this.#sealed.filter((pack) => pack.chunks.some((chunk) => chunk.id === 0));
  }

  /** Gives up: waits for what runs, removes packs without an entry. */
  async abandon(): Promise<void> {
    if (this.#slot !== undefined) {
      this.#context.pool.slots.release(this.#slot);
      this.#slot = undefined;
      this.#items = [];
    }
    this.#failure ??= new CancelledError("the import");
    while (this.#running.size > 0) await Promise.all(this.#running);
    await this.#allSealed();
    // What cannot be removed is an orphan that gc removes; the failure that led here is the one to report.
    await this.#writer?.discard().catch(() => undefined);
    this.#writer = undefined;
    for (const pack of this.#sealed.splice(0)) {
      // Committed after all: the catalog could not follow, but the journal has it.
      if (pack.chunks.some((chunk) => chunk.id !== 0)) continue;
      await this.#context.packs.drop(pack.name).catch(() => false);
    }
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#signal?.aborted) throw new CancelledError("the import", { cause: this.#signal.reason });
  }

  async #process(slot: Slot, items: readonly PipelineItem[], before: Promise<void>): Promise<void> {
    const { pool } = this.#context;
    const bytes = items.reduce((sum, item) => sum + item.end - item.start, 0);
    const ranges = items.map(({ start, end }) => ({ start, end }));
    const hashes = await pool.run({ kind: "hash", slot, ranges }, bytes);
    this.#check();
    const fresh = this.#lookUp(items, hashes);
    // One job a policy: nearly always one.
    for (const policy of new Set(fresh.map(({ item }) => item.policy))) {
      const wanted = fresh.filter(({ item }) => item.policy === policy).map(freshChunk);
      for await (const batch of encodeBatches(this.#context, slot, wanted, before)) {
        await batch.read(this.#context);
        const lengths = await pool.run({ kind: "encode", slot, items: batch.items, policy }, batch.bytes);
        await before;
        this.#check();
        await this.#append(slot.output, lengths, batch);
      }
    }
    await before;
  }

  /** Tells every sink what its chunk is; returns those to be coded. */
  #lookUp(items: readonly PipelineItem[], hashes: Uint8Array): { item: PipelineItem; chunk: PendingChunk }[] {
    const fresh: { item: PipelineItem; chunk: PendingChunk }[] = [];
    const asked = items.map((item, index) => {
      const hash = hashes.slice(index * 32, index * 32 + 32);
      return { item, hash, key: hashKey(hash) };
    });
    const unknown = asked.filter(({ key }) => !this.#pending.has(key));
    const rows = this.#context.catalog.resolveChunks(unknown.map(({ hash }) => hash));
    const stored = new Map<string, number>();
    for (const [index, row] of rows.entries()) if (row !== undefined) stored.set(unknown[index]!.key, row.id);
    for (const { item, hash, key } of asked) {
      const known = stored.get(key) ?? this.#pending.get(key);
      if (known !== undefined) {
        item.sink(hash, known);
        continue;
      }
      const chunk = newPendingChunk(hash, item.end - item.start, item.features);
      this.#pending.set(key, chunk);
      fresh.push({ item, chunk });
      item.sink(hash, chunk);
    }
    return fresh;
  }

  async #append(frames: Uint8Array, lengths: readonly number[], batch: EncodeBatch): Promise<void> {
    const { chunks } = batch;
    let at = 0;
    for (const [index, chunk] of chunks.entries()) {
      const frameBytes = lengths[index]!;
      const frame = frames.subarray(at, at + frameBytes);
      chunk.frameBytes = frameBytes;
      chunk.chain = readFrameHeader(frame, "new frame").chain;
      chunk.sibling = batch.settle(index, frame);
      if (chunk.sibling !== undefined) this.#countDifference(chunk);
      at += frameBytes;
    }
    if (
      this.#writer === undefined &&
      this.#sealed.length === 0 &&
      this.#inMemoryBytes + at <= IN_MEMORY_BYTES
    ) {
      let start = 0;
      for (const chunk of chunks) {
        chunk.frame = { memory: frames.slice(start, start + chunk.frameBytes) };
        start += chunk.frameBytes;
        this.#inMemory.push(chunk);
      }
      this.#inMemoryBytes += at;
      return;
    }
    await this.#spill();
    await this.#write([frames.subarray(0, at)], at, chunks);
  }

  #countDifference({ rawBytes, frameBytes }: PendingChunk): void {
    const before = this.#differences;
    this.#differences = {
      chunks: before.chunks + 1,
      rawBytes: before.rawBytes + rawBytes,
      frameBytes: before.frameBytes + frameBytes,
    };
  }

  /** Moves the frames that waited in memory to a pack. */
  async #spill(): Promise<void> {
    const waiting = this.#inMemory;
    if (waiting.length === 0) return;
    const bytes = this.#inMemoryBytes;
    this.#inMemory = [];
    this.#inMemoryBytes = 0;
    const frames = waiting.map((chunk) => (chunk.frame as { memory: Uint8Array }).memory);
    await this.#write(frames, bytes, waiting);
  }

  async #write(frames: readonly Uint8Array[], bytes: number, chunks: readonly PendingChunk[]): Promise<void> {
    if (chunks.length === 0) return;
    if (this.#writer !== undefined && this.#writer.bytes + bytes > PACK_BYTES) await this.#seal();
    this.#writer ??= await this.#context.packs.create();
    this.#ownPack ??= this.#newPack(this.#writer);
    const pack = this.#ownPack;
    let { offset } = await this.#writer.append(frames);
    for (const chunk of chunks) {
      chunk.frame = { pack, offset };
      offset += chunk.frameBytes;
      pack.chunks.push(chunk);
    }
  }

  #newPack(writer: PackWriter): OwnPack {
    const { name } = writer;
    const read = async (offset: number, into: Uint8Array): Promise<boolean> => {
      if (writer.sealed) return this.#context.packs.readInto(name, offset, into);
      await writer.read(offset, into);
      return true;
    };
    return { name, chunks: [], read };
  }

  /** Lets a pack be made durable while the next one is written: the disk works meanwhile, too. */
  async #seal(): Promise<void> {
    const writer = this.#writer;
    const pack = this.#ownPack;
    if (writer === undefined || pack === undefined) return;
    this.#writer = undefined;
    this.#ownPack = undefined;
    while (this.#sealing.size >= SEALING_PACKS) await Promise.race(this.#sealing);
    // A pack may be committed ahead once it is sealed: never before those that its chunks may be coded against.
    const earlier = this.#lastSealed;
    const sealing = writer
      .seal()
      .then(() => earlier)
      .then(() => {
        this.#sealed.push(pack);
      })
      .catch(async (error: unknown) => {
        this.#failure ??= error;
        await writer.discard().catch(() => undefined);
      })
      .finally(() => this.#sealing.delete(sealing));
    this.#lastSealed = sealing;
    this.#sealing.add(sealing);
  }

  async #allSealed(): Promise<void> {
    while (this.#sealing.size > 0) await Promise.all(this.#sealing);
  }
}

function freshChunk({ item, chunk }: { item: PipelineItem; chunk: PendingChunk }): FreshChunk {
  const { start, end, dtype, of } = item;
  return { range: { start, end }, dtype, chunk, of };
}
