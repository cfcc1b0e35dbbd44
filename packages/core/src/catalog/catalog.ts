/**
 * The catalog: the index that answers queries. Everything in it follows from the journal's entries applied in order, so it is never
 * repaired, only rebuilt. All of it is synchronous; nothing it returns keeps a cursor or a transaction open, so its callers may await
 * between any two calls (and see other processes' commits then).
 *
 * Storage is a SQLite database in WAL mode (schema.ts). Losing its last transactions at a power cut is fine: the position is written
 * with each entry, and the journal has the rest.
 */
import type { Counters, Entry, JournalPosition, JsonObject, Op, Runs } from "../model/entry.ts";
import { applyEntry } from "./apply.ts";
import type { ApplyOptions, FramesReader } from "./apply-context.ts";
import { Chunks } from "./chunks.ts";
import { Datasets } from "./datasets.ts";
import { chunkAlike } from "./features.ts";
import { Files } from "./files.ts";
import { type DeadOptions, findDead } from "./liveness.ts";
import { declaredPaths } from "./metadata-index.ts";
import { measureQuantization, type QuantizationUsage } from "./quantization.ts";
import { reap } from "./reap.ts";
import { Records } from "./records.ts";
import { type ExpireOp, type Rehearsal, rehearseExpiry } from "./rehearse.ts";
import type {
  Changes,
  ChunkRow,
  DatasetRow,
  DeadRows,
  Dependent,
  FileRow,
  PackLiveness,
  PackRow,
  RecordQuery,
  RecordRow,
  SiblingCandidate,
  StagedRow,
  StoredTensor,
  StoreUsage,
  TagRow,
  VersionRow,
  Where,
} from "./rows.ts";
import { clearSchema, prepareSchema } from "./schema.ts";
import { dependentsOf } from "./siblings.ts";
import { siblingCandidates } from "./sketches.ts";
import { snapshotOps } from "./snapshot.ts";
import { Sqlite, type SqliteOptions } from "./sqlite.ts";
import { movePosition, readCounters, readPosition } from "./state.ts";
import { Tensors } from "./tensors.ts";
import { measureUsage } from "./usage.ts";
import { findUsers } from "./users.ts";

export type { ApplyOptions, FramesReader } from "./apply-context.ts";
export type { FamilyLink, FamilyMember, FamilyUsage } from "./families.ts";
export type { DeadOptions } from "./liveness.ts";
export type { QuantizationUsage } from "./quantization.ts";
export type { ExpireOp, Rehearsal } from "./rehearse.ts";
export type * from "./rows.ts";
export type { SqliteOptions } from "./sqlite.ts";

export class Catalog {
  readonly #sqlite: Sqlite;
  readonly #chunks: Chunks;
  readonly #tensors: Tensors;
  readonly #datasets: Datasets;
  readonly #records: Records;
  readonly #files: Files;

