/**
 * Turns tensors and opaque bytes into pending tensors: cut, hashed, looked up, quantized where the preset says so, coded, and
 * placed in frames. Nothing here takes the lock or changes what readers see; a commit does that with what `finish` returns.
 */
import {
  BUNDLED_BELOW_BYTES,
  byteLength,
  type CodecPolicy,
  ContentCutter,
  type DType,
  dtypeOf,
  ElementGeometry,
  elementCount,
  type Preset,
  type QuantizePlan,
  quantizerOf,
  sha256,
  sourceHash,
  tensorKey,
} from "@tensorcask/codec";
import type { QuantizationFacts } from "../model/entry.ts";
import { type ClosedBundle, Bundler } from "./bundler.ts";
import { ChunkPipeline, type PipelineContext } from "./chunk-pipeline.ts";
import { type ChunkRef, hashKey, type OwnPack, type PendingArray, type PendingTensor } from "./pending.ts";
import type { CommitResult } from "./write-set.ts";

/** A quantized tensor is read twice; up to this size its bytes are kept in memory in between. */
const KEPT_BETWEEN_PASSES_BYTES = 8 * 1024 * 1024;

/** Small arrays wait in memory for their bundles; beyond this they are bundled without waiting for the rest. */
const SMALL_ARRAYS_BYTES = 4 * 1024 * 1024;

/** Opaque bytes are read and cut in blocks of this size. */
const CONTENT_BLOCK_BYTES = 1024 * 1024;

/** A long import commits its frames, without any name, each time so many packs are full (256 MiB): so that it can resume. */
const STAGED_PACKS = 4;

/** The bytes of one tensor. `first` is called for rising offsets, once over; `again` for any range after that. */
export interface TensorBytes {
  first(into: Uint8Array, offset: number): Promise<void>;
  again(into: Uint8Array, offset: number): Promise<void>;
}

/** Stored chunks that a tensor begins with: rows are being appended to it. */
export interface KeptChunks {
  readonly ids: readonly number[];
  readonly hashes: readonly Uint8Array[];
  readonly bytes: number;
}

const NOTHING_KEPT: KeptChunks = { ids: [], hashes: [], bytes: 0 };

/** Bytes in memory. The caller must not change them until the ingest is finished. */
export function bytesInMemory(bytes: Uint8Array): TensorBytes {
  const read = async (into: Uint8Array, offset: number): Promise<void> => {
    into.set(bytes.subarray(offset, offset + into.length));
  };
  return { first: read, again: read };
}

export interface IngestContext extends PipelineContext {
  readonly chunkElements: number;
  /** Commits full packs without any name. */
  stage(packs: readonly OwnPack[]): Promise<CommitResult>;
}

/** A tensor that is being taken in; `tensor` is there once the ingest is finished. */
export interface Draft {
  readonly sourceBytes: number;
  tensor: PendingTensor | undefined;
  /** True when the store (or this import) had it, as a whole. */
  shared: boolean;
}

interface OpenDraft extends Draft {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly geometry: "elements" | "content";
  readonly policy: CodecPolicy;
  /** SHA-256 of each source chunk, by index. */
  readonly hashes: Uint8Array[];
  readonly arrays: PendingArray[];
  readonly note: string | undefined;
}

export class Ingest {
  readonly #context: IngestContext;
  readonly #pipeline: ChunkPipeline;
  readonly #open: OpenDraft[] = [];
  readonly #byKey = new Map<string, PendingTensor>();
  readonly #bundler = new Bundler();
  readonly #signal: AbortSignal | undefined;
  /** New tensors whose small arrays wait for a bundle, and how many bytes these have. */
  #small: PendingTensor[] = [];
  #smallBytes = 0;
  #staging: Promise<void> | undefined;
  #stagedBytes = 0;
  /** What the last commit is to release from the state of being staged. */
  readonly stagedFirsts: number[] = [];

  constructor(context: IngestContext, signal?: AbortSignal) {
    this.#context = context;
    this.#pipeline = new ChunkPipeline(context, signal);
    this.#signal = signal;
  }

  get pipeline(): ChunkPipeline {
    return this.#pipeline;
  }

  /** Bytes of frames that were committed ahead. */
  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  /** Takes in one tensor under a preset. */
  async tensor(bytes: TensorBytes, dtype: DType, shape: readonly number[], preset: Preset): Promise<Draft> {
    this.#signal?.throwIfAborted();
    await this.#stageIfDue();
    const { quantizer } = preset;
    if (quantizer !== undefined && elementCount(shape) > 0 && quantizerOf(quantizer.id).accepts(dtype)) {
      return this.#quantized(bytes, dtype, shape, preset);
    }
    return this.exact(bytes, dtype, shape, preset.codec);
  }

