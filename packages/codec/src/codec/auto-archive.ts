/**
 * `auto: "archive"`: the smallest lossless result, time is no object. Everything is tried on the whole chunk that could be the smallest;
 * what is left out are coders that cannot be, which would only take time.
 */
import type { DType } from "../tensor/dtype.ts";
import { encodeLossless } from "./auto.ts";
import { bitshuffle } from "./bitshuffle.ts";
import { bpe } from "./bpe.ts";
import { brotli } from "./brotli.ts";
import { type ChainLink, type CodedChunk, chainLink, encodeChain } from "./chain.ts";
import { chunkFacts, sampleWords } from "./chunk-facts.ts";
import { cluster } from "./cluster.ts";
import { context } from "./context.ts";
import { delta } from "./delta.ts";
import { entropy } from "./entropy.ts";
import { gzip } from "./gzip.ts";
import { hierarchical } from "./hierarchical.ts";
import { ladder } from "./ladder.ts";
import { pattern251 } from "./pattern251.ts";
import { planes, wordBytesOf } from "./planes.ts";
import { rle } from "./rle.ts";
import { sparse } from "./sparse.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

/** Brotli is hardly ever smaller than zstd -19 by more; where zstd is not near the best, it takes seconds for nothing. */
const NEAR_THE_BEST = 1.1;
/** But brotli brings a dictionary of its own, which counts in short texts. */
const SHORT_BYTES = 16_384;

/** Words that equal the one before, for runs to be worth telling. */
const SOME_RUNS = 0.02;

/** Encodes a chunk in the smallest way there is; raw if none makes it smaller. */
export function encodeArchive(bytes: Uint8Array, dtype: DType): CodedChunk {
  const { allNoise, repeats, words, hiddenWordBytes, hiddenWords } = chunkFacts(bytes, dtype);
  let best = encodeLossless(bytes, dtype);
  const attempt = (...links: ChainLink[]): number => {
    const coded = encodeChain(bytes, dtype, links, repeats);
    if (coded.payload.length < best.payload.length) best = coded;
    return coded.payload.length;
  };
  for (const codec of [entropy, ladder, planes, sparse, cluster, pattern251]) attempt(chainLink(codec));
  attempt(chainLink(delta), chainLink(planes));
  attempt(chainLink(delta), chainLink(entropy));
  for (const { wordBytes, skip } of hiddenWords) {
    attempt(chainLink(sparse, { elementBytes: wordBytes, skip }));
    attempt(chainLink(cluster, { wordBytes, skip }));
  }
  const matching = canEncodeZstd() ? chainLink(zstd, { level: 19 }) : chainLink(gzip, { level: 9 });
  if (words.repeated > SOME_RUNS) attempt(chainLink(rle), matching);
  attempt(chainLink(bitshuffle), matching);
  attempt(chainLink(delta), chainLink(bitshuffle), matching);
  const matched = attempt(matching);
  const hasMatches = matched < best.payload.length * NEAR_THE_BEST || bytes.length <= SHORT_BYTES;
  if (hasMatches || repeats) {
    attempt(chainLink(hierarchical), matching);
    attempt(chainLink(bpe));
    attempt(chainLink(bpe, { ids: "whole" }), matching);
    if (canEncodeZstd()) attempt(chainLink(brotli, { quality: 11 }));
  }
  // Noise alone is left out: the context coder would take longest over it.
  if (allNoise && !repeats) return best;
  if (hiddenWordBytes !== 1) {
    attempt(chainLink(entropy, { wordBytes: hiddenWordBytes, exponentBits: 8 }));
    const skip = firstFloat(bytes, hiddenWordBytes);
    attempt(chainLink(context, { wordBytes: hiddenWordBytes, exponentBits: 8, skip }));
  }
  // Bytes for what has matches, and what has no other model.
  const wordBytes = hiddenWordBytes === 1 ? wordBytesOf(dtype) : hiddenWordBytes;
  if (hasMatches || hiddenWordBytes === 1) attempt(chainLink(context));
  if (hasMatches && wordBytes > 1) attempt(chainLink(context, { wordBytes, exponentBits: 0 }));
  const first = best.steps[0]?.code;
  if (first === sparse.code) attempt(chainLink(sparse), chainLink(context));
  if (first === cluster.code) attempt(chainLink(cluster), chainLink(context));
  if (first === delta.code) attempt(chainLink(delta), chainLink(context));
  return best;
}

/** Where floats among opaque bytes begin: behind the place that tells most, which is that of sign and exponent. */
function firstFloat(bytes: Uint8Array, wordBytes: 2 | 4): number {
  const { placeBits } = sampleWords(bytes, { wordBytes, skip: 0 });
  return (placeBits.indexOf(Math.min(...placeBits)) + 1) % wordBytes;
}
