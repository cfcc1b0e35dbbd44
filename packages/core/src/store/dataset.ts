/** A dataset: its current version, with everything that changes it. Each call commits by itself; `store.transaction` joins several. */
import {
  type CheckedTensor,
  ConflictError,
  checkTensor,
  NotFoundError,
  type Preset,
  type TensorInput,
  VersionExpiredError,
} from "@tensorcask/codec";
import type { RecordRow } from "../catalog/catalog.ts";
import { checkIndexed } from "../catalog/metadata-index.ts";
import type { JsonObject } from "../model/entry.ts";
import { appendedShape, appendRows } from "./append-rows.ts";
import type { StoreContext } from "./context.ts";
import { DatasetView } from "./dataset-view.ts";
import { type Draft, Ingest } from "./ingest.ts";
import { checkMetadata, checkTag, checkTensorName } from "./metadata.ts";
import { checkOptionNames } from "./option-names.ts";
import { recompress } from "./recompress.ts";
import { recordIdText } from "./record-id.ts";
import { parseSchema } from "./schema.ts";
import { bytesInMemory } from "./tensor-bytes.ts";
import type {
  DatasetSchema,
  InsertItem,
  InsertOptions,
  LongCallOptions,
  RecompressResult,
  SwitchPresetResult,
} from "./types.ts";
import {
  type CommitResult,
  type DatasetRef,
  type Intent,
  StaleReferenceError,
  type WriteSet,
} from "./write-set.ts";

/** gc can take what a commit refers to while it is prepared; that this happens more often in a row means something else is wrong. */
const TRIES = 3;

export class Dataset extends DatasetView {
  readonly #ref: DatasetRef;

  constructor(context: StoreContext, id: number, name: string) {
    super(context, id, name);
    this.#ref = { id, name };
  }

  /** Name of its own preset; null when it follows the store's. */
  get ownPreset(): string | null {
    return this.row().preset;
  }

  /** The preset that inserts use. */
  preset(): Preset {
    return this.context.preset(this.row().preset ?? this.context.storePreset);
  }

  /** The dataset as of a version or tag. What is not kept any more is a `VersionExpiredError` on the first read. */
  at(version: number | string): DatasetView {
    return new DatasetView(this.context, this.#ref.id, this.#ref.name, version);
  }

  /** Stores a tensor; returns the id of its record. The array is copied before anything is awaited. */
  async insert(tensor: TensorInput, options: InsertOptions = {}): Promise<string> {
    const [id] = await this.insertMany([{ ...options, tensor }]);
    return id!;
  }

  /**
   * Stores many tensors in one commit: all or none. What an array holds is copied before anything is awaited; items of other iterables are
   * copied as they come, so that there may be more of them than fit in memory.
   */
  async insertMany(
    items:
      | Iterable<Omit<InsertItem, "tensor"> & { tensor: TensorInput }>
      | AsyncIterable<Omit<InsertItem, "tensor"> & { tensor: TensorInput }>,
    options: LongCallOptions = {},
  ): Promise<string[]> {
    this.context.checkWritable();
    const again = Array.isArray(items);
    const prepared = again ? items.map(prepareItem) : eachPrepared(items);
    return this.#retry(
      again,
      async (ingest) => {
        const drafts: (Omit<PreparedItem, "tensor"> & { id: Uint8Array; draft: Draft })[] = [];
        const usual = this.preset();
        let done = 0;
        for await (const { tensor, ...rest } of prepared) {
          const { dtype, shape, bytes } = tensor;
          const preset = rest.preset === undefined ? usual : this.context.preset(rest.preset);
          const draft = await ingest.tensor(bytesInMemory(bytes), dtype, shape, preset, rest.name);
          // Whoever makes the items may read from the store to do so: it must not wait for a slot that is kept here.
          if (!again) await ingest.flush();
          drafts.push({ id: this.context.ids.next(), draft, ...rest });
          done += bytes.length;
          options.onProgress?.({ phase: "import", done, total: done });
        }
        await ingest.finish();
        const intents: Intent[] = drafts.map(({ id, draft, name, replace, metadata }) => ({
          kind: "insert",
          dataset: this.#ref,
          record: { id, name, metadata, tensor: draft.tensor! },
          replace,
        }));
        await this.#commit(intents, options.signal);
        return drafts.map(({ id }) => recordIdText(id));
      },
      options.signal,
    );
  }

