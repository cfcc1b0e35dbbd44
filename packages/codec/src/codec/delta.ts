/**
 * Each number as its difference to the one `stride` elements before (the previous element, or the previous
 * row), for the codecs behind: differences of sorted, smooth or slowly changing numbers are small. It saves
 * nothing itself.
 *
 *     0  the words' differences, in place
 *     .  the bytes behind the last whole word, as they are
 *     .  u32  stride in words
 *     .  u8   bits 0-3: bytes of a word (1, 2, 4, 8); bit 4: floats; the rest: 0
 *
 * What describes the payload lies at its end, so that words stay aligned for the next step. Differences wrap
 * around, the words before the first count as 0. Small differences must be small numbers whatever their sign:
 *
 *   integers  zigzag: 0 -1 1 -2 2 ... become 0 1 2 3 4
 *   floats    taken as sign-ordered integers (negative ones with all bits but the sign inverted: their order
 *             is then that of the values, -0 is right below 0), the difference is mapped back the same way:
 *             it looks like a float again, sign on top, and `planes` treats it as one
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { DamageError, UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { bytesParameter } from "./elements.ts";
import { integerParameter } from "./parameters.ts";
import { type WordBytes, wordBytesOf } from "./planes.ts";

const WORD_BYTES: readonly WordBytes[] = [1, 2, 4, 8];
const FLOATS = 0x10;
const TRAILER_BYTES = 5;
/** No chunk has more elements than bytes, none more bytes than this. */
const MAX_STRIDE = 16_777_216;

export const delta: Codec = {
  id: "delta",
  code: 9,
  kind: "array-to-array",

  /**
   * `stride`: how many elements back (1: the previous element; a row's length: the previous row).
   * `wordBytes` and `floats` override what the dtype says, for opaque bytes that hold numbers.
   */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["stride", "wordBytes", "floats"], "delta");
    bytesParameter(parameters, "wordBytes", "delta", WORD_BYTES);
    const { floats } = parameters;
    if (floats !== undefined && typeof floats !== "boolean") {
      throw new UsageError("floats", `delta: floats is ${JSON.stringify(floats)}; it must be true or false`);
    }
    const range = { minimum: 1, maximum: MAX_STRIDE, fallback: 1 };
    return { ...parameters, stride: integerParameter(parameters, "stride", "delta", range) };
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const { dtype } = context;
    const own = parameters.wordBytes as WordBytes | undefined;
    const wordBytes = own ?? wordBytesOf(dtype);
    const floats = (parameters.floats as boolean | undefined) ?? isFloats(dtype, wordBytes);
    const wordsPerElement = own === undefined && dtype.kind === "complex" ? 2 : 1;
    const stride = (parameters.stride as number) * wordsPerElement;
    const output = new Uint8Array(input.length + TRAILER_BYTES);
    output.set(input);
    new DataView(output.buffer).setUint32(input.length, stride, true);
    output[input.length + 4] = wordBytes | (floats ? FLOATS : 0);
    const count = Math.floor(input.length / wordBytes);
    if (wordBytes === 8) encodePairs(new Int32Array(output.buffer, 0, 2 * count), 2 * stride, floats);
    else encodeWords(wordsIn(output, wordBytes, count), stride, floats, 8 * wordBytes - 1);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "delta");
    if (input.length !== context.bytes + TRAILER_BYTES) {
      throw new DamageError("delta", `holds ${input.length} bytes of ${context.bytes + TRAILER_BYTES}`);
    }
    const output = new Uint8Array(reader.bytes(context.bytes));
    const stride = reader.u32();
    const layout = reader.u8();
    const wordBytes = WORD_BYTES.find((bytes) => bytes === (layout & 0x0f));
    if (wordBytes === undefined || layout > (FLOATS | 8) || stride === 0) {
      throw new DamageError("delta", `unknown layout ${layout} with a stride of ${stride}`);
    }
    const floats = layout >= FLOATS;
    const count = Math.floor(output.length / wordBytes);
    if (wordBytes === 8) decodePairs(new Int32Array(output.buffer, 0, 2 * count), 2 * stride, floats);
    else decodeWords(wordsIn(output, wordBytes, count), stride, floats, 8 * wordBytes - 1);
    return output;
  },
};

/** Words of up to 32 bits as signed integers. */
type Words = Int8Array | Int16Array | Int32Array;

