/**
 * The container of gzip (RFC 1952), read strictly: one member, nothing behind it. The length in its trailer tells both
 * platforms how much memory to take, and fflate, which ignores the trailer, needs the CRC checked for it.
 *
 *     0  u8 x 2  magic 1F 8B
 *     2  u8      method: 8, deflate
 *     3  u8      flags: header CRC (bit 1), extra field (2), name (3), comment (4)
 *     4  u8 x 6  time, extra flags, system
 *    10  optional fields, then the deflate stream
 *   end-8  u32   CRC-32 of the content
 *   end-4  u32   length of the content, modulo 2^32
 */
import { DamageError } from "../errors/errors.ts";

const TRAILER_BYTES = 8;

/** Where the parts of a member lie, and what its trailer says. */
export interface GzipMember {
  readonly deflateStart: number;
  readonly deflateEnd: number;
  readonly crc32: number;
  readonly contentBytes: number;
}

function damage(message: string): DamageError {
  return new DamageError("gzip", message);
}

function u32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

/** Reads header and trailer. Throws `DamageError` when they are broken or the content would exceed `maxBytes`. */
export function readGzipMember(bytes: Uint8Array, maxBytes: number): GzipMember {
  if (bytes.length < 10 + TRAILER_BYTES || bytes[0] !== 0x1f || bytes[1] !== 0x8b)
    throw damage("not a gzip member");
  if (bytes[2] !== 8) throw damage(`unknown compression method ${bytes[2]}`);
  const flags = bytes[3]!;
  if ((flags & 0xe0) !== 0) throw damage("reserved flags are set");
  const deflateEnd = bytes.length - TRAILER_BYTES;
  let at = 10;
  if ((flags & 0x04) !== 0) at += 2 + (bytes[at]! | (bytes[at + 1]! << 8));
  for (const flag of [0x08, 0x10]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, at);
    if (zero < 0) throw damage("the header ends early");
    at = zero + 1;
  }
  if ((flags & 0x02) !== 0) at += 2;
  if (at > deflateEnd) throw damage("the header ends early");
  const contentBytes = u32(bytes, deflateEnd + 4);
  if (contentBytes > maxBytes)
    throw damage(`declares ${contentBytes} bytes, at most ${maxBytes} can be right`);
  return { deflateStart: at, deflateEnd, crc32: u32(bytes, deflateEnd), contentBytes };
}

const crcTable: Int32Array = crc32Table();

function crc32Table(): Int32Array {
  const table = new Int32Array(256);
  for (let index = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = (value & 1) !== 0 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    table[index] = value;
  }
  return table;
}

/** CRC-32 (IEEE 802.3) as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  let value = -1;
  for (let index = 0; index < bytes.length; index++) {
    value = crcTable[(value ^ bytes[index]!) & 0xff]! ^ (value >>> 8);
  }
  return ~value >>> 0;
}
