/**
 * `auto: "lossless"`: the chain is chosen per chunk by the data. Candidates are ruled in or out by facts of a
 * sample; where several stay, each encodes a sample (or a small chunk as a whole), and the smallest result
 * decides. On plain weights one candidate stays and nothing is tried.
 *
 * To add a coder, add a candidate: what it is good for, and its chain.
 */
import type { DType } from "../tensor/dtype.ts";
import { type ChainLink, type CodedChunk, encodeChain } from "./chain.ts";
import { gzip } from "./gzip.ts";
import { planes, wordBytesOf } from "./planes.ts";
import { hasRepeats, NOISE_BITS, sampleBytes, trialSample } from "./sampling.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

/** What the candidates decide by. */
export interface ChunkFacts {
  readonly dtype: DType;
  /** Bytes of the words that the dtype is made of (2, 4, 8; else 1). */
  readonly wordBytes: number;
  /** Some byte of the words is noise: matches that span words are then hopeless, unless there are repeats. */
  readonly someNoise: boolean;
  /** Every byte of the words is noise. */
  readonly allNoise: boolean;
  readonly repeats: boolean;
  /**
   * For bytes that look like 2- or 4-byte numbers though their dtype does not say so (weights inside an
   * opaque file); else 1.
   */
  readonly hiddenWordBytes: 1 | 2 | 4;
}

interface Candidate {
  /** Whether it may give the smallest result on such a chunk. */
  suits(facts: ChunkFacts): boolean;
  chain(facts: ChunkFacts): readonly ChainLink[];
}

const lossless: readonly Candidate[] = [
  {
    suits: (facts) => !facts.allNoise || facts.repeats,
    chain: () => [{ codec: planes, parameters: {} }],
  },
  {
    suits: (facts) => facts.hiddenWordBytes > 1,
    chain: (facts) => [{ codec: planes, parameters: { wordBytes: facts.hiddenWordBytes, rotate: true } }],
  },
  {
    suits: (facts) => !facts.someNoise || facts.repeats,
    chain: () => [
      canEncodeZstd() ? { codec: zstd, parameters: { level: 3 } } : { codec: gzip, parameters: { level: 6 } },
    ],
  },
];

/** Up to this length all candidates encode the whole chunk. */
const WHOLE_TRIAL_BYTES = 65_536;
/** Beyond, they encode a sample: half of it from either half of the chunk. */
const SAMPLE_BYTES = 32_768;
/**
 * By how many bits a byte's place in a word must tell about its value, for bytes to count as hidden words.
 */
const HIDDEN_WORD_BITS = 0.25;

/** Encodes a chunk with the candidate of `auto: "lossless"` that makes it smallest; raw if none does. */
export function encodeLossless(bytes: Uint8Array, dtype: DType): CodedChunk {
  const facts = chunkFacts(bytes, dtype);
  const chains = lossless
    .filter((candidate) => candidate.suits(facts))
    .map((candidate) => candidate.chain(facts));
  if (chains.length === 0) return { steps: [], payload: bytes };
  if (chains.length === 1) return encodeChain(bytes, dtype, chains[0]!, facts.repeats);
  // Repeats may lie further apart than a sample reaches.
  const whole = facts.repeats || bytes.length <= WHOLE_TRIAL_BYTES;
  const trial = whole ? bytes : trialSample(bytes, SAMPLE_BYTES, 16);
  let best = chains[0]!;
  let bestCoded = encodeChain(trial, dtype, best, facts.repeats);
  for (const chain of chains.slice(1)) {
    const coded = encodeChain(trial, dtype, chain, facts.repeats);
    if (coded.payload.length >= bestCoded.payload.length) continue;
    best = chain;
    bestCoded = coded;
  }
  return whole ? bestCoded : encodeChain(bytes, dtype, best, facts.repeats);
}

/** Looks at a chunk. */
export function chunkFacts(bytes: Uint8Array, dtype: DType): ChunkFacts {
  const wordBytes = wordBytesOf(dtype);
  const repeats = hasRepeats(bytes);
  if (wordBytes === 1) {
    const { entropyBits } = sampleBytes(bytes);
    const noise = entropyBits >= NOISE_BITS;
    const hiddenWordBytes = noise ? 1 : hiddenWords(bytes, entropyBits);
    return { dtype, wordBytes, someNoise: noise, allNoise: noise, repeats, hiddenWordBytes };
  }
  let noisy = 0;
  for (let place = 0; place < wordBytes; place++) {
    if (sampleBytes(bytes, place, wordBytes).entropyBits >= NOISE_BITS) noisy++;
  }
  return {
    dtype,
    wordBytes,
    someNoise: noisy > 0,
    allNoise: noisy === wordBytes,
    repeats,
    hiddenWordBytes: 1,
  };
}

/** Compares the entropy of all bytes with that of bytes in the same place of supposed words. */
function hiddenWords(bytes: Uint8Array, entropyBits: number): 1 | 2 | 4 {
  const places = [0, 1, 2, 3].map((place) => sampleBytes(bytes, place, 4).entropyBits);
  const four = entropyBits - places.reduce((sum, bits) => sum + bits, 0) / 4;
  const two = entropyBits - (sampleBytes(bytes, 0, 2).entropyBits + sampleBytes(bytes, 1, 2).entropyBits) / 2;
  if (Math.max(four, two) < HIDDEN_WORD_BITS) return 1;
  return four > two + HIDDEN_WORD_BITS / 2 ? 4 : 2;
}
