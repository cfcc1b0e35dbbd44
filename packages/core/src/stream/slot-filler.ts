/**
 * Cuts a stream into chunks, straight into the slots that workers code: fills one slot after the other and yields each when the next chunk
 * does not fit. Who takes a slot releases it.
 */
import {
  ContentCutter,
  type DType,
  dtypeOf,
  type ElementGeometry,
  MAX_HEADER_BYTES,
} from "@tensorcask/codec";
import type { Slot, SlotPool } from "../workers/slot.ts";
import type { StreamInput } from "./stream-input.ts";
import type { StreamPart } from "./stream-plan.ts";

/** Bytes that are cut by content are read in blocks of this size. */
const CONTENT_BLOCK_BYTES = 1024 * 1024;

/** Chunks begin at multiples of this, so that typed arrays over their elements need no copies. */
const ALIGNMENT = 64;

/** A chunk in a slot's input. `dtype` is a code. */
export interface CutChunk {
  readonly start: number;
  readonly end: number;
  readonly dtype: number;
}

/** A slot with chunks in it, in the order of the stream. */
export interface FilledSlot {
  readonly slot: Slot;
  readonly chunks: readonly CutChunk[];
}

export interface SlotFillerOptions {
  readonly input: StreamInput;
  readonly slots: SlotPool;
  /** Sees every byte once, in order. */
  readonly pass: (bytes: Uint8Array) => void;
}

export class SlotFiller {
  readonly #options: SlotFillerOptions;
  #slot: Slot | undefined;
  #filled = 0;
  /** Room that the frames of the slot's chunks need in its output, if none of them shrinks. */
  #frameBytes = 0;
  #chunks: CutChunk[] = [];

  constructor(options: SlotFillerOptions) {
    this.#options = options;
  }

  /** Cuts the whole stream. */
  async *fill(parts: readonly StreamPart[]): AsyncGenerator<FilledSlot, void, void> {
    for (const part of parts) {
      if (part.kind === "content") yield* this.#content(part.bytes);
      else if (part.kind === "elements") yield* this.#elements(part.geometry);
      else yield* this.#chunk(part.dtype, part.bytes);
    }
    if (this.#chunks.length > 0) yield this.#handOver();
  }

  async *#elements(geometry: ElementGeometry): AsyncGenerator<FilledSlot, void, void> {
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      const { start, end } = geometry.byteRange(chunk);
      yield* this.#chunk(geometry.dtype, end - start);
    }
  }

  /** One chunk of a known length. What is left of it when the stream ends early may be no whole elements: it is coded as bytes. */
  async *#chunk(dtype: DType, bytes: number): AsyncGenerator<FilledSlot, void, void> {
    const start = yield* this.#reserve(bytes);
    const got = await this.#read(start, bytes);
    if (got > 0) this.#declare(start, start + got, got === bytes ? dtype : dtypeOf("uint8"));
  }

  async *#content(bytes: number | undefined): AsyncGenerator<FilledSlot, void, void> {
    const cutter = new ContentCutter();
    const uint8 = dtypeOf("uint8");
    let carry = new Uint8Array(0);
    /** Where the open chunk begins in the part. */
    let chunkStart = 0;
    for (let at = 0, isLast = bytes === 0; !isLast; ) {
      const wanted = Math.min(CONTENT_BLOCK_BYTES, (bytes ?? Number.POSITIVE_INFINITY) - at);
      const start = yield* this.#reserve(carry.length + wanted);
      const { input } = this.#slot!;
      input.set(carry, start);
      const freshStart = start + carry.length;
      const got = await this.#read(freshStart, wanted);
      const blockStart = at - carry.length;
      at += got;
      isLast = got < wanted || at === bytes;
      for (const end of cutter.push(input.subarray(freshStart, freshStart + got), isLast)) {
        this.#declare(start + chunkStart - blockStart, start + end - blockStart, uint8);
        chunkStart = end;
      }
      // What lies behind the last cut is the beginning of a chunk that ends in the next block.
      carry = input.slice(start + chunkStart - blockStart, freshStart + got);
    }
  }

  /** Makes room in the slot, handing over a full one first; returns where it is. */
  async *#reserve(bytes: number): AsyncGenerator<FilledSlot, number, void> {
    const { slots } = this.#options;
    const start = Math.ceil(this.#filled / ALIGNMENT) * ALIGNMENT;
    const fits =
      this.#slot !== undefined &&
      start + bytes <= slots.slotBytes &&
      this.#frameBytes + bytes + MAX_HEADER_BYTES <= this.#slot.output.length;
    if (this.#chunks.length > 0 && !fits) yield this.#handOver();
    this.#slot ??= await slots.acquire();
    const from = this.#chunks.length === 0 ? 0 : start;
    this.#filled = from + bytes;
    return from;
  }

  #declare(start: number, end: number, dtype: DType): void {
    this.#chunks.push({ start, end, dtype: dtype.code });
    this.#frameBytes += end - start + MAX_HEADER_BYTES;
  }

  #handOver(): FilledSlot {
    const filled = { slot: this.#slot!, chunks: this.#chunks };
    this.#slot = undefined;
    this.#filled = 0;
    this.#frameBytes = 0;
    this.#chunks = [];
    return filled;
  }

  async #read(start: number, bytes: number): Promise<number> {
    const into = this.#slot!.input.subarray(start, start + bytes);
    const got = await this.#options.input.fill(into);
    this.#options.pass(into.subarray(0, got));
    return got;
  }
}
