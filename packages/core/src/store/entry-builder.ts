/**
 * Gathers what goes into one journal entry: gives ids to chunks and tensors, finds what the catalog got meanwhile, bundles small arrays,
 * and keeps one new version per dataset. It changes nothing outside itself; `settle` hands the ids out once the entry is committed.
 */
import { dtypeOfCode, encodeFrame, readFrameHeader, sha256 } from "@tensorcask/codec";
import type { Catalog, DatasetRow } from "../catalog/catalog.ts";
import type {
  ArrayFacts,
  Counters,
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
import {
  type ChunkRef,
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

type MutableCounters = { -readonly [Key in keyof Counters]: Counters[Key] };

export class EntryBuilder {
  readonly catalog: Catalog;
  /** Operations on datasets, tags, presets and settings, in order. */
  readonly ops: Op[] = [];
  /** Datasets that this entry creates. */
  readonly created: Map<DatasetRef, DatasetRow> = new Map();
  /** First ids of the runs of chunks that are staged. */
  readonly stagedFirsts: number[] = [];
  readonly #counters: MutableCounters;
  readonly #chunkIds = new Map<PendingChunk, number>();
  readonly #chunksByHash = new Map<string, number>();
  readonly #checked = new Set<number>();
  readonly #tensorIds = new Map<PendingTensor, number>();
  readonly #tensorsByKey = new Map<string, number>();
  readonly #tensors: PendingTensor[] = [];
  readonly #firstTensor: number;
  readonly #bundler = new Bundler();
  readonly #slots = new Map<PendingArray, { bundle: number; offset: number }>();
  readonly #tail: PendingChunk[] = [];
  readonly #packs = new Set<OwnPack>();
  readonly #packOps: Op[] = [];
  readonly #facts = new Map<FramesOp, readonly FrameFacts[]>();
  readonly #changes = new Map<number, DatasetChange>();
  readonly #rows = new Map<number, DatasetRow>();
  readonly #datasetNames = new Set<string>();
  #newBytes = 0;

  constructor(catalog: Catalog) {
    this.catalog = catalog;
    this.#counters = { ...catalog.counters() };
    this.#firstTensor = this.#counters.tensor;
  }

  /** Nothing in it: no entry is needed. */
  get isEmpty(): boolean {
    return (
      this.ops.length === 0 &&
      this.#packOps.length === 0 &&
      this.#tail.length === 0 &&
      this.#tensors.length === 0 &&
      this.#changes.size === 0
    );
  }

  /** Bytes of new frames. */
  get newBytes(): number {
    return this.#newBytes;
  }

  /** Chunks whose frames the commit appends to the tail pack. Complete after `finish`. */
  get tail(): readonly PendingChunk[] {
    return this.#tail;
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
    if (this.#packs.has(pack)) return;
    this.#packs.add(pack);
    const number = this.#counters.pack++;
    const stored = this.catalog.resolveChunks(pack.chunks.map((chunk) => chunk.hash));
    let run: PendingChunk[] = [];
    const ops: FramesOp[] = [];
    const close = (): void => {
      if (run.length === 0) return;
      const ids = new RunsBuilder();
      for (const chunk of run) ids.push(this.#chunkIds.get(chunk)!);
      const offset = packOffset(run[0]!);
      const bytes = run.reduce((sum, chunk) => sum + chunk.frameBytes, 0);
      const op: FramesOp = {
        op: "frames",
        pack: number,
        offset,
        bytes,
        chunks: ids.runs,
        ...(staged && { staged }),
      };
      ops.push(op);
      this.#facts.set(op, frameFacts(run, offset));
      this.#newBytes += bytes;
      if (staged) for (let at = 0; at < ids.runs.length; at += 2) this.stagedFirsts.push(ids.runs[at]!);
      run = [];
    };
    for (const [index, chunk] of pack.chunks.entries()) {
      const known = stored[index]?.id ?? this.#chunksByHash.get(hashKey(chunk.hash));
      if (known !== undefined) {
        this.#chunkIds.set(chunk, known);
        close();
        continue;
      }
      this.#newChunk(chunk);
      run.push(chunk);
    }
    close();
    // A pack in which nothing is new is left without an entry, and removed with the other orphans.
    if (ops.length > 0)
      this.#packOps.push({ op: "pack.add", pack: number, name: pack.name, tail: false }, ...ops);
  }

  /** Closes the bundles; from here on only `entryOps` and `settle` are called. */
  finish(): void {
    for (const closed of this.#bundler.finish()) this.#bundle(closed);
  }

  /** All operations of the entry. `tailOps` are those that place the tail frames. */
  entryOps(tailOps: readonly Op[]): Op[] {
    const ops: Op[] = [...this.#packOps, ...tailOps];
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
    return this.#facts.get(op);
  }

  /** Places the tail frames: one operation, or none. */
  tailOp(pack: number, offset: number): FramesOp | undefined {
    if (this.#tail.length === 0) return undefined;
    const ids = new RunsBuilder();
    for (const chunk of this.#tail) ids.push(this.#chunkIds.get(chunk)!);
    const bytes = this.#tail.reduce((sum, chunk) => sum + chunk.frameBytes, 0);
    const op: FramesOp = { op: "frames", pack, offset, bytes, chunks: ids.runs };
    this.#facts.set(op, frameFacts(this.#tail, offset));
    return op;
  }

  /** The entry is committed: everybody who holds a pending thing learns its id. */
  settle(): void {
    for (const [chunk, id] of this.#chunkIds) chunk.id = id;
    for (const [tensor, id] of this.#tensorIds) tensor.id = id;
    for (const [ref, row] of this.created) ref.id = row.dataset;
  }

  #array(array: PendingArray, tensor: PendingTensor): void {
    const { place } = array;
    if ("small" in place) {
      const closed = this.#bundler.add(array, place.small, tensor.policy);
      if (closed !== undefined) this.#bundle(closed);
    } else if ("bundle" in place) {
      this.#chunk(place.bundle);
    } else {
      for (const ref of place.chunks) this.#chunk(ref);
    }
  }

  #bundle(closed: ClosedBundle): void {
    const hash = sha256(closed.bytes);
    const chunk = newPendingChunk(hash, closed.bytes.length);
    const known = this.#findChunk(chunk);
    const dtype = dtypeOfCode(closed.dtype)!;
    if (known === undefined) {
      const frame = encodeFrame({ hash, dtype, bytes: closed.bytes, policy: closed.policy });
      chunk.frame = { memory: frame };
      chunk.frameBytes = frame.length;
      chunk.chain = readFrameHeader(frame, "new bundle").steps.map((step) => step.code);
      this.#newChunk(chunk);
      this.#tail.push(chunk);
      this.#newBytes += frame.length;
    }
    const id = known ?? this.#chunkIds.get(chunk)!;
    for (const { array, offset } of closed.slots) this.#slots.set(array, { bundle: id, offset });
  }

  #findChunk(chunk: PendingChunk): number | undefined {
    return this.catalog.resolveChunks([chunk.hash])[0]?.id ?? this.#chunksByHash.get(hashKey(chunk.hash));
  }

  #chunk(ref: ChunkRef): number {
    const id = typeof ref === "number" ? ref : ref.id;
    if (id !== 0) {
      if (!this.#checked.has(id)) {
        if (this.catalog.chunk(id) === undefined) throw new StaleReferenceError(`chunk ${id}`);
        this.#checked.add(id);
      }
      return id;
    }
    const chunk = ref as PendingChunk;
    const placed = this.#chunkIds.get(chunk);
    if (placed !== undefined) return placed;
    const { frame } = chunk;
    if (frame === undefined) throw new Error("a chunk came to its commit without a frame");
    if ("pack" in frame) {
      this.pack(frame.pack, false);
      return this.#chunkIds.get(chunk)!;
    }
    const known = this.#findChunk(chunk);
    if (known !== undefined) {
      this.#chunkIds.set(chunk, known);
      return known;
    }
    this.#tail.push(chunk);
    this.#newBytes += chunk.frameBytes;
    return this.#newChunk(chunk);
  }

  #newChunk(chunk: PendingChunk): number {
    const id = this.#counters.chunk++;
    this.#chunkIds.set(chunk, id);
    this.#chunksByHash.set(hashKey(chunk.hash), id);
    return id;
  }

  #tensorFacts(tensor: PendingTensor): TensorFacts {
    return {
      key: tensor.key,
      dtype: tensor.dtype,
      shape: tensor.shape,
      geometry: tensor.geometry,
      ...(tensor.quantization !== undefined && { quantization: tensor.quantization }),
      ...(tensor.note !== undefined && { note: tensor.note }),
      arrays: tensor.arrays.map((array) => this.#arrayFacts(array)),
    };
  }

  #arrayFacts(array: PendingArray): ArrayFacts {
    const { role, dtype, shape, place } = array;
    let facts: Place;
    if ("small" in place) {
      facts = this.#slots.get(array)!;
    } else if ("bundle" in place) {
      facts = { bundle: this.#chunk(place.bundle), offset: place.offset };
    } else {
      const runs = new RunsBuilder();
      for (const ref of place.chunks) runs.push(this.#chunk(ref));
      facts = { runs: runs.runs };
    }
    return { role, dtype, shape, place: facts };
  }
}

function packOffset(chunk: PendingChunk): number {
  if (chunk.frame === undefined || !("pack" in chunk.frame))
    throw new Error("a frame of a pack lost its place");
  return chunk.frame.offset;
}

function frameFacts(chunks: readonly PendingChunk[], offset: number): FrameFacts[] {
  let at = offset;
  return chunks.map(({ hash, frameBytes, rawBytes, chain }) => {
    const facts = { hash, offset: at, frameBytes, rawBytes, chain };
    at += frameBytes;
    return facts;
  });
}
