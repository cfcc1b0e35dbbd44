/**
 * Compresses a stream: what is a file to the store, without a store. Bytes come in pieces and go out in pieces; a few slots are all the
 * memory that is used, however long the stream is.
 *
 *   pieces -> slot -> hash and code its chunks (worker) -> frames, in order -> pieces
 *          -> SHA-256 of the whole
 *
 * Each chunk is coded for itself, so neither the pieces of the source nor memory or workers make a difference to what comes out.
 */
import { createSha256, InvalidFileError, type Preset, ready } from "@tensorcask/codec";
import type { WorkerPool } from "../workers/pool.ts";
import type { Slot } from "../workers/slot.ts";
import type { EncodeItem } from "../workers/tasks.ts";
import { type FilledSlot, SlotFiller } from "./slot-filler.ts";
import { type ByteSource, StreamInput } from "./stream-input.ts";
import { writeStreamEnd, writeStreamHeader } from "./stream-layout.ts";
import {
  type CompressOptions,
  checkStreamOptions,
  losslessPreset,
  pipelineDepth,
  type StreamResult,
  streamPool,
} from "./stream-options.ts";
import { planStream } from "./stream-plan.ts";

/**
 * Compresses bytes with a lossless preset, as a stream that `decompressStream` takes back. Nothing is read before the first piece is asked
 * for; ending the iteration early lets go of the source. The pieces given belong to the caller; the result of the generator says what
 * went through.
 *
 * @throws UsageError for a lossy preset or a wrong option, at once; `CancelledError` when `signal` aborts; what the source throws;
 * `InvalidFileError` when the source has not as many bytes as `size` says
 * @example
 * await pipeline(createReadStream("model.safetensors"), (source) => compressStream(source), createWriteStream("model.safetensors.tcz"));
 */
export function compressStream(
  source: ByteSource,
  options: CompressOptions = {},
): AsyncGenerator<Uint8Array, StreamResult, void> {
  checkStreamOptions(options, "compressStream", ["preset"]);
  return compress(source, losslessPreset(options.preset), options);
}

async function* compress(
  source: ByteSource,
  preset: Preset,
  options: CompressOptions,
): AsyncGenerator<Uint8Array, StreamResult, void> {
  const { name = "stream", size, signal, onProgress } = options;
  await ready();
  const input = new StreamInput(source, {
    what: "the compression",
    signal,
    onRead: onProgress && ((done) => onProgress({ phase: "compress", done, total: size ?? 0, item: name })),
  });
  const pool = streamPool(options);
  const hash = createSha256();
  const filler = new SlotFiller({ input, slots: pool.slots, pass: (bytes) => hash.update(bytes) });
  const running: { readonly slot: Slot; readonly frames: number; readonly coded: Promise<Uint8Array> }[] = [];
  let compressedBytes = 0;
  let frames = 0;
  const counted = (piece: Uint8Array): Uint8Array => {
    compressedBytes += piece.length;
    return piece;
  };
  const finishFirst = async (): Promise<Uint8Array> => {
    const first = running.shift()!;
    const coded = await first.coded;
    pool.slots.release(first.slot);
    frames += first.frames;
    return counted(coded);
  };
  try {
    yield counted(writeStreamHeader(size));
    for await (const filled of filler.fill(await planStream(input))) {
      const coded = encodeSlot(pool, filled, preset);
      // Its failure is met when its turn comes.
      coded.catch(() => undefined);
      running.push({ slot: filled.slot, frames: filled.chunks.length, coded });
      if (running.length >= pipelineDepth(pool)) yield await finishFirst();
    }
    while (running.length > 0) yield await finishFirst();
    if (size !== undefined && input.position !== size) {
      const message = `it has ${input.position} bytes, ${size} were announced; it changed while it was read`;
      throw new InvalidFileError(name, "changed", message);
    }
    const end = { bytes: input.position, sha256: hash.digest() };
    yield counted(writeStreamEnd(end));
    return { originalBytes: end.bytes, compressedBytes, frames, sha256: end.sha256 };
  } finally {
    await pool.close();
    await input.close();
  }
}

/** Hashes and codes the chunks of a slot; a copy of their frames. */
async function encodeSlot(
  pool: WorkerPool,
  { slot, chunks }: FilledSlot,
  preset: Preset,
): Promise<Uint8Array> {
  const bytes = chunks.reduce((sum, { start, end }) => sum + end - start, 0);
  const ranges = chunks.map(({ start, end }) => ({ start, end }));
  const hashes = await pool.run({ kind: "hash", slot, ranges }, bytes);
  const items: EncodeItem[] = chunks.map((chunk, index) => ({
    ...chunk,
    hash: hashes.subarray(index * 32, index * 32 + 32),
  }));
  const lengths = await pool.run({ kind: "encode", slot, items, policy: preset.codec }, bytes);
  return slot.output.slice(
    0,
    lengths.reduce((sum, length) => sum + length, 0),
  );
}
