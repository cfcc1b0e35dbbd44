/**
 * What `auto` decides by: facts about a chunk, estimated from samples of its bytes and of its words. On plain
 * weights they say within some tens of microseconds that there is nothing to try.
 */
import type { DType } from "../tensor/dtype.ts";
import { wordBytesOf } from "./planes.ts";
import { hasPhrases, hasRepeatedRows, hasRepeats, NOISE_BITS, sampleBytes } from "./sampling.ts";

/** Words at one place of a chunk: `wordBytes` each, the first one behind `skip` bytes. */
export interface WordPlace {
  readonly wordBytes: number;
  readonly skip: number;
}

/** What a sample says of words. */
export interface WordFacts extends WordPlace {
  /** Order-0 entropy of each byte of the words, least significant first. */
  readonly placeBits: readonly number[];
  /** Fraction of the words that are zero, all bits. */
  readonly zeros: number;
  /** Fraction of the sampled words that were not among those sampled before. */
  readonly novelty: number;
  /** Fraction of the words that equal the one before. */
  readonly repeated: number;
  /** Mean length in bits of the differences between neighbours, taken as sign-ordered integers. */
  readonly differenceBits: number;
}

/** How near the words of a chunk are to earlier ones: at the distance (in words) where they are nearest. */
export interface NearestFacts {
  readonly stride: number;
  /** Mean length in bits of the differences. */
  readonly bits: number;
}

/** What is known of a chunk before anything is tried. */
export interface ChunkFacts {
  readonly dtype: DType;
  /** Bytes of the words that the dtype is made of (2, 4, 8; else 1). */
  readonly wordBytes: number;
  /** Some byte of the words is noise: matches that span words are then hopeless, unless there are repeats. */
  readonly someNoise: boolean;
  /** Every byte of the words is noise. */
  readonly allNoise: boolean;
  readonly repeats: boolean;
  /** Sequences of bytes come again; asked of 8-bit numbers only, else true. */
  readonly phrases: boolean;
  /** Facts about the words of the dtype. */
  readonly words: WordFacts;
  /** Not asked of plain floats (undefined): their neighbours tell nothing. */
  readonly nearest: NearestFacts | undefined;
  /**
   * For bytes that look like 2- or 4-byte numbers though their dtype does not say so (weights inside an
   * opaque file); else 1.
   */
  readonly hiddenWordBytes: 1 | 2 | 4;
  /** Whether sets of four opaque bytes come again more often than by chance. */
  readonly hiddenMatches: boolean;
  /** Opaque bytes without control characters. */
  readonly isText: boolean;
  /** Words that opaque bytes may be made of, where they are mostly zero or take few values. */
  readonly hiddenWords: readonly WordFacts[];
}

/**
 * By how many bits a byte's place in a word must tell about its value, for bytes to count as hidden words.
 */
const HIDDEN_WORD_BITS = 0.25;

/** Of weights and other numbers without matches, at least 97 in 100 sets of four bytes are new. */
const MATCHES_NOVELTY = 0.955;

type HiddenFacts = Pick<ChunkFacts, "hiddenWordBytes" | "hiddenMatches" | "hiddenWords" | "isText">;
const NOTHING_HIDDEN: HiddenFacts = {
  hiddenWordBytes: 1,
  hiddenMatches: false,
  hiddenWords: [],
  isText: false,
};

/** Looks at a chunk. */
export function chunkFacts(bytes: Uint8Array, dtype: DType): ChunkFacts {
  const wordBytes = wordBytesOf(dtype);
  const words = sampleWords(bytes, { wordBytes, skip: 0 });
  const noisy = words.placeBits.filter((bits) => bits >= NOISE_BITS).length;
  // Bytes of unknown meaning, as literal runs of files are stored.
  const isOpaque = dtype.name === "uint8" && noisy === 0;
  const isPlain = noisy > 0 && dtype.exponentBits !== undefined && wordBytes > 1;
  const phrases = wordBytes > 1 || isOpaque || hasPhrases(bytes);
  return {
    dtype,
    wordBytes,
    someNoise: noisy > 0,
    allNoise: noisy === wordBytes,
    repeats: phrases && (isPlain ? hasRepeatedRows(bytes) : hasRepeats(bytes)),
    phrases,
    words,
    nearest: isPlain || wordBytes === 8 || dtype.bits < 8 ? undefined : nearestWords(bytes, wordBytes),
    ...(isOpaque ? hiddenWords(bytes) : NOTHING_HIDDEN),
  };
}

