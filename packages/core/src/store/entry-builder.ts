/**
 * Gathers what goes into one journal entry: gives ids to tensors and, with `EntryChunks`, to chunks, finds what the catalog got meanwhile,
 * bundles small arrays, and keeps one new version per dataset. It changes nothing outside itself; `settle` hands the ids out once the entry is
 * committed.
 */
import { dtypeOfCode, encodeFrame, readFrameHeader, sha256 } from "@tensorcask/codec";
import type { Catalog, DatasetRow } from "../catalog/catalog.ts";
import type {
  ArrayFacts,
  DatasetFacts,
  FileFacts,
  FrameFacts,
  FramesOp,
  Op,
  Place,
  RecordFacts,
  TensorFacts,
} from "../model/entry.ts";
import { RunsBuilder } from "../model/runs.ts";
import { Bundler, type ClosedBundle } from "./bundler.ts";
import { EntryChunks, type MutableCounters } from "./entry-chunks.ts";
import {
  hashKey,
  newPendingChunk,
  type OwnPack,
  type PendingArray,
  type PendingChunk,
  type PendingTensor,
} from "./pending.ts";
import { type DatasetRef, StaleReferenceError } from "./write-set.ts";

/** What changes in one dataset by this entry. */
export interface DatasetChange {
  readonly dataset: number;
  readonly version: number;
  note: string | undefined;
  readonly added: RecordFacts[];
  readonly removed: Uint8Array[];
  readonly filesAdded: FileFacts[];
  readonly filesRemoved: number[];
  /** Names without a file that this entry gives out or keeps, to find duplicates. */
  readonly names: Set<string>;
  /** Ids in `removed`, as map keys. */
  readonly removedKeys: Set<string>;
}

export class EntryBuilder {
  readonly catalog: Catalog;
  /** Operations on datasets, tags, presets and settings, in order. */
  readonly ops: Op[] = [];
  /** Datasets that this entry creates. */
  readonly created: Map<DatasetRef, DatasetRow> = new Map();
  readonly #counters: MutableCounters;
  readonly #chunks: EntryChunks;
  readonly #tensorIds = new Map<PendingTensor, number>();
  readonly #tensorsByKey = new Map<string, number>();
  readonly #tensors: PendingTensor[] = [];
  readonly #firstTensor: number;
  readonly #bundler = new Bundler();
  readonly #slots = new Map<PendingArray, { bundle: number; offset: number }>();
  readonly #changes = new Map<number, DatasetChange>();
  readonly #rows = new Map<number, DatasetRow>();
  readonly #datasetNames = new Set<string>();

  constructor(catalog: Catalog) {
    this.catalog = catalog;
    this.#counters = { ...catalog.counters() };
    this.#chunks = new EntryChunks(catalog, this.#counters);
    this.#firstTensor = this.#counters.tensor;
  }

  /** Nothing in it: no entry is needed. */
  get isEmpty(): boolean {
    return (
      this.ops.length === 0 &&
      this.#chunks.packOps.length === 0 &&
      this.#chunks.tail.length === 0 &&
      this.#tensors.length === 0 &&
      this.#changes.size === 0
    );
  }

  /** Bytes of new frames. */
  get newBytes(): number {
    return this.#chunks.newBytes;
  }

  /** First ids of the runs of chunks that are staged. */
  get stagedFirsts(): readonly number[] {
    return this.#chunks.stagedFirsts;
  }

  /** Chunks whose frames the commit appends to the tail pack. Complete after `finish`. */
  get tail(): readonly PendingChunk[] {
    return this.#chunks.tail;
  }

