/**
 * Learning which pairs of tokens become tokens of their own. Merging one pair at a time, as byte-pair encoding
 * is usually told, takes a pass per token; here a round merges many pairs at once. No token is the right half
 * of one pair and the left half of another of the same round, so pairs of a round never overlap, and their
 * counts are exact.
 *
 * A pair pays by what it saves an entropy coder: a pair that comes as often as chance has it saves nothing,
 * however often that is.
 */
import { MAX_PHRASE_BYTES } from "./phrases.ts";

/** Most tokens, values of the alphabet included: a token's number has 16 bits. */
export const MAX_TOKENS = 65_536;

/** Pairs merged at once, ordered by their left and then their right tokens. */
export interface Round {
  readonly lefts: Uint16Array;
  readonly rights: Uint16Array;
}

/** A sequence of tokens: the first `length` of `tokens`. */
export interface Sequence {
  readonly tokens: Uint16Array;
  length: number;
}

/** What a pair costs in the table, in bits. */
const PAIR_BITS = 22;
/** A round takes the pairs that pay at least this share of what its best one does. */
const ROUND_SHARE = 0.2;
/** Rounds and pairs in one: bounds for time; the last ones are hardly worth it. */
const MAX_ROUNDS = 32;
const MAX_ROUND_PAIRS = 4096;
/** A pair seen less often is chance. */
const MIN_PAIR_COUNT = 4;

/** Slots for pairs; rounds on more than half as many different ones leave the rest out. */
const SLOT_BITS = 17;
const slotKeys = new Uint32Array(1 << SLOT_BITS);
const slotCounts = new Uint32Array(1 << SLOT_BITS);

const LEFT = 1;
const RIGHT = 2;
const roles = new Uint8Array(MAX_TOKENS);

/**
 * Learns pairs from `sample`, which is merged on the way. `lengths` are the bytes of each token known so far;
 * those of new ones are appended. `share`: the sample's part of all data that will be merged so.
 */
export function learnRounds(sample: Sequence, lengths: number[], share: number, maxTokens: number): Round[] {
  const rounds: Round[] = [];
  while (rounds.length < MAX_ROUNDS && lengths.length < maxTokens) {
    const round = nextRound(sample, lengths, share, maxTokens);
    if (round === undefined) break;
    mergeRound(sample, round, lengths.length);
    for (let index = 0; index < round.lefts.length; index++) {
      lengths.push(lengths[round.lefts[index]!]! + lengths[round.rights[index]!]!);
    }
    rounds.push(round);
  }
  return rounds;
}

function slotOf(key: number): number {
  return Math.imul(key ^ (key >>> 15), 0x9e3779b1) >>> (32 - SLOT_BITS);
}

/** Counts pairs into the slots; of three equal tokens in a row the second pair overlaps the first. */
function countPairs({ tokens, length }: Sequence): void {
  slotCounts.fill(0);
  let free = slotCounts.length >> 1;
  let overlapping = false;
  for (let index = 1; index < length; index++) {
    const left = tokens[index - 1]!;
    const right = tokens[index]!;
    overlapping = !overlapping && index > 1 && left === right && tokens[index - 2] === left;
    if (overlapping) continue;
    const key = (left * MAX_TOKENS + right) >>> 0;
    let slot = slotOf(key);
    while (slotCounts[slot] !== 0 && slotKeys[slot] !== key) slot = (slot + 1) & (slotCounts.length - 1);
    if (slotCounts[slot] === 0) {
      if (free === 0) continue;
      free--;
      slotKeys[slot] = key;
    }
    slotCounts[slot]!++;
  }
}

function nextRound(
  sample: Sequence,
  lengths: readonly number[],
  share: number,
  maxTokens: number,
): Round | undefined {
  const tokenCounts = new Uint32Array(lengths.length);
  for (let index = 0; index < sample.length; index++) tokenCounts[sample.tokens[index]!]!++;
  countPairs(sample);
  const candidates: { key: number; gain: number }[] = [];
  let bestGain = 0;
  for (let slot = 0; slot < slotCounts.length; slot++) {
    const count = slotCounts[slot]!;
    if (count < MIN_PAIR_COUNT) continue;
    const key = slotKeys[slot]!;
    const left = key >>> 16;
    const right = key & 0xffff;
    if (lengths[left]! + lengths[right]! > MAX_PHRASE_BYTES) continue;
    const chance = (tokenCounts[left]! * tokenCounts[right]!) / sample.length;
    const gain = count * Math.log2(count / chance) - PAIR_BITS * share;
    if (gain <= 0) continue;
    candidates.push({ key, gain });
    if (gain > bestGain) bestGain = gain;
  }
  const strongest = candidates
    .filter(({ gain }) => gain >= ROUND_SHARE * bestGain)
    .sort((one, other) => other.gain - one.gain || one.key - other.key);
  return roundOf(strongest, Math.min(MAX_ROUND_PAIRS, maxTokens - lengths.length));
}

/** The pairs, best first, that do not get into each other's way; undefined when there are none. */
function roundOf(candidates: readonly { key: number }[], limit: number): Round | undefined {
  roles.fill(0);
  const keys: number[] = [];
  for (const { key } of candidates) {
    if (keys.length === limit) break;
    const left = key >>> 16;
    const right = key & 0xffff;
    if ((roles[left]! & RIGHT) !== 0 || (roles[right]! & LEFT) !== 0) continue;
    // A token paired with itself has both roles, so it must have none yet.
    if (left === right && roles[left] !== 0) continue;
    roles[left]! |= LEFT;
    roles[right]! |= RIGHT;
    keys.push(key);
  }
  if (keys.length === 0) return undefined;
  const sorted = Uint32Array.from(keys).sort();
  return { lefts: Uint16Array.from(sorted, (key) => key >>> 16), rights: new Uint16Array(sorted) };
}

/** Replaces the pairs of a round in place by the tokens from `firstToken` on. */
export function mergeRound(sequence: Sequence, { lefts, rights }: Round, firstToken: number): void {
  // Few pairs are looked up very often: a table of their own stays in the cache.
  const bits = Math.max(4, Math.ceil(Math.log2(4 * lefts.length)));
  const keys = new Uint32Array(1 << bits);
  const tokenOf = new Int32Array(1 << bits).fill(-1);
  const mask = keys.length - 1;
  roles.fill(0);
  for (let index = 0; index < lefts.length; index++) {
    const key = (lefts[index]! * MAX_TOKENS + rights[index]!) >>> 0;
    let slot = slotOf(key) & mask;
    while (tokenOf[slot]! >= 0) slot = (slot + 1) & mask;
    keys[slot] = key;
    tokenOf[slot] = firstToken + index;
    roles[lefts[index]!]! |= LEFT;
    roles[rights[index]!]! |= RIGHT;
  }
  const { tokens, length } = sequence;
  let to = 0;
  let from = 0;
  while (from < length) {
    const left = tokens[from++]!;
    let token = left;
    if ((roles[left]! & LEFT) !== 0 && from < length && (roles[tokens[from]!]! & RIGHT) !== 0) {
      const key = (left * MAX_TOKENS + tokens[from]!) >>> 0;
      let slot = slotOf(key) & mask;
      while (tokenOf[slot]! >= 0 && keys[slot] !== key) slot = (slot + 1) & mask;
      if (tokenOf[slot]! >= 0) {
        token = tokenOf[slot]!;
        from++;
      }
    }
    tokens[to++] = token;
  }
  sequence.length = to;
}
