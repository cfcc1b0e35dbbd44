/**
 * The work that threads do: hash chunks, code chunks into frames, decode frames. Plain functions over a slot's buffers, so that the
 * calling thread can run them itself when there are no workers or the work is small.
 */
import {
  type CodecPolicy,
  DamageError,
  decodeFrame,
  dtypeOfCode,
  encodeFrameInto,
  readFrameHeader,
  type SiblingChunk,
  sha256,
  TensorcaskError,
} from "@tensorcask/codec";
import { type Slot, siblingRegion } from "./slot.ts";

/** A chunk in a slot's input. */
export interface ChunkRange {
  readonly start: number;
  readonly end: number;
}

/** A chunk to be coded. */
export interface EncodeItem extends ChunkRange {
  /** Dtype code of its elements. */
  readonly dtype: number;
  /** SHA-256 of its bytes. */
  readonly hash: Uint8Array;
  /** What it may be coded against. */
  readonly sibling?: EncodeSibling | undefined;
}

export type EncodeSibling =
  /** A frame in the slot's region for siblings, coded without one itself. */
  | ChunkRange
  /** An earlier item of the request, or what that one is coded against. */
  | { readonly item: number };

/**
 * A frame in a slot's input, to be decoded to `target` in the slot's output. One that only others are coded against (`isBase`) lies in the
 * output instead and goes to the region for siblings; such items come first, because the others overwrite the output.
 */
export interface DecodeItem extends ChunkRange {
  readonly target: number;
  readonly rawBytes: number;
  readonly hash: Uint8Array;
  /** Where the frame lies, for error messages. */
  readonly where: string;
  readonly isBase?: boolean;
  /** Index of the item, before this one, whose chunk this one is coded against. */
  readonly sibling?: number | undefined;
}

/** A frame that could not be decoded. */
export interface DecodeFailure {
  readonly index: number;
  readonly message: string;
}

/** SHA-256 of every chunk, 32 bytes each, one after the other. */
export function hashChunks(slot: Slot, ranges: readonly ChunkRange[]): Uint8Array {
  const hashes = new Uint8Array(ranges.length * 32);
  for (const [index, range] of ranges.entries()) {
    hashes.set(sha256(slot.input.subarray(range.start, range.end)), index * 32);
  }
  return hashes;
}

/** Codes chunks into frames, back to back in the slot's output; returns their lengths. */
export function encodeChunks(slot: Slot, items: readonly EncodeItem[], policy: CodecPolicy): number[] {
  const lengths: number[] = [];
  const siblings = new Siblings(slot);
  let at = 0;
  for (const { dtype: code, start, end, hash, sibling: asked } of items) {
    const dtype = dtypeOfCode(code);
    if (dtype === undefined) throw new RangeError(`dtype code ${code} is not known`);
    const bytes = slot.input.subarray(start, end);
    const base = siblings.resolve(asked);
    const sibling = base && siblings.chunk(base);
    const length = encodeFrameInto({ hash, dtype, bytes, policy, sibling }, slot.output, at);
    const against = base !== undefined && isAgainst(slot.output.subarray(at, at + length));
    siblings.coded(against ? base : { hash, dtype, bytes });
    at += length;
    lengths.push(length);
  }
  return lengths;
}

/** Whether the chunk of a new frame is coded against another one. */
function isAgainst(frame: Uint8Array): boolean {
  return readFrameHeader(frame, "new frame").sibling !== undefined;
}

/** Decoded chunks of frames that are kept within a request: more than most need, and little beside a slot. */
const DECODED_BYTES = 1024 * 1024;

/** The chunks that those of a request are coded against. */
class Siblings {
  readonly #slot: Slot;
  /** For each item that is coded, what one that is like it is coded against: what it is coded against itself, or itself. */
  readonly #plain: (ChunkRange | SiblingChunk)[] = [];
  /** Chunks of frames by where they begin, the latest last. */
  readonly #decoded = new Map<number, SiblingChunk | undefined>();
  #decodedBytes = 0;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  /** Remembers what an item is coded against, or its own bytes when it is plain. */
  coded(plain: ChunkRange | SiblingChunk): void {
    this.#plain.push(plain);
  }

  /** What an item may be coded against: a frame in the slot, or an earlier chunk of it. */
  resolve(asked: EncodeSibling | undefined): ChunkRange | SiblingChunk | undefined {
    return asked !== undefined && "item" in asked ? this.#plain[asked.item] : asked;
  }

  /** The chunk itself. */
  chunk(sibling: ChunkRange | SiblingChunk): SiblingChunk | undefined {
    if ("bytes" in sibling) return sibling;
    if (!this.#decoded.has(sibling.start)) {
      const chunk = this.#decode(sibling);
      this.#decodedBytes += chunk?.bytes.length ?? 0;
      for (const [start, old] of this.#decoded) {
        if (this.#decodedBytes <= DECODED_BYTES) break;
        this.#decoded.delete(start);
        this.#decodedBytes -= old?.bytes.length ?? 0;
      }
      this.#decoded.set(sibling.start, chunk);
    }
    return this.#decoded.get(sibling.start);
  }

  /** A frame's chunk; undefined when the frame is damaged: nothing may come to depend on it, and whoever reads it will say so. */
  #decode({ start, end }: ChunkRange): SiblingChunk | undefined {
    const frame = this.#slot.sibling!.subarray(start, end);
    try {
      const { hash, dtype } = readFrameHeader(frame, "sibling");
      return { hash, dtype, bytes: decodeFrame(frame, "sibling") };
    } catch (error) {
      if (!(error instanceof TensorcaskError)) throw error;
      return undefined;
    }
  }
}

/** Decodes frames into the slot's output; what fails is reported, the others are there. */
export function decodeFrames(slot: Slot, items: readonly DecodeItem[], rehash: boolean): DecodeFailure[] {
  const failures: DecodeFailure[] = [];
  const failed = new Set<number>();
  for (const [index, item] of items.entries()) {
    try {
      const frame = (item.isBase ? slot.output : slot.input).subarray(item.start, item.end);
      const out = decodedTo(slot, item);
      const sibling = siblingOf(slot, items, item, failed);
      const bytes = decodeFrame(frame, item.where, item.hash, { verifyHash: rehash, out, sibling });
      if (bytes !== out) out.set(bytes);
    } catch (error) {
      if (!(error instanceof TensorcaskError)) throw error;
      failed.add(index);
      failures.push({ index, message: error.message });
    }
  }
  return failures;
}

/** Where the chunk of an item goes. */
function decodedTo(slot: Slot, { isBase, target, rawBytes }: DecodeItem): Uint8Array {
  return (isBase ? siblingRegion(slot) : slot.output).subarray(target, target + rawBytes);
}

/** What an item is coded against. */
function siblingOf(
  slot: Slot,
  items: readonly DecodeItem[],
  { sibling, where }: DecodeItem,
  failed: ReadonlySet<number>,
): { readonly hash: Uint8Array; readonly bytes: Uint8Array } | undefined {
  if (sibling === undefined) return undefined;
  const item = items[sibling]!;
  if (failed.has(sibling))
    throw new DamageError(where, `is coded against the chunk in ${item.where}, which is damaged`);
  return { hash: item.hash, bytes: decodedTo(slot, item) };
}
