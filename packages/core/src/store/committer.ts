/**
 * The one writer of a store in this process. Commits queue up; whoever gets the lock commits as many of them as can share an
 * entry, then the next, until the queue is empty:
 *
 *   lock -> catch up with other processes -> resolve write sets into an entry -> append their frames to the tail pack, fsync
 *        -> append the entry to the journal, fsync (the commit point) -> apply the entry to the catalog -> unlock
 *
 * A failure before the commit point leaves nothing; one behind it (the catalog cannot follow) is mended by the next commit or opening.
 */
import { StorageError } from "@tensorcask/codec";
import type { Catalog } from "../catalog/catalog.ts";
import type { Lease, WriterLock } from "../files/lock.ts";
import type { ReserveFile } from "../files/reserve.ts";
import type { Journal } from "../journal/journal.ts";
import type { FrameFacts, FramesOp, JournalPosition, Op } from "../model/entry.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import { EntryBuilder } from "./entry-builder.ts";
import { catchUp } from "./recovery.ts";
import { resolveWriteSet, touches } from "./resolve-intents.ts";
import type { CommitResult, WriteSet } from "./write-set.ts";

/** Write sets that share an entry, at most: bounds the entry and the time that a reader waits for the catalog. */
const MAX_GROUP = 4096;

export interface CommitterContext {
  readonly catalog: Catalog;
  readonly journal: Journal;
  readonly packs: PackStorage;
  readonly lock: WriterLock;
  readonly reserve: ReserveFile;
}

export interface CommitOptions {
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

interface Waiting {
  readonly writeSet: WriteSet;
  readonly keys: readonly string[];
  readonly exclusive: readonly string[];
  readonly options: CommitOptions;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
}

/** What runs alone under the lock (gc, recompress) may do there. */
export interface Exclusive {
  /** Commits operations whose frames, if any, are durable already. */
  commit(ops: readonly Op[], facts: (op: FramesOp) => readonly FrameFacts[]): Promise<JournalPosition>;
  /** The tail pack is to be left alone or rewritten: nobody appends to it any more. */
  closeTail(): Promise<void>;
}

export class Committer {
  readonly #context: CommitterContext;
  readonly #defaultWaitMs: number;
  readonly #queue: Waiting[] = [];
  #working: Promise<void> | undefined;
  #tail: { pack: number; writer: PackWriter } | undefined;

  constructor(context: CommitterContext, defaultWaitMs: number) {
    this.#context = context;
    this.#defaultWaitMs = defaultWaitMs;
  }

