/**
 * Byte-pair encoding: frequent pairs of neighbours become tokens, and pairs of those again, so that words and
 * phrases end up as one token each. For text, and for token data (integers of few values), which is taken by
 * elements. The pairs are learnt from the data itself, from a sample of it where it is long.
 *
 *     0  u8  bits 0-3: bytes of a value (1, 2, 4, 8); bits 4-7: form; 255: stored, the input follows
 *     .      alphabet: the values, in ascending order (bpe-alphabet.ts); they are the first tokens
 *     .      varint  count of rounds; for each: varint count of pairs, then the pairs in the order of their left
 *            and right tokens, each the next token: varint distance of the left token from the one before
 *            (at first from 0), varint right token (its distance less one, where the left one is the same)
 *     .      varint  count of ids, the tokens that the input is made of
 *     .      the bytes behind the last whole value, as they are
 *     .      the ids, up to the end
 *
 *     form 0  u8 width (1-16), ids of so many bits, the first in the lowest: u8 at 8, u16 at 16
 *     form 1  a prefix code over all tokens (prefix-code.ts)
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError, UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import {
  type Alphabet,
  alphabetOf,
  readAlphabet,
  VALUE_BYTES,
  type ValueBytes,
  writeAlphabet,
} from "./bpe-alphabet.ts";
import { readTokens, writeTokens } from "./bpe-ids.ts";
import { matchTokens } from "./bpe-matching.ts";
import { prunePairs } from "./bpe-pruning.ts";
import { learnRounds, MAX_TOKENS, type Round, type Sequence } from "./bpe-training.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { bytesParameter } from "./elements.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";
import { MAX_PHRASE_BYTES, PhraseTable, writePhrases } from "./phrases.ts";

const STORED = 255;

/** What pairs are learnt from, at most: beyond, pieces from all over the data. */
const SAMPLE_BYTES = 131_072;
/** But so many symbols of wide values, whose pairs come seldom. */
const MIN_SAMPLE_SYMBOLS = 32_768;
const SAMPLE_PIECES = 8;

export const bpe: Codec = {
  id: "bpe",
  code: 12,
  // By the dtype where it comes first, by bytes behind other steps.
  kind: "bytes-to-bytes",

  /**
   * `valueBytes` (1, 2, 4, 8) overrides what the dtype says; `maxTokens` bounds the table; `ids`: "smallest", or
   * "whole" for ids of whole bytes, when a coder follows that would rather have those.
   */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["valueBytes", "maxTokens", "ids"], "bpe");
    const valueBytes = bytesParameter(parameters, "valueBytes", "bpe", VALUE_BYTES);
    const range = { minimum: 1, maximum: MAX_TOKENS, fallback: MAX_TOKENS };
    const maxTokens = integerParameter(parameters, "maxTokens", "bpe", range);
    const { ids = "smallest" } = parameters;
    if (ids !== "smallest" && ids !== "whole") {
      throw new UsageError("ids", `bpe: ids is ${JSON.stringify(ids)}; it must be "smallest" or "whole"`);
    }
    return valueBytes === undefined ? { maxTokens, ids } : { valueBytes, maxTokens, ids };
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const own = parameters.valueBytes as ValueBytes | undefined;
    const maxTokens = (parameters.maxTokens as number | undefined) ?? MAX_TOKENS;
    let valueBytes = own ?? valueBytesOf(context.dtype);
    let alphabet = alphabetOf(input, valueBytes);
    if (alphabet === undefined) {
      valueBytes = 1;
      alphabet = alphabetOf(input, valueBytes)!;
    }
    const { tokens, rounds } = tokenize(alphabet, valueBytes, maxTokens);
    const tokenCount = rounds.reduce((sum, { lefts }) => sum + lefts.length, alphabet.values.length);

    const writer = new ByteWriter(256 + (input.length >> 1));
    // The form is known once the ids are written; the first byte is set then.
    writer.u8(0);
    writeAlphabet(writer, alphabet.values);
    writeRounds(writer, rounds);
    writer.varint(tokens.length).bytes(input.subarray(input.length - (input.length % valueBytes)));
    const form = writeTokens(writer, tokens, tokenCount, parameters.ids === "whole");
    const output = writer.finish();
    if (output.length > input.length) return stored(input);
    output[0] = valueBytes | (form << 4);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "bpe");
    const first = reader.u8();
    if (first === STORED) return exactly(input.subarray(1), context.bytes, "bpe");
    const valueBytes = VALUE_BYTES.find((bytes) => bytes === (first & 0x0f));
    if (valueBytes === undefined) throw new DamageError("bpe", `values of ${first & 0x0f} bytes`);
    const table = readTable(reader, valueBytes);
    const count = reader.varint();
    // A token is one value at least.
    if (count > context.bytes / valueBytes) {
      throw new DamageError("bpe", `${count} ids, ${context.bytes} bytes were declared`);
    }
    const rest = reader.bytes(context.bytes % valueBytes);
    const tokens = readTokens(reader, first >> 4, table.count, count);
    if (rest.length === 0) return writePhrases(table, tokens, context.bytes, "bpe");
    const whole = context.bytes - rest.length;
    const output = new Uint8Array(context.bytes);
    output.set(writePhrases(table, tokens, whole, "bpe"));
    output.set(rest, whole);
    return output;
  },
};

