/**
 * The frames that the published system around `pattern251` writes where data is not periodic. They are read
 * here, never written.
 *
 *     0  u8[4]  "ZSTD", "LZ4 " or "NONE"
 *     4  u32    bytes of the original
 *     8  .      a zstd frame; one bare LZ4 block; the original itself
 */
import { unzstd } from "#platform";
import { ByteReader } from "../bytes/reader.ts";
import { DamageError } from "../errors/errors.ts";
import { exactly } from "./exactly.ts";

const LETTERS_BYTES = 4;
/** An LZ4 match is at least this long. */
const LZ4_MIN_MATCH = 4;
/** The value of a length field that says that more bytes of it follow. */
const LZ4_LENGTH_GOES_ON = 15;

/** The decoders by letters. */
const decoders: { readonly [letters: string]: (payload: Uint8Array, bytes: number) => Uint8Array } = {
  ZSTD: (payload, bytes) => exactly(unzstd(payload, bytes), bytes, "pattern251"),
  "LZ4 ": decodeLz4Block,
  NONE: (payload, bytes) => exactly(payload, bytes, "pattern251"),
};

/**
 * The original in a published frame, `bytes` bytes long (perhaps a view of `frame`); undefined when `frame`
 * does not begin with the letters of one. Throws `DamageError` when the frame does not hold that many bytes.
 */
export function readPublishedFrame(frame: Uint8Array, bytes: number): Uint8Array | undefined {
  if (frame.length < LETTERS_BYTES) return undefined;
  const letters = String.fromCharCode(...frame.subarray(0, LETTERS_BYTES));
  if (!Object.hasOwn(decoders, letters)) return undefined;
  const reader = new ByteReader(frame.subarray(LETTERS_BYTES), "pattern251");
  const declared = reader.u32();
  if (declared !== bytes) {
    throw new DamageError("pattern251", `a ${letters} frame of ${declared} bytes, ${bytes} were declared`);
  }
  return decoders[letters]!(reader.bytes(reader.remaining), bytes);
}

/** A bare LZ4 block of exactly `bytes` bytes; the platforms read LZ4 in its frame format only. */
function decodeLz4Block(block: Uint8Array, bytes: number): Uint8Array {
  const reader = new ByteReader(block, "pattern251");
  const out = new Uint8Array(bytes);
  let to = 0;
  while (reader.remaining > 0) {
    const token = reader.u8();
    const literals = lz4Length(reader, token >> 4);
    if (literals > bytes - to) throw tooLong(bytes);
    out.set(reader.bytes(literals), to);
    to += literals;
    // A block ends with literals only.
    if (reader.remaining === 0) break;
    const offset = reader.u16();
    const length = lz4Length(reader, token & LZ4_LENGTH_GOES_ON) + LZ4_MIN_MATCH;
    if (offset === 0 || offset > to) {
      throw new DamageError("pattern251", `an LZ4 match reaches back ${offset} bytes at ${to}`);
    }
    if (length > bytes - to) throw tooLong(bytes);
    for (const stop = to + length; to < stop; to++) out[to] = out[to - offset]!;
  }
  if (to !== bytes) {
    throw new DamageError("pattern251", `an LZ4 block decoded to ${to} bytes, ${bytes} were declared`);
  }
  return out;
}

/** A length of LZ4: 15 goes on in bytes, up to and with the first one below 255. */
function lz4Length(reader: ByteReader, field: number): number {
  let length = field;
  if (field !== LZ4_LENGTH_GOES_ON) return length;
  for (let more = 255; more === 255; length += more) more = reader.u8();
  return length;
}

function tooLong(bytes: number): DamageError {
  return new DamageError("pattern251", `an LZ4 block holds more than the ${bytes} bytes that were declared`);
}
