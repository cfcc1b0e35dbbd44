/**
 * The records of a zip archive (PKWARE APPNOTE 6.3.10), all little-endian.
 *
 *     0                                          directoryOffset             end record
 *     | local header, data, descriptor? | ... | central directory | zip64 end record, locator? | end record |
 *
 *     local header      PK 3 4   version:2 flags:2 method:2 time:4 crc:4 compressed:4 bytes:4 name:2 extra:2, name, extra
 *     data descriptor   PK 7 8   crc:4 compressed:4|8 bytes:4|8      behind the data, with flag 3; PK 7 8 may be missing
 *     central header    PK 1 2   made by:2, then as the local header up to extra, comment:2 disk:2 attributes:6
 *                                local offset:4, name, extra, comment
 *     zip64 end record  PK 6 6   size:8 made by:2 version:2 disk:4 directory disk:4 entries here:8 entries:8 size:8 offset:8
 *     zip64 locator     PK 6 7   disk:4 offset of the zip64 end record:8 disks:4
 *     end record        PK 5 6   disk:2 directory disk:2 entries here:2 entries:2 size:4 offset:4 comment:2, comment
 *     extra field       a row of id:2 length:2 data; id 1 (zip64) holds 8 bytes for each field above that is all ones
 */
import { InvalidFileError } from "@tensorcask/codec";

export const LOCAL_HEADER = 0x04034b50;
export const LOCAL_HEADER_BYTES = 30;
export const DESCRIPTOR = 0x08074b50;
export const CENTRAL_HEADER = 0x02014b50;
export const CENTRAL_HEADER_BYTES = 46;
export const ZIP64_END = 0x06064b50;
export const ZIP64_END_BYTES = 56;
export const ZIP64_LOCATOR = 0x07064b50;
export const ZIP64_LOCATOR_BYTES = 20;
export const END = 0x06054b50;
export const END_BYTES = 22;

/** A 16- or 32-bit field of all ones: the value is in the zip64 record. */
export const SENTINEL_16 = 0xffff;
export const SENTINEL_32 = 0xffffffff;

/** Id of the extra field that holds 64-bit sizes and offsets. */
export const ZIP64_EXTRA = 1;

export const METHOD_STORED = 0;
export const METHOD_DEFLATE = 8;

/** The data is encrypted (bits 0 and 6), or the directory is (bit 13). */
export const FLAGS_ENCRYPTED = 0x2041;
/** Checksum and sizes follow the data. */
export const FLAG_DESCRIPTOR = 0x0008;
/** The data is a patch of other data. */
export const FLAG_PATCH = 0x0020;
/** The name is UTF-8; without it, code page 437. */
export const FLAG_UTF8 = 0x0800;

/** Rules of zip archives that a file can break. */
export type ZipRule =
  /** No end record at the end of the file. */
  | "zip-end"
  /** Several end records reach to the end of the file: readers would see different archives. */
  | "zip-end-ambiguous"
  /** More than one disk. */
  | "zip-disks"
  /** The zip64 end record is missing, of the wrong size or place, or contradicts the end record. */
  | "zip64"
  /** The central directory does not end where the end record begins, or is cut off. */
  | "zip-directory"
  /** The directory takes more than `MAX_DIRECTORY_BYTES`. */
  | "zip-directory-limit"
  /** The number of entries is not the one that the end record gives. */
  | "zip-count"
  /** A name is empty, holds NUL or is not in the encoding that it claims. */
  | "zip-name"
  /** Two entries have one name. */
  | "zip-duplicate"
  /** An extra field is longer than its place. */
  | "zip-extra"
  /** An entry is encrypted. */
  | "zip-encrypted"
  /** An entry is compressed by a method other than deflate, or is a patch. */
  | "zip-method"
  /** The sizes of an entry cannot be: of stored data unequal, of deflated data beyond what deflate can reach. */
  | "zip-size"
  /** An entry reaches beyond the data of the file. */
  | "zip-outside"
  /** Two entries share bytes. */
  | "zip-overlap"
  /** A local header contradicts the directory. */
  | "zip-local-header"
  /** A data descriptor contradicts the directory. */
  | "zip-descriptor"
  /** The data of an entry is no deflate stream of its sizes. */
  | "zip-deflate"
  /** The data of an entry has another checksum. */
  | "zip-checksum";

/** The error of a broken rule. */
export function invalidZip(
  file: string,
  rule: ZipRule,
  message: string,
  options: ErrorOptions = {},
): InvalidFileError {
  return new InvalidFileError(file, rule, `zip archive: ${message}`, options);
}

/** A view of bytes that were read. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64-bit field; what a number cannot hold exactly becomes `Infinity`, which no size or offset of a file reaches. */
export function u64(view: DataView, at: number): number {
  const value = view.getUint32(at, true) + view.getUint32(at + 4, true) * 2 ** 32;
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.POSITIVE_INFINITY;
}
