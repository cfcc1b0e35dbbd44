/** Decoded chunks by id, the longest unused first to go. Ids are never reused, so nothing here gets stale. */
export class DecodedChunks {
  readonly #limit: number;
  readonly #chunks = new Map<number, Uint8Array>();
  #bytes = 0;

  /** `limit`: bytes that are kept at most. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  get(id: number): Uint8Array | undefined {
    const bytes = this.#chunks.get(id);
    if (bytes !== undefined) {
      this.#chunks.delete(id);
      this.#chunks.set(id, bytes);
    }
    return bytes;
  }

  set(id: number, bytes: Uint8Array): void {
    if (bytes.length > this.#limit / 4 || this.#chunks.has(id)) return;
    this.#chunks.set(id, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, old] of this.#chunks) {
      if (this.#bytes <= this.#limit) return;
      this.#chunks.delete(oldest);
      this.#bytes -= old.length;
    }
  }
}