  /** Takes in one tensor without loss. `kept`: its first chunks are these stored ones, and `bytes` begins behind them. */
  async exact(
    bytes: TensorBytes,
    dtype: DType,
    shape: readonly number[],
    policy: CodecPolicy,
    kept?: KeptChunks,
  ): Promise<Draft> {
    return this.#exact(bytes.first, dtype, shape, policy, undefined, kept);
  }

  /** Takes in a run of opaque bytes, cut by content. */
  async content(read: TensorBytes["first"], bytes: number, policy: CodecPolicy): Promise<Draft> {
    await this.#stageIfDue();
    const dtype = dtypeOf("uint8");
    const array: PendingArray = { role: "values", dtype: dtype.code, shape: [bytes], place: { chunks: [] } };
    const draft = this.#draft(dtype, [bytes], "content", policy, bytes, [array], undefined);
    if (bytes < BUNDLED_BELOW_BYTES) {
      await this.#smallArray(draft, array, read, bytes);
      return draft;
    }
    const refs: ChunkRef[] = [];
    array.place = { chunks: refs };
    const cutter = new ContentCutter();
    let carry = new Uint8Array(0);
    let chunkStart = 0;
    for (let at = 0; at < bytes; ) {
      const block = Math.min(CONTENT_BLOCK_BYTES, bytes - at);
      const { view, start } = await this.#pipeline.reserve(carry.length + block);
      view.set(carry);
      const fresh = view.subarray(carry.length);
      await read(fresh, at);
      const regionStart = at - carry.length;
      at += block;
      for (const end of cutter.push(fresh, at === bytes)) {
        const index = refs.push(0) - 1;
        draft.hashes.push(new Uint8Array(0));
        const from = start + chunkStart - regionStart;
        this.#pipeline.chunk(from, start + end - regionStart, dtype.code, policy, (hash, ref) => {
          draft.hashes[index] = hash;
          refs[index] = ref;
        });
        chunkStart = end;
      }
      carry = view.slice(chunkStart - regionStart);
    }
    return draft;
  }

  /** Waits for everything, finds out which tensors the store has, and bundles small arrays. */
  async finish(): Promise<void> {
    await this.#pipeline.drain();
    this.#close();
    await this.#bundleSmall();
    await this.#pipeline.drain();
    await this.#staging;
    await this.#pipeline.sealPacks();
  }

  /** Gives up; nothing remains but frames that were staged. */
  async abandon(): Promise<void> {
    await this.#staging?.catch(() => undefined);
    await this.#pipeline.abandon();
  }

  async #stageIfDue(): Promise<void> {
    const full = this.#pipeline.sealedPacks.filter((pack) => pack.chunks[0]!.id === 0);
    if (full.length < STAGED_PACKS || this.#staging !== undefined) {
      if (full.length >= 2 * STAGED_PACKS) await this.#staging;
      return;
    }
    this.#staging = this.#context
      .stage(full)
      .then(({ stagedFirsts, newBytes }) => {
        this.stagedFirsts.push(...stagedFirsts);
        this.#stagedBytes += newBytes;
        this.#pipeline.forgetCommitted();
      })
      .finally(() => {
        this.#staging = undefined;
      });
    // A failure is met where the promise is awaited next; it must not count as unhandled until then.
    this.#staging.catch(() => undefined);
    await this.#staging;
  }

  #draft(
    dtype: DType,
    shape: readonly number[],
    geometry: OpenDraft["geometry"],
    policy: CodecPolicy,
    sourceBytes: number,
    arrays: PendingArray[],
    note: string | undefined,
  ): OpenDraft {
    const draft: OpenDraft = {
      dtype,
      shape,
      geometry,
      policy,
      sourceBytes,
      hashes: [],
      arrays,
      note,
      tensor: undefined,
      shared: false,
    };
    this.#open.push(draft);
    return draft;
  }

  async #exact(
    read: TensorBytes["first"],
    dtype: DType,
    shape: readonly number[],
    policy: CodecPolicy,
    note: string | undefined,
    kept?: KeptChunks,
  ): Promise<Draft> {
    const bytes = byteLength(dtype, shape);
    const array: PendingArray = { role: "values", dtype: dtype.code, shape, place: { chunks: [] } };
    const draft = this.#draft(dtype, shape, "elements", policy, bytes, [array], note);
    if (bytes < BUNDLED_BELOW_BYTES) await this.#smallArray(draft, array, read, bytes);
    else await this.#chunked(array, dtype, shape, read, policy, draft.hashes, kept);
    return draft;
  }

  /** An array in chunks of its own. Neighbouring chunks are read together. */
  async #chunked(
    array: PendingArray,
    dtype: DType,
    shape: readonly number[],
    read: TensorBytes["first"],
    policy: CodecPolicy,
    hashes: Uint8Array[] | undefined,
    kept: KeptChunks = NOTHING_KEPT,
  ): Promise<void> {
    const geometry = new ElementGeometry(dtype, shape, this.#context.chunkElements);
    const refs: ChunkRef[] = [...kept.ids];
    for (let chunk = refs.length; chunk < geometry.chunkCount; chunk++) refs.push(0);
    hashes?.push(...kept.hashes);
    array.place = { chunks: refs };
    for (let chunk = kept.ids.length; chunk < geometry.chunkCount; ) {
      const first = chunk;
      const { start: from } = geometry.byteRange(first);
      let { end: to } = geometry.byteRange(first);
      if (this.#pipeline.room < to - from) this.#pipeline.flush();
      const room = this.#pipeline.room;
      for (chunk += 1; chunk < geometry.chunkCount; chunk++) {
        const { end } = geometry.byteRange(chunk);
        if (end - from > room) break;
        to = end;
      }
      const { view, start } = await this.#pipeline.reserve(to - from);
      await read(view, from - kept.bytes);
      for (let index = first; index < chunk; index++) {
        const range = geometry.byteRange(index);
        this.#pipeline.chunk(start + range.start - from, start + range.end - from, dtype.code, policy, (hash, ref) => {
          refs[index] = ref;
          if (hashes !== undefined) hashes[index] = hash;
        });
      }
    }
  }

  async #smallArray(draft: OpenDraft, array: PendingArray, read: TensorBytes["first"], bytes: number): Promise<void> {
    if (bytes === 0) return;
    const small = new Uint8Array(bytes);
    await read(small, 0);
    draft.hashes.push(sha256(small));
    array.place = { small };
    this.#smallBytes += bytes;
    if (this.#smallBytes > SMALL_ARRAYS_BYTES) {
      await this.#pipeline.drain();
      this.#close();
      await this.#bundleSmall();
    }
  }

  /** Two passes: the first hashes the source and finds ranges and what cannot be held, the second codes. */
  async #quantized(bytes: TensorBytes, dtype: DType, shape: readonly number[], preset: Preset): Promise<Draft> {
    const { id, parameters } = preset.quantizer!;
    const scan = quantizerOf(id).begin({ dtype, shape }, parameters);
    const total = byteLength(dtype, shape);
    const geometry = new ElementGeometry(dtype, shape, this.#context.chunkElements);
    const kept = total <= KEPT_BETWEEN_PASSES_BYTES ? new Uint8Array(total) : undefined;
    // No chunk is larger than the first.
    const largest = geometry.chunkCount === 0 ? 0 : geometry.byteRange(0).end;
    const scratch = kept === undefined ? new Uint8Array(largest) : undefined;
    const hashes: Uint8Array[] = [];
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      this.#signal?.throwIfAborted();
      const { start, end } = geometry.byteRange(chunk);
      const view = kept?.subarray(start, end) ?? scratch!.subarray(0, end - start);
      await bytes.first(view, start);
      hashes.push(sha256(view));
      scan.push(view, geometry.first(chunk));
    }
    const again = kept === undefined ? bytes.again : bytesInMemory(kept).again;
    const plan = scan.finish();
    if ("refused" in plan) return this.#exact(again, dtype, shape, preset.codec, plan.refused);
    const arrays: PendingArray[] = plan.arrays.map((array) => ({
      role: array.role,
      dtype: array.dtype.code,
      shape: array.shape,
      place: { chunks: [] },
    }));
    const key = tensorKey({
      sourceHash: sourceHash(concatenate(hashes)),
      dtype,
      shape,
      geometry: "elements",
      chunkElements: this.#context.chunkElements,
      quantizer: { id, parameters },
    });
    const known = this.#known(key);
    if (known !== undefined) {
      const placeholder: PendingTensor = typeof known === "number" ? knownTensor(known, key, dtype, shape) : known;
      return { sourceBytes: total, tensor: placeholder, shared: true };
    }
    for (const array of arrays) {
      const arrayDType = plan.arrays.find((planned) => planned.role === array.role)!.dtype;
      if (array.role === "values") {
        await this.#quantizedValues(array, arrayDType, geometry, again, plan, preset.codec, total);
      } else {
        await this.#sideArray(array, arrayDType, plan.side[array.role]!, preset.codec);
      }
    }
    const quantization: QuantizationFacts = {
      quantizer: id,
      parameters,
      error: plan.error(),
      bitsPerWeight: plan.bitsPerWeight,
    };
    const tensor: PendingTensor = {
      key,
      dtype: dtype.code,
      shape,
      geometry: "elements",
      quantization,
      note: undefined,
      arrays,
      policy: preset.codec,
      id: 0,
    };
    this.#remember(tensor);
    return { sourceBytes: total, tensor, shared: false };
  }

  async #quantizedValues(
    array: PendingArray,
    dtype: DType,
    source: ElementGeometry,
    read: TensorBytes["again"],
    plan: QuantizePlan,
    policy: CodecPolicy,
    sourceBytes: number,
  ): Promise<void> {
    const buffer = new Uint8Array(source.byteRange(0).end);
    const encodeChunk = async (chunk: number): Promise<Uint8Array> => {
      const { start, end } = source.byteRange(chunk);
      const view = buffer.subarray(0, end - start);
      await read(view, start);
      return plan.encode(view, source.first(chunk));
    };
    const bytes = byteLength(dtype, array.shape);
    if (bytes < BUNDLED_BELOW_BYTES && sourceBytes > 0) {
      const parts: Uint8Array[] = [];
      for (let chunk = 0; chunk < source.chunkCount; chunk++) parts.push((await encodeChunk(chunk)).slice());
      array.place = { small: concatenate(parts) };
      return;
    }
    // Values have the source's shape, so their chunks cover the same elements.
    const refs: ChunkRef[] = new Array<ChunkRef>(source.chunkCount).fill(0);
    array.place = { chunks: refs };
    for (let chunk = 0; chunk < source.chunkCount; chunk++) {
      const values = await encodeChunk(chunk);
      const { view, start } = await this.#pipeline.reserve(values.length);
      view.set(values);
      this.#pipeline.chunk(start, start + values.length, dtype.code, policy, (_hash, ref) => {
        refs[chunk] = ref;
      });
    }
  }

  async #sideArray(array: PendingArray, dtype: DType, bytes: Uint8Array, policy: CodecPolicy): Promise<void> {
    if (bytes.length < BUNDLED_BELOW_BYTES) array.place = { small: bytes };
    else await this.#chunked(array, dtype, array.shape, bytesInMemory(bytes).first, policy, undefined);
  }

  /** Gives the open drafts their tensors. Everything they wait for has been hashed. */
  #close(): void {
    const drafts = this.#open.splice(0);
    const keys = drafts.map((draft) =>
      tensorKey({
        sourceHash: sourceHash(concatenate(draft.hashes)),
        dtype: draft.dtype,
        shape: draft.shape,
        geometry: draft.geometry,
        chunkElements: this.#context.chunkElements,
      }),
    );
    const stored = this.#context.catalog.resolveTensors(keys);
    for (const [index, draft] of drafts.entries()) {
      const key = keys[index]!;
      const known = stored[index] ?? this.#byKey.get(hashKey(key));
      if (known !== undefined) {
        draft.shared = true;
        draft.tensor =
          typeof known === "number" ? knownTensor(known, key, draft.dtype, draft.shape, draft.geometry) : known;
        continue;
      }
      draft.tensor = {
        key,
        dtype: draft.dtype.code,
        shape: draft.shape,
        geometry: draft.geometry,
        quantization: undefined,
        note: draft.note,
        arrays: draft.arrays,
        policy: draft.policy,
        id: 0,
      };
      this.#remember(draft.tensor);
    }
  }

  #known(key: Uint8Array): number | PendingTensor | undefined {
    return this.#context.catalog.resolveTensors([key])[0] ?? this.#byKey.get(hashKey(key));
  }

  #remember(tensor: PendingTensor): void {
    this.#byKey.set(hashKey(tensor.key), tensor);
    if (tensor.arrays.some((array) => "small" in array.place)) this.#small.push(tensor);
  }

  /** Puts small arrays into bundles. The few of a small commit stay as they are: they share bundles with its neighbours. */
  async #bundleSmall(): Promise<void> {
    const tensors = this.#small;
    const few = this.#smallBytes <= SMALL_ARRAYS_BYTES / 64;
    this.#small = [];
    this.#smallBytes = 0;
    if (few) return;
    for (const tensor of tensors) {
      for (const array of tensor.arrays) {
        if (!("small" in array.place)) continue;
        const closed = this.#bundler.add(array, array.place.small, tensor.policy);
        if (closed !== undefined) await this.#bundle(closed);
      }
    }
    for (const closed of this.#bundler.finish()) await this.#bundle(closed);
  }

  async #bundle(closed: ClosedBundle): Promise<void> {
    const { view, start } = await this.#pipeline.reserve(closed.bytes.length);
    view.set(closed.bytes);
    this.#pipeline.chunk(start, start + closed.bytes.length, closed.dtype, closed.policy, (_hash, ref) => {
      for (const { array, offset } of closed.slots) array.place = { bundle: ref, offset };
    });
  }
}

function knownTensor(
  id: number,
  key: Uint8Array,
  dtype: DType,
  shape: readonly number[],
  geometry: "elements" | "content" = "elements",
): PendingTensor {
  return {
    key,
    dtype: dtype.code,
    shape,
    geometry,
    quantization: undefined,
    note: undefined,
    arrays: [],
    policy: NO_CODING,
    id,
  };
}

const NO_CODING: CodecPolicy = { chain: [] };

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
