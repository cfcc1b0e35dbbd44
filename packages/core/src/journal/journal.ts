/**
 * The journal: the numbered, hash-chained log of commits, and the truth about everything that is not a chunk.
 * Bytes in segment.ts.
 *
 * One process at a time appends, under the writer lock; any number read. An append is one write and one sync.
 * After a write or sync that failed, the segment is abandoned: the next append starts a new part, whose
 * header says from which sequence on it takes over, so that whatever the failed write left behind counts for
 * nobody.
 *
 * A reader without the lock sees entries as soon as they are in the file, a moment before they are durable:
 * state that others share (the catalog) takes entries under the lock only.
 */
import { dirname, join } from "node:path";
import { ClosedError, SHA256_BYTES, UsageError } from "@tensorcask/codec";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import { STAGING_SUFFIX } from "../files/staging.ts";
import type { Entry, JournalPosition, Op } from "../model/entry.ts";
import { encodeEntry } from "./entry-codec.ts";
import { createPart, type Generation, loadGeneration, startOfPart } from "./generation.ts";
import { type JournalItem, readJournal } from "./journal-read.ts";
import { entryBytes, parseSegmentName, type Segment } from "./segment.ts";
import { type ChainPoint, checkTorn, endsAt, scanEntries } from "./segment-scan.ts";
import { type SnapshotOptions, writeSnapshotFile } from "./snapshot.ts";

/** A part takes no more entries once it is this long. */
export const PART_BYTES: number = 64 * 1024 * 1024;

/** Before the first entry. */
export const JOURNAL_START: JournalPosition = {
  sequence: 0,
  hash: new Uint8Array(SHA256_BYTES),
  segment: "",
  offset: 0,
};

export interface JournalOptions {
  /** Never makes the directory; `append`, `recover` and the like are refused. */
  readonly readOnly?: boolean;
  /** Length from which on a new part is started. Default `PART_BYTES`. */
  readonly partBytes?: number;
  /**
   * A position known from before, such as the catalog's: where it still fits, finding the end starts from
   * there.
   */
  readonly hint?: JournalPosition;
}

/** The journal of one store. */
export class Journal {
  readonly #files: FileSystem;
  readonly #directory: string;
  readonly #readOnly: boolean;
  readonly #partBytes: number;
  readonly #headers = new Map<string, Segment>();
  #generation: Generation = { number: 1, snapshot: undefined, parts: [], snapshotBytes: 0 };
  #position: JournalPosition = JOURNAL_START;
  /** Where a torn entry begins that `recover` is to cut off. */
  #tornAt: number | undefined;
  /** The last part, open for appending. */
  #tail: { readonly name: string; readonly file: OpenFile } | undefined;
  /** Name of the segment that a write or sync failed on. */
  #abandoned: string | undefined;
  /** Up to which sequence this object knows entries to be durable. */
  #durable = 0;
  /** Name of the last segment that this object knows to be durable. */
  #durableName = "";
  /** Whether making a segment failed, so that it may be there or not. */
  #unsure = false;
  #busy = false;
  #closed = false;

  private constructor(files: FileSystem, directory: string, options: JournalOptions) {
    this.#files = files;
    this.#directory = directory;
    this.#readOnly = options.readOnly ?? false;
    this.#partBytes = options.partBytes ?? PART_BYTES;
  }

