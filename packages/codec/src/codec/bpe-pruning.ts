/**
 * What was learnt from a sample does not pay everywhere. Once the whole input is in tokens, pairs that are used
 * too seldom for their place in the table are taken apart again, and the rest is renumbered without gaps.
 */
import { PAIR_BITS, type Round, savedBits } from "./bpe-training.ts";

/** The tokens of the input, and the rounds of pairs that make them. */
export interface Pruned {
  readonly tokens: Uint16Array;
  readonly rounds: Round[];
}

/** `tokens` over an alphabet of `values` values and the pairs of `rounds`, without pairs that do not pay. */
export function prunePairs(tokens: Uint16Array, values: number, rounds: readonly Round[]): Pruned {
  const lefts = Uint16Array.from(rounds.flatMap((round) => [...round.lefts]));
  const rights = Uint16Array.from(rounds.flatMap((round) => [...round.rights]));
  const kept = payingTokens(tokens, values, lefts, rights);
  const numberOf = new Uint16Array(kept.length);
  for (let token = 0, next = 0; token < kept.length; token++) if (kept[token] === 1) numberOf[token] = next++;

  const pruned: Round[] = [];
  let first = values;
  for (const round of rounds) {
    const pairs: number[] = [];
    for (let pair = 0; pair < round.lefts.length; pair++) if (kept[first + pair] === 1) pairs.push(pair);
    first += round.lefts.length;
    if (pairs.length === 0) continue;
    pruned.push({
      lefts: Uint16Array.from(pairs, (pair) => numberOf[round.lefts[pair]!]!),
      rights: Uint16Array.from(pairs, (pair) => numberOf[round.rights[pair]!]!),
    });
  }
  return { tokens: takenApart(tokens, values, kept, numberOf, lefts, rights), rounds: pruned };
}

/** 1 for each token that stays: values, pairs that pay, and what those are made of. */
function payingTokens(
  tokens: Uint16Array,
  values: number,
  lefts: Uint16Array,
  rights: Uint16Array,
): Uint8Array {
  const kept = new Uint8Array(values + lefts.length).fill(1, 0, values);
  const counts = new Uint32Array(kept.length);
  for (let index = 0; index < tokens.length; index++) counts[tokens[index]!]!++;
  let total = tokens.length;
  // From the last pair on: by then everything that it may be part of is decided.
  for (let pair = lefts.length - 1; pair >= 0; pair--) {
    const token = values + pair;
    const left = lefts[pair]!;
    const right = rights[pair]!;
    const count = counts[token]!;
    if (kept[token] === 0) {
      // Its halves would come so often without it.
      const saved =
        count === 0 ? 0 : savedBits(counts[left]! + count, counts[right]! + count, count, total + count);
      if (count * saved <= PAIR_BITS) {
        counts[left]! += count;
        counts[right]! += count;
        total += count;
        continue;
      }
    }
    kept[token] = 1;
    kept[left] = 1;
    kept[right] = 1;
  }
  return kept;
}

/** The tokens, renumbered, with those that are not kept replaced by their halves. */
function takenApart(
  tokens: Uint16Array,
  values: number,
  kept: Uint8Array,
  numberOf: Uint16Array,
  lefts: Uint16Array,
  rights: Uint16Array,
): Uint16Array {
  let output = new Uint16Array(tokens.length + (tokens.length >> 2) + 64);
  let to = 0;
  const pending: number[] = [];
  for (let index = 0; index < tokens.length; index++) {
    let token = tokens[index]!;
    for (;;) {
      while (kept[token] === 0) {
        pending.push(rights[token - values]!);
        token = lefts[token - values]!;
      }
      if (to === output.length) {
        const grown = new Uint16Array(2 * to);
        grown.set(output);
        output = grown;
      }
      output[to++] = numberOf[token]!;
      const next = pending.pop();
      if (next === undefined) break;
      token = next;
    }
  }
  return output.subarray(0, to);
}
