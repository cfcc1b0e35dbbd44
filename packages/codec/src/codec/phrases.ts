/**
 * A table of short byte strings that a decoder puts together its output from. Each begins at a multiple of four
 * bytes, so that it is written in whole words: a handful of stores where a copy call would cost more than it
 * copies.
 *
 *     words:    | a a a a | a . . . | b b b . | c c c c | c c c c | ...
 *     starts:     0                   2         3              (in words)
 *     lengths:    5                   3         8              (in bytes)
 */

/** Longest phrase; a length is a byte. */
export const MAX_PHRASE_BYTES = 255;

/** Bytes that writing a phrase may touch behind its end: outputs need that much room to spare. */
export const PHRASE_SLACK_BYTES = 3;

/** Phrases by number, in the order in which they were added. */
export class PhraseTable {
  readonly starts: Uint32Array;
  readonly lengths: Uint8Array;
  words: Uint32Array<ArrayBuffer>;
  count = 0;
  #usedWords = 0;

  constructor(phrases: number) {
    this.starts = new Uint32Array(phrases);
    this.lengths = new Uint8Array(phrases);
    this.words = new Uint32Array(phrases + 64);
  }

  /** Words taken so far. */
  get usedWords(): number {
    return this.#usedWords;
  }

  /** Adds a phrase of 1 to `MAX_PHRASE_BYTES` bytes. */
  add(phrase: Uint8Array): void {
    const bytes = this.#reserve(phrase.length);
    bytes.set(phrase);
  }

  /** Adds what two phrases are together, which must fit in `MAX_PHRASE_BYTES`. */
  addPair(left: number, right: number): void {
    const leftBytes = this.lengths[left]!;
    const rightBytes = this.lengths[right]!;
    const bytes = this.#reserve(leftBytes + rightBytes);
    bytes.set(this.phrase(left));
    bytes.set(this.phrase(right), leftBytes);
  }

  /** A view of a phrase, valid until the next one is added. */
  phrase(index: number): Uint8Array {
    return new Uint8Array(this.words.buffer, 4 * this.starts[index]!, this.lengths[index]);
  }

  #reserve(bytes: number): Uint8Array {
    const start = this.#usedWords;
    const end = start + ((bytes + 3) >> 2);
    if (end > this.words.length) {
      const grown = new Uint32Array(Math.max(end, 2 * this.words.length));
      grown.set(this.words);
      this.words = grown;
    }
    this.#usedWords = end;
    this.starts[this.count] = start;
    this.lengths[this.count++] = bytes;
    return new Uint8Array(this.words.buffer, 4 * start, bytes);
  }
}
