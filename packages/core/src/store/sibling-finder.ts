/**
 * Finds what a new tensor resembles: the base of a fine-tune, an earlier checkpoint, a copy rounded to another type, the frame before. Its chunks
 * are then coded against the chunks of that tensor that hold the same elements, where that is shorter.
 *
 *   sketch of the first chunk -> tensors of the store and of this ingest whose sketches agree with it (codec's sketch.ts)
 *     -> those of the same shape behind the first axis, of the same dtype or one that converts, stored exactly and in chunks of their own
 *     -> the one that agrees in most hashes; else one of the same name in the dataset that the caller names
 *   no sketch (few elements, few values) -> where the tensor before it found something, the next one of the same shape behind that: models that
 *     were made from each other have their tensors in the same order
 *
 * Nothing is looked up before a chunk of the tensor has to be coded: what the store has costs its sketch only.
 */
import {
  type CodecPolicy,
  type DType,
  differenceTypeOf,
  dtypeOfCode,
  SKETCH_HASHES,
  sketch,
  usesSiblings,
} from "@tensorcask/codec";
import type { Catalog } from "../catalog/catalog.ts";
import { sliceRuns } from "../model/runs.ts";
import type { ChunkSiblings } from "./encode-batches.ts";
import type { ChunkRef, PendingArray } from "./pending.ts";

/** Tensors of one ingest that later ones of it are compared with, the last ones. */
const REMEMBERED_TENSORS = 4096;

/** Tensors of the store that are looked at, at most. */
const CANDIDATES = 8;

/** For a tensor without a sketch: how many tensors before it are asked what they found, and how many behind that are looked at. */
const NEIGHBOURS = 16;
const REACH = 32;

/** What agrees in fewer hashes than this may do so by chance: a tensor of the same name in the named dataset is preferred. */
export const LIKELY_HASHES = 2;

/** What the same dtype counts for, in hashes: words that are converted differ by their rounding. */
const SAME_DTYPE_HASHES = 1;

/** A tensor goes without when coding against its sibling helped none of so many chunks. */
const TRIALS = 2;

/** A dataset as of one version. */
export interface ParentDataset {
  readonly dataset: number;
  readonly version: number;
}

export interface SiblingOptions {
  /** Code against what is alike. On unless set; off, tensors are still sketched, for those that come later. */
  readonly siblings?: boolean | undefined;
  /** Where to look for a tensor of the same name when none is alike by its sketch. */
  readonly parent?: ParentDataset | undefined;
}

/** A tensor that is being taken in. */
export interface NewTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly name: string | undefined;
  readonly policy: CodecPolicy;
  /** Where its chunks appear as they are found out. */
  readonly array: PendingArray;
  /** Its sketch where its first chunk does not come through here. */
  readonly sketch: Uint8Array | undefined;
}

/** A tensor to code another one against. */
interface Candidate {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Its id in the store, or its place in this ingest. */
  readonly at: { readonly id: number } | { readonly order: number };
  /** The chunk of this index; undefined behind the end, 0 where it is on its way and not known yet. */
  chunk(index: number): ChunkRef | undefined;
}

interface Ranked {
  readonly candidate: Candidate;
  readonly hashes: number;
}

export class SiblingFinder {
  readonly #catalog: Catalog;
  readonly #options: SiblingOptions;
  /** The last tensors of this ingest by their places in it, the oldest first. */
  readonly #tensors = new Map<number, TensorSiblings>();
  /** Those that have sketches, by the hashes of these. */
  readonly #byHash = new Map<number, TensorSiblings[]>();
  #count = 0;

  constructor(catalog: Catalog, options: SiblingOptions = {}) {
    this.#catalog = catalog;
    this.#options = options;
  }

