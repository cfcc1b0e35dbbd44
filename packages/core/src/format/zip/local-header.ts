/** Local headers and data descriptors of zip entries, checked against the directory. */
import type { Source } from "../../model/plan.ts";
import { quote } from "../strict-json.ts";
import type { CentralEntry } from "./directory.ts";
import {
  DESCRIPTOR,
  FLAG_DESCRIPTOR,
  FLAG_PATCH,
  FLAG_UTF8,
  FLAGS_ENCRYPTED,
  invalidZip,
  LOCAL_HEADER,
  LOCAL_HEADER_BYTES,
  METHOD_DEFLATE,
  METHOD_STORED,
  SENTINEL_32,
  u64,
  viewOf,
} from "./records.ts";
import { Zip64Values } from "./zip64-values.ts";

/** Signature, checksum and two sizes of 8 bytes. */
const MAX_DESCRIPTOR_BYTES = 24;

/** Checks the local header (and descriptor) of an entry; where its data begins, and where all of it ends. */
export async function checkLocalHeader(
  source: Source,
  entry: CentralEntry,
  directoryOffset: number,
): Promise<{ readonly dataOffset: number; readonly end: number }> {
  const { localOffset, nameBytes, compressedBytes } = entry;
  const outside = (): Error =>
    invalidZip(
      source.name,
      "zip-outside",
      `${quote(entry.name)} (${compressedBytes} bytes at ${localOffset}) reaches beyond the data, which ends at ${directoryOffset}`,
    );
  const nameEnd = LOCAL_HEADER_BYTES + nameBytes.length;
  if (localOffset + nameEnd > directoryOffset) throw outside();
  const header = new Uint8Array(nameEnd);
  await source.read(header, localOffset);
  const view = viewOf(header);
  const wrong = (what: string): Error =>
    invalidZip(
      source.name,
      "zip-local-header",
      `the local header at ${localOffset} of ${quote(entry.name)} ${what}`,
    );
  if (view.getUint32(0, true) !== LOCAL_HEADER) throw wrong("is missing");
  const flags = view.getUint16(6, true);
  const sameFlags = ((flags ^ entry.flags) & (FLAGS_ENCRYPTED | FLAG_PATCH | FLAG_UTF8)) === 0;
  const method = entry.method === "stored" ? METHOD_STORED : METHOD_DEFLATE;
  if (!sameFlags || view.getUint16(8, true) !== method) throw wrong("has another method or flags");
  const nameLength = view.getUint16(26, true);
  if (
    nameLength !== nameBytes.length ||
    Buffer.compare(header.subarray(LOCAL_HEADER_BYTES), nameBytes) !== 0
  ) {
    throw wrong("has another name");
  }
  const dataOffset = localOffset + nameEnd + view.getUint16(28, true);
  const end = dataOffset + compressedBytes;
  if (end > directoryOffset) throw outside();

  const sizes = [view.getUint32(22, true), view.getUint32(18, true)] as const;
  const extra = new Uint8Array(sizes.includes(SENTINEL_32) ? view.getUint16(28, true) : 0);
  if (extra.length > 0) await source.read(extra, localOffset + nameEnd);
  const zip64 = new Zip64Values(source.name, entry.name, extra);
  const bytes = zip64.or(sizes[0]);
  const compressed = zip64.or(sizes[1]);
  const crc32 = view.getUint32(14, true);
  // A writer that could not know them yet left zeros here and put them behind the data.
  const hasDescriptor = (flags & FLAG_DESCRIPTOR) !== 0;
  const areUnset = hasDescriptor && bytes === 0 && compressed === 0;
  if (!areUnset && (bytes !== entry.bytes || compressed !== compressedBytes)) throw wrong("has other sizes");
  if (crc32 !== entry.crc32 && !(hasDescriptor && crc32 === 0)) throw wrong("has another checksum");
  if (!hasDescriptor) return { dataOffset, end };
  return { dataOffset, end: end + (await descriptorBytes(source, entry, end, directoryOffset)) };
}

/** Size of the data descriptor at `offset`, which must say what the directory says. */
async function descriptorBytes(
  source: Source,
  entry: CentralEntry,
  offset: number,
  directoryOffset: number,
): Promise<number> {
  const descriptor = new Uint8Array(Math.min(MAX_DESCRIPTOR_BYTES, directoryOffset - offset));
  await source.read(descriptor, offset);
  const view = viewOf(descriptor);
  const hasSignature = view.byteLength >= 4 && view.getUint32(0, true) === DESCRIPTOR;
  // The signature is optional, and a checksum may look like it; the width of the sizes is not told either.
  for (const start of hasSignature ? [4, 0] : [0]) {
    if (view.byteLength < start + 12 || view.getUint32(start, true) !== entry.crc32) continue;
    if (
      view.byteLength >= start + 20 &&
      u64(view, start + 4) === entry.compressedBytes &&
      u64(view, start + 12) === entry.bytes
    ) {
      return start + 20;
    }
    if (
      view.getUint32(start + 4, true) === entry.compressedBytes &&
      view.getUint32(start + 8, true) === entry.bytes
    ) {
      return start + 12;
    }
  }
  throw invalidZip(
    source.name,
    "zip-descriptor",
    `the data descriptor at ${offset} of ${quote(entry.name)} differs from the directory`,
  );
}
