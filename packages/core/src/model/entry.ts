/**
 * What one commit says. A journal entry is a list of operations; the catalog is nothing but all entries applied in order.
 * Chunk facts (hash, lengths, codec) are not repeated here: they lie in the frames that a `frames` operation points to.
 *
 * Ids of chunks, tensors, packs, datasets and files are given out in rising order and never used again.
 * Runs are flat lists of pairs: `[first, count, first, count, ...]`.
 */
import type { Json, JsonObject, QuantizationError } from "@tensorcask/codec";

/** Pairs of first id and count: `[first, count, first, count, ...]`. */
export type Runs = readonly number[];

export type { Json, JsonObject };

/** Where an array's bytes lie: in whole chunks of its own, or in a slot of a bundle. */
export type Place = { readonly runs: Runs } | { readonly bundle: number; readonly offset: number };

/** One stored array of a tensor. `role` is `values` for a tensor stored as it is. */
export interface ArrayFacts {
  readonly role: "values" | "scales" | "zeros";
  /** Code of the dtype of the stored elements. */
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly place: Place;
}

/** How a tensor was quantized; recorded with the tensor, never taken from the current preset. */
export interface QuantizationFacts {
  readonly quantizer: string;
  readonly parameters: JsonObject;
  readonly error: QuantizationError;
  readonly bitsPerWeight: number;
}

/** A stored tensor, or a run of opaque bytes (dtype uint8, geometry `content`). */
export interface TensorFacts {
  /** SHA-256 over source hash, dtype, shape, quantizer and geometry (codec's `tensorKey`). */
  readonly key: Uint8Array;
  readonly dtype: number;
  readonly shape: readonly number[];
  /** `elements`: chunks cut by elements. `content`: cut by content (FastCDC), for opaque bytes. */
  readonly geometry: "elements" | "content";
  readonly quantization?: QuantizationFacts;
  /** Why a quantizer that the preset asked for was not applied; of a quantized tensor, why its policy chose this one. */
  readonly note?: string;
  /** Hashes that tensors which resemble it share some of (codec's `sketch`): 8 x u32, little-endian. Most tensors have none. */
  readonly sketch?: Uint8Array;
  readonly arrays: readonly ArrayFacts[];
}

/** Bytes of a tensor's sketch. */
export const SKETCH_BYTES = 32;

export interface RecordFacts {
  /** 16 bytes, ULID-like: 48-bit milliseconds, 80 bits random, rising within a batch. */
  readonly id: Uint8Array;
  /** Id of the imported file that the record came from; 0 for none. */
  readonly file: number;
  readonly name?: string;
  readonly metadata?: JsonObject;
  readonly tensor: number;
  /** Only in snapshots: the version that added and the one that removed it, where they differ from the operation's. */
  readonly added?: number;
  readonly removed?: number;
}

export interface FileFacts {
  readonly file: number;
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly sha256: Uint8Array;
  /** Tensor ids whose source bytes, one after the other (and laid out as below), are the file. */
  readonly parts: readonly number[];
  /** How the elements of each part lie in the file (codes of part-layout.ts). Absent: all as they are stored. */
  readonly layouts?: readonly number[];
  readonly added?: number;
  readonly removed?: number;
}

export interface DatasetFacts {
  readonly dataset: number;
  readonly name: string;
  readonly timeMs: number;
  /** Name of a preset, or null to follow the store's. */
  readonly preset: string | null;
  readonly metadata: JsonObject;
  readonly schema: JsonObject | null;
  /** Metadata paths (dotted) that have an index. */
  readonly indexed: readonly string[];
}

