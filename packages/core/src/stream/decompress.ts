/**
 * Decompresses what `compressStream` made. Frames are checked and decoded in worker threads and come out in order; the end of the stream
 * says whether they were all there.
 *
 *   pieces -> slot -> check and decode its frames (worker) -> pieces, in order -> SHA-256 of the whole, compared at the end
 *
 * A chunk that is damaged is never given out. What came out before an error is right as far as it goes, but it is not the whole: only the end
 * of the iteration says that.
 */
import { createSha256, DamageError, decodeFrame, equalBytes, ready, toHex } from "@tensorcask/codec";
import type { WorkerPool } from "../workers/pool.ts";
import type { Slot } from "../workers/slot.ts";
import { type FrameBatch, FrameBatches } from "./frame-batches.ts";
import { type ByteSource, StreamInput } from "./stream-input.ts";
import { readStreamHeader, STREAM_HEADER_BYTES, type StreamEnd } from "./stream-layout.ts";
import {
  checkStreamOptions,
  pipelineDepth,
  type StreamOptions,
  type StreamResult,
  streamPool,
} from "./stream-options.ts";

/**
 * Decompresses a stream. Nothing is read before the first piece is asked for; ending the iteration early lets go of the source. The pieces
 * given belong to the caller.
 *
 * @throws DamageError when the stream is truncated, damaged or something else: then what was given before is not the whole original;
 * UsageError for a wrong option, at once; `CancelledError` when `signal` aborts; what the source throws
 * @example
 * await pipeline(createReadStream("model.safetensors.tcz"), (source) => decompressStream(source), createWriteStream("model.safetensors"));
 */
export function decompressStream(
  source: ByteSource,
  options: StreamOptions = {},
): AsyncGenerator<Uint8Array, StreamResult, void> {
  checkStreamOptions(options, "decompressStream");
  return decompress(source, options);
}

/** What became of a batch: the chunks up to the first that is damaged. */
interface Decoded {
  readonly bytes: Uint8Array;
  readonly failure?: DamageError;
}

async function* decompress(
  source: ByteSource,
  options: StreamOptions,
): AsyncGenerator<Uint8Array, StreamResult, void> {
  const { name = "stream", size, signal, onProgress } = options;
  await ready();
  const input = new StreamInput(source, {
    what: "the decompression",
    signal,
    onRead: onProgress && ((done) => onProgress({ phase: "decompress", done, total: size ?? 0, item: name })),
  });
  const pool = streamPool(options);
  const hash = createSha256();
  const running: { readonly slot: Slot | undefined; readonly decoded: Promise<Decoded> }[] = [];
  let originalBytes = 0;
  let frames = 0;
  let announced: number | undefined;
  const finishFirst = async function* (): AsyncGenerator<Uint8Array, void, void> {
    const first = running.shift()!;
    const { bytes, failure } = await first.decoded;
    if (first.slot !== undefined) pool.slots.release(first.slot);
    originalBytes += bytes.length;
    if (announced !== undefined && originalBytes > announced)
      throw new DamageError(name, `it holds more than the ${announced} bytes that its header announces`);
    hash.update(bytes);
    if (bytes.length > 0) yield bytes;
    if (failure !== undefined) throw failure;
  };
  try {
    const header = new Uint8Array(STREAM_HEADER_BYTES);
    announced = readStreamHeader(header.subarray(0, await input.fill(header)), name);
    const batches = new FrameBatches(input, pool.slots, name).read();
    for (;;) {
      const next = await orDamage(batches.next());
      if (next instanceof DamageError || next.done === true) {
        while (running.length > 0) yield* finishFirst();
        if (next instanceof DamageError) throw next;
        const sha256 = hash.digest();
        checkWhole(name, next.value, { bytes: originalBytes, sha256 }, announced);
        return { originalBytes, compressedBytes: input.position, frames, sha256 };
      }
      const batch = next.value;
      const decoded = decodeBatch(pool, batch);
      // Its failure is met when its turn comes.
      decoded.catch(() => undefined);
      running.push({ slot: "slot" in batch ? batch.slot : undefined, decoded });
      frames += "slot" in batch ? batch.items.length : 1;
      if (running.length >= pipelineDepth(pool)) yield* finishFirst();
    }
  } finally {
    await pool.close();
    await input.close();
  }
}

/** Damage found while reading waits until what was read before is given out. */
async function orDamage<T>(pending: Promise<T>): Promise<T | DamageError> {
  try {
    return await pending;
  } catch (error) {
    if (error instanceof DamageError) return error;
    throw error;
  }
}

/** Decodes a batch; the bytes are a copy. */
async function decodeBatch(pool: WorkerPool, batch: FrameBatch): Promise<Decoded> {
  if ("frame" in batch) {
    try {
      return { bytes: decodeFrame(batch.frame, batch.where).slice() };
    } catch (error) {
      if (error instanceof DamageError) return { bytes: new Uint8Array(0), failure: error };
      throw error;
    }
  }
  const { slot, items, rawBytes } = batch;
  const failures = await pool.run({ kind: "decode", slot, items, rehash: false }, rawBytes);
  if (failures.length === 0) return { bytes: slot.output.slice(0, rawBytes) };
  const { index, message } = failures.reduce((first, one) => (one.index < first.index ? one : first));
  const { where, target } = items[index]!;
  const text = message.startsWith(`${where}: `) ? message.slice(where.length + 2) : message;
  return { bytes: slot.output.slice(0, target), failure: new DamageError(where, text) };
}

/** Throws `DamageError` when what was decoded is not the whole original. */
function checkWhole(name: string, end: StreamEnd, found: StreamEnd, announced: number | undefined): void {
  if (found.bytes !== end.bytes || (announced !== undefined && announced !== end.bytes)) {
    const expected = found.bytes === end.bytes ? announced! : end.bytes;
    const frames = found.bytes < expected ? "frames are missing" : "there are too many frames";
    throw new DamageError(name, `it holds ${found.bytes} bytes, but ${expected} were compressed: ${frames}`);
  }
  if (!equalBytes(found.sha256, end.sha256)) {
    const message = `the SHA-256 of what it holds is ${toHex(found.sha256)}, that of the original was ${toHex(end.sha256)}`;
    throw new DamageError(name, message);
  }
}
