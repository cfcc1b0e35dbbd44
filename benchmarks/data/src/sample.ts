/**
 * What a kind of data is: a name, a sentence, and a function from a seed and a size to elements with their type and shape. Seeded kinds take
 * integers and the four operations of doubles only, so that the same seed gives the same bytes on every machine.
 */
import type { DTypeName } from "@tensorcask/codec";

/** Elements of one kind: row-major, little-endian. */
export interface Sample {
  readonly dtype: DTypeName;
  readonly shape: readonly number[];
  readonly data: Uint8Array<ArrayBuffer>;
}

/** One kind of data. */
export interface Kind {
  readonly name: string;
  readonly description: string;
  /** `machine`: found on the machine, so different on another one, whatever the seed. */
  readonly origin: "seeded" | "machine";
  /**
   * The largest whole sample of at most `bytes` bytes: whole elements, and whole rows of what has more than one axis.
   * Undefined when the machine has no such data. `await ready()` of the codec package first.
   */
  generate(seed: number, bytes: number): Sample | undefined;
}

/** Below this some kinds have not one row. */
export const MIN_SAMPLE_BYTES = 4096;
/** A sample is made in memory. */
export const MAX_SAMPLE_BYTES: number = 2 ** 30;

/** The bytes of an array. */
export function bytesOf(array: ArrayBufferView<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

/** A vector of bytes, as files are that no format takes apart. */
export function opaque(data: Uint8Array<ArrayBuffer>): Sample {
  return { dtype: "uint8", shape: [data.length], data };
}

/** Shape of a stack of pictures, row-major with interleaved channels: of one picture as many rows as fit when it does not fit whole. */
export function stackShape(bytes: number, height: number, width: number, channels: number): number[] {
  const rowBytes = width * channels;
  const pictures = Math.floor(bytes / (height * rowBytes));
  return pictures > 0
    ? [pictures, height, width, channels]
    : [1, Math.floor(bytes / rowBytes), width, channels];
}
