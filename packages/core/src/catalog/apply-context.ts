/**
 * What the operations of one entry share while it is applied.
 */
import type { Counters, FrameFacts, FramesOp, Op } from "../model/entry.ts";
import type { Sqlite } from "./sqlite.ts";

/** The operation of one kind. */
export type OpOf<K extends Op["op"]> = Extract<Op, { readonly op: K }>;

/** Reads the headers of the frames that a `frames` operation points to, in their order. */
export type FramesReader = (op: FramesOp) => readonly FrameFacts[];

export interface ApplyOptions {
  /** The entry is part of a snapshot: its sequence stands for a state, and rows carry the versions that added and removed them. */
  readonly snapshot?: boolean;
}

export interface ApplyContext {
  readonly sqlite: Sqlite;
  readonly sequence: number;
  readonly timeMs: number;
  readonly snapshot: boolean;
  readonly frames: FramesReader;
  readonly counters: { -readonly [kind in keyof Counters]: Counters[kind] };
  /** Rows of `form` and `chain` met in this entry. Not kept longer: a rollback or another process may undo them. */
  readonly forms: Map<string, number>;
  readonly chains: Map<string, number>;
  /** Files whose records were added, and the ranges of those records' ids. */
  readonly ranges: Map<number, { first: Uint8Array; last: Uint8Array }>;
  /** Chunks whose frames name a sibling, with the first bytes of its hash. */
  readonly siblings: Map<number, Uint8Array>;
  /** Ids of dropped chunks, as ranges [first, end). */
  readonly dropped: (readonly [first: number, end: number])[];
  /** Declared metadata paths may have changed. */
  pathsChanged: boolean;
}
