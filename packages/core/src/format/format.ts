/**
 * What a file format is to the store: an object that recognises files and plans them. A new format is one folder
 * with such an object plus one line in `registry.ts`.
 */
import type { JsonObject } from "../model/entry.ts";
import type { DerivedTensor, FilePlan, PlanPart, Source } from "../model/plan.ts";

/** Bytes from the start of a file that formats may look at to recognise it. */
export const HEAD_BYTES = 256;

/**
 * How sure a format is of a file. A file claimed by `name` must keep the format's rules; one claimed by `content`
 * is kept as opaque bytes if it breaks them.
 */
export type Claim = "name" | "content";

/** What a format found in a file: parts from 0 to the file's size, in order, without holes. */
export interface FormatPlan {
  readonly parts: readonly PlanPart[];
  /** Tensors that are no byte range of the file. Names are unique over parts and derived tensors. */
  readonly derived?: readonly DerivedTensor[];
  readonly metadata?: JsonObject;
  /** Names of files in the same folder that belong to this one: importing it imports them. */
  readonly companions?: readonly string[];
  /**
   * Parts of companions (by name) that only this file can tell, because it names the tensors in them: in place of
   * what the companion's own format would find. Like `parts`: in order, without holes, the whole companion, whose
   * size in bytes is the argument. Throws `InvalidFileError` when a tensor lies outside it.
   */
  readonly companionParts?: ReadonlyMap<string, (bytes: number) => readonly PlanPart[]>;
  /** Checks the plans of the companions (by name) against this file. Throws `InvalidFileError`. */
  readonly check?: (companions: ReadonlyMap<string, FilePlan>) => void;
}

/** One file format. */
export interface Format {
  /** Stored with every file of the format. */
  readonly id: string;
  /**
   * Whether the file is one of this format, by its name (without folders) or by its first `HEAD_BYTES` bytes;
   * undefined when not.
   */
  matches(name: string, head: Uint8Array): Claim | undefined;
  /**
   * Reads what it needs (headers, never the data) and plans the file. Throws `InvalidFileError` naming tensor and
   * rule.
   */
  plan(source: Source): Promise<FormatPlan>;
}