  private constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
    this.#chunks = new Chunks(sqlite);
    this.#tensors = new Tensors(sqlite);
    this.#datasets = new Datasets(sqlite);
    this.#records = new Records(sqlite);
    this.#files = new Files(sqlite);
  }

  /**
   * Opens the catalog at `path` (`:memory:` for one that lives in memory only), making it when there is none.
   *
   * `cacheBytes` bounds SQLite's page cache (32 MiB unless given). Throws `DamageError` when the file is damaged, no catalog, or of
   * another layout (then delete it and rebuild), `StorageError` when the system refuses.
   */
  static open(path: string, options: SqliteOptions = {}): Catalog {
    const sqlite = Sqlite.open(path, options);
    try {
      prepareSchema(sqlite, options.readOnly === true);
    } catch (error) {
      sqlite.close();
      throw error;
    }
    return new Catalog(sqlite);
  }

  close(): void {
    this.#sqlite.close();
  }

  /** Moves the WAL into the database and empties it, as far as readers in other processes let it. */
  checkpoint(): void {
    this.#sqlite.pragma("wal_checkpoint(TRUNCATE)");
  }

  /** Empties it, position included: before a rebuild. */
  clear(): void {
    clearSchema(this.#sqlite);
  }

  /** Runs `work`, which must not await, against one state: other processes' commits stay out until it returns. */
  read<T>(work: () => T): T {
    return this.#sqlite.read(work);
  }

  /** The end of the last applied entry; sequence 0, 32 zeros, "" and 0 when there is none. */
  position(): JournalPosition {
    return readPosition(this.#sqlite);
  }

  counters(): Counters {
    return readCounters(this.#sqlite);
  }

  /**
   * Applies an entry and moves the position, in one transaction. `frames` gives the facts of the frames that an operation points to; it
   * is not asked about operations without chunks.
   *
   * A snapshot may take several entries: give the position behind it with the last of them only, and one of sequence 0 before, so that a
   * crash between them leaves a catalog that counts as empty.
   *
   * Throws `DamageError` when the entry does not follow the last one or contradicts what is stored; nothing has changed then.
   */
  apply(entry: Entry, frames: FramesReader, position: JournalPosition, options: ApplyOptions = {}): void {
    applyEntry(this.#sqlite, entry, frames, position, options);
  }

  /** The journal was rewritten: the state of now has another place there. Throws `DamageError` when it is not the same state. */
  moved(position: JournalPosition): void {
    this.#sqlite.write(() => movePosition(this.#sqlite, position));
  }

  /** What SQLite finds wrong with the file; empty when nothing is. Reads all of it. */
  problems(): string[] {
    return this.#sqlite.values<string>("PRAGMA quick_check(100)").filter((line) => line !== "ok");
  }

  /** What would be dead, and what would stay in the packs, if these versions expired. Changes nothing. */
  rehearseExpiry(expiries: readonly ExpireOp[], options: DeadOptions): Rehearsal {
    return rehearseExpiry(this.#sqlite, expiries, options);
  }

  /** Deletes about `limit` rows of dropped datasets; whether more are left. */
  reap(limit: number): boolean {
    return reap(this.#sqlite, limit);
  }

  /** For each chunk hash its row, or undefined. */
  resolveChunks(hashes: readonly Uint8Array[]): (ChunkRow | undefined)[] {
    return this.#chunks.resolve(hashes);
  }

  chunk(id: number): ChunkRow | undefined {
    return this.#chunks.byId(id);
  }

  /** The chunks of the runs, in their order. Throws `DamageError` naming one that is missing. */
  chunks(runs: Runs): ChunkRow[] {
    return this.#chunks.byRuns(runs);
  }

  /** All chunks by rising id, in pages: chunks that are added or moved meanwhile may be seen or not. */
  allChunks(): Iterable<ChunkRow> {
    return this.#chunks.all();
  }

  /** Which chunks are coded against any of these. */
  dependents(chunks: readonly number[]): Dependent[] {
    return dependentsOf(this.#sqlite, chunks);
  }

  /** For each tensor key the id, or undefined. */
  resolveTensors(keys: readonly Uint8Array[]): (number | undefined)[] {
    return this.#tensors.resolve(keys);
  }

  tensor(id: number): StoredTensor | undefined {
    return this.#tensors.byId(id);
  }

  /** The tensors of the ids, in their order. Throws `DamageError` naming one that is missing. */
  tensors(ids: Iterable<number>): StoredTensor[] {
    return this.#tensors.byIds(ids);
  }

  /** All tensors by rising id, in pages: tensors that are added or dropped meanwhile may be seen or not. */
  allTensors(): Iterable<StoredTensor> {
    return this.#tensors.all();
  }

  /**
   * Tensors that may resemble the one of this sketch: those that share most hashes with it, then the newest. Of tensors with the same hash
   * the newest 256 are looked at.
   */
  siblingCandidates(sketch: Uint8Array, limit = 8): SiblingCandidate[] {
    return siblingCandidates(this.#sqlite, sketch, limit);
  }

  /**
   * The chunk of opaque bytes that shares most features (codec's `features`) with these, then the newest, and how many. Chunks that were
   * committed before the catalog was last rebuilt are not found.
   */
  chunkAlike(features: Int32Array): { readonly chunk: number; readonly shared: number } | undefined {
    return chunkAlike(this.#sqlite, features);
  }

  packs(): PackRow[] {
    return this.#chunks.packs();
  }

  /** The pack that small commits append to; undefined when no tail pack is there. */
  tailPack(): PackRow | undefined {
    return this.#chunks.tailPack();
  }

  staged(): StagedRow[] {
    return this.#chunks.staged();
  }

  settings(): JsonObject {
    return this.#datasets.settings();
  }

  preset(name: string): JsonObject | undefined {
    return this.#datasets.preset(name);
  }

  presets(): { readonly name: string; readonly preset: JsonObject }[] {
    return this.#datasets.presets();
  }

  dataset(name: string): DatasetRow | undefined {
    return this.#datasets.byName(name);
  }

  datasetById(dataset: number): DatasetRow | undefined {
    return this.#datasets.byId(dataset);
  }

  /** All datasets whose metadata fits `where`, by name. */
  datasets(where?: Where): DatasetRow[] {
    return this.#datasets.all(where);
  }

  /** Distinct metadata paths that datasets declare as indexed. */
  indexedPaths(): string[] {
    return declaredPaths(this.#sqlite);
  }

  /** Kept versions, oldest first. */
  versions(dataset: number): VersionRow[] {
    return this.#datasets.versions(dataset);
  }

  /** Whether a version can be read: kept, or the current one. */
  hasVersion(dataset: number, version: number): boolean {
    return this.#datasets.hasVersion(dataset, version);
  }

  /** The version that a tag names. */
  tag(dataset: number, tag: string): number | undefined {
    return this.#datasets.tag(dataset, tag);
  }

  tags(dataset: number): TagRow[] {
    return this.#datasets.tags(dataset);
  }

  record(dataset: number, version: number, id: Uint8Array): RecordRow | undefined {
    return this.#records.byId(dataset, version, id);
  }

  /** Records of this name by id, the first 32; only those of `file` when it is given (0: those without one). */
  recordsNamed(dataset: number, version: number, name: string, file?: number): RecordRow[] {
    return this.#records.named(dataset, version, name, file);
  }

  /** The next `limit` records of a query behind the id `cursor`, by id. */
  page(query: RecordQuery, cursor: Uint8Array | undefined, limit: number): RecordRow[] {
    return this.#records.page(query, cursor, limit);
  }

  count(query: RecordQuery): number {
    return this.#records.count(query);
  }

  /** The ids at these positions (from 0, not falling) of the query's order by id; positions behind the end are left out. */
  ordinals(query: RecordQuery, positions: readonly number[]): Uint8Array[] {
    return this.#records.ordinals(query, positions);
  }

  /** The files of a version, by path. */
  files(dataset: number, version: number): FileRow[] {
    return this.#files.all(dataset, version);
  }

  file(dataset: number, version: number, path: string): FileRow | undefined {
    return this.#files.byPath(dataset, version, path);
  }

  /** The newest state of a file, removed or not. */
  fileById(file: number): FileRow | undefined {
    return this.#files.byId(file);
  }

  /** What is visible at version `to` but not at `from`, and the reverse. */
  changes(dataset: number, from: number, to: number): Changes {
    return this.#sqlite.read(() => ({
      added: this.#records.between(dataset, from, to),
      removed: this.#records.between(dataset, to, from),
      filesAdded: this.#files.between(dataset, from, to),
      filesRemoved: this.#files.between(dataset, to, from),
    }));
  }

  /** Names (`dataset/[file#]tensor`, the first 100) of what needs any of these chunks, also because it is coded against them. Reads all tensors. */
  usersOf(chunks: readonly number[], formatId?: (id: Uint8Array) => string): string[] {
    return findUsers(this.#sqlite, chunks, formatId);
  }

  /** Sizes of the store and of each dataset. */
  usage(): StoreUsage {
    return measureUsage(this.#sqlite);
  }

  /** Errors of the quantized tensors that the current versions use, by dataset id; datasets without any, or refusals, are left out. */
  quantization(): Map<number, QuantizationUsage> {
    return measureQuantization(this.#sqlite);
  }

  /** What nothing refers to any more. */
  dead(options: DeadOptions): DeadRows {
    return findDead(this.#sqlite, options);
  }

  /** For each pack, how much of it stays when the `dead` chunks go. */
  packLiveness(dead: Runs): PackLiveness[] {
    return this.#chunks.packLiveness(dead);
  }

  /** The chunks of a pack, ordered by offset. */
  chunksInPack(pack: number): ChunkRow[] {
    return this.#chunks.inPack(pack);
  }

  /**
   * Operations which, applied in these slices to an empty catalog as a snapshot, give an equal one. Keep writers out while iterating.
   * Dropped datasets are left out.
   */
  snapshotEntries(): Iterable<readonly Op[]> {
    return snapshotOps(this.#sqlite);
  }
}
