/** Small arrays of an import on their way into bundles: they wait here until there are enough of them, or the import ends. */

import { Bundler, type ClosedBundle } from "./bundler.ts";
import type { ChunkPipeline } from "./chunk-pipeline.ts";
import type { ChunkRef, PendingTensor } from "./pending.ts";

/** Small arrays wait in memory for their bundles; beyond this they are bundled without waiting for the rest. */
const WAITING_BYTES = 4 * 1024 * 1024;

/** Fewer bytes than a bundle holds are left to the commit, which bundles them with those of its neighbours. */
const LEFT_TO_COMMIT_BYTES = 64 * 1024;

export class SmallArrays {
  readonly #pipeline: ChunkPipeline;
  readonly #bundler = new Bundler();
  #tensors: PendingTensor[] = [];
  #bytes = 0;

  constructor(pipeline: ChunkPipeline) {
    this.#pipeline = pipeline;
  }

  /** Enough have come to be bundled. */
  get isFull(): boolean {
    return this.#bytes > WAITING_BYTES;
  }

  /** Remembers a new tensor if it has small arrays. */
  add(tensor: PendingTensor): void {
    let bytes = 0;
    for (const { place } of tensor.arrays) if ("small" in place) bytes += place.small.length;
    if (bytes === 0) return;
    this.#tensors.push(tensor);
    this.#bytes += bytes;
  }

  /** Bundles what has come so far. Places are known once the pipeline is drained. */
  async bundle(): Promise<void> {
    const tensors = this.#tensors;
    const few = this.#bytes <= LEFT_TO_COMMIT_BYTES;
    this.#tensors = [];
    this.#bytes = 0;
    if (few) return;
    for (const { arrays, policy } of tensors) {
      for (const array of arrays) {
        if (!("small" in array.place)) continue;
        const closed = this.#bundler.add(array, array.place.small, policy);
        if (closed !== undefined) await this.#feed(closed);
      }
    }
    for (const closed of this.#bundler.finish()) await this.#feed(closed);
  }

  async #feed({ bytes, dtype, policy, slots }: ClosedBundle): Promise<void> {
    const { view, start } = await this.#pipeline.reserve(bytes.length);
    view.set(bytes);
    const sink = (_hash: Uint8Array, ref: ChunkRef): void => {
      for (const { array, offset } of slots) array.place = { bundle: ref, offset };
    };
    this.#pipeline.chunk({ start, end: start + bytes.length, dtype, policy, sink });
  }
}
