/** Puts together a request to decode frames in a slot: what others are coded against comes before them. */
import type { ChunkRow } from "../catalog/catalog.ts";
import type { ChunkRange, DecodeItem } from "../workers/tasks.ts";

/** Name of a frame for messages. */
export function placeOf(row: ChunkRow): string {
  return `pack ${row.pack} at ${row.offset}`;
}

/** Gathers the items of a request to decode a batch. */
export class Decoding {
  readonly items: DecodeItem[] = [];
  /** The chunk of each item. */
  readonly decoded: ChunkRow[] = [];
  /** Bytes to be decoded. */
  work = 0;
  readonly #indexes = new Map<number, number>();
  #baseTarget = 0;

  /** Adds what others are coded against; without a frame it is left out, and so are those. */
  addBase(row: ChunkRow, frame: ChunkRange | undefined): void {
    if (frame === undefined) return;
    this.#push(row, { ...frame, ...itemOf(row), target: this.#baseTarget, isBase: true });
    this.#baseTarget += row.rawBytes;
  }

  /** Adds a chunk that goes to `target`. False when something that it needs could not be read. */
  add(row: ChunkRow, frame: ChunkRange | undefined, target: number): boolean {
    const sibling = row.sibling === undefined ? undefined : this.#indexes.get(row.sibling);
    if (frame === undefined || (row.sibling !== undefined && sibling === undefined)) return false;
    this.#push(row, { ...frame, ...itemOf(row), target, sibling });
    return true;
  }

  #push(row: ChunkRow, item: DecodeItem): void {
    this.#indexes.set(row.id, this.items.length);
    this.items.push(item);
    this.decoded.push(row);
    this.work += row.rawBytes;
  }
}

function itemOf(row: ChunkRow): Pick<DecodeItem, "rawBytes" | "hash" | "where"> {
  return { rawBytes: row.rawBytes, hash: row.hash, where: placeOf(row) };
}
