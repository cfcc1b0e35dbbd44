/**
 * Codes stored chunks anew with the codec of a preset. Tensors stay what they are, and so do chunks: only their frames change, for every dataset that
 * shares them. New frames go to packs of their own without the lock; a commit every 256 MiB then moves the chunks there. The old frames are dead
 * from then on, and gc frees them.
 *
 *   read frames into a slot -> decode (worker) -> the chunks become the slot's input -> encode (worker) -> keep what is better -> pack
 */
import {
  CancelledError,
  type CodecPolicy,
  canonicalJson,
  DamageError,
  dtypeOfCode,
  elementCount,
  type Preset,
  quantizerOf,
  readFrameHeader,
  UsageError,
} from "@tensorcask/codec";
import type { Catalog, ChunkRow, DatasetRow } from "../catalog/catalog.ts";
import type { FrameFacts, FramesOp, Op } from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import { PACK_BYTES } from "../pack/pack-header.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import type { Slot } from "../workers/slot.ts";
import { checkFrame } from "./compact-packs.ts";
import type { StoreContext } from "./context.ts";
import { currentTensors } from "./dataset-tensors.ts";
import { distinctChunks } from "./footprint.ts";
import { type FrameSpan, planSpans, readSpan } from "./frame-spans.ts";
import { recordIdText } from "./record-id.ts";
import type { LongCallOptions, RecompressResult } from "./types.ts";

/** Chunks are looked up in slices of this many. */
const CHUNKS_AT_ONCE = 4096;

/** Tensors are looked up in slices of this many. */
const TENSORS_AT_ONCE = 1000;

/** New frames are committed each time so many bytes of them are there, so that a recompression which is cut short was not for nothing. */
const COMMIT_BYTES = 256 * 1024 * 1024;

/** Times that a chunk is looked up again because gc moved it away under the reader. */
const TRIES = 3;

/**
 * Codes the chunks of a dataset's current version with a preset's codec. A codec that chooses by the data replaces what gets smaller by it; one that
 * was asked for by name replaces everything that it codes differently.
 *
 * Throws `UsageError` when the preset has another quantizer than the stored tensors: that would need their sources.
 */
export async function recompress(
  context: StoreContext,
  dataset: DatasetRow,
  preset: Preset,
  options: LongCallOptions = {},
): Promise<RecompressResult> {
  context.checkWritable();
  const started = performance.now();
  const { catalog } = context;
  const tensors = currentTensors(catalog, dataset);
  checkQuantizer(catalog, tensors, preset);
  const chunks = distinctChunks(catalog, tensors);
  const recoder = new Recoder(context, preset.codec, options);
  try {
    const { bytesBefore } = await recoder.run(chunks);
    const { moved, savedBytes } = recoder;
    return {
      dataset: dataset.name,
      preset: preset.name,
      chunks: chunks.length,
      recoded: moved.size,
      bytesBefore,
      bytesAfter: bytesBefore - savedBytes,
      alsoAffects: alsoAffected(context, dataset, moved),
      seconds: (performance.now() - started) / 1000,
    };
  } catch (error) {
    await recoder.abandon();
    throw error;
  }
}

/** Throws unless the tensors are quantized as the preset would have it, or it has no quantizer. */
function checkQuantizer(catalog: Catalog, tensors: ReadonlySet<number>, { name, quantizer }: Preset): void {
  if (quantizer === undefined) return;
  const { id, parameters } = quantizer;
  const wanted = canonicalJson(parameters);
  const ids = [...tensors];
  for (let at = 0; at < ids.length; at += TENSORS_AT_ONCE) {
    for (const { quantization, dtype, shape, geometry, note } of catalog.tensors(
      ids.slice(at, at + TENSORS_AT_ONCE),
    )) {
      const known = dtypeOfCode(dtype);
      const stays =
        geometry === "content" ||
        known === undefined ||
        !quantizerOf(id).accepts(known) ||
        elementCount(shape) === 0;
      if (quantization === undefined && (stays || note !== undefined)) continue;
      if (quantization?.quantizer === id && canonicalJson(quantization.parameters) === wanted) continue;
      const has =
        quantization === undefined ? "stored without loss" : `quantized by ${quantization.quantizer}`;
      throw new UsageError(
        "preset",
        `${name} quantizes by ${id}, but there are tensors ${has}; recompressing changes codecs only, insert again from the source to change the quantizer`,
      );
    }
  }
}

