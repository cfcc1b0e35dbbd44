/**
 * Which stretches of 4 to 251 bytes come again often enough to be named in a codebook.
 *
 *     bytes -> phrases (stretches that were there before) -> scales (lengths worth analysing)
 *           -> windows (phrases cut to scales, counted)   -> patterns (windows that pay)
 *
 * Phrases come from one pass with a hash table of four-byte words, as in LZ4. One that runs on past its own
 * beginning is periodic and is cut at its period, so that the cuts fall alike in every repetition. Everything
 * is linear in the input.
 */

/** Shortest and longest pattern; the published codec has the same limits. */
export const MIN_PATTERN_BYTES = 4;
export const MAX_PATTERN_BYTES = 251;

/** The scales of a fixed analysis, and those that an adaptive one has beside its own for what is left over. */
const FIXED_SCALES: readonly number[] = [4, 8, 16, 32, 64, 128, MAX_PATTERN_BYTES];
/** Most scales; coding keeps a set of them in 32 bits. */
const MAX_SCALES = 24;
/** An adaptive scale covers at least this share of what all phrases cover. */
const SCALE_SHARE = 0.01;

/** What a pattern must save beyond its own cost, in bytes, when the threshold is not taken from the data. */
const FIXED_THRESHOLD_BYTES = 16;
/** Cost of a pattern in the codebook beside its bytes: its length, mostly the same as its neighbour's. */
const ENTRY_BYTES = 0.5;

/** Most patterns: a code has two bytes at most, and code 0 stands for literals. */
export const MAX_PATTERNS = 65_535;

/** Patterns by where they first stand in the analysed bytes. */
export interface Patterns {
  readonly starts: Int32Array;
  readonly lengths: Uint8Array;
  /** How often each was counted, or is used. */
  readonly uses: Uint32Array;
}

/** Stretches [start, start + length) that also begin `distance` bytes earlier. */
interface Phrases {
  count: number;
  starts: Int32Array;
  lengths: Int32Array;
  distances: Int32Array;
}

/** The patterns of `bytes` that pay, the most useful first. */
export function findPatterns(bytes: DataView, adaptive: boolean): Patterns {
  const phrases = findPhrases(bytes);
  const scales = adaptive ? chooseScales(phrases) : FIXED_SCALES;
  return choosePatterns(countWindows(bytes, phrases, scales), adaptive);
}

const WORD_BITS = 16;
const lastSeen = new Int32Array(1 << WORD_BITS);

/** Slot of a word in tables of 65,536. */
export function slotOfWord(word: number): number {
  return Math.imul(word, 0x9e3779b1) >>> (32 - WORD_BITS);
}

/** Of a phrase, one in this many positions is remembered: copies of it are found by any of them. */
const REMEMBERED_STEP = 4;
/** After this many positions without a match, every second one is tried, then every third, and so on. */
const PATIENCE_BITS = 7;

function findPhrases(bytes: DataView): Phrases {
  const found = {
    count: 0,
    starts: new Int32Array(1024),
    lengths: new Int32Array(1024),
    distances: new Int32Array(1024),
  };
  lastSeen.fill(0);
  const end = bytes.byteLength - MIN_PATTERN_BYTES;
  let covered = 0;
  let missed = 0;
  for (let at = 0; at <= end; ) {
    const word = bytes.getInt32(at, true);
    const slot = slotOfWord(word);
    let earlier = lastSeen[slot]! - 1;
    lastSeen[slot] = at + 1;
    if (earlier < 0 || bytes.getInt32(earlier, true) !== word) {
      at += 1 + (missed++ >> PATIENCE_BITS);
      continue;
    }
    missed = 0;
    let stop = at + MIN_PATTERN_BYTES;
    const distance = at - earlier;
    while (stop <= end && bytes.getInt32(stop, true) === bytes.getInt32(stop - distance, true)) stop += 4;
    while (stop < bytes.byteLength && bytes.getUint8(stop) === bytes.getUint8(stop - distance)) stop++;
    for (let next = at + REMEMBERED_STEP; next < Math.min(stop, end); next += REMEMBERED_STEP) {
      lastSeen[slotOfWord(bytes.getInt32(next, true))] = next + 1;
    }
    while (at > covered && earlier > 0 && bytes.getUint8(at - 1) === bytes.getUint8(earlier - 1)) {
      at--;
      earlier--;
    }
    addPhrase(found, at, stop - at, distance);
    covered = stop;
    at = stop;
  }
  return found;
}

