/**
 * Moves the live frames of packs that hold mostly dead ones into new packs. Frames are copied as they are, not decoded; each is checked on the
 * way, so that gc never gives damage a new checksumless home: a damaged one stays where it is, and its pack with it. A frame that is coded
 * against another chunk names that by its hash, so it does not matter where that one lies or goes.
 *
 * Chunks keep their ids: the operation that places the copies names the ids that are known, and the catalog moves them.
 */
import { equalBytes, MAX_FRAME_BYTES, TensorcaskError, verifyFrame } from "@tensorcask/codec";
import type { Catalog, ChunkRow, PackLiveness } from "../catalog/catalog.ts";
import type { FrameFacts, FramesOp, Op } from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import { PACK_BYTES } from "../pack/pack-header.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import type { Exclusive } from "./committer.ts";
import { isDiskFull } from "./disk-full.ts";
import { planSpans, readSpan } from "./frame-spans.ts";

/** Live frames are read in pieces of this size: some dozens of them at once, yet little memory. */
const READ_BYTES = 4 * 1024 * 1024;

export interface CompactContext {
  readonly catalog: Catalog;
  readonly packs: PackStorage;
}

/** A live frame that could not be moved. */
export interface StuckFrame {
  readonly row: ChunkRow;
  readonly reason: string;
}

export interface CompactResult {
  /** Packs out of which everything live was moved. */
  readonly emptied: readonly PackLiveness[];
  readonly stuck: readonly StuckFrame[];
  /** The disk filled up: what was not moved waits for the next gc. */
  readonly full: boolean;
}

export interface CompactOptions {
  /** Makes packs that small commits go on with: for when the tail pack is among the victims. */
  readonly asTail: boolean;
  /** Called between reads; throws to stop. What was moved stays moved. */
  readonly moved: (bytes: number, pack: string) => void;
}

/** Moves what lives in `victims` to new packs and commits that, a new pack at a time. Under the writer lock. */
export async function compactPacks(
  context: CompactContext,
  exclusive: Exclusive,
  victims: readonly PackLiveness[],
  options: CompactOptions,
): Promise<CompactResult> {
  const mover = new Mover(context, exclusive, options.asTail);
  const read: PackLiveness[] = [];
  const stuck: StuckFrame[] = [];
  let full = false;
  try {
    for (const victim of victims) {
      options.moved(0, victim.name);
      stuck.push(...(await movePack(context, mover, victim, options.moved)));
      read.push(victim);
    }
    await mover.finish();
  } catch (error) {
    await mover.abandon();
    if (!isDiskFull(error)) throw error;
    full = true;
  }
  const left = new Set(stuck.map(({ row }) => row.pack));
  const emptied = read.filter(
    ({ name, pack }) => !left.has(name) && context.catalog.chunksInPack(pack).length === 0,
  );
  return { emptied, stuck, full };
}

async function movePack(
  { catalog, packs }: CompactContext,
  mover: Mover,
  victim: PackLiveness,
  moved: CompactOptions["moved"],
): Promise<StuckFrame[]> {
  const stuck: StuckFrame[] = [];
  let buffer = new Uint8Array(0);
  for (const span of planSpans(catalog.chunksInPack(victim.pack), { maxBytes: READ_BYTES })) {
    if (buffer.length < span.bytes)
      buffer = new Uint8Array(Math.min(Math.max(span.bytes, READ_BYTES), MAX_FRAME_BYTES));
    const frames = await readSpan(packs, victim.name, span, buffer);
    if (frames === undefined) {
      for (const row of span.rows) stuck.push({ row, reason: "the pack is missing" });
      continue;
    }
    const whole: WholeFrame[] = [];
    for (const frame of frames) {
      if (frame.bytes === undefined) {
        stuck.push(frame);
        continue;
      }
      const facts = checkFrame(frame.row, frame.bytes);
      if (typeof facts === "string") stuck.push({ row: frame.row, reason: facts });
      else whole.push({ row: frame.row, bytes: frame.bytes, facts });
    }
    await mover.move(whole);
    moved(
      span.rows.reduce((sum, row) => sum + row.frameBytes, 0),
      victim.name,
    );
  }
  return stuck;
}

