/**
 * A dataset as of one version: everything that reads. `Dataset` is the view of the current version, with writes; `dataset.at(3)` is a view of version 3.
 */
import {
  AmbiguousNameError,
  dtypeOf,
  dtypeOfCode,
  NotFoundError,
  type SliceSpec,
  UsageError,
  VersionExpiredError,
} from "@tensorcask/codec";
import type { DatasetRow, FileRow, RecordQuery, RecordRow, StoredTensor } from "../catalog/catalog.ts";
import type { JsonObject } from "../model/entry.ts";
import { addressOf, fileAddresses } from "./address.ts";
import type { ReadChunksOptions } from "./chunk-reader.ts";
import type { StoreContext } from "./context.ts";
import { GoneError } from "./gone.ts";
import { checkOptionNames } from "./option-names.ts";
import { parseRecordId, recordIdText } from "./record-id.ts";
import { pickOrdinals } from "./sample.ts";
import { StoredRecord } from "./stored-record.ts";
import type { StoredArrays, Tensor } from "./tensor.ts";
import { tensorOf } from "./tensor.ts";
import { TensorReader } from "./tensor-reader.ts";
import type {
  ExportRecordsOptions,
  ExportRecordsResult,
  FileInfo,
  PageOptions,
  ReadOptions,
  RecordFilter,
  RecordInfo,
  VersionInfo,
} from "./types.ts";

/** A page is held in memory as a whole. */
const MAX_PAGE = 10_000;
const DEFAULT_PAGE = 100;

/** What a filter may have, and what pages and samples have beside it. */
const FILTER_NAMES: readonly string[] = [
  "where",
  "dtype",
  "shape",
  "file",
  "name",
  "limit",
  "cursor",
  "seed",
];

/** Records that an iteration looks up at once. */
const ITERATION_PAGE = 500;

export class DatasetView {
  protected readonly context: StoreContext;
  readonly #id: number;
  readonly #name: string;
  readonly #version: number | string | undefined;

  /** `version`: a number, a tag, or undefined for whatever is current. */
  constructor(context: StoreContext, id: number, name: string, version?: number | string) {
    this.context = context;
    this.#id = id;
    this.#name = name;
    this.#version = version;
  }

  /** Its name now. Throws `NotFoundError` when it was deleted. */
  get name(): string {
    return this.row().name;
  }

  /** The version that is read. */
  get version(): number {
    return this.resolveVersion(this.row());
  }

  get metadata(): JsonObject {
    return this.row().metadata;
  }

  /** Metadata paths that have an index. */
  get indexed(): readonly string[] {
    return this.row().indexed;
  }

  get schema(): JsonObject | null {
    return this.row().schema;
  }

  /**
   * A tensor, decoded, in its own dtype or converted; undefined when there is no such record. `as: "stored"` gives what it is stored as: the quantized
   * `values` with their `scales` and `zeros`.
   */
  async get(address: string, options: { readonly as: "stored" }): Promise<StoredArrays | undefined>;
  async get(address: string, options?: ReadOptions): Promise<Tensor | undefined>;
  async get(
    address: string,
    options: ReadOptions | { readonly as: "stored" } = {},
  ): Promise<Tensor | StoredArrays | undefined> {
    const record = this.find(address);
    if (record === undefined) return undefined;
    return options.as === "stored"
      ? this.#storedArrays(record)
      : this.readRecord(record, options as ReadOptions);
  }

  /** Everything about a record but its elements; undefined when there is none. */
  async info(address: string): Promise<RecordInfo | undefined> {
    const record = this.find(address);
    return record === undefined ? undefined : this.stored([record])[0];
  }

  /** Part of a tensor: `[0, null, [10, 20]]`. An integer drops its axis. Reads only the chunks it touches. */
  async slice(address: string, spec: SliceSpec, options: ReadOptions = {}): Promise<Tensor | undefined> {
    const record = this.find(address);
    return record === undefined ? undefined : this.sliceRecord(record, spec, options);
  }

  /** Rows of a tensor along axis 0, in the order given. */
  async gather(
    address: string,
    rows: readonly number[],
    options: ReadOptions = {},
  ): Promise<Tensor | undefined> {
    const record = this.find(address);
    if (record === undefined) return undefined;
    return this.guarded(async () => {
      const reader = this.reader(this.context.storedTensor(record.tensor));
      const { shape, bytes } = await reader.gather(rows);
      return tensorOf(reader.dtype, shape, bytes, options);
    });
  }

  /** Records one by one, in the order of insertion, of the version that is current when the iteration starts. */
  async *records(filter: RecordFilter = {}): AsyncGenerator<StoredRecord, void, void> {
    const query = this.query(filter);
    let last: Uint8Array | undefined;
    for (;;) {
      this.checkVersion(query.version);
      const rows = this.context.catalog.page(query, last, ITERATION_PAGE);
      yield* this.stored(rows);
      if (rows.length < ITERATION_PAGE) return;
      last = rows.at(-1)!.id;
    }
  }

