/**
 * What has been prepared for a commit but is not committed: chunks, arrays and tensors without ids. A tensor that the store knows already
 * is the same thing with its id set. Ids are set when a commit has succeeded, never before.
 */
import type { CodecPolicy } from "@tensorcask/codec";
import type { QuantizationFacts } from "../model/entry.ts";

/** Where a coded frame waits for its commit. */
export type FramePlace =
  /** In memory: the commit appends it to the tail pack. */
  | { readonly memory: Uint8Array }
  /** In a pack of the import's own. */
  | { readonly pack: OwnPack; readonly offset: number };

/** A pack that an import writes without the lock. */
export interface OwnPack {
  readonly name: string;
  /** Chunks in the order of their frames. */
  readonly chunks: PendingChunk[];
  /** Reads back what was written, sealed or not. Resolves to false when the pack is gone. */
  read(offset: number, into: Uint8Array): Promise<boolean>;
}

/** A chunk that another one is coded against. */
export interface PendingSibling {
  readonly ref: ChunkRef;
  /** Its SHA-256. */
  readonly hash: Uint8Array;
}

/** A chunk that was not in the catalog when it was looked up. */
export interface PendingChunk {
  readonly hash: Uint8Array;
  readonly rawBytes: number;
  /** Set when the frame has been coded. */
  frame: FramePlace | undefined;
  frameBytes: number;
  chain: readonly number[];
  /** What the frame is coded against, if it is. */
  sibling: PendingSibling | undefined;
  /** What finds it when others resemble it; chunks of opaque bytes only. */
  readonly features?: Int32Array | undefined;
  /** Set when committed; 0 before. */
  id: number;
}

/** A chunk by id, or one on its way. */
export type ChunkRef = number | PendingChunk;

/** Where an array will lie. `small`: it waits for a bundle. */
export type PendingPlace =
  | { readonly chunks: readonly ChunkRef[] }
  | { readonly small: Uint8Array }
  | { readonly bundle: ChunkRef; readonly offset: number };

export interface PendingArray {
  readonly role: "values" | "scales" | "zeros";
  readonly dtype: number;
  readonly shape: readonly number[];
  place: PendingPlace;
}

export interface PendingTensor {
  readonly key: Uint8Array;
  readonly dtype: number;
  readonly shape: readonly number[];
  readonly geometry: "elements" | "content";
  readonly quantization: QuantizationFacts | undefined;
  readonly note: string | undefined;
  readonly arrays: readonly PendingArray[];
  /** What finds it when others resemble it; undefined for most. */
  readonly sketch?: Uint8Array | undefined;
  /** How its small arrays are to be coded. */
  readonly policy: CodecPolicy;
  /** Id of the stored tensor; 0 until it is known or committed. */
  id: number;
}

/** A map key for a SHA-256. */
export function hashKey(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.byteLength).toString("latin1");
}

/** The id of a chunk that is committed. */
export function chunkId(ref: ChunkRef): number {
  return typeof ref === "number" ? ref : ref.id;
}

/** A chunk's SHA-256 and length for a chunk that will get its frame later. */
export function newPendingChunk(hash: Uint8Array, rawBytes: number, features?: Int32Array): PendingChunk {
  return { hash, rawBytes, frame: undefined, frameBytes: 0, chain: [], sibling: undefined, features, id: 0 };
}
