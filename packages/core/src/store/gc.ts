/**
 * Garbage collection: old versions expire, what nothing refers to is dropped, packs of which less than half lives (or nine tenths, of little ones) are rewritten, and the journal
 * is written anew as a snapshot. All of it happens under the writer lock, in steps that each leave a whole store:
 *
 *   1 expire versions                            entry
 *   2 reap the rows of dropped datasets          catalog only; rows nobody sees
 *   3 drop dead tensors, chunks, staged ranges   entries
 *   4 copy live frames into new packs            sealed pack, then entry, a pack at a time
 *   5 drop packs in which nothing lives          entry; their files stay
 *   6 snapshot of the journal                    new generation
 *   7 remove the dropped packs' files, then the old generation
 *   8 checkpoint, orphans, reserve
 *
 * The rule behind the order: replaying the journal reads the headers of every frame that an entry places, so a pack's file must not go while any
 * generation that counts names it. What a crash leaves, by where it happens:
 *
 *   in 1-3  entries are there as a whole or not; the next gc goes on. Frames of dropped chunks lie dead in their packs.
 *   in 4    a copied pack without its entry is an orphan, removed after 24 hours. With it, chunks live in the new pack, and
 *           the old frames are dead ones.
 *   in 5-6  packs are dropped in the catalog, their files are still there, and the journal still names them, so replaying works. The next gc finds
 *           files that the catalog does not know, finds them named in the journal, and so writes a snapshot before it removes them.
 *   in 6    the snapshot counts from its rename on. Before, it is a staging file, which recovery removes. After, the catalog's position lies in
 *           the old generation: its sequence and hash are those of the snapshot, so that catching up goes on behind it.
 *   in 7    nothing names the packs any more: files that are left are orphans. A catalog that lost its last transactions (WAL + NORMAL)
 *           is older than the snapshot: catching up starts over from the snapshot. Of old generations only the newest complete one counts.
 *   in 8    nothing is lost but tidiness.
 */
import { setImmediate } from "node:timers/promises";
import { CancelledError } from "@tensorcask/codec";
import type { DeadRows, ExpireOp, PackLiveness } from "../catalog/catalog.ts";
import { JOURNAL_START } from "../journal/journal.ts";
import { parseSegmentName, SNAPSHOT_PART } from "../journal/segment.ts";
import type { FrameFacts, FramesOp, JournalPosition, Op, Runs } from "../model/entry.ts";
import { countOfRuns } from "../model/runs.ts";
import { PACK_HEADER_BYTES } from "../pack/pack-header.ts";
import type { PackFile } from "../pack/pack-storage.ts";
import type { Exclusive } from "./committer.ts";
import { compactPacks, type StuckFrame } from "./compact-packs.ts";
import type { StoreContext } from "./context.ts";
import { directoryBytes, directoryFiles } from "./directory-files.ts";
import { withReserve } from "./disk-full.ts";
import { expiryOps, splitAll } from "./expiry.ts";
import { recordIdText } from "./record-id.ts";
import type { GcOptions, GcResult, VerifyProblem } from "./types.ts";

/** Frames that a long import committed ahead of its last entry, and packs without an entry, are spared for so long. */
export const SPARED_MS: number = 24 * 60 * 60 * 1000;

/** Rows of dropped datasets that one transaction deletes: some milliseconds. */
const REAP_ROWS = 10_000;

/** Runs that one entry drops: what is scattered over a big store would make an entry too large. */
const RUNS_PER_ENTRY = 100_000;

/** A journal whose entries since the last snapshot are longer than that snapshot, and than this, is worth a new one. */
const SMALL_JOURNAL_BYTES = 1024 * 1024;

/** Packs of which less than this part lives are rewritten. */
const REWRITE_BELOW = 1 / 2;

/** Little packs cost little to rewrite: those are, as soon as a noticeable part of them is dead, so that a small store shrinks when it is told to. */
const LITTLE_PACK_BYTES = 16 * 1024 * 1024;
const REWRITE_LITTLE_BELOW = 0.9;

/** Chunks that one error message may be about. */
const NAMED_CHUNKS = 1000;

/** Frees what no kept version uses. */
export async function collectGarbage(context: StoreContext, options: GcOptions = {}): Promise<GcResult> {
  context.checkWritable();
  const started = performance.now();
  const { signal, dryRun = false } = options;
  const found = await context.parts.committer.exclusive(
    (exclusive) => {
      const collection = new Collection(context, exclusive, options);
      return dryRun ? collection.rehearse() : collection.run();
    },
    { signal },
  );
  return { dryRun, ...found, seconds: (performance.now() - started) / 1000 };
}

type Counts = Omit<GcResult, "dryRun" | "seconds">;

