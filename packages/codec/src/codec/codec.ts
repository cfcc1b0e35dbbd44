/**
 * What a lossless codec is. Every codec is one such object in one file and one line in the registry. In
 * Zarr's terms there are three kinds, and a chain is any number of array-to-array steps, at most one
 * array-to-bytes step, then bytes-to-bytes steps.
 *
 * The output of `encode` describes itself: whatever `decode` needs beside the dtype and the decoded length
 * (levels, tables, plane layout) is in the bytes. So a frame names its steps by code only, and a preset that
 * changes later changes nothing for what is stored.
 */
import type { JsonObject } from "../bytes/json.ts";
import { DamageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";

export type CodecKind = "array-to-array" | "array-to-bytes" | "bytes-to-bytes";

/** What a codec may know of the data: the type of the elements (uint8 behind an array-to-bytes step). */
export interface CodecContext {
  readonly dtype: DType;
}

/** The chunk that another one is coded against, from its first element on. It may be longer, shorter, or of another type. */
export interface Sibling {
  readonly bytes: Uint8Array;
  readonly dtype: DType;
}

export interface EncodeContext extends CodecContext {
  /** Whether stretches of the input come again, where the caller has looked already (`hasRepeats`). */
  readonly repeats?: boolean;
  /** For codecs that need one. */
  readonly sibling?: Sibling;
  /** Room that the encoder may put its result into, instead of making some. Must not overlap the input. */
  readonly out?: Uint8Array;
}

/**
 * `bytes` is the exact decoded length. A decoder returns that many bytes or throws `DamageError`, and takes
 * no more memory than that asks for.
 */
export interface DecodeContext extends CodecContext {
  readonly bytes: number;
  /** The bytes of the sibling, for codecs that need one. */
  readonly sibling?: Uint8Array;
  /** Exactly `bytes` bytes that the decoder may put its result into, instead of making some. */
  readonly out?: Uint8Array;
}

/** A lossless codec. Both directions take any bytes of any length, whether or not they are whole elements. */
export interface Codec {
  readonly id: string;
  /** Number on disk, 1-255. */
  readonly code: number;
  readonly kind: CodecKind;
  /** It codes a chunk against another one. Then it is the first step, is never asked for by name, and needs `sibling` both ways. */
  readonly needsSibling?: true;
  /**
   * Completes and checks parameters. Throws `UsageError` that names the parameter; unknown ones are refused
   * by name.
   */
  parse(parameters: JsonObject): JsonObject;
  /**
   * Encodes; `parameters` come from `parse`. The result is memory of its own or lies in `context.out`; it is
   * never a view of `input` or of memory that a later call reuses.
   */
  encode(input: Uint8Array, context: EncodeContext, parameters: JsonObject): Uint8Array;
  /**
   * Decodes. The result may be a view of `input`, or `context.out`. Any bytes but an encoder's own may throw `DamageError` or
   * decode to anything of the right length.
   */
  decode(input: Uint8Array, context: DecodeContext): Uint8Array;
}

/** The sibling's bytes, for codecs that need them. Throws `DamageError` naming the codec where there are none. */
export function siblingBytesOf(bytes: Uint8Array | undefined, codec: string): Uint8Array {
  if (bytes === undefined)
    throw new DamageError(codec, "the chunk that this one is coded against is not given");
  return bytes;
}
