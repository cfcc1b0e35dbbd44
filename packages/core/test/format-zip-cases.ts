/** Zip archives for the tests: each field as it belongs there, unless a test says otherwise. */
import { crc32, deflateRawSync } from "node:zlib";
import { ByteWriter } from "@tensorcask/codec";

/** Fields of a header that a test sets to something else. */
export interface HeaderFields {
  readonly signature?: number;
  readonly flags?: number;
  readonly method?: number;
  readonly crc32?: number;
  readonly compressedBytes?: number;
  readonly bytes?: number;
  readonly name?: string | Uint8Array;
  readonly extra?: Uint8Array;
}

/** One entry. */
export interface ZipCaseEntry {
  readonly name: string | Uint8Array;
  readonly data: Uint8Array;
  readonly deflated?: boolean;
  /** The compressed data, if it is not `data` deflated. */
  readonly raw?: Uint8Array;
  /** Bytes behind the data (a descriptor). */
  readonly behind?: Uint8Array;
  /** In both headers. */
  readonly both?: HeaderFields;
  readonly local?: HeaderFields;
  readonly central?: HeaderFields & { readonly offset?: number; readonly disk?: number };
}

/** What surrounds the entries. */
export interface ZipCaseEnd {
  readonly comment?: Uint8Array;
  readonly disk?: number;
  readonly entriesHere?: number;
  readonly entries?: number;
  readonly bytes?: number;
  readonly offset?: number;
  /** Bytes between the directory and the end record, given where it begins. */
  readonly between?: (at: number, directoryOffset: number) => Uint8Array;
  readonly behind?: Uint8Array;
  /** The directory lists the entries from last to first. */
  readonly reversed?: boolean;
}

const utf8 = (text: string | Uint8Array): Uint8Array =>
  typeof text === "string" ? new TextEncoder().encode(text) : text;

/** Bytes of one integer after the other. */
export function fields(write: (writer: ByteWriter) => void): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter();
  write(writer);
  return writer.finish();
}

/** A zip64 extra field with these values. */
export function zip64Extra(...values: number[]): Uint8Array<ArrayBuffer> {
  return fields((writer) => {
    writer.u16(1).u16(8 * values.length);
    for (const value of values) writer.u64(value);
  });
}

/** An archive of these entries. */
export function zipOf(entries: readonly ZipCaseEntry[], end: ZipCaseEnd = {}): Uint8Array<ArrayBuffer> {
  const file = new ByteWriter();
  const headers: Uint8Array[] = [];
  for (const entry of entries) {
    const { data, deflated = false } = entry;
    const raw = entry.raw ?? (deflated ? deflateRawSync(data) : data);
    const ascii = typeof entry.name !== "string" || utf8(entry.name).length === entry.name.length;
    const plain = {
      flags: (ascii ? 0 : 0x800) | (entry.behind === undefined ? 0 : 8),
      method: deflated ? 8 : 0,
      crc32: crc32(data),
      compressedBytes: raw.length,
      bytes: data.length,
      name: entry.name,
      extra: new Uint8Array(0),
      ...entry.both,
    };
    const header = (writer: ByteWriter, f: Required<Omit<HeaderFields, "signature">>): ByteWriter =>
      writer
        .u16(20)
        .u16(f.flags)
        .u16(f.method)
        .u16(0)
        .u16(0x21)
        .u32(f.crc32)
        .u32(f.compressedBytes)
        .u32(f.bytes)
        .u16(utf8(f.name).length)
        .u16(f.extra.length);
    const local = { signature: 0x04034b50, ...plain, ...entry.local };
    const inDirectory = { signature: 0x02014b50, offset: file.length, disk: 0, ...plain, ...entry.central };
    header(file.u32(local.signature), local).bytes(utf8(local.name)).bytes(local.extra);
    file.bytes(raw).bytes(entry.behind ?? new Uint8Array(0));
    const central = new ByteWriter();
    header(central.u32(inDirectory.signature).u16(20), inDirectory)
      .u16(0)
      .u16(inDirectory.disk)
      .u16(0)
      .u32(0)
      .u32(inDirectory.offset)
      .bytes(utf8(inDirectory.name))
      .bytes(inDirectory.extra);
    headers.push(central.finish());
  }
  const offset = file.length;
  if (end.reversed === true) headers.reverse();
  for (const header of headers) file.bytes(header);
  const directoryBytes = file.length - offset;
  if (end.between !== undefined) file.bytes(end.between(file.length, offset));
  const comment = end.comment ?? new Uint8Array(0);
  file
    .u32(0x06054b50)
    .u16(end.disk ?? 0)
    .u16(end.disk ?? 0)
    .u16(end.entriesHere ?? end.entries ?? entries.length)
    .u16(end.entries ?? entries.length)
    .u32(end.bytes ?? directoryBytes)
    .u32(end.offset ?? offset)
    .u16(comment.length)
    .bytes(comment)
    .bytes(end.behind ?? new Uint8Array(0));
  return file.finish().slice();
}

/** A zip64 end record and its locator, to lie at `at`. */
export function zip64End(
  at: number,
  values: { readonly entries: number; readonly bytes: number; readonly offset: number },
): Uint8Array {
  return fields((writer) => {
    writer.u32(0x06064b50).u64(44).u16(45).u16(45).u32(0).u32(0);
    writer.u64(values.entries).u64(values.entries).u64(values.bytes).u64(values.offset);
    writer.u32(0x07064b50).u32(0).u64(at).u32(1);
  });
}
