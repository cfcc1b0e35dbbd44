/**
 * Reads a compressed stream frame by frame, straight into the slots that workers decode: fills one slot after the other and yields each when
 * the next frame does not fit. Only lengths are looked at here; a frame is checked where it is decoded.
 */
import {
  DamageError,
  FRAME_FIXED_BYTES,
  type FrameHeader,
  MAX_HEADER_BYTES,
  readFrameHeader,
} from "@tensorcask/codec";
import type { Slot, SlotPool } from "../workers/slot.ts";
import type { DecodeItem } from "../workers/tasks.ts";
import type { StreamInput } from "./stream-input.ts";
import { isStreamEnd, readStreamEnd, STREAM_END_BYTES, type StreamEnd } from "./stream-layout.ts";

const EXTENSION_BYTES_AT = 14;

/** Frames to be decoded. */
export type FrameBatch =
  | { readonly slot: Slot; readonly items: readonly DecodeItem[]; readonly rawBytes: number }
  /** One frame that fits no slot: only other writers make those. */
  | { readonly frame: Uint8Array; readonly where: string };

export class FrameBatches {
  readonly #input: StreamInput;
  readonly #slots: SlotPool;
  readonly #name: string;
  #slot: Slot | undefined;
  #filled = 0;
  #rawBytes = 0;
  #items: DecodeItem[] = [];

  constructor(input: StreamInput, slots: SlotPool, name: string) {
    this.#input = input;
    this.#slots = slots;
    this.#name = name;
  }

  /** All frames up to the end of the stream, which is the result. Frames before damage come out before the `DamageError`. */
  async *read(): AsyncGenerator<FrameBatch, StreamEnd, void> {
    try {
      for (;;) {
        const at = this.#input.position;
        const first = await this.#bytes(STREAM_END_BYTES, at);
        if (isStreamEnd(first)) {
          const end = readStreamEnd(first, this.#where(at));
          if ((await this.#input.peek(1)).length > 0)
            throw new DamageError(
              this.#where(this.#input.position),
              "there are bytes behind the end of the stream",
            );
          if (this.#items.length > 0) yield this.#handOver();
          return end;
        }
        yield* this.#frame(first, at);
      }
    } catch (error) {
      if (error instanceof DamageError && this.#items.length > 0) yield this.#handOver();
      throw error;
    }
  }

  async *#frame(first: Uint8Array, at: number): AsyncGenerator<FrameBatch, void, void> {
    const where = this.#where(at);
    const extensionBytes = first[EXTENSION_BYTES_AT]! + first[EXTENSION_BYTES_AT + 1]! * 256;
    if (FRAME_FIXED_BYTES + extensionBytes > MAX_HEADER_BYTES)
      throw new DamageError(where, "no frame begins here");
    const extension = await this.#bytes(extensionBytes, at);
    const start = new Uint8Array(FRAME_FIXED_BYTES + extensionBytes);
    start.set(first);
    start.set(extension, FRAME_FIXED_BYTES);
    const header = readFrameHeader(start, where);
    const { frameBytes, rawBytes } = header;
    if (frameBytes > this.#slots.slotBytes || rawBytes > this.#slots.slotBytes) {
      if (this.#items.length > 0) yield this.#handOver();
      const frame = new Uint8Array(frameBytes);
      await this.#fillFrame(frame, start, at);
      yield { frame, where };
      return;
    }
    const isFull =
      this.#filled + frameBytes > this.#slots.slotBytes || this.#rawBytes + rawBytes > this.#slots.slotBytes;
    if (this.#items.length > 0 && isFull) yield this.#handOver();
    this.#slot ??= await this.#slots.acquire();
    const into = this.#slot.input.subarray(this.#filled, this.#filled + frameBytes);
    await this.#fillFrame(into, start, at);
    this.#add(header, where);
  }

  async #fillFrame(into: Uint8Array, start: Uint8Array, at: number): Promise<void> {
    into.set(start);
    const payload = into.subarray(start.length);
    if ((await this.#input.fill(payload)) < payload.length) throw this.#truncated(at);
  }

  #add({ frameBytes, rawBytes, hash }: FrameHeader, where: string): void {
    const start = this.#filled;
    this.#items.push({ start, end: start + frameBytes, target: this.#rawBytes, rawBytes, hash, where });
    this.#filled += frameBytes;
    this.#rawBytes += rawBytes;
  }

  async #bytes(count: number, at: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(count);
    if ((await this.#input.fill(bytes)) < count) throw this.#truncated(at);
    return bytes;
  }

  #handOver(): FrameBatch {
    const batch = { slot: this.#slot!, items: this.#items, rawBytes: this.#rawBytes };
    this.#slot = undefined;
    this.#filled = 0;
    this.#rawBytes = 0;
    this.#items = [];
    return batch;
  }

  #where(at: number): string {
    return `${this.#name} at ${at}`;
  }

  #truncated(at: number): DamageError {
    return new DamageError(this.#where(at), "the stream is truncated: it stops before its end");
  }
}
