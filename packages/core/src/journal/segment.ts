/**
 * The files of the journal and their bytes.
 *
 * `<generation>-<part>.log`, eight digits each. A generation is a whole journal: where garbage collection
 * rewrote the one before it, its part 0 is a snapshot (entries that rebuild the state at one sequence), and
 * live entries follow in parts 1, 2, ... A part holds the entries from its own first sequence up to the next
 * part's first sequence; what lies beyond that in the file is void (a write there failed, and the next part
 * took over).
 *
 *   header of a segment
 *   0    4   magic "TCJL"
 *   4    2   u16 version: 0
 *   6    2   u16 flags: bit 0 snapshot
 *   8    4   u32 generation
 *   12   4   u32 part
 *   16   8   u64 sequence: of the first entry; in a snapshot, of the state that it rebuilds
 *   24  32   hash of the entry before the first; in a snapshot, of the entry that made the state. Zeros at the very start
 *   56   8   first 8 bytes of the SHA-256 of the 56 bytes before
 *
 *   entry
 *   0    4   magic "TCJE"; "TCJF" for the final entry of a snapshot, without which it is not complete
 *   4    4   u32 payload bytes n
 *   8    8   u64 sequence
 *   16  32   hash of the entry before
 *   48   4   first 4 bytes of the SHA-256 of the 48 bytes before: tells a cut entry from one with a damaged length
 *   52   n   payload (entry-codec.ts)
 *   52+n 32  SHA-256 of all of the entry before it: the entry's hash
 */
import { DamageError, equalBytes, LimitError, SHA256_BYTES, sha256 } from "@tensorcask/codec";
import { MAX_ENTRY_BYTES } from "./entry-codec.ts";

export const SEGMENT_HEADER_BYTES = 64;
export const ENTRY_HEADER_BYTES = 52;
/** What an entry takes beside its payload. */
export const ENTRY_OVERHEAD_BYTES: number = ENTRY_HEADER_BYTES + SHA256_BYTES;

/** Part of a generation that holds its snapshot. */
export const SNAPSHOT_PART = 0;

const VERSION = 0;
const SNAPSHOT_FLAG = 1;
const HEADER_CHECK_BYTES = 8;
const ENTRY_CHECK_BYTES = 4;
const MAX_NUMBER = 99_999_999;

const segmentMagic: readonly number[] = [0x54, 0x43, 0x4a, 0x4c];
const entryMagic: readonly number[] = [0x54, 0x43, 0x4a, 0x45];
const finalMagic: readonly number[] = [0x54, 0x43, 0x4a, 0x46];

/** The first three bytes of both kinds of entries, for looking for one. */
export const ENTRY_MAGIC_PREFIX: Uint8Array = new Uint8Array(entryMagic.slice(0, 3));

const namePattern = /^(\d{8})-(\d{8})\.log$/;

/** What a segment's name and header say. */
export interface Segment {
  readonly name: string;
  readonly generation: number;
  readonly part: number;
  readonly snapshot: boolean;
  /** First sequence; of a snapshot, the sequence of its state. */
  readonly sequence: number;
  /** Hash of the entry before the first; of a snapshot, of the entry that made the state. */
  readonly hash: Uint8Array;
}

/** What an entry's header says. */
export interface EntryHeader {
  readonly final: boolean;
  readonly payloadBytes: number;
  readonly sequence: number;
  readonly previousHash: Uint8Array;
}

/** File name of a segment. Throws `LimitError` beyond eight digits. */
export function segmentName(generation: number, part: number): string {
  for (const number of [generation, part]) {
    if (number > MAX_NUMBER) throw new LimitError("journal segment number", number, MAX_NUMBER);
  }
  return `${String(generation).padStart(8, "0")}-${String(part).padStart(8, "0")}.log`;
}

/** Generation and part of a file name; undefined when it is not a segment's. */
export function parseSegmentName(name: string): { generation: number; part: number } | undefined {
  const found = namePattern.exec(name);
  return found === null ? undefined : { generation: Number(found[1]), part: Number(found[2]) };
}

/** The header of a segment. */
export function segmentHeader(segment: Omit<Segment, "name">): Uint8Array {
  const header = new Uint8Array(SEGMENT_HEADER_BYTES);
  const view = new DataView(header.buffer);
  header.set(segmentMagic);
  view.setUint16(4, VERSION, true);
  view.setUint16(6, segment.snapshot ? SNAPSHOT_FLAG : 0, true);
  view.setUint32(8, segment.generation, true);
  view.setUint32(12, segment.part, true);
  view.setBigUint64(16, BigInt(segment.sequence), true);
  header.set(segment.hash, 24);
  const checked = SEGMENT_HEADER_BYTES - HEADER_CHECK_BYTES;
  header.set(sha256(header.subarray(0, checked)).subarray(0, HEADER_CHECK_BYTES), checked);
  return header;
}

