/**
 * Reads the journal from a position on. The position may be old: its segment may have been abandoned, or
 * collected with its generation; then the reader is told to start over (the state it has is derived, so
 * nothing is lost).
 */
import { DamageError, equalBytes, SHA256_BYTES } from "@tensorcask/codec";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import type { Entry, JournalPosition } from "../model/entry.ts";
import { decodeEntry } from "./entry-codec.ts";
import { type Generation, isMissing, loadGeneration, openSegment, startOfPart } from "./generation.ts";
import { SEGMENT_HEADER_BYTES, type Segment } from "./segment.ts";
import { type ChainPoint, checkTorn, endsAt, scanEntries } from "./segment-scan.ts";

/** An entry, and the position behind it. */
export interface JournalEntry {
  readonly restart: false;
  readonly entry: Entry;
  readonly position: JournalPosition;
  /** Whether it belongs to a snapshot. */
  readonly snapshot: boolean;
}

/** Everything applied so far must be cleared: a full replay follows. */
export interface JournalRestart {
  readonly restart: true;
}

export type JournalItem = JournalEntry | JournalRestart;

/**
 * How often a reader starts again because the generation it reads was dropped under it. More than that is no
 * coincidence.
 */
const MAX_RELOADS = 8;

/** A segment that was dropped since its generation was loaded. */
class SegmentGone extends Error {}

/** Yields everything behind `from`. See `Journal.read`. */
export async function* readJournal(
  files: FileSystem,
  directory: string,
  headers: Map<string, Segment>,
  from: JournalPosition,
): AsyncGenerator<JournalItem, void> {
  let position = from;
  for (let reloads = 0; ; reloads++) {
    try {
      const reader = new GenerationReader(files, directory, await loadGeneration(files, directory, headers));
      for await (const item of reader.read(position)) {
        if (!item.restart) position = item.position;
        yield item;
      }
      return;
    } catch (error) {
      const gone = error instanceof SegmentGone || isMissing(error);
      if (!gone || reloads >= MAX_RELOADS) throw error;
    }
  }
}

/** Reads one generation. */
class GenerationReader {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #generation: Generation;

  constructor(files: FileSystem, directory: string, generation: Generation) {
    this.#files = files;
    this.#directory = directory;
    this.#generation = generation;
  }

  async *read(from: JournalPosition): AsyncGenerator<JournalItem, void> {
    const { parts, snapshot } = this.#generation;
    const place = await this.#find(from);
    let index = 0;
    let point: ChainPoint | undefined;
    if (place === "restart") {
      yield { restart: true };
      if (snapshot !== undefined) yield* this.#readSnapshot(snapshot);
    } else {
      index = place.index;
      point = place.point;
    }
    for (; index < parts.length; index++) {
      yield* this.#readPart(index, point ?? startOfPart(parts[index]!));
      point = undefined;
    }
  }

  /**
   * The place of `from` in this generation: part and point in it; or "restart" when its state cannot be
   * continued.
   */
  async #find(from: JournalPosition): Promise<"restart" | { index: number; point?: ChainPoint }> {
    const { parts, snapshot } = this.#generation;
    const { sequence } = from;
    if (sequence === 0 || (snapshot !== undefined && sequence < snapshot.sequence)) return "restart";
    if (sequence === snapshot?.sequence) {
      return equalBytes(from.hash, snapshot.hash) ? { index: 0 } : "restart";
    }

    const named = parts.findIndex(({ name }) => name === from.segment);
    const takenOver = named < 0 ? undefined : parts[named + 1]?.sequence;
    // What the position says was written to a part that failed; the next one has other entries.
    if (takenOver !== undefined && takenOver <= sequence) return "restart";
    if (named >= 0) {
      const fits = await this.#withSegment(parts[named]!, (file) => endsAt(file, from));
      if (fits) return { index: named, point: from };
    }

