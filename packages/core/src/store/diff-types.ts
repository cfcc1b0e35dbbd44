/** What `store.diff` takes and gives. No behaviour here. */
import type { LongCallOptions } from "./types.ts";

export interface DiffOptions extends LongCallOptions {
  /** Also read both tensors of each pair that can be compared, and measure by how much their values differ. Default false: nothing is read. */
  readonly values?: boolean;
}

/**
 * How a tensor of a stands to one of b: `identical`, the same stored tensor; `difference`, another one of the same shape whose values can be
 * compared; `changed`, of another shape, or of a dtype that cannot be compared; `new`, only in b; `gone`, only in a.
 */
export type DiffStatus = "identical" | "difference" | "changed" | "new" | "gone";

/** One side of a pair. */
export interface DiffTensor {
  /** `[file#]tensor`, or an id. */
  readonly address: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes of the tensor as given. */
  readonly bytes: number;
  /** Frames that it lies in, without those that they are coded against; of a frame of many small tensors its part. */
  readonly storedBytes: number;
}

/** How far the values of b are from those of a. */
export interface ValueDiff {
  /** Values of each: of blocks those in them. */
  readonly elements: number;
  /** Of these, how many differ: in any bit where both have one dtype, else in value. */
  readonly changed: number;
  /** `changed / elements`; 0 of no elements. */
  readonly changedFraction: number;
  /** Euclidean norm of b - a over that of a; null when a is zero and b is not, and when the norms are beyond doubles. */
  readonly relativeL2: number | null;
  /** Largest |b - a|; of complex numbers of the real and imaginary parts. */
  readonly maxAbsolute: number;
  /** Elements where a, b or their difference is infinite or NaN: they are left out of norm and maximum. */
  readonly nonFinite: number;
}

/** One tensor of a or b, or a pair of both. */
export interface TensorDiff {
  readonly status: DiffStatus;
  readonly a: DiffTensor | undefined;
  readonly b: DiffTensor | undefined;
  /** Bytes, before coding, of the chunks that both lie in. */
  readonly sharedBytes: number;
  /** Chunks of either that are stored as differences to chunks of the other: their bytes before coding, and of the frames. */
  readonly differenceRawBytes: number;
  readonly differenceBytes: number;
  /** Of `difference`, when values were asked for and this version can read them. */
  readonly values: ValueDiff | undefined;
}

/** A file that is not the same in both, byte for byte. */
export interface FileDiff {
  readonly path: string;
  readonly status: "changed" | "new" | "gone";
  readonly bytesA: number | undefined;
  readonly bytesB: number | undefined;
}

/** Tensors of one status, and their bytes as given (those of b, of `gone` those of a). */
export interface DiffCount {
  readonly tensors: number;
  readonly bytes: number;
}

export interface DiffSummary {
  readonly a: { readonly dataset: string; readonly version: number };
  readonly b: { readonly dataset: string; readonly version: number };
  readonly counts: { readonly [status in DiffStatus]: DiffCount };
  /** Files that are the same, and those that are not, by path. */
  readonly filesIdentical: number;
  readonly files: readonly FileDiff[];
  /** Frames of chunks that both hold, in tensors or files; only a; only b. Each chunk is in one of the three. */
  readonly sharedBytes: number;
  readonly onlyABytes: number;
  readonly onlyBBytes: number;
  /** Of the last two: chunks that are stored as differences to chunks that only the other holds or both hold; raw, and as frames. */
  readonly differenceRawBytes: number;
  readonly differenceBytes: number;
  /** Frames that neither holds, but that chunks of a or b are coded against. */
  readonly otherBytes: number;
  readonly seconds: number;
}
