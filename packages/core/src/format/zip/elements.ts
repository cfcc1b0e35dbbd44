/** The data of zip entries as a stream, inflated where it is deflated, checked against size and checksum. */
import { Readable } from "node:stream";
import { constants, crc32, createInflateRaw, inflateRawSync } from "node:zlib";
import type { Source } from "../../model/plan.ts";
import { quote } from "../strict-json.ts";
import type { ZipEntry } from "./directory.ts";
import { invalidZip } from "./records.ts";

/** Bytes that are read from the file, and inflated, in one go. */
const PIECE_BYTES = 64 * 1024;

/**
 * Deflate codes a byte in at most 15 bits, behind the tables of its block: under 300 bytes, with room for some empty
 * blocks.
 */
const DEFLATE_SLACK_BYTES = 1024;

/**
 * The data of an entry, in pieces that are together exactly `entry.bytes` long; a piece is valid until the next one
 * is asked for. A few pieces are in memory at a time, whatever the entry. Throws `InvalidFileError`: `zip-deflate`
 * where the data is no deflate stream of these sizes, `zip-checksum` behind the last piece.
 */
export async function* entryElements(source: Source, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  let taken = 0;
  let checksum = 0;
  for await (const piece of entry.method === "stored"
    ? storedPieces(source, entry)
    : inflated(source, entry)) {
    taken += piece.length;
    if (taken > entry.bytes) throw notDeflate(source, entry, `becomes more than ${entry.bytes} bytes`);
    checksum = crc32(piece, checksum);
    yield piece;
  }
  if (taken !== entry.bytes) {
    throw notDeflate(source, entry, `becomes ${taken} bytes, the directory says ${entry.bytes}`);
  }
  if (checksum !== entry.crc32) {
    throw invalidZip(
      source.name,
      "zip-checksum",
      `the data at ${entry.dataOffset} of ${quote(entry.name)} has the checksum ${checksum}, the directory says ${entry.crc32}: the file is damaged, fetch it again`,
    );
  }
}

/**
 * The first `bytes` bytes of an entry's data, or all of it when it is shorter: for headers, which are read without
 * what follows them, and so without its checksum. Throws `InvalidFileError` (`zip-deflate`).
 */
export async function entryStart(source: Source, entry: ZipEntry, bytes: number): Promise<Uint8Array> {
  const wanted = Math.min(bytes, entry.bytes);
  const taken = entry.method === "stored" ? wanted : 2 * wanted + DEFLATE_SLACK_BYTES;
  const start = new Uint8Array(Math.min(taken, entry.compressedBytes));
  await source.read(start, entry.dataOffset);
  if (entry.method === "stored") return start;
  let data: Uint8Array;
  try {
    // A flush instead of an end: the input stops within the stream.
    data = inflateRawSync(start, { finishFlush: constants.Z_SYNC_FLUSH });
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw notDeflate(source, entry, `cannot be inflated (${error.message})`, { cause: error });
  }
  if (data.length < wanted) {
    throw notDeflate(source, entry, `becomes ${data.length} bytes where ${wanted} were expected`);
  }
  return data.subarray(0, wanted);
}

/** The bytes of an entry as they lie in the file. Each piece is a buffer of its own: zlib keeps some waiting. */
async function* storedPieces(source: Source, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < entry.compressedBytes; at += PIECE_BYTES) {
    const piece = new Uint8Array(Math.min(PIECE_BYTES, entry.compressedBytes - at));
    await source.read(piece, entry.dataOffset + at);
    yield piece;
  }
}

async function* inflated(source: Source, entry: ZipEntry): AsyncGenerator<Uint8Array> {
  const inflate = createInflateRaw({ chunkSize: PIECE_BYTES });
  const compressed = Readable.from(storedPieces(source, entry), { highWaterMark: 1 });
  compressed.once("error", (error) => inflate.destroy(error));
  compressed.pipe(inflate);
  try {
    yield* inflate;
  } catch (error) {
    if (!isZlibError(error)) throw error;
    throw notDeflate(source, entry, `cannot be inflated (${error.message})`, { cause: error });
  } finally {
    compressed.destroy();
    inflate.destroy();
  }
  if (inflate.bytesWritten !== entry.compressedBytes) {
    throw notDeflate(
      source,
      entry,
      `ends after ${inflate.bytesWritten} of ${entry.compressedBytes} compressed bytes`,
    );
  }
}

/** Errors of zlib have a name such as Z_DATA_ERROR; those of a source do not. */
function isZlibError(error: unknown): error is Error {
  return error instanceof Error && "code" in error && String(error.code).startsWith("Z_");
}

function notDeflate(source: Source, entry: ZipEntry, what: string, options?: ErrorOptions): Error {
  return invalidZip(
    source.name,
    "zip-deflate",
    `the data at ${entry.dataOffset} of ${quote(entry.name)} ${what}: the file is damaged, fetch it again`,
    options,
  );
}