  /** Commits a write set; concurrent ones share an entry where they can. */
  commit(writeSet: WriteSet, options: CommitOptions = {}): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ writeSet, ...touches(writeSet), options, resolve, reject });
      this.#working ??= this.#work().finally(() => {
        this.#working = undefined;
      });
    });
  }

  /** Runs something under the lock, after the commits that wait. */
  async exclusive<T>(run: (exclusive: Exclusive) => Promise<T>, options: CommitOptions = {}): Promise<T> {
    await this.#working;
    const lease = await this.#acquire(options);
    try {
      return await run({
        commit: (ops, facts) => this.#append(ops, facts),
        closeTail: () => this.#dropTail(),
      });
    } finally {
      lease.release();
    }
  }

  /** Waits for what is queued. */
  async close(): Promise<void> {
    await this.#working;
    await this.#dropTail();
  }

  async #acquire(options: CommitOptions): Promise<Lease> {
    const { signal } = options;
    const waitMs = options.waitMs ?? this.#defaultWaitMs;
    const lease = await this.#context.lock.acquire({ waitMs, ...(signal !== undefined && { signal }) });
    try {
      if (lease.changedHands) {
        await this.#dropTail();
        await catchUp(this.#context, { recover: true });
      }
    } catch (error) {
      lease.release();
      throw error;
    }
    return lease;
  }

  async #work(): Promise<void> {
    // Whoever calls in the same turn joins the first entry.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      let lease: Lease;
      try {
        lease = await this.#acquire(this.#queue[0]!.options);
      } catch (error) {
        this.#queue.shift()!.reject(error);
        continue;
      }
      try {
        while (this.#queue.length > 0) await this.#commitGroup();
      } finally {
        lease.release();
      }
    }
  }

  /** Takes from the queue what fits into one entry and commits it. */
  async #commitGroup(): Promise<void> {
    const group = this.#takeGroup();
    let builder: EntryBuilder | undefined;
    while (group.length > 0 && builder === undefined) builder = this.#resolveGroup(group);
    if (builder === undefined) return;
    try {
      const result = await this.#commitWithReserve(builder);
      builder.settle();
      for (const { resolve } of group) resolve(result);
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
  }

  #takeGroup(): Waiting[] {
    const group: Waiting[] = [];
    const keys = new Set<string>();
    const datasets = new Set<string>();
    const exclusive = new Set<string>();
    while (this.#queue.length > 0 && group.length < MAX_GROUP) {
      const next = this.#queue[0]!;
      const own = next.keys.map(datasetOfKey);
      const overlaps =
        next.keys.some((key) => keys.has(key)) ||
        own.some((dataset) => exclusive.has(dataset)) ||
        next.exclusive.some((dataset) => exclusive.has(dataset) || datasets.has(dataset));
      if (overlaps) break;
      for (const key of next.keys) keys.add(key);
      for (const dataset of own) datasets.add(dataset);
      for (const dataset of next.exclusive) exclusive.add(dataset);
      group.push(this.#queue.shift()!);
    }
    return group;
  }

  /** Resolves all of a group, or rejects one that cannot be and returns undefined for another try without it. */
  #resolveGroup(group: Waiting[]): EntryBuilder | undefined {
    const builder = new EntryBuilder(this.#context.catalog);
    for (const [index, waiting] of group.entries()) {
      try {
        resolveWriteSet(waiting.writeSet, builder);
      } catch (error) {
        group.splice(index, 1);
        waiting.reject(error);
        return undefined;
      }
    }
    try {
      builder.finish();
    } catch (error) {
      for (const { reject } of group.splice(0)) reject(error);
      return undefined;
    }
    return builder;
  }

  /** Commits; when the disk is full and no frames are to be written (deletes, expiry), gives up the reserve file for it. */
  async #commitWithReserve(builder: EntryBuilder): Promise<CommitResult> {
    try {
      return await this.#commitEntry(builder);
    } catch (error) {
      const full = error instanceof StorageError && (error.code === "ENOSPC" || error.code === "EDQUOT");
      if (!full || builder.newBytes > 0 || !(await this.#context.reserve.release())) throw error;
      return this.#commitEntry(builder);
    }
  }

  async #commitEntry(builder: EntryBuilder): Promise<CommitResult> {
    const { catalog } = this.#context;
    if (builder.isEmpty) {
      return { sequence: catalog.position().sequence, versions: new Map(), newBytes: 0, stagedFirsts: [] };
    }
    const tailOps = await this.#writeTail(builder);
    const ops = builder.entryOps(tailOps);
    const position = await this.#append(ops, (op) => {
      const facts = builder.facts(op);
      if (facts === undefined) throw new Error("an entry has frames that its builder does not know");
      return facts;
    });
    const { versions, newBytes, stagedFirsts } = builder;
    return { sequence: position.sequence, versions, newBytes, stagedFirsts };
  }

  /** Makes the entry's in-memory frames durable in the tail pack. */
  async #writeTail(builder: EntryBuilder): Promise<Op[]> {
    if (builder.tail.length === 0) return [];
    const ops: Op[] = [];
    try {
      const tail = await this.#openTail(builder, ops);
      const frames = builder.tail.map((chunk) => {
        if (chunk.frame === undefined || !("memory" in chunk.frame)) throw new Error("a tail chunk has no frame in memory");
        return chunk.frame.memory;
      });
      const { offset } = await tail.writer.append(frames);
      await tail.writer.sync();
      ops.push(builder.tailOp(tail.pack, offset)!);
      return ops;
    } catch (error) {
      // The tail may hold half a frame now: the next commit opens it again, which cuts it to what is committed.
      await this.#dropTail();
      throw error;
    }
  }

  async #openTail(builder: EntryBuilder, ops: Op[]): Promise<{ pack: number; writer: PackWriter }> {
    const { catalog, packs } = this.#context;
    if (this.#tail?.writer.full) await this.#dropTail();
    if (this.#tail === undefined) {
      const row = catalog.tailPack();
      if (row !== undefined) {
        const writer = await packs.openTail(row.name, row.committedBytes);
        if (writer.full) await writer.close();
        else this.#tail = { pack: row.pack, writer };
      }
    }
    if (this.#tail === undefined) {
      const writer = await packs.createTail();
      this.#tail = { pack: builder.nextPack(), writer };
      ops.push({ op: "pack.add", pack: this.#tail.pack, name: writer.name, tail: true });
    }
    return this.#tail;
  }

  async #dropTail(): Promise<void> {
    const tail = this.#tail;
    this.#tail = undefined;
    await tail?.writer.close().catch(() => undefined);
  }

  /** The commit point, then the catalog. */
  async #append(ops: readonly Op[], facts: (op: FramesOp) => readonly FrameFacts[]): Promise<JournalPosition> {
    const { catalog, journal } = this.#context;
    const entry = { sequence: catalog.position().sequence + 1, timeMs: Date.now(), ops };
    let position: JournalPosition;
    try {
      position = await journal.append(entry);
    } catch (error) {
      await this.#dropTail();
      throw error;
    }
    try {
      catalog.apply(entry, facts, position);
    } catch (error) {
      // Committed all the same. The reserve makes room for the catalog if it was the disk; else the next opening applies the entry.
      await this.#context.reserve.release();
      await catchUp(this.#context, { recover: false }).catch(() => {
        throw error;
      });
    }
    return position;
  }
}

/** The dataset part of a key that `touches` made. */
function datasetOfKey(key: string): string {
  return key.slice(0, key.indexOf("\0"));
}

