/**
 * What a caller wants to change, before it is known whether it can be: a list of intents, and what the caller relied on. The
 * commit resolves it against the catalog, under the lock, into the operations of a journal entry, or refuses it as a whole.
 */
import type { JsonObject } from "../model/entry.ts";
import type { OwnPack, PendingTensor } from "./pending.ts";

/** A dataset by id; the id is 0 until the commit that creates it. */
export interface DatasetRef {
  id: number;
  /** For messages. */
  readonly name: string;
}

export interface PendingRecord {
  readonly id: Uint8Array;
  readonly name: string | undefined;
  readonly metadata: JsonObject | undefined;
  readonly tensor: PendingTensor;
}

export interface PendingFile {
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly sha256: Uint8Array;
  /** Tensors and opaque runs whose bytes, one after the other, are the file. */
  readonly parts: readonly PendingTensor[];
  /** How each part lies in the file; absent: all as they are stored. */
  readonly layouts?: readonly number[];
  /** Its tensors as records, named as in the file: those among its parts, and derived ones. */
  readonly records: readonly PendingRecord[];
}

export type Intent =
  | {
      readonly kind: "create-dataset";
      readonly dataset: DatasetRef;
      readonly preset: string | null;
      readonly metadata: JsonObject;
      readonly schema: JsonObject | null;
      readonly indexed: readonly string[];
    }
  | {
      readonly kind: "set-dataset";
      readonly dataset: DatasetRef;
      readonly name?: string;
      readonly preset?: string | null;
      /** Merged into what is there; a null value removes its key. */
      readonly metadata?: JsonObject;
      readonly schema?: JsonObject | null;
      readonly indexed?: readonly string[];
    }
  | { readonly kind: "drop-dataset"; readonly dataset: DatasetRef }
  | {
      readonly kind: "insert";
      readonly dataset: DatasetRef;
      readonly record: PendingRecord;
      readonly replace: boolean;
    }
  | {
      readonly kind: "update";
      readonly dataset: DatasetRef;
      readonly id: Uint8Array;
      readonly name?: string;
      /** Merged into what is there; a null value removes its key. */
      readonly metadata?: JsonObject;
      readonly tensor?: PendingTensor;
      /** The tensor that the new one was derived from: another one there is a conflict. */
      readonly expectTensor?: number;
    }
  | { readonly kind: "delete"; readonly dataset: DatasetRef; readonly id: Uint8Array }
  | { readonly kind: "put-file"; readonly dataset: DatasetRef; readonly file: PendingFile }
  | { readonly kind: "delete-file"; readonly dataset: DatasetRef; readonly path: string }
  | {
      readonly kind: "set-tag";
      readonly dataset: DatasetRef;
      readonly tag: string;
      readonly version: number | undefined;
      readonly move: boolean;
    }
  | { readonly kind: "drop-tag"; readonly dataset: DatasetRef; readonly tag: string }
  | { readonly kind: "rollback"; readonly dataset: DatasetRef; readonly version: number }
  /** Merged into what is set. */
  | { readonly kind: "settings"; readonly settings: JsonObject }
  | { readonly kind: "set-preset"; readonly name: string; readonly preset: JsonObject }
  | { readonly kind: "drop-preset"; readonly name: string }
  /** Frames of a long import, ahead of its last entry. */
  | { readonly kind: "stage"; readonly packs: readonly OwnPack[] }
  /** The import whose frames were staged is through. */
  | { readonly kind: "unstage"; readonly firsts: readonly number[] };

/** What a transaction read and must find unchanged when it commits. */
export type Expectation =
  /** A record as of the version that added it; undefined: that there was none. */
  | {
      readonly kind: "record";
      readonly dataset: DatasetRef;
      readonly id: Uint8Array;
      readonly added: number | undefined;
    }
  /** That no record has this name (and no file), or exactly this one. */
  | {
      readonly kind: "name";
      readonly dataset: DatasetRef;
      readonly name: string;
      readonly id: Uint8Array | undefined;
    }
  /** The whole dataset: for lists and counts. */
  | { readonly kind: "version"; readonly dataset: DatasetRef; readonly version: number };

export interface WriteSet {
  readonly intents: readonly Intent[];
  readonly expectations?: readonly Expectation[];
  /** A line for the log of versions. */
  readonly note?: string;
}

/** What a commit did. */
export interface CommitResult {
  readonly sequence: number;
  /** Dataset id to the version that this commit made. */
  readonly versions: ReadonlyMap<number, number>;
  /** Bytes of the frames that it added. */
  readonly newBytes: number;
  /** First ids of the runs of chunks that it staged. */
  readonly stagedFirsts: readonly number[];
}

/** A committed chunk or tensor that was referenced is gone (gc ran in between): prepare again. Never leaves the store. */
export class StaleReferenceError extends Error {
  constructor(what: string) {
    super(`${what} was collected while it was being referenced`);
    this.name = "StaleReferenceError";
  }
}
