/**
 * What a small sample says of bytes, so that codecs are chosen without trying them all. Costs some hundredths
 * of a millisecond per chunk whatever the chunk's size.
 */

/** Samples per question: 8,192 bytes estimate the entropy to about 0.01 bits once its bias is corrected. */
const SAMPLES = 8192;
/** Samples are taken in runs of neighbours, so that repetition of neighbours shows. */
const RUN = 256;

/**
 * Bytes with more entropy than this count as noise and are stored: at most 1 % could be saved, and coding
 * them would take longer than everything else together. Mantissa bytes of trained weights have 7.97 bits and
 * more.
 */
export const NOISE_BITS = 7.92;

/** Facts about a sequence of bytes, estimated from samples. */
export interface ByteFacts {
  /** Order-0 entropy in bits per byte. */
  readonly entropyBits: number;
  /** Different values among the samples. */
  readonly distinct: number;
  /** How much oftener a byte equals the one before than chance would have it, as a fraction of all bytes. */
  readonly repetition: number;
}

const counts = new Uint32Array(256);

/** Samples the bytes at `offset`, `offset + stride`, ... of `bytes`. */
export function sampleBytes(bytes: Uint8Array, offset = 0, stride = 1): ByteFacts {
  const available = Math.max(0, Math.ceil((bytes.length - offset) / stride));
  const runs = Math.ceil(Math.min(available, SAMPLES) / RUN);
  const whole = available <= SAMPLES;
  counts.fill(0);
  let samples = 0;
  let repeated = 0;
  let pairs = 0;
  for (let run = 0; run < runs; run++) {
    const first = whole ? run * RUN : Math.floor((run * (available - RUN)) / (runs - 1));
    const last = Math.min(first + RUN, available);
    let before = -1;
    for (let index = first, at = offset + first * stride; index < last; index++, at += stride) {
      const byte = bytes[at]!;
      counts[byte]!++;
      if (byte === before) repeated++;
      before = byte;
    }
    samples += last - first;
    pairs += last - first - 1;
  }
  let weighted = 0;
  let squares = 0;
  let distinct = 0;
  for (let byte = 0; byte < 256; byte++) {
    const count = counts[byte]!;
    if (count === 0) continue;
    distinct++;
    weighted += count * Math.log2(count);
    squares += count * count;
  }
  if (samples === 0) return { entropyBits: 0, distinct: 0, repetition: 0 };
  // Few samples look less random than their source; (distinct - 1) / 2N nats is Miller and Madow's
  // correction.
  const bias = (distinct - 1) / (2 * samples * Math.LN2);
  return {
    entropyBits: Math.min(8, Math.log2(samples) - weighted / samples + bias),
    distinct,
    repetition: pairs === 0 ? 0 : repeated / pairs - squares / (samples * samples),
  };
}

/**
 * Bytes looked at at either end for repeats: finds any period up to that, and an end that resembles the
 * beginning.
 */
const REPEAT_WINDOW_BYTES = 32_768;
const REPEAT_TABLE_BITS = 12;
const seen = new Int32Array(1 << REPEAT_TABLE_BITS);

/**
 * Whether stretches of at least 16 bytes come again (tiled data, repeated rows), which entropy does not show.
 * One word in 64, picked by its own value so that copies pick the same ones, is looked up among those picked
 * before.
 */
export function hasRepeats(bytes: Uint8Array): boolean {
  const skip = -bytes.byteOffset & 3;
  if (bytes.length < skip + 64) return false;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + skip, (bytes.length - skip) >> 2);
  const end = words.length - 3;
  const window = REPEAT_WINDOW_BYTES >> 2;
  seen.fill(0);
  if (end <= 2 * window) return isRepetitive(scanWindow(words, 0, end));
  return isRepetitive(scanWindow(words, 0, window) + scanWindow(words, end - window, end));
}

/** Words picked in [start, end), plus 65,536 times those among them that begin a stretch seen before. */
function scanWindow(words: Uint32Array, start: number, end: number): number {
  let found = 0;
  for (let at = start; at < end; at++) {
    const word = words[at]!;
    const mixed = Math.imul(word, 0x9e3779b1);
    if (mixed >>> 26 !== 0 || word === 0) continue;
    found++;
    const slot = (mixed >>> (26 - REPEAT_TABLE_BITS)) & (seen.length - 1);
    const earlier = seen[slot]! - 1;
    seen[slot] = at + 1;
    if (
      earlier >= 0 &&
      words[earlier] === word &&
      words[earlier + 1] === words[at + 1] &&
      words[earlier + 2] === words[at + 2] &&
      words[earlier + 3] === words[at + 3]
    ) {
      found += 0x1_0000;
    }
  }
  return found;
}

/** At least one picked word in eight, and more than chance would leave. */
function isRepetitive(found: number): boolean {
  const picked = found % 0x1_0000;
  const repeated = Math.floor(found / 0x1_0000);
  return repeated >= 4 && repeated * 8 > picked;
}

