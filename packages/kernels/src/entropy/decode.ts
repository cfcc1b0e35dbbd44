/** Decodes blocks (see format.ts). */
import { DamagedBlockError } from "./damaged.ts";
import { decodeFloatLadder } from "./float-ladder.ts";
import { BLOCK_ELEMENTS_LIMIT, HEADER_BYTES, METHOD, restBytes } from "./format.ts";
import { entropyMemory, type Memory } from "./memory.ts";
import { decodeStream } from "./stream.ts";

/**
 * Decodes a block.
 *
 * @param block a whole block, as `encodeBlock` made it.
 * @param out where the elements go; its length is the length that they must have. Must not overlap `block`.
 * @throws DamagedBlockError when the block is not what `encodeBlock` makes of that many bytes. Not every change of a block is found:
 *   that is what checksums are for. `out` may have been written to.
 */
export function decodeBlock(block: Uint8Array, out: Uint8Array): void {
  const method = block[0];
  if (method === METHOD.stored) {
    if (block.length - 1 !== out.length) {
      throw new DamagedBlockError(`${block.length - 1} stored bytes instead of ${out.length}`);
    }
    out.set(block.subarray(1));
    return;
  }
  const memory = entropyMemory();
  if (block.length < HEADER_BYTES || block.length > memory.blockBytes) {
    throw new DamagedBlockError(`${block.length} bytes are no block`);
  }
  const width = block[1]!;
  if (width !== 1 && width !== 2 && width !== 4 && width !== 8) {
    throw new DamagedBlockError(`elements have ${width} bytes`);
  }
  const count = block[2]! | (block[3]! << 8) | (block[4]! << 16) | (block[5]! << 24);
  if (count < 1 || count > BLOCK_ELEMENTS_LIMIT || count * width !== out.length) {
    throw new DamagedBlockError(`${count} elements of ${width} bytes instead of ${out.length} bytes`);
  }
  memory.bytes.set(block, memory.block);
  const end = decodeWords(memory, block, method!, width, count);
  if (end !== block.length) throw new DamagedBlockError(`${block.length - end} bytes are left over`);
  const elements = width === 1 ? memory.planes : memory.words;
  out.set(memory.bytes.subarray(elements, elements + out.length));
}

/** Decodes the body into the words (the plane, for elements of one byte); returns the position behind it. */
function decodeWords(
  memory: Memory,
  block: Uint8Array,
  method: number,
  width: 1 | 2 | 4 | 8,
  count: number,
): number {
  const { kernels, planes, planeStep } = memory;
  let at = HEADER_BYTES;
  if (method === METHOD.joint) {
    if (width !== 2 && width !== 4) throw new DamagedBlockError(`joint elements have ${width} bytes`);
    return decodeJoint(memory, block, width, count);
  }
  if (method === METHOD.half) {
    if (width !== 2) throw new DamagedBlockError(`half-precision elements have ${width} bytes`);
    return decodeHalf(memory, block, count);
  }
  if (method !== METHOD.planes && method !== METHOD.exchanged) {
    throw new DamagedBlockError(`there is no method ${method}`);
  }
  const isExchanged = method === METHOD.exchanged;
  if (isExchanged && width === 1) throw new DamagedBlockError("exchanged elements have 1 byte");
  let plane = 0;
  if (isExchanged && width === 2) {
    const end = decodeFloatLadder(memory, block, at, width, 0, count);
    if (end >= 0) return end;
  }
  if (isExchanged && width === 4) {
    if (block[at] === 0) {
      const halves = at + 1;
      const end = decodeFloatLadder(memory, block, halves + 2 * count, width, memory.block + halves, count);
      if (end >= 0) return end;
    }
    at = decodeHalves(memory, block, at, count);
    plane = 2;
  }
  for (; plane < width; plane++) at = decodeStream(memory, block, at, planes + plane * planeStep, count);
  if (width === 1) return at;
  const top = planes + (width - 1) * planeStep;
  if (isExchanged) kernels.exchange(top, top - planeStep, count);
  kernels.join(width, count);
  return at;
}

function decodeJoint(memory: Memory, block: Uint8Array, width: 2 | 4, count: number): number {
  const { kernels, words, planes, planeStep } = memory;
  let at = HEADER_BYTES;
  if (at >= block.length) throw new DamagedBlockError("the base is cut off");
  const base = block[at]!;
  const symbols = planes + 2 * planeStep;
  at = decodeStream(memory, block, at + 1, symbols, count);
  const rests = memory.block + at;
  at += restBytes(count);
  if (at > block.length) throw new DamagedBlockError("the rests are cut off");
  const groups = (count + 63) & ~63;
  if (width === 2) {
    kernels.joinJoint2(words, groups, base, symbols, rests);
    return at;
  }
  if (block[at] === 0) {
    const halves = memory.block + at + 1;
    at += 1 + 2 * count;
    if (at > block.length) throw new DamagedBlockError("the halves are cut off");
    kernels.joinJoint4(words, groups, base, symbols, rests, halves);
    return at;
  }
  at = decodeHalves(memory, block, at, count);
  const halves = memory.rest + planeStep;
  kernels.joinHalves(halves, count);
  kernels.joinJoint4(words, groups, base, symbols, rests, halves);
  return at;
}

function decodeHalf(memory: Memory, block: Uint8Array, count: number): number {
  const { kernels, words, planes } = memory;
  const lower = decodeStream(memory, block, HEADER_BYTES, planes, count);
  const rests = lower + count;
  const end = rests + restBytes(count / 2);
  if (end > block.length) throw new DamagedBlockError("the lower bytes or the rests are cut off");
  kernels.joinHalf(words, (count + 127) & ~127, planes, memory.block + lower, memory.block + rests);
  return end;
}

/** Decodes a halves section into planes 0 and 1. */
function decodeHalves(memory: Memory, block: Uint8Array, at: number, count: number): number {
  const { kernels, planes, planeStep } = memory;
  const coding = block[at++];
  if (coding === 1) {
    at = decodeStream(memory, block, at, planes, count);
    return decodeStream(memory, block, at, planes + planeStep, count);
  }
  if (coding !== 0) throw new DamagedBlockError(`there is no coding ${coding} of halves`);
  if (at + 2 * count > block.length) throw new DamagedBlockError("the halves are cut off");
  kernels.splitHalves(memory.block + at, count);
  return at + 2 * count;
}
