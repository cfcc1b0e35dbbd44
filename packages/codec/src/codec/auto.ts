/**
 * `auto: "lossless"`: the chain is chosen per chunk by the data. Candidates are ruled in or out by facts of a
 * sample (chunk-facts.ts); where several stay, each encodes a sample, and those that come near the best one
 * encode all of it. On plain weights one candidate stays and nothing is tried. Every candidate decodes in a browser, too,
 * so brotli, which saves a few percent more on tables of small numbers, is left to `archive`.
 *
 * To add a coder, add a candidate: what it is good for, and its chain.
 */
import type { DType } from "../tensor/dtype.ts";
import { bitshuffle } from "./bitshuffle.ts";
import { bpe } from "./bpe.ts";
import { type ChainLink, type CodedChunk, encodeChain, chainLink as link } from "./chain.ts";
import { type ChunkFacts, chunkFacts, type WordFacts } from "./chunk-facts.ts";
import { cluster } from "./cluster.ts";
import { delta } from "./delta.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { hierarchical } from "./hierarchical.ts";
import { pattern251 } from "./pattern251.ts";
import { planes } from "./planes.ts";
import { rle } from "./rle.ts";
import { trialSample } from "./sampling.ts";
import { sparse } from "./sparse.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

/** The chains that may give the smallest result on such a chunk; none if it is not for them. */
type Candidate = (facts: ChunkFacts) => readonly (readonly ChainLink[])[];

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

/** Numbers in opaque bytes that no byte of others lies among. */
function isPlainOpaque({ hiddenWordBytes, hiddenMatches }: ChunkFacts): boolean {
  return hiddenWordBytes > 1 && !hiddenMatches;
}

function isTable({ hiddenMatches, words }: ChunkFacts): boolean {
  return hiddenMatches && words.placeBits[0]! > TEXT_BITS;
}

const lossless: readonly Candidate[] = [
  (facts) => (isPlainFloats(facts) ? [[link(entropy)]] : []),

  (facts) =>
    facts.repeats || !(facts.allNoise || isPlainFloats(facts) || isPlainOpaque(facts))
      ? [[link(planes)]]
      : [],

  // Numbers in opaque bytes. Planes need no alignment, and each has a table of its own.
  ({ hiddenWordBytes: wordBytes }) =>
    wordBytes > 1
      ? [[link(entropy, { wordBytes, exponentBits: 8 })], [link(planes, { wordBytes, rotate: false })]]
      : [],

  // Matches. In tables of numbers that come again the high level finds up to a third more, and such chunks are
  // few; in text it is a twentieth, for five times the time. Without matches all levels are fast.
  (facts) => {
    if ((facts.someNoise || !facts.phrases || isPlainOpaque(facts)) && !facts.repeats) return [];
    if (facts.wordBytes > 1) return [[matching(3)]];
    return [[matching(isTable(facts) ? 15 : 9)]];
  },

  // What repeats from its beginning on; cheap, and where it is not the smallest the others know more.
  ({ repeats, words }) => (repeats || words.repeated > RUNS ? [[link(pattern251)]] : []),

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
    if (wordBytes === 1 || words.differenceBits + DIFFERENCE_SAVING_BITS > codedBits(words)) return [];
    return [
      [link(delta), link(planes)],
      [link(delta), link(bitshuffle), matching(3)],
    ];
  },

  // Pictures, recordings, tables: integers near those of the same channel or column before them.
  (facts) => {
    const { nearest, words } = facts;
    if (!isIntegers(facts) || nearest === undefined || nearest.bits > codedBits(words)) return [];
    const difference = link(delta, { stride: nearest.stride });
    return [
      [difference, link(planes)],
      [difference, link(bitshuffle), matching(3)],
    ];
  },

  // Integers that use few of their bits, or some of them seldom.
  (facts) => (isIntegers(facts) && facts.wordBytes > 1 ? [[link(bitshuffle), matching(3)]] : []),
];

/** Order-0 entropy of the bytes of a word, one by one. */
function codedBits({ placeBits }: WordFacts): number {
  return placeBits.reduce((sum, bits) => sum + bits, 0);
}

function isIntegers({ dtype, allNoise }: ChunkFacts): boolean {
  return (dtype.kind === "int" || dtype.kind === "uint") && !allNoise;
}

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
/** Of chunks that shrink to an eighth little is information, and where that lies samples often miss. */
const SMALL_FACTOR = 8;
const SMALL_SAMPLE_ERROR = 0.5;

/** By how much tables of phrases make a piece look worse than the chunk. */
const PIECE_ERROR = 0.04;

/** Below this many bytes a sample's result says little, and all of the chunk is encoded quickly. */
const NEGLIGIBLE_BYTES = 512;

/**
 * Slow coders that are looked at once it is known what the others leave, on chunks of their kind only. Of text, which there is much of, a
 * piece tells first if they are worth their time.
 */
interface Refinement {
  suits(facts: ChunkFacts, outcome: Outcome): boolean;
  readonly chains: () => readonly (readonly ChainLink[])[];
}

/** What the candidates came to: the smallest result, and how small matches alone made the chunk, if that was tried. */
interface Outcome {
  readonly bytes: number;
  readonly best: CodedChunk;
  readonly bestChain: readonly ChainLink[];
  readonly matchedBytes: number;
}

