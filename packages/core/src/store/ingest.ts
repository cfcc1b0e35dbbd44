/**
 * Turns tensors and opaque bytes into pending tensors: cut, hashed, looked up, quantized where the preset says so, coded, and
 * placed in frames. Nothing here takes the lock or changes what readers see; a commit does that with what `finish` leaves.
 */
import {
  BUNDLED_BELOW_BYTES,
  byteLength,
  CancelledError,
  type CodecPolicy,
  type DType,
  dtypeOf,
  elementCount,
  type Preset,
  sha256,
  sourceHash,
  tensorKey,
} from "@tensorcask/codec";
import { ArrayFeeder } from "./array-feeder.ts";
import { ChunkPipeline, type Differences, type PipelineContext } from "./chunk-pipeline.ts";
import { ContentFinder } from "./content-finder.ts";
import { hashKey, type OwnPack, type PendingArray, type PendingTensor } from "./pending.ts";
import { quantizedKey, quantizeTensor } from "./quantized-ingest.ts";
import { chooseStoredAs } from "./quantizer-choice.ts";
import { SiblingFinder, type SiblingOptions, type TensorSiblings } from "./sibling-finder.ts";
import { SmallArrays } from "./small-arrays.ts";
import { concatenate, type KeptChunks, type ReadBytes, type TensorBytes } from "./tensor-bytes.ts";
import type { CommitResult } from "./write-set.ts";

/** A long import commits its frames, without any name, each time so many packs are full (256 MiB): so that it can resume. */
const STAGED_PACKS = 4;

/** Small arrays of open drafts wait in memory; beyond this the drafts are settled without waiting for the rest. */
const OPEN_SMALL_BYTES = 4 * 1024 * 1024;

export interface IngestContext extends PipelineContext {
  readonly chunkElements: number;
  /** Commits full packs without any name. */
  stage(packs: readonly OwnPack[]): Promise<CommitResult>;
}

/** A tensor that is being taken in; `tensor` is there once the ingest is finished. */
export interface Draft {
  readonly sourceBytes: number;
  tensor: PendingTensor | undefined;
  /** True when the store (or this ingest) had it, as a whole. */
  shared: boolean;
}

/** A draft whose key is not known yet: its chunks are being hashed. */
interface OpenDraft extends Draft {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly geometry: "elements" | "content";
  readonly policy: CodecPolicy;
  /** SHA-256 of each source chunk, by index. */
  readonly hashes: Uint8Array[];
  readonly array: PendingArray;
  readonly note: string | undefined;
  /** What its chunks are coded against, and its sketch. */
  siblings: TensorSiblings | undefined;
}

/** What may be known of a tensor that is taken in without loss. */
interface ExactOptions {
  readonly name?: string | undefined;
  /** Why a quantizer refused it. */
  readonly note?: string | undefined;
  readonly kept?: KeptChunks | undefined;
}

export class Ingest {
  readonly #context: IngestContext;
  readonly #pipeline: ChunkPipeline;
  readonly #feeder: ArrayFeeder;
  readonly #small: SmallArrays;
  readonly #siblings: SiblingFinder;
  readonly #contents: ContentFinder;
  readonly #signal: AbortSignal | undefined;
  readonly #open: OpenDraft[] = [];
  /** Bytes of small arrays in open drafts. */
  #openSmallBytes = 0;
  readonly #byKey = new Map<string, PendingTensor>();
  #chunksShared = 0;
  /** Settles when the tensor that was last begun is taken in. */
  #last: Promise<void> = Promise.resolve();
  #staging: Promise<void> | undefined;
  #stagedBytes = 0;
  /** What the last commit is to release from the state of being staged. */
  readonly stagedFirsts: number[] = [];

  constructor(context: IngestContext, signal?: AbortSignal, siblings?: SiblingOptions) {
    this.#context = context;
    this.#pipeline = new ChunkPipeline(context, signal);
    this.#feeder = new ArrayFeeder(this.#pipeline, context.chunkElements);
    this.#small = new SmallArrays(this.#pipeline);
    this.#siblings = new SiblingFinder(context.catalog, siblings);
    this.#contents = new ContentFinder(context.catalog, siblings?.siblings !== false);
    this.#signal = signal;
  }

  /** Bytes of frames that were committed ahead. */
  get stagedBytes(): number {
    return this.#stagedBytes;
  }

  /** Chunks of new tensors that the store had already. */
  get chunksShared(): number {
    return this.#chunksShared;
  }

  /** New chunks that are stored as differences to others. */
  get differences(): Differences {
    return this.#pipeline.differences;
  }

