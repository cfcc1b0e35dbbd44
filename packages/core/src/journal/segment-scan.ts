/**
 * Goes through the entries of one segment, checking each one and its place in the chain. Knows how to tell an
 * entry that was cut off while it was written (the last one, after a crash) from damage: behind a cut entry
 * there is never another one, because nothing is written behind a write that failed.
 */
import { DamageError, equalBytes, SHA256_BYTES } from "@tensorcask/codec";
import type { OpenFile } from "../files/file-system.ts";
import {
  ENTRY_HEADER_BYTES,
  ENTRY_MAGIC_PREFIX,
  ENTRY_OVERHEAD_BYTES,
  readEntryHeader,
  SEGMENT_HEADER_BYTES,
  verifiedHash,
} from "./segment.ts";

/** How much is read at once: many small entries, little memory. */
const WINDOW_BYTES = 1024 * 1024;

/** A place between two entries: the offset, and sequence and hash of the entry before it. */
export interface ChainPoint {
  readonly offset: number;
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** An entry that was found whole and in its place. */
export interface ScannedEntry {
  /** A view; it keeps the memory that was read with it alive. */
  readonly payload: Uint8Array;
  readonly final: boolean;
  /** Behind the entry. */
  readonly end: ChainPoint;
}

/** How a scan ended. */
export interface ScanEnd {
  readonly point: ChainPoint;
  /** Length of the file when the scan began. */
  readonly fileBytes: number;
  /** What is wrong with the bytes behind `point`; undefined when there are none. */
  readonly problem?: string;
}

export interface ScanOptions {
  /** Names the segment in errors. */
  readonly where: string;
  /** Entries of this sequence and later ones are void: the next part holds them. */
  readonly until?: number;
  /** All entries of a snapshot carry the sequence of its state. */
  readonly snapshot?: boolean;
}

/**
 * Yields the entries behind `from` in order and returns where they end. Throws `DamageError` for an entry
 * that is whole but does not follow from the one before.
 */
export async function* scanEntries(
  file: OpenFile,
  from: ChainPoint,
  options: ScanOptions,
): AsyncGenerator<ScannedEntry, ScanEnd> {
  const { where, until } = options;
  const fileBytes = await file.size();
  const window = new Window(file, fileBytes);
  let point = from;
  while (point.offset < fileBytes) {
    if (until !== undefined && point.sequence + 1 >= until) return { point, fileBytes };
    const left = fileBytes - point.offset;
    const problem = (text: string): ScanEnd => ({ point, fileBytes, problem: text });
    if (left < ENTRY_OVERHEAD_BYTES) return problem(`only ${left} bytes of an entry`);
    const header = readEntryHeader(await window.bytes(point.offset, ENTRY_HEADER_BYTES));
    if (header === undefined) return problem("not an entry");
    const length = header.payloadBytes + ENTRY_OVERHEAD_BYTES;
    if (length > left) return problem(`${left} of an entry's ${length} bytes`);
    const bytes = await window.bytes(point.offset, length);
    const hash = bytes.length === length ? verifiedHash(bytes) : undefined;
    if (hash === undefined) return problem("an entry that is not what was written");
    const { sequence, previousHash, final } = header;
    const expected = options.snapshot === true ? from.sequence : point.sequence + 1;
    if (sequence !== expected || !equalBytes(previousHash, point.hash)) {
      throw new DamageError(
        where,
        `entry ${sequence} at offset ${point.offset} does not follow from entry ${point.sequence}`,
      );
    }
    point = { offset: point.offset + length, sequence, hash };
    yield {
      payload: bytes.subarray(ENTRY_HEADER_BYTES, ENTRY_HEADER_BYTES + header.payloadBytes),
      final,
      end: point,
    };
  }
  return { point, fileBytes };
}

/**
 * Decides what the bytes are that a scan stumbled over: an entry that was cut off (returns), or damage in the
 * middle of the journal, which is proved by a whole entry behind it (throws `DamageError`).
 */
export async function checkTorn(file: OpenFile, end: ScanEnd, where: string): Promise<void> {
  const { point, fileBytes } = end;
  const window = new Window(file, fileBytes);
  const left = fileBytes - point.offset;
  let at = point.offset + 1;
  if (left >= ENTRY_HEADER_BYTES) {
    const header = readEntryHeader(await window.bytes(point.offset, ENTRY_HEADER_BYTES));
    if (header !== undefined) {
      // The header is whole, so its length is right: what lies within the entry is its own payload.
      const length = header.payloadBytes + ENTRY_OVERHEAD_BYTES;
      at = point.offset + length;
      // It may have been cut off and written anew since it was read.
      if (length <= left && verifiedHash(await window.bytes(point.offset, length)) !== undefined) return;
    }
  }
  for (;;) {
    const found = await nextMagic(window, at, fileBytes);
    if (found === undefined) return;
    const header = readEntryHeader(
      await window.bytes(found, Math.min(ENTRY_HEADER_BYTES, fileBytes - found)),
    );
    if (header !== undefined && header.sequence > point.sequence) {
      const length = header.payloadBytes + ENTRY_OVERHEAD_BYTES;
      if (length <= fileBytes - found && verifiedHash(await window.bytes(found, length)) !== undefined) {
        throw new DamageError(
          where,
          `${end.problem} at offset ${point.offset}, after entry ${point.sequence}, though entry ${header.sequence} behind it is whole`,
        );
      }
    }
    at = found + 1;
  }
}

/** Whether the entry that ends at `point.offset` has the hash of `point`. */
export async function endsAt(file: OpenFile, point: ChainPoint): Promise<boolean> {
  if (point.offset < SEGMENT_HEADER_BYTES + ENTRY_OVERHEAD_BYTES) return false;
  const hash = new Uint8Array(SHA256_BYTES);
  const count = await file.read(hash, point.offset - SHA256_BYTES);
  return count === SHA256_BYTES && equalBytes(hash, point.hash);
}

/** A piece of the file in memory. */
class Window {
  readonly #file: OpenFile;
  readonly #fileBytes: number;
  #start = 0;
  #content: Uint8Array = new Uint8Array(0);

  constructor(file: OpenFile, fileBytes: number) {
    this.#file = file;
    this.#fileBytes = fileBytes;
  }

  /**
   * A view of `count` bytes at `offset`, which must lie in the file. Fewer when the file has become shorter
   * meanwhile.
   */
  async bytes(offset: number, count: number): Promise<Uint8Array> {
    const at = offset - this.#start;
    if (at < 0 || at + count > this.#content.length) {
      const want = Math.min(Math.max(count, WINDOW_BYTES), this.#fileBytes - offset);
      const content = new Uint8Array(want);
      this.#content = content.subarray(0, await this.#file.read(content, offset));
      this.#start = offset;
      return this.#content.subarray(0, count);
    }
    return this.#content.subarray(at, at + count);
  }
}

/** The next offset from `at` on where an entry could begin. */
async function nextMagic(window: Window, at: number, end: number): Promise<number | undefined> {
  const step = WINDOW_BYTES - ENTRY_MAGIC_PREFIX.length;
  for (let offset = at; offset < end; offset += step) {
    const bytes = await window.bytes(offset, Math.min(WINDOW_BYTES, end - offset));
    const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(ENTRY_MAGIC_PREFIX);
    if (found >= 0) return offset + found;
  }
  return undefined;
}
