/**
 * The chunks of one journal entry: gives them ids, leaves out what the catalog got meanwhile, and makes the operations that place their frames.
 * Those in packs of an import come first in the entry, then those that join the tail pack.
 */
import { SIBLING_REFERENCE_BYTES } from "@tensorcask/codec";
import type { Catalog, ChunkRow } from "../catalog/catalog.ts";
import type { Counters, FrameFacts, FramesOp, Op } from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import { type ChunkRef, hashKey, type OwnPack, type PendingChunk, type PendingSibling } from "./pending.ts";
import { StaleReferenceError } from "./write-set.ts";

export type MutableCounters = { -readonly [Key in keyof Counters]: Counters[Key] };

export class EntryChunks {
  /** First ids of the runs of chunks that are staged. */
  readonly stagedFirsts: number[] = [];
  /** Operations on packs of imports. */
  readonly packOps: Op[] = [];
  /** Chunks whose frames the commit appends to the tail pack. */
  readonly tail: PendingChunk[] = [];
  readonly #catalog: Catalog;
  readonly #counters: MutableCounters;
  readonly #ids = new Map<PendingChunk, number>();
  readonly #idsByHash = new Map<string, number>();
  readonly #checked = new Set<number>();
  readonly #packs = new Set<OwnPack>();
  readonly #facts = new Map<FramesOp, readonly FrameFacts[]>();
  /** New chunks that are coded against others. */
  readonly #differences = new Set<number>();
  #newBytes = 0;

  constructor(catalog: Catalog, counters: MutableCounters) {
    this.#catalog = catalog;
    this.#counters = counters;
  }

  /** Bytes of new frames. */
  get newBytes(): number {
    return this.#newBytes;
  }

