/**
 * Transactions: what is written is collected and committed as a whole when the function returns; what was read must be unchanged then,
 * else `ConflictError`. Nothing is locked while the function runs.
 */
import {
  AlreadyExistsError,
  ConflictError,
  type DType,
  NotFoundError,
  type Preset,
  type TensorInput,
  UsageError,
} from "@tensorcask/codec";
import { checkDatasetName } from "../files/paths.ts";
import type { JsonObject } from "../model/entry.ts";
import type { StoreContext } from "./context.ts";
import { Dataset, snapshot } from "./dataset.ts";
import { createDatasetIntent } from "./dataset-options.ts";
import type { DatasetView } from "./dataset-view.ts";
import { type Draft, Ingest } from "./ingest.ts";
import { checkMetadata, checkTensorName } from "./metadata.ts";
import { parseRecordId, recordIdText } from "./record-id.ts";
import { mergeJson } from "./resolve-intents.ts";
import type { StoredRecord } from "./stored-record.ts";
import type { Tensor } from "./tensor.ts";
import { bytesInMemory } from "./tensor-bytes.ts";
import type { CreateDatasetOptions, InsertOptions, ReadOptions, RecordFilter, RecordInfo } from "./types.ts";
import { type DatasetRef, type Expectation, type Intent, StaleReferenceError } from "./write-set.ts";

/** Makes an intent once all tensors of the transaction are prepared. */
type LateIntent = () => Intent;

/** What the parts of one transaction share. */
class WriteLog {
  readonly context: StoreContext;
  readonly ingest: Ingest;
  readonly intents: LateIntent[] = [];
  readonly expectations: Map<string, Expectation> = new Map();
  over: boolean = false;
  readonly #running = new Set<Promise<unknown>>();

  constructor(context: StoreContext) {
    this.context = context;
    this.ingest = new Ingest(context);
  }

  /** Runs a call of the transaction, which the commit waits for whether the caller does or not. */
  async call<T>(work: () => Promise<T>): Promise<T> {
    this.check();
    const running = work();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Waits for calls that nobody waited for; throws when one of them failed. */
  async settle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Takes in a tensor, and keeps no memory of the pool for the next one: the transaction may read in between. */
  async take(
    bytes: Uint8Array,
    dtype: DType,
    shape: readonly number[],
    preset: Preset,
    name: string | undefined,
  ): Promise<Draft> {
    const draft = await this.ingest.tensor(bytesInMemory(bytes), dtype, shape, preset, name);
    await this.ingest.flush();
    return draft;
  }

  check(): void {
    if (this.over)
      throw new UsageError("transaction", "the transaction is over; its objects cannot be used any more");
  }
}

export class Transaction {
  readonly #log: WriteLog;
  readonly #datasets = new Map<string, TransactionDataset>();

  constructor(log: WriteLog) {
    this.#log = log;
  }

