/** What the parts of an open store share: its layers, its settings, and how they are put together. */
import {
  builtinPresets,
  ClosedError,
  DEFAULT_PRESET,
  findBuiltinPreset,
  NotFoundError,
  type Preset,
  parsePreset,
  UsageError,
} from "@tensorcask/codec";
import type { Catalog, ChunkRow, StoredTensor } from "../catalog/catalog.ts";
import type { FileSystem } from "../files/file-system.ts";
import type { WriterLock } from "../files/lock.ts";
import type { ReserveFile } from "../files/reserve.ts";
import type { Journal } from "../journal/journal.ts";
import type { FilePlan } from "../model/plan.ts";
import type { PackStorage } from "../pack/pack-storage.ts";
import type { WorkerPool } from "../workers/pool.ts";
import type { ChunkReader } from "./chunk-reader.ts";
import type { Committer } from "./committer.ts";
import type { DatasetView } from "./dataset-view.ts";
import { GoneError } from "./gone.ts";
import type { IngestContext } from "./ingest.ts";
import type { Marker } from "./marker.ts";
import type { OwnPack } from "./pending.ts";
import { RecordIds } from "./record-id.ts";
import type { ExportRecordsOptions, ExportRecordsResult } from "./types.ts";
import type { CommitResult } from "./write-set.ts";

/** Paths to plans. */
export type PlanInputs = (
  files: FileSystem,
  paths: readonly string[],
  options: { readonly opaque?: boolean; readonly exclude?: readonly string[]; readonly signal?: AbortSignal },
) => Promise<{
  readonly files: readonly FilePlan[];
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  readonly keptOpaque: readonly { readonly path: string; readonly reason: string }[];
}>;

/** Writes records of a dataset into one new file. */
export type ExportRecords = (
  context: StoreContext,
  view: DatasetView,
  out: string | ((bytes: Uint8Array) => Promise<void>),
  options?: ExportRecordsOptions,
) => Promise<ExportRecordsResult>;

/** The formats, as the store sees them. `index.ts` brings them in. */
export interface Formats {
  readonly planInputs: PlanInputs;
  readonly exportRecords: ExportRecords;
}

export interface StoreParts {
  readonly directory: string;
  readonly inMemory: boolean;
  readonly readOnly: boolean;
  readonly marker: Marker;
  readonly files: FileSystem;
  /** Where imports come from and exports go: the disk, for a store in memory too. */
  readonly userFiles: FileSystem;
  readonly lock: WriterLock;
  readonly reserve: ReserveFile;
  readonly catalog: Catalog;
  readonly journal: Journal;
  readonly packs: PackStorage;
  readonly pool: WorkerPool;
  readonly reader: ChunkReader;
  readonly committer: Committer;
  readonly formats: Formats;
  /** Largest tensor that is turned in one piece where a file has it in column-major order. */
  readonly layoutBlockBytes: number;
}

export class StoreContext implements IngestContext {
  readonly parts: StoreParts;
  readonly ids: RecordIds = new RecordIds();
  readonly #turns = new Map<string, Promise<void>>();
  #closed = false;

  constructor(parts: StoreParts) {
    this.parts = parts;
  }

  get catalog(): Catalog {
    this.checkOpen();
    return this.parts.catalog;
  }

  get packs(): PackStorage {
    return this.parts.packs;
  }

  get pool(): WorkerPool {
    return this.parts.pool;
  }

  get chunkElements(): number {
    return this.parts.marker.chunkElements;
  }

  checkOpen(): void {
    if (this.#closed) throw new ClosedError(`the store ${this.parts.directory}`);
  }

  /** Throws unless the store may be written to. */
  checkWritable(): void {
    this.checkOpen();
    if (this.parts.readOnly) throw new UsageError("readOnly", `${this.parts.directory} is open read-only`);
  }

  frame(row: ChunkRow): Promise<Uint8Array> {
    return this.parts.reader.frame(row);
  }

  stage(packs: readonly OwnPack[]): Promise<CommitResult> {
    return this.parts.committer.commit({ intents: [{ kind: "stage", packs }] });
  }

  /** A preset by name: built-in or defined in this store. */
  preset(name: string): Preset {
    const builtin = findBuiltinPreset(name);
    if (builtin !== undefined) return builtin;
    const custom = this.catalog.preset(name);
    if (custom === undefined) {
      const known = [
        ...builtinPresets.map((preset) => preset.name),
        ...this.catalog.presets().map((row) => row.name),
      ];
      throw new NotFoundError("preset", name, `there are ${known.join(", ")}`);
    }
    return parsePreset(name, custom);
  }

  /** Name of the preset that datasets without one of their own follow. */
  get storePreset(): string {
    const { preset } = this.catalog.settings();
    return typeof preset === "string" ? preset : DEFAULT_PRESET;
  }

  /** How many versions beside the current and the tagged ones gc keeps. */
  get keepVersions(): number {
    const { keepVersions } = this.catalog.settings();
    return typeof keepVersions === "number" ? keepVersions : 0;
  }

  storedTensor(id: number): StoredTensor {
    const tensor = this.catalog.tensor(id);
    if (tensor === undefined) throw new GoneError(`tensor ${id}`);
    return tensor;
  }

  /** Runs what is called for with one key one at a time, in the order of the calls. */
  async inTurn<T>(key: string, work: () => Promise<T>): Promise<T> {
    const running = (this.#turns.get(key) ?? Promise.resolve()).then(work);
    const settled = running.then(
      () => undefined,
      () => undefined,
    );
    this.#turns.set(key, settled);
    try {
      return await running;
    } finally {
      if (this.#turns.get(key) === settled) this.#turns.delete(key);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const { committer, pool, catalog, journal, packs, lock, readOnly } = this.parts;
    await committer.close();
    this.#closed = true;
    await pool.close();
    if (!readOnly) catalog.checkpoint();
    catalog.close();
    await journal.close();
    await packs.close();
    lock.close();
  }
}