  /**
   * Adds rows along axis 0 to a tensor, in place of the old one. Whole chunks are not written again. Appends to one record take turns;
   * `ConflictError` when other processes change it all the time.
   */
  async append(address: string, rows: TensorInput): Promise<void> {
    this.context.checkWritable();
    const added = snapshot(rows);
    const { id } = this.#mustFind(address);
    await this.context.inTurn(`append ${this.#ref.id} ${recordIdText(id)}`, async () => {
      for (let left = TRIES; ; left--) {
        try {
          return await this.#append(address, added);
        } catch (error) {
          if (!(error instanceof ConflictError) || left === 1) throw error;
        }
      }
    });
  }

  async #append(address: string, added: CheckedTensor): Promise<void> {
    await this.#retry(true, async (ingest) => {
      const record = this.#mustFind(address);
      const old = this.context.storedTensor(record.tensor);
      const shape = appendedShape(address, old, added);
      const draft = await appendRows(
        this.context,
        this.reader(old),
        old,
        shape,
        added.bytes,
        this.preset().codec,
        ingest,
      );
      await ingest.finish();
      await this.#commit([
        {
          kind: "update",
          dataset: this.#ref,
          id: record.id,
          tensor: draft.tensor!,
          expectTensor: record.tensor,
        },
      ]);
    });
  }

  /** Changes a record: `metadata` is merged (null removes a key), `name` renames, `tensor` replaces. */
  async update(
    address: string,
    change: { readonly metadata?: JsonObject; readonly name?: string; readonly tensor?: TensorInput },
  ): Promise<void> {
    this.context.checkWritable();
    checkTensorName(change.name);
    const metadata = change.metadata === undefined ? undefined : checkMetadata(change.metadata);
    const tensor = change.tensor === undefined ? undefined : snapshot(change.tensor);
    await this.#retry(true, async (ingest) => {
      const record = this.#mustFind(address);
      const draft =
        tensor &&
        (await ingest.tensor(
          bytesInMemory(tensor.bytes),
          tensor.dtype,
          tensor.shape,
          this.preset(),
          change.name ?? record.name,
        ));
      await ingest.finish();
      await this.#commit([
        {
          kind: "update",
          dataset: this.#ref,
          id: record.id,
          ...(change.name !== undefined && { name: change.name }),
          ...(metadata !== undefined && { metadata }),
          ...(draft !== undefined && { tensor: draft.tensor! }),
        },
      ]);
    });
  }

  /** Deletes a record; false when there is none. Its bytes come back with gc. */
  async delete(address: string): Promise<boolean> {
    this.context.checkWritable();
    const record = this.find(address);
    if (record === undefined) return false;
    try {
      await this.#commit([{ kind: "delete", dataset: this.#ref, id: record.id }]);
    } catch (error) {
      if (error instanceof NotFoundError && error.kind === "record") return false;
      throw error;
    }
    return true;
  }

  /** Deletes a file and its records; false when there is none. */
  async deleteFile(path: string): Promise<boolean> {
    this.context.checkWritable();
    if (this.context.catalog.file(this.#ref.id, this.version, path) === undefined) return false;
    await this.#commit([{ kind: "delete-file", dataset: this.#ref, path }]);
    return true;
  }

  /** Switches the preset from now on; null: follow the store's. What is stored stays as it is and readable. */
  async setPreset(name: string | null): Promise<SwitchPresetResult> {
    this.context.checkWritable();
    const preset = this.context.preset(name ?? this.context.storePreset);
    const tensorsKept = await this.count();
    await this.#commit([{ kind: "set-dataset", dataset: this.#ref, preset: name }]);
    return { preset: preset.name, lossless: preset.lossless, tensorsKept };
  }

  /** Merges metadata of the dataset; null removes a key. */
  async setMetadata(metadata: JsonObject): Promise<void> {
    this.context.checkWritable();
    await this.#commit([{ kind: "set-dataset", dataset: this.#ref, metadata: checkMetadata(metadata) }]);
  }

  /** Rules for records from now on; null: none. Records that are there are not checked. */
  async setSchema(schema: DatasetSchema | null): Promise<void> {
    this.context.checkWritable();
    const parsed = schema === null ? null : parseSchema(schema);
    await this.#commit([{ kind: "set-dataset", dataset: this.#ref, schema: parsed }]);
  }

  /** Metadata paths that `where` finds by an index. */
  async setIndexed(paths: readonly string[]): Promise<void> {
    this.context.checkWritable();
    checkIndexed(paths, "indexed");
    await this.#commit([{ kind: "set-dataset", dataset: this.#ref, indexed: [...paths] }]);
  }

  /** Codes the stored chunks anew with the codec of a preset; the tensors stay what they are. */
  async recompress(preset: string, options: LongCallOptions = {}): Promise<RecompressResult> {
    this.context.checkWritable();
    return recompress(this.context, this.row(), this.context.preset(preset), options);
  }

  /** Names a version, the current one unless told otherwise. A taken name is an error unless `move` is set. */
  async tag(tag: string, options: { version?: number; move?: boolean } = {}): Promise<void> {
    this.context.checkWritable();
    checkTag(tag);
    const { version, move = false } = options;
    await this.#commit([{ kind: "set-tag", dataset: this.#ref, tag, version, move }]);
  }

  /** Removes a tag; false when there is none. */
  async deleteTag(tag: string): Promise<boolean> {
    this.context.checkWritable();
    if (this.context.catalog.tag(this.#ref.id, tag) === undefined) return false;
    await this.#commit([{ kind: "drop-tag", dataset: this.#ref, tag }]);
    return true;
  }

  /** Makes a new version that equals an old one; returns its number. */
  async rollback(version: number | string): Promise<number> {
    this.context.checkWritable();
    const row = this.row();
    const target = typeof version === "number" ? version : this.context.catalog.tag(row.dataset, version);
    if (target === undefined) throw new NotFoundError("tag", String(version), `in ${row.name}`);
    if (!this.context.catalog.hasVersion(row.dataset, target))
      throw new VersionExpiredError(row.name, target);
    const { versions } = await this.#commit([{ kind: "rollback", dataset: this.#ref, version: target }]);
    return versions.get(row.dataset) ?? row.version;
  }

  #mustFind(address: string): RecordRow {
    const record = this.find(address);
    if (record === undefined) throw new NotFoundError("record", address, `in ${this.name}`);
    return record;
  }

  async #commit(intents: readonly Intent[], signal?: AbortSignal): Promise<CommitResult> {
    const writeSet: WriteSet = { intents };
    return this.context.parts.committer.commit(writeSet, { signal });
  }

  /** Prepares and commits; again when gc took away what was referenced in between. */
  async #retry<T>(again: boolean, attempt: (ingest: Ingest) => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let left = TRIES; ; left--) {
      const ingest = new Ingest(this.context, signal);
      try {
        return await attempt(ingest);
      } catch (error) {
        await ingest.abandon();
        if (!(error instanceof StaleReferenceError)) throw error;
        if (!again || left === 1) {
          throw new ConflictError(
            this.name,
            "",
            "lost chunks that it referred to, because gc ran meanwhile; insert again",
          );
        }
      }
    }
  }
}

/** An item of `insertMany`, checked; tensor and metadata are copies. */
interface PreparedItem {
  readonly tensor: CheckedTensor;
  readonly name: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly replace: boolean;
  readonly preset: string | undefined;
}

const ITEM_NAMES: readonly string[] = ["tensor", "name", "metadata", "replace", "preset"];

function prepareItem(item: InsertOptions & { tensor: TensorInput }): PreparedItem {
  checkOptionNames(item, ITEM_NAMES, "insert");
  const { tensor, name, metadata, replace, preset } = item;
  checkTensorName(name);
  return {
    tensor: snapshot(tensor),
    name,
    metadata: metadata === undefined ? undefined : checkMetadata(metadata),
    replace: replace === true,
    preset,
  };
}

async function* eachPrepared(
  items:
    | Iterable<InsertOptions & { tensor: TensorInput }>
    | AsyncIterable<InsertOptions & { tensor: TensorInput }>,
): AsyncGenerator<PreparedItem, void, void> {
  for await (const item of items) yield prepareItem(item);
}

/** The caller's array as it is now, checked. */
export function snapshot(tensor: TensorInput): CheckedTensor {
  const { dtype, shape, bytes } = checkTensor(tensor);
  return { dtype, shape, bytes: bytes.slice() };
}
