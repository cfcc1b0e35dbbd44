/** Decodes differences to a sibling (see format.ts). */
import { DamagedBlockError } from "../entropy/damaged.ts";
import type { WordLayout } from "../entropy/encode.ts";
import { elementsOf, place } from "./elements.ts";
import { GROUP, HEADER_BYTES, HELD_BYTES, METHOD, STATES_BYTES } from "./format.ts";
import { siblingMemory } from "./memory.ts";

/**
 * Decodes a block.
 *
 * @param block a whole block, as `encodeDifference` made it.
 * @param sibling the sibling that it was made with; another one gives other elements, or an error.
 * @param layout the layout that it was made with.
 * @param out where the elements go; as long as `sibling`. Must not overlap the others.
 * @throws DamagedBlockError when the block is not what `encodeDifference` makes of that many bytes. Not every change of a block is found:
 *   that is what checksums are for. `out` has not been written to then.
 * @throws RangeError for another layout, a sibling of another length than `out`, no whole elements, or too many of them.
 */
export function decodeDifference(
  block: Uint8Array,
  sibling: Uint8Array,
  layout: WordLayout,
  out: Uint8Array,
): void {
  const { width, mantissaBits, count } = elementsOf(out, sibling, layout);
  if (block[0] === METHOD.equal) {
    if (block.length !== 1) throw new DamagedBlockError(`${block.length - 1} bytes are left over`);
    out.set(sibling);
    return;
  }
  const memory = siblingMemory();
  const { kernels, bytes, stateWords } = memory;
  const precision = block[1];
  if (block[0] !== METHOD.coded || (precision !== 2 && (precision !== 3 || width === 4))) {
    throw new DamagedBlockError(`there is no method ${block[0]} of precision ${precision}`);
  }
  if (block.length < HEADER_BYTES || block.length > memory.blockBytes) {
    throw new DamagedBlockError(`${block.length} bytes are no block`);
  }
  bytes.set(block, memory.block);
  const end = memory.block + block.length;
  const states = kernels.readHeader(precision, Math.ceil(count / GROUP), memory.block + HEADER_BYTES, end);
  if (states === 0) throw new DamagedBlockError("the levels or tables are wrong or cut off");
  const start = states + STATES_BYTES;
  const wordsEnd = start + (block[2]! | (block[3]! << 8) | (block[4]! << 16));
  if (wordsEnd > end) throw new DamagedBlockError("the words are cut off");
  bytes.copyWithin(memory.states, states, start);
  place(memory, sibling, memory.sibling);
  const coded = width === 2 ? kernels.tables2(count, mantissaBits) : kernels.tables4(count);
  if (kernels.decode(start, coded) !== wordsEnd) {
    throw new DamagedBlockError("there are more or fewer words than the symbols take");
  }
  // What the states held goes in front of the other raw bits, over states and words, which are not needed any more.
  const raw = wordsEnd - HELD_BYTES;
  for (let k = 0; k < stateWords.length; k++) {
    const state = stateWords[k]!;
    if (state >>> 16 !== 1) throw new DamagedBlockError("the states do not end as the first ones");
    bytes[raw + 2 * k] = state & 255;
    bytes[raw + 2 * k + 1] = (state >> 8) & 255;
  }
  const rawBits = width === 2 ? kernels.words2(precision, count, raw) : kernels.words4(count, raw);
  if (raw + Math.max(HELD_BYTES, Math.ceil(rawBits / 8)) !== end) {
    throw new DamagedBlockError("there are more or fewer raw bits than the symbols take");
  }
  out.set(bytes.subarray(memory.words, memory.words + out.length));
}