/** Words apart that `hasRepeatedRows` looks at: one in each line of a cache. */
const ROW_STEP_WORDS = 16;
/** Bytes that it looks through, half of them from either end. */
const ROW_WINDOW_BYTES = 131_072;

/**
 * The same question of plain numbers, for a fifth of the time: one word in each 64 bytes is looked up among all those before. Rows that
 * come again are found if some multiple of their length is one of 64 bytes within the windows.
 */
export function hasRepeatedRows(bytes: Uint8Array): boolean {
  const skip = -bytes.byteOffset & 3;
  if (bytes.length < skip + 64) return false;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + skip, (bytes.length - skip) >> 2);
  const end = words.length - 3;
  const half = ROW_WINDOW_BYTES >> 3;
  seen.fill(0);
  if (end <= 2 * half) return isRepetitive(scanLines(words, 0, end));
  const second = Math.ceil((end - half) / ROW_STEP_WORDS) * ROW_STEP_WORDS;
  return isRepetitive(scanLines(words, 0, half) + scanLines(words, second, end));
}

/** Like `scanWindow`, of one word in `ROW_STEP_WORDS`. */
function scanLines(words: Uint32Array, start: number, end: number): number {
  let found = 0;
  for (let at = start; at < end; at += ROW_STEP_WORDS) {
    const word = words[at]!;
    if (word === 0) continue;
    found++;
    const slot = Math.imul(word, 0x9e3779b1) >>> (32 - REPEAT_TABLE_BITS);
    const earlier = seen[slot]! - 1;
    seen[slot] = at + 1;
    if (
      earlier >= 0 &&
      words[earlier] === word &&
      words[earlier + 1] === words[at + 1] &&
      words[earlier + 2] === words[at + 2] &&
      words[earlier + 3] === words[at + 3]
    ) {
      found += 0x1_0000;
    }
  }
  return found;
}

/** Runs and bytes in a run that `hasPhrases` looks at. */
const PHRASE_RUNS = 64;
const PHRASE_RUN_BYTES = 96;
/** Bytes of a phrase: of numbers without pattern so many never come again by chance. */
const PHRASE_BYTES = 6;
const PHRASE_TABLE_BITS = 13;
const phraseStarts = new Uint32Array(1 << PHRASE_TABLE_BITS);
const phraseEnds = new Uint16Array(1 << PHRASE_TABLE_BITS);
/** One in so many places must begin a phrase known already, for matches to save anything worth their time. */
const PHRASE_SHARE = 200;

/**
 * Whether sequences of bytes come again, near or far: what coders of matches live on, and what any repetition
 * consists of. Runs lie at uneven distances, so that no period escapes by falling between them.
 */
export function hasPhrases(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length <= PHRASE_RUNS * PHRASE_RUN_BYTES;
  const runs = whole ? 1 : PHRASE_RUNS;
  const runBytes = whole ? bytes.length : PHRASE_RUN_BYTES;
  const room = (bytes.length - runs * runBytes) / runs;
  phraseStarts.fill(0);
  phraseEnds.fill(0);
  let known = 0;
  let asked = 0;
  for (let run = 0; run < runs; run++) {
    const shift = (Math.imul(run + 1, 0x9e3779b1) >>> 0) / 2 ** 32;
    const first = run * runBytes + Math.floor((run + shift) * room);
    const last = first + runBytes - PHRASE_BYTES;
    for (let at = first; at <= last; at++) {
      const start = view.getUint32(at, true);
      const end = view.getUint16(at + 4, true);
      const slot = Math.imul(start ^ Math.imul(end, 0x85ebca6b), 0x9e3779b1) >>> (32 - PHRASE_TABLE_BITS);
      if (phraseStarts[slot] === start && phraseEnds[slot] === end) known++;
      phraseStarts[slot] = start;
      phraseEnds[slot] = end;
      asked++;
    }
  }
  return known * PHRASE_SHARE > asked;
}

/**
 * A sample for trial encodings: two pieces of `bytes`, from its first and its last third, back to back; all
 * of it where it is no longer than `sampleBytes`. Pieces begin at multiples of `unit` bytes and are as long,
 * so that words stay words.
 */
export function trialSample(bytes: Uint8Array, sampleLength: number, unit: number): Uint8Array {
  if (bytes.length <= sampleLength) return bytes;
  const piece = Math.floor(sampleLength / 2 / unit) * unit;
  const sample = new Uint8Array(2 * piece);
  for (let index = 0; index < 2; index++) {
    const middle = ((2 * index + 1) * bytes.length) / 4;
    const start = Math.floor((middle - piece / 2) / unit) * unit;
    sample.set(bytes.subarray(start, start + piece), index * piece);
  }
  return sample;
}