  /** Begins with a tensor that has chunks of its own; undefined when nothing is to be coded against others under its policy. */
  begin(tensor: NewTensor): TensorSiblings | undefined {
    if (!usesSiblings(tensor.policy)) return undefined;
    const siblings = new TensorSiblings(this, tensor, this.#count++);
    this.#tensors.set(siblings.order, siblings);
    if (tensor.sketch !== undefined) this.remember(siblings, tensor.sketch);
    const oldest = siblings.order - REMEMBERED_TENSORS;
    this.#forget(this.#tensors.get(oldest));
    return siblings;
  }

  /** Lets later tensors of this ingest find one by its sketch. */
  remember(tensor: TensorSiblings, hashes: Uint8Array): void {
    for (const hash of hashesOf(hashes)) {
      const others = this.#byHash.get(hash);
      if (others === undefined) this.#byHash.set(hash, [tensor]);
      else others.push(tensor);
    }
  }

  /** What a tensor is to be coded against. `before`: what the nearest tensor before it found. */
  find(own: TensorSiblings, before: () => Candidate | undefined): Candidate | undefined {
    if (this.#options.siblings === false) return undefined;
    if (own.sketch === undefined) return this.#namesake(own) ?? this.#neighbour(own, before());
    const best = this.#alike(own, own.sketch);
    if (best !== undefined && best.hashes >= LIKELY_HASHES) return best.candidate;
    return this.#namesake(own) ?? best?.candidate;
  }

  /** The tensor whose sketch agrees in most hashes; of equals that of the same dtype, then the newest. */
  #alike(own: TensorSiblings, sketch: Uint8Array): Ranked | undefined {
    let best: (Ranked & { readonly rank: number }) | undefined;
    const offer = (hashes: number, candidate: Candidate | undefined): void => {
      if (candidate === undefined || !fits(candidate, own.tensor)) return;
      const rank = hashes + (candidate.dtype === own.tensor.dtype ? SAME_DTYPE_HASHES : 0);
      if (best === undefined || rank > best.rank) best = { candidate, hashes, rank };
    };
    for (const { tensor, hashes } of this.#here(own, sketch)) offer(hashes, tensor.candidate());
    for (const { tensor, bands } of this.#catalog.siblingCandidates(sketch, CANDIDATES)) {
      // Behind it there is nothing better.
      if (best !== undefined && best.rank >= bands + SAME_DTYPE_HASHES) break;
      offer(bands, this.#stored(tensor));
    }
    return best;
  }

  /** Earlier tensors of this ingest that agree in some hashes, the newest first. */
  #here(own: TensorSiblings, sketch: Uint8Array): { tensor: TensorSiblings; hashes: number }[] {
    const agreeing = new Map<TensorSiblings, number>();
    for (const hash of hashesOf(sketch)) {
      for (const tensor of this.#byHash.get(hash) ?? [])
        if (tensor.order < own.order) agreeing.set(tensor, (agreeing.get(tensor) ?? 0) + 1);
    }
    return [...agreeing]
      .map(([tensor, hashes]) => ({ tensor, hashes }))
      .sort((a, b) => b.tensor.order - a.tensor.order);
  }

  /** What the nearest of the tensors before this one found. They are asked in their order. */
  foundBefore({ order }: TensorSiblings): Candidate | undefined {
    const before: TensorSiblings[] = [];
    for (let place = order - 1; place >= order - NEIGHBOURS; place--) {
      const tensor = this.#tensors.get(place);
      if (tensor === undefined) break;
      before.unshift(tensor);
      if (tensor.hasLooked) break;
    }
    return before.reduce<Candidate | undefined>(
      (nearest, tensor) => tensor.found(() => nearest) ?? nearest,
      undefined,
    );
  }

  /** The next tensor of the same dtype and shape behind another one. */
  #neighbour(own: TensorSiblings, before: Candidate | undefined): Candidate | undefined {
    if (before === undefined) return undefined;
    const { at } = before;
    for (let step = 1; step <= REACH; step++) {
      const candidate =
        "id" in at ? this.#stored(at.id + step) : this.#earlier(at.order + step, own)?.candidate();
      if (candidate !== undefined && isSameForm(candidate, own.tensor)) return candidate;
    }
    return undefined;
  }

  #earlier(order: number, own: TensorSiblings): TensorSiblings | undefined {
    return order < own.order ? this.#tensors.get(order) : undefined;
  }

  /** The tensor of the same name in the dataset that the caller named. */
  #namesake({ tensor }: TensorSiblings): Candidate | undefined {
    const { parent } = this.#options;
    if (parent === undefined || tensor.name === undefined) return undefined;
    const fitting = this.#catalog
      .recordsNamed(parent.dataset, parent.version, tensor.name)
      .map((record) => this.#stored(record.tensor))
      .filter((candidate) => candidate !== undefined && fits(candidate, tensor));
    return fitting.find((candidate) => candidate!.dtype === tensor.dtype) ?? fitting[0];
  }

  /** A tensor of the store, if it is stored exactly and in chunks of its own. */
  #stored(id: number): Candidate | undefined {
    const stored = this.#catalog.tensor(id);
    const dtype = dtypeOfCode(stored?.dtype ?? 0);
    if (stored === undefined || dtype === undefined) return undefined;
    if (stored.quantization !== undefined || stored.geometry !== "elements") return undefined;
    const place = stored.arrays[0]?.place;
    if (place === undefined || !("runs" in place)) return undefined;
    const { runs } = place;
    const chunk = (index: number): ChunkRef | undefined => sliceRuns(runs, index, index + 1)[0];
    return { dtype, shape: stored.shape, at: { id }, chunk };
  }

