/**
 * A seeded vocabulary: words of syllables whose letters come as often as in English, short ones first, so that a word's
 * rank and length go together as in languages (Zipf).
 */
import { randomBelow, weighted } from "./random.ts";

const onsets: readonly (readonly [string, number])[] = [
  ...([
    ["", 9],
    ["t", 9],
    ["s", 8],
    ["r", 6],
    ["n", 6],
    ["h", 6],
    ["l", 5],
    ["d", 5],
    ["c", 4],
  ] as const),
  ...([
    ["m", 4],
    ["w", 4],
    ["f", 4],
    ["p", 4],
    ["b", 3],
    ["g", 3],
    ["th", 4],
    ["sh", 2],
    ["st", 3],
  ] as const),
  ...([
    ["pr", 2],
    ["tr", 2],
    ["ch", 2],
    ["y", 2],
    ["v", 2],
    ["k", 1],
    ["gr", 1],
    ["pl", 1],
    ["qu", 1],
  ] as const),
  ...([
    ["j", 1],
    ["br", 1],
    ["cl", 1],
    ["sp", 1],
    ["z", 1],
  ] as const),
];
const nuclei: readonly (readonly [string, number])[] = [
  ...([
    ["e", 12],
    ["a", 9],
    ["o", 8],
    ["i", 8],
    ["u", 4],
    ["ea", 2],
    ["ou", 2],
    ["io", 2],
  ] as const),
  ...([
    ["ai", 1],
    ["ee", 1],
    ["oo", 1],
    ["ie", 1],
  ] as const),
];
const codas: readonly (readonly [string, number])[] = [
  ...([
    ["", 14],
    ["n", 7],
    ["r", 6],
    ["s", 6],
    ["t", 5],
    ["l", 4],
    ["d", 4],
    ["nd", 2],
    ["ng", 2],
  ] as const),
  ...([
    ["st", 2],
    ["m", 2],
    ["ck", 1],
    ["p", 1],
    ["ll", 1],
    ["ss", 1],
    ["nt", 2],
    ["x", 1],
  ] as const),
];

/** This many different words, the most frequent first. */
export function vocabulary(random: () => number, count: number): string[] {
  const [onset, nucleus, coda] = [onsets, nuclei, codas].map((parts) => {
    const pick = weighted(
      random,
      parts.map(([, weight]) => weight),
    );
    return () => parts[pick()]![0];
  }) as [() => string, () => string, () => string];
  const below = randomBelow(random);
  const words = new Set<string>();
  while (words.size < count) {
    // The first 32 words have one syllable, the last ones up to four.
    const syllables = 1 + below(1 + Math.min(3, Math.floor(words.size / 32)));
    let word = "";
    for (let index = 0; index < syllables; index++) word += onset() + nucleus();
    words.add(word + coda());
  }
  return [...words];
}