/** Reads a segment's header. Throws `DamageError` naming `where`. */
export function readSegmentHeader(header: Uint8Array, name: string, where: string): Segment {
  if (header.length < SEGMENT_HEADER_BYTES) throw new DamageError(where, "shorter than a segment's header");
  if (!startsWith(header, segmentMagic)) throw new DamageError(where, "not a journal segment");
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const version = view.getUint16(4, true);
  if (version !== VERSION) {
    throw new DamageError(where, `journal version ${version} is newer than this Tensorcask understands`);
  }
  const checked = SEGMENT_HEADER_BYTES - HEADER_CHECK_BYTES;
  const check = sha256(header.subarray(0, checked)).subarray(0, HEADER_CHECK_BYTES);
  if (!equalBytes(check, header.subarray(checked, SEGMENT_HEADER_BYTES))) {
    throw new DamageError(where, "the header of the segment is damaged");
  }
  const flags = view.getUint16(6, true);
  const generation = view.getUint32(8, true);
  const part = view.getUint32(12, true);
  const snapshot = (flags & SNAPSHOT_FLAG) !== 0;
  if (flags > SNAPSHOT_FLAG || snapshot !== (part === SNAPSHOT_PART)) {
    throw new DamageError(where, `the segment has flags ${flags}, which do not fit it`);
  }
  if (segmentName(generation, part) !== name) {
    throw new DamageError(where, `the segment was written as ${segmentName(generation, part)}`);
  }
  return {
    name,
    generation,
    part,
    snapshot,
    sequence: readSequence(view, 16, where),
    hash: header.slice(24, 24 + SHA256_BYTES),
  };
}

/** The bytes of an entry, and its hash. */
export function entryBytes(
  payload: Uint8Array,
  sequence: number,
  previousHash: Uint8Array,
  final = false,
): { bytes: Uint8Array; hash: Uint8Array } {
  const end = ENTRY_HEADER_BYTES + payload.length;
  const bytes = new Uint8Array(end + SHA256_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(final ? finalMagic : entryMagic);
  view.setUint32(4, payload.length, true);
  view.setBigUint64(8, BigInt(sequence), true);
  bytes.set(previousHash, 16);
  bytes.set(entryCheck(bytes), ENTRY_HEADER_BYTES - ENTRY_CHECK_BYTES);
  bytes.set(payload, ENTRY_HEADER_BYTES);
  const hash = sha256(bytes.subarray(0, end));
  bytes.set(hash, end);
  return { bytes, hash };
}

/**
 * Reads an entry's header; undefined when the bytes are none. Never throws: the caller knows what a bad
 * header means.
 */
export function readEntryHeader(header: Uint8Array): EntryHeader | undefined {
  if (header.length < ENTRY_HEADER_BYTES) return undefined;
  const final = startsWith(header, finalMagic);
  if (!final && !startsWith(header, entryMagic)) return undefined;
  const check = header.subarray(ENTRY_HEADER_BYTES - ENTRY_CHECK_BYTES, ENTRY_HEADER_BYTES);
  if (!equalBytes(entryCheck(header), check)) return undefined;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const payloadBytes = view.getUint32(4, true);
  const sequence = Number(view.getBigUint64(8, true));
  if (payloadBytes > MAX_ENTRY_BYTES || !Number.isSafeInteger(sequence)) return undefined;
  return { final, payloadBytes, sequence, previousHash: header.subarray(16, 16 + SHA256_BYTES) };
}

/** The hash of a whole entry when its bytes are what was written; else undefined. */
export function verifiedHash(entry: Uint8Array): Uint8Array | undefined {
  const end = entry.length - SHA256_BYTES;
  const hash = sha256(entry.subarray(0, end));
  return equalBytes(hash, entry.subarray(end)) ? hash : undefined;
}

function entryCheck(header: Uint8Array): Uint8Array {
  const checked = ENTRY_HEADER_BYTES - ENTRY_CHECK_BYTES;
  return sha256(header.subarray(0, checked)).subarray(0, ENTRY_CHECK_BYTES);
}

function startsWith(bytes: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, index) => bytes[index] === byte);
}

function readSequence(view: DataView, at: number, where: string): number {
  const sequence = view.getBigUint64(at, true);
  if (sequence > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new LimitError("journal sequence", sequence, Number.MAX_SAFE_INTEGER, where);
  }
  return Number(sequence);
}