/** Words sampled: 256 equally likely values leave a novelty of 1/8, entropies are right to 0.03 bits. */
const SAMPLED_WORDS = 2048;
/** So many tell which alignment is the likeliest. */
const ALIGNMENT_WORDS = 512;
/** Taken in runs of neighbours, so that differences and repetition show. */
const RUN_WORDS = 64;
/** A bit per hash: two of the sampled words in a hundred collide, and count as known. */
const HASH_BITS = 16;
const known = new Uint32Array(2 ** (HASH_BITS - 5));
const counts = new Uint16Array(8 * 256);
/** n * log2(n), for entropies. */
const weighted = Float64Array.from({ length: SAMPLED_WORDS + 1 }, (_, n) => (n < 2 ? 0 : n * Math.log2(n)));

/** Samples the words at a place; `limit` of them at most. */
export function sampleWords(
  bytes: Uint8Array,
  { wordBytes, skip }: WordPlace,
  limit: number = SAMPLED_WORDS,
): WordFacts {
  const available = Math.floor(Math.max(0, bytes.length - skip) / wordBytes);
  const whole = available <= limit;
  const samples = Math.min(available, limit);
  const runs = Math.ceil(samples / RUN_WORDS);
  // Of 8-byte words the upper half decides about differences.
  const lowBytes = wordBytes === 8 ? 4 : 0;
  const topPlace = (wordBytes - 1) << 8;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  known.fill(0);
  counts.fill(0, 0, wordBytes << 8);
  let zeros = 0;
  let fresh = 0;
  let repeated = 0;
  let differenceBits = 0;
  for (let run = 0; run < runs; run++) {
    const first = whole ? run * RUN_WORDS : Math.floor((run * (available - RUN_WORDS)) / (runs - 1));
    const last = Math.min(first + RUN_WORDS, available);
    let lowBefore = 0;
    let topBefore = 0;
    for (let index = first, at = skip + first * wordBytes; index < last; index++) {
      // The upper half ends up at the top of 32 bits, however wide it is.
      let low = 0;
      let top = 0;
      if (wordBytes === 1) top = bytes[at]! << 24;
      else if (wordBytes === 2) top = view.getUint16(at, true) << 16;
      else {
        top = view.getInt32(at + wordBytes - 4, true);
        counts[(lowBytes << 8) | (top & 0xff)]!++;
        counts[((lowBytes + 1) << 8) | ((top >>> 8) & 0xff)]!++;
      }
      counts[topPlace | (top >>> 24)]!++;
      if (wordBytes > 1) counts[(topPlace - 256) | ((top >>> 16) & 0xff)]!++;
      if (wordBytes === 8) {
        low = view.getInt32(at, true);
        counts[low & 0xff]!++;
        counts[0x100 | ((low >>> 8) & 0xff)]!++;
        counts[0x200 | ((low >>> 16) & 0xff)]!++;
        counts[0x300 | (low >>> 24)]!++;
      }
      at += wordBytes;
      if ((low | top) === 0) zeros++;
      if (index > first) {
        if (low === lowBefore && top === topBefore) repeated++;
        else if (top === topBefore) differenceBits += bitLength(low - lowBefore);
        else differenceBits += bitLength(ordered(top) - ordered(topBefore)) + 8 * (wordBytes - 4);
      }
      lowBefore = low;
      topBefore = top;
      const hash = Math.imul(top ^ Math.imul(low, 0x85ebca6b), 0x9e3779b1) >>> (32 - HASH_BITS);
      const bit = 1 << (hash & 31);
      if ((known[hash >> 5]! & bit) === 0) fresh++;
      known[hash >> 5]! |= bit;
    }
  }
  const placeBits: number[] = [];
  for (let place = 0; place < wordBytes; place++) placeBits.push(entropyOf(place, samples));
  const perWord = 1 / Math.max(1, samples);
  const perPair = 1 / Math.max(1, samples - runs);
  return {
    wordBytes,
    skip,
    placeBits,
    zeros: zeros * perWord,
    novelty: fresh * perWord,
    repeated: repeated * perPair,
    differenceBits: differenceBits * perPair,
  };
}