/** What matches must leave of an order-0 code of the bytes, for phrases to be likely. */
const PHRASES_SAVE = 0.9;
/** The highest level finds up to half more than the others in tables; it may overtake what is so much smaller. */
const NEARLY_BEST = 1.1;
/** Where repetition has left less than this, patterns of several scales have nothing to add. */
const REPETITION_LEFT = 0.015;
/** Tokens: numbers of which at least a third are known already. */
const TOKEN_NOVELTY = 0.65;

/** Matches are the best or nearly, and because of what comes again: 8-bit weights are coded as well byte by byte, at a hundred times the speed. */
function hasPhrases({ words }: ChunkFacts, { bytes, best, matchedBytes }: Outcome): boolean {
  const bitsPerByte = codedBits(words) / words.placeBits.length;
  return (
    matchedBytes <= best.payload.length * NEARLY_BEST &&
    matchedBytes < ((bytes * bitsPerByte) / 8) * PHRASES_SAVE
  );
}

function isTokens({ dtype, wordBytes, words }: ChunkFacts): boolean {
  return wordBytes > 1 && dtype.exponentBits === undefined && words.novelty < TOKEN_NOVELTY;
}

const refinements: readonly Refinement[] = [
  {
    suits: (facts, outcome) => !facts.isText && hasPhrases(facts, outcome),
    chains: () => (canEncodeZstd() ? [[link(zstd, { level: 19 })]] : []),
  },
  {
    suits: ({ repeats }, { bytes, best }) => repeats && best.payload.length > bytes * REPETITION_LEFT,
    chains: () => [[link(hierarchical)]],
  },
  {
    suits: (facts, outcome) => (facts.isText || isTokens(facts)) && hasPhrases(facts, outcome),
    chains: () => [[link(bpe)], [link(bpe, { ids: "whole" }), matching(9)]],
  },
];

function chainsFor(facts: ChunkFacts): (readonly ChainLink[])[] {
  return lossless.flatMap((candidate) => candidate(facts));
}

/** Whether `entropy` is the only candidate for such a chunk, so that entropies of a sample tell how long it will be. */
export function isEntropyCoded(facts: ChunkFacts): boolean {
  const chains = chainsFor(facts);
  return chains.length === 1 && chains[0]!.length === 1 && chains[0]![0]!.codec === entropy;
}

/** Encodes a chunk with the candidate of `auto: "lossless"` that makes it smallest; raw if none does. */
export function encodeLossless(bytes: Uint8Array, dtype: DType, out?: Uint8Array): CodedChunk {
  const facts = chunkFacts(bytes, dtype);
  const chains = chainsFor(facts);
  // Of several results the best so far must stay, so only a single one can lie in the caller's room.
  if (chains.length === 1 && !isMatching(chains[0]!))
    return encodeChain(bytes, dtype, chains[0]!, facts.repeats, out);
  let best: CodedChunk = { steps: [], payload: bytes };
  let bestChain: readonly ChainLink[] = [];
  let matchedBytes = Number.POSITIVE_INFINITY;
  for (const { chain, predictedBytes } of ranked(chains, bytes, facts)) {
    const smallest = best.payload.length;
    const error = smallest * SMALL_FACTOR < bytes.length ? SMALL_SAMPLE_ERROR : SAMPLE_ERROR;
    if (predictedBytes * (1 - error) > smallest) break;
    const coded = encodeChain(bytes, dtype, chain, facts.repeats);
    if (isMatching(chain)) matchedBytes = coded.payload.length;
    if (coded.payload.length < best.payload.length) {
      best = coded;
      bestChain = chain;
    }
  }
  if (best.payload.length < NEGLIGIBLE_BYTES) return best;
  return refined(bytes, facts, { bytes: bytes.length, best, bestChain, matchedBytes });
}

function isMatching([first, second]: readonly ChainLink[]): boolean {
  return second === undefined && (first?.codec === zstd || first?.codec === gzip);
}

function refined(bytes: Uint8Array, facts: ChunkFacts, outcome: Outcome): CodedChunk {
  const { dtype, repeats } = facts;
  let { best } = outcome;
  for (const refinement of refinements) {
    if (!refinement.suits(facts, outcome)) continue;
    const middle = Math.floor((bytes.length - SAMPLE_BYTES) / 32) * 16;
    const piece =
      facts.isText && bytes.length > WHOLE_TRIAL_BYTES
        ? bytes.subarray(middle, middle + SAMPLE_BYTES)
        : bytes;
    const known =
      piece === bytes
        ? best.payload.length
        : encodeChain(piece, dtype, outcome.bestChain, repeats).payload.length;
    for (const chain of refinement.chains()) {
      const tried = encodeChain(piece, dtype, chain, repeats);
      if (tried.payload.length * (piece === bytes ? 1 : 1 - PIECE_ERROR) >= known) continue;
      const coded = piece === bytes ? tried : encodeChain(bytes, dtype, chain, repeats);
      if (coded.payload.length < best.payload.length) best = coded;
    }
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
  if (chains.length === 1 || repeats || bytes.length <= WHOLE_TRIAL_BYTES) {
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
