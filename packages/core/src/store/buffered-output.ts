/** Writes a file from front to back in large pieces: a model has thousands of small tensors, and each write of its own costs a trip to the thread pool. */
import type { OpenFile } from "../files/file-system.ts";

const BUFFER_BYTES = 1024 * 1024;

export class BufferedOutput {
  readonly #file: Pick<OpenFile, "write">;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #filled = 0;
  #position = 0;

  constructor(file: Pick<OpenFile, "write">) {
    this.#file = file;
  }

  /** Appends bytes, which may be overwritten when the call is over. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const count = Math.min(bytes.length - at, BUFFER_BYTES - this.#filled);
      this.#buffer.set(bytes.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled === BUFFER_BYTES) await this.flush();
    }
  }

  /** Writes what is left. */
  async flush(): Promise<void> {
    if (this.#filled === 0) return;
    await this.#file.write(this.#buffer.subarray(0, this.#filled), this.#position);
    this.#position += this.#filled;
    this.#filled = 0;
  }
}
