/**
 * What the two coders of words share: cutting into blocks that the kernels code, and their layout.
 *
 *   0  u8       W, bytes of a word: 1, 2, 4 or 8
 *   1  blocks   u32 length, then a block (@tensorcask/kernels); each decodes to 131,072 words, the last one to the rest
 *   .  tail     what is left behind the last whole word, fewer than W bytes, as it is
 */
import {
  BLOCK_ELEMENTS_LIMIT,
  type BlockCoder,
  DamagedBlockError,
  decodeBlock,
  encodeBlock,
  encodedLimit,
} from "@tensorcask/kernels";
import type { JsonObject } from "../bytes/json.ts";
import { DamageError, UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { DType } from "../tensor/dtype.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";

/** How the bytes are to be read: words of so many bytes, floats with so many exponent bits (0: no floats). */
export interface Words {
  readonly elementBytes: 1 | 2 | 4 | 8;
  readonly exponentBits: number;
}

const WORD_BYTES: readonly number[] = [1, 2, 4, 8];

/** Words of a dtype; complex numbers are read as their parts, packed bits as bytes. */
export function wordsOf({ bits, kind, exponentBits = 0 }: DType): Words {
  const part = kind === "complex" ? bits / 2 : bits;
  const elementBytes = part === 16 ? 2 : part === 32 ? 4 : part === 64 ? 8 : 1;
  return { elementBytes, exponentBits: part < 8 ? 0 : exponentBits };
}

/** Words that a caller found in bytes of another dtype. */
export function parseWords(parameters: JsonObject, id: string): JsonObject {
  refuseUnknownParameters(parameters, ["wordBytes", "exponentBits"], id);
  const { wordBytes, exponentBits } = parameters;
  if (wordBytes === undefined && exponentBits === undefined) return {};
  if (!WORD_BYTES.includes(wordBytes as number)) {
    throw new UsageError(
      "wordBytes",
      `${id}: wordBytes is ${JSON.stringify(wordBytes)}; it must be 1, 2, 4 or 8`,
    );
  }
  if (![0, 4, 5, 8, 11].includes(exponentBits as number)) {
    throw new UsageError(
      "exponentBits",
      `${id}: exponentBits is ${JSON.stringify(exponentBits)}; it must be 0, 4, 5, 8 or 11`,
    );
  }
  return { wordBytes: wordBytes!, exponentBits: exponentBits! };
}

const BLOCK_LENGTH_BYTES = 4;

/** A codec that codes words by one of the kernels' block coders. */
export function wordBlockCodec(id: string, code: number, coder: BlockCoder): Codec {
  return {
    id,
    code,
    kind: "array-to-bytes",

    parse: (parameters) => parseWords(parameters, id),

    encode(
      input: Uint8Array,
      { dtype, out: room }: EncodeContext,
      { wordBytes, exponentBits }: JsonObject,
    ): Uint8Array {
      const words =
        wordBytes === undefined
          ? wordsOf(dtype)
          : { elementBytes: wordBytes as Words["elementBytes"], exponentBits: exponentBits as number };
      const blockBytes = BLOCK_ELEMENTS_LIMIT * words.elementBytes;
      const tail = input.length % words.elementBytes;
      const whole = input.length - tail;
      const blocks = Math.ceil(whole / blockBytes);
      const lengths = blocks * BLOCK_LENGTH_BYTES;
      const needed = 1 + lengths + whole + blocks * (encodedLimit(0) + 1) + tail;
      const out = room !== undefined && room.length >= needed ? room : new Uint8Array(needed);
      const view = new DataView(out.buffer, out.byteOffset, out.length);
      out[0] = words.elementBytes;
      let at = 1;
      for (let from = 0; from < whole; from += blockBytes) {
        const block = input.subarray(from, Math.min(from + blockBytes, whole));
        const length = encodeBlock(block, words, coder, out.subarray(at + BLOCK_LENGTH_BYTES));
        view.setUint32(at, length, true);
        at += BLOCK_LENGTH_BYTES + length;
      }
      out.set(input.subarray(whole), at);
      return out.subarray(0, at + tail);
    },

    decode(input: Uint8Array, { bytes, out = new Uint8Array(bytes) }: DecodeContext): Uint8Array {
      const wordBytes = input[0];
      if (wordBytes === undefined || !WORD_BYTES.includes(wordBytes))
        throw new DamageError(id, "the word size is not one");
      const view = new DataView(input.buffer, input.byteOffset, input.length);
      const blockBytes = BLOCK_ELEMENTS_LIMIT * wordBytes;
      const whole = bytes - (bytes % wordBytes);
      let at = 1;
      for (let from = 0; from < whole; from += blockBytes) {
        if (at + BLOCK_LENGTH_BYTES > input.length) throw new DamageError(id, "a block is missing");
        const length = view.getUint32(at, true);
        at += BLOCK_LENGTH_BYTES;
        if (length > input.length - at)
          throw new DamageError(id, `a block of ${length} bytes lies beyond the end`);
        decodeInto(
          id,
          input.subarray(at, at + length),
          out.subarray(from, Math.min(from + blockBytes, whole)),
        );
        at += length;
      }
      if (input.length - at !== bytes - whole)
        throw new DamageError(id, "the bytes behind the last block are not as many as declared");
      out.set(input.subarray(at), whole);
      return out;
    },
  };
}

function decodeInto(id: string, block: Uint8Array, out: Uint8Array): void {
  try {
    decodeBlock(block, out);
  } catch (error) {
    if (error instanceof DamagedBlockError) throw new DamageError(id, error.message, { cause: error });
    throw error;
  }
}
