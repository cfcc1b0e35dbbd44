/**
 * Stars: chunks that hold the same elements of related tensors. One of them, the centre, is plain; the others are coded against it, or by
 * themselves where that is shorter. Left-over chunks, kept only because others are coded against them, belong to the star, too:
 * once nothing is coded against them, they cost nothing.
 */
import type { CodecPolicy, DType } from "@tensorcask/codec";
import type { Catalog, ChunkRow } from "../catalog/catalog.ts";
import { idsOf } from "../model/runs.ts";
import type { Families, FamilyTensor } from "./tensor-families.ts";

/** A chunk of a star. */
export interface StarChunk {
  readonly row: ChunkRow;
  /** The tensor of the family that has it; undefined for one that is left over. */
  readonly tensor: (FamilyTensor & { readonly dtype: DType; readonly policy: CodecPolicy }) | undefined;
  /** Chunks outside the star are coded against it, so it has to stay plain. */
  readonly isPinned: boolean;
}

export interface Star {
  readonly chunks: readonly StarChunk[];
  /** Bytes of their frames. */
  readonly bytes: number;
}

/** Which chunk of each star of a family is its centre: that of a tensor, or the left-over one of this place in the order of ids. */
export type Centre = { readonly tensor: number } | { readonly leftOver: number };

/** The stars of a family, one for each chunk index, as the catalog is now. A chunk is in the first star only that could have it. */
export class FamilyStars {
  readonly #catalog: Catalog;
  readonly #families: Families;
  readonly #tensors: readonly FamilyTensor[];
  readonly #chunks: readonly (readonly number[])[];
  /** Chunks by the star that has them. */
  readonly #starOf = new Map<number, number>();
  readonly count: number;

  constructor(catalog: Catalog, families: Families, tensors: readonly FamilyTensor[]) {
    this.#catalog = catalog;
    this.#families = families;
    this.#tensors = tensors;
    this.#chunks = tensors.map(({ runs }) => [...idsOf(runs)]);
    this.count = Math.max(0, ...this.#chunks.map((chunks) => chunks.length));
    for (let index = 0; index < this.count; index++) {
      for (const chunks of this.#chunks) {
        const id = chunks[index];
        if (id !== undefined && !this.#starOf.has(id)) this.#starOf.set(id, index);
      }
    }
  }

  /** The middle one of those that all tensors have a chunk in. */
  get typical(): number {
    return Math.floor(Math.min(...this.#chunks.map((chunks) => chunks.length)) / 2);
  }

  /** One star; undefined when a chunk of it is gone. */
  star(index: number): Star | undefined {
    return this.#catalog.read(() => this.#star(index));
  }

  /** The id of the centre in one star; undefined when there is none. */
  centreOf(star: Star, index: number, centre: Centre): number | undefined {
    if ("leftOver" in centre) return leftOver(star)[centre.leftOver]?.row.id;
    const chunk = this.#chunks[this.#tensors.findIndex(({ id }) => id === centre.tensor)]?.[index];
    return star.chunks.find(({ row }) => row.id === chunk)?.row.id;
  }

  #star(index: number): Star | undefined {
    const tensors = new Map<number, FamilyTensor>();
    for (const [place, chunks] of this.#chunks.entries()) {
      const id = chunks[index];
      if (id !== undefined && this.#starOf.get(id) === index && !tensors.has(id))
        tensors.set(id, this.#tensors[place]!);
    }
    const rows = new Map<number, ChunkRow>();
    for (const id of tensors.keys()) {
      const row = this.#catalog.chunk(id);
      if (row === undefined) return undefined;
      rows.set(id, row);
    }
    for (const { sibling } of [...rows.values()]) {
      if (sibling === undefined || rows.has(sibling) || !this.#families.isLeftOver(sibling)) continue;
      const row = this.#catalog.chunk(sibling);
      if (row === undefined) return undefined;
      rows.set(sibling, row);
    }
    const pinned = new Set<number>();
    for (const { chunk, base } of this.#catalog.dependents([...rows.keys()]))
      if (!rows.has(chunk)) pinned.add(base);
    const chunks = [...rows.values()]
      .sort((a, b) => a.id - b.id)
      .map((row) => ({ row, tensor: tensors.get(row.id), isPinned: pinned.has(row.id) }));
    return { chunks, bytes: chunks.reduce((sum, { row }) => sum + row.frameBytes, 0) };
  }
}

/** The chunks of a star that no tensor has any more, by their ids. */
export function leftOver(star: Star): StarChunk[] {
  return star.chunks.filter(({ tensor }) => tensor === undefined);
}