function addPhrase(phrases: Phrases, start: number, length: number, distance: number): void {
  if (phrases.count === phrases.starts.length) {
    for (const name of ["starts", "lengths", "distances"] as const) {
      const grown = new Int32Array(2 * phrases.count);
      grown.set(phrases[name]);
      phrases[name] = grown;
    }
  }
  phrases.starts[phrases.count] = start;
  phrases.lengths[phrases.count] = length;
  phrases.distances[phrases.count++] = distance;
}

/** The equal windows that a stretch divides into. */
function windowBytes(stretch: number): number {
  return Math.ceil(stretch / Math.ceil(stretch / MAX_PATTERN_BYTES));
}

/** Shorter periods are not worth a code each time. */
const MIN_STRETCH_BYTES = 16;
/** A phrase of more repetitions than this is cut into as many whole periods at once as fit a pattern. */
const FEW_REPETITIONS = 16;

/** Length of the stretches that a phrase is cut into, so that the cuts fall alike wherever its content repeats. */
function stretchBytes(length: number, distance: number): number {
  if (distance >= length) return length;
  if (distance > MAX_PATTERN_BYTES) return distance;
  if (distance >= MIN_STRETCH_BYTES && length <= FEW_REPETITIONS * distance) return distance;
  return Math.min(length, Math.floor(MAX_PATTERN_BYTES / distance) * distance);
}

/** The lengths that phrases have, by how much they cover, and the fixed ones for what those leave over. */
function chooseScales(phrases: Phrases): readonly number[] {
  const covered = new Float64Array(MAX_PATTERN_BYTES + 1);
  let total = 0;
  for (let index = 0; index < phrases.count; index++) {
    const length = phrases.lengths[index]!;
    const distance = phrases.distances[index]!;
    const stretch = stretchBytes(length, distance);
    total += length;
    // A short run has whatever length it has; the fixed scales put it together.
    if (stretch < length || distance >= length) covered[windowBytes(stretch)]! += length;
  }
  const own: number[] = [];
  for (let length = MIN_PATTERN_BYTES; length <= MAX_PATTERN_BYTES; length++) {
    if (covered[length]! > SCALE_SHARE * total) own.push(length);
  }
  own.sort((left, right) => covered[right]! - covered[left]!);
  const scales = new Set([...own.slice(0, MAX_SCALES - FIXED_SCALES.length), ...FIXED_SCALES]);
  return [...scales].sort((left, right) => left - right);
}

/** Windows by their content: where each was seen first, how long it is, how often it came. */
interface Windows {
  count: number;
  starts: Int32Array;
  lengths: Uint8Array;
  counts: Int32Array;
}

/** Most different windows that are counted; later ones are left out. */
const MAX_WINDOWS = 262_144;

function countWindows(bytes: DataView, phrases: Phrases, scales: readonly number[]): Windows {
  // A phrase covers at least one scale, so this is a bound unless phrases are long.
  const capacity = Math.min(MAX_WINDOWS, 256 + phrases.count + (bytes.byteLength >> 4));
  const windows = {
    count: 0,
    starts: new Int32Array(capacity),
    lengths: new Uint8Array(capacity),
    counts: new Int32Array(capacity),
  };
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * capacity)));
  for (let index = 0; index < phrases.count; index++) {
    const start = phrases.starts[index]!;
    const stop = start + phrases.lengths[index]!;
    const stretch = stretchBytes(phrases.lengths[index]!, phrases.distances[index]!);
    for (let at = start; at < stop; at += stretch) {
      countStretch(bytes, at, Math.min(at + stretch, stop), scales, table, windows);
    }
  }
  return windows;
}

