/**
 * Reads the stored frames of one pack in the order of their offsets, several MiB at a time: what verify and gc do with whole packs. The plan of
 * the reads is pure; executing it turns everything that is wrong with the pack into a reason per frame, so that one bad place does not hide
 * the rest.
 */
import { DamageError, StorageError } from "@tensorcask/codec";
import type { ChunkRow } from "../catalog/catalog.ts";
import type { PackStorage } from "../pack/pack-storage.ts";

/** Frames with a gap of at most this many bytes between them are read together. */
const JOIN_GAP_BYTES = 64 * 1024;

/** Frames that one read covers. */
export interface FrameSpan {
  readonly offset: number;
  readonly bytes: number;
  readonly rows: readonly ChunkRow[];
}

/** A frame as it was read; `bytes` is undefined when it could not be, and `reason` says why. */
export type ReadFrame =
  | { readonly row: ChunkRow; readonly bytes: Uint8Array }
  | { readonly row: ChunkRow; readonly bytes: undefined; readonly reason: string };

export interface SpanLimits {
  /** Longest read, unless a single frame is longer. */
  readonly maxBytes: number;
  /** Most decoded bytes of the frames of one read, unless a single chunk has more. */
  readonly maxRawBytes?: number;
}

/** Groups the frames of one pack, in the order of their offsets, into reads. */
export function planSpans(rows: readonly ChunkRow[], limits: SpanLimits): FrameSpan[] {
  const { maxBytes, maxRawBytes = Number.POSITIVE_INFINITY } = limits;
  const spans: FrameSpan[] = [];
  let group: ChunkRow[] = [];
  let start = 0;
  let end = 0;
  let raw = 0;
  const close = (): void => {
    if (group.length > 0) spans.push({ offset: start, bytes: end - start, rows: group });
    group = [];
    raw = 0;
  };
  for (const row of rows) {
    const rowEnd = row.offset + row.frameBytes;
    const joins =
      group.length > 0 &&
      row.offset >= end &&
      row.offset - end <= JOIN_GAP_BYTES &&
      rowEnd - start <= maxBytes &&
      raw + row.rawBytes <= maxRawBytes;
    if (!joins) {
      close();
      start = row.offset;
    }
    group.push(row);
    end = rowEnd;
    raw += row.rawBytes;
  }
  close();
  return spans;
}

/**
 * Reads the frames of a span into `buffer`, which must be long enough. A span that cannot be read as a whole is read frame by frame. Undefined
 * when the pack is gone.
 */
export async function readSpan(
  packs: PackStorage,
  pack: string,
  span: FrameSpan,
  buffer: Uint8Array,
): Promise<ReadFrame[] | undefined> {
  const into = buffer.subarray(0, span.bytes);
  try {
    if (!(await packs.readInto(pack, span.offset, into))) return undefined;
  } catch (error) {
    if (!(error instanceof DamageError || error instanceof StorageError)) throw error;
    if (span.rows.length === 1) return [{ row: span.rows[0]!, bytes: undefined, reason: error.message }];
    const frames: ReadFrame[] = [];
    for (const row of span.rows) {
      const alone = { offset: row.offset, bytes: row.frameBytes, rows: [row] };
      const read = await readSpan(packs, pack, alone, buffer.subarray(row.offset - span.offset));
      if (read === undefined) return undefined;
      frames.push(...read);
    }
    return frames;
  }
  return span.rows.map((row) => {
    const from = row.offset - span.offset;
    return { row, bytes: into.subarray(from, from + row.frameBytes) };
  });
}