  /**
   * Opens the journal in `directory` (made if it is missing) and finds its end. Changes no entry: a torn one
   * stays until `recover`. Throws `DamageError` naming segment and offset when a segment is damaged.
   */
  static async open(files: FileSystem, directory: string, options: JournalOptions = {}): Promise<Journal> {
    const journal = new Journal(files, directory, options);
    if (!journal.#readOnly) await files.makeDirectory(directory);
    await journal.#locate(options.hint ?? JOURNAL_START);
    return journal;
  }

  /** The end of the journal, as far as this object has seen it. */
  position(): JournalPosition {
    return this.#position;
  }

  /** Looks for entries and snapshots of other processes. Writes nothing. */
  async refresh(): Promise<JournalPosition> {
    this.#check();
    await this.#locate(this.#position);
    return this.#position;
  }

  /**
   * To be called under the writer lock, once after opening and whenever another process may have held it
   * since: finds the end, cuts off an entry that a crash left unfinished, makes durable what others left,
   * removes staging files.
   */
  recover(): Promise<JournalPosition> {
    return this.#exclusively(async () => {
      await this.#locate(this.#position);
      const { sequence, segment } = this.#position;
      const last = this.#generation.parts.at(-1);
      if (last !== undefined && (sequence > this.#durable || this.#tornAt !== undefined)) {
        const file = await this.#openTail(last.name);
        if (this.#tornAt !== undefined) await file.truncate(this.#tornAt);
        await file.sync();
        this.#tornAt = undefined;
      }
      // Whoever made the last segment may have died before its name was durable.
      if (segment !== this.#durableName) await this.#files.syncDirectory(this.#directory);
      this.#durable = sequence;
      this.#durableName = segment;
      this.#unsure = false;
      await this.#removeStaging();
      return this.#position;
    });
  }

  /**
   * Appends an entry, durably: one write, one sync. To be called under the writer lock, after `recover` where
   * that is due. The entry's sequence must be the one behind `position()`. When it rejects, the entry is not
   * committed and `position()` is unchanged.
   */
  append(entry: Entry): Promise<JournalPosition> {
    return this.#exclusively(async () => {
      await this.#makeSure();
      const before = this.#position;
      if (entry.sequence !== before.sequence + 1) {
        throw new UsageError(
          "sequence",
          `entry ${entry.sequence} does not follow the journal's last entry, ${before.sequence}`,
        );
      }
      const { bytes, hash } = entryBytes(encodeEntry(entry), entry.sequence, before.hash);
      const tail = await this.#tailForAppend();
      const offset = before.segment === tail.name ? before.offset : startOfPart(this.#lastPart()).offset;
      if ((await tail.file.size()) !== offset) {
        throw new UsageError("journal", "somebody else wrote to the journal: recover() before append()");
      }
      try {
        await tail.file.write(bytes, offset);
        await tail.file.sync();
      } catch (error) {
        this.#abandoned = tail.name;
        // So that nobody takes the entry for a commit meanwhile. If this fails, too, the next part's header
        // says it.
        await tail.file.truncate(offset).catch(() => undefined);
        throw error;
      }
      this.#durable = entry.sequence;
      this.#position = {
        sequence: entry.sequence,
        hash,
        segment: tail.name,
        offset: offset + bytes.length,
      };
      return this.#position;
    });
  }