/** A chunk whose new frame waits for its commit. */
interface Recoded {
  /** Where the frame that was coded anew lay: another place means that the chunk was moved or coded anew by others. */
  readonly row: ChunkRow;
  readonly facts: FrameFacts;
}

interface NewPack {
  readonly name: string;
  readonly chunks: Recoded[];
}

class Recoder {
  /** Ids of chunks that have new frames. */
  readonly moved: Set<number> = new Set();
  savedBytes = 0;
  readonly #context: StoreContext;
  readonly #policy: CodecPolicy;
  readonly #options: LongCallOptions;
  #total = 0;
  #done = 0;
  #bytesBefore = 0;
  #writer: PackWriter | undefined;
  #pack: NewPack | undefined;
  #sealed: NewPack[] = [];
  #sealedBytes = 0;
  /** Writes are one behind the other. */
  #written: Promise<void> = Promise.resolve();

  constructor(context: StoreContext, policy: CodecPolicy, options: LongCallOptions) {
    this.#context = context;
    this.#policy = policy;
    this.#options = options;
  }

  /** Codes chunks, given by rising ids. */
  async run(chunks: readonly number[]): Promise<{ bytesBefore: number }> {
    this.#total = chunks.length;
    for (let at = 0; at < chunks.length; at += CHUNKS_AT_ONCE) {
      await this.#some(chunks.slice(at, at + CHUNKS_AT_ONCE), TRIES);
    }
    await this.#seal();
    await this.#commit();
    this.#options.onProgress?.({ phase: "recompress", done: this.#total, total: this.#total });
    return { bytesBefore: this.#bytesBefore };
  }

  /** Gives up: what is not committed goes. */
  async abandon(): Promise<void> {
    await this.#written.catch(() => undefined);
    await this.#writer?.discard().catch(() => undefined);
    for (const { name } of this.#sealed.splice(0)) await this.#context.packs.drop(name).catch(() => false);
  }

  async #some(ids: readonly number[], tries: number): Promise<void> {
    const { slots, parallelism } = this.#context.pool;
    const gone: number[] = [];
    const running = new Set<Promise<void>>();
    let failure: unknown;
    try {
      for (const { pack, rows } of this.#byPack(ids)) {
        for (const span of planSpans(rows, { maxBytes: slots.slotBytes, maxRawBytes: slots.slotBytes })) {
          this.#check();
          // A span takes one slot and gives it back by itself: nobody waits for a slot while holding one.
          while (running.size >= Math.min(parallelism + 1, slots.limit - 1)) await Promise.race(running);
          if (failure !== undefined) break;
          const one = this.#span(pack, span, gone)
            .catch((error: unknown) => {
              failure ??= error;
            })
            .finally(() => running.delete(one));
          running.add(one);
        }
        if (this.#sealedBytes >= COMMIT_BYTES) await this.#commit();
      }
    } finally {
      // Also when it is cancelled: nothing may go on writing behind the caller's back.
      while (running.size > 0) await Promise.all(running);
    }
    if (failure !== undefined) throw failure;
    if (gone.length === 0) return;
    if (tries === 1) throw new DamageError("packs", `chunk ${gone[0]} is missing with its pack`);
    await this.#some(gone, tries - 1);
  }

  /** Rows of the chunks, by pack and offset. Chunks that were collected meanwhile are left out. */
  #byPack(ids: readonly number[]): { pack: string; rows: ChunkRow[] }[] {
    const packs = new Map<string, ChunkRow[]>();
    this.#context.catalog.read(() => {
      for (const id of ids) {
        const row = this.#context.catalog.chunk(id);
        if (row === undefined) continue;
        const others = packs.get(row.pack);
        if (others === undefined) packs.set(row.pack, [row]);
        else others.push(row);
      }
    });
    return [...packs].map(([pack, rows]) => ({ pack, rows: rows.sort((a, b) => a.offset - b.offset) }));
  }

  async #span(pack: string, span: FrameSpan, gone: number[]): Promise<void> {
    const { slots } = this.#context.pool;
    const slot = await slots.acquire();
    try {
      const buffer = span.bytes > slot.input.length ? new Uint8Array(span.bytes) : slot.input;
      const frames = await readSpan(this.#context.packs, pack, span, buffer);
      if (frames === undefined) {
        for (const { id } of span.rows) gone.push(id);
        return;
      }
      const whole: { row: ChunkRow; bytes: Uint8Array; dtype: number }[] = [];
      for (const frame of frames) {
        const { row, bytes } = frame;
        if (bytes === undefined) throw this.#damage(row, frame.reason);
        const facts = checkFrame(row, bytes);
        if (typeof facts === "string") throw this.#damage(row, facts);
        whole.push({ row, bytes, dtype: readFrameHeader(bytes, placeOf(row)).dtype.code });
        this.#bytesBefore += row.frameBytes;
      }
      await this.#recode(slot, buffer, whole);
      this.#done += whole.length;
      this.#options.onProgress?.({ phase: "recompress", done: this.#done, total: this.#total });
    } finally {
      slots.release(slot);
    }
  }

  async #recode(
    slot: Slot,
    buffer: Uint8Array,
    frames: readonly { row: ChunkRow; bytes: Uint8Array; dtype: number }[],
  ): Promise<void> {
    const { pool } = this.#context;
    let raw = 0;
    const decode = frames.map(({ row, bytes }) => {
      const start = bytes.byteOffset - buffer.byteOffset;
      const target = raw;
      raw += row.rawBytes;
      return {
        start,
        end: start + bytes.length,
        target,
        rawBytes: row.rawBytes,
        hash: row.hash,
        where: placeOf(row),
      };
    });
    const source: Slot = buffer === slot.input ? slot : { input: buffer, output: slot.output };
    const failures = await pool.run({ kind: "decode", slot: source, items: decode, rehash: true }, raw);
    if (failures.length > 0) throw this.#damage(frames[failures[0]!.index]!.row, failures[0]!.message);
    // The frames are not needed any more: their place takes the chunks that are to be coded.
    slot.input.set(slot.output.subarray(0, raw));
    const encode = frames.map(({ row, dtype }, index) => {
      const start = decode[index]!.target;
      return { start, end: start + row.rawBytes, dtype, hash: row.hash };
    });
    const lengths = await pool.run({ kind: "encode", slot, items: encode, policy: this.#policy }, raw);
    const before = this.#written;
    const writing = (async () => {
      await before;
      await this.#keep(
        slot.output,
        lengths,
        frames.map(({ row }) => row),
      );
    })();
    this.#written = writing.catch(() => undefined);
    await writing;
  }

  /** Writes the frames that are better than those there are. */
  async #keep(output: Uint8Array, lengths: readonly number[], rows: readonly ChunkRow[]): Promise<void> {
    const frames: Uint8Array[] = [];
    const kept: { row: ChunkRow; facts: Omit<FrameFacts, "offset"> }[] = [];
    let at = 0;
    let bytes = 0;
    for (const [index, row] of rows.entries()) {
      const frame = output.subarray(at, at + lengths[index]!);
      at += frame.length;
      const { hash, frameBytes, rawBytes, chain } = readFrameHeader(frame, "new frame");
      if (!this.#isBetter(row, frameBytes, chain)) continue;
      frames.push(frame);
      kept.push({ row, facts: { hash, frameBytes, rawBytes, chain } });
      bytes += frameBytes;
    }
    if (frames.length === 0) return;
    if (this.#writer !== undefined && this.#writer.bytes + bytes > PACK_BYTES) await this.#seal();
    if (this.#writer === undefined) {
      this.#writer = await this.#context.packs.create();
      this.#pack = { name: this.#writer.name, chunks: [] };
    }
    let { offset } = await this.#writer.append(frames);
    for (const { row, facts } of kept) {
      this.#pack!.chunks.push({ row, facts: { ...facts, offset } });
      offset += facts.frameBytes;
    }
  }

  #isBetter(row: ChunkRow, frameBytes: number, chain: readonly number[]): boolean {
    if ("auto" in this.#policy) return frameBytes < row.frameBytes;
    const sameChain =
      chain.length === row.chain.length && chain.every((code, index) => code === row.chain[index]);
    return !sameChain || frameBytes !== row.frameBytes;
  }

  async #seal(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    await writer.seal();
    this.#writer = undefined;
    this.#sealed.push(this.#pack!);
    this.#sealedBytes += writer.bytes;
  }

  /** Moves the chunks of sealed packs there, those that nobody moved or dropped meanwhile. */
  async #commit(): Promise<void> {
    if (this.#sealed.length === 0) return;
    const packs = this.#sealed;
    await this.#context.parts.committer.exclusive(
      async (exclusive) => {
        const ops: Op[] = [];
        const facts = new Map<FramesOp, FrameFacts[]>();
        const done: Recoded[] = [];
        let pack = this.#context.catalog.counters().pack;
        for (const { name, chunks } of packs) {
          const still = chunks.filter(({ row }) => this.#isStill(row));
          // With nothing in it, the pack goes as soon as the lock is free.
          if (still.length === 0) continue;
          ops.push({ op: "pack.add", pack, name, tail: false });
          for (const run of adjacent(still)) {
            const op = framesOp(pack, run);
            facts.set(
              op,
              run.map((one) => one.facts),
            );
            ops.push(op);
          }
          pack += 1;
          done.push(...still);
        }
        // From here on the packs may be named by an entry.
        this.#sealed = [];
        this.#sealedBytes = 0;
        if (ops.length > 0) await exclusive.commit(ops, (op) => facts.get(op)!);
        for (const {
          row,
          facts: { frameBytes },
        } of done) {
          this.moved.add(row.id);
          this.savedBytes += row.frameBytes - frameBytes;
        }
      },
      { signal: this.#options.signal },
    );
    const known = new Set(this.#context.catalog.packs().map(({ name }) => name));
    for (const { name } of packs) if (!known.has(name)) await this.#context.packs.drop(name);
  }

  #isStill(row: ChunkRow): boolean {
    const now = this.#context.catalog.chunk(row.id);
    return now !== undefined && now.pack === row.pack && now.offset === row.offset;
  }

  #damage(row: ChunkRow, message: string): DamageError {
    return new DamageError(placeOf(row), message, {
      tensors: this.#context.catalog.usersOf([row.id], recordIdText),
    });
  }

  #check(): void {
    const { signal } = this.#options;
    if (signal?.aborted) throw new CancelledError("the recompression", { cause: signal.reason });
  }
}