  /** Takes in one tensor under a preset. `name`: for the preset's policy, and where to look for what it may be coded against. */
  tensor(
    bytes: TensorBytes,
    dtype: DType,
    shape: readonly number[],
    preset: Preset,
    name?: string,
  ): Promise<Draft> {
    return this.#inTurn(() => this.#tensor(bytes, dtype, shape, preset, name));
  }

  async #tensor(
    bytes: TensorBytes,
    dtype: DType,
    shape: readonly number[],
    preset: Preset,
    name: string | undefined,
  ): Promise<Draft> {
    await this.#begin();
    const { codec: policy } = preset;
    if (elementCount(shape) === 0) return this.#exact(bytes.first, dtype, shape, policy, { name });
    const { chunkElements } = this.#context;
    const chosen = await chooseStoredAs(bytes, { dtype, shape, name }, preset, chunkElements, this.#signal);
    if (chosen.scanned === undefined)
      return this.#exact(chosen.read, dtype, shape, policy, { name, note: chosen.note });
    const { scanned, reason: note } = chosen;
    const { plan } = scanned;
    if ("refused" in plan)
      return this.#exact(scanned.read, dtype, shape, policy, { name, note: plan.refused });
    const sourceBytes = byteLength(dtype, shape);
    const key = quantizedKey(scanned, note);
    const known = this.#known(key, dtype, shape, "elements");
    if (known !== undefined) return { sourceBytes, tensor: known, shared: true };
    const tensor = await quantizeTensor(scanned, plan, { key, policy, note }, this.#feeder);
    this.#add(tensor);
    return { sourceBytes, tensor, shared: false };
  }

  /** Takes in one tensor without loss. `kept`: its first chunks are these stored ones, and `read` begins behind them. */
  exact(
    read: ReadBytes,
    dtype: DType,
    shape: readonly number[],
    policy: CodecPolicy,
    kept?: KeptChunks,
  ): Promise<Draft> {
    return this.#inTurn(async () => {
      await this.#begin();
      return this.#exact(read, dtype, shape, policy, { kept });
    });
  }

  /** Takes in a run of opaque bytes, cut by content. */
  content(read: ReadBytes, bytes: number, policy: CodecPolicy): Promise<Draft> {
    return this.#inTurn(() => this.#content(read, bytes, policy));
  }

  async #content(read: ReadBytes, bytes: number, policy: CodecPolicy): Promise<Draft> {
    await this.#begin();
    const draft = this.#draft(dtypeOf("uint8"), [bytes], "content", policy, undefined);
    if (bytes < BUNDLED_BELOW_BYTES) await this.#readSmall(draft, read);
    else {
      const { array, hashes } = draft;
      const siblings = this.#contents.begin(array, policy);
      await this.#feeder.content(array, bytes, read, policy, hashes, siblings);
    }
    return draft;
  }

  /** Hands on what has come so far, keeping no memory of the pool: for callers that may need some before they go on. */
  flush(): Promise<void> {
    return this.#inTurn(async () => this.#pipeline.flush());
  }

  /** Waits for everything, finds out which tensors the store has, and makes packs of its own durable. */
  async finish(): Promise<void> {
    await this.#last;
    await this.#settle();
    await this.#pipeline.drain();
    await this.#staging;
    await this.#pipeline.sealPacks();
  }

  /** Gives up; nothing remains but frames that were staged. */
  async abandon(): Promise<void> {
    await this.#last;
    await this.#staging?.catch(() => undefined);
    await this.#pipeline.abandon();
  }

  /** One tensor at a time, in the order of the calls: they fill the same slot, and the next one may hand it on. */
  #inTurn<T>(take: () => Promise<T>): Promise<T> {
    const taken = this.#last.then(take);
    this.#last = taken.then(
      () => undefined,
      () => undefined,
    );
    return taken;
  }

  async #begin(): Promise<void> {
    if (this.#signal?.aborted) throw new CancelledError("the operation", { cause: this.#signal.reason });
    await this.#stageIfDue();
  }

  async #stageIfDue(): Promise<void> {
    const full = this.#pipeline.sealedPacks;
    if (full.length < STAGED_PACKS) return;
    // A slot that waits for more would be kept from others while this waits for the lock.
    this.#pipeline.flush();
    this.#staging = this.#context.stage([...full]).then(({ stagedFirsts, newBytes }) => {
      this.stagedFirsts.push(...stagedFirsts);
      this.#stagedBytes += newBytes;
      this.#pipeline.forgetCommitted();
    });
    await this.#staging;
    this.#staging = undefined;
  }

  #draft(
    dtype: DType,
    shape: readonly number[],
    geometry: OpenDraft["geometry"],
    policy: CodecPolicy,
    note: string | undefined,
  ): OpenDraft {
    const draft: OpenDraft = {
      dtype,
      shape,
      geometry,
      policy,
      sourceBytes: byteLength(dtype, shape),
      hashes: [],
      array: { role: "values", dtype: dtype.code, shape, place: { chunks: [] } },
      note,
      siblings: undefined,
      tensor: undefined,
      shared: false,
    };
    this.#open.push(draft);
    return draft;
  }

  async #exact(
    read: ReadBytes,
    dtype: DType,
    shape: readonly number[],
    policy: CodecPolicy,
    { name, note, kept }: ExactOptions,
  ): Promise<Draft> {
    const draft = this.#draft(dtype, shape, "elements", policy, note);
    if (draft.sourceBytes < BUNDLED_BELOW_BYTES) {
      await this.#readSmall(draft, read);
      return draft;
    }
    const { array, hashes } = draft;
    const siblings = this.#siblings.begin({ dtype, shape, name, policy, array, sketch: kept?.sketch });
    draft.siblings = siblings;
    await this.#feeder.elements(array, { dtype, shape, read, kept, siblings }, policy, hashes);
    return draft;
  }

  async #readSmall(draft: OpenDraft, read: ReadBytes): Promise<void> {
    if (draft.sourceBytes === 0) return;
    const small = new Uint8Array(draft.sourceBytes);
    await read(small, 0);
    draft.hashes.push(sha256(small));
    draft.array.place = { small };
    this.#openSmallBytes += small.length;
    if (this.#openSmallBytes > OPEN_SMALL_BYTES) await this.#settle();
  }

  /** Gives the open drafts their tensors, and bundles of small arrays if there are enough. */
  async #settle(): Promise<void> {
    await this.#pipeline.drain();
    const drafts = this.#open.splice(0);
    this.#openSmallBytes = 0;
    const keys = drafts.map((draft) => this.#keyOf(draft));
    const stored = this.#context.catalog.resolveTensors(keys);
    for (const [index, draft] of drafts.entries()) {
      const { dtype, shape, geometry, policy, note, array, siblings } = draft;
      const key = keys[index]!;
      const id = stored[index];
      const known =
        id === undefined ? this.#byKey.get(hashKey(key)) : storedTensor(id, key, dtype, shape, geometry);
      draft.shared = known !== undefined;
      draft.tensor = known ?? {
        key,
        dtype: dtype.code,
        shape,
        geometry,
        quantization: undefined,
        note,
        arrays: [array],
        sketch: siblings?.sketch,
        policy,
        id: 0,
      };
      if (known === undefined) this.#add(draft.tensor);
    }
    await this.#small.bundle();
  }

  #keyOf({ hashes, dtype, shape, geometry, note }: OpenDraft): Uint8Array {
    return tensorKey({
      sourceHash: sourceHash(concatenate(hashes)),
      dtype,
      shape,
      geometry,
      chunkElements: this.#context.chunkElements,
      ...(note !== undefined && { quantizer: refusedBy(note) }),
    });
  }

  #known(
    key: Uint8Array,
    dtype: DType,
    shape: readonly number[],
    geometry: OpenDraft["geometry"],
  ): PendingTensor | undefined {
    const [id] = this.#context.catalog.resolveTensors([key]);
    return id === undefined ? this.#byKey.get(hashKey(key)) : storedTensor(id, key, dtype, shape, geometry);
  }

  #add(tensor: PendingTensor): void {
    this.#byKey.set(hashKey(tensor.key), tensor);
    this.#small.add(tensor);
    for (const { place } of tensor.arrays) {
      if (!("chunks" in place)) continue;
      for (const ref of place.chunks) if (typeof ref === "number" && ref !== 0) this.#chunksShared += 1;
    }
  }
}

/**
 * What stands in the key for a tensor that a quantizer refused. It shares its chunks with the same tensor of a lossless preset, but is a tensor of
 * its own, since it says why it was refused.
 */
export function refusedBy(note: string): {
  readonly id: string;
  readonly parameters: { readonly note: string };
} {
  return { id: "none", parameters: { note } };
}

/** A tensor that the store has: only its id counts. */
function storedTensor(
  id: number,
  key: Uint8Array,
  dtype: DType,
  shape: readonly number[],
  geometry: OpenDraft["geometry"],
): PendingTensor {
  const policy: CodecPolicy = { chain: [] };
  return {
    key,
    dtype: dtype.code,
    shape,
    geometry,
    quantization: undefined,
    note: undefined,
    arrays: [],
    policy,
    id,
  };
}