/** What the header says of a frame that is whole and is the chunk it should be; else what is wrong. */
export function checkFrame(row: ChunkRow, bytes: Uint8Array): Omit<FrameFacts, "offset"> | string {
  const where = `pack ${row.pack} at ${row.offset}`;
  try {
    const header = verifyFrame(bytes, where);
    const { hash, frameBytes, rawBytes, chain, sibling } = header;
    if (!equalBytes(hash, row.hash)) return "holds another chunk than the catalog says";
    if (rawBytes !== row.rawBytes)
      return `holds a chunk of ${rawBytes} bytes, the catalog says ${row.rawBytes}`;
    if (chain.length !== row.chain.length || chain.some((code, index) => code !== row.chain[index])) {
      return `is coded by [${chain}], the catalog says [${row.chain}]`;
    }
    return { hash, frameBytes, rawBytes, chain, ...(sibling !== undefined && { sibling }) };
  } catch (error) {
    if (!(error instanceof TensorcaskError)) throw error;
    return error.message.startsWith(`${where}: `) ? error.message.slice(where.length + 2) : error.message;
  }
}

interface WholeFrame {
  readonly row: ChunkRow;
  readonly bytes: Uint8Array;
  readonly facts: Omit<FrameFacts, "offset">;
}

/** Appends frames to new packs; each pack is committed when it is full, or at the end. */
class Mover {
  readonly #context: CompactContext;
  readonly #exclusive: Exclusive;
  readonly #asTail: boolean;
  #writer: PackWriter | undefined;
  #ids = new RunsBuilder();
  #facts: FrameFacts[] = [];
  #committing = false;

  constructor(context: CompactContext, exclusive: Exclusive, asTail: boolean) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#asTail = asTail;
  }

  async move(frames: readonly WholeFrame[]): Promise<void> {
    let rest = frames;
    while (rest.length > 0) {
      const { packs } = this.#context;
      this.#writer ??= this.#asTail ? await packs.createTail() : await packs.create();
      const room = PACK_BYTES - this.#writer.bytes;
      let count = 0;
      for (let bytes = 0; count < rest.length; count++) {
        bytes += rest[count]!.bytes.length;
        if (bytes > room && this.#facts.length + count > 0) break;
      }
      await this.#append(this.#writer, rest.slice(0, count));
      rest = rest.slice(count);
      if (rest.length > 0) await this.finish();
    }
  }

  async #append(writer: PackWriter, frames: readonly WholeFrame[]): Promise<void> {
    if (frames.length === 0) return;
    let { offset } = await writer.append(frames.map(({ bytes }) => bytes));
    for (const { row, facts } of frames) {
      this.#ids.push(row.id);
      this.#facts.push({ ...facts, offset });
      offset += facts.frameBytes;
    }
  }

  /** Makes the pack durable, then commits that the chunks lie there now. */
  async finish(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    await writer.seal();
    this.#committing = true;
    const pack = this.#context.catalog.counters().pack;
    const facts = this.#facts;
    const offset = facts[0]!.offset;
    const frames: FramesOp = {
      op: "frames",
      pack,
      offset,
      bytes: writer.bytes - offset,
      chunks: this.#ids.runs,
    };
    const ops: Op[] = [{ op: "pack.add", pack, name: writer.name, tail: this.#asTail }, frames];
    await this.#exclusive.commit(ops, () => facts);
    this.#reset();
  }

  /**
   * Removes the pack that is not committed. One whose commit was tried stays: a failed sync leaves open whether the entry is on the disk, and if
   * it is not, the pack goes with the orphans.
   */
  async abandon(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined || this.#committing) return;
    await writer.discard().catch(() => undefined);
    if (this.#asTail) await this.#context.packs.drop(writer.name).catch(() => false);
    this.#reset();
  }

  #reset(): void {
    this.#writer = undefined;
    this.#ids = new RunsBuilder();
    this.#facts = [];
    this.#committing = false;
  }
}
