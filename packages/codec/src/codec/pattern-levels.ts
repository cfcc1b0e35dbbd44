/**
 * A level of the hierarchy: a codebook of patterns, and bytes written in its codes. The codes are bytes again,
 * in which patterns of patterns show, so a level may lie on another.
 *
 *   codebook
 *     0  varint  count of patterns
 *     .  stream  their lengths, a byte each (4-251)
 *     .  stream  their bytes, back to back
 *   codes
 *     .  varint  count of symbols
 *     .  u8      form: 0 a stream of symbols; 1 a stream of their lower bytes and one of the upper; 2 a level
 *     .          the symbols: 0 is the escape, n the n-th pattern; one byte each up to 255 patterns, else two
 *     .  varint  bytes of the run lengths
 *     .  stream  the run lengths: for each escape the number of literals less one, a varint
 *     .  u8      form of the literals: 0 a stream of all, in order; 1 by columns (literal-columns.ts)
 *     .  streams of the literals
 *
 * Streams are coded by what suits them (streams.ts): their lengths are known before they are read.
 */
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { readLiterals, writeLiterals } from "./literal-columns.ts";
import { findPatterns, MAX_PATTERN_BYTES, MAX_PATTERNS, MIN_PATTERN_BYTES } from "./pattern-analysis.ts";
import { type Parse, parsePatterns } from "./pattern-parse.ts";
import { PHRASE_SLACK_BYTES, PhraseTable } from "./phrases.ts";
import { hasRepeats } from "./sampling.ts";
import { encodeStream, readStream, smallerStream, writeStream } from "./streams.ts";

/** Levels upon each other, at most: how deep a decoder has to go. */
const MAX_LEVELS = 3;
/** Fewer symbols than this are not worth a level of their own. */
const MIN_LEVEL_SYMBOLS = 64;
/**
 * Nor are symbols of more than this share of the bytes that they stand for: patterns so short, or so rare, have
 * hardly patterns of their own, and looking takes time.
 */
const MAX_LEVEL_SHARE = 1 / 5;
/** With so many patterns a symbol is a byte. */
const BYTE_PATTERNS = 255;

const ONE_STREAM = 0;
const TWO_STREAMS = 1;
const LEVEL = 2;

/** A level as bytes; the codes follow the codebook. */
export interface CodedLevel {
  readonly codebook: Uint8Array;
  readonly codes: Uint8Array;
}

/** Codes bytes as a level; undefined when no pattern pays. */
export function encodeLevel(bytes: Uint8Array, adaptive: boolean, level = 1): CodedLevel | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = findPatterns(view, adaptive);
  if (found.starts.length === 0) return undefined;
  const parse = parsePatterns(view, found);
  if (parse.patterns.starts.length === 0) return undefined;
  return { codebook: writeCodebook(bytes, parse), codes: writeCodes(parse, bytes.length, adaptive, level) };
}

function writeCodebook(bytes: Uint8Array, { patterns }: Parse): Uint8Array {
  const { starts, lengths } = patterns;
  const patternBytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  for (let index = 0; index < starts.length; index++) {
    patternBytes.set(bytes.subarray(starts[index]!, starts[index]! + lengths[index]!), at);
    at += lengths[index]!;
  }
  const writer = new ByteWriter().varint(starts.length);
  writeStream(writer, encodeStream(lengths, true));
  writeStream(writer, encodeStream(patternBytes, hasRepeats(patternBytes)));
  return writer.finish();
}

function writeCodes(parse: Parse, inputBytes: number, adaptive: boolean, level: number): Uint8Array {
  const writer = new ByteWriter(1024).varint(parse.symbols.length);
  writeSymbols(writer, parse, inputBytes, adaptive, level);
  const runs = new ByteWriter(1024);
  for (const run of parse.runs) runs.varint(run - 1);
  writer.varint(runs.length);
  writeStream(writer, encodeStream(runs.finish(), true));
  writeLiterals(writer, parse.literals, parse.runs);
  return writer.finish();
}

/** Writes the symbols in the form that takes fewest bytes. */
function writeSymbols(
  writer: ByteWriter,
  parse: Parse,
  inputBytes: number,
  adaptive: boolean,
  level: number,
): void {
  const { symbols } = parse;
  const words = parse.patterns.starts.length > BYTE_PATTERNS;
  const bytes = words ? new Uint8Array(symbols.slice().buffer) : new Uint8Array(symbols);
  let best = new ByteWriter(bytes.length + 16).u8(ONE_STREAM);
  writeStream(best, encodeStream(bytes, true));
  if (words) {
    const split = new ByteWriter(bytes.length + 16).u8(TWO_STREAMS);
    for (const plane of planesOf(symbols)) {
      writeStream(split, smallerStream(encodeStream(plane, true), encodeStream(plane, false)));
    }
    if (split.length < best.length) best = split;
  }
  const mayHaveLevel = symbols.length >= MIN_LEVEL_SYMBOLS && bytes.length <= MAX_LEVEL_SHARE * inputBytes;
  if (level < MAX_LEVELS && mayHaveLevel) {
    const next = encodeLevel(bytes, adaptive, level + 1);
    if (next !== undefined && 1 + next.codebook.length + next.codes.length < best.length) {
      best = new ByteWriter().u8(LEVEL).bytes(next.codebook).bytes(next.codes);
    }
  }
  writer.bytes(best.finish());
}