/** Whole elements of integers that tokens come in; bytes of everything else. */
function valueBytesOf(dtype: DType): ValueBytes {
  const bytes = dtype.bits / 8;
  const isInteger = dtype.kind === "int" || dtype.kind === "uint";
  return (isInteger ? VALUE_BYTES.find((known) => known === bytes) : undefined) ?? 1;
}

function stored(input: Uint8Array): Uint8Array {
  const output = new Uint8Array(1 + input.length);
  output[0] = STORED;
  output.set(input, 1);
  return output;
}

/** Learns pairs: the tokens of the whole input, and the rounds without pairs that do not pay. */
function tokenize(
  { values, symbols }: Alphabet,
  valueBytes: ValueBytes,
  maxTokens: number,
): { tokens: Uint16Array; rounds: Round[] } {
  const sample = sampleOf(symbols, Math.max(SAMPLE_BYTES / valueBytes, MIN_SAMPLE_SYMBOLS));
  const lengths = new Array<number>(values.length).fill(valueBytes);
  const share = sample.length / Math.max(1, symbols.length);
  const rounds = learnRounds(sample, lengths, share, Math.min(maxTokens, MAX_TOKENS));
  const tokens =
    share < 1 ? matchTokens(symbols, values.length, rounds) : sample.tokens.subarray(0, sample.length);
  return prunePairs(tokens, values.length, rounds);
}

function sampleOf(symbols: Uint16Array, limit: number): Sequence {
  if (symbols.length <= limit) return { tokens: symbols.slice(), length: symbols.length };
  const tokens = new Uint16Array(limit);
  const piece = limit / SAMPLE_PIECES;
  for (let index = 0; index < SAMPLE_PIECES; index++) {
    const start = Math.floor((index * (symbols.length - piece)) / (SAMPLE_PIECES - 1));
    tokens.set(symbols.subarray(start, start + piece), index * piece);
  }
  return { tokens, length: tokens.length };
}

function writeRounds(writer: ByteWriter, rounds: readonly Round[]): void {
  writer.varint(rounds.length);
  for (const { lefts, rights } of rounds) {
    writer.varint(lefts.length);
    for (let pair = 0; pair < lefts.length; pair++) {
      const distance = lefts[pair]! - (pair === 0 ? 0 : lefts[pair - 1]!);
      const sameLeft = pair > 0 && distance === 0;
      writer.varint(distance).varint(sameLeft ? rights[pair]! - rights[pair - 1]! - 1 : rights[pair]!);
    }
  }
}

/** Reads alphabet and rounds: the bytes of every token. */
function readTable(reader: ByteReader, valueBytes: ValueBytes): PhraseTable {
  const alphabet = readAlphabet(reader, valueBytes);
  const table = new PhraseTable(Math.min(MAX_TOKENS, alphabet.length + reader.remaining));
  for (const value of alphabet) table.add(value);
  for (let rounds = reader.varint(); rounds > 0; rounds--) {
    let left = 0;
    let right = -1;
    const known = table.count;
    for (let pairs = reader.varint(); pairs > 0; pairs--) {
      const distance = reader.varint();
      const offset = reader.varint();
      right = distance === 0 && right >= 0 ? right + 1 + offset : offset;
      left += distance;
      if (left >= known || right >= known || table.count === MAX_TOKENS) {
        throw new DamageError("bpe", `the pair ${left}, ${right} of ${known} tokens`);
      }
      if (table.lengths[left]! + table.lengths[right]! > MAX_PHRASE_BYTES) {
        throw new DamageError("bpe", `a token of more than ${MAX_PHRASE_BYTES} bytes`);
      }
      table.addPair(left, right);
    }
  }
  return table;
}
