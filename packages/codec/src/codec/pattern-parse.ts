/**
 * Bytes written as patterns of a codebook and escaped literals. A symbol is a pattern's number plus one; 0 is
 * the escape: so many literals as the next run length says. Literals and lengths are streams of their own, so
 * no byte of the data can be taken for a code.
 *
 *     symbols   3 3 0 1 0 3        run lengths   2 1        literals   x y z
 *     bytes     cc cc x y aa z cc  (patterns a, b, c)
 */
import {
  codeBytes,
  isWindow,
  MIN_PATTERN_BYTES,
  type Patterns,
  patternGain,
  slotOfWord,
  subset,
  windowHash,
} from "./pattern-analysis.ts";

/** What a walk over the bytes gave. */
export interface Parse {
  readonly patterns: Patterns;
  readonly symbols: Uint16Array;
  readonly runs: readonly number[];
  readonly literals: Uint8Array;
}

/**
 * Walks the bytes greedily: the longest pattern that fits, else a literal. Patterns that turn out not to pay are
 * dropped and the walk is done again; those that stay are numbered by how often they are used.
 */
export function parsePatterns(bytes: DataView, found: Patterns): Parse {
  const counted = paying(bytes, found, indexOf(bytes, found));
  const parse = walk(bytes, counted, indexOf(bytes, counted));
  const used = paying(bytes, parse.patterns, indexOf(bytes, parse.patterns));
  if (used.starts.length === parse.patterns.starts.length) return byUse(parse);
  // What does not pay this time is kept: it costs little, and another walk costs time.
  return byUse(walk(bytes, used, indexOf(bytes, used)));
}

/** What an escape costs, and a literal: less than a byte, because their streams are coded. */
const ESCAPE_BYTES = 0.25;
const LITERAL_BYTES = 0.75;

/**
 * The patterns that pay beside the shorter ones that might do their work. The longest are judged first; one that
 * is dropped hands its uses on to those that then stand for it.
 */
function paying(bytes: DataView, patterns: Patterns, index: PatternIndex): Patterns {
  const { starts, lengths } = patterns;
  const uses = patterns.uses.slice();
  const cost = codeBytes(uses.length);
  const order = Array.from(uses.keys()).sort((left, right) => lengths[right]! - lengths[left]!);
  const kept: number[] = [];
  const parts: number[] = [];
  for (const pattern of order) {
    const stop = starts[pattern]! + lengths[pattern]!;
    const shorter = (1 << index.scales.indexOf(lengths[pattern]!)) - 1;
    parts.length = 0;
    let otherwise = 0;
    let escaped = false;
    for (let at = starts[pattern]!; at < stop; ) {
      const part = longestAt(bytes, at, stop, patterns, index, shorter);
      if (part < 0) {
        otherwise += escaped ? LITERAL_BYTES : LITERAL_BYTES + ESCAPE_BYTES;
        at++;
      } else {
        parts.push(part);
        otherwise += cost;
        at += lengths[part]!;
      }
      escaped = part < 0;
    }
    if (patternGain(lengths[pattern]!, uses[pattern]!, cost, otherwise) > 0) kept.push(pattern);
    else for (const part of parts) uses[part]! += uses[pattern]!;
  }
  return subset({ starts, lengths, uses }, kept);
}

/** The same parse with the commonest pattern as number one, and without patterns that are not used. */
function byUse({ patterns, symbols, runs, literals }: Parse): Parse {
  const { uses } = patterns;
  const order = Array.from(uses.keys())
    .filter((pattern) => uses[pattern]! > 0)
    .sort((left, right) => uses[right]! - uses[left]!);
  const symbolOf = new Uint16Array(uses.length + 1);
  for (const [index, pattern] of order.entries()) symbolOf[pattern + 1] = index + 1;
  for (let index = 0; index < symbols.length; index++) symbols[index] = symbolOf[symbols[index]!]!;
  return { patterns: subset(patterns, order), symbols, runs, literals };
}

/** Patterns of a codebook, to be found by what stands at a place. */
interface PatternIndex {
  /** The lengths that patterns have, ascending. */
  readonly scales: readonly number[];
  /** Pattern numbers plus one, by the hash of their bytes. */
  readonly table: Int32Array;
}

/** Scales by the first word of their patterns, as sets of bits; many words share a slot. */
const scalesOfWord = new Uint32Array(65_536);

/** An index of patterns, valid until the next one is made. */
function indexOf(bytes: DataView, patterns: Patterns): PatternIndex {
  const scales = [...new Set(patterns.lengths)].sort((left, right) => left - right);
  const count = patterns.starts.length;
  const table = new Int32Array(2 ** Math.ceil(Math.log2(2 * count + 2)));
  scalesOfWord.fill(0);
  for (let pattern = 0; pattern < count; pattern++) {
    const start = patterns.starts[pattern]!;
    const length = patterns.lengths[pattern]!;
    scalesOfWord[slotOfWord(bytes.getInt32(start, true))]! |= 1 << scales.indexOf(length);
    let slot = windowHash(bytes, start, length) & (table.length - 1);
    while (table[slot] !== 0) slot = (slot + 1) & (table.length - 1);
    table[slot] = pattern + 1;
  }
  return { scales, table };
}

/** The longest pattern at `at`, of the scales in the set `among`, that ends by `end`; -1 when there is none. */
function longestAt(
  bytes: DataView,
  at: number,
  end: number,
  { starts, lengths }: Patterns,
  { scales, table }: PatternIndex,
  among: number,
): number {
  if (at + MIN_PATTERN_BYTES > end) return -1;
  let set = scalesOfWord[slotOfWord(bytes.getInt32(at, true))]! & among;
  while (set !== 0) {
    const scale = 31 - Math.clz32(set);
    set &= ~(1 << scale);
    const length = scales[scale]!;
    if (at + length > end) continue;
    let slot = windowHash(bytes, at, length) & (table.length - 1);
    for (let entry = table[slot]!; entry !== 0; entry = table[slot]!) {
      if (isWindow(bytes, at, length, starts[entry - 1]!, lengths[entry - 1]!)) return entry - 1;
      slot = (slot + 1) & (table.length - 1);
    }
  }
  return -1;
}

/** Every scale. */
const ALL_SCALES = -1;

function walk(bytes: DataView, { starts, lengths, uses: counted }: Patterns, index: PatternIndex): Parse {
  const uses = new Uint32Array(counted.length);
  const patterns = { starts, lengths, uses };
  const end = bytes.byteLength;
  // A pattern has four bytes at least, and between two of them is one run of literals at most.
  const symbols = new Uint16Array((end >> 1) + 2);
  const runs: number[] = [];
  const literals = new Uint8Array(end);
  let symbolCount = 0;
  let literalCount = 0;
  let pending = 0;
  for (let at = 0; at <= end; ) {
    const pattern = longestAt(bytes, at, end, patterns, index, ALL_SCALES);
    if (pattern < 0 && at < end) {
      at++;
      continue;
    }
    if (pending < at) {
      symbols[symbolCount++] = 0;
      runs.push(at - pending);
      while (pending < at) literals[literalCount++] = bytes.getUint8(pending++);
    }
    if (pattern < 0) break;
    symbols[symbolCount++] = pattern + 1;
    uses[pattern]!++;
    at += lengths[pattern]!;
    pending = at;
  }
  return {
    patterns,
    symbols: symbols.subarray(0, symbolCount),
    runs,
    literals: literals.subarray(0, literalCount),
  };
}
