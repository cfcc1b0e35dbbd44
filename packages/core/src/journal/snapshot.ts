/**
 * Writes a snapshot: part 0 of a new generation, the entries that rebuild the state at one sequence. It grows
 * under a staging name and counts once it is renamed; until then the generation before stays the journal.
 */
import { dirname, join } from "node:path";
import { CancelledError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { stagingPath } from "../files/staging.ts";
import type { Op } from "../model/entry.ts";
import { encodeEntry } from "./entry-codec.ts";
import { entryBytes, type Segment, SNAPSHOT_PART, segmentHeader, segmentName } from "./segment.ts";

/** Entries are gathered up to this size, then written. */
const WRITE_BYTES = 1024 * 1024;

export interface SnapshotOptions {
  /** Time that its entries carry, in milliseconds since 1970. */
  readonly timeMs: number;
  readonly signal?: AbortSignal;
}

/** Which state it is, and which generation it begins. */
export interface SnapshotState {
  readonly generation: number;
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** Writes the file and makes it the current generation. */
export async function writeSnapshotFile(
  files: FileSystem,
  directory: string,
  state: SnapshotState,
  slices: Iterable<readonly Op[]> | AsyncIterable<readonly Op[]>,
  options: SnapshotOptions,
): Promise<{ segment: Segment; bytes: number }> {
  const { timeMs, signal } = options;
  const { sequence } = state;
  const segment: Segment = {
    ...state,
    name: segmentName(state.generation, SNAPSHOT_PART),
    part: SNAPSHOT_PART,
    snapshot: true,
  };
  const path = join(directory, segment.name);
  const staging = stagingPath(path);
  let bytes = 0;
  try {
    const file = await files.open(staging, "create");
    try {
      let pieces: Uint8Array[] = [segmentHeader(segment)];
      let gathered = pieces[0]!.length;
      let head = state.hash;
      const flush = async (): Promise<void> => {
        const whole = Buffer.concat(pieces, gathered);
        await file.write(whole, bytes);
        bytes += gathered;
        pieces = [];
        gathered = 0;
      };
      const add = async (ops: readonly Op[], final: boolean): Promise<void> => {
        const entry = entryBytes(encodeEntry({ sequence, timeMs, ops }), sequence, head, final);
        head = entry.hash;
        pieces.push(entry.bytes);
        gathered += entry.bytes.length;
        if (gathered >= WRITE_BYTES) await flush();
      };
      for await (const ops of slices) {
        if (signal?.aborted === true)
          throw new CancelledError("writing a snapshot", { cause: signal.reason });
        await add(ops, false);
      }
      await add([], true);
      if (gathered > 0) await flush();
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(staging, path);
  } catch (error) {
    await files.unlink(staging).catch(() => false);
    throw error;
  }
  await files.syncDirectory(dirname(path));
  return { segment, bytes };
}
