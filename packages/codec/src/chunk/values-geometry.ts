/**
 * The chunks of the `values` of a stored tensor, by the tensor's own elements. `values` are cut as any array, by their own dtype and shape; where
 * they are blocks (`dtype.block`), block i holds the elements from i times the block's size on, and the last one perhaps fewer.
 * For all else elements of values and tensor are the same ones.
 */
import type { DType } from "../tensor/dtype.ts";
import { elementCount } from "../tensor/shape.ts";
import { ElementGeometry } from "./geometry.ts";

export class ValuesGeometry {
  /** Elements of the tensor. */
  readonly elements: number;
  readonly chunkCount: number;
  readonly #values: ElementGeometry;
  readonly #blockElements: number;

  /**
   * @param values dtype and shape of the array `values`
   * @param shape of the tensor
   */
  constructor(
    values: { readonly dtype: DType; readonly shape: readonly number[] },
    shape: readonly number[],
    chunkElements?: number,
  ) {
    this.#values = new ElementGeometry(values.dtype, values.shape, chunkElements);
    this.#blockElements = values.dtype.block?.elements ?? 1;
    this.elements = elementCount(shape);
    this.chunkCount = this.#values.chunkCount;
  }

  /** The chunk that holds this element. Throws `UsageError` outside [0, elements). */
  chunkOf(element: number): number {
    return this.#values.chunkOf(Math.floor(element / this.#blockElements));
  }

  /** Index of the first element of a chunk. */
  first(chunk: number): number {
    return this.#values.first(chunk) * this.#blockElements;
  }

  /** Elements of a chunk. */
  count(chunk: number): number {
    const first = this.first(chunk);
    return Math.min(this.elements - first, this.#values.count(chunk) * this.#blockElements);
  }

  /** The bytes [start, end) of `values` that a chunk holds. */
  byteRange(chunk: number): { start: number; end: number } {
    return this.#values.byteRange(chunk);
  }
}
