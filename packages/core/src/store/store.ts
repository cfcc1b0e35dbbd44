/** An open store: datasets, presets, transactions, import and export, maintenance. Made by `openStore`. */
import {
  AlreadyExistsError,
  builtinPresets,
  findBuiltinPreset,
  NotFoundError,
  type Preset,
  parsePreset,
  presetToJson,
  UsageError,
} from "@tensorcask/codec";
import type { Where } from "../catalog/catalog.ts";
import { checkDatasetName } from "../files/paths.ts";
import type { StoreContext } from "./context.ts";
import { Dataset } from "./dataset.ts";
import { createDatasetIntent } from "./dataset-options.ts";
import type { DatasetView } from "./dataset-view.ts";
import { diff } from "./diff.ts";
import type { DiffOptions, DiffSummary, TensorDiff } from "./diff-types.ts";
import { exportFiles, filesToExport } from "./export-files.ts";
import { collectGarbage } from "./gc.ts";
import { importFiles } from "./import-files.ts";
import { optimize } from "./optimize.ts";
import type { OptimizeOptions, OptimizeResult } from "./optimize-types.ts";
import { prune } from "./prune.ts";
import { rebuild } from "./rebuild.ts";
import { datasetStats, storeStats } from "./stats.ts";
import type { DatasetStats, StoreStats } from "./stats-types.ts";
import { runTransaction, type Transaction } from "./transaction.ts";
import type {
  CreateDatasetOptions,
  ExportResult,
  GcOptions,
  GcResult,
  ImportOptions,
  ImportResult,
  LongCallOptions,
  PruneOptions,
  PruneResult,
  RebuildResult,
  SwitchPresetResult,
  VerifyAgainstResult,
  VerifyOptions,
  VerifyResult,
} from "./types.ts";
import { verify, verifyAgainst } from "./verify.ts";
import type { DatasetRef, Intent } from "./write-set.ts";

export class Store {
  readonly #context: StoreContext;

  constructor(context: StoreContext) {
    this.#context = context;
  }

  get directory(): string {
    return this.#context.parts.directory;
  }

  get readOnly(): boolean {
    return this.#context.parts.readOnly;
  }

