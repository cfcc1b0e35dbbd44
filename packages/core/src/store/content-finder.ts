/**
 * Finds what a chunk of opaque bytes resembles: the same part of an earlier version of its file, mostly. It is then coded against that, where
 * this is shorter.
 *
 *   features of the chunk -> the chunk that shares most of them, of this ingest or of the store (codec's features.ts)
 *     -> none: the one behind what the chunk before it resembles or is: versions of a file have their parts in one order
 *
 * Features are taken of each chunk as it is cut, because later ones may resemble it; the store is asked when a chunk has to be coded.
 */
import { type CodecPolicy, FEATURES, features, usesSiblings } from "@tensorcask/codec";
import type { Catalog } from "../catalog/catalog.ts";
import type { ChunkSiblings } from "./encode-batches.ts";
import type { ChunkRef, PendingArray } from "./pending.ts";

/** Chunks of one ingest that later ones of it are compared with, in each feature, the last ones. */
const REMEMBERED_CHUNKS = 65_536;

/** A chunk of this ingest: of which run of bytes, and which of its chunks. */
interface Place {
  readonly siblings: ContentSiblings;
  readonly index: number;
}

/** What a chunk resembles, and in how many features: an id in the store, or a place in this ingest. */
interface Alike {
  readonly at: number | Place;
  readonly shared: number;
  /** How many chunks up to this one share no feature, and are only taken to lie as their neighbours do. */
  readonly guesses: number;
}

/** Chunks one after the other that may be taken to lie as their neighbours do: each costs a trial if it does not. */
const MAX_GUESSES = 4;

/**
 * Features that chunks of one run must share: what is coded against another chunk is no sibling itself, so for a little saved here later versions
 * of the file would find less.
 */
const OWN_SHARED = 2;

export class ContentFinder {
  readonly #catalog: Catalog;
  readonly #isOn: boolean;
  /** For each feature the last chunk of this ingest that has it. */
  readonly #places = Array.from({ length: FEATURES }, () => new Map<number, Place>());

  /** `isOn`: look for what is alike; off, features are taken for imports that come later. */
  constructor(catalog: Catalog, isOn: boolean) {
    this.#catalog = catalog;
    this.#isOn = isOn;
  }

  /** Begins with a run of opaque bytes; undefined when nothing is to be coded against others under its policy. */
  begin(array: PendingArray, policy: CodecPolicy): ContentSiblings | undefined {
    return usesSiblings(policy) ? new ContentSiblings(this, array) : undefined;
  }

  /** The earlier chunk of this ingest that shares most features with one; from now on others may find that one. */
  remember(taken: Int32Array, place: Place): Alike | undefined {
    let best: Alike | undefined;
    const earlier = this.#places.map((places, group) => places.get(taken[group]!));
    for (const at of this.#isOn ? earlier : []) {
      if (at === undefined) continue;
      const shared = earlier.reduce((count, other) => count + (other === at ? 1 : 0), 0);
      if (at.siblings === place.siblings && shared < OWN_SHARED) continue;
      if (best === undefined || shared > best.shared) best = { at, shared, guesses: 0 };
    }
    for (const [group, places] of this.#places.entries()) {
      const feature = taken[group]!;
      if (feature === 0) continue;
      places.set(feature, place);
      if (places.size > REMEMBERED_CHUNKS) places.delete(places.keys().next().value!);
    }
    return best;
  }

  /** What a chunk resembles in the store, where that is in more features than in `here`. */
  stored(taken: Int32Array, here: Alike | undefined): Alike | undefined {
    if (!this.#isOn || here?.shared === FEATURES) return here;
    const found = this.#catalog.chunkAlike(taken);
    return found !== undefined && found.shared > (here?.shared ?? 0)
      ? { at: found.chunk, shared: found.shared, guesses: 0 }
      : here;
  }

  /** The chunk behind another one, if there is one; ids of the chunks of a file follow each other. */
  behind(at: number | Place): number | Place | undefined {
    if (!this.#isOn) return undefined;
    if (typeof at === "number") return this.#catalog.chunk(at + 1) === undefined ? undefined : at + 1;
    return { siblings: at.siblings, index: at.index + 1 };
  }
}

/** What the chunks of one run of opaque bytes are coded against. */
export class ContentSiblings implements ChunkSiblings {
  readonly #finder: ContentFinder;
  readonly #array: PendingArray;
  readonly #features: (Int32Array | undefined)[] = [];
  /** What chunks resemble: at first in this ingest, later in the store, too. */
  readonly #alike: (Alike | undefined)[] = [];
  readonly #looked = new Set<number>();

  constructor(finder: ContentFinder, array: PendingArray) {
    this.#finder = finder;
    this.#array = array;
  }

  /** Takes the features of the next chunk; returns them. */
  take(chunk: Uint8Array): Int32Array | undefined {
    const taken = features(chunk);
    const index = this.#features.push(taken) - 1;
    this.#alike[index] = taken && this.#finder.remember(taken, { siblings: this, index });
    return taken;
  }

  of(index: number): ChunkRef | undefined {
    if (!this.#looked.has(index)) {
      this.#looked.add(index);
      const taken = this.#features[index];
      if (taken !== undefined) this.#alike[index] = this.#finder.stored(taken, this.#alike[index]);
      this.#alike[index] ??= this.#behind(index);
    }
    const at = this.#alike[index]?.at;
    return typeof at === "object" ? at.siblings.chunk(at.index) : at;
  }

  coded(): void {
    // Each chunk is a file's own part: that one did not get shorter says little of the next.
  }

  /** A chunk of this run; 0 while it is on its way, undefined behind the end. */
  chunk(index: number): ChunkRef | undefined {
    const { place } = this.#array;
    return "chunks" in place ? place.chunks[index] : undefined;
  }

  /** What lies behind that which the chunk before resembles, or behind itself where the store has it. */
  #behind(index: number): Alike | undefined {
    if (index === 0) return undefined;
    const ref = this.chunk(index - 1);
    const before = typeof ref === "number" && ref !== 0 ? { at: ref, guesses: 0 } : this.#alike[index - 1];
    if (before === undefined || before.guesses === MAX_GUESSES) return undefined;
    const at = this.#finder.behind(before.at);
    const isOwn = typeof at === "object" && at.siblings === this;
    return at === undefined || isOwn ? undefined : { at, shared: 0, guesses: before.guesses + 1 };
  }
}
