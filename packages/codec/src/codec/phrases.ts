/**
 * A table of short byte strings that a decoder puts together its output from. Each begins at a multiple of four
 * bytes, so that it is written in whole words: a handful of stores where a copy call would cost more than it
 * copies.
 *
 *     words:    | a a a a | a . . . | b b b . | c c c c | c c c c | ...
 *     starts:     0                   2         3              (in words)
 *     lengths:    5                   3         8              (in bytes)
 */
import { DamageError } from "../errors/errors.ts";

/** Longest phrase; a length is a byte. */
export const MAX_PHRASE_BYTES = 255;

/** Bytes that writing a phrase may touch behind its end: outputs need that much room to spare. */
export const PHRASE_SLACK_BYTES = 7;

/** Phrases by number, in the order in which they were added. */
export class PhraseTable {
  readonly starts: Uint32Array;
  readonly lengths: Uint8Array;
  words: Uint32Array<ArrayBuffer>;
  count = 0;
  #bytes: Uint8Array<ArrayBuffer>;
  #usedWords = 0;

  constructor(phrases: number) {
    this.starts = new Uint32Array(phrases);
    this.lengths = new Uint8Array(phrases);
    this.words = new Uint32Array(2 * phrases + 64);
    this.#bytes = new Uint8Array(this.words.buffer);
  }

  /** Adds a phrase of 1 to `MAX_PHRASE_BYTES` bytes. */
  add(phrase: Uint8Array): void {
    const to = this.#reserve(phrase.length);
    this.#bytes.set(phrase, to);
  }

  /** Adds what two phrases are together, which must fit in `MAX_PHRASE_BYTES`. */
  addPair(left: number, right: number): void {
    let to = this.#reserve(this.lengths[left]! + this.lengths[right]!);
    const bytes = this.#bytes;
    for (const half of [left, right]) {
      const start = 4 * this.starts[half]!;
      for (let from = start; from < start + this.lengths[half]!; from++) bytes[to++] = bytes[from]!;
    }
  }

  /** Makes room for a phrase and returns its place in bytes. */
  #reserve(bytes: number): number {
    const start = this.#usedWords;
    const end = start + ((bytes + 3) >> 2);
    // One word more, since two are read of the shortest phrase.
    if (end >= this.words.length) {
      const grown = new Uint32Array(Math.max(end + 1, 2 * this.words.length));
      grown.set(this.words);
      this.words = grown;
      this.#bytes = new Uint8Array(grown.buffer);
    }
    this.#usedWords = end;
    this.starts[this.count] = start;
    this.lengths[this.count++] = bytes;
    return 4 * start;
  }
}

/**
 * The phrases of these numbers one after the other: exactly `bytes` bytes, with nothing in the memory behind
 * them that matters. Throws `DamageError` naming `what` for other lengths and for numbers without a phrase.
 */
export function writePhrases(
  table: PhraseTable,
  numbers: Uint16Array,
  bytes: number,
  what: string,
): Uint8Array {
  const memory = new Uint8Array(bytes + PHRASE_SLACK_BYTES);
  const view = new DataView(memory.buffer);
  const { starts, lengths, words, count } = table;
  let to = 0;
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index]!;
    if (number >= count) throw new DamageError(what, `there is no token ${number} among ${count}`);
    const length = lengths[number]!;
    if (length > bytes - to)
      throw new DamageError(what, `holds more than the ${bytes} bytes that were declared`);
    let from = starts[number]!;
    // Two words whatever the length: a branch on it would be mispredicted half the time.
    view.setUint32(to, words[from]!, true);
    view.setUint32(to + 4, words[++from]!, true);
    for (let done = 8; done < length; done += 4) view.setUint32(to + done, words[++from]!, true);
    to += length;
  }
  if (to !== bytes) throw new DamageError(what, `decoded to ${to} bytes, ${bytes} were declared`);
  return memory.subarray(0, bytes);
}
