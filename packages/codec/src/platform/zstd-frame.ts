/**
 * A walk over the structure of a zstd frame (RFC 8878): header and block lengths, nothing is decoded. Both platforms take
 * from it how much memory the frame asks for, that it ends exactly where the data ends, and that it needs no dictionary
 * (fzstd would return wrong bytes without an error).
 *
 *     0  u32  magic 0xFD2FB528
 *     4  u8   content size field (bits 7-6), single segment (5), reserved (3), checksum (2), dictionary id field (1-0)
 *     .  u8   window descriptor: exponent (bits 7-3), mantissa (2-0); absent in single segments
 *     .       dictionary id: 0, 1, 2 or 4 bytes; content size: 0, 1, 2, 4 or 8 bytes
 *     .  blocks: u24 last (bit 0), type (2-1): 0 raw, 1 one byte repeated, 2 compressed; length (23-3)
 *     .  u32  low half of XXH64 of the content, if the flag says so
 */
import { DamageError } from "../errors/errors.ts";

const MAGIC = 0xfd2fb528;
/** Longest content of one block; the format says so. */
const BLOCK_MAXIMUM = 128 * 1024;
/** A decoder keeps one window in memory. RFC 8878 recommends that every decoder takes 8 MiB. */
const WINDOW_LIMIT_BYTES = 8 * 1024 * 1024;

/** What a walk over a frame found. */
export interface ZstdFrame {
  /** Declared length of the content; undefined when the frame does not say. */
  readonly contentBytes: number | undefined;
  readonly windowBytes: number;
  /** The content's checksum: low 32 bits of XXH64; undefined when the frame has none. */
  readonly checksum: number | undefined;
}

function damage(message: string): DamageError {
  return new DamageError("zstd", message);
}

/** Unsigned little-endian integer of `length` bytes. */
function integer(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let index = length - 1; index >= 0; index--) value = value * 256 + bytes[at + index]!;
  return value;
}

/** Walks the one frame that `bytes` must be. Throws `DamageError` when it is not, or its content or window is out of proportion to `maxBytes`. */
export function readZstdFrame(bytes: Uint8Array, maxBytes: number): ZstdFrame {
  if (bytes.length < 8 || integer(bytes, 0, 4) !== MAGIC) throw damage("not a zstd frame");
  const descriptor = bytes[4]!;
  if ((descriptor & 0x08) !== 0) throw damage("reserved bits are set");
  const singleSegment = (descriptor & 0x20) !== 0;
  const sizeField = descriptor >> 6;
  const sizeBytes = sizeField === 0 ? (singleSegment ? 1 : 0) : 1 << sizeField;
  const dictionaryField = descriptor & 3;
  const dictionaryBytes = dictionaryField === 3 ? 4 : dictionaryField;
  let at = 5 + (singleSegment ? 0 : 1);
  if (at + dictionaryBytes + sizeBytes + 3 > bytes.length) throw damage("the header ends early");
  if (integer(bytes, at, dictionaryBytes) !== 0)
    throw damage("frames with a dictionary are not supported here");
  at += dictionaryBytes;
  let contentBytes: number | undefined;
  if (sizeBytes > 0) {
    contentBytes = integer(bytes, at, sizeBytes) + (sizeField === 1 ? 256 : 0);
    if (contentBytes > maxBytes)
      throw damage(`declares ${contentBytes} bytes, at most ${maxBytes} can be right`);
  }
  at += sizeBytes;
  const windowBytes = singleSegment
    ? (contentBytes ?? 0)
    : 2 ** (10 + (bytes[5]! >> 3)) * (1 + (bytes[5]! & 7) / 8);
  if (windowBytes > Math.max(WINDOW_LIMIT_BYTES, 2 * maxBytes))
    throw damage(`asks for a window of ${windowBytes} bytes`);
  for (let last = false; !last; ) {
    if (at + 3 > bytes.length) throw damage("a block header ends early");
    const header = integer(bytes, at, 3);
    const type = (header >> 1) & 3;
    const length = header >> 3;
    if (type === 3) throw damage("unknown block type");
    if (length > BLOCK_MAXIMUM)
      throw damage(`a block of ${length} bytes exceeds the format's ${BLOCK_MAXIMUM}`);
    at += 3 + (type === 1 ? 1 : length);
    last = (header & 1) !== 0;
  }
  const hasChecksum = (descriptor & 0x04) !== 0;
  if (at + (hasChecksum ? 4 : 0) !== bytes.length) throw damage("the frame does not end where the data ends");
  return { contentBytes, windowBytes, checksum: hasChecksum ? integer(bytes, at, 4) : undefined };
}