  #forget(tensor: TensorSiblings | undefined): void {
    if (tensor === undefined) return;
    this.#tensors.delete(tensor.order);
    for (const hash of tensor.sketch === undefined ? [] : hashesOf(tensor.sketch)) {
      const others = this.#byHash.get(hash)?.filter((other) => other !== tensor) ?? [];
      if (others.length === 0) this.#byHash.delete(hash);
      else this.#byHash.set(hash, others);
    }
  }
}

/** What the chunks of one new tensor are coded against. */
export class TensorSiblings implements ChunkSiblings {
  readonly tensor: NewTensor;
  /** Its place in the ingest: it is coded against earlier ones only. */
  readonly order: number;
  readonly #finder: SiblingFinder;
  #sketch: Uint8Array | undefined;
  #found: { readonly candidate: Candidate | undefined } | undefined;
  #tried = 0;
  #helped = false;

  constructor(finder: SiblingFinder, tensor: NewTensor, order: number) {
    this.#finder = finder;
    this.tensor = tensor;
    this.order = order;
    this.#sketch = tensor.sketch;
  }

  /** 8 hashes, u32 each, little-endian; undefined for tensors that have none. */
  get sketch(): Uint8Array | undefined {
    return this.#sketch;
  }

  /** Takes the sketch of the tensor's first chunk. */
  begin(firstChunk: Uint8Array): void {
    const hashes = sketch(firstChunk, this.tensor.dtype);
    if (hashes === undefined) return;
    this.#sketch = new Uint8Array(SKETCH_HASHES * 4);
    const view = new DataView(this.#sketch.buffer);
    for (const [index, hash] of hashes.entries()) view.setUint32(4 * index, hash, true);
    this.#finder.remember(this, this.#sketch);
  }

  of(index: number): ChunkRef | undefined {
    return this.#tried >= TRIALS && !this.#helped ? undefined : this.found()?.chunk(index);
  }

  /** What its chunks are coded against; looked for once. `before`: what the nearest tensor before it found. */
  found(before: () => Candidate | undefined = () => this.#finder.foundBefore(this)): Candidate | undefined {
    this.#found ??= { candidate: this.#finder.find(this, before) };
    return this.#found.candidate;
  }

  /** Whether `found` has its answer. */
  get hasLooked(): boolean {
    return this.#found !== undefined;
  }

  coded(against: boolean): void {
    this.#tried += 1;
    this.#helped ||= against;
  }

  /** This tensor for others of the same ingest. */
  candidate(): Candidate | undefined {
    const { dtype, shape, array } = this.tensor;
    const { place } = array;
    if (!("chunks" in place)) return undefined;
    return { dtype, shape, at: { order: this.order }, chunk: (index) => place.chunks[index] };
  }
}

/** What decides whether the chunks of two tensors fit each other. */
export type TensorForm = Pick<NewTensor, "dtype" | "shape">;

/** Whether chunks of the same index hold the same elements, in words of the same type or of types that are converted. */
export function fits({ dtype, shape }: TensorForm, own: TensorForm): boolean {
  const sameRows =
    shape.length === own.shape.length &&
    shape.every((length, axis) => axis === 0 || length === own.shape[axis]);
  return sameRows && (dtype === own.dtype || (isConverted(dtype) && isConverted(own.dtype)));
}

/** Whether differences to elements of other such types are taken, too. */
function isConverted(dtype: DType): boolean {
  return dtype.kind === "float" && differenceTypeOf(dtype) !== undefined;
}

/** Whether two tensors have the same dtype and shape. */
function isSameForm({ dtype, shape }: Candidate, own: NewTensor): boolean {
  return (
    dtype === own.dtype &&
    shape.length === own.shape.length &&
    shape.every((length, axis) => length === own.shape[axis])
  );
}

function hashesOf(sketch: Uint8Array): number[] {
  const view = new DataView(sketch.buffer, sketch.byteOffset, sketch.byteLength);
  return Array.from({ length: SKETCH_HASHES }, (_, index) => view.getUint32(4 * index, true));
}
