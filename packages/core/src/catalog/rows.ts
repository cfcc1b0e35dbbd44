/**
 * What the catalog answers with. Plain data: every value is the caller's own, nothing refers back to SQLite.
 */
import type { FileFacts, Json, JsonObject, RecordFacts, Runs, TensorFacts } from "../model/entry.ts";
import type { FamilyUsage } from "./families.ts";

/** Where a chunk lies. */
export interface ChunkRow {
  readonly id: number;
  /** SHA-256 of the chunk before coding. */
  readonly hash: Uint8Array;
  /** Name of the pack file. */
  readonly pack: string;
  /** Offset of the frame in the pack. */
  readonly offset: number;
  /** Bytes of the whole frame. */
  readonly frameBytes: number;
  /** Bytes of the chunk. */
  readonly rawBytes: number;
  /** Codes of the codec chain's steps, in the order of encoding; empty for a raw chunk. */
  readonly chain: readonly number[];
  /** Id of the chunk that it is coded against, which is itself coded against none. */
  readonly sibling?: number;
}

/** A chunk that is coded against another one. */
export interface Dependent {
  readonly chunk: number;
  readonly base: number;
}

/** A tensor that may resemble another one. */
export interface SiblingCandidate {
  readonly tensor: number;
  /** How many hashes of the sketches are the same, up to 8. */
  readonly bands: number;
}

export interface PackRow {
  readonly pack: number;
  readonly name: string;
  readonly tail: boolean;
  /** Where the last committed frame of the pack ends (0: none yet). */
  readonly committedBytes: number;
}

export interface PackLiveness extends PackRow {
  /** Frame bytes of the chunks that stay. */
  readonly liveBytes: number;
}

/** A run of chunk ids that a long import committed ahead of its last entry. */
export interface StagedRow {
  readonly first: number;
  readonly count: number;
  readonly timeMs: number;
}

export interface StoredTensor extends TensorFacts {
  readonly id: number;
}

export interface DatasetRow {
  readonly dataset: number;
  readonly name: string;
  readonly timeMs: number;
  /** Name of a preset, or null to follow the store's. */
  readonly preset: string | null;
  readonly metadata: JsonObject;
  readonly schema: JsonObject | null;
  readonly indexed: readonly string[];
  /** The current version; 0 before the first. */
  readonly version: number;
}

export interface VersionRow {
  readonly version: number;
  /** Sequence of the journal entry that made it. */
  readonly sequence: number;
  readonly timeMs: number;
  readonly note?: string;
  readonly tags: readonly string[];
}

export interface TagRow {
  readonly tag: string;
  readonly version: number;
}

export interface RecordRow extends Omit<RecordFacts, "added" | "removed"> {
  /** Path of the file that the record came from. */
  readonly filePath?: string;
  /** The version that added this state of the record. */
  readonly added: number;
}

export interface FileRow extends Omit<FileFacts, "added" | "removed"> {
  readonly dataset: number;
  readonly added: number;
  readonly removed?: number;
}

/** Operators of one field of a `where`; several of them must all hold. */
export interface WhereOperators {
  readonly eq?: null | boolean | number | string;
  readonly ne?: null | boolean | number | string;
  readonly gt?: number | string;
  readonly gte?: number | string;
  readonly lt?: number | string;
  readonly lte?: number | string;
  readonly in?: readonly (null | boolean | number | string)[];
  /** true: the field is there (null counts); false: it is not. */
  readonly exists?: boolean;
  /** Substring of a string, or member of an array. */
  readonly contains?: null | boolean | number | string;
}

/** Metadata path (dotted) to a value (short for `{ eq: value }`) or to operators. All fields must hold. */
export type Where = { readonly [path: string]: Json | WhereOperators };

/** Which records of one version of a dataset. All parts must hold. */
export interface RecordQuery {
  readonly dataset: number;
  readonly version: number;
  readonly where?: Where;
  /** Code of the tensor's dtype (before quantization). */
  readonly dtype?: number;
  /** The exact shape. */
  readonly shape?: readonly number[];
  /** Id of the file that the records came from; 0: those without a file. */
  readonly file?: number;
  readonly name?: string;
}

/** What differs between two versions of a dataset: visible at `to` but not at `from` (added), and the reverse. */
export interface Changes {
  readonly added: readonly RecordRow[];
  readonly removed: readonly RecordRow[];
  readonly filesAdded: readonly FileRow[];
  readonly filesRemoved: readonly FileRow[];
}

/** What one codec chain holds of a dataset. */
export interface ChainUsage {
  readonly chain: readonly number[];
  readonly chunks: number;
  readonly rawBytes: number;
  readonly frameBytes: number;
}

/**
 * Sizes of one dataset, in bytes. "Uses" means: by tensors of its records and by parts of its files; whoever uses a chunk also uses the
 * one that it is coded against, its sibling.
 */
export interface DatasetUsage {
  readonly dataset: number;
  readonly name: string;
  /** Current records and files. */
  readonly records: number;
  readonly files: number;
  /** Current files, and the source of current records that came without a file. */
  readonly originalBytes: number;
  /** Source bytes of current records of files whose tensor is no part of a file: what is kept beside the files' bytes. */
  readonly derivedBytes: number;
  /** Source bytes of the distinct tensors that the current version uses. */
  readonly tensorBytes: number;
  /** Bytes of the arrays of these tensors, before chunks are shared. */
  readonly arrayBytes: number;
  /** Raw bytes of the distinct chunks of these arrays: not of those that are only used as siblings. */
  readonly uniqueRawBytes: number;
  /** Frame bytes of the distinct chunks that the current version uses. */
  readonly standaloneBytes: number;
  /** Of these, what no other dataset uses, now or in its kept versions. */
  readonly exclusiveBytes: number;
  /** `standaloneBytes` less `exclusiveBytes`. */
  readonly sharedBytes: number;
  /** Each chunk's frame split evenly over the datasets whose current version uses it; the remainder goes to the lowest id. */
  readonly amortizedBytes: number;
  /** Frames that only kept old versions use, split the same way over the datasets that keep them. */
  readonly historyBytes: number;
  /** Chunks of the current version that are coded against a sibling, and the bytes of their frames. */
  readonly siblingChunks: number;
  readonly siblingBytes: number;
  /** Of all chunks that make up `standaloneBytes`. */
  readonly chains: readonly ChainUsage[];
}

/** Sum of all `amortizedBytes` and `historyBytes`, and `unreferencedBytes`, is `frameBytes` exactly. */
export interface StoreUsage {
  readonly datasets: readonly DatasetUsage[];
  /** Datasets that lean on each other, those that take most bytes first. */
  readonly families: readonly FamilyUsage[];
  /** Frames of chunks that nothing current or kept uses: staged, of dropped datasets, or waiting for gc. */
  readonly unreferencedBytes: number;
  /** All live frames. */
  readonly frameBytes: number;
  readonly chunks: number;
  readonly tensors: number;
}

/** What gc may drop. */
export interface DeadRows {
  readonly tensors: Runs;
  /** Those that are coded against others first, so that whoever drops them in this order never leaves one without its sibling. */
  readonly chunks: Runs;
  /** First ids of staged ranges that are old enough to go. */
  readonly stagedFirsts: readonly number[];
}