  /** A dataset as it is now, or as this transaction created it; undefined when there is none. */
  async dataset(name: string): Promise<TransactionDataset | undefined> {
    this.#log.check();
    const open = this.#datasets.get(name);
    if (open !== undefined) return open;
    const row = this.#log.context.catalog.dataset(name);
    if (row === undefined) return undefined;
    const base = new Dataset(this.#log.context, row.dataset, name).at(row.version);
    const dataset = new TransactionDataset(this.#log, { id: row.dataset, name }, base, row.version);
    this.#datasets.set(name, dataset);
    return dataset;
  }

  /** Creates a dataset with the commit. */
  async createDataset(name: string, options: CreateDatasetOptions = {}): Promise<TransactionDataset> {
    this.#log.check();
    checkDatasetName(name);
    if ((await this.dataset(name)) !== undefined) throw new AlreadyExistsError("dataset", name);
    const ref: DatasetRef = { id: 0, name };
    const intent = createDatasetIntent(this.#log.context, ref, options);
    this.#log.intents.push(() => intent);
    const dataset = new TransactionDataset(this.#log, ref, undefined, 0, options.preset);
    this.#datasets.set(name, dataset);
    return dataset;
  }
}

interface PendingInsert {
  readonly id: Uint8Array;
  name: string | undefined;
  metadata: JsonObject;
  draft: Draft;
}

export class TransactionDataset {
  readonly name: string;
  readonly #log: WriteLog;
  readonly #ref: DatasetRef;
  readonly #base: DatasetView | undefined;
  readonly #version: number;
  readonly #preset: string | undefined;
  readonly #inserts = new Map<string, PendingInsert>();
  /** Ids of stored records that this transaction deleted. */
  readonly #deleted = new Set<string>();
  readonly #updated = new Set<string>();
  #written = false;

  constructor(
    log: WriteLog,
    ref: DatasetRef,
    base: DatasetView | undefined,
    version: number,
    preset?: string,
  ) {
    this.#log = log;
    this.#ref = ref;
    this.#base = base;
    this.#version = version;
    this.#preset = preset;
    this.name = ref.name;
  }

  /** Stores a tensor with the commit; returns the id it will have. */
  insert(tensor: TensorInput, options: InsertOptions = {}): Promise<string> {
    return this.#log.call(() => this.#insert(tensor, options));
  }

  async #insert(tensor: TensorInput, options: InsertOptions): Promise<string> {
    checkTensorName(options.name);
    const { dtype, shape, bytes } = snapshot(tensor);
    const metadata = options.metadata === undefined ? {} : checkMetadata(options.metadata);
    const preset = this.#log.context.preset(options.preset ?? this.#presetName());
    const id = this.#log.context.ids.next();
    const { name, replace = false } = options;
    const draft = await this.#log.take(bytes, dtype, shape, preset, name);
    const insert: PendingInsert = { id, name, metadata, draft };
    this.#inserts.set(recordIdText(id), insert);
    this.#written = true;
    this.#log.intents.push(() => ({
      kind: "insert",
      dataset: this.#ref,
      record: { id, name: insert.name, metadata: insert.metadata, tensor: insert.draft.tensor! },
      replace,
    }));
    return recordIdText(id);
  }

  /** A tensor as it was when the transaction began with this dataset. The commit fails if it changed. */
  get(address: string, options: ReadOptions = {}): Promise<Tensor | undefined> {
    return this.#log.call(() => this.#get(address, options));
  }

  async #get(address: string, options: ReadOptions): Promise<Tensor | undefined> {
    if (this.#own(address) !== undefined) {
      throw new UsageError(
        "address",
        `${address} was inserted in this transaction: it can be read when that is committed`,
      );
    }
    const info = await this.info(address);
    return info === undefined ? undefined : this.#base!.get(info.id, options);
  }

