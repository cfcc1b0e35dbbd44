/**
 * The entries of a zip archive. The central directory is the truth; each local header and data descriptor is
 * checked against it, since readers that stream an archive believe those instead. Only directory and headers are
 * read, never data; `elements.ts` reads that. Bytes between entries that belong to none are no concern of a reader.
 * Names are names: nothing here makes a path of one.
 */
import type { Source } from "../../model/plan.ts";
import { quote } from "../strict-json.ts";
import { findDirectory } from "./end-record.ts";
import { checkLocalHeader } from "./local-header.ts";
import {
  CENTRAL_HEADER,
  CENTRAL_HEADER_BYTES,
  FLAG_PATCH,
  FLAG_UTF8,
  FLAGS_ENCRYPTED,
  invalidZip,
  METHOD_DEFLATE,
  METHOD_STORED,
  SENTINEL_16,
  viewOf,
  type ZipRule,
} from "./records.ts";
import { Zip64Values } from "./zip64-values.ts";

/** One entry. Offsets and sizes in bytes. */
export interface ZipEntry {
  readonly name: string;
  readonly method: "stored" | "deflate";
  /** CRC-32 of the data before compression. */
  readonly crc32: number;
  readonly compressedBytes: number;
  /** Size before compression; of a stored entry the same as `compressedBytes`. */
  readonly bytes: number;
  /** Where the (compressed) data begins in the file. */
  readonly dataOffset: number;
  /** General purpose flags, as in the directory. */
  readonly flags: number;
}

/** An entry of the directory, with what its local header is checked against. */
export interface CentralEntry extends Omit<ZipEntry, "dataOffset"> {
  readonly nameBytes: Uint8Array;
  readonly localOffset: number;
}

/**
 * Most bytes that one compressed byte becomes. Deflate codes at most 258 bytes in 2 bits, 1032 in a byte; a
 * declared size beyond that is a lie, and is refused before anything is inflated.
 */
const MAX_DEFLATE_RATIO = 1032;

/** Upper half of code page 437, in which names without the UTF-8 flag are written. */
const CODE_PAGE_437 =
  "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

/**
 * Reads and checks the directory of an archive: its entries in the order of their data, which do not overlap. Memory
 * is a small multiple of the directory, which has at most `MAX_DIRECTORY_BYTES`. Throws `InvalidFileError` naming
 * the entry, the offset and one of `ZipRule`.
 */
export async function readZipDirectory(source: Source): Promise<ZipEntry[]> {
  const place = await findDirectory(source);
  const directory = new Uint8Array(place.bytes);
  await source.read(directory, place.offset);
  const central = new DirectoryParser(source.name, directory, place.offset).parse(place.entries);
  central.sort((a, b) => (a.localOffset < b.localOffset ? -1 : 1));

  const entries: ZipEntry[] = [];
  let reached = 0;
  let before = "";
  for (const entry of central) {
    if (entry.localOffset < reached) {
      throw invalidZip(
        source.name,
        "zip-overlap",
        `${quote(entry.name)} begins at ${entry.localOffset}, within ${quote(before)}, which ends at ${reached}`,
      );
    }
    const { dataOffset, end } = await checkLocalHeader(source, entry, place.offset);
    const { name, method, crc32, compressedBytes, bytes, flags } = entry;
    entries.push({ name, method, crc32, compressedBytes, bytes, dataOffset, flags });
    reached = end;
    before = name;
  }
  return entries;
}

class DirectoryParser {
  readonly #file: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #offset: number;
  readonly #names = new Set<string>();
  #at = 0;

  constructor(file: string, bytes: Uint8Array, offset: number) {
    this.#file = file;
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#offset = offset;
  }