  /** Creates a dataset: `name` or `namespace/name`. Throws `AlreadyExistsError`. */
  async createDataset(name: string, options: CreateDatasetOptions = {}): Promise<Dataset> {
    this.#context.checkWritable();
    checkDatasetName(name);
    const ref: DatasetRef = { id: 0, name };
    await this.#commit(createDatasetIntent(this.#context, ref, options));
    return new Dataset(this.#context, ref.id, name);
  }

  /** A dataset by name; undefined when there is none. */
  async dataset(name: string): Promise<Dataset | undefined> {
    const row = this.#context.catalog.dataset(name);
    return row === undefined ? undefined : new Dataset(this.#context, row.dataset, name);
  }

  /** All datasets, by name; `where` on their metadata. */
  async datasets(options: { readonly where?: Where } = {}): Promise<Dataset[]> {
    return this.#context.catalog
      .datasets(options.where)
      .map((row) => new Dataset(this.#context, row.dataset, row.name));
  }

  async renameDataset(from: string, to: string): Promise<void> {
    this.#context.checkWritable();
    checkDatasetName(to);
    await this.#commit({ kind: "set-dataset", dataset: this.#ref(from), name: to });
  }

  /** Deletes a dataset with its history. The bytes that only it used come back with `gc`. */
  async deleteDataset(name: string): Promise<void> {
    this.#context.checkWritable();
    await this.#commit({ kind: "drop-dataset", dataset: this.#ref(name) });
  }

  /** The preset of datasets without one of their own. */
  async preset(): Promise<Preset> {
    return this.#context.preset(this.#context.storePreset);
  }

  /** Switches that preset from now on; what is stored stays as it is and readable. */
  async setPreset(name: string): Promise<SwitchPresetResult> {
    this.#context.checkWritable();
    const preset = this.#context.preset(name);
    const followers = (await this.datasets()).filter((dataset) => dataset.ownPreset === null);
    let tensorsKept = 0;
    for (const dataset of followers) tensorsKept += await dataset.count();
    await this.#commit({ kind: "settings", settings: { preset: name } });
    return { preset: preset.name, lossless: preset.lossless, tensorsKept };
  }

  /** Built-in presets and those defined here. */
  async presets(): Promise<Preset[]> {
    const custom = this.#context.catalog.presets().map(({ name, preset }) => parsePreset(name, preset));
    return [...builtinPresets, ...custom];
  }

  /** Defines a preset: `{ quantizer?, codec, description? }`. Throws `UsageError` that names the field or the step that is wrong. */
  async definePreset(name: string, json: unknown): Promise<Preset> {
    this.#context.checkWritable();
    if (findBuiltinPreset(name) !== undefined)
      throw new AlreadyExistsError("preset", name, "built-in presets cannot be redefined");
    const preset = parsePreset(name, json);
    await this.#commit({ kind: "set-preset", name, preset: presetToJson(preset) });
    return preset;
  }

  /** Removes a preset that was defined here and that nothing follows. */
  async removePreset(name: string): Promise<void> {
    this.#context.checkWritable();
    await this.#commit({ kind: "drop-preset", name });
  }

  /** How many versions gc keeps beside the current and the tagged ones. Default 0. */
  async setKeepVersions(count: number): Promise<void> {
    this.#context.checkWritable();
    if (!Number.isSafeInteger(count) || count < 0)
      throw new UsageError("keepVersions", `keepVersions is ${count}; it counts versions`);
    await this.#commit({ kind: "settings", settings: { keepVersions: count } });
  }

  /** Collects writes and commits them as a whole; throws `ConflictError` when what was read changed meanwhile. */
  async transaction<T>(run: (tx: Transaction) => Promise<T>): Promise<T> {
    return runTransaction(this.#context, run);
  }

  /** Imports files, sharded indexes and folders into a dataset, in one new version. */
  async importFile(path: string | readonly string[], options: ImportOptions): Promise<ImportResult> {
    return importFiles(this.#context, typeof path === "string" ? [path] : path, options);
  }

  /** Writes one file back, into the folder `out` or to `out` itself when the extensions are equal. */
  async exportFile(
    dataset: string,
    file: string,
    out: string,
    options: ExportOptions = {},
  ): Promise<ExportResult> {
    const view = this.#view(dataset, options.version);
    return exportFiles(this.#context, view, filesToExport(view, file), out, options);
  }

  /** Writes all files of a dataset back. */
  async exportDataset(dataset: string, out: string, options: ExportOptions = {}): Promise<ExportResult> {
    const view = this.#view(dataset, options.version);
    return exportFiles(this.#context, view, filesToExport(view, undefined), out, options);
  }

  stats(): Promise<StoreStats>;
  stats(dataset: string): Promise<DatasetStats>;
  /** What everything occupies, and what each layer saved. */
  async stats(dataset?: string): Promise<StoreStats | DatasetStats> {
    this.#context.checkOpen();
    return dataset === undefined ? storeStats(this.#context) : datasetStats(this.#context, dataset);
  }

  /**
   * Compares b with a, tensor by tensor: `dataset`, `dataset@version` or `dataset@tag` each. A tensor stands for the one of the same file and name, else
   * for the one of the same name where that leaves no doubt. Yields the tensors of a with their counterparts, then those that only b has; what the
   * iteration returns are totals. Reads nothing but the catalog unless `values` is set.
   *
   * @throws NotFoundError, VersionExpiredError, UsageError for unknown options, CancelledError; with `values` also DamageError
   * @example
   * for await (const { status, b, values } of store.diff("llm@v1", "llm", { values: true })) console.log(status, b?.address, values?.relativeL2);
   */
  diff(a: string, b: string, options: DiffOptions = {}): AsyncGenerator<TensorDiff, DiffSummary, void> {
    this.#context.checkOpen();
    return diff(this.#context, a, b, options);
  }

  /** Checks everything that is stored; finds, does not mend. */
  async verify(options: VerifyOptions = {}): Promise<VerifyResult> {
    this.#context.checkOpen();
    return verify(this.#context, options);
  }

  /** Compares every byte of a dataset's files with originals in a folder; writes nothing. */
  async verifyAgainst(
    dataset: string,
    directory: string,
    options: LongCallOptions = {},
  ): Promise<VerifyAgainstResult> {
    this.#context.checkOpen();
    return verifyAgainst(this.#context, dataset, directory, options);
  }

  /** Frees what no kept version uses. */
  async gc(options: GcOptions = {}): Promise<GcResult> {
    this.#context.checkWritable();
    return collectGarbage(this.#context, options);
  }

  /**
   * Chooses anew which tensors are stored as differences to which, over all that resemble each other, where that is smaller. Nothing that is read
   * changes. What a deleted dataset left, only because others are differences to it, is let go where that is smaller. The old frames are
   * freed by `gc`.
   *
   * @throws NotFoundError for an unknown dataset, DamageError, CancelledError
   * @example
   * const { bytesBefore, bytesAfter } = await store.optimize({ dryRun: true });
   */
  async optimize(options: OptimizeOptions = {}): Promise<OptimizeResult> {
    this.#context.checkWritable();
    return optimize(this.#context, options);
  }

  /** Lets old versions expire; what any of the criteria keeps is kept. gc frees their bytes. */
  async prune(options: PruneOptions & { readonly dataset?: string }): Promise<PruneResult> {
    this.#context.checkWritable();
    return prune(this.#context, options);
  }

  /** Empties the catalog and applies the journal again. */
  async rebuild(options: LongCallOptions = {}): Promise<RebuildResult> {
    this.#context.checkWritable();
    return rebuild(this.#context, options);
  }

  /** Finishes what is queued, ends the threads and closes the files. */
  async close(): Promise<void> {
    await this.#context.close();
  }

  #ref(name: string): DatasetRef {
    const row = this.#context.catalog.dataset(name);
    if (row === undefined) throw new NotFoundError("dataset", name);
    return { id: row.dataset, name };
  }

  #view(name: string, version: number | string | undefined): DatasetView {
    const dataset = new Dataset(this.#context, this.#ref(name).id, name);
    return version === undefined ? dataset : dataset.at(version);
  }

  async #commit(intent: Intent): Promise<void> {
    await this.#context.parts.committer.commit({ intents: [intent] });
  }
}

/** Options of exports. */
export interface ExportOptions extends LongCallOptions {
  /** Version number or tag; the current one by default. */
  readonly version?: number | string;
}