  get versions(): Map<number, number> {
    return new Map([...this.#changes.values()].map(({ dataset, version }) => [dataset, version]));
  }

  /** Creates a dataset with this entry; it counts as empty, at version 0, for the other intents. */
  createDataset(
    ref: DatasetRef,
    facts: Pick<DatasetFacts, "preset" | "metadata" | "schema" | "indexed">,
    timeMs: number = Date.now(),
  ): void {
    const { preset, metadata, schema, indexed } = facts;
    const row = {
      dataset: this.#counters.dataset++,
      name: ref.name,
      timeMs,
      preset,
      metadata,
      schema,
      indexed,
    };
    this.created.set(ref, { ...row, version: 0 });
    this.ops.push({ op: "dataset.add", ...row });
  }

  /** The row of a dataset as of the last entry, or as this one creates it. Looked up once. */
  dataset(ref: DatasetRef): DatasetRow | undefined {
    const created = this.created.get(ref);
    if (created !== undefined) return created;
    let row = this.#rows.get(ref.id);
    if (row === undefined) {
      row = this.catalog.datasetById(ref.id);
      if (row !== undefined) this.#rows.set(ref.id, row);
    }
    return row;
  }

  nextFile(): number {
    return this.#counters.file++;
  }

  nextPack(): number {
    return this.#counters.pack++;
  }

  /** The change to a dataset: the first call starts its new version. */
  change(dataset: number, version: number): DatasetChange {
    let change = this.#changes.get(dataset);
    if (change === undefined) {
      change = {
        dataset,
        version,
        note: undefined,
        added: [],
        removed: [],
        filesAdded: [],
        filesRemoved: [],
        names: new Set(),
        removedKeys: new Set(),
      };
      this.#changes.set(dataset, change);
    }
    return change;
  }

  /** The change to a dataset so far; undefined when this entry has none. */
  changeSoFar(dataset: number): DatasetChange | undefined {
    return this.#changes.get(dataset);
  }

  /** Gives a dataset name out. False when a dataset of this entry, or of the catalog, has it. */
  takeDatasetName(name: string): boolean {
    if (this.#datasetNames.has(name) || this.catalog.dataset(name) !== undefined) return false;
    this.#datasetNames.add(name);
    return true;
  }

  /** The id of a tensor: known, got by another commit meanwhile, or new with this entry. */
  tensor(tensor: PendingTensor): number {
    const placed = this.#tensorIds.get(tensor);
    if (placed !== undefined) return placed;
    const key = hashKey(tensor.key);
    const stored = this.catalog.resolveTensors([tensor.key])[0];
    let id = stored ?? this.#tensorsByKey.get(key);
    if (id === undefined) {
      if (tensor.id !== 0) throw new StaleReferenceError(`tensor ${tensor.id}`);
      id = this.#counters.tensor++;
      this.#tensors.push(tensor);
      this.#tensorsByKey.set(key, id);
      for (const array of tensor.arrays) this.#array(array, tensor);
    }
    this.#tensorIds.set(tensor, id);
    return id;
  }

  /** Takes in a pack of an import: every frame in it becomes a chunk, unless another commit brought that chunk meanwhile. */
  pack(pack: OwnPack, staged: boolean): void {
    this.#chunks.pack(pack, staged);
  }

  /** Closes the bundles; from here on only `entryOps` and `settle` are called. */
  finish(): void {
    for (const closed of this.#bundler.finish()) this.#bundle(closed);
  }

  /** All operations of the entry. `tailOps` are those that place the tail frames. */
  entryOps(tailOps: readonly Op[]): Op[] {
    const ops: Op[] = [...this.#chunks.packOps, ...tailOps];
    if (this.#tensors.length > 0) {
      ops.push({
        op: "tensors.add",
        first: this.#firstTensor,
        tensors: this.#tensors.map((one) => this.#tensorFacts(one)),
      });
    }
    ops.push(...this.ops);
    for (const {
      dataset,
      version,
      note,
      added,
      removed,
      filesAdded,
      filesRemoved,
    } of this.#changes.values()) {
      ops.push({ op: "version", dataset, version, ...(note !== undefined && { note }) });
      if (filesRemoved.length > 0) ops.push({ op: "files.remove", dataset, version, files: filesRemoved });
      if (removed.length > 0) ops.push({ op: "records.remove", dataset, version, ids: removed });
      if (filesAdded.length > 0) ops.push({ op: "files.add", dataset, version, files: filesAdded });
      if (added.length > 0) ops.push({ op: "records.add", dataset, version, records: added });
    }
    return ops;
  }

  /** Facts of the frames of an operation that this builder made. */
  facts(op: FramesOp): readonly FrameFacts[] | undefined {
    return this.#chunks.facts(op);
  }

  /** Places the tail frames: one operation, or none. */
  tailOp(pack: number, offset: number): FramesOp | undefined {
    return this.#chunks.tailOp(pack, offset);
  }

  /** The entry is committed: everybody who holds a pending thing learns its id. */
  settle(): void {
    this.#chunks.settle();
    for (const [tensor, id] of this.#tensorIds) tensor.id = id;
    for (const [ref, row] of this.created) ref.id = row.dataset;
  }

  #array(array: PendingArray, tensor: PendingTensor): void {
    const { place } = array;
    if ("small" in place) {
      const closed = this.#bundler.add(array, place.small, tensor.policy);
      if (closed !== undefined) this.#bundle(closed);
    } else if ("bundle" in place) {
      this.#chunks.id(place.bundle);
    } else {
      for (const ref of place.chunks) this.#chunks.id(ref);
    }
  }

  #bundle(closed: ClosedBundle): void {
    const hash = sha256(closed.bytes);
    const id = this.#chunks.known(hash) ?? this.#chunks.addToTail(this.#bundleChunk(hash, closed));
    for (const { array, offset } of closed.slots) this.#slots.set(array, { bundle: id, offset });
  }

  #bundleChunk(hash: Uint8Array, { bytes, dtype, policy }: ClosedBundle): PendingChunk {
    const chunk = newPendingChunk(hash, bytes.length);
    const frame = encodeFrame({ hash, dtype: dtypeOfCode(dtype)!, bytes, policy });
    chunk.frame = { memory: frame };
    chunk.frameBytes = frame.length;
    chunk.chain = readFrameHeader(frame, "new bundle").chain;
    return chunk;
  }

  #tensorFacts(tensor: PendingTensor): TensorFacts {
    return {
      key: tensor.key,
      dtype: tensor.dtype,
      shape: tensor.shape,
      geometry: tensor.geometry,
      ...(tensor.quantization !== undefined && { quantization: tensor.quantization }),
      ...(tensor.note !== undefined && { note: tensor.note }),
      ...(tensor.sketch !== undefined && { sketch: tensor.sketch }),
      arrays: tensor.arrays.map((array) => this.#arrayFacts(array)),
    };
  }

  #arrayFacts(array: PendingArray): ArrayFacts {
    const { role, dtype, shape, place } = array;
    let facts: Place;
    if ("small" in place) {
      facts = this.#slots.get(array)!;
    } else if ("bundle" in place) {
      facts = { bundle: this.#chunks.id(place.bundle), offset: place.offset };
    } else {
      const runs = new RunsBuilder();
      for (const ref of place.chunks) runs.push(this.#chunks.id(ref));
      facts = { runs: runs.runs };
    }
    return { role, dtype, shape, place: facts };
  }
}
