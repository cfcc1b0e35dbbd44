/**
 * Few values, or values close to few. Words that take at most 256 values become a table and indices, with one
 * table after the other where stretches (rows with scales of their own) have their own values; words that lie
 * around up to 256 centres become the centre's index and the exact difference to it. Where neither is smaller,
 * they stay as they are.
 *
 *     0  u8  bits 0-1: log2 of the bytes of a word (0-3); bits 2-3: form; bit 4: indices are packed (palette.ts),
 *            else bytes; bit 5: words are floats (form 2); bits 6-7: bytes before the first word
 *
 *     form 0  the input; the other bits mean nothing
 *     form 1  u8 values - 1 | the values, ascending | a stream of indices, if there are two values or more
 *             | the bytes before the first and behind the last whole word
 *     form 2  u8 centres - 1 | the centres, as many bytes each as a word has, but 4 at most | a stream of
 *             indices, as above | a stream per byte of a word: the differences, least significant byte first,
 *             then the lower 4 bytes of 8-byte words | the bytes around the words
 *     form 3  varint tables - 1 | per table: varint words that it is for, u8 values - 1 | varint length of a payload
 *             of `planes` | that payload: all values of all tables | a stream of indices, a byte each
 *             | the bytes before the first and behind the last whole word
 *
 * Form 2 takes words as signed integers, floats as sign-ordered ones (as `delta` does), of 8-byte words the
 * upper half. A difference is zigzag-coded (0 -1 1 -2 2 as 0 1 2 3 4), modulo the word: whatever the centres
 * are, it is exact. Its upper bytes are zero as far as the clusters are narrow, and cost nothing.
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { readCentres, writeCentres } from "./cluster-centres.ts";
import { readPalette, readPalettes, wordOrder, writePalette, writePalettes } from "./cluster-palettes.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { bytesParameter, outputAround, unitBytesOf, unitsOf } from "./elements.ts";
import { exactly } from "./exactly.ts";
import { palettesOf } from "./palette.ts";
import { integerParameter } from "./parameters.ts";
import { type WordBytes, wordBytesOf } from "./planes.ts";

const WORD_BYTES: readonly WordBytes[] = [1, 2, 4, 8];
const FORM_MASK = 0x0c;
const PLAIN = 0x00;
const PALETTE = 0x04;
const CENTRES = 0x08;
const PALETTES = 0x0c;
const PACKED = 0x10;
const FLOATS = 0x20;
const SKIP_SHIFT = 6;
const MAX_SKIP = 3;
/** Fewer words than this are not worth looking for clusters. */
const FEWEST_CLUSTERED_WORDS = 256;

export const cluster: Codec = {
  id: "cluster",
  code: 14,
  kind: "array-to-bytes",

  /**
   * `wordBytes` overrides what the dtype says; `skip` (0-3) is how many bytes come before the first word, for
   * opaque bytes that hold numbers somewhere.
   */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["wordBytes", "skip"], "cluster");
    bytesParameter(parameters, "wordBytes", "cluster", WORD_BYTES);
    const range = { minimum: 0, maximum: MAX_SKIP, fallback: 0 };
    return { ...parameters, skip: integerParameter(parameters, "skip", "cluster", range) };
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const { dtype } = context;
    const wordBytes = (parameters.wordBytes as WordBytes | undefined) ?? wordBytesOf(dtype);
    // Bytes that hold words of another width than they say are floats most of all.
    const isOther = wordBytes > 1 && wordBytes !== wordBytesOf(dtype);
    const floats = isOther || dtype.kind === "float" || dtype.kind === "complex";
    const skip = Math.min(parameters.skip as number, input.length);
    const words = Math.floor((input.length - skip) / wordBytes);
    const unitBytes = unitBytesOf(wordBytes);
    const perWord = wordBytes === 8 ? 2 : 1;
    const units = unitsOf(input.subarray(skip), unitBytes, words * perWord);
    const layout = Math.log2(wordBytes) | (skip << SKIP_SHIFT);

    const found = words === 0 ? undefined : palettesOf(units, perWord, wordOrder(unitBytes, perWord, floats));
    const writer = new ByteWriter(1024 + (input.length >> 1));
    let flags = PLAIN;
    // The first byte is known last.
    writer.u8(0);
    if (found?.palettes.length === 1) {
      flags = PALETTE | (writePalette(writer, found, unitBytes, perWord) ? PACKED : 0);
    } else if (found !== undefined) {
      writePalettes(writer, found, wordBytes, floats);
      flags = PALETTES;
    } else if (wordBytes > 1 && words >= FEWEST_CLUSTERED_WORDS) {
      const isPacked = writeCentres(writer, units, wordBytes, floats);
      if (isPacked !== undefined) flags = CENTRES | (isPacked ? PACKED : 0) | (floats ? FLOATS : 0);
    }
    if (flags !== PLAIN) {
      writer.bytes(input.subarray(0, skip)).bytes(input.subarray(skip + words * wordBytes));
      if (writer.length <= input.length) {
        const output = writer.finish();
        output[0] = layout | flags;
        return output;
      }
    }
    const output = new Uint8Array(1 + input.length);
    output.set(input, 1);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "cluster");
    const flags = reader.u8();
    const form = flags & FORM_MASK;
    if (form === PLAIN) return exactly(input.subarray(1), context.bytes, "cluster");
    const wordBytes = WORD_BYTES[flags & 3]!;
    const skip = flags >> SKIP_SHIFT;
    if ((form === CENTRES && wordBytes === 1) || skip > context.bytes)
      throw new DamageError("cluster", `unknown layout ${flags}`);
    const words = Math.floor((context.bytes - skip) / wordBytes);
    const wordsEnd = skip + words * wordBytes;
    const { output, words: decoded } = outputAround(skip, words * wordBytes, context.bytes - wordsEnd);
    const isPacked = (flags & PACKED) !== 0;
    const floats = (flags & FLOATS) !== 0;
    if (form === PALETTE) readPalette(reader, isPacked, wordBytes, decoded, words);
    else if (form === PALETTES) readPalettes(reader, wordBytes, decoded, words);
    else readCentres(reader, { isPacked, floats }, wordBytes, decoded, words);
    output.set(reader.bytes(skip));
    output.set(reader.bytes(context.bytes - wordsEnd), wordsEnd);
    if (reader.remaining !== 0)
      throw new DamageError("cluster", `${reader.remaining} bytes follow the words`);
    return output;
  },
};