  /** Records whose decoded tensor and metadata a predicate accepts; streamed. */
  async *filter(
    predicate: (tensor: Tensor, metadata: JsonObject) => boolean | Promise<boolean>,
    filter: RecordFilter = {},
  ): AsyncGenerator<StoredRecord, void, void> {
    for await (const record of this.records(filter)) {
      if (await predicate(await record.read(), record.metadata)) yield record;
    }
  }

  /** A page of records; give `cursor` back for the next one. */
  async page(options: PageOptions = {}): Promise<{ records: StoredRecord[]; cursor: string | undefined }> {
    const { limit = DEFAULT_PAGE, cursor } = options;
    if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
      throw new UsageError("limit", `limit is ${limit}; it must be an integer from 1 to ${MAX_PAGE}`);
    }
    const after = cursor === undefined ? undefined : parseRecordId(cursor);
    if (cursor !== undefined && after === undefined)
      throw new UsageError("cursor", `cursor ${JSON.stringify(cursor)} is not one`);
    const rows = this.context.catalog.page(this.query(options), after, limit);
    return {
      records: this.stored(rows),
      cursor: rows.length < limit ? undefined : recordIdText(rows.at(-1)!.id),
    };
  }

  /** `count` different records at random (all, if there are fewer), in the order of insertion. The same seed gives the same records. */
  async sample(count: number, options: { seed?: number } & RecordFilter = {}): Promise<StoredRecord[]> {
    if (!Number.isInteger(count) || count < 0)
      throw new UsageError("count", `a sample of ${count} records cannot be taken`);
    const query = this.query(options);
    const positions = pickOrdinals(this.context.catalog.count(query), count, options.seed);
    const rows = this.context.catalog
      .ordinals(query, positions)
      .map((id) => this.context.catalog.record(this.#id, query.version, id))
      .filter((row) => row !== undefined);
    return this.stored(rows);
  }

  async count(filter: RecordFilter = {}): Promise<number> {
    return this.context.catalog.count(this.query(filter));
  }

  /**
   * Writes records into one new file: to a path, or to a function that takes its bytes in order. Tensors have the names of their records (`file#tensor`
   * where several have one, ids where they have none). A safetensors file also gets the metadata: that of the dataset as
   * `tensorcask.dataset`, that of the records as `tensorcask.records`, which comes back with them when the file is read.
   *
   * @throws UsageError naming what the format cannot hold, before anything is written; `NotFoundError`, `CancelledError`, `StorageError`
   * @example
   * await images.exportRecords("cats.safetensors", { where: { label: 3 } });
   */
  async exportRecords(
    out: string | ((bytes: Uint8Array) => Promise<void>),
    options: ExportRecordsOptions = {},
  ): Promise<ExportRecordsResult> {
    return this.context.parts.formats.exportRecords(this.context, this, out, options);
  }

  async files(): Promise<FileInfo[]> {
    return this.fileRows().map(({ path, format, bytes, sha256, parts }) => ({
      path,
      format,
      bytes,
      sha256: Buffer.from(sha256).toString("hex"),
      exact: this.context.catalog.tensors(parts).every((tensor) => tensor.quantization === undefined),
    }));
  }

  /** Versions that are kept, oldest first. */
  async versions(): Promise<VersionInfo[]> {
    return this.context.catalog.versions(this.row().dataset).map(({ version, timeMs, note, tags }) => ({
      version,
      timeMs,
      note,
      tags,
    }));
  }

  /** Tag to version. */
  async tags(): Promise<ReadonlyMap<string, number>> {
    const found = new Map<string, number>();
    for (const { version, tags } of this.context.catalog.versions(this.row().dataset)) {
      for (const tag of tags) found.set(tag, version);
    }
    return found;
  }

  /** Rows of the files at this version. */
  fileRows(): FileRow[] {
    const row = this.row();
    const version = this.resolveVersion(row);
    this.checkVersion(version);
    return this.context.catalog.files(row.dataset, version);
  }

  /** The row of an address; undefined when there is no such record. */
  findRow(address: string): RecordRow | undefined {
    return this.find(address);
  }

  /** Rows of all records that a filter accepts. */
  recordRows(filter: RecordFilter): RecordRow[] {
    const query = this.query(filter);
    const rows: RecordRow[] = [];
    for (;;) {
      const page = this.context.catalog.page(query, rows.at(-1)?.id, MAX_PAGE);
      for (const row of page) rows.push(row);
      if (page.length < MAX_PAGE) return rows;
    }
  }

  /** A reader of a stored tensor. */
  reader(tensor: StoredTensor, options: ReadChunksOptions = {}): TensorReader {
    return new TensorReader(this.context.parts.reader, tensor, this.context.chunkElements, options);
  }

  /** Reads a record that was found before. */
  async readRecord(record: RecordRow, options: ReadOptions): Promise<Tensor> {
    return this.guarded(async () => {
      const reader = this.reader(this.context.storedTensor(record.tensor));
      return tensorOf(reader.dtype, reader.shape, await reader.bytes(), options);
    });
  }

  async #storedArrays(record: RecordRow): Promise<StoredArrays> {
    return this.guarded(async () => {
      const tensor = this.context.storedTensor(record.tensor);
      const arrays = await this.reader(tensor).arrays();
      const byRole = arrays.map(
        ({ role, dtype, shape, bytes }) => [role, tensorOf(dtype, shape, bytes)] as const,
      );
      const { values, ...side } = Object.fromEntries(byRole);
      return { quantization: tensor.quantization, values: values!, ...side };
    });
  }

  async sliceRecord(record: RecordRow, spec: SliceSpec, options: ReadOptions): Promise<Tensor> {
    return this.guarded(async () => {
      const reader = this.reader(this.context.storedTensor(record.tensor));
      const { shape, bytes } = await reader.slice(spec);
      // An integer on the last axis takes one block: as floats these are the axis of its values.
      const isOneBlock = reader.dtype.kind === "block" && typeof spec[reader.shape.length - 1] === "number";
      const isConverted = options.as !== undefined && isOneBlock;
      return tensorOf(reader.dtype, isConverted ? [...shape, 1] : shape, bytes, options);
    });
  }

  /** The dataset's row. Throws `NotFoundError` when it was deleted. */
  protected row(): DatasetRow {
    const row = this.context.catalog.datasetById(this.#id);
    if (row === undefined) throw new NotFoundError("dataset", this.#name, "it was deleted");
    return row;
  }

  protected resolveVersion(row: DatasetRow): number {
    if (this.#version === undefined) return row.version;
    const version =
      typeof this.#version === "number"
        ? this.#version
        : this.context.catalog.tag(row.dataset, this.#version);
    if (version === undefined) throw new NotFoundError("tag", String(this.#version), `in ${row.name}`);
    this.checkVersion(version, row);
    return version;
  }

  /** Throws `VersionExpiredError` when a version is not kept. */
  protected checkVersion(version: number, row: DatasetRow = this.row()): void {
    if (version !== row.version && !this.context.catalog.hasVersion(row.dataset, version)) {
      throw new VersionExpiredError(row.name, version);
    }
  }

  /** The record of an address: `[file#]tensor` or an id. Throws `AmbiguousNameError` for a bare name that several have. */
  protected find(address: string): RecordRow | undefined {
    const row = this.row();
    const version = this.resolveVersion(row);
    const { catalog } = this.context;
    const named = catalog.recordsNamed(row.dataset, version, address);
    if (named.length === 1) return named[0];
    if (named.length > 1) {
      // Asked for by itself: a lookup lists only the first records of a name that many files have.
      const [loose] = catalog.recordsNamed(row.dataset, version, address, 0);
      if (loose !== undefined) return loose;
      throw new AmbiguousNameError(
        address,
        named.map((record) => addressOf({ ...record, idText: recordIdText(record.id) })),
      );
    }
    for (const { file, name } of fileAddresses(address)) {
      const found = catalog.file(row.dataset, version, file);
      if (found === undefined) continue;
      const [record] = catalog.recordsNamed(row.dataset, version, name, found.file);
      if (record !== undefined) return record;
    }
    const id = parseRecordId(address);
    return id === undefined ? undefined : catalog.record(row.dataset, version, id);
  }

  protected query(filter: RecordFilter): RecordQuery {
    checkOptionNames(filter, FILTER_NAMES, "a filter");
    const row = this.row();
    const version = this.resolveVersion(row);
    const { where, dtype, shape, file, name } = filter;
    let fileId: number | undefined;
    if (file !== undefined) {
      fileId = file === "" ? 0 : this.context.catalog.file(row.dataset, version, file)?.file;
      if (fileId === undefined) throw new NotFoundError("file", file, `in ${row.name}`);
    }
    return {
      dataset: row.dataset,
      version,
      ...(where !== undefined && { where }),
      ...(dtype !== undefined && { dtype: dtypeOf(dtype).code }),
      ...(shape !== undefined && { shape }),
      ...(fileId !== undefined && { file: fileId }),
      ...(name !== undefined && { name }),
    };
  }

  protected stored(rows: readonly RecordRow[]): StoredRecord[] {
    const tensors = this.context.catalog.tensors(rows.map((row) => row.tensor));
    return rows.map((row, index) => {
      const tensor = tensors[index]!;
      const dtype = dtypeOfCode(tensor.dtype);
      if (dtype === undefined)
        throw new UsageError("dtype", `dtype code ${tensor.dtype} is newer than this version`);
      return new StoredRecord(this, row, dtype, tensor);
    });
  }

  /** A version that gc took away under a reader is an expired one, not damage. */
  async guarded<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof GoneError)) throw error;
      const row = this.row();
      throw new VersionExpiredError(row.name, this.resolveVersion(row));
    }
  }
}
