/**
 * Codes a star anew around a centre: the centre plainly if it was not, the others against it, in workers, a slot at a time. What need not
 * change keeps its frame. Nothing is written here.
 */
import {
  type CodecPolicy,
  equalBytes,
  MAX_HEADER_BYTES,
  readFrameHeader,
  TensorcaskError,
  toHex,
} from "@tensorcask/codec";
import type { ChunkRow } from "../catalog/catalog.ts";
import { type Slot, siblingRegion } from "../workers/slot.ts";
import type { ChunkRange, EncodeItem } from "../workers/tasks.ts";
import type { StoreContext } from "./context.ts";
import type { NewFrame } from "./recoded-packs.ts";
import type { Star, StarChunk } from "./stars.ts";

/** A star as it would be. */
export interface CodedStar {
  readonly centre: StarChunk;
  /** Bytes of its frames, without those that nothing would need any more. */
  readonly bytes: number;
  /** Bytes of the frames of the others, by chunk. */
  readonly sizes: ReadonlyMap<number, number>;
  /** Frames that are new. Those that are coded against another chunk are coded against the centre. */
  readonly frames: readonly NewFrame[];
}

interface CodedChunk {
  readonly chunk: StarChunk;
  readonly frame: NewFrame;
}

/** Codes a star around the chunk of this id. Undefined when a chunk that it needs was moved or collected meanwhile. */
export async function codeStar(
  context: StoreContext,
  slot: Slot,
  star: Star,
  centreId: number,
): Promise<CodedStar | undefined> {
  const centre = star.chunks.find(({ row }) => row.id === centreId)!;
  const inside = new Set(star.chunks.map(({ row }) => row.id));
  const sizes = new Map<number, number>();
  const wanted: StarChunk[] = [];
  for (const chunk of star.chunks) {
    const { row, tensor, isPinned } = chunk;
    if (chunk === centre) continue;
    if (tensor === undefined) sizes.set(row.id, isPinned ? row.frameBytes : 0);
    else if (isPinned || row.sibling === centreId) sizes.set(row.id, row.frameBytes);
    else wanted.push(chunk);
  }
  const frames: NewFrame[] = [];
  let plain: Uint8Array | undefined;
  if (centre.row.sibling === undefined) {
    plain = await plainFrame(context, centre.row);
    if (plain === undefined) return undefined;
  } else {
    const [coded] = await encode(context, slot, [centre], centre.tensor!.policy, undefined);
    plain = coded!.frame.bytes;
    frames.push(coded!.frame);
  }
  siblingRegion(slot).set(plain);
  const against = { start: 0, end: plain.length };
  for (const policy of new Set(wanted.map(({ tensor }) => tensor!.policy))) {
    const chunks = wanted.filter(({ tensor }) => tensor!.policy === policy);
    for (const { chunk, frame } of await encode(context, slot, chunks, policy, against)) {
      const { frameBytes, sibling } = chunk.row;
      // What it is coded against stays as it is, or it has none.
      const mayStay = sibling === undefined || !inside.has(sibling);
      const isKept = mayStay && frameBytes <= frame.facts.frameBytes;
      if (!isKept) frames.push(frame);
      sizes.set(chunk.row.id, isKept ? frameBytes : frame.facts.frameBytes);
    }
  }
  const bytes = [...sizes.values()].reduce((sum, size) => sum + size, plain.length);
  return { centre, bytes, sizes, frames };
}

/** The frame of a chunk that is coded against none; undefined when that is not so any more. */
async function plainFrame(context: StoreContext, row: ChunkRow): Promise<Uint8Array | undefined> {
  try {
    const frame = await context.frame(row);
    const { hash, sibling } = readFrameHeader(frame, "sibling");
    return sibling === undefined && equalBytes(hash, row.hash) ? frame : undefined;
  } catch (error) {
    if (error instanceof TensorcaskError && context.catalog.chunk(row.id)?.pack !== row.pack)
      return undefined;
    throw error;
  }
}

/** Codes chunks, against the frame in the slot's region for siblings if there is one. */
async function encode(
  context: StoreContext,
  slot: Slot,
  chunks: readonly StarChunk[],
  policy: CodecPolicy,
  sibling: ChunkRange | undefined,
): Promise<CodedChunk[]> {
  const coded: CodedChunk[] = [];
  let batch: StarChunk[] = [];
  let items: EncodeItem[] = [];
  let input = 0;
  let output = 0;
  const close = async (): Promise<void> => {
    const hashes = await context.pool.run({ kind: "hash", slot, ranges: items }, input);
    for (const [index, { row }] of batch.entries()) {
      if (equalBytes(hashes.subarray(32 * index, 32 * index + 32), row.hash)) continue;
      throw context.parts.reader.damageOf({ row, message: `the chunk's SHA-256 is not ${toHex(row.hash)}` });
    }
    const lengths = await context.pool.run({ kind: "encode", slot, items, policy }, input);
    let at = 0;
    for (const [index, chunk] of batch.entries()) {
      const bytes = slot.output.slice(at, at + lengths[index]!);
      at += bytes.length;
      coded.push({ chunk, frame: newFrame(chunk.row, bytes) });
    }
    batch = [];
    items = [];
    input = 0;
    output = 0;
  };
  for (const chunk of chunks) {
    const { row, tensor } = chunk;
    const most = row.rawBytes + MAX_HEADER_BYTES;
    if (input + row.rawBytes > slot.input.length || output + most > slot.output.length) await close();
    slot.input.set(await context.parts.reader.chunk(row.id), input);
    const end = input + row.rawBytes;
    items.push({ start: input, end, dtype: tensor!.dtype.code, hash: row.hash, sibling });
    batch.push(chunk);
    input = end;
    output += most;
  }
  if (items.length > 0) await close();
  return coded;
}

function newFrame(row: ChunkRow, bytes: Uint8Array): NewFrame {
  const { hash, frameBytes, rawBytes, chain, sibling } = readFrameHeader(bytes, "new frame");
  return {
    row,
    bytes,
    facts: { hash, frameBytes, rawBytes, chain, ...(sibling !== undefined && { sibling }) },
  };
}
