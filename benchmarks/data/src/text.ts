/**
 * Text that looks like a language nobody speaks: a seeded vocabulary used as Zipf's law has it, words that like to follow each other, sentences,
 * paragraphs with words of their own subject. About 4.2 bits a letter for a code of single letters, as English has.
 */
import { randomBelow, randomWords, weighted } from "./random.ts";
import { type Kind, opaque } from "./sample.ts";
import { vocabulary } from "./vocabulary.ts";
import { TextRoom } from "./writing.ts";

const WORDS = 4000;
/** Words that often come behind a word. */
const FOLLOWERS = 12;
/** Words that a paragraph's subject brings. */
const SUBJECT_WORDS = 24;

const encoder = new TextEncoder();

function text(seed: number, bytes: number): Uint8Array<ArrayBuffer> {
  const random = randomWords(seed);
  const below = randomBelow(random);
  const words = vocabulary(random, WORDS);
  const small = words.map((word) => encoder.encode(` ${word}`));
  const capital = words.map((word) => encoder.encode(word[0]!.toUpperCase() + word.slice(1)));
  const anyWord = weighted(
    random,
    words.map((_, rank) => 1 / (rank + 2)),
  );
  const followers = Uint16Array.from({ length: WORDS * FOLLOWERS }, anyWord);
  const anyFollower = weighted(
    random,
    Array.from({ length: FOLLOWERS }, (_, rank) => 1 / (rank + 1)),
  );
  const [stop, comma, question, space, paragraph] = [".", ",", "?", " ", "\n\n"].map((mark) =>
    encoder.encode(mark),
  );
  const subject = new Uint16Array(SUBJECT_WORDS);
  const room = new TextRoom(bytes);
  while (!room.isFull) {
    for (let index = 0; index < SUBJECT_WORDS; index++) subject[index] = below(WORDS);
    for (let sentence = 2 + below(6); sentence >= 0; sentence--) {
      let word = anyWord();
      room.add(capital[word]!);
      for (let length = 4 + below(14); length > 0; length--) {
        const choice = random() >>> 24;
        if (choice < 140) word = followers[word * FOLLOWERS + anyFollower()]!;
        else if (choice < 175) word = subject[below(SUBJECT_WORDS)]!;
        else word = anyWord();
        if (choice > 240) room.add(comma!);
        room.add(small[word]!);
      }
      room.add(random() >>> 28 === 0 ? question! : stop!);
      room.add(sentence === 0 ? paragraph! : space!);
    }
  }
  return room.bytes;
}

export const textKind: Kind = {
  name: "text",
  description: "prose in a seeded language",
  origin: "seeded",
  generate: (seed, bytes) => opaque(text(seed, bytes)),
};
