/**
 * Writes zip archives of stored entries to a sink that cannot go back: checksums come behind the data (data
 * descriptors). Time stamps are fixed (1980-01-01, as `np.savez` writes), so the same data gives the same archive;
 * zip64 records appear only where sizes or counts need them. Data begins at multiples of 64 bytes, by an extra
 * field that others skip, so that it can be mapped into memory.
 */
import { crc32 } from "node:zlib";
import { ByteWriter } from "@tensorcask/codec";
import type { Sink } from "../writer.ts";
import {
  CENTRAL_HEADER,
  DESCRIPTOR,
  END,
  FLAG_DESCRIPTOR,
  FLAG_UTF8,
  LOCAL_HEADER,
  LOCAL_HEADER_BYTES,
  SENTINEL_16,
  SENTINEL_32,
  ZIP64_END,
  ZIP64_END_BYTES,
  ZIP64_EXTRA,
  ZIP64_LOCATOR,
} from "./records.ts";

/** Data begins at a multiple of this, in bytes. */
const ALIGNMENT = 64;
/** Id of the extra field that aligns data; its first two bytes are the alignment. As Android's tools write it. */
const ALIGNMENT_EXTRA = 0xd935;
const ALIGNMENT_EXTRA_BYTES = 6;
/** Versions of the format that a reader must know: for stored data and for zip64. */
const VERSION_PLAIN = 20;
const VERSION_ZIP64 = 45;
/** 1980-01-01, the first day of the format's calendar. */
const DATE = 0x21;
/** Attributes are those of Unix: a file that its owner may write and all may read. */
const MADE_BY_UNIX = 3 << 8;
const ATTRIBUTES = 0o100644 * 2 ** 16;

/** Why an entry cannot have this name; undefined when it can. */
export function zipNameProblem(name: string): string | undefined {
  if (!name.isWellFormed()) return "its name has half of a surrogate pair, which UTF-8 cannot hold";
  if (name.includes("\0")) return "its name holds NUL, where readers end it";
  if (Buffer.byteLength(name) > SENTINEL_16) return `its name has more than ${SENTINEL_16} bytes`;
  return undefined;
}

interface WrittenEntry {
  readonly name: Uint8Array;
  readonly flags: number;
  readonly crc32: number;
  readonly bytes: number;
  readonly offset: number;
}

/** Writes one archive: `add` for each entry, then `end`. Names must pass `zipNameProblem` and differ. */
export class ZipWriter {
  readonly #sink: Sink;
  readonly #entries: WrittenEntry[] = [];
  #offset = 0;

  constructor(sink: Sink) {
    this.#sink = sink;
  }

  /** Writes an entry of `bytes` bytes, which `pieces` are together. */
  async add(name: string, bytes: number, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    const nameBytes = new TextEncoder().encode(name);
    const flags = FLAG_DESCRIPTOR | (nameBytes.length === name.length ? 0 : FLAG_UTF8);
    const offset = this.#offset;
    const isLarge = bytes >= SENTINEL_32;
    await this.#write(localHeader(nameBytes, flags, isLarge, offset));
    let checksum = 0;
    for await (const piece of pieces) {
      checksum = crc32(piece, checksum);
      await this.#write(piece);
    }
    const fields = new ByteWriter().u32(DESCRIPTOR).u32(checksum);
    await this.#write((isLarge ? fields.u64(bytes).u64(bytes) : fields.u32(bytes).u32(bytes)).finish());
    this.#entries.push({ name: nameBytes, flags, crc32: checksum, bytes, offset });
  }

  /** Writes the directory. */
  async end(): Promise<void> {
    const offset = this.#offset;
    for (const entry of this.#entries) await this.#write(centralHeader(entry));
    await this.#write(endRecords(this.#entries.length, this.#offset - offset, offset));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    this.#offset += bytes.length;
    await this.#sink(bytes);
  }
}

/** The header at `offset`; sizes and checksum are zero, as they follow the data. */
function localHeader(name: Uint8Array, flags: number, isLarge: boolean, offset: number): Uint8Array {
  const zip64Bytes = isLarge ? 20 : 0;
  const unaligned = offset + LOCAL_HEADER_BYTES + name.length + zip64Bytes + ALIGNMENT_EXTRA_BYTES;
  const padding = (ALIGNMENT - (unaligned % ALIGNMENT)) % ALIGNMENT;
  const extraBytes = zip64Bytes + ALIGNMENT_EXTRA_BYTES + padding;
  const size = isLarge ? SENTINEL_32 : 0;
  const header = new ByteWriter()
    .u32(LOCAL_HEADER)
    .u16(isLarge ? VERSION_ZIP64 : VERSION_PLAIN)
    .u16(flags)
    .u16(0)
    .u16(0)
    .u16(DATE)
    .u32(0)
    .u32(size)
    .u32(size)
    .u16(name.length)
    .u16(extraBytes)
    .bytes(name);
  if (isLarge) header.u16(ZIP64_EXTRA).u16(16).u64(0).u64(0);
  return header
    .u16(ALIGNMENT_EXTRA)
    .u16(2 + padding)
    .u16(ALIGNMENT)
    .bytes(new Uint8Array(padding))
    .finish();
}

function centralHeader({ name, flags, crc32: checksum, bytes, offset }: WrittenEntry): Uint8Array {
  const isLarge = bytes >= SENTINEL_32;
  const isFar = offset >= SENTINEL_32;
  const version = isLarge || isFar ? VERSION_ZIP64 : VERSION_PLAIN;
  const valueBytes = (isLarge ? 16 : 0) + (isFar ? 8 : 0);
  const extraBytes = valueBytes === 0 ? 0 : 4 + valueBytes;
  const size = isLarge ? SENTINEL_32 : bytes;
  const header = new ByteWriter()
    .u32(CENTRAL_HEADER)
    .u16(MADE_BY_UNIX | version)
    .u16(version)
    .u16(flags)
    .u16(0)
    .u16(0)
    .u16(DATE)
    .u32(checksum)
    .u32(size)
    .u32(size)
    .u16(name.length)
    .u16(extraBytes)
    .u16(0)
    .u16(0)
    .u16(0)
    .u32(ATTRIBUTES)
    .u32(isFar ? SENTINEL_32 : offset)
    .bytes(name);
  if (extraBytes > 0) header.u16(ZIP64_EXTRA).u16(valueBytes);
  if (isLarge) header.u64(bytes).u64(bytes);
  if (isFar) header.u64(offset);
  return header.finish();
}

function endRecords(entries: number, directoryBytes: number, directoryOffset: number): Uint8Array {
  const isLarge = entries >= SENTINEL_16 || directoryBytes >= SENTINEL_32 || directoryOffset >= SENTINEL_32;
  const fields = new ByteWriter();
  if (isLarge) {
    fields
      .u32(ZIP64_END)
      .u64(ZIP64_END_BYTES - 12)
      .u16(MADE_BY_UNIX | VERSION_ZIP64)
      .u16(VERSION_ZIP64)
      .u32(0)
      .u32(0)
      .u64(entries)
      .u64(entries)
      .u64(directoryBytes)
      .u64(directoryOffset)
      .u32(ZIP64_LOCATOR)
      .u32(0)
      .u64(directoryOffset + directoryBytes)
      .u32(1);
  }
  const shortEntries = Math.min(entries, SENTINEL_16);
  return fields
    .u32(END)
    .u16(0)
    .u16(0)
    .u16(shortEntries)
    .u16(shortEntries)
    .u32(Math.min(directoryBytes, SENTINEL_32))
    .u32(Math.min(directoryOffset, SENTINEL_32))
    .u16(0)
    .finish();
}
