/**
 * Chunks for benchmarks of codecs: cut as a store cuts, coded into frames that lie back to back in memory that is used again and again, so that
 * coding is all that is timed.
 */
import { readFileSync } from "node:fs";
import {
  type CodecPolicy,
  type DType,
  decodeFrame,
  dtypeOf,
  ElementGeometry,
  encodeFrameInto,
  equalBytes,
  MAX_HEADER_BYTES,
  readFrameHeader,
  sha256,
} from "@tensorcask/codec";
import { bufferSource, compressStream, planSource } from "@tensorcask/core";

/** What a compressed stream has before and behind its frames (docs/format.md, section 23). */
const STREAM_HEADER_BYTES = 24;
const STREAM_END_BYTES = 56;

/** Bytes with their type and hash. */
export interface Chunk {
  readonly dtype: DType;
  readonly bytes: Uint8Array;
  readonly hash: Uint8Array;
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

/** The chunks of a file, as `compressStream` and imports cut it. */
export async function chunksOfFile(path: string): Promise<Chunk[]> {
  return decodedFrames(compressStream([readFileSync(path)], { preset: "none", workers: 0 }));
}

/** The chunks of a stream, in order. */
async function decodedFrames(stream: AsyncIterable<Uint8Array>): Promise<Chunk[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  const bytes = Buffer.concat(pieces);
  const chunks: Chunk[] = [];
  for (let at = STREAM_HEADER_BYTES; at < bytes.length - STREAM_END_BYTES; ) {
    const { frameBytes, dtype, hash } = readFrameHeader(bytes.subarray(at), "stream");
    chunks.push({ dtype, hash, bytes: decodeFrame(bytes.subarray(at, at + frameBytes), "stream", hash) });
    at += frameBytes;
  }
  return chunks;
}

/** The tensors of a file: their bytes. A file of no known format is one run of bytes. */
export async function tensorsOfFile(path: string): Promise<Uint8Array[]> {
  const bytes = readFileSync(path);
  const { plan } = await planSource(bufferSource(path, bytes), path, true);
  return plan.parts
    .filter((part) => part.bytes > 0)
    .map(({ offset, bytes: length }) => bytes.subarray(offset, offset + length));
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
    this.#out = new Uint8Array(Math.max(0, ...chunks.map((chunk) => chunk.bytes.length)));
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

  /** Decodes what `encode` left. */
  decode(): void {
    this.#each(() => undefined);
  }

  /** Decodes what `encode` left, and ends the run when a chunk is not what it was. */
  check(what: string): void {
    this.#each((decoded, { bytes }) => {
      if (!equalBytes(decoded, bytes)) throw new Error(`${what}: a chunk came back changed`);
    });
  }

  #each(visit: (decoded: Uint8Array, chunk: Chunk) => void): void {
    let at = 0;
    for (const [index, chunk] of this.#chunks.entries()) {
      const length = this.#lengths[index]!;
      const out = this.#out.subarray(0, chunk.bytes.length);
      visit(decodeFrame(this.#frames.subarray(at, at + length), "benchmark", chunk.hash, { out }), chunk);
      at += length;
    }
  }
}
