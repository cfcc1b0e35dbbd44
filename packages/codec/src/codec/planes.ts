/**
 * Byte planes of numbers, each coded by what suits it. Interleaved words hide what bytes of one significance
 * have in common: the exponents of weights take 2.6 to 3 bits, their mantissas 8, and coders that see both at
 * once get neither.
 *
 *     0  u8   bits 0-3: bytes of a word (1, 2, 4, 8); bit 4: words are rotated left by one bit; bit 5 (4-byte words, without
 *             bit 4): the upper halves are rotated left by one bit, as words of their own; bits 6-7: 0
 *     1  per plane, least significant first: coder u8, payload length varint
 *     .  the planes' payloads, in the same order
 *     .  the bytes behind the last whole word, as they are
 *
 * Floats are rotated: the exponent then fills the top byte (bfloat16, float32), the sign lies at the bottom.
 * Complex numbers are two words. float32 that holds bfloat16 values has nothing but zeros in its lower
 * halves; rotated as a whole it would put the signs there, so its upper halves are rotated alone: two
 * constant planes, and the very planes of bfloat16.
 */
import { joinPlanes, type PlaneElementBytes, splitPlanes } from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError, UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { type CodedPlane, decodePlane, encodePlane, isConstant } from "./plane-coding.ts";
import { hasRepeats } from "./sampling.ts";

/** Bytes of a word that is split into planes; 1 leaves the bytes as they are: one plane. */
export type WordBytes = 1 | PlaneElementBytes;

const ROTATED = 0x10;
const UPPER_ROTATED = 0x20;
/** A length in the plane table takes 4 bytes at most: planes are shorter than 2^28 bytes, as chunks are. */
const MAX_TABLE_BYTES = 1 + 8 * (1 + 4);

export const planes: Codec = {
  id: "planes",
  code: 5,
  kind: "array-to-bytes",

  /** `wordBytes` and `rotate` override what the dtype says, for opaque bytes that hold numbers. */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["wordBytes", "rotate"], "planes");
    const { wordBytes, rotate } = parameters;
    if (wordBytes !== undefined && !isWordBytes(wordBytes)) {
      throw new UsageError(
        "wordBytes",
        `planes: wordBytes is ${JSON.stringify(wordBytes)}; it must be 1, 2, 4 or 8`,
      );
    }
    if (rotate !== undefined && typeof rotate !== "boolean") {
      throw new UsageError("rotate", `planes: rotate is ${JSON.stringify(rotate)}; it must be true or false`);
    }
    return parameters;
  },

  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array {
    const wordBytes = (parameters.wordBytes as WordBytes | undefined) ?? wordBytesOf(context.dtype);
    const rotate = wordBytes > 1 && ((parameters.rotate as boolean | undefined) ?? isRotated(context.dtype));
    const count = Math.floor(input.length / wordBytes);
    const words = input.subarray(0, count * wordBytes);
    const repeats = context.repeats ?? hasRepeats(words);
    const { layout, split } = splitWords(words, wordBytes, rotate);

    const coded: CodedPlane[] = [];
    const table = new ByteWriter(MAX_TABLE_BYTES).u8(layout);
    let bytes = input.length - words.length;
    for (let plane = 0; plane < wordBytes; plane++) {
      const one = encodePlane(split.subarray(plane * count, (plane + 1) * count), repeats);
      coded.push(one);
      table.u8(one.coder).varint(one.payload.length);
      bytes += one.payload.length;
    }
    const output = new Uint8Array(table.length + bytes);
    output.set(table.finish());
    let at = table.length;
    for (const { payload } of coded) {
      output.set(payload, at);
      at += payload.length;
    }
    output.set(input.subarray(words.length), at);
    return output;
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "planes");
    const layout = reader.u8();
    const wordBytes = layout & 0x0f;
    const transform = layout - wordBytes;
    const known =
      transform === 0 || transform === ROTATED || (transform === UPPER_ROTATED && wordBytes === 4);
    if (!isWordBytes(wordBytes) || !known) throw new DamageError("planes", `unknown layout ${layout}`);
    const table: { coder: number; bytes: number }[] = [];
    for (let plane = 0; plane < wordBytes; plane++)
      table.push({ coder: reader.u8(), bytes: reader.varint() });

    const count = Math.floor(context.bytes / wordBytes);
    const output = new Uint8Array(context.bytes);
    // Half as much again, for the way of upper halves back through words of their own.
    const memory = wordBytes === 1 ? output : scratchOf(count * wordBytes * 1.5);
    const split = memory.subarray(0, count * wordBytes);
    for (let plane = 0; plane < wordBytes; plane++) {
      const { coder, bytes } = table[plane]!;
      decodePlane(coder, reader.bytes(bytes), split.subarray(plane * count, (plane + 1) * count));
    }
    if (transform === UPPER_ROTATED) {
      const upper = split.subarray(2 * count);
      splitPlanes(joinPlanes(upper, 2, true, memory.subarray(4 * count)), 2, false, upper);
    }
    if (wordBytes > 1) joinPlanes(split, wordBytes as PlaneElementBytes, transform === ROTATED, output);
    const tail = context.bytes - count * wordBytes;
    if (reader.remaining !== tail) {
      throw new DamageError("planes", `${reader.remaining} bytes follow the planes, ${tail} were declared`);
    }
    output.set(reader.bytes(tail), count * wordBytes);
    return output;
  },
};

