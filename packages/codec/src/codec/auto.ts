/**
 * `auto: "lossless"`: the chain is chosen per chunk by the data. Candidates are ruled in or out by facts of a
 * sample (chunk-facts.ts); where several stay, each encodes a sample, and those that come near the best one
 * encode all of it. On plain weights one candidate stays and nothing is tried.
 *
 * To add a coder, add a candidate: what it is good for, and its chain.
 */
import type { JsonObject } from "../bytes/json.ts";
import type { DType } from "../tensor/dtype.ts";
import { bitshuffle } from "./bitshuffle.ts";
import { type ChainLink, type CodedChunk, encodeChain } from "./chain.ts";
import { type ChunkFacts, chunkFacts, type WordFacts } from "./chunk-facts.ts";
import { cluster } from "./cluster.ts";
import type { Codec } from "./codec.ts";
import { delta } from "./delta.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { planes } from "./planes.ts";
import { rle } from "./rle.ts";
import { trialSample } from "./sampling.ts";
import { sparse } from "./sparse.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

/** The chains that may give the smallest result on such a chunk; none if it is not for them. */
type Candidate = (facts: ChunkFacts) => readonly (readonly ChainLink[])[];

const link = (codec: Codec, parameters: JsonObject = {}): ChainLink => ({
  codec,
  parameters: codec.parse(parameters),
});

/** The general coder of bytes: zstd where it encodes, else gzip. */
const matching = (level: number): ChainLink =>
  canEncodeZstd() ? link(zstd, { level }) : link(gzip, { level: 6 });

/** Fewer zeros than this save less than telling their places costs. */
const SOME_ZEROS = 0.015;
/** Of bytes, zeros are just a common value, which entropy coders serve until they would need less than a bit. */
const MANY_ZEROS = 0.4;
/** Up to 256 values: leaves room for some values that came only once. */
const FEW_VALUES_NOVELTY = 0.16;
/** The same, of values that differ from row to row: of float32 weights all words are new. */
const FEW_VALUES_EACH_NOVELTY = 0.85;
/** Floats that hold shorter floats have few values too, but they are made of empty low bytes. */
const FULL_LOW_BITS = 4;
/** What differences must save by a word against bytes coded each for itself. */
const DIFFERENCE_SAVING_BITS = 2;
/** The two upper bytes of plain weights have 10 bits and more (the exponent in one, mantissa in the other). */
const CLUSTERED_TOP_BITS = 9;
const RUNS = 0.3;
/** No text has more bits a byte; numbers of 4 bytes with some noise in them have. */
const TEXT_BITS = 6.5;

/** Floats whose exponent and top mantissa bits are coded as one symbol: what the other coders of words cannot do. */
function isPlainFloats({ dtype, allNoise, repeats }: ChunkFacts): boolean {
  return dtype.exponentBits !== undefined && dtype.bits >= 8 && !allNoise && !repeats;
}

const lossless: readonly Candidate[] = [
  (facts) => (isPlainFloats(facts) ? [[link(entropy)]] : []),

  (facts) => ((!facts.allNoise && !isPlainFloats(facts)) || facts.repeats ? [[link(planes)]] : []),

  ({ hiddenWordBytes: wordBytes }) =>
    wordBytes > 1 ? [[link(entropy, { wordBytes, exponentBits: 8 })]] : [],

  // Matches. In tables of numbers that come again the high level finds up to a third more, and such chunks are
  // few; in text it is a twentieth, for five times the time. Without matches all levels are fast.
  (facts) => {
    if (facts.someNoise && !facts.repeats) return [];
    if (facts.wordBytes > 1) return [[matching(3)]];
    const isTable = facts.hiddenMatches && facts.words.placeBits[0]! > TEXT_BITS;
    return [[matching(isTable ? 15 : 9)]];
  },

  // Constants, and long runs of whole words.
  ({ words }) => (words.repeated > RUNS ? [[link(rle), matching(3)]] : []),

  ({ words, hiddenWords }) => {
    const chains = hiddenWords
      .filter(isSparse)
      .map(({ wordBytes: elementBytes, skip }) => [link(sparse, { elementBytes, skip })]);
    return isSparse(words) ? [[link(sparse)], ...chains] : chains;
  },

  (facts) => {
    const chains = facts.hiddenWords
      .filter(isFewValued)
      .map(({ wordBytes, skip }) => [link(cluster, { wordBytes, skip })]);
    return isFewValued(facts.words) || isClustered(facts) ? [[link(cluster)], ...chains] : chains;
  },

  // Sorted, smooth or slowly changing numbers.
  ({ words, wordBytes }) => {
    const codedBits = words.placeBits.reduce((sum, bits) => sum + bits, 0);
    if (wordBytes === 1 || words.differenceBits + DIFFERENCE_SAVING_BITS > codedBits) return [];
    return [
      [link(delta), link(planes)],
      [link(delta), link(bitshuffle), matching(3)],
    ];
  },
];

