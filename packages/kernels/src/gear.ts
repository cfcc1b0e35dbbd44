/**
 * Content-defined cutting of byte streams (FastCDC, normalised): where a chunk ends depends on the bytes before the cut only, so
 * that an insert or delete moves cuts nearby and leaves the others where they were, relative to the content.
 *
 * The hash is the 64-bit gear hash h = (h << 1) + GEAR[byte] over the last 64 bytes. GEAR is the first 256 outputs of splitmix64
 * with the seed `GEAR_SEED`. A chunk ends behind a byte where the top k bits of h are zero: k = log2(average) + 2 while the chunk
 * is shorter than `averageBytes`, log2(average) - 2 from there on (the normalisation: it draws sizes towards the average), never
 * before `minimumBytes`, always at `maximumBytes`. The table, the seed, the bits and the sizes decide what is shared between files
 * stored at different times: changing any of them does no harm to stored data, but new imports would share nothing with old ones.
 */
import { modules } from "./modules.ts";

/** Sizes that steer where chunks end, in bytes. */
export interface CutSizes {
  /** No chunk but the last one of a stream is shorter. At least 65: the hash needs a full window. */
  readonly minimumBytes: number;
  /** A power of two, more than `minimumBytes`. The mean size of chunks of random data comes out about a tenth above it. */
  readonly averageBytes: number;
  /** No chunk is longer. More than `averageBytes`, at most 1 GiB. */
  readonly maximumBytes: number;
}

/** The sizes for opaque bytes: 16 KiB, 64 KiB, 256 KiB. */
export const CUT_SIZES: CutSizes = {
  minimumBytes: 16 * 1024,
  averageBytes: 64 * 1024,
  maximumBytes: 256 * 1024,
};

const MAXIMUM_CHUNK_BYTES = 2 ** 30; // The kernel counts in unsigned 32 bits.

/** The hash limits of `sizes`: the top k bits of a hash are zero if and only if it is less than 2^(64 - k). */
export function cutLimits(sizes: CutSizes): { hard: bigint; easy: bigint } {
  const { minimumBytes, averageBytes, maximumBytes } = sizes;
  for (const [name, value] of Object.entries(sizes)) {
    if (!Number.isInteger(value) || value > MAXIMUM_CHUNK_BYTES) {
      throw new RangeError(`${name} is ${value}; it must be a whole number up to ${MAXIMUM_CHUNK_BYTES}`);
    }
  }
  if (minimumBytes < 65) throw new RangeError(`minimumBytes is ${minimumBytes}; the least is 65`);
  const bits = Math.log2(averageBytes);
  if (!Number.isInteger(bits))
    throw new RangeError(`averageBytes is ${averageBytes}; it must be a power of two`);
  if (averageBytes <= minimumBytes) throw new RangeError("averageBytes must be more than minimumBytes");
  if (maximumBytes <= averageBytes) throw new RangeError("maximumBytes must be more than averageBytes");
  return { hard: 1n << BigInt(64 - bits - 2), easy: 1n << BigInt(64 - bits + 2) };
}

/**
 * Cuts one stream of bytes into content-defined chunks. However the stream is split into pushes, the cuts are the same.
 *
 * @example
 * const cutter = new ContentCutter();
 * const ends = [...cutter.push(first, false), ...cutter.push(second, true)];
 */
export class ContentCutter {
  readonly #sizes: CutSizes;
  readonly #hard: bigint;
  readonly #easy: bigint;
  #position = 0;
  #open = 0;
  #hash = 0n;
  #ended = false;

  /** @throws RangeError for sizes that do not fit each other. */
  constructor(sizes: CutSizes = CUT_SIZES) {
    const { hard, easy } = cutLimits(sizes);
    this.#sizes = sizes;
    this.#hard = hard;
    this.#easy = easy;
  }

  /**
   * Takes the next bytes of the stream.
   *
   * @param isLast whether the stream ends with them: then the end of the last chunk is among the results. An empty stream has no chunks.
   * @returns the ends of the chunks that these bytes finished, as absolute positions in the stream, in bytes.
   */
  push(bytes: Uint8Array, isLast: boolean): number[] {
    if (this.#ended) throw new Error("the stream has ended; use a new ContentCutter for another one");
    const { gear } = modules();
    const memory = new Uint8Array(gear.memory.buffer);
    const input: number = gear.INPUT.value;
    const blockBytes: number = gear.BLOCK.value;
    const { minimumBytes, averageBytes, maximumBytes } = this.#sizes;
    const ends: number[] = [];
    for (let first = 0; first < bytes.length; first += blockBytes) {
      const n = Math.min(blockBytes, bytes.length - first);
      memory.set(n === bytes.length ? bytes : bytes.subarray(first, first + n), input);
      const cuts = gear.cut(
        n,
        this.#open,
        this.#hash,
        minimumBytes,
        averageBytes,
        maximumBytes,
        this.#hard,
        this.#easy,
      );
      if (cuts > 0) {
        const found = new Uint32Array(gear.memory.buffer, gear.CUTS.value, cuts);
        for (const end of found) ends.push(this.#position + end);
      }
      this.#open = gear.openBytes.value;
      this.#hash = gear.openHash.value;
      this.#position += n;
    }
    if (isLast) {
      this.#ended = true;
      if (this.#open > 0) ends.push(this.#position);
    }
    return ends;
  }
}
