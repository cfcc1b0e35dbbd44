/**
 * Packs of frames that take the places of others: written without the lock, sealed when they are full, and named by an entry that moves the
 * chunks there, as far as nobody moved or dropped them meanwhile.
 */
import type { ChunkRow } from "../catalog/catalog.ts";
import type { FrameFacts, FramesOp, Op } from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import { PACK_BYTES } from "../pack/pack-header.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import type { StoreContext } from "./context.ts";
import { type FrameGroup, StarCheck } from "./star-check.ts";

/** A frame that takes the place of the one that the row names. */
export interface NewFrame {
  readonly row: ChunkRow;
  readonly bytes: Uint8Array;
  readonly facts: Omit<FrameFacts, "offset">;
}

/** A chunk whose new frame waits for its commit. */
interface Recoded {
  /** Where the frame that was coded anew lay: another place means that the chunk was moved or coded anew by others. */
  readonly row: ChunkRow;
  readonly facts: FrameFacts;
  readonly group: FrameGroup | undefined;
}

interface NewPack {
  readonly name: string;
  readonly chunks: Recoded[];
}

export class RecodedPacks {
  /** Ids of chunks that have new frames. */
  readonly moved: Set<number> = new Set();
  savedBytes = 0;
  readonly #context: StoreContext;
  #writer: PackWriter | undefined;
  #pack: NewPack | undefined;
  #sealed: NewPack[] = [];
  #sealedBytes = 0;
  /** Writes are one behind the other. */
  #written: Promise<void> = Promise.resolve();

  constructor(context: StoreContext) {
    this.#context = context;
  }

  /** Bytes of sealed packs that are not committed. */
  get sealedBytes(): number {
    return this.#sealedBytes;
  }

  /** Writes frames. Their bytes may be overwritten when it resolves. Those of a group are committed together or not at all. */
  async write(frames: readonly NewFrame[], group?: FrameGroup): Promise<void> {
    const before = this.#written;
    const writing = (async () => {
      await before;
      await this.#write(frames, group);
    })();
    this.#written = writing.catch(() => undefined);
    await writing;
  }

  async #write(frames: readonly NewFrame[], group: FrameGroup | undefined): Promise<void> {
    if (frames.length === 0) return;
    const bytes = frames.reduce((sum, frame) => sum + frame.bytes.length, 0);
    if (this.#writer !== undefined && this.#writer.bytes + bytes > PACK_BYTES) await this.seal();
    if (this.#writer === undefined) {
      this.#writer = await this.#context.packs.create();
      this.#pack = { name: this.#writer.name, chunks: [] };
    }
    let { offset } = await this.#writer.append(frames.map((frame) => frame.bytes));
    for (const { row, facts } of frames) {
      this.#pack!.chunks.push({ row, facts: { ...facts, offset }, group });
      offset += facts.frameBytes;
    }
  }

  /** Makes what was written durable. */
  async seal(): Promise<void> {
    const writer = this.#writer;
    if (writer === undefined) return;
    await writer.seal();
    this.#writer = undefined;
    this.#sealed.push(this.#pack!);
    this.#sealedBytes += writer.bytes;
  }

  /** Moves the chunks of sealed packs there, those that nobody moved or dropped meanwhile. */
  async commit(signal: AbortSignal | undefined): Promise<void> {
    if (this.#sealed.length === 0) return;
    const packs = this.#sealed;
    await this.#context.parts.committer.exclusive(
      async (exclusive) => {
        const ops: Op[] = [];
        const facts = new Map<FramesOp, FrameFacts[]>();
        const done: Recoded[] = [];
        const check = new StarCheck(this.#context.catalog);
        let pack = this.#context.catalog.counters().pack;
        for (const { name, chunks } of packs) {
          const still = fitting(chunks, check);
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
        for (const { row, facts } of done) {
          this.moved.add(row.id);
          this.savedBytes += row.frameBytes - facts.frameBytes;
        }
        for (const group of new Set(done.map((one) => one.group))) group?.committed();
      },
      { signal },
    );
    const known = new Set(this.#context.catalog.packs().map(({ name }) => name));
    for (const { name } of packs) if (!known.has(name)) await this.#context.packs.drop(name);
  }

  /** Gives up: what is not committed goes. */
  async abandon(): Promise<void> {
    await this.#written;
    await this.#writer?.discard().catch(() => undefined);
    for (const { name } of this.#sealed.splice(0)) await this.#context.packs.drop(name).catch(() => false);
  }
}

/** The chunks of a pack that can be moved there: those that nobody moved or dropped meanwhile, and groups that are still allowed. */
function fitting(chunks: readonly Recoded[], check: StarCheck): Recoded[] {
  const admitted = new Map<FrameGroup, boolean>();
  return chunks.filter(({ row, group }) => {
    // A chunk by itself is coded against what it was coded against: if it is still there, so is that one.
    if (group === undefined) return check.isStill(row);
    const known = admitted.get(group) ?? check.admit(group);
    admitted.set(group, known);
    return known;
  });
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
