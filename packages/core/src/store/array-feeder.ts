/**
 * Feeds arrays to the chunk pipeline: cuts them by elements, or opaque bytes by content, and reads neighbouring chunks together, straight into the slots
 * that workers hash and code.
 */
import { type CodecPolicy, ContentCutter, type DType, dtypeOf, ElementGeometry } from "@tensorcask/codec";
import type { ChunkPipeline } from "./chunk-pipeline.ts";
import type { ContentSiblings } from "./content-finder.ts";
import type { ChunkRef, PendingArray } from "./pending.ts";
import type { TensorSiblings } from "./sibling-finder.ts";
import { type KeptChunks, NOTHING_KEPT, type ReadBytes } from "./tensor-bytes.ts";

/** Opaque bytes are read and cut in blocks of this size. */
const CONTENT_BLOCK_BYTES = 1024 * 1024;

/** An array to be cut by elements. */
export interface ArraySource {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly read: ReadBytes;
  /** Its first chunks are stored already; `read` begins behind them. */
  readonly kept?: KeptChunks | undefined;
  /** What its chunks may be coded against. */
  readonly siblings?: TensorSiblings | undefined;
}

export class ArrayFeeder {
  readonly #pipeline: ChunkPipeline;
  readonly #chunkElements: number;

  constructor(pipeline: ChunkPipeline, chunkElements: number) {
    this.#pipeline = pipeline;
    this.#chunkElements = chunkElements;
  }

  /** Feeds an array in chunks of its own. `hashes` gets the SHA-256 of each chunk, by index, once it is known. */
  async elements(
    array: PendingArray,
    source: ArraySource,
    policy: CodecPolicy,
    hashes?: Uint8Array[],
  ): Promise<void> {
    const { dtype, shape, read, kept = NOTHING_KEPT, siblings } = source;
    const geometry = new ElementGeometry(dtype, shape, this.#chunkElements);
    const refs: ChunkRef[] = [...kept.ids];
    for (let chunk = refs.length; chunk < geometry.chunkCount; chunk++) refs.push(0);
    hashes?.push(...kept.hashes);
    array.place = { chunks: refs };
    for (let chunk = kept.ids.length; chunk < geometry.chunkCount; ) {
      const first = chunk;
      const { start: from } = geometry.byteRange(first);
      let { end: to } = geometry.byteRange(first);
      if (this.#pipeline.room < to - from) this.#pipeline.flush();
      const room = this.#pipeline.room;
      for (chunk += 1; chunk < geometry.chunkCount; chunk++) {
        const { end } = geometry.byteRange(chunk);
        if (end - from > room) break;
        to = end;
      }
      const { view, start } = await this.#pipeline.reserve(to - from);
      await read(view, from - kept.bytes);
      for (let index = first; index < chunk; index++) {
        const range = geometry.byteRange(index);
        if (index === 0) siblings?.begin(view.subarray(0, range.end));
        this.#pipeline.chunk({
          start: start + range.start - from,
          end: start + range.end - from,
          dtype: dtype.code,
          policy,
          of: siblings && { siblings, index },
          sink: (hash, ref) => {
            refs[index] = ref;
            if (hashes !== undefined) hashes[index] = hash;
          },
        });
      }
    }
  }

  /** Feeds chunks that are made one by one: `make` returns the bytes of each, which it may overwrite for the next. */
  async made(
    array: PendingArray,
    dtype: DType,
    chunkCount: number,
    make: (chunk: number) => Promise<Uint8Array>,
    policy: CodecPolicy,
  ): Promise<void> {
    const refs: ChunkRef[] = new Array<ChunkRef>(chunkCount).fill(0);
    array.place = { chunks: refs };
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const bytes = await make(chunk);
      const { view, start } = await this.#pipeline.reserve(bytes.length);
      view.set(bytes);
      const sink = (_hash: Uint8Array, ref: ChunkRef): void => {
        refs[chunk] = ref;
      };
      this.#pipeline.chunk({ start, end: start + bytes.length, dtype: dtype.code, policy, sink });
    }
  }

  /** Feeds opaque bytes, cut by content; `siblings` finds what they are coded against. `hashes` gets the SHA-256 of each chunk, in order, once it is known. */
  async content(
    array: PendingArray,
    bytes: number,
    read: ReadBytes,
    policy: CodecPolicy,
    hashes: Uint8Array[],
    siblings?: ContentSiblings,
  ): Promise<void> {
    const { code } = dtypeOf("uint8");
    const refs: ChunkRef[] = [];
    array.place = { chunks: refs };
    const cutter = new ContentCutter();
    let carry = new Uint8Array(0);
    let chunkStart = 0;
    for (let at = 0; at < bytes; ) {
      const block = Math.min(CONTENT_BLOCK_BYTES, bytes - at);
      const { view, start } = await this.#pipeline.reserve(carry.length + block);
      view.set(carry);
      const fresh = view.subarray(carry.length);
      await read(fresh, at);
      const viewStart = at - carry.length;
      at += block;
      for (const end of cutter.push(fresh, at === bytes)) {
        const index = refs.push(0) - 1;
        this.#pipeline.chunk({
          start: start + chunkStart - viewStart,
          end: start + end - viewStart,
          dtype: code,
          policy,
          of: siblings && { siblings, index },
          features: siblings?.take(view.subarray(chunkStart - viewStart, end - viewStart)),
          sink: (hash, ref) => {
            hashes[index] = hash;
            refs[index] = ref;
          },
        });
        chunkStart = end;
      }
      // What lies behind the last cut is the beginning of a chunk that ends in the next block.
      carry = view.slice(chunkStart - viewStart);
    }
  }
}