/** What is to be done about packs. */
interface PackPlan {
  /** Nothing in them lives. */
  readonly empty: readonly PackLiveness[];
  /** Little in them lives. */
  readonly victims: readonly PackLiveness[];
  /** The tail pack is among them, or there is none. */
  readonly needsTail: boolean;
}

class Collection {
  readonly #context: StoreContext;
  readonly #exclusive: Exclusive;
  readonly #options: GcOptions;

  constructor(context: StoreContext, exclusive: Exclusive, options: GcOptions) {
    this.#context = context;
    this.#exclusive = exclusive;
    this.#options = options;
  }

  /** Counts what `run` would do. */
  async rehearse(): Promise<Counts> {
    const { catalog, packs, parts } = this.#context;
    const { ops, versions } = this.#expiry();
    const bytesBefore = await directoryBytes(parts);
    const found = catalog.rehearseExpiry(ops, { now: Date.now(), stagedMs: SPARED_MS });
    const files = await filesByName(packs.list());
    const { empty, victims } = planPacks(found.packs, files);
    const gone = [...empty, ...victims].reduce((sum, { name }) => sum + (files.get(name)?.bytes ?? 0), 0);
    const copied = victims.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
    return {
      versions,
      tensors: countOfRuns(found.dead.tensors),
      chunks: countOfRuns(found.dead.chunks),
      bytesBefore,
      bytesAfter: bytesBefore - gone + copied + (copied > 0 ? PACK_HEADER_BYTES : 0),
      packsRewritten: victims.length,
      packsRemoved: empty.length + victims.length,
      problems: [],
    };
  }

  async run(): Promise<Counts> {
    const { parts } = this.#context;
    const bytesBefore = await directoryBytes(parts);
    const { ops, versions } = this.#expiry();
    if (ops.length > 0) await this.#commit(ops);
    await this.#reap();
    const dead = await this.#dropDead();
    const { dropped, rewritten, stuck } = await this.#dropPacks();
    const removed = await this.#rewriteJournal(dropped);
    const orphans = await this.#tidy();
    return {
      versions,
      tensors: countOfRuns(dead.tensors),
      chunks: countOfRuns(dead.chunks),
      bytesBefore,
      bytesAfter: await directoryBytes(parts),
      packsRewritten: rewritten,
      packsRemoved: removed + orphans,
      problems: this.#problems(stuck),
    };
  }

