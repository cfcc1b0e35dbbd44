/** Streams of byte symbols (see format.ts): chooses how a plane is coded, and decodes any. */
import { DamagedBlockError } from "./damaged.ts";
import { MODE, STREAM_HEADER_BYTES } from "./format.ts";
import type { Memory } from "./memory.ts";
import { entropyBits, sampleStep, WORTHWHILE_BITS } from "./plan.ts";
import { decodeRans, encodeRans } from "./rans-stream.ts";

/**
 * Writes the plane of `count` symbols at `plane` of the kernels' memory as a stream at `at` of `out`, in the smallest way; returns the
 * position behind it, at most `count` + 4 further. May overwrite up to 64 bytes behind the plane.
 *
 * @param counts 256 counts of a sample of the plane; taken here when missing.
 */
export function encodeStream(
  memory: Memory,
  plane: number,
  count: number,
  out: Uint8Array,
  at: number,
  counts?: Uint32Array,
): number {
  const { kernels, bytes } = memory;
  const body = at + STREAM_HEADER_BYTES;
  if (kernels.isConstant(plane, count)) {
    out[body] = bytes[plane]!;
    return finishStream(MODE.constant, out, at, body + 1);
  }
  if (counts === undefined && count >= 64) {
    kernels.samplePlane(plane, count, sampleStep(count));
    counts = memory.counts;
  }
  if (counts !== undefined && entropyBits(counts) < WORTHWHILE_BITS) {
    const end = encodeRans(memory, plane, count, counts, out, body);
    if (end >= 0) return finishStream(MODE.rans, out, at, end);
  }
  out.set(bytes.subarray(plane, plane + count), body);
  return finishStream(MODE.stored, out, at, body + count);
}

function finishStream(mode: number, out: Uint8Array, at: number, end: number): number {
  const length = end - at - STREAM_HEADER_BYTES;
  out[at] = mode;
  out[at + 1] = length & 255;
  out[at + 2] = (length >> 8) & 255;
  out[at + 3] = length >> 16;
  return end;
}

/**
 * Decodes the stream at `at` of `block`, which lies in the kernels' memory too, into the `count` symbols of the plane at `plane`; returns
 * the position behind it. May overwrite up to 64 bytes behind the plane.
 *
 * @throws DamagedBlockError
 */
export function decodeStream(
  memory: Memory,
  block: Uint8Array,
  at: number,
  plane: number,
  count: number,
): number {
  const body = at + STREAM_HEADER_BYTES;
  if (body > block.length) throw new DamagedBlockError("a stream's header is cut off");
  const mode = block[at]!;
  const length = block[at + 1]! | (block[at + 2]! << 8) | (block[at + 3]! << 16);
  const end = body + length;
  if (end > block.length) throw new DamagedBlockError(`a stream of ${length} bytes is cut off`);
  switch (mode) {
    case MODE.stored:
      if (length !== count) throw new DamagedBlockError(`a stored stream has ${length} bytes, not ${count}`);
      memory.bytes.copyWithin(plane, memory.block + body, memory.block + end);
      return end;
    case MODE.constant:
      if (length !== 1) throw new DamagedBlockError(`a constant stream has ${length} bytes`);
      memory.bytes.fill(block[body]!, plane, plane + count);
      return end;
    case MODE.rans:
      decodeRans(memory, block, body, end, plane, count);
      return end;
    default:
      throw new DamagedBlockError(`there is no stream mode ${mode}`);
  }
}
