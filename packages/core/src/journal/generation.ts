/**
 * Which segments make up the journal now: the newest generation that is complete. A generation begins with
 * the rename of its snapshot (the first one, which has none, with its first part), so that it is there as a
 * whole or not at all; files of older generations are left-overs until they are dropped.
 */
import { join } from "node:path";
import { DamageError, StorageError } from "@tensorcask/codec";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import {
  parseSegmentName,
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  type Segment,
  SNAPSHOT_PART,
  segmentHeader,
  segmentName,
} from "./segment.ts";
import type { ChainPoint } from "./segment-scan.ts";

/** The first generation, which begins without a snapshot. */
export const FIRST_GENERATION = 1;

/** The segments of the current generation. */
export interface Generation {
  readonly number: number;
  readonly snapshot: Segment | undefined;
  /** Parts with live entries, in order. */
  readonly parts: readonly Segment[];
  /** Bytes of the snapshot's file. */
  readonly snapshotBytes: number;
}

/** Whether an error says that a file is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof StorageError && error.code === "ENOENT";
}

/**
 * Finds the current generation and reads the headers of its segments. `known` holds headers read before, by
 * name.
 */
export async function loadGeneration(
  files: FileSystem,
  directory: string,
  known: Map<string, Segment>,
): Promise<Generation> {
  const found = new Map<string, { generation: number; part: number; bytes: number }>();
  let current = FIRST_GENERATION;
  for (const { name, kind, bytes } of await files.list(directory)) {
    const numbers = kind === "file" ? parseSegmentName(name) : undefined;
    if (numbers === undefined) continue;
    found.set(name, { ...numbers, bytes });
    if (numbers.part === SNAPSHOT_PART) current = Math.max(current, numbers.generation);
  }

  const segments: Segment[] = [];
  for (const [name, { generation }] of found) {
    if (generation > current) {
      throw new DamageError(`journal/${name}`, `generation ${generation} has no snapshot`);
    }
    if (generation === current) segments.push(await loadSegment(files, directory, name, known));
  }
  segments.sort((left, right) => left.part - right.part);
  const snapshot = segments[0]?.snapshot === true ? segments.shift() : undefined;
  checkOrder(snapshot, segments);
  const snapshotBytes = snapshot === undefined ? 0 : found.get(snapshot.name)!.bytes;
  return { number: current, snapshot, parts: segments, snapshotBytes };
}

/** The place just behind a part's header. */
export function startOfPart(part: Segment): ChainPoint {
  return { offset: SEGMENT_HEADER_BYTES, sequence: part.sequence - 1, hash: part.hash };
}

/** Makes the first or next part of a generation: durable, without entries. */
export async function createPart(
  files: FileSystem,
  directory: string,
  generation: number,
  part: number,
  after: { readonly sequence: number; readonly hash: Uint8Array },
): Promise<Segment> {
  const name = segmentName(generation, part);
  const path = join(directory, name);
  // Renaming would replace it; only a writer without the lock could have made it.
  if (await files.exists(path)) throw new DamageError(`journal/${name}`, "the next part exists already");
  const segment = {
    name,
    generation,
    part,
    snapshot: false,
    sequence: after.sequence + 1,
    hash: after.hash,
  };
  await files.writeWhole(path, segmentHeader(segment));
  return segment;
}

/** Opens a segment for reading; undefined when it is gone. */
export async function openSegment(
  files: FileSystem,
  directory: string,
  name: string,
): Promise<OpenFile | undefined> {
  try {
    return await files.open(join(directory, name), "read");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

async function loadSegment(
  files: FileSystem,
  directory: string,
  name: string,
  known: Map<string, Segment>,
): Promise<Segment> {
  const before = known.get(name);
  if (before !== undefined) return before;
  const file = await files.open(join(directory, name), "read");
  try {
    const header = new Uint8Array(SEGMENT_HEADER_BYTES);
    const count = await file.read(header, 0);
    const segment = readSegmentHeader(header.subarray(0, count), name, `journal/${name}`);
    known.set(name, segment);
    return segment;
  } finally {
    await file.close();
  }
}

/**
 * Parts must take over from one another in order; the first one from the snapshot, or from the very start.
 */
function checkOrder(snapshot: Segment | undefined, parts: readonly Segment[]): void {
  let least = snapshot === undefined ? 1 : snapshot.sequence + 1;
  parts.forEach((part, index) => {
    if (part.sequence < least || (index === 0 && part.sequence !== least)) {
      throw new DamageError(
        `journal/${part.name}`,
        `begins with entry ${part.sequence}, expected ${index === 0 ? least : `${least} or a later one`}`,
      );
    }
    least = part.sequence;
  });
}
