/**
 * A source of pieces, read as one run of bytes: how it is cut into pieces makes no difference to who reads it. One piece and what was
 * peeked at are all that is held.
 */
import { CancelledError, UsageError } from "@tensorcask/codec";

/** What streams are read from: Node's readable streams, web streams, generators, arrays of pieces. */
export type ByteSource = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

export interface StreamInputOptions {
  /** What is cancelled when `signal` aborts. */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  /** Hears how many bytes have been taken. */
  readonly onRead?: ((bytes: number) => void) | undefined;
}

export class StreamInput {
  readonly #iterator: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #options: StreamInputOptions;
  /** Bytes that come next: what is left of the peeked ones, then of the piece. */
  #peeked: Uint8Array = new Uint8Array(0);
  #piece: Uint8Array = new Uint8Array(0);
  #position = 0;
  #ended = false;
  #waiting = false;

  constructor(source: ByteSource, options: StreamInputOptions) {
    this.#iterator =
      Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#options = options;
  }

  /** Bytes taken so far. */
  get position(): number {
    return this.#position;
  }

  /** Fills `into` as far as the source goes; fewer bytes than asked for only at its end. */
  async fill(into: Uint8Array): Promise<number> {
    const filled = await this.#take(into);
    this.#position += filled;
    this.#options.onRead?.(this.#position);
    return filled;
  }

  /** A copy of the next bytes, which stay to be taken; fewer than `bytes` only at the end. */
  async peek(bytes: number): Promise<Uint8Array> {
    if (this.#peeked.length >= bytes) return this.#peeked.slice(0, bytes);
    const next = new Uint8Array(bytes);
    this.#peeked = next.subarray(0, await this.#take(next));
    return this.#peeked.slice();
  }

  /** Lets go of the source. */
  async close(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    const returned = this.#iterator.return?.();
    // A generator answers this behind what it is asked for already, which may never come: whoever cancels does not wait for it.
    if (this.#waiting) Promise.resolve(returned).catch(() => undefined);
    else await returned;
  }

  async #take(into: Uint8Array): Promise<number> {
    let filled = Math.min(this.#peeked.length, into.length);
    into.set(this.#peeked.subarray(0, filled));
    this.#peeked = this.#peeked.subarray(filled);
    while (filled < into.length) {
      if (this.#piece.length === 0 && !(await this.#next())) break;
      const count = Math.min(this.#piece.length, into.length - filled);
      into.set(this.#piece.subarray(0, count), filled);
      this.#piece = this.#piece.subarray(count);
      filled += count;
    }
    return filled;
  }

  /** Gets the next piece; false at the end. */
  async #next(): Promise<boolean> {
    if (this.#ended) return false;
    this.#throwIfAborted();
    this.#waiting = true;
    const result = await this.#orAborted(this.#iterator.next());
    this.#waiting = false;
    this.#throwIfAborted();
    if (result.done === true) {
      this.#ended = true;
      return false;
    }
    if (!(result.value instanceof Uint8Array)) {
      throw new UsageError(
        "source",
        `the source gave a ${typeof result.value}; its pieces must be Uint8Arrays (do not set an encoding)`,
      );
    }
    this.#piece = result.value;
    return true;
  }

  async #orAborted<T>(pending: T | Promise<T>): Promise<T> {
    const { signal } = this.#options;
    if (signal === undefined) return pending;
    return new Promise<T>((resolve, reject) => {
      const abort = (): void => reject(this.#cancelled());
      signal.addEventListener("abort", abort, { once: true });
      Promise.resolve(pending)
        .then(resolve, reject)
        .finally(() => signal.removeEventListener("abort", abort));
    });
  }

  #throwIfAborted(): void {
    if (this.#options.signal?.aborted) throw this.#cancelled();
  }

  #cancelled(): CancelledError {
    return new CancelledError(this.#options.what, { cause: this.#options.signal?.reason });
  }
}