function isSparse({ wordBytes, zeros }: WordFacts): boolean {
  return zeros > (wordBytes === 1 ? MANY_ZEROS : SOME_ZEROS);
}

function isFewValued({ wordBytes, novelty }: WordFacts): boolean {
  // Of bytes only those of up to 4 bits: more values than that, and packing them leaves too little.
  return wordBytes === 1 ? novelty <= 16 / 2048 : novelty < FEW_VALUES_NOVELTY;
}

/** Values close to few ones, or few values in each row. */
function isClustered({ wordBytes, words: { placeBits, novelty } }: ChunkFacts): boolean {
  if (wordBytes === 1) return false;
  const lowBits = placeBits[0]!;
  const topBits = placeBits[wordBytes - 1]! + placeBits[wordBytes - 2]!;
  // Exponents of float64 reach into the second byte, so that plain weights look like this, too; looking for
  // clusters would take many times longer than coding them.
  if (topBits < CLUSTERED_TOP_BITS && (wordBytes < 8 || lowBits < FULL_LOW_BITS)) return true;
  return wordBytes > 2 && novelty < FEW_VALUES_EACH_NOVELTY && lowBits > FULL_LOW_BITS;
}

/** Up to this length all candidates encode the whole chunk. */
const WHOLE_TRIAL_BYTES = 65_536;
/** Beyond, they encode a sample: half of it from either half of the chunk. */
const SAMPLE_BYTES = 32_768;
/** By how much a sample may mislead: tables weigh more in it, and chunks are not the same everywhere. */
const SAMPLE_ERROR = 0.15;

/** Below this many bytes a sample's result says little, and all of the chunk is encoded quickly. */
const NEGLIGIBLE_BYTES = 512;

/** Encodes a chunk with the candidate of `auto: "lossless"` that makes it smallest; raw if none does. */
export function encodeLossless(bytes: Uint8Array, dtype: DType, out?: Uint8Array): CodedChunk {
  const facts = chunkFacts(bytes, dtype);
  const chains = lossless.flatMap((candidate) => candidate(facts));
  // Of several results the best so far must stay, so only a single one can lie in the caller's room.
  if (chains.length === 1) return encodeChain(bytes, dtype, chains[0]!, facts.repeats, out);
  let best: CodedChunk = { steps: [], payload: bytes };
  for (const { chain, predictedBytes } of ranked(chains, bytes, facts)) {
    if (predictedBytes * (1 - SAMPLE_ERROR) > best.payload.length) break;
    const coded = encodeChain(bytes, dtype, chain, facts.repeats);
    if (coded.payload.length < best.payload.length) best = coded;
  }
  return best;
}

/** The chains with the length that a sample predicts, the shortest first. Where there is no choice, 0. */
function ranked(
  chains: readonly (readonly ChainLink[])[],
  bytes: Uint8Array,
  { dtype, repeats }: ChunkFacts,
): { chain: readonly ChainLink[]; predictedBytes: number }[] {
  // Repeats may lie further apart than a sample reaches.
  if (chains.length < 2 || repeats || bytes.length <= WHOLE_TRIAL_BYTES) {
    return chains.map((chain) => ({ chain, predictedBytes: 0 }));
  }
  const sample = trialSample(bytes, SAMPLE_BYTES, 16);
  return chains
    .map((chain) => {
      const { payload } = encodeChain(sample, dtype, chain, repeats);
      const factor = payload.length < NEGLIGIBLE_BYTES ? 0 : bytes.length / sample.length;
      return { chain, predictedBytes: payload.length * factor };
    })
    .sort((a, b) => a.predictedBytes - b.predictedBytes);
}