  #expiry(): { ops: ExpireOp[]; versions: number } {
    const { catalog, keepVersions } = this.#context;
    const splits = splitAll(catalog, catalog.datasets(), { newestBeside: keepVersions, tagged: true });
    return { ops: expiryOps(splits), versions: splits.reduce((sum, { expired }) => sum + expired.length, 0) };
  }

  async #reap(): Promise<void> {
    while (this.#context.catalog.reap(REAP_ROWS)) {
      this.#check();
      await setImmediate();
    }
  }

  async #dropDead(): Promise<DeadRows> {
    const dead = this.#context.catalog.dead({ now: Date.now(), stagedMs: SPARED_MS });
    for (const tensors of slices(dead.tensors)) await this.#commit([{ op: "tensors.drop", tensors }]);
    if (dead.stagedFirsts.length > 0) await this.#commit([{ op: "staged.drop", firsts: dead.stagedFirsts }]);
    for (const chunks of slices(dead.chunks)) await this.#commit([{ op: "chunks.drop", chunks }]);
    return dead;
  }

  /** Rewrites packs and drops those in which nothing lives, in the journal; their files stay for now. */
  async #dropPacks(): Promise<{ dropped: string[]; rewritten: number; stuck: readonly StuckFrame[] }> {
    const { catalog, packs } = this.#context;
    const { empty, victims, needsTail } = planPacks(
      catalog.packLiveness([]),
      await filesByName(packs.list()),
    );
    if (needsTail) await this.#exclusive.closeTail();
    const total = victims.reduce((sum, { liveBytes }) => sum + liveBytes, 0);
    let done = 0;
    const { emptied, stuck } = await compactPacks(this.#context, this.#exclusive, victims, {
      asTail: needsTail,
      moved: (bytes, item) => {
        this.#check();
        done += bytes;
        this.#options.onProgress?.({ phase: "gc", done, total, item: `pack ${item}` });
      },
    });
    const gone = [...empty, ...emptied];
    if (gone.length > 0) await this.#commit([{ op: "pack.drop", packs: gone.map(({ pack }) => pack) }]);
    return { dropped: gone.map(({ name }) => name), rewritten: emptied.length, stuck };
  }

  /** Writes a snapshot where one is due, then removes what no generation that counts names any more. Returns how many packs. */
  async #rewriteJournal(dropped: readonly string[]): Promise<number> {
    const { catalog, packs, parts } = this.#context;
    const { journal, reserve } = parts;
    const gone = [...dropped, ...(await this.#leftBehind(new Set(dropped)))];
    if (gone.length === 0 && !(await this.#journalIsLong())) return 0;
    this.#check();
    const position: JournalPosition = await withReserve(reserve, () =>
      journal.writeSnapshot(this.#paced(catalog.snapshotEntries()), { timeMs: Date.now() }),
    );
    catalog.moved(position);
    let removed = 0;
    for (const name of gone) if (await packs.drop(name)) removed += 1;
    await journal.dropOldGenerations();
    return removed;
  }

  /** The slices of a snapshot, with a turn for others between them. */
  async *#paced(slices: Iterable<readonly Op[]>): AsyncGenerator<readonly Op[], void> {
    for (const slice of slices) {
      this.#check();
      yield slice;
      await setImmediate();
    }
  }

  /** Packs that an earlier gc dropped but whose files it did not come to remove: in the journal, not in the catalog. */
  async #leftBehind(dropped: ReadonlySet<string>): Promise<string[]> {
    const { catalog, packs, parts } = this.#context;
    const known = new Set(catalog.packs().map(({ name }) => name));
    const files = await packs.list();
    const strangers = new Set(
      files
        .filter(({ name, partial }) => !partial && !known.has(name) && !dropped.has(name))
        .map(({ name }) => name),
    );
    if (strangers.size === 0) return [];
    const named = new Set<string>();
    for await (const item of parts.journal.read(JOURNAL_START)) {
      if (item.restart) continue;
      for (const op of item.entry.ops) if (op.op === "pack.add" && strangers.has(op.name)) named.add(op.name);
    }
    return [...named];
  }

  async #journalIsLong(): Promise<boolean> {
    let snapshot = 0;
    let parts = 0;
    for (const { path, bytes } of await directoryFiles(this.#context.parts)) {
      const [folder, name] = path.split("/");
      const segment = folder === "journal" && name !== undefined ? parseSegmentName(name) : undefined;
      if (segment === undefined) continue;
      if (segment.part === SNAPSHOT_PART) snapshot = bytes;
      else parts += bytes;
    }
    return parts > Math.max(snapshot, SMALL_JOURNAL_BYTES);
  }

  async #tidy(): Promise<number> {
    const { catalog, packs, parts } = this.#context;
    catalog.checkpoint();
    // Whatever the journal names is in the catalog here, or its file is gone: the others are nobody's.
    const known = new Set(catalog.packs().map(({ name }) => name));
    const orphans = await packs.removeOrphans({ known, olderThanMs: SPARED_MS, now: Date.now() });
    if (!parts.inMemory) await parts.reserve.restore();
    return orphans.length;
  }

  #problems(stuck: readonly StuckFrame[]): VerifyProblem[] {
    return stuck.slice(0, NAMED_CHUNKS).map(({ row, reason }) => ({
      where: `pack ${row.pack} at ${row.offset}`,
      message: `${reason}; the frame stays where it is`,
      tensors: this.#context.catalog.usersOf([row.id], recordIdText),
    }));
  }

  #commit(ops: readonly Op[]): Promise<JournalPosition> {
    this.#check();
    return withReserve(this.#context.parts.reserve, () => this.#exclusive.commit(ops, noFrames));
  }

  #check(): void {
    const { signal } = this.#options;
    if (signal?.aborted) throw new CancelledError("the garbage collection", { cause: signal.reason });
  }
}

function noFrames(op: FramesOp): readonly FrameFacts[] {
  throw new Error(`an entry without frames places some in pack ${op.pack}`);
}

/** Which packs go, and which are rewritten. Packs whose files are missing keep their entries as long as anything in them lives. */
function planPacks(packs: readonly PackLiveness[], files: ReadonlyMap<string, PackFile>): PackPlan {
  const tail = packs.findLast((pack) => pack.tail);
  const empty = packs.filter(({ liveBytes }) => liveBytes === 0);
  const victims = packs.filter(({ liveBytes, name }) => {
    const bytes = files.get(name)?.bytes;
    return bytes !== undefined && liveBytes > 0 && isWorthRewriting(liveBytes, bytes - PACK_HEADER_BYTES);
  });
  return { empty, victims, needsTail: tail === undefined || empty.includes(tail) || victims.includes(tail) };
}

function isWorthRewriting(liveBytes: number, bytes: number): boolean {
  return liveBytes < bytes * (liveBytes <= LITTLE_PACK_BYTES ? REWRITE_LITTLE_BELOW : REWRITE_BELOW);
}

async function filesByName(list: Promise<readonly PackFile[]>): Promise<Map<string, PackFile>> {
  return new Map((await list).filter(({ partial }) => !partial).map((file) => [file.name, file]));
}

/** Runs in portions that fit an entry. */
function* slices(runs: Runs): Generator<Runs> {
  for (let at = 0; at < runs.length; at += 2 * RUNS_PER_ENTRY) yield runs.slice(at, at + 2 * RUNS_PER_ENTRY);
}