function placeOf(row: ChunkRow): string {
  return `pack ${row.pack} at ${row.offset}`;
}

/** Groups frames that lie side by side. */
function adjacent(chunks: readonly Recoded[]): Recoded[][] {
  const runs: Recoded[][] = [];
  let end = -1;
  for (const chunk of chunks) {
    if (chunk.facts.offset === end) runs.at(-1)!.push(chunk);
    else runs.push([chunk]);
    end = chunk.facts.offset + chunk.facts.frameBytes;
  }
  return runs;
}

function framesOp(pack: number, run: readonly Recoded[]): FramesOp {
  const ids = new RunsBuilder();
  for (const { row } of run) ids.push(row.id);
  const bytes = run.reduce((sum, { facts }) => sum + facts.frameBytes, 0);
  return { op: "frames", pack, offset: run[0]!.facts.offset, bytes, chunks: ids.runs };
}

/** Names of the other datasets whose current versions use any of the chunks. */
function alsoAffected(context: StoreContext, dataset: DatasetRow, chunks: ReadonlySet<number>): string[] {
  const { catalog } = context;
  if (chunks.size === 0) return [];
  // Who shares nothing is not looked at any closer.
  const sharing = new Set(
    catalog
      .usage()
      .datasets.filter(({ sharedBytes }) => sharedBytes > 0)
      .map((usage) => usage.dataset),
  );
  if (!sharing.has(dataset.dataset)) return [];
  return catalog
    .datasets()
    .filter((row) => row.dataset !== dataset.dataset && sharing.has(row.dataset))
    .filter((row) => distinctChunks(catalog, currentTensors(catalog, row)).some((chunk) => chunks.has(chunk)))
    .map((row) => row.name);
}