  /** The id of a chunk that is known, or comes with this entry. Throws `StaleReferenceError`. */
  id(ref: ChunkRef): number {
    const id = typeof ref === "number" ? ref : ref.id;
    if (id !== 0) {
      if (!this.#checked.has(id)) {
        if (this.#catalog.chunk(id) === undefined) throw new StaleReferenceError(`chunk ${id}`);
        this.#checked.add(id);
      }
      return id;
    }
    const chunk = ref as PendingChunk;
    const placed = this.#ids.get(chunk);
    if (placed !== undefined) return placed;
    const { frame, sibling } = chunk;
    if (frame === undefined) throw new Error("a chunk came to its commit without a frame");
    if ("pack" in frame) {
      this.pack(frame.pack, false);
      return this.#ids.get(chunk)!;
    }
    const known = this.known(chunk.hash);
    if (known !== undefined) {
      this.#ids.set(chunk, known);
      return known;
    }
    if (typeof sibling?.ref === "object") this.id(sibling.ref);
    return this.addToTail(chunk);
  }

  /** The id of the chunk of this hash, in the catalog or new with this entry. */
  known(hash: Uint8Array): number | undefined {
    return this.#catalog.resolveChunks([hash])[0]?.id ?? this.#idsByHash.get(hashKey(hash));
  }

  /** Takes in a new chunk whose frame is in memory. */
  addToTail(chunk: PendingChunk): number {
    const id = this.#add(chunk);
    this.tail.push(chunk);
    this.#newBytes += chunk.frameBytes;
    return id;
  }

  /** Takes in a pack of an import: every frame in it becomes a chunk, unless another commit brought that chunk meanwhile. */
  pack(pack: OwnPack, staged: boolean): void {
    if (this.#packs.has(pack)) return;
    this.#packs.add(pack);
    for (const chunk of pack.chunks) {
      const before = packOfSibling(chunk);
      if (before !== undefined) this.pack(before, staged);
    }
    const number = this.#counters.pack++;
    const stored = this.#catalog.resolveChunks(pack.chunks.map((chunk) => chunk.hash));
    let run: PendingChunk[] = [];
    const ops: FramesOp[] = [];
    const close = (): void => {
      if (run.length === 0) return;
      const op = this.#framesOp(number, packOffset(run[0]!), run, staged);
      ops.push(op);
      this.#newBytes += op.bytes;
      if (staged) for (let at = 0; at < op.chunks.length; at += 2) this.stagedFirsts.push(op.chunks[at]!);
      run = [];
    };
    for (const [index, chunk] of pack.chunks.entries()) {
      const known = stored[index]?.id ?? this.#idsByHash.get(hashKey(chunk.hash));
      if (known !== undefined) {
        this.#ids.set(chunk, known);
        close();
        continue;
      }
      this.#add(chunk);
      run.push(chunk);
    }
    close();
    // A pack in which nothing is new is left without an entry, and removed with the other orphans.
    if (ops.length > 0)
      this.packOps.push({ op: "pack.add", pack: number, name: pack.name, tail: false }, ...ops);
  }

  /** Places the tail frames: one operation, or none. */
  tailOp(pack: number, offset: number): FramesOp | undefined {
    return this.tail.length === 0 ? undefined : this.#framesOp(pack, offset, this.tail, false);
  }

  /** Facts of the frames of an operation that was made here. */
  facts(op: FramesOp): readonly FrameFacts[] | undefined {
    return this.#facts.get(op);
  }

  /** The entry is committed: everybody who holds a pending chunk learns its id. */
  settle(): void {
    for (const [chunk, id] of this.#ids) chunk.id = id;
  }

  #add(chunk: PendingChunk): number {
    if (chunk.sibling !== undefined) this.#checkSibling(chunk.sibling);
    const id = this.#counters.chunk++;
    this.#ids.set(chunk, id);
    this.#idsByHash.set(hashKey(chunk.hash), id);
    if (chunk.sibling !== undefined) this.#differences.add(id);
    return id;
  }

  /**
   * What a chunk is coded against must be there, before this entry or with it, and not be coded against a third one itself: another commit may
   * have brought the same chunk coded otherwise, or have collected it.
   */
  #checkSibling({ hash }: PendingSibling): void {
    const own = this.#idsByHash.get(hashKey(hash));
    const isThere =
      own === undefined ? isPlain(this.#catalog.resolveChunks([hash])[0]) : !this.#differences.has(own);
    if (!isThere) throw new StaleReferenceError("a chunk that another one is coded against");
  }

  #framesOp(pack: number, offset: number, chunks: readonly PendingChunk[], staged: boolean): FramesOp {
    const ids = new RunsBuilder();
    for (const chunk of chunks) ids.push(this.#ids.get(chunk)!);
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.frameBytes, 0);
    const op: FramesOp = { op: "frames", pack, offset, bytes, chunks: ids.runs, ...(staged && { staged }) };
    this.#facts.set(op, frameFacts(chunks, offset));
    return op;
  }
}

/** The pack of an import that holds what a chunk is coded against, if that is to be committed, too. */
function packOfSibling({ sibling }: PendingChunk): OwnPack | undefined {
  const ref = sibling?.ref;
  if (typeof ref !== "object" || ref.id !== 0 || ref.frame === undefined) return undefined;
  return "pack" in ref.frame ? ref.frame.pack : undefined;
}

function isPlain(row: ChunkRow | undefined): boolean {
  return row !== undefined && row.sibling === undefined;
}

function packOffset(chunk: PendingChunk): number {
  if (chunk.frame === undefined || !("pack" in chunk.frame))
    throw new Error("a frame of a pack lost its place");
  return chunk.frame.offset;
}

function frameFacts(chunks: readonly PendingChunk[], offset: number): FrameFacts[] {
  let at = offset;
  return chunks.map(({ hash, frameBytes, rawBytes, chain, sibling, features }) => {
    const reference = sibling?.hash.subarray(0, SIBLING_REFERENCE_BYTES);
    const facts: FrameFacts = {
      hash,
      offset: at,
      frameBytes,
      rawBytes,
      chain,
      ...(reference && { sibling: reference }),
      ...(features && { features }),
    };
    at += frameBytes;
    return facts;
  });
}