  parse(count: number): CentralEntry[] {
    const entries: CentralEntry[] = [];
    while (this.#at < this.#bytes.length) {
      if (entries.length === count) {
        throw this.#invalid("zip-count", `the directory goes on behind its ${count} entries`);
      }
      entries.push(this.#entry());
    }
    if (entries.length !== count) {
      throw this.#invalid("zip-count", `the directory has ${entries.length} entries of ${count}`);
    }
    return entries;
  }

  #entry(): CentralEntry {
    const at = this.#at;
    const view = this.#view;
    if (at + CENTRAL_HEADER_BYTES > view.byteLength || view.getUint32(at, true) !== CENTRAL_HEADER) {
      throw this.#invalid("zip-directory", "there is no directory entry where one should begin");
    }
    const nameEnd = at + CENTRAL_HEADER_BYTES + view.getUint16(at + 28, true);
    const extraEnd = nameEnd + view.getUint16(at + 30, true);
    const end = extraEnd + view.getUint16(at + 32, true);
    if (end > view.byteLength) throw this.#invalid("zip-directory", "the entry reaches beyond the directory");
    const flags = view.getUint16(at + 8, true);
    const nameBytes = this.#bytes.subarray(at + CENTRAL_HEADER_BYTES, nameEnd);
    const name = this.#name(nameBytes, flags);
    const method = this.#method(name, view.getUint16(at + 10, true), flags);

    // The zip64 extra holds the fields that are all ones, in this order.
    const zip64 = new Zip64Values(this.#file, name, this.#bytes.subarray(nameEnd, extraEnd));
    const bytes = zip64.or(view.getUint32(at + 24, true));
    const compressedBytes = zip64.or(view.getUint32(at + 20, true));
    const localOffset = zip64.or(view.getUint32(at + 42, true));
    const disk = view.getUint16(at + 34, true);
    if (disk !== 0 && disk !== SENTINEL_16) {
      throw this.#invalid("zip-disks", `${quote(name)} lies in volume ${disk}; join the volumes first`);
    }
    const crc32 = view.getUint32(at + 16, true);
    const possible =
      method === "stored" ? bytes === compressedBytes : bytes <= compressedBytes * MAX_DEFLATE_RATIO;
    if (!possible) {
      throw this.#invalid(
        "zip-size",
        `${quote(name)} cannot have ${bytes} bytes, ${compressedBytes} as ${method} data`,
      );
    }
    this.#at = end;
    return { name, nameBytes, method, crc32, compressedBytes, bytes, localOffset, flags };
  }

  #name(bytes: Uint8Array, flags: number): string {
    const name = decodeName(bytes, flags);
    if (name === undefined || name === "" || name.includes("\0")) {
      throw this.#invalid("zip-name", "the entry's name is empty, holds NUL or is not the UTF-8 it claims");
    }
    if (this.#names.has(name)) throw this.#invalid("zip-duplicate", `two entries are named ${quote(name)}`);
    this.#names.add(name);
    return name;
  }

  #method(name: string, method: number, flags: number): ZipEntry["method"] {
    if ((flags & FLAGS_ENCRYPTED) !== 0) {
      throw this.#invalid("zip-encrypted", `${quote(name)} is encrypted; decrypt the archive first`);
    }
    if (method === METHOD_STORED && (flags & FLAG_PATCH) === 0) return "stored";
    if (method === METHOD_DEFLATE && (flags & FLAG_PATCH) === 0) return "deflate";
    throw this.#invalid(
      "zip-method",
      `${quote(name)} is compressed by method ${method}; only 0 (stored) and 8 (deflate) are read: pack the archive anew`,
    );
  }

  #invalid(rule: ZipRule, message: string): Error {
    return invalidZip(this.#file, rule, `directory entry at ${this.#offset + this.#at}: ${message}`);
  }
}

function decodeName(bytes: Uint8Array, flags: number): string | undefined {
  if ((flags & FLAG_UTF8) === 0) {
    const latin1 = Buffer.from(bytes).toString("latin1");
    return latin1.replace(/[\x80-\xff]/g, (letter) => CODE_PAGE_437[letter.charCodeAt(0) - 0x80]!);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
