/** Text of any length as UTF-8, piece by piece. */

/** Bytes that pieces are written to until there is no room: the last one is cut. */
export class TextRoom {
  readonly bytes: Uint8Array<ArrayBuffer>;
  #at = 0;

  constructor(bytes: number) {
    this.bytes = new Uint8Array(bytes);
  }

  get isFull(): boolean {
    return this.#at === this.bytes.length;
  }

  /** Writes what fits. */
  add(piece: Uint8Array): void {
    const length = Math.min(piece.length, this.bytes.length - this.#at);
    // Pieces are words: setting a view costs more than copying them.
    for (let index = 0; index < length; index++) this.bytes[this.#at + index] = piece[index]!;
    this.#at += length;
  }

  /** Writes a text of plain ASCII. */
  ascii(text: string): void {
    const length = Math.min(text.length, this.bytes.length - this.#at);
    for (let index = 0; index < length; index++) this.bytes[this.#at + index] = text.charCodeAt(index);
    this.#at += length;
  }
}
