/**
 * Context modelling: every bit is coded under a probability mixed from many contexts, which are learnt while coding. Smaller than
 * anything else here on weights, text and tables, at some 100 ns a bit in both directions: for archives.
 *
 *   0  u8   model: 0 stored, 1 bytes, 2 floats
 *
 *   stored  the input
 *   bytes   u8 width, 1-255; then the coded bits (context-coder.ts) of context-bytes.ts
 *   floats  u8   W, bytes of a word: 2 or 4
 *           u8   s, bytes before the first word, fewer than W
 *           u8   E, exponent bits: 5 or 8 (with W = 4, 8 only)
 *           u8   Z, bits at the bottom of all words that are zero
 *           u8   M, modelled bits of the mantissa; Z + M is at most its length m = 8 W - 1 - E
 *           u8   top exponent
 *           u32  stride, words; 0 none
 *                the bytes before the first word and those behind the last one, as they are
 *                for each word the m - Z - M bits of its mantissa that are neither, packed, the first in the lowest bits
 *                the coded bits of context-floats.ts
 *
 * Zero bytes at the end of coded bits are left out.
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError, LimitError } from "../errors/errors.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { codeBytes } from "./context-bytes.ts";
import { BitDecoder, BitEncoder } from "./context-coder.ts";
import { codeFloats } from "./context-floats.ts";
import { floatPlan } from "./context-plan.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";
import { parseWords, wordsOf } from "./word-blocks.ts";

const STORED = 0;
const BYTES = 1;
const FLOATS = 2;

/** Longest input, 32 MiB: that of a step of a chain. It takes a minute, and no caller's word alone is taken for that. */
const MAX_BYTES = 2 ** 25;

export const context: Codec = {
  id: "context",
  code: 17,
  // By the dtype where it comes first, by bytes behind other steps.
  kind: "bytes-to-bytes",

  /**
   * `wordBytes` and `exponentBits` override what the dtype says, as those of `entropy`; then `skip` says how many bytes lie before the
   * first float.
   */
  parse(parameters: JsonObject): JsonObject {
    const { skip, ...words } = parameters;
    const parsed = parseWords(words, "context");
    if (skip === undefined) return parsed;
    const maximum = parsed.wordBytes === undefined ? 0 : (parsed.wordBytes as number) - 1;
    return {
      ...parsed,
      skip: integerParameter(parameters, "skip", "context", { minimum: 0, maximum, fallback: 0 }),
    };
  },

  encode(input: Uint8Array, { dtype }: EncodeContext, parameters: JsonObject): Uint8Array {
    if (input.length > MAX_BYTES) return stored(input);
    const { wordBytes, exponentBits, skip = 0 } = parameters;
    const words =
      wordBytes === undefined
        ? wordsOf(dtype)
        : { elementBytes: wordBytes as number, exponentBits: exponentBits as number };
    const isFloat =
      words.exponentBits > 0 &&
      (words.elementBytes === 2 || (words.elementBytes === 4 && words.exponentBits === 8)) &&
      input.length >= words.elementBytes + (skip as number);
    const output = isFloat
      ? encodeFloats(input, words.elementBytes as 2 | 4, words.exponentBits, skip as number)
      : encodeBytes(input, words.elementBytes);
    return output.length > input.length ? stored(input) : output;
  },

  decode(input: Uint8Array, { bytes }: DecodeContext): Uint8Array {
    if (input[0] === STORED) return exactly(input.subarray(1), bytes, "context");
    if (bytes > MAX_BYTES) throw new LimitError("bytes", bytes, MAX_BYTES, "context");
    const reader = new ByteReader(input, "context");
    const model = reader.u8();
    if (model === BYTES) return decodeBytes(reader, bytes);
    if (model === FLOATS) return decodeFloats(reader, bytes);
    throw new DamageError("context", `the model ${model}`);
  },
};

function stored(input: Uint8Array): Uint8Array {
  const output = new Uint8Array(1 + input.length);
  output[0] = STORED;
  output.set(input, 1);
  return output;
}

function encodeBytes(input: Uint8Array, width: number): Uint8Array {
  const coder = new BitEncoder();
  // The model writes what it codes back: the same bytes, but perhaps memory that must not be written to.
  codeBytes(coder, input.slice(), width);
  return new ByteWriter(2 + (input.length >> 1)).u8(BYTES).u8(width).bytes(coder.finish()).finish();
}

function decodeBytes(reader: ByteReader, bytes: number): Uint8Array {
  const width = reader.u8();
  if (width === 0) throw new DamageError("context", "a width of 0");
  const coder = new BitDecoder(reader.bytes(reader.remaining));
  const output = new Uint8Array(bytes);
  codeBytes(coder, output, width);
  coder.finish();
  return output;
}