  /**
   * Yields what follows `from`, to the end as it is found now: entries, and a restart where everything
   * applied before must be cleared first. Entries of a snapshot have positions of sequence 0 up to its last
   * one, whose position is that of the state. Throws `DamageError` when the journal is damaged, or ends
   * before `from`.
   */
  read(from: JournalPosition): AsyncIterable<JournalItem> {
    this.#check();
    return readJournal(this.#files, this.#directory, this.#headers, from);
  }

  /**
   * Writes a new generation: a snapshot of the state at `position()`, whose operations `slices` gives (each
   * becomes an entry). Under the writer lock. Resolves to the same sequence and hash in the new generation;
   * the old one's files stay until `dropOldGenerations`.
   */
  writeSnapshot(
    slices: Iterable<readonly Op[]> | AsyncIterable<readonly Op[]>,
    options: SnapshotOptions,
  ): Promise<JournalPosition> {
    return this.#exclusively(async () => {
      await this.#makeSure();
      const { sequence, hash } = this.#position;
      this.#unsure = true;
      const written = await writeSnapshotFile(
        this.#files,
        this.#directory,
        { generation: this.#generation.number + 1, sequence, hash },
        slices,
        options,
      );
      this.#unsure = false;
      await this.#closeTail();
      this.#abandoned = undefined;
      this.#tornAt = undefined;
      this.#generation = {
        number: written.segment.generation,
        snapshot: written.segment,
        parts: [],
        snapshotBytes: written.bytes,
      };
      this.#headers.set(written.segment.name, written.segment);
      this.#durableName = written.segment.name;
      this.#position = { sequence, hash, segment: written.segment.name, offset: written.bytes };
      return this.#position;
    });
  }

  /** Removes the files of older generations. Under the writer lock. Resolves to the bytes that were freed. */
  dropOldGenerations(): Promise<number> {
    return this.#exclusively(async () => {
      let freed = 0;
      for (const { name, bytes } of await this.#files.list(this.#directory)) {
        const numbers = parseSegmentName(name);
        if (numbers === undefined || numbers.generation >= this.#generation.number) continue;
        if (await this.#files.unlink(join(this.#directory, name))) freed += bytes;
        this.#headers.delete(name);
      }
      if (freed > 0) await this.#files.syncDirectory(this.#directory);
      return freed;
    });
  }

  /** Bytes of all files of the journal. */
  async bytes(): Promise<number> {
    this.#check();
    const entries = await this.#files.list(this.#directory);
    return entries.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#closeTail();
  }

  /** Finds the end of the journal, from `hint` on where that is a place in the last part. */
  async #locate(hint: JournalPosition): Promise<void> {
    const generation = await loadGeneration(this.#files, this.#directory, this.#headers);
    const { snapshot, snapshotBytes } = generation;
    const last = generation.parts.at(-1);
    this.#generation = generation;
    this.#tornAt = undefined;
    if (last === undefined) {
      this.#position =
        snapshot === undefined
          ? JOURNAL_START
          : {
              sequence: snapshot.sequence,
              hash: snapshot.hash,
              segment: snapshot.name,
              offset: snapshotBytes,
            };
      return;
    }
    const where = `journal/${last.name}`;
    const file = await this.#files.open(join(this.#directory, last.name), "read");
    try {
      const known = hint.segment === last.name && (await endsAt(file, hint));
      const scan = scanEntries(file, known ? hint : startOfPart(last), { where });
      let step = await scan.next();
      while (step.done !== true) step = await scan.next();
      const end = step.value;
      if (end.problem !== undefined) {
        await checkTorn(file, end, where);
        this.#tornAt = end.point.offset;
      }
      this.#position = positionAt(end.point, last.name);
    } finally {
      await file.close();
    }
  }

  /** The open last part; a new one where the last is full, abandoned or missing. */
  async #tailForAppend(): Promise<{ readonly name: string; readonly file: OpenFile }> {
    const last = this.#generation.parts.at(-1);
    const { sequence, hash, segment, offset } = this.#position;
    const full = last !== undefined && segment === last.name && offset >= this.#partBytes;
    if (last === undefined || full || this.#abandoned === last.name) {
      await this.#closeTail();
      const { number, parts } = this.#generation;
      const after = { sequence, hash };
      this.#unsure = true;
      const part = await createPart(this.#files, this.#directory, number, (last?.part ?? 0) + 1, after);
      this.#unsure = false;
      this.#headers.set(part.name, part);
      this.#generation = { ...this.#generation, parts: [...parts, part] };
      this.#abandoned = undefined;
      this.#durableName = part.name;
    }
    const { name } = this.#lastPart();
    return { name, file: await this.#openTail(name) };
  }

  #lastPart(): Segment {
    return this.#generation.parts.at(-1)!;
  }

  async #openTail(name: string): Promise<OpenFile> {
    if (this.#tail?.name !== name) {
      await this.#closeTail();
      this.#tail = { name, file: await this.#files.open(join(this.#directory, name), "write") };
    }
    return this.#tail.file;
  }

  async #closeTail(): Promise<void> {
    const tail = this.#tail;
    this.#tail = undefined;
    await tail?.file.close();
  }

  /**
   * After a segment could not be made: finds out whether it is there after all, and then makes it durable.
   */
  async #makeSure(): Promise<void> {
    if (!this.#unsure) return;
    const before = this.#generation;
    const now = await loadGeneration(this.#files, this.#directory, this.#headers);
    // Where nothing new is there, the position stays as it is: an abandoned segment must not be read again.
    if (now.number !== before.number || now.parts.length !== before.parts.length) {
      await this.#files.syncDirectory(this.#directory);
      await this.#locate(this.#position);
      this.#durableName = this.#position.segment;
    }
    this.#unsure = false;
  }

  async #removeStaging(): Promise<void> {
    for (const { name } of await this.#files.list(this.#directory)) {
      if (name.endsWith(STAGING_SUFFIX)) await this.#files.unlink(join(this.#directory, name));
    }
  }

  #check(): void {
    if (this.#closed) throw new ClosedError(`the journal of ${dirname(this.#directory)}`);
  }

  /** Runs what changes the journal: one at a time, never on a closed or read-only one. */
  async #exclusively<T>(action: () => Promise<T>): Promise<T> {
    this.#check();
    if (this.#readOnly) throw new UsageError("readOnly", "the journal was opened for reading only");
    if (this.#busy)
      throw new UsageError("journal", "two changes of the journal at once: hold the writer lock");
    this.#busy = true;
    try {
      return await action();
    } finally {
      this.#busy = false;
    }
  }
}

function positionAt(point: ChainPoint, segment: string): JournalPosition {
  if (point.sequence === 0 && point.offset === 0) return JOURNAL_START;
  return { sequence: point.sequence, hash: point.hash, segment, offset: point.offset };
}