    const index = parts.findLastIndex((part) => part.sequence <= sequence + 1);
    const part = parts[index];
    if (part === undefined) throw this.#ahead(sequence, snapshot?.sequence ?? 0);
    if (part.sequence === sequence + 1) {
      return equalBytes(part.hash, from.hash) ? { index } : "restart";
    }
    return this.#withSegment(part, async (file) => {
      const options = { where: `journal/${part.name}` };
      const scan = scanEntries(file, startOfPart(part), options);
      for (let step = await scan.next(); ; step = await scan.next()) {
        if (step.done === true) throw this.#ahead(sequence, step.value.point.sequence);
        const { end } = step.value;
        if (end.sequence < sequence) continue;
        return equalBytes(end.hash, from.hash) ? { index, point: end } : "restart";
      }
    });
  }

  async *#readSnapshot(segment: Segment): AsyncGenerator<JournalItem, void> {
    const where = `journal/${segment.name}`;
    const file = await this.#open(segment);
    try {
      const start = { offset: SEGMENT_HEADER_BYTES, sequence: segment.sequence, hash: segment.hash };
      const scan = scanEntries(file, start, { where, snapshot: true });
      let complete = false;
      for (let step = await scan.next(); ; step = await scan.next()) {
        if (step.done === true) {
          const { problem, point } = step.value;
          if (problem !== undefined || !complete) {
            throw new DamageError(where, `${problem ?? "the snapshot ends early"} at offset ${point.offset}`);
          }
          return;
        }
        const { payload, final, end } = step.value;
        if (complete) throw new DamageError(where, `the snapshot goes on behind its end`);
        complete = final;
        yield {
          restart: false,
          entry: decodeEntry(payload, segment.sequence, `${where} before offset ${end.offset}`),
          position: {
            sequence: final ? segment.sequence : 0,
            hash: final ? segment.hash : new Uint8Array(SHA256_BYTES),
            segment: segment.name,
            offset: end.offset,
          },
          snapshot: true,
        };
      }
    } finally {
      await file.close();
    }
  }

  async *#readPart(index: number, from: ChainPoint): AsyncGenerator<JournalItem, void> {
    const part = this.#generation.parts[index]!;
    const next = this.#generation.parts[index + 1];
    const where = `journal/${part.name}`;
    const file = await this.#open(part);
    try {
      const until = next === undefined ? {} : { until: next.sequence };
      const scan = scanEntries(file, from, { where, ...until });
      for (let step = await scan.next(); ; step = await scan.next()) {
        if (step.done === true) {
          const { point, problem } = step.value;
          if (next === undefined) {
            if (problem !== undefined) await checkTorn(file, step.value, where);
          } else if (point.sequence + 1 !== next.sequence || !equalBytes(point.hash, next.hash)) {
            const found = problem ?? `entry ${point.sequence} is the last one or another one`;
            throw new DamageError(
              where,
              `${found} at offset ${point.offset}, but ${next.name} begins with entry ${next.sequence}`,
            );
          }
          return;
        }
        const { payload, end } = step.value;
        yield {
          restart: false,
          entry: decodeEntry(payload, end.sequence, `${where} before offset ${end.offset}`),
          position: { sequence: end.sequence, hash: end.hash, segment: part.name, offset: end.offset },
          snapshot: false,
        };
      }
    } finally {
      await file.close();
    }
  }

  async #open(segment: Segment): Promise<OpenFile> {
    const file = await openSegment(this.#files, this.#directory, segment.name);
    if (file === undefined) throw new SegmentGone(segment.name);
    return file;
  }

  async #withSegment<T>(segment: Segment, action: (file: OpenFile) => Promise<T>): Promise<T> {
    const file = await this.#open(segment);
    try {
      return await action(file);
    } finally {
      await file.close();
    }
  }

  #ahead(wanted: number, last: number): DamageError {
    return new DamageError(
      "journal",
      `ends with entry ${last}, though entry ${wanted} was applied to the catalog: commits are lost; run tensorcask rebuild to go on without them`,
    );
  }
}
