/** Streams of byte symbols (see format.ts): chooses how a plane is coded, and decodes any. */
import { DamagedBlockError } from "./damaged.ts";
import { MODE, STREAM_HEADER_BYTES } from "./format.ts";
import { ladderPlan } from "./ladder-plan.ts";
import { decodeLadder, encodeLadder } from "./ladder-stream.ts";
import type { Memory } from "./memory.ts";
import {
  entropyBits,
  LADDER_SAMPLE_GROUPS,
  PLANE_SAMPLE_GROUPS,
  SAMPLE_GROUPS,
  sampleStep,
  WORTHWHILE_BITS,
} from "./plan.ts";
import { decodeRans, encodeRans } from "./rans-stream.ts";

/** How what is worth coding is coded. `rans`: the smallest. `ladder`: three times as fast, about 1 % larger. */
export type BlockCoder = "rans" | "ladder";

/** A plane that a ladder would bring to more bits a symbol is stored: ladders are for speed. */
export const LADDER_BITS_WORTHWHILE = 7;

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
  coder: BlockCoder,
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
  if (coder === "ladder") {
    kernels.samplePlane(plane, count, sampleStep(count, LADDER_SAMPLE_GROUPS));
    const plan = ladderPlan(memory.counts);
    if (plan.rungs.length > 0 && plan.bits < LADDER_BITS_WORTHWHILE) {
      bytes.fill(plan.rungs[0]![0], plane + count, plane + ((count + 63) & ~63));
      const from = { width: 1, symbols: plane, lower: 0, halves: 0 } as const;
      const end = encodeLadder(memory, plan, from, count, out, body);
      if (end >= 0) return finishStream(MODE.ladder, out, at, end);
    }
    return storeStream(memory, plane, count, out, at);
  }
  const sampled = counts ?? samplePlane(memory, plane, count);
  if (sampled !== undefined) {
    const end = encodeRans(memory, plane, count, sampled, out, body);
    if (end >= 0) return finishStream(MODE.rans, out, at, end);
  }
  return storeStream(memory, plane, count, out, at);
}

/** Writes a plane as a stored stream. */
export function storeStream(
  memory: Memory,
  plane: number,
  count: number,
  out: Uint8Array,
  at: number,
): number {
  const body = at + STREAM_HEADER_BYTES;
  out.set(memory.bytes.subarray(plane, plane + count), body);
  return finishStream(MODE.stored, out, at, body + count);
}

/** Counts of a sample of a plane, large enough for a table; undefined when the plane is not worth coding. */
function samplePlane(memory: Memory, plane: number, count: number): Uint32Array | undefined {
  const step = sampleStep(count, SAMPLE_GROUPS);
  memory.kernels.samplePlane(plane, count, step);
  if (entropyBits(memory.counts) >= WORTHWHILE_BITS) return undefined;
  const larger = sampleStep(count, PLANE_SAMPLE_GROUPS);
  if (larger < step) memory.kernels.samplePlane(plane, count, larger);
  return memory.counts;
}

/** Writes the header of a stream whose body ends at `end`; returns `end`. */
export function finishStream(mode: number, out: Uint8Array, at: number, end: number): number {
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
  const { mode, body, end } = readHeader(block, at);
  const length = end - body;
  switch (mode) {
    case MODE.stored:
      if (length !== count) throw new DamagedBlockError(`a stored stream has ${length} bytes, not ${count}`);
      memory.bytes.copyWithin(plane, memory.block + body, memory.block + end);
      return end;
    case MODE.constant:
      if (length !== 1) throw new DamagedBlockError(`a constant stream has ${length} bytes`);
      memory.bytes.fill(block[body]!, plane, plane + count);
      return end;
    case MODE.ladder:
      decodeLadder(memory, block, body, end, { width: 1, symbols: plane, lower: 0, halves: 0 }, count);
      return end;
    case MODE.rans:
      decodeRans(memory, block, body, end, plane, count);
      return end;
    default:
      throw new DamagedBlockError(`there is no stream mode ${mode}`);
  }
}

/** The header of the stream at `at`: mode, and where the body lies, which is within the block. */
export function readHeader(block: Uint8Array, at: number): { mode: number; body: number; end: number } {
  const body = at + STREAM_HEADER_BYTES;
  if (body > block.length) throw new DamagedBlockError("a stream's header is cut off");
  const length = block[at + 1]! | (block[at + 2]! << 8) | (block[at + 3]! << 16);
  if (body + length > block.length) throw new DamagedBlockError(`a stream of ${length} bytes is cut off`);
  return { mode: block[at]!, body, end: body + length };
}
