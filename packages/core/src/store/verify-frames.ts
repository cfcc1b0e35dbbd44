/**
 * Checks every live frame: that its pack is there, that its checksum holds, and that it is the chunk which the catalog says. Deep, it is decoded
 * too, in the worker threads, and the SHA-256 of the chunk compared. Packs are read in the order of their offsets; what is wrong with one
 * frame does not keep the others from being checked. What is coded against another chunk is read again to be decoded, with that one.
 */
import { decodeFrame, equalBytes, toHex } from "@tensorcask/codec";
import type { ChunkRow, PackRow } from "../catalog/catalog.ts";
import { PACK_HEADER_BYTES, packHeader } from "../pack/pack-header.ts";
import type { Slot } from "../workers/slot.ts";
import type { DecodeItem } from "../workers/tasks.ts";
import { checkFrame } from "./compact-packs.ts";
import type { StoreContext } from "./context.ts";
import { type FrameSpan, planSpans, type ReadFrame, readSpan } from "./frame-spans.ts";
import { type BadChunk, checkSignal, isFinding, type ProblemList } from "./problem-list.ts";
import type { VerifyOptions } from "./types.ts";

/** What was checked, and what is wrong. */
export interface FramesResult {
  readonly chunks: number;
  readonly bytes: number;
  /** Ids of chunks that cannot be relied on. */
  readonly bad: ReadonlySet<number>;
}

/** Bad chunks that are remembered with their reasons; beyond that only their ids are. */
const MAX_REASONS = 2000;

/** How often packs that came meanwhile are looked for. Imports bring new ones all the time, and checking need not keep up with them. */
const MAX_ROUNDS = 3;

/** Checks all live frames. `report` gets the bytes of the frames checked so far. */
export async function verifyFrames(
  context: StoreContext,
  options: VerifyOptions,
  problems: ProblemList,
  report: (bytes: number) => void,
): Promise<FramesResult> {
  const check = new FrameCheck(context, options, problems, report);
  const { catalog } = context;
  await problems.guard("catalog", async () => {
    const seen = new Set<number>();
    // gc may move what was not checked yet to packs that are new: they are looked for until there are none.
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const fresh = catalog.packs().filter(({ pack }) => !seen.has(pack));
      if (fresh.length === 0) break;
      for (const pack of fresh) {
        seen.add(pack.pack);
        await check.pack(pack);
      }
    }
  });
  problems.addChunks(check.reasons, catalog);
  return { chunks: check.chunks, bytes: check.bytes, bad: check.bad };
}

class FrameCheck {
  readonly bad: Set<number> = new Set();
  readonly reasons: BadChunk[] = [];
  chunks = 0;
  bytes = 0;
  readonly #context: StoreContext;
  readonly #options: VerifyOptions;
  readonly #problems: ProblemList;
  readonly #report: (bytes: number) => void;

  constructor(
    context: StoreContext,
    options: VerifyOptions,
    problems: ProblemList,
    report: (bytes: number) => void,
  ) {
    this.#context = context;
    this.#options = options;
    this.#problems = problems;
    this.#report = report;
  }