  /** Everything about a record but its elements. The commit fails if it changed. */
  async info(address: string): Promise<RecordInfo | undefined> {
    this.#log.check();
    if (this.#base === undefined) return undefined;
    const found = this.#base.findRow(address);
    if (found === undefined) {
      const id = parseRecordId(address);
      const expectation: Expectation =
        id === undefined
          ? { kind: "name", dataset: this.#ref, name: address, id: undefined }
          : { kind: "record", dataset: this.#ref, id, added: undefined };
      this.#expect(`${this.#ref.id} ${address}`, expectation);
      return undefined;
    }
    const text = recordIdText(found.id);
    this.#expect(`${this.#ref.id} ${text}`, {
      kind: "record",
      dataset: this.#ref,
      id: found.id,
      added: found.added,
    });
    return this.#deleted.has(text) ? undefined : this.#base.info(text);
  }

  /** Changes a record with the commit: `metadata` is merged, `name` renames, `tensor` replaces. */
  update(
    address: string,
    change: { readonly metadata?: JsonObject; readonly name?: string; readonly tensor?: TensorInput },
  ): Promise<void> {
    return this.#log.call(() => this.#update(address, change));
  }

  async #update(
    address: string,
    change: { readonly metadata?: JsonObject; readonly name?: string; readonly tensor?: TensorInput },
  ): Promise<void> {
    checkTensorName(change.name);
    const metadata = change.metadata === undefined ? undefined : checkMetadata(change.metadata);
    const tensor = change.tensor === undefined ? undefined : snapshot(change.tensor);
    const own = this.#own(address);
    const info = own === undefined ? await this.info(address) : undefined;
    let draft: Draft | undefined;
    if (tensor !== undefined && (own ?? info) !== undefined) {
      const { dtype, shape, bytes } = tensor;
      const preset = this.#log.context.preset(this.#presetName());
      draft = await this.#log.take(bytes, dtype, shape, preset, change.name ?? (own ?? info)!.name);
    }
    if (own !== undefined) {
      own.name = change.name ?? own.name;
      own.metadata = mergeJson(own.metadata, metadata ?? {});
      own.draft = draft ?? own.draft;
      return;
    }
    if (info === undefined) throw new NotFoundError("record", address, `in ${this.name}`);
    if (this.#updated.has(info.id))
      throw new UsageError("address", `${address} is updated twice in one transaction; join the updates`);
    this.#updated.add(info.id);
    this.#written = true;
    const id = parseRecordId(info.id)!;
    this.#log.intents.push(() => ({
      kind: "update",
      dataset: this.#ref,
      id,
      ...(change.name !== undefined && { name: change.name }),
      ...(metadata !== undefined && { metadata }),
      ...(draft !== undefined && { tensor: draft.tensor! }),
    }));
  }

  /** Deletes a record with the commit; false when there is none. */
  delete(address: string): Promise<boolean> {
    return this.#log.call(() => this.#delete(address));
  }

  async #delete(address: string): Promise<boolean> {
    const own = this.#own(address);
    if (own !== undefined) {
      throw new UsageError(
        "address",
        `${address} was inserted in this transaction; leave the insert out instead`,
      );
    }
    const info = await this.info(address);
    if (info === undefined) return false;
    if (this.#updated.has(info.id))
      throw new UsageError("address", `${address} is updated in this transaction; leave that out`);
    this.#deleted.add(info.id);
    this.#written = true;
    const id = parseRecordId(info.id)!;
    this.#log.intents.push(() => ({ kind: "delete", dataset: this.#ref, id }));
    return true;
  }

  /** How many records there are. The commit fails if the dataset changed at all. */
  async count(filter: RecordFilter = {}): Promise<number> {
    this.#wholeDataset("count");
    return this.#base?.count(filter) ?? 0;
  }

  /** Records one by one. The commit fails if the dataset changed at all. */
  async *records(filter: RecordFilter = {}): AsyncGenerator<StoredRecord, void, void> {
    this.#wholeDataset("records");
    if (this.#base !== undefined) yield* this.#base.records(filter);
  }

  #wholeDataset(call: string): void {
    this.#log.check();
    if (this.#written)
      throw new UsageError(call, `${call} does not see what this transaction wrote: call it before writing`);
    if (this.#base === undefined) return;
    this.#expect(`${this.#ref.id}`, { kind: "version", dataset: this.#ref, version: this.#version });
  }

  #expect(key: string, expectation: Expectation): void {
    if (!this.#log.expectations.has(key)) this.#log.expectations.set(key, expectation);
  }

  #own(address: string): PendingInsert | undefined {
    const byId = this.#inserts.get(address);
    if (byId !== undefined) return byId;
    return [...this.#inserts.values()].find((insert) => insert.name === address);
  }

  #presetName(): string {
    return (
      this.#preset ??
      this.#log.context.catalog.datasetById(this.#ref.id)?.preset ??
      this.#log.context.storePreset
    );
  }
}

/** Runs a transaction and commits it. */
export async function runTransaction<T>(
  context: StoreContext,
  run: (tx: Transaction) => Promise<T>,
): Promise<T> {
  context.checkWritable();
  const log = new WriteLog(context);
  try {
    const result = await run(new Transaction(log));
    await log.settle();
    log.over = true;
    await log.ingest.finish();
    const intents = log.intents.map((make) => make());
    await context.parts.committer.commit({ intents, expectations: [...log.expectations.values()] });
    return result;
  } catch (error) {
    log.over = true;
    await log.ingest.abandon();
    if (error instanceof StaleReferenceError) {
      throw new ConflictError(
        "",
        "",
        "the transaction refers to chunks that gc took meanwhile; run it again",
      );
    }
    throw error;
  }
}
