/**
 * A tensor of column-major order is turned in blocks, so that it need not fit in memory. A block is a run of the row-major side:
 *
 *     shape [a, b, c], block within one index of axis 0:   prefix [i], rows [from, to) of axis 1, all of axis 2
 *
 * The side that is read is the other one, where a block's elements lie in many runs.
 */

/**
 * Bytes of a block: of it and of what it is made from there is one each in memory at a time, beside the buffers of reads. Tensors of
 * at most so many bytes are turned in one piece. Small blocks make short runs to read on import, and more passes over the stored
 * chunks on export.
 */
export const LAYOUT_BLOCK_BYTES: number = 32 * 1024 * 1024;

/** One block: these rows of the first axis that is cut, within one index of each axis before it. */
export interface Block {
  /** An index for each axis before the one that is cut. */
  readonly prefix: readonly number[];
  /** Rows [from, to) of the axis that is cut. */
  readonly from: number;
  readonly to: number;
  /** Number of its first element, in row-major order. */
  readonly first: number;
  readonly elements: number;
}

/** The blocks of a tensor, in row-major order, without gaps. Pure arithmetic. */
export class LayoutBlocks {
  readonly count: number;
  readonly #shape: readonly number[];
  /** The axis that is cut. */
  readonly #axis: number;
  /** Elements behind one index of it. */
  readonly #rowElements: number;
  readonly #rowsPerBlock: number;
  readonly #blocksPerPrefix: number;

  /** `elementBytes`: what an element needs, at most `blockBytes`. No axis is 0, and there is at least one. */
  constructor(shape: readonly number[], elementBytes: number, blockBytes: number) {
    const most = Math.max(1, Math.floor(blockBytes / elementBytes));
    let axis = shape.length - 1;
    let rowElements = 1;
    while (axis > 0 && rowElements * shape[axis]! <= most) rowElements *= shape[axis--]!;
    this.#shape = shape;
    this.#axis = axis;
    this.#rowElements = rowElements;
    this.#rowsPerBlock = Math.min(shape[axis]!, Math.floor(most / rowElements));
    this.#blocksPerPrefix = Math.ceil(shape[axis]! / this.#rowsPerBlock);
    const prefixes = shape.slice(0, axis).reduce((product, length) => product * length, 1);
    this.count = prefixes * this.#blocksPerPrefix;
  }

  at(number: number): Block {
    const length = this.#shape[this.#axis]!;
    const prefixNumber = Math.floor(number / this.#blocksPerPrefix);
    const from = (number - prefixNumber * this.#blocksPerPrefix) * this.#rowsPerBlock;
    const to = Math.min(length, from + this.#rowsPerBlock);
    const prefix: number[] = new Array<number>(this.#axis);
    for (let axis = this.#axis - 1, left = prefixNumber; axis >= 0; axis--) {
      prefix[axis] = left % this.#shape[axis]!;
      left = Math.floor(left / this.#shape[axis]!);
    }
    return {
      prefix,
      from,
      to,
      first: (prefixNumber * length + from) * this.#rowElements,
      elements: (to - from) * this.#rowElements,
    };
  }
}
