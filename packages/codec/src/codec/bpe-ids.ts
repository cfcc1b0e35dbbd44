/**
 * The ids of byte-pair encoding, in the form that takes fewest bytes: packed into as many bits as the highest
 * token needs, or with a prefix code, where tokens are not equally frequent. bpe.ts draws both.
 */
import type { ByteReader } from "../bytes/reader.ts";
import type { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { codeLengths, decodePrefix, encodePrefix, MAX_CODED_SYMBOLS, prefixBytes } from "./prefix-code.ts";

const PACKED = 0;
const PREFIX_CODE = 1;

/** Widest packed ids. */
const MAX_WIDTH = 16;

/**
 * Writes the ids and returns their form. `whole`: packed to 8 or 16 bits, whatever is smallest.
 */
export function writeTokens(
  writer: ByteWriter,
  tokens: Uint16Array,
  tokenCount: number,
  whole: boolean,
): number {
  const needed = Math.max(1, Math.ceil(Math.log2(Math.max(1, tokenCount))));
  const width = whole ? (needed <= 8 ? 8 : 16) : needed;
  const packedBytes = 1 + Math.ceil((tokens.length * width) / 8);
  if (!whole) {
    const counts = new Uint32Array(tokenCount);
    for (let index = 0; index < tokens.length; index++) counts[tokens[index]!]!++;
    if (counts.reduce((sum, count) => sum + Math.min(count, 1), 0) <= MAX_CODED_SYMBOLS) {
      const lengths = codeLengths(counts);
      if (prefixBytes(counts, lengths) < packedBytes) {
        writer.bytes(encodePrefix(tokens, lengths));
        return PREFIX_CODE;
      }
    }
  }
  const packed = new Uint8Array(packedBytes);
  packed[0] = width;
  pack(tokens, width, packed.subarray(1));
  writer.bytes(packed);
  return PACKED;
}

function pack(tokens: Uint16Array, width: number, into: Uint8Array): void {
  let at = 0;
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < tokens.length; index++) {
    pending |= tokens[index]! << pendingBits;
    pendingBits += width;
    for (; pendingBits >= 8; pendingBits -= 8, pending >>>= 8) into[at++] = pending;
  }
  if (pendingBits > 0) into[at] = pending;
}

/** Reads `count` ids; in packed form they may be any number of their width. */
export function readTokens(reader: ByteReader, form: number, tokenCount: number, count: number): Uint16Array {
  if (form === PREFIX_CODE) return decodePrefix(reader, tokenCount, count, "bpe");
  const width = form === PACKED ? reader.u8() : 0;
  if (width < 1 || width > MAX_WIDTH) throw new DamageError("bpe", `form ${form}, width ${width} of the ids`);
  const packed = reader.bytes(reader.remaining);
  if (packed.length !== Math.ceil((count * width) / 8)) {
    throw new DamageError("bpe", `${packed.length} bytes for ${count} ids of ${width} bits`);
  }
  const tokens = new Uint16Array(count);
  const mask = 2 ** width - 1;
  let at = 0;
  let pending = 0;
  let pendingBits = 0;
  for (let index = 0; index < count; index++) {
    for (; pendingBits < width; pendingBits += 8) pending |= packed[at++]! << pendingBits;
    tokens[index] = pending & mask;
    pending >>>= width;
    pendingBits -= width;
  }
  return tokens;
}
