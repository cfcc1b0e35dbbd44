/** What `stats` tells of a store and of its datasets. */
import type { FamilyUsage } from "../catalog/catalog.ts";

/** One line of what a layer saved. */
export interface LayerStats {
  readonly name: string;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export interface DatasetStats {
  readonly name: string;
  readonly preset: string;
  readonly lossless: boolean;
  readonly records: number;
  readonly files: number;
  readonly version: number;
  /** The source before quantization, current version. */
  readonly originalBytes: number;
  /** Tensors of files that are kept beside the bytes of these, before quantization and sharing; not in `originalBytes`. */
  readonly derivedBytes: number;
  /** = amortizedBytes. */
  readonly storedBytes: number;
  /** Freed if the dataset went (and its history, which is `historyBytes`). What others are coded against is not. */
  readonly exclusiveBytes: number;
  /** Frame bytes it shares with other datasets, in full. */
  readonly sharedBytes: number;
  /** Exclusive bytes + its part of what it shares. */
  readonly amortizedBytes: number;
  /** If it were alone, with the chunks that its own are coded against. */
  readonly standaloneBytes: number;
  /** Kept old versions only. */
  readonly historyBytes: number;
  /** Chunks of the current version that are stored as what they change of another one, their sibling; and the bytes of their frames. */
  readonly siblingChunks: number;
  readonly siblingBytes: number;
  /** originalBytes / amortizedBytes; null when empty. */
  readonly ratio: number | null;
  /** In the order of the way in. Lossy layers (`quantize`) are apart from lossless ones. */
  readonly layers: readonly LayerStats[];
  /** What each codec chain did to the chunks of this dataset. */
  readonly codecs: readonly {
    readonly chain: string;
    readonly chunks: number;
    readonly bytesBefore: number;
    readonly bytesAfter: number;
  }[];
  /** Errors of quantized tensors: the worst and the mean. */
  readonly quantization: {
    readonly tensors: number;
    readonly worstMaxAbsolute: number;
    readonly worstSnrDb: number | null;
    readonly meanSnrDb: number | null;
    readonly refused: number;
  };
}

export interface StoreStats {
  readonly directory: string;
  readonly originalBytes: number;
  /** Bytes of all live frames. */
  readonly storedBytes: number;
  /** Sum of the sizes of all files in the directory. */
  readonly directoryBytes: number;
  /** Frames that nothing uses: staged by an interrupted import, or waiting for gc. */
  readonly unreferencedBytes: number;
  /** Everything that is not a live frame, by name. */
  readonly overheads: { readonly [name: string]: number };
  /** directoryBytes less everything named above; 0 when the store is at rest. */
  readonly residualBytes: number;
  /** originalBytes / directoryBytes; null when empty. */
  readonly ratio: number | null;
  readonly preset: string;
  readonly chunks: number;
  readonly tensors: number;
  readonly datasets: readonly DatasetStats[];
  /** Datasets that share chunks or are stored as differences to each other; those that take most bytes first. */
  readonly families: readonly FamilyUsage[];
}