  async pack(pack: PackRow): Promise<void> {
    const rows = this.#context.catalog.chunksInPack(pack.pack);
    if (rows.length === 0) return;
    await this.#problems.guard(`pack ${pack.name}`, () => this.#header(pack.name));
    const maxBytes = this.#context.pool.slots.slotBytes;
    const spans = planSpans(rows, { maxBytes, maxRawBytes: maxBytes });
    await this.#together(spans, (span, slot) => this.#span(pack.name, span, slot));
    if (this.#options.deep !== true) return;
    // The chunks that these are coded against may lie anywhere.
    const coded = rows.filter(({ id, sibling }) => sibling !== undefined && !this.bad.has(id));
    const { reader } = this.#context.parts;
    await this.#together(reader.batches(coded), async (batch, slot) => {
      const { failures } = await reader.decode(batch, slot, true);
      // What they are coded against is checked where it lies.
      for (const { row, message } of failures) if (!batch.bases.has(row.id)) this.#addBad(row, message);
    });
  }

  /** Works on several items at once, each with a slot of its own. */
  async #together<T>(items: Iterable<T>, work: (item: T, slot: Slot) => Promise<void>): Promise<void> {
    const { slots, parallelism } = this.#context.pool;
    const running = new Set<Promise<void>>();
    let failure: unknown;
    const one = async (item: T): Promise<void> => {
      // Each takes one slot and gives it back by itself, so that nobody waits for a slot while holding one.
      const slot = await slots.acquire();
      try {
        await work(item, slot);
      } catch (error) {
        failure ??= error;
      } finally {
        slots.release(slot);
      }
    };
    try {
      for (const item of items) {
        checkSignal(this.#options);
        while (running.size >= Math.min(parallelism + 1, slots.limit - 1)) await Promise.race(running);
        if (failure !== undefined) break;
        const task = one(item).finally(() => running.delete(task));
        running.add(task);
      }
    } finally {
      while (running.size > 0) await Promise.all(running);
    }
    if (failure !== undefined) throw failure;
  }

  /** All of the header, its reserved bytes too; from the disk, since an open pack was checked when it was opened. */
  async #header(name: string): Promise<void> {
    const found = await this.#context.packs.readRange(name, 0, PACK_HEADER_BYTES);
    // A pack that is gone is met again with its frames.
    if (found === undefined || equalBytes(found, packHeader())) return;
    this.#problems.add(`pack ${name}`, "its header is damaged");
  }

  async #span(pack: string, span: FrameSpan, slot: Slot): Promise<void> {
    const large = span.bytes > slot.input.length;
    const frames = await readSpan(
      this.#context.packs,
      pack,
      span,
      large ? new Uint8Array(span.bytes) : slot.input,
    );
    if (frames === undefined) await this.#moved(span);
    else await this.#frames(frames, large ? undefined : slot);
    this.#report(this.bytes);
  }

  /** The pack is gone: gc moved its frames, or they are lost. */
  async #moved(span: FrameSpan): Promise<void> {
    for (const row of span.rows) {
      const now = this.#context.catalog.chunk(row.id);
      // Dropped meanwhile: nobody needs it.
      if (now === undefined) continue;
      const bytes =
        now.pack === row.pack
          ? undefined
          : await this.#context.packs.readRange(now.pack, now.offset, now.frameBytes);
      await this.#frames(
        [bytes === undefined ? { row: now, bytes, reason: "the pack is missing" } : { row: now, bytes }],
        undefined,
      );
    }
  }

  async #frames(frames: readonly ReadFrame[], slot: Slot | undefined): Promise<void> {
    const whole: { row: ChunkRow; bytes: Uint8Array }[] = [];
    for (const frame of frames) {
      this.chunks += 1;
      this.bytes += frame.row.frameBytes;
      if (frame.bytes === undefined) {
        this.#addBad(frame.row, frame.reason);
        continue;
      }
      const facts = checkFrame(frame.row, frame.bytes);
      const wrong = typeof facts === "string" ? facts : this.#wrongSibling(frame.row, facts.sibling);
      if (wrong !== undefined) this.#addBad(frame.row, wrong);
      else if (frame.row.sibling === undefined) whole.push(frame);
    }
    if (this.#options.deep !== true) return;
    if (slot !== undefined) await this.#decode(whole, slot);
    else for (const { row, bytes } of whole) this.#decodeHere(row, bytes);
  }

  /** What is wrong with what a frame says it is coded against; undefined when it is what the catalog says. */
  #wrongSibling({ id, sibling }: ChunkRow, reference: Uint8Array | undefined): string | undefined {
    if (sibling === undefined || reference === undefined) return undefined;
    const { catalog } = this.#context;
    const base = catalog.chunk(sibling);
    if (base !== undefined && equalBytes(base.hash.subarray(0, reference.length), reference))
      return undefined;
    // Coded anew and collected meanwhile: the next look finds other frames.
    if (catalog.chunk(id)?.sibling !== sibling) return undefined;
    return `is coded against chunk ${toHex(reference)}..., the catalog says against ${base === undefined ? `chunk ${sibling}, which is missing` : toHex(base.hash)}`;
  }

  async #decode(frames: readonly { row: ChunkRow; bytes: Uint8Array }[], slot: Slot): Promise<void> {
    const items: DecodeItem[] = [];
    let target = 0;
    for (const { row, bytes } of frames) {
      const start = bytes.byteOffset - slot.input.byteOffset;
      const { rawBytes, hash } = row;
      items.push({
        start,
        end: start + bytes.length,
        target,
        rawBytes,
        hash,
        where: `pack ${row.pack} at ${row.offset}`,
      });
      target += rawBytes;
    }
    if (items.length === 0) return;
    const failures = await this.#context.pool.run({ kind: "decode", slot, items, rehash: true }, target);
    for (const { index, message } of failures) this.#addBad(frames[index]!.row, message);
  }

  #decodeHere(row: ChunkRow, frame: Uint8Array): void {
    try {
      decodeFrame(frame, `pack ${row.pack} at ${row.offset}`, row.hash, { verifyHash: true });
    } catch (error) {
      if (!isFinding(error)) throw error;
      this.#addBad(row, error.message);
    }
  }

  #addBad(row: ChunkRow, message: string): void {
    this.bad.add(row.id);
    if (this.reasons.length < MAX_REASONS)
      this.reasons.push({ id: row.id, pack: row.pack, offset: row.offset, message });
  }
}
