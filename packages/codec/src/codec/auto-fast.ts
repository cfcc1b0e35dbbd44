/**
 * `auto: "fast"`: the ladder, told what words it gets, and nothing tried. Noise and constants are found inside the kernels, by plane. Only
 * opaque bytes are looked at here, for the floats of a model file that no reader takes apart.
 */
import type { DType } from "../tensor/dtype.ts";
import { type ChainLink, type CodedChunk, chainLink, encodeChain } from "./chain.ts";
import { ladder } from "./ladder.ts";

const byType = [chainLink(ladder)];
/** Floats in opaque bytes. Behind a few other bytes their exponents lie elsewhere in the words, which then have planes of bytes only. */
const hidden: {
  readonly [wordBytes in 2 | 4]: { aligned: readonly ChainLink[]; shifted: readonly ChainLink[] };
} = {
  2: {
    aligned: [chainLink(ladder, { wordBytes: 2, exponentBits: 8 })],
    shifted: [chainLink(ladder, { wordBytes: 2, exponentBits: 0 })],
  },
  4: {
    aligned: [chainLink(ladder, { wordBytes: 4, exponentBits: 8 })],
    shifted: [chainLink(ladder, { wordBytes: 4, exponentBits: 0 })],
  },
};

/** Encodes a chunk with the ladder; raw where that saves nothing. */
export function encodeFast(bytes: Uint8Array, dtype: DType, out?: Uint8Array): CodedChunk {
  const isOpaque = dtype.kind === "uint" && dtype.bits === 8;
  return encodeChain(bytes, dtype, (isOpaque && hiddenWords(bytes)) || byType, undefined, out);
}

/** Words of 4 bytes that are looked at, in runs from all over the chunk. */
const SAMPLED_WORDS = 1024;
const RUN_WORDS = 32;
/** By how many bits a byte's place must tell about its value. */
const HIDDEN_WORD_BITS = 0.25;
const counts = new Uint16Array(7 * 256);
/** n * log2(n), for entropies. */
const weighted = Float64Array.from({ length: 4 * SAMPLED_WORDS + 1 }, (_, n) =>
  n < 2 ? 0 : n * Math.log2(n),
);

/** The chain for words that opaque bytes are made of; undefined when their places in such words tell nothing. */
function hiddenWords(bytes: Uint8Array): readonly ChainLink[] | undefined {
  const runs = SAMPLED_WORDS / RUN_WORDS;
  const available = bytes.length >> 2;
  if (available < SAMPLED_WORDS) return undefined;
  counts.fill(0);
  for (let run = 0; run < runs; run++) {
    const first = 4 * Math.floor((run * (available - RUN_WORDS)) / (runs - 1));
    for (let at = first; at < first + 4 * RUN_WORDS; at += 4) {
      for (let place = 0; place < 4; place++) counts[(place << 8) | bytes[at + place]!]!++;
    }
  }
  // Behind the four places of 4-byte words, those of 2-byte words, and all bytes as one.
  for (let value = 0; value < 256; value++) {
    const even = counts[value]! + counts[512 + value]!;
    const odd = counts[256 + value]! + counts[768 + value]!;
    counts[1024 + value] = even;
    counts[1280 + value] = odd;
    counts[1536 + value] = even + odd;
  }
  const four = [0, 1, 2, 3].map((place) => entropyBits(place, SAMPLED_WORDS));
  const two = [4, 5].map((place) => entropyBits(place, 2 * SAMPLED_WORDS));
  const one = entropyBits(6, 4 * SAMPLED_WORDS);
  const inFour = mean(four);
  const inTwo = mean(two);
  if (one - Math.min(inFour, inTwo) < HIDDEN_WORD_BITS) return undefined;
  const isFour = inTwo - inFour > HIDDEN_WORD_BITS / 2;
  const places = isFour ? four : two;
  const { aligned, shifted } = hidden[isFour ? 4 : 2];
  // Of the two bytes that hold exponents, the upper one has the sign and the fewer values.
  return Math.min(...places) === places.at(-1) ? aligned : shifted;
}

/** Order-0 entropy of the bytes counted for a place. */
function entropyBits(place: number, samples: number): number {
  let sum = 0;
  for (let slot = place << 8; slot < (place + 1) << 8; slot++) sum += weighted[counts[slot]!]!;
  return Math.log2(samples) - sum / samples;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
