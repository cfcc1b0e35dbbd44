/** The shapes of what goes into and comes out of `Store.optimize`. */
import type { LongCallOptions } from "./types.ts";

export interface OptimizeOptions extends LongCallOptions {
  /** Only families that a tensor of this dataset's current version belongs to. Default: all. */
  readonly dataset?: string;
  /** Only measure what would be gained. It takes as long as doing it. */
  readonly dryRun?: boolean;
}

/** Datasets whose tensors resemble each other. */
export interface OptimizedFamily {
  /** Names of the datasets, sorted: of each tensor the oldest that has it. */
  readonly datasets: readonly string[];
  /** The dataset whose tensors most stars that changed have as their centres now; null when none changed, or the dataset was deleted. */
  readonly centre: string | null;
  /** Distinct tensors, each with at least one other that it resembles or is a difference to. */
  readonly tensors: number;
  /** Tensors of which chunks are coded anew. */
  readonly tensorsMoved: number;
  readonly chunksMoved: number;
  /**
   * Bytes of the frames of these tensors, and of those that they are stored as differences to. Afterwards without those that nothing needs any
   * more, which gc frees.
   */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export interface OptimizeResult {
  readonly dryRun: boolean;
  /** Those that gained most first. */
  readonly families: readonly OptimizedFamily[];
  /** Sums over the families. */
  readonly tensors: number;
  readonly tensorsMoved: number;
  readonly chunksMoved: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly seconds: number;
}