/** Counts the windows of a stretch: equal ones if that is a scale, else the largest scale that fits first. */
function countStretch(
  bytes: DataView,
  start: number,
  stop: number,
  scales: readonly number[],
  table: Int32Array,
  windows: Windows,
): void {
  let at = start;
  const equal = scales.indexOf(windowBytes(stop - start));
  for (let scale = equal < 0 ? scales.length - 1 : equal; scale >= 0; scale--) {
    const length = scales[scale]!;
    for (; at + length <= stop; at += length) {
      let slot = windowHash(bytes, at, length) & (table.length - 1);
      let found = table[slot]! - 1;
      while (found >= 0 && !isWindow(bytes, at, length, windows.starts[found]!, windows.lengths[found]!)) {
        slot = (slot + 1) & (table.length - 1);
        found = table[slot]! - 1;
      }
      if (found >= 0) {
        windows.counts[found]!++;
      } else if (windows.count < windows.starts.length) {
        windows.starts[windows.count] = at;
        windows.lengths[windows.count] = length;
        windows.counts[windows.count] = 1;
        table[slot] = ++windows.count;
      }
    }
  }
}

/** A hash of a window from three of its words; the length is in it. */
export function windowHash(bytes: DataView, at: number, length: number): number {
  let hash = Math.imul(bytes.getInt32(at, true) + length, 0x9e3779b1);
  hash = Math.imul((hash ^ (hash >>> 15)) + bytes.getInt32(at + ((length - 4) >> 1), true), 0x85ebca6b);
  hash = Math.imul((hash ^ (hash >>> 13)) + bytes.getInt32(at + length - 4, true), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** Whether the window at `at` is the one of `knownLength` bytes at `known`. */
export function isWindow(
  bytes: DataView,
  at: number,
  length: number,
  known: number,
  knownLength: number,
): boolean {
  if (length !== knownLength) return false;
  const last = length - 4;
  for (let index = 0; index < last; index += 4) {
    if (bytes.getInt32(at + index, true) !== bytes.getInt32(known + index, true)) return false;
  }
  // The last word may overlap the one before.
  return bytes.getInt32(at + last, true) === bytes.getInt32(known + last, true);
}

/** Bytes that one use of a pattern costs, when the codebook has so many. */
export function codeBytes(patterns: number): number {
  return Math.max(0.25, Math.log2(patterns + 1) / 8);
}

/**
 * What a pattern saves in all, its place in the codebook paid: so many uses, each of which costs `cost` with it and
 * `otherwise` without.
 */
export function patternGain(length: number, uses: number, cost: number, otherwise: number): number {
  return uses * (otherwise - cost) - length - ENTRY_BYTES;
}

/** The windows that pay, the best first. A window that was counted came once more before. */
function choosePatterns({ count, starts, lengths, counts }: Windows, adaptive: boolean): Patterns {
  const threshold = adaptive ? 0 : FIXED_THRESHOLD_BYTES;
  const cost = codeBytes(count);
  const gains = new Float64Array(count);
  const chosen: number[] = [];
  for (let window = 0; window < count; window++) {
    const length = lengths[window]!;
    gains[window] = patternGain(length, counts[window]! + 1, cost, length);
    if (gains[window]! > threshold) chosen.push(window);
  }
  chosen.sort((left, right) => gains[right]! - gains[left]!);
  return subset({ starts, lengths, uses: counts }, chosen.slice(0, MAX_PATTERNS), 1);
}

/** The patterns of these numbers, in this order, each used `more` times more. */
export function subset(
  patterns: { starts: Int32Array; lengths: Uint8Array; uses: Int32Array | Uint32Array },
  numbers: readonly number[],
  more = 0,
): Patterns {
  const starts = new Int32Array(numbers.length);
  const lengths = new Uint8Array(numbers.length);
  const uses = new Uint32Array(numbers.length);
  for (let index = 0; index < numbers.length; index++) {
    const number = numbers[index]!;
    starts[index] = patterns.starts[number]!;
    lengths[index] = patterns.lengths[number]!;
    uses[index] = patterns.uses[number]! + more;
  }
  return { starts, lengths, uses };
}
