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
export const PAIR_BITS = 22;
/** A round takes the pairs that pay at least this share of what its best one does. */
const ROUND_SHARE = 0.05;
/** Rounds and pairs in one: bounds for time; the last ones are hardly worth it. */
const MAX_ROUNDS = 32;
const MAX_ROUND_PAIRS = 4096;
/** How many standard errors less than what was counted in a sample is believed. */
const SURE_ERRORS = 1.5;
/** A pair seen less often is chance. */
const MIN_PAIR_COUNT = 4;

/** Slots for pairs; half of them may be taken, by the first different pairs of a round. */
const SLOT_BITS = 17;
const slotKeys = new Uint32Array(1 << SLOT_BITS);
const slotCounts = new Uint32Array(1 << SLOT_BITS);
const takenSlots = new Uint32Array(1 << (SLOT_BITS - 1));
const gains = new Float64Array(1 << SLOT_BITS);

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

/**
 * Counts pairs into the slots and returns how many are taken. Of three equal tokens in a row the second pair
 * overlaps the first.
 */
function countPairs({ tokens, length }: Sequence): number {
  let taken = 0;
  let overlapping = false;
  for (let index = 1; index < length; index++) {
    const left = tokens[index - 1]!;
    const right = tokens[index]!;
    overlapping = !overlapping && index > 1 && left === right && tokens[index - 2] === left;
    if (overlapping) continue;
    const key = ((left << 16) | right) >>> 0;
    let slot = slotOf(key);
    while (slotCounts[slot] !== 0 && slotKeys[slot] !== key) slot = (slot + 1) & (slotCounts.length - 1);
    if (slotCounts[slot] === 0) {
      if (taken === takenSlots.length) continue;
      takenSlots[taken++] = slot;
      slotKeys[slot] = key;
    }
    slotCounts[slot]!++;
  }
  return taken;
}

function nextRound(
  sample: Sequence,
  lengths: readonly number[],
  share: number,
  maxTokens: number,
): Round | undefined {
  const tokenCounts = new Uint32Array(lengths.length);
  for (let index = 0; index < sample.length; index++) tokenCounts[sample.tokens[index]!]!++;
  const taken = countPairs(sample);
  const candidates: number[] = [];
  let bestGain = 0;
  for (let index = 0; index < taken; index++) {
    const slot = takenSlots[index]!;
    const count = slotCounts[slot]!;
    slotCounts[slot] = 0;
    if (count < MIN_PAIR_COUNT) continue;
    const left = slotKeys[slot]! >>> 16;
    const right = slotKeys[slot]! & 0xffff;
    if (lengths[left]! + lengths[right]! > MAX_PHRASE_BYTES) continue;
    // What a sample shows often has an error of its root: take no pair that chance may have brought there.
    const sure = share < 1 ? count - SURE_ERRORS * Math.sqrt(count) : count;
    const gain =
      sure * savedBits(tokenCounts[left]!, tokenCounts[right]!, sure, sample.length) - PAIR_BITS * share;
    if (!(gain > 0)) continue;
    gains[slot] = gain;
    candidates.push(slot);
    if (gain > bestGain) bestGain = gain;
  }
  const strongest = candidates
    .filter((slot) => gains[slot]! >= ROUND_SHARE * bestGain)
    .sort((one, other) => gains[other]! - gains[one]! || slotKeys[one]! - slotKeys[other]!);
  return roundOf(strongest, Math.min(MAX_ROUND_PAIRS, maxTokens - lengths.length));
}

/**
 * Bits that each occurrence of a pair saves, for how often its halves and it itself come among `total` tokens.
 * No token costs less than a bit.
 */
export function savedBits(left: number, right: number, pair: number, total: number): number {
  return (
    Math.max(1, Math.log2(total / left)) +
    Math.max(1, Math.log2(total / right)) -
    Math.max(1, Math.log2((total - pair) / pair))
  );
}

/** The pairs, best first, that do not get into each other's way; undefined when there are none. */
function roundOf(slots: readonly number[], limit: number): Round | undefined {
  roles.fill(0);
  const keys: number[] = [];
  for (const slot of slots) {
    if (keys.length === limit) break;
    const key = slotKeys[slot]!;
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
function mergeRound(sequence: Sequence, { lefts, rights }: Round, firstToken: number): void {
  // Few pairs are looked up very often: a table of their own stays in the cache.
  const bits = Math.max(4, Math.ceil(Math.log2(4 * lefts.length)));
  const keys = new Uint32Array(1 << bits);
  const tokenOf = new Int32Array(1 << bits).fill(-1);
  const mask = keys.length - 1;
  roles.fill(0);
  for (let index = 0; index < lefts.length; index++) {
    const key = ((lefts[index]! << 16) | rights[index]!) >>> 0;
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
      const key = ((left << 16) | tokens[from]!) >>> 0;
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