/** The planes of `words`, back to back, and the layout byte that says how they came about. */
function splitWords(
  words: Uint8Array,
  wordBytes: WordBytes,
  rotate: boolean,
): { layout: number; split: Uint8Array } {
  if (wordBytes === 1) return { layout: 1, split: words };
  if (wordBytes === 4 && rotate) {
    const split = splitUpperHalves(words);
    if (split !== undefined) return { layout: 4 | UPPER_ROTATED, split };
  }
  const split = splitPlanes(words, wordBytes, rotate, scratchOf(words.length));
  return { layout: wordBytes | (rotate ? ROTATED : 0), split };
}

/** Words looked at before the lower halves of all are. */
const PROBED_WORDS = 64;

/**
 * The planes of 4-byte words whose lower halves are all alike, upper halves rotated; undefined for other
 * words.
 */
function splitUpperHalves(words: Uint8Array): Uint8Array | undefined {
  const count = words.length / 4;
  const step = Math.max(1, Math.floor(count / PROBED_WORDS)) * 4;
  for (let at = 0; at < words.length; at += step) {
    if (words[at] !== words[0] || words[at + 1] !== words[1]) return undefined;
  }
  const memory = scratchOf(words.length * 1.5);
  const split = splitPlanes(words, 4, false, memory);
  if (!isConstant(split.subarray(0, count)) || !isConstant(split.subarray(count, 2 * count)))
    return undefined;
  const upper = split.subarray(2 * count);
  splitPlanes(joinPlanes(upper, 2, false, memory.subarray(4 * count)), 2, true, upper);
  return split;
}

/**
 * The word that planes are made of: the element, or its component for complex numbers; bytes for everything
 * narrower.
 */
export function wordBytesOf(dtype: DType): WordBytes {
  const bytes = dtype.bits / (dtype.kind === "complex" ? 16 : 8);
  return bytes === 2 || bytes === 4 || bytes === 8 ? bytes : 1;
}

function isRotated(dtype: DType): boolean {
  return dtype.kind === "float" || dtype.kind === "complex";
}

function isWordBytes(value: unknown): value is WordBytes {
  return value === 1 || value === 2 || value === 4 || value === 8;
}

/** Kept scratch: 4 MiB cover every chunk of default size; more is taken and given back per call. */
const KEPT_SCRATCH_BYTES = 4_194_304;
let scratch = new Uint8Array(0);

/**
 * Memory of this thread for split planes, valid until the next call: the first touch of fresh memory costs
 * more than the split itself.
 */
function scratchOf(bytes: number): Uint8Array {
  if (bytes > KEPT_SCRATCH_BYTES) return new Uint8Array(bytes);
  if (bytes > scratch.length)
    scratch = new Uint8Array(Math.max(bytes, Math.min(2 * scratch.length, KEPT_SCRATCH_BYTES)));
  return scratch.subarray(0, bytes);
}