/** The lower bytes of the symbols, and the upper ones. */
function planesOf(symbols: Uint16Array): [lower: Uint8Array, upper: Uint8Array] {
  const lower = new Uint8Array(symbols);
  const upper = new Uint8Array(symbols.length);
  for (let index = 0; index < symbols.length; index++) upper[index] = symbols[index]! >> 8;
  return [lower, upper];
}

/** Reads the codebook of a level whose codes stand for `bytes` bytes: no pattern is longer than they are. */
export function readCodebook(reader: ByteReader, bytes: number): PhraseTable {
  const count = reader.varint();
  // Every pattern is used, so together they are no longer than what they are patterns of.
  if (count > MAX_PATTERNS || count * MIN_PATTERN_BYTES > bytes) {
    throw new DamageError("hierarchical", `${count} patterns for ${bytes} bytes`);
  }
  const lengths = readStream(reader, count);
  let total = 0;
  for (const length of lengths) {
    if (length < MIN_PATTERN_BYTES || length > MAX_PATTERN_BYTES) {
      throw new DamageError("hierarchical", `a pattern of ${length} bytes`);
    }
    total += length;
  }
  if (total > bytes) throw new DamageError("hierarchical", `patterns of ${total} bytes for ${bytes}`);
  const patternBytes = readStream(reader, total);
  const table = new PhraseTable(count);
  let at = 0;
  for (const length of lengths) {
    table.add(patternBytes.subarray(at, at + length));
    at += length;
  }
  return table;
}

/** Decodes the codes of a level to exactly `bytes` bytes. */
export function readCodes(reader: ByteReader, patterns: PhraseTable, bytes: number, level = 1): Uint8Array {
  const count = reader.varint();
  // Every symbol stands for one byte at least.
  if (count > bytes) throw new DamageError("hierarchical", `${count} symbols for ${bytes} bytes`);
  const symbols = readSymbols(reader, count, patterns.count > BYTE_PATTERNS, level);
  const runBytes = reader.varint();
  if (runBytes > bytes) throw new DamageError("hierarchical", `${runBytes} bytes of runs for ${bytes} bytes`);
  const runs = new ByteReader(readStream(reader, runBytes), "hierarchical");
  const runLengths = new Uint32Array(count);
  let runCount = 0;
  let literalCount = 0;
  while (runs.remaining > 0 && runCount < count) {
    const run = runs.varint() + 1;
    literalCount += run;
    if (literalCount > bytes) throw new DamageError("hierarchical", `more literals than ${bytes} bytes`);
    runLengths[runCount++] = run;
  }
  const lengths = runLengths.subarray(0, runCount);
  return expand(symbols, patterns, lengths, readLiterals(reader, literalCount, lengths), bytes);
}

function readSymbols(
  reader: ByteReader,
  count: number,
  words: boolean,
  level: number,
): Uint8Array | Uint16Array {
  const form = reader.u8();
  if (form === TWO_STREAMS && words) {
    const symbols = new Uint16Array(readStream(reader, count));
    const upper = readStream(reader, count);
    for (let index = 0; index < count; index++) symbols[index]! |= upper[index]! << 8;
    return symbols;
  }
  const bytes = words ? 2 * count : count;
  let decoded: Uint8Array;
  if (form === ONE_STREAM) decoded = readStream(reader, bytes);
  else if (form === LEVEL && level < MAX_LEVELS) {
    decoded = readCodes(reader, readCodebook(reader, bytes), bytes, level + 1);
  } else throw new DamageError("hierarchical", `unknown form ${form} of the codes`);
  return words ? new Uint16Array(decoded.buffer, decoded.byteOffset, count) : decoded;
}

function expand(
  symbols: Uint8Array | Uint16Array,
  patterns: PhraseTable,
  runs: Uint32Array,
  literals: Uint8Array,
  bytes: number,
): Uint8Array {
  const memory = new Uint8Array(bytes + PHRASE_SLACK_BYTES);
  const view = new DataView(memory.buffer);
  const { starts, lengths, words } = patterns;
  let run = 0;
  let literal = 0;
  let to = 0;
  for (let index = 0; index < symbols.length; index++) {
    const symbol = symbols[index]!;
    if (symbol === 0) {
      if (run === runs.length) throw new DamageError("hierarchical", "an escape has no literals");
      const length = runs[run++]!;
      if (length > bytes - to) throw tooLong(bytes);
      if (length > LONG_RUN_BYTES) memory.set(literals.subarray(literal, literal + length), to);
      else for (let offset = 0; offset < length; offset++) memory[to + offset] = literals[literal + offset]!;
      literal += length;
      to += length;
      continue;
    }
    if (symbol > patterns.count) throw new DamageError("hierarchical", `there is no pattern ${symbol}`);
    const length = lengths[symbol - 1]!;
    if (length > bytes - to) throw tooLong(bytes);
    for (let stop = to + length, from = starts[symbol - 1]!; to < stop; to += 4, from++) {
      view.setUint32(to, words[from]!, true);
    }
    to -= (4 - (length & 3)) & 3;
  }
  if (to !== bytes || run !== runs.length) {
    throw new DamageError("hierarchical", `decoded to ${to} bytes, ${bytes} were declared`);
  }
  return memory.subarray(0, bytes);
}

/** Longer runs of literals are copied by a call. */
const LONG_RUN_BYTES = 24;

function tooLong(bytes: number): DamageError {
  return new DamageError("hierarchical", `holds more than the ${bytes} bytes that were declared`);
}
