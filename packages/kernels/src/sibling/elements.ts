/** What the layout of floats means for their differences, and how they get into the kernels' memory. */
import type { WordLayout } from "../entropy/encode.ts";
import { BLOCK_ELEMENTS_LIMIT } from "../entropy/format.ts";
import type { Memory } from "./memory.ts";

/** Elements of a block of floats and of their siblings. */
export interface Elements {
  readonly width: 2 | 4;
  readonly mantissaBits: number;
  readonly count: number;
}

/**
 * Checks what callers give.
 *
 * @throws RangeError for other layouts than bfloat16, float16 and float32, for siblings of another length, for no whole elements or too
 *   many of them.
 */
export function elementsOf(words: Uint8Array, sibling: Uint8Array, layout: WordLayout): Elements {
  const { elementBytes: width, exponentBits } = layout;
  if ((width !== 2 && width !== 4) || (exponentBits !== 8 && (exponentBits !== 5 || width !== 2))) {
    throw new RangeError(
      `elements have ${width} bytes and ${exponentBits} exponent bits; only bfloat16, float16 and float32 have differences`,
    );
  }
  if (words.length !== sibling.length) {
    throw new RangeError(`the elements have ${words.length} bytes, their siblings ${sibling.length}`);
  }
  const count = words.length / width;
  if (!Number.isInteger(count)) {
    throw new RangeError(`${words.length} bytes are no whole elements of ${width} bytes`);
  }
  if (count > BLOCK_ELEMENTS_LIMIT) {
    throw new RangeError(`there are ${count} elements; a block takes at most ${BLOCK_ELEMENTS_LIMIT}`);
  }
  return { width, mantissaBits: 8 * width - 1 - exponentBits, count };
}

/** Puts elements to `at` of the kernels' memory, and zeros behind them: up to 31 more elements are coded. */
export function place(memory: Memory, elements: Uint8Array, at: number): void {
  memory.bytes.set(elements, at);
  memory.bytes.fill(0, at + elements.length, at + elements.length + 128);
}
