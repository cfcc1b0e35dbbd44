/**
 * Reads a source from front to back: every byte passes through once, in order, so that it can be hashed on the way. Short reads are
 * served from a window, since a model has thousands of small tensors and each read of its own would cost a trip to the thread pool.
 */
import type { Source } from "../model/plan.ts";

const WINDOW_BYTES = 1024 * 1024;

/** Reads of at least this many bytes go straight to where they are wanted. */
const DIRECT_BYTES = 256 * 1024;

export class SequentialReader {
  readonly #source: Source;
  readonly #pass: (bytes: Uint8Array, end: number) => void;
  #window = new Uint8Array(0);
  /** Position of the window's first byte. */
  #windowStart = 0;
  #position = 0;

  /** `pass` sees every byte once, in order; `end` is the position behind them. */
  constructor(source: Source, pass: (bytes: Uint8Array, end: number) => void) {
    this.#source = source;
    this.#pass = pass;
  }

  /** Fills `into` from `position`, which must be where the read before ended. */
  async read(into: Uint8Array, position: number): Promise<void> {
    if (position !== this.#position)
      throw new RangeError(`read at ${position}, ${this.#position} comes next`);
    let filled = 0;
    while (filled < into.length) {
      const left = this.#windowStart + this.#window.length - this.#position;
      if (left > 0) {
        const from = this.#position - this.#windowStart;
        const count = Math.min(left, into.length - filled);
        into.set(this.#window.subarray(from, from + count), filled);
        filled += count;
        this.#position += count;
      } else if (into.length - filled >= DIRECT_BYTES) {
        const rest = into.subarray(filled);
        await this.#source.read(rest, this.#position);
        this.#position += rest.length;
        this.#pass(rest, this.#position);
        return;
      } else {
        const bytes = Math.min(WINDOW_BYTES, this.#source.bytes - this.#position);
        if (this.#window.length !== bytes) this.#window = new Uint8Array(bytes);
        await this.#source.read(this.#window, this.#position);
        this.#windowStart = this.#position;
        this.#pass(this.#window, this.#position + bytes);
      }
    }
  }
}
