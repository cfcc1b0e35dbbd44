/**
 * The rules of siblings, under the writer lock, before an entry moves stars: what a chunk is coded against is there and coded against nothing
 * itself. Imports, recompressions and gc may have been there since the frames were coded; a star that does not fit in any more stays as it
 * is, as a whole.
 */
import type { Catalog } from "../catalog/catalog.ts";
import type { NewFrame } from "./recoded-packs.ts";

/** Frames that are committed together or not at all. */
export interface FrameGroup {
  /** Without their bytes, which need not wait for the commit. */
  readonly frames: readonly Pick<NewFrame, "row" | "facts">[];
  /** Id of the chunk that those of them with a sibling are coded against. */
  readonly centre: number;
  /** Called when they are committed. */
  committed(): void;
}

/** What one entry is going to do. */
export class StarCheck {
  readonly #catalog: Catalog;
  readonly #moved = new Set<number>();
  /** Chunks that frames of the entry are coded against. */
  readonly #centres = new Set<number>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Takes a group into the entry, if nothing has changed that it was made from, and the rules hold with it. */
  admit({ frames, centre }: FrameGroup): boolean {
    const own = new Set(frames.map(({ row }) => row.id));
    const coded = frames.filter(({ facts }) => facts.sibling !== undefined).map(({ row }) => row.id);
    const fits =
      frames.every(({ row }) => !this.#moved.has(row.id) && this.isStill(row)) &&
      (coded.length === 0 || own.has(centre) || this.#isPlain(centre)) &&
      coded.every((id) => id !== centre && !this.#centres.has(id)) &&
      this.#catalog.dependents(coded).every(({ chunk }) => own.has(chunk));
    if (!fits) return false;
    for (const id of own) this.#moved.add(id);
    if (coded.length > 0) this.#centres.add(centre);
    return true;
  }

  /** Whether a chunk is where it was: another place means that it was moved or coded anew. */
  isStill({ id, pack, offset }: NewFrame["row"]): boolean {
    const now = this.#catalog.chunk(id);
    return now !== undefined && now.pack === pack && now.offset === offset;
  }

  /** Whether a chunk that the entry does not move is there, coded against nothing. */
  #isPlain(id: number): boolean {
    const now = this.#catalog.chunk(id);
    return now !== undefined && now.sibling === undefined && !this.#moved.has(id);
  }
}