/** Order-0 entropy of the bytes counted for a place. */
function entropyOf(place: number, samples: number): number {
  if (samples === 0) return 0;
  let sum = 0;
  let distinct = 0;
  for (let slot = place << 8; slot < (place + 1) << 8; slot++) {
    const count = counts[slot]!;
    sum += weighted[count]!;
    distinct += count === 0 ? 0 : 1;
  }
  // Miller and Madow's correction, as in sampling.ts.
  const bias = (distinct - 1) / (2 * samples * Math.LN2);
  return Math.min(8, Math.log2(samples) - sum / samples + bias);
}

/** Channels and columns that tables, pictures and recordings usually have. */
const STRIDES = [1, 2, 3, 4, 6, 8] as const;
const STRIDE_RUNS = 16;
const STRIDE_RUN_WORDS = 32;

/** The stride at which integers of up to 4 bytes differ least. */
function nearestWords(bytes: Uint8Array, wordBytes: number): NearestFacts | undefined {
  const available = Math.floor(bytes.length / wordBytes) - 8;
  if (available < STRIDE_RUNS * STRIDE_RUN_WORDS) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shift = 32 - 8 * wordBytes;
  const wordAt = (index: number): number => {
    if (wordBytes === 1) return bytes[index]!;
    return wordBytes === 2 ? view.getUint16(2 * index, true) : view.getInt32(4 * index, true);
  };
  const sums = STRIDES.map(() => 0);
  for (let run = 0; run < STRIDE_RUNS; run++) {
    const first = 8 + Math.floor((run * (available - STRIDE_RUN_WORDS)) / (STRIDE_RUNS - 1));
    for (let index = first; index < first + STRIDE_RUN_WORDS; index++) {
      const word = wordAt(index);
      for (let which = 0; which < STRIDES.length; which++) {
        // Differences wrap around, as the codec's do.
        const difference = ((word - wordAt(index - STRIDES[which]!)) << shift) >> shift;
        sums[which]! += difference === 0 ? 0 : bitLength(difference);
      }
    }
  }
  const least = sums.indexOf(Math.min(...sums));
  return { stride: STRIDES[least]!, bits: sums[least]! / (STRIDE_RUNS * STRIDE_RUN_WORDS) };
}

/** Bits of a difference, its sign included. */
function bitLength(difference: number): number {
  return 33 - Math.clz32(Math.abs(difference));
}

/** A float's bits as an integer in the order of values; differences of integers of one sign stay the same. */
function ordered(word: number): number {
  return word ^ ((word >> 31) & 0x7fffffff);
}

/**
 * Words of 2 or 4 bytes that opaque bytes may be made of: whether a byte's place in them tells about its value,
 * and for either width the alignment at which words are zero most often or take the fewest values.
 */
function hiddenWords(bytes: Uint8Array): HiddenFacts {
  const [four, two] = [4, 2].map((wordBytes) => sampleWords(bytes, { wordBytes, skip: 0 })) as [
    WordFacts,
    WordFacts,
  ];
  const quick = [4, 2].map((wordBytes) =>
    Array.from({ length: wordBytes }, (_, skip) => sampleWords(bytes, { wordBytes, skip }, ALIGNMENT_WORDS)),
  );
  const likeliest = quick
    .map((words) => words.reduce((a, b) => (b.zeros - b.novelty > a.zeros - a.novelty ? b : a)))
    .map((words) => (words.skip === 0 ? (words.wordBytes === 4 ? four : two) : sampleWords(bytes, words)));
  const [inFour, inTwo] = [mean(four.placeBits), mean(two.placeBits)];
  const { entropyBits } = sampleBytes(bytes);
  const hidden = entropyBits - Math.min(inFour, inTwo) >= HIDDEN_WORD_BITS;
  const hiddenWordBytes = !hidden ? 1 : inTwo - inFour > HIDDEN_WORD_BITS / 2 ? 4 : 2;
  const hiddenMatches = [four, likeliest[0]!].some(({ novelty }) => novelty < MATCHES_NOVELTY);
  return { hiddenWordBytes, hiddenMatches, hiddenWords: likeliest, isText: isText(bytes) };
}

/** Bytes that are looked at for control characters, from all over a chunk. */
const TEXT_SAMPLES = 1024;

function isText(bytes: Uint8Array): boolean {
  const step = Math.max(1, bytes.length / TEXT_SAMPLES);
  for (let at = 0; at < bytes.length; at += step) {
    const byte = bytes[Math.floor(at)]!;
    // Tab, line feed, form feed and carriage return are of text.
    if (byte < 32 && (byte < 9 || byte > 13)) return false;
  }
  return true;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
