/**
 * What is read together: chunks whose frames fit a slot, and which fit it decoded, with the chunks that they are coded against. Only plans;
 * nothing here reads.
 *
 *   frames of the chunks           -> slot's input                  chunks                         -> slot's output
 *   frames of what they need       -> slot's output, for a while    what they need, decoded        -> slot's region for siblings
 */
import type { ChunkRow } from "../catalog/catalog.ts";

/** Frames in one pack with a gap of at most this many bytes between them are read together. */
const JOIN_GAP_BYTES = 16 * 1024;

/** Chunks that are read together. */
export interface ChunkBatch {
  readonly rows: readonly ChunkRow[];
  /** By id, the chunks that they are coded against and that are not among them. */
  readonly bases: ReadonlyMap<number, ChunkRow>;
}

/** How much of a slot's part is taken. The gaps that joined reads take along are counted as if there were one before each frame. */
class Filling {
  #frames = 0;
  #raw = 0;

  add({ frameBytes, rawBytes }: ChunkRow): void {
    this.#frames += frameBytes + JOIN_GAP_BYTES;
    this.#raw += rawBytes;
  }

  hasRoom({ frameBytes, rawBytes }: ChunkRow, slotBytes: number): boolean {
    return this.#frames + frameBytes + JOIN_GAP_BYTES <= slotBytes && this.#raw + rawBytes <= slotBytes;
  }
}

/** Splits chunks, in their order, into batches that fit slots. `bases` has what they are coded against, by id. */
export class BatchPlanner {
  readonly #slotBytes: number;
  #rows: ChunkRow[] = [];
  #bases = new Map<number, ChunkRow>();
  #own = new Filling();
  #others = new Filling();

  constructor(slotBytes: number) {
    this.#slotBytes = slotBytes;
  }

  /** Adds a chunk; gives back the batch before it when that is full. */
  add(row: ChunkRow, base: ChunkRow | undefined): ChunkBatch | undefined {
    const more = base === undefined || this.#bases.has(base.id) ? undefined : base;
    const fits =
      this.#own.hasRoom(row, this.#slotBytes) &&
      (more === undefined || this.#others.hasRoom(more, this.#slotBytes));
    const full = this.#rows.length > 0 && !fits ? this.rest() : undefined;
    this.#rows.push(row);
    this.#own.add(row);
    if (base !== undefined && !this.#bases.has(base.id)) {
      this.#bases.set(base.id, base);
      this.#others.add(base);
    }
    return full;
  }

  /** What was added since the last batch. */
  rest(): ChunkBatch | undefined {
    const rows = this.#rows;
    const bases = this.#bases;
    if (rows.length === 0) return undefined;
    for (const { id } of rows) bases.delete(id);
    this.#rows = [];
    this.#bases = new Map();
    this.#own = new Filling();
    this.#others = new Filling();
    return { rows, bases };
  }
}

/** Frames that lie together in a pack. */
export interface JoinedFrames {
  readonly pack: string;
  readonly offset: number;
  bytes: number;
  readonly rows: ChunkRow[];
}

/** Reads that cover the frames, in the order given; frames that lie close behind each other share one. */
export function joinFrames(rows: Iterable<ChunkRow>): JoinedFrames[] {
  const spans: JoinedFrames[] = [];
  for (const row of rows) {
    const last = spans.at(-1);
    const gap = last === undefined ? -1 : row.offset - (last.offset + last.bytes);
    if (last !== undefined && last.pack === row.pack && gap >= 0 && gap <= JOIN_GAP_BYTES) {
      last.bytes += gap + row.frameBytes;
      last.rows.push(row);
    } else {
      spans.push({ pack: row.pack, offset: row.offset, bytes: row.frameBytes, rows: [row] });
    }
  }
  return spans;
}