/** A view of memory that begins with the words. */
function wordsIn(memory: Uint8Array, wordBytes: 1 | 2 | 4, count: number): Words {
  if (wordBytes === 1) return new Int8Array(memory.buffer, 0, count);
  return wordBytes === 2 ? new Int16Array(memory.buffer, 0, count) : new Int32Array(memory.buffer, 0, count);
}

/** Whole floats; packed ones (4 and 6 bits) are bytes without a sign. */
function isFloats(dtype: DType, wordBytes: WordBytes): boolean {
  return (dtype.kind === "float" || dtype.kind === "complex") && (wordBytes > 1 || dtype.bits === 8);
}

/** In place, from the end, so that the words before are still as they were. `top` is the number of the sign bit. */
function encodeWords(words: Words, stride: number, floats: boolean, top: number): void {
  const unused = 31 - top;
  if (floats) {
    const mask = 2 ** top - 1;
    for (let index = words.length - 1; index >= 0; index--) {
      const word = words[index]!;
      const before = index < stride ? 0 : words[index - stride]!;
      const difference =
        (((word ^ ((word >> 31) & mask)) - (before ^ ((before >> 31) & mask))) << unused) >> unused;
      words[index] = difference ^ ((difference >> 31) & mask);
    }
    return;
  }
  for (let index = words.length - 1; index >= 0; index--) {
    const before = index < stride ? 0 : words[index - stride]!;
    const difference = ((words[index]! - before) << unused) >> unused;
    words[index] = (difference << 1) ^ (difference >> 31);
  }
}

function decodeWords(words: Words, stride: number, floats: boolean, top: number): void {
  const unused = 31 - top;
  if (floats) {
    const mask = 2 ** top - 1;
    for (let index = 0; index < words.length; index++) {
      const coded = words[index]!;
      const before = index < stride ? 0 : words[index - stride]!;
      const ordered =
        (((coded ^ ((coded >> 31) & mask)) + (before ^ ((before >> 31) & mask))) << unused) >> unused;
      words[index] = ordered ^ ((ordered >> 31) & mask);
    }
    return;
  }
  const mask = 2 ** (top + 1) - 1;
  for (let index = 0; index < words.length; index++) {
    const coded = words[index]! & mask;
    const before = index < stride ? 0 : words[index - stride]!;
    words[index] = ((coded >>> 1) ^ -(coded & 1)) + before;
  }
}

/** 64-bit words as pairs of halves, lower half first. `stride` counts halves. */
function encodePairs(halves: Int32Array, stride: number, floats: boolean): void {
  for (let at = halves.length - 2; at >= 0; at -= 2) {
    let low = halves[at]!;
    let high = halves[at + 1]!;
    let lowBefore = at < stride ? 0 : halves[at - stride]!;
    let highBefore = at < stride ? 0 : halves[at + 1 - stride]!;
    if (floats) {
      low ^= high >> 31;
      high ^= (high >> 31) & 0x7fffffff;
      lowBefore ^= highBefore >> 31;
      highBefore ^= (highBefore >> 31) & 0x7fffffff;
    }
    const borrow = low >>> 0 < lowBefore >>> 0 ? 1 : 0;
    low = (low - lowBefore) | 0;
    high = (high - highBefore - borrow) | 0;
    const sign = high >> 31;
    if (floats) {
      halves[at] = low ^ sign;
      halves[at + 1] = high ^ (sign & 0x7fffffff);
    } else {
      halves[at] = (low << 1) ^ sign;
      halves[at + 1] = ((high << 1) | (low >>> 31)) ^ sign;
    }
  }
}

function decodePairs(halves: Int32Array, stride: number, floats: boolean): void {
  for (let at = 0; at < halves.length; at += 2) {
    let low = halves[at]!;
    let high = halves[at + 1]!;
    let lowBefore = at < stride ? 0 : halves[at - stride]!;
    let highBefore = at < stride ? 0 : halves[at + 1 - stride]!;
    if (floats) {
      low ^= high >> 31;
      high ^= (high >> 31) & 0x7fffffff;
      lowBefore ^= highBefore >> 31;
      highBefore ^= (highBefore >> 31) & 0x7fffffff;
    } else {
      const sign = -(low & 1);
      low = ((low >>> 1) | (high << 31)) ^ sign;
      high = (high >>> 1) ^ sign;
    }
    const sum = (low >>> 0) + (lowBefore >>> 0);
    low = sum | 0;
    high = (high + highBefore + (sum > 0xffffffff ? 1 : 0)) | 0;
    const sign = floats ? high >> 31 : 0;
    halves[at] = low ^ sign;
    halves[at + 1] = high ^ (sign & 0x7fffffff);
  }
}