export type Op =
  /** A pack joins the store. `tail`: small commits may append to it (the newest tail pack is *the* tail). */
  | { readonly op: "pack.add"; readonly pack: number; readonly name: string; readonly tail: boolean }
  | { readonly op: "pack.drop"; readonly packs: readonly number[] }
  /** Frames in [offset, offset + bytes) of a pack, in order, are the chunks of `chunks`. New ids add chunks; known ids move them (gc, recompress). */
  | {
      readonly op: "frames";
      readonly pack: number;
      readonly offset: number;
      readonly bytes: number;
      readonly chunks: Runs;
      /** Set on frames that a long import commits ahead of its last entry: gc spares them for 24 hours. */
      readonly staged?: boolean;
      /** Only in snapshots: when staged frames were committed. */
      readonly timeMs?: number;
    }
  | { readonly op: "staged.drop"; readonly firsts: readonly number[] }
  | { readonly op: "chunks.drop"; readonly chunks: Runs }
  | { readonly op: "tensors.add"; readonly first: number; readonly tensors: readonly TensorFacts[] }
  | { readonly op: "tensors.drop"; readonly tensors: Runs }
  | ({ readonly op: "dataset.add" } & DatasetFacts)
  | {
      readonly op: "dataset.set";
      readonly dataset: number;
      readonly name?: string;
      readonly preset?: string | null;
      readonly metadata?: JsonObject;
      readonly schema?: JsonObject | null;
      readonly indexed?: readonly string[];
    }
  | { readonly op: "dataset.drop"; readonly dataset: number }
  /** A new version of a dataset; the record and file operations behind it in the entry belong to it. */
  | {
      readonly op: "version";
      readonly dataset: number;
      readonly version: number;
      readonly note?: string;
      /** Only in snapshots: when it was made, and by which entry. */
      readonly timeMs?: number;
      readonly sequence?: number;
    }
  | { readonly op: "tag.set"; readonly dataset: number; readonly tag: string; readonly version: number }
  | { readonly op: "tag.drop"; readonly dataset: number; readonly tag: string }
  /** Versions not in `kept` (which holds the current one) expire; records and files that none of `kept` sees go. */
  | { readonly op: "expire"; readonly dataset: number; readonly kept: readonly number[] }
  | {
      readonly op: "records.add";
      readonly dataset: number;
      readonly version: number;
      readonly records: readonly RecordFacts[];
    }
  | {
      readonly op: "records.remove";
      readonly dataset: number;
      readonly version: number;
      readonly ids: readonly Uint8Array[];
    }
  | {
      readonly op: "files.add";
      readonly dataset: number;
      readonly version: number;
      readonly files: readonly FileFacts[];
    }
  /** Removes files and, with them, their records. */
  | {
      readonly op: "files.remove";
      readonly dataset: number;
      readonly version: number;
      readonly files: readonly number[];
    }
  | { readonly op: "settings.set"; readonly settings: JsonObject }
  | { readonly op: "preset.set"; readonly name: string; readonly preset: JsonObject }
  | { readonly op: "preset.drop"; readonly name: string }
  /** Next free ids; only in snapshots (otherwise they follow from what was added). */
  | { readonly op: "counters"; readonly next: Counters };

/** The operation that places frames. */
export type FramesOp = Extract<Op, { op: "frames" }>;

/** Next free id of each kind. All start at 1. */
export interface Counters {
  readonly chunk: number;
  readonly tensor: number;
  readonly pack: number;
  readonly dataset: number;
  readonly file: number;
}

/** One commit: numbered from 1, without gaps. */
export interface Entry {
  readonly sequence: number;
  readonly timeMs: number;
  readonly ops: readonly Op[];
}

/** Where an entry ends in the journal, and the hash chain's head there. Sequence 0 is the empty journal. */
export interface JournalPosition {
  readonly sequence: number;
  /** SHA-256 of the last entry's bytes; 32 zeros at sequence 0. */
  readonly hash: Uint8Array;
  /** Name of the segment file and the offset just behind the last entry in it. */
  readonly segment: string;
  readonly offset: number;
}

/** What the catalog must know of one frame: read from its header. */
export interface FrameFacts {
  /** SHA-256 of the chunk before coding. */
  readonly hash: Uint8Array;
  /** Offset of the frame in its pack. */
  readonly offset: number;
  /** Bytes of the whole frame on disk, header included. */
  readonly frameBytes: number;
  /** Bytes of the chunk. */
  readonly rawBytes: number;
  /** Codes of the codec chain's steps, in the order of encoding. Empty: stored raw. */
  readonly chain: readonly number[];
  /** First 16 bytes of the SHA-256 of the chunk that it is coded against, its sibling. */
  readonly sibling?: Uint8Array;
  /** What finds the chunk when others resemble it (codec's `features`): known when it is committed, and in no frame. */
  readonly features?: Int32Array;
}