function encodeFloats(input: Uint8Array, wordBytes: 2 | 4, exponentBits: number, skip: number): Uint8Array {
  const words = readWords(input.subarray(skip), wordBytes);
  const mantissaBits = 8 * wordBytes - 1 - exponentBits;
  const { zeroBits, modelledBits, top, stride } = floatPlan(words, exponentBits, mantissaBits);
  const rawBits = mantissaBits - zeroBits - modelledBits;
  const raw = packBits(words, zeroBits, rawBits);
  const upper = words.map((word) => word >>> (zeroBits + rawBits));
  const coder = new BitEncoder();
  codeFloats(coder, upper, { exponentBits, modelledBits, top, stride });
  return new ByteWriter(16 + raw.length + (input.length >> 1))
    .u8(FLOATS)
    .u8(wordBytes)
    .u8(skip)
    .u8(exponentBits)
    .u8(zeroBits)
    .u8(modelledBits)
    .u8(top)
    .u32(stride)
    .bytes(input.subarray(0, skip))
    .bytes(input.subarray(skip + words.length * wordBytes))
    .bytes(raw)
    .bytes(coder.finish())
    .finish();
}

function decodeFloats(reader: ByteReader, bytes: number): Uint8Array {
  const wordBytes = reader.u8();
  const skip = reader.u8();
  const exponentBits = reader.u8();
  const zeroBits = reader.u8();
  const modelledBits = reader.u8();
  const top = reader.u8();
  const stride = reader.u32();
  const mantissaBits = 8 * wordBytes - 1 - exponentBits;
  if (
    !(wordBytes === 2 || wordBytes === 4) ||
    !(exponentBits === 8 || (exponentBits === 5 && wordBytes === 2)) ||
    zeroBits + modelledBits > mantissaBits ||
    skip >= wordBytes ||
    skip > bytes
  ) {
    throw new DamageError(
      "context",
      `words of ${wordBytes} bytes, ${exponentBits}, ${zeroBits}, ${modelledBits} bits`,
    );
  }
  const count = Math.floor((bytes - skip) / wordBytes);
  if (stride > count) throw new DamageError("context", `a stride of ${stride} in ${count} words`);
  const before = reader.bytes(skip);
  const behind = reader.bytes(bytes - skip - count * wordBytes);
  const rawBits = mantissaBits - zeroBits - modelledBits;
  const raw = reader.bytes(Math.ceil((count * rawBits) / 8));
  const coder = new BitDecoder(reader.bytes(reader.remaining));
  const words = new Uint32Array(count);
  codeFloats(coder, words, { exponentBits, modelledBits, top, stride });
  coder.finish();
  for (let index = 0; index < count; index++) words[index]! <<= zeroBits + rawBits;
  unpackBits(raw, rawBits, words, zeroBits);
  const output = new Uint8Array(bytes);
  output.set(before);
  for (let index = 0, at = skip; index < count; index++) {
    for (let byte = 0; byte < wordBytes; byte++) output[at++] = words[index]! >>> (8 * byte);
  }
  output.set(behind, skip + count * wordBytes);
  return output;
}

function readWords(input: Uint8Array, wordBytes: 2 | 4): Uint32Array {
  const words = new Uint32Array(Math.floor(input.length / wordBytes));
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  for (let index = 0; index < words.length; index++) {
    words[index] = wordBytes === 2 ? view.getUint16(2 * index, true) : view.getUint32(4 * index, true);
  }
  return words;
}

/** `width` bits of each word, from bit `from` on. */
function packBits(words: Uint32Array, from: number, width: number): Uint8Array {
  const packed = new Uint8Array(Math.ceil((words.length * width) / 8));
  const mask = 2 ** width - 1;
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (let index = 0; index < words.length; index++) {
    pending |= ((words[index]! >>> from) & mask) << pendingBits;
    pendingBits += width;
    for (; pendingBits >= 8; pendingBits -= 8, pending >>>= 8) packed[at++] = pending;
  }
  if (pendingBits > 0) packed[at] = pending;
  return packed;
}

function unpackBits(packed: Uint8Array, width: number, words: Uint32Array, to: number): void {
  const mask = 2 ** width - 1;
  let pending = 0;
  let pendingBits = 0;
  let at = 0;
  for (let index = 0; index < words.length; index++) {
    for (; pendingBits < width; pendingBits += 8) pending |= packed[at++]! << pendingBits;
    words[index]! |= (pending & mask) << to;
    pending >>>= width;
    pendingBits -= width;
  }
}
