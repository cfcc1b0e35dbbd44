/**
 * Words coded by their differences to those of a sibling: an earlier checkpoint, the base of a fine-tune, the float32 master of a
 * rounded copy. The kernel (@tensorcask/kernels) tells from the sibling how far a word is likely to have moved.
 *
 *   0  u8       type of the words, by its dtype code: float16, bfloat16 or float32
 *   1  u8       type of the sibling's words, another of these, or the same; they are converted to the former (sibling-words.ts)
 *   2  blocks   u32: length in bits 0-30, bit 31 where the block is coded without the sibling, as by `entropy`; then the block
 *   .  tail     the bytes behind the last whole word, as they are
 *
 * The first blocks hold the words that the sibling has, too, 131,072 each and what is left in the last one. The words that lie behind
 * its end follow in blocks of their own, without it.
 */
import {
  BLOCK_ELEMENTS_LIMIT,
  DamagedBlockError,
  decodeBlock,
  decodeDifference,
  encodeBlock,
  encodeDifference,
  encodedLimit,
} from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { type DType, dtypeOf, dtypeOfCode } from "../tensor/dtype.ts";
import { type Codec, type DecodeContext, type EncodeContext, type Sibling, siblingBytesOf } from "./codec.ts";
import { convertedWords, type DifferenceType, differenceTypeOf } from "./sibling-words.ts";
import { type Words, wordsOf } from "./word-blocks.ts";

const HEADER_BYTES = 2;
const LENGTH_BYTES = 4;
const WITHOUT_SIBLING = 2 ** 31;

export const sibling: Codec = {
  id: "sibling",
  code: 10,
  kind: "array-to-bytes",
  needsSibling: true,

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, [], "sibling");
    return {};
  },

  encode(input: Uint8Array, { dtype, sibling, out }: EncodeContext): Uint8Array {
    const bytes = siblingBytesOf(sibling?.bytes, "sibling");
    // Never undefined without a limit.
    return encodeDifferences(input, dtype, { bytes, dtype: sibling?.dtype ?? dtype }, undefined, out)!;
  },

  decode(input: Uint8Array, { bytes, sibling, out = new Uint8Array(bytes) }: DecodeContext): Uint8Array {
    const given = siblingBytesOf(sibling, "sibling");
    const [type, from] = [input[0], input[1]].map((code) => typeOfCode(code)) as [
      DifferenceType?,
      DifferenceType?,
    ];
    if (type === undefined || from === undefined)
      throw new DamageError("sibling", `words of types ${input[0]} and ${input[1]} are not coded so`);
    const words = wordsOf(dtypeOf(type));
    const other = convertedWords(given, from, type);
    const cuts = cutsOf(bytes, other.length, words);
    const view = new DataView(input.buffer, input.byteOffset, input.length);
    let at = HEADER_BYTES;
    for (const { start, end, isShared } of cuts.blocks) {
      if (at + LENGTH_BYTES > input.length) throw new DamageError("sibling", "a block is missing");
      const head = view.getUint32(at, true);
      const length = head % WITHOUT_SIBLING;
      at += LENGTH_BYTES;
      if (length > input.length - at)
        throw new DamageError("sibling", `a block of ${length} bytes lies beyond the end`);
      const block = input.subarray(at, at + length);
      at += length;
      if (head < WITHOUT_SIBLING && !isShared)
        throw new DamageError("sibling", "a block is coded against words that the sibling does not have");
      const against = head < WITHOUT_SIBLING ? other.subarray(start, end) : undefined;
      decodeInto(block, against, words, out.subarray(start, end));
    }
    if (input.length - at !== bytes - cuts.whole)
      throw new DamageError("sibling", "the bytes behind the last block are not as many as declared");
    out.set(input.subarray(at), cuts.whole);
    return out;
  },
};

/**
 * The payload of `sibling`, or undefined where it would be longer than `limit` bytes, which is known before anything is coded. Bytes of
 * types that have no differences are taken for float32: exact, and of no use. `room`: where the payload may lie.
 */
export function encodeDifferences(
  input: Uint8Array,
  dtype: DType,
  sibling: Sibling,
  limit?: number,
  room?: Uint8Array,
): Uint8Array | undefined {
  const type = differenceTypeOf(dtype) ?? "float32";
  const from = sourceTypeOf(sibling.dtype, type);
  const words = wordsOf(dtypeOf(type));
  const other = convertedWords(sibling.bytes, from, type);
  const { blocks, whole } = cutsOf(input.length, other.length, words);
  const needed = HEADER_BYTES + blocks.length * (LENGTH_BYTES + encodedLimit(0) + 1) + input.length;
  const out = room !== undefined && room.length >= needed ? room : new Uint8Array(needed);
  const end = limit === undefined ? needed : Math.min(needed, Math.floor(limit));
  const view = new DataView(out.buffer, out.byteOffset, out.length);
  out[0] = dtypeOf(type).code;
  out[1] = dtypeOf(from).code;
  let at = HEADER_BYTES;
  for (const cut of blocks) {
    const block = input.subarray(cut.start, cut.end);
    const start = at + LENGTH_BYTES;
    const difference =
      cut.isShared && start < end
        ? encodeDifference(block, other.subarray(cut.start, cut.end), words, out.subarray(start, end))
        : undefined;
    // Of a chunk of one block nothing is left to code against the sibling.
    if (difference === undefined && limit !== undefined && blocks.length === 1) return undefined;
    const length = difference ?? encodeBlock(block, words, "rans", out.subarray(start));
    view.setUint32(at, difference === undefined ? length + WITHOUT_SIBLING : length, true);
    at = start + length;
    if (at > end) return undefined;
  }
  out.set(input.subarray(whole), at);
  return out.subarray(0, at + input.length - whole);
}

/** The type that the sibling's words are read as: that of the chunk where their own has no differences. */
function sourceTypeOf(dtype: DType, type: DifferenceType): DifferenceType {
  return differenceTypeOf(dtype) ?? type;
}

function typeOfCode(code: number | undefined): DifferenceType | undefined {
  const dtype = code === undefined ? undefined : dtypeOfCode(code);
  return dtype?.kind === "float" ? differenceTypeOf(dtype) : undefined;
}

/** A run of words in a chunk, as bytes from `start` to `end`. */
interface Cut {
  readonly start: number;
  readonly end: number;
  /** Whether the sibling has words for it. */
  readonly isShared: boolean;
}

/** How `bytes` bytes are cut into blocks against a sibling of `otherBytes`; `whole` is where the last whole word ends. */
function cutsOf(
  bytes: number,
  otherBytes: number,
  { elementBytes }: Words,
): { readonly blocks: readonly Cut[]; readonly whole: number } {
  const whole = bytes - (bytes % elementBytes);
  const shared = Math.min(whole, otherBytes - (otherBytes % elementBytes));
  const blockBytes = BLOCK_ELEMENTS_LIMIT * elementBytes;
  const blocks: Cut[] = [];
  for (let start = 0; start < whole; ) {
    const isShared = start < shared;
    const end = Math.min(start + blockBytes, isShared ? shared : whole);
    blocks.push({ start, end, isShared });
    start = end;
  }
  return { blocks, whole };
}

/** Decodes a block of words, against words of the sibling if it was coded so. */
function decodeInto(block: Uint8Array, other: Uint8Array | undefined, words: Words, out: Uint8Array): void {
  try {
    if (other === undefined) decodeBlock(block, out);
    else decodeDifference(block, other, words, out);
  } catch (error) {
    if (error instanceof DamagedBlockError) throw new DamageError("sibling", error.message, { cause: error });
    throw error;
  }
}
