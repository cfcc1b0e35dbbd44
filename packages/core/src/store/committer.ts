/**
 * The one writer of a store in this process. Commits queue up; whoever gets the lock commits as many of them as can share an
 * entry, then the next, until the queue is empty:
 *
 *   lock -> catch up with other processes -> resolve write sets into an entry -> append their frames to the tail pack, fsync
 *        -> append the entry to the journal, fsync (the commit point) -> apply the entry to the catalog -> unlock
 *
 * A failure before the commit point leaves nothing; one behind it (the catalog cannot follow) is mended by the next commit or opening.
 */
import { CancelledError, DamageError, NotFoundError, StorageError } from "@tensorcask/codec";
import type { Catalog, PackRow } from "../catalog/catalog.ts";
import type { Lease, WriterLock } from "../files/lock.ts";
import type { ReserveFile } from "../files/reserve.ts";
import type { Journal } from "../journal/journal.ts";
import type { FrameFacts, FramesOp, JournalPosition, Op } from "../model/entry.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { PackWriter } from "../pack/pack-writer.ts";
import { EntryBuilder } from "./entry-builder.ts";
import { catchUp } from "./recovery.ts";
import { resolveWriteSet } from "./resolve-intents.ts";
import { type Touched, touches } from "./touched.ts";
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
  readonly touched: Touched;
  readonly options: CommitOptions;
  readonly resolve: (result: CommitResult) => void;
  readonly reject: (error: unknown) => void;
  /** Bytes of frames that it brought into its entry, beside bundles that it may share. */
  newBytes: number;
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
  /** Names of tail packs that a write or sync of this process failed on. */
  readonly #abandoned = new Set<string>();

  constructor(context: CommitterContext, defaultWaitMs: number) {
    this.#context = context;
    this.#defaultWaitMs = defaultWaitMs;
  }

  /** Commits a write set; concurrent ones share an entry where they can. */
  commit(writeSet: WriteSet, options: CommitOptions = {}): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        writeSet,
        touched: touches(writeSet),
        options,
        resolve,
        reject,
        newBytes: 0,
      };
      this.#queue.push(waiting);
      options.signal?.addEventListener("abort", () => this.#cancel(waiting), { once: true });
      this.#working ??= this.#work();
    });
  }

  /** Takes a commit back as long as it is only queued. */
  #cancel(waiting: Waiting): void {
    const index = this.#queue.indexOf(waiting);
    if (index < 0) return;
    this.#queue.splice(index, 1);
    waiting.reject(new CancelledError("the commit", { cause: waiting.options.signal?.reason }));
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
      // The catalog may lag behind this process's own commits, too, when it could not take the last one.
      const { catalog, journal } = this.#context;
      if (lease.changedHands || catalog.position().sequence !== journal.position().sequence) {
        await this.#dropTail();
        await catchUp(this.#context, { recover: true });
      }
    } catch (error) {
      // Whoever gets the lock next, this process too, has to catch up again.
      lease.invalidate();
      lease.release();
      throw error;
    }
    return lease;
  }

  async #work(): Promise<void> {
    // Whoever calls in the same turn joins the first entry.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      try {
        await this.#emptyQueue();
      } catch (error) {
        for (const { reject } of this.#queue.splice(0)) reject(error);
      }
    }
    // In the same turn in which the queue was found empty: a commit that comes a moment later must start anew.
    this.#working = undefined;
  }

  async #emptyQueue(): Promise<void> {
    while (this.#queue.length > 0) {
      const first = this.#queue[0]!;
      let lease: Lease;
      try {
        lease = await this.#acquire(first.options);
      } catch (error) {
        // It may have been taken back meanwhile.
        const index = this.#queue.indexOf(first);
        if (index >= 0) this.#queue.splice(index, 1);
        first.reject(error);
        continue;
      }
      try {
        let followed = true;
        while (followed && this.#queue.length > 0) followed = await this.#commitGroup();
        // The catalog could not follow a committed entry: nothing may be resolved against it before it has caught up.
        if (!followed) lease.invalidate();
      } finally {
        lease.release();
      }
    }
  }

  /** Takes from the queue what fits into one entry and commits it. False: the catalog is behind the journal now. */
  async #commitGroup(): Promise<boolean> {
    const group = this.#takeGroup();
    let builder: EntryBuilder | undefined;
    while (group.length > 0 && builder === undefined) builder = this.#resolveGroup(group);
    if (builder === undefined) return true;
    try {
      const result = await this.#commitWithReserve(builder);
      builder.settle();
      // What a single commit bundled is its own; several share their bundles, and none of them counts those.
      for (const { resolve, newBytes } of group)
        resolve(group.length === 1 ? result : { ...result, newBytes });
    } catch (error) {
      for (const { reject } of group) reject(error);
    }
    const { catalog, journal } = this.#context;
    return catalog.position().sequence === journal.position().sequence;
  }

  #takeGroup(): Waiting[] {
    const group: Waiting[] = [];
    const keys = new Set<string>();
    const shared = new Set<string>();
    const exclusive = new Set<string>();
    while (this.#queue.length > 0 && group.length < MAX_GROUP) {
      const { touched } = this.#queue[0]!;
      const overlaps =
        touched.keys.some((key) => keys.has(key)) ||
        touched.shared.some((dataset) => exclusive.has(dataset)) ||
        touched.exclusive.some((dataset) => exclusive.has(dataset) || shared.has(dataset));
      if (overlaps) break;
      for (const key of touched.keys) keys.add(key);
      for (const dataset of touched.shared) shared.add(dataset);
      for (const dataset of touched.exclusive) exclusive.add(dataset);
      group.push(this.#queue.shift()!);
    }
    return group;
  }

  /**
   * Resolves all of a group. One that does not fit in with those before it is put back, with all behind it, to be judged by what those have
   * committed; the first one has nobody before it and is rejected. Undefined: try again with what is left of the group.
   */
  #resolveGroup(group: Waiting[]): EntryBuilder | undefined {
    // One transaction for all look-ups: each of its own would cost as much as the look-up.
    return this.#context.catalog.read(() => this.#resolve(group));
  }

  #resolve(group: Waiting[]): EntryBuilder | undefined {
    const builder = new EntryBuilder(this.#context.catalog);
    for (const [index, waiting] of group.entries()) {
      try {
        const before = builder.newBytes;
        resolveWriteSet(waiting.writeSet, builder);
        waiting.newBytes = builder.newBytes - before;
      } catch (error) {
        if (index > 0) {
          this.#queue.unshift(...group.splice(index));
        } else {
          group.shift();
          waiting.reject(error);
        }
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
    const position = await this.#append(
      ops,
      (op) => {
        const facts = builder.facts(op);
        if (facts === undefined) throw new Error("an entry has frames that its builder does not know");
        return facts;
      },
      // Whoever cleans up after a failure from here on must see that its packs are committed.
      () => builder.settle(),
    );
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
        if (chunk.frame === undefined || !("memory" in chunk.frame))
          throw new Error("a tail chunk has no frame in memory");
        return chunk.frame.memory;
      });
      const { offset } = await tail.writer.append(frames);
      await tail.writer.sync();
      ops.push(builder.tailOp(tail.pack, offset)!);
      return ops;
    } catch (error) {
      // After a failed write or sync nobody knows what the file holds: it is never appended to again.
      if (this.#tail?.writer.failed) this.#abandoned.add(this.#tail.writer.name);
      await this.#dropTail();
      throw error;
    }
  }

  async #openTail(builder: EntryBuilder, ops: Op[]): Promise<{ pack: number; writer: PackWriter }> {
    const { catalog, packs } = this.#context;
    if (this.#tail?.writer.full) await this.#dropTail();
    if (this.#tail === undefined) {
      const row = catalog.tailPack();
      const writer = row && !this.#abandoned.has(row.name) ? await this.#reopenTail(row) : undefined;
      if (writer?.full) await writer.close();
      else if (writer !== undefined) this.#tail = { pack: row!.pack, writer };
    }
    if (this.#tail === undefined) {
      const writer = await packs.createTail();
      this.#tail = { pack: builder.nextPack(), writer };
      ops.push({ op: "pack.add", pack: this.#tail.pack, name: writer.name, tail: true });
    }
    return this.#tail;
  }

  /** The tail pack, cut to what is committed; undefined when it is lost or damaged: then the store goes on with another, and `verify` tells. */
  async #reopenTail({ name, committedBytes }: PackRow): Promise<PackWriter | undefined> {
    try {
      return await this.#context.packs.openTail(name, committedBytes);
    } catch (error) {
      if (!(error instanceof NotFoundError || error instanceof DamageError)) throw error;
      this.#abandoned.add(name);
      return undefined;
    }
  }

  async #dropTail(): Promise<void> {
    const tail = this.#tail;
    this.#tail = undefined;
    await tail?.writer.close().catch(() => undefined);
  }

  /** The commit point, then the catalog. */
  async #append(
    ops: readonly Op[],
    facts: (op: FramesOp) => readonly FrameFacts[],
    committed: () => void = () => undefined,
  ): Promise<JournalPosition> {
    const { catalog, journal } = this.#context;
    const entry = { sequence: journal.position().sequence + 1, timeMs: Date.now(), ops };
    let position: JournalPosition;
    try {
      position = await journal.append(entry);
    } catch (error) {
      await this.#dropTail();
      throw error;
    }
    committed();
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
