/**
 * Chunks cut as a store cuts them, coded into frames that lie back to back in memory that is used again and again, so that
 * coding is all that is timed.
 */
import {
  type CodecPolicy,
  codecOfCode,
  type DType,
  decodeFrame,
  dtypeOf,
  ElementGeometry,
  encodeFrameInto,
  equalBytes,
  MAX_FRAME_BYTES,
  MAX_HEADER_BYTES,
  readFrameHeader,
  sha256,
} from "@tensorcask/codec";
import { type ByteSource, compressStream, type StreamOptions } from "@tensorcask/core";

/** What a compressed stream has before and behind its frames (docs/format.md, section 23). */
const STREAM_HEADER_BYTES = 24;
const STREAM_END_BYTES = 56;

/** Bytes with their type and hash. */
export interface Chunk {
  readonly dtype: DType;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
}

/** How often a chain was taken, and for how many bytes. */
export interface ChainShare {
  /** Ids of codecs, outermost first, with `+` between them; `raw` for none. */
  readonly chain: string;
  readonly chunks: number;
  readonly bytes: number;
}

/** The chunks of a stream, or its first ones. */
export interface StreamChunks {
  readonly chunks: readonly Chunk[];
  /** False when there was more. */
  readonly isWhole: boolean;
}

/** An array in chunks of 131,072 elements. */
export function chunksOf(dtype: string, bytes: Uint8Array): Chunk[] {
  const type = dtypeOf(dtype);
  const geometry = new ElementGeometry(type, [(bytes.length * 8) / type.bits]);
  return Array.from({ length: geometry.chunkCount }, (_, index) => {
    const { start, end } = geometry.byteRange(index);
    const part = bytes.subarray(start, end);
    return { dtype: type, bytes: part, hash: sha256(part) };
  });
}

/**
 * The chunks of a file, as `compressStream` and imports cut it.
 *
 * @param mostBytes chunks come until they have at least this many bytes; what is behind them is not read
 */
export async function chunksOfStream(
  source: ByteSource,
  options: StreamOptions = {},
  mostBytes: number = Number.POSITIVE_INFINITY,
): Promise<StreamChunks> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  let isEnded = true;
  for await (const piece of compressStream(source, { ...options, preset: "none", workers: 0 })) {
    pieces.push(piece);
    length += piece.length;
    // One more frame than needed: the last one may not be there whole.
    isEnded = length < mostBytes + MAX_FRAME_BYTES;
    if (!isEnded) break;
  }
  const bytes = Buffer.concat(pieces);
  const end = isEnded ? length - STREAM_END_BYTES : length;
  const chunks: Chunk[] = [];
  let taken = 0;
  let at = STREAM_HEADER_BYTES;
  while (at < end && taken < mostBytes) {
    const { frameBytes, dtype, hash } = readFrameHeader(bytes.subarray(at), "stream");
    const chunk = decodeFrame(bytes.subarray(at, at + frameBytes), "stream", hash);
    chunks.push({ dtype, hash, bytes: chunk });
    taken += chunk.length;
    at += frameBytes;
  }
  return { chunks, isWhole: isEnded && at === end };
}

/** Codes chunks one after the other into the same memory, and back. */
export class FrameBench {
  readonly #chunks: readonly Chunk[];
  readonly #frames: Uint8Array;
  readonly #out: Uint8Array;
  readonly #lengths: number[];

  constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks;
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes.length, 0);
    this.#frames = new Uint8Array(bytes + chunks.length * MAX_HEADER_BYTES);
    this.#out = new Uint8Array(chunks.reduce((most, chunk) => Math.max(most, chunk.bytes.length), 0));
    this.#lengths = chunks.map(() => 0);
  }

  /** Codes all chunks; gives the bytes of their frames. */
  encode(policy: CodecPolicy): number {
    let at = 0;
    for (const [index, { hash, dtype, bytes }] of this.#chunks.entries()) {
      const length = encodeFrameInto({ hash, dtype, bytes, policy }, this.#frames, at);
      this.#lengths[index] = length;
      at += length;
    }
    return at;
  }

  /** Lengths of the frames that `encode` made last. */
  get lengths(): readonly number[] {
    return this.#lengths;
  }

  /** The chains that `encode` chose last, the one with the most bytes first. */
  get chains(): ChainShare[] {
    const shares = new Map<string, ChainShare>();
    for (const [frame, { bytes }] of this.#framesOfChunks()) {
      const { chain: codes } = readFrameHeader(frame, "benchmark");
      const chain = codes.map((code) => codecOfCode(code)?.id ?? code).join("+") || "raw";
      const before = shares.get(chain);
      shares.set(chain, {
        chain,
        chunks: (before?.chunks ?? 0) + 1,
        bytes: (before?.bytes ?? 0) + bytes.length,
      });
    }
    return [...shares.values()].sort((a, b) => b.bytes - a.bytes);
  }

  /** Decodes what `encode` left. */
  decode(): void {
    for (const [frame, chunk] of this.#framesOfChunks()) this.#decoded(frame, chunk);
  }

  /** Decodes what `encode` left, and throws when a chunk is not what it was. */
  check(what: string): void {
    for (const [frame, chunk] of this.#framesOfChunks()) {
      if (!equalBytes(this.#decoded(frame, chunk), chunk.bytes))
        throw new Error(`${what}: a chunk came back changed`);
    }
  }

  #decoded(frame: Uint8Array, chunk: Chunk): Uint8Array {
    const out = this.#out.subarray(0, chunk.bytes.length);
    return decodeFrame(frame, "benchmark", chunk.hash, { out });
  }

  *#framesOfChunks(): Generator<readonly [frame: Uint8Array, chunk: Chunk]> {
    let at = 0;
    for (const [index, chunk] of this.#chunks.entries()) {
      const length = this.#lengths[index]!;
      yield [this.#frames.subarray(at, at + length), chunk];
      at += length;
    }
  }
}
