/**
 * The end of a zip archive: where its directory lies. Archives are read from their end, and the end is where two
 * readers can be made to see two archives in one file: a comment that holds another end record, bytes behind it,
 * a zip64 record that differs. So there must be one end record that reaches exactly to the end of the file, and a
 * directory that reaches exactly to the end record.
 */
import type { Source } from "../../model/plan.ts";
import {
  CENTRAL_HEADER_BYTES,
  END,
  END_BYTES,
  invalidZip,
  SENTINEL_16,
  SENTINEL_32,
  u64,
  viewOf,
  ZIP64_END,
  ZIP64_END_BYTES,
  ZIP64_LOCATOR,
  ZIP64_LOCATOR_BYTES,
} from "./records.ts";

/** Where the central directory lies. Offset and size in bytes. */
export interface DirectoryPlace {
  readonly offset: number;
  readonly bytes: number;
  readonly entries: number;
}

/**
 * Largest directory in bytes: it is held in memory. Half a million entries with names of 80 characters, ten times
 * what the largest published models have tensors.
 */
export const MAX_DIRECTORY_BYTES: number = 64 * 1024 * 1024;

const MAX_COMMENT_BYTES = 0xffff;

/** Finds the central directory. Throws `InvalidFileError` (see `ZipRule`). */
export async function findDirectory(source: Source): Promise<DirectoryPlace> {
  const tail = new Uint8Array(Math.min(source.bytes, ZIP64_LOCATOR_BYTES + END_BYTES + MAX_COMMENT_BYTES));
  const tailOffset = source.bytes - tail.length;
  await source.read(tail, tailOffset);
  const view = viewOf(tail);
  const at = findEnd(source, tail, tailOffset);
  const endOffset = tailOffset + at;

  const disk = view.getUint16(at + 4, true);
  const directoryDisk = view.getUint16(at + 6, true);
  const entriesHere = view.getUint16(at + 8, true);
  const end = {
    entries: view.getUint16(at + 10, true),
    bytes: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  };
  const locatorAt = at - ZIP64_LOCATOR_BYTES;
  if (locatorAt >= 0 && view.getUint32(locatorAt, true) === ZIP64_LOCATOR) {
    for (const number of [disk, directoryDisk]) {
      if (number !== 0 && number !== SENTINEL_16) throw disks(source);
    }
    const place = await readZip64End(source, tail.subarray(locatorAt, at), endOffset - ZIP64_LOCATOR_BYTES);
    const agrees =
      (entriesHere === SENTINEL_16 || entriesHere === place.entries) &&
      (end.entries === SENTINEL_16 || end.entries === place.entries) &&
      (end.bytes === SENTINEL_32 || end.bytes === place.bytes) &&
      (end.offset === SENTINEL_32 || end.offset === place.offset);
    if (!agrees) {
      throw invalidZip(
        source.name,
        "zip64",
        `the end record at ${endOffset} and the zip64 end record give different directories`,
      );
    }
    return place;
  }
  if (disk !== 0 || directoryDisk !== 0 || entriesHere !== end.entries) throw disks(source);
  return checked(source, end, endOffset);
}

/** Position in `tail` of the only end record that reaches to the end of the file. */
function findEnd(source: Source, tail: Uint8Array, tailOffset: number): number {
  const view = viewOf(tail);
  const isEnd = (at: number): boolean => view.getUint32(at, true) === END;
  const reaches = (at: number): boolean =>
    at + END_BYTES + view.getUint16(at + END_BYTES - 2, true) === tail.length;

  let last = tail.length - END_BYTES;
  while (last >= 0 && !isEnd(last)) last--;
  if (last < 0) {
    throw invalidZip(
      source.name,
      "zip-end",
      `there is no end record in the last ${tail.length} bytes: the file is cut off, or no zip archive; fetch it again`,
    );
  }
  if (!reaches(last)) {
    throw invalidZip(
      source.name,
      "zip-end",
      `the end record at ${tailOffset + last} does not end where the file ends, at ${source.bytes}: bytes were added or cut off`,
    );
  }
  for (let at = 0; at < last; at++) {
    if (isEnd(at) && reaches(at)) {
      throw invalidZip(
        source.name,
        "zip-end-ambiguous",
        `the end records at ${tailOffset + at} and ${tailOffset + last} both end where the file ends: readers would see different archives`,
      );
    }
  }
  return last;
}

/** Reads the zip64 end record, which must end where its locator begins. */
async function readZip64End(
  source: Source,
  locator: Uint8Array,
  locatorOffset: number,
): Promise<DirectoryPlace> {
  const offset = u64(viewOf(locator), 8);
  if (viewOf(locator).getUint32(4, true) !== 0 || viewOf(locator).getUint32(16, true) > 1)
    throw disks(source);
  if (offset + ZIP64_END_BYTES > locatorOffset) {
    throw invalidZip(
      source.name,
      "zip64",
      `the locator at ${locatorOffset} names ${offset} as place of the zip64 end record, which does not fit before it`,
    );
  }
  const record = new Uint8Array(ZIP64_END_BYTES);
  await source.read(record, offset);
  const view = viewOf(record);
  // The size counts from behind itself. A longer record holds fields of later versions.
  if (view.getUint32(0, true) !== ZIP64_END || offset + 12 + u64(view, 4) !== locatorOffset) {
    throw invalidZip(
      source.name,
      "zip64",
      `there is no zip64 end record from ${offset} to its locator at ${locatorOffset}`,
    );
  }
  const entries = u64(view, 32);
  if (view.getUint32(16, true) !== 0 || view.getUint32(20, true) !== 0 || u64(view, 24) !== entries) {
    throw disks(source);
  }
  return checked(source, { entries, bytes: u64(view, 40), offset: u64(view, 48) }, offset);
}

/** A directory must end at `end`, and hold no more entries than fit into it. */
function checked(source: Source, place: DirectoryPlace, end: number): DirectoryPlace {
  const { offset, bytes, entries } = place;
  if (offset + bytes !== end) {
    throw invalidZip(
      source.name,
      "zip-directory",
      `the directory (${bytes} bytes at ${offset}) does not end where the end record begins, at ${end}: bytes were added or cut off before it`,
    );
  }
  if (entries * CENTRAL_HEADER_BYTES > bytes) {
    throw invalidZip(
      source.name,
      "zip-count",
      `${entries} entries do not fit into a directory of ${bytes} bytes`,
    );
  }
  if (bytes > MAX_DIRECTORY_BYTES) {
    throw invalidZip(
      source.name,
      "zip-directory-limit",
      `the directory has ${bytes} bytes, the limit is ${MAX_DIRECTORY_BYTES}; split the archive`,
    );
  }
  return place;
}

function disks(source: Source): Error {
  return invalidZip(
    source.name,
    "zip-disks",
    "it is one of several volumes, or its end record is damaged; join the volumes first",
  );
}
