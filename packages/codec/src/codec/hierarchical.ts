/**
 * Patterns at several scales: tiles, repeated rows, records. Stretches of 4 to 251 bytes that come again often
 * enough are named in a codebook, once for the data and again for the codes that it becomes
 * (pattern-levels.ts). A code costs the logarithm of the codebook, where Lempel and Ziv's coders pay for a
 * distance: that is what is gained on patterns that come in no order.
 *
 *     0  u8[4]   "HPC2"
 *     4  u8      version: 0
 *     5  u8      flags: bit 0 scales and threshold were taken from the data; bit 1 stored: no pattern pays
 *     6  u64     bytes of the original
 *    14  u32     bytes of the codebook; 0 when stored
 *    18  .       the codebook
 *     .  .       the codes; the original itself when stored
 *     .  u8[32]  SHA-256 of the original
 *
 * The published format of this name ("HPC1") marks a literal with a byte that codes may hold too, so that some
 * data does not come back. Here the escape is a symbol of its own.
 */
import { equalBytes } from "../bytes/compare.ts";
import { SHA256_BYTES, sha256 } from "../bytes/hash.ts";
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError, UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { encodeLevel, readCodebook, readCodes } from "./pattern-levels.ts";

/** "HPC2", little-endian. */
const MAGIC = 0x32435048;
const VERSION = 0;
const ADAPTIVE = 0x01;
const STORED = 0x02;
const HEADER_BYTES = 18;

export const hierarchical: Codec = {
  id: "hierarchical",
  code: 16,
  kind: "bytes-to-bytes",

  /** `adaptive` (true if absent): take scales and threshold from the data rather than fixed ones. */
  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["adaptive"], "hierarchical");
    const { adaptive = true } = parameters;
    if (typeof adaptive !== "boolean") {
      throw new UsageError(
        "adaptive",
        `hierarchical: adaptive is ${JSON.stringify(adaptive)}; it must be true or false`,
      );
    }
    return { adaptive };
  },

  encode(input: Uint8Array, _context: EncodeContext, parameters: JsonObject): Uint8Array {
    const adaptive = parameters.adaptive !== false;
    const level = encodeLevel(input, adaptive);
    const pays = level !== undefined && level.codebook.length + level.codes.length < input.length;
    const codebook = pays ? level.codebook : new Uint8Array(0);
    const codes = pays ? level.codes : input;
    return new ByteWriter(HEADER_BYTES + codebook.length + codes.length + SHA256_BYTES)
      .u32(MAGIC)
      .u8(VERSION)
      .u8((adaptive ? ADAPTIVE : 0) | (pays ? 0 : STORED))
      .u64(input.length)
      .u32(codebook.length)
      .bytes(codebook)
      .bytes(codes)
      .bytes(sha256(input))
      .finish();
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const reader = new ByteReader(input, "hierarchical");
    const magic = reader.u32();
    const version = reader.u8();
    if (magic !== MAGIC || version !== VERSION) {
      throw new DamageError("hierarchical", `unknown magic ${magic} or version ${version}`);
    }
    const flags = reader.u8();
    if (flags > (ADAPTIVE | STORED)) throw new DamageError("hierarchical", `unknown flags ${flags}`);
    const bytes = reader.u64();
    if (bytes !== context.bytes) {
      throw new DamageError("hierarchical", `holds ${bytes} bytes, ${context.bytes} were declared`);
    }
    const codebookBytes = reader.u32();
    const codebook = reader.bytes(codebookBytes);
    const codes = reader.bytes(Math.max(0, reader.remaining - SHA256_BYTES));
    const hash = reader.bytes(SHA256_BYTES);
    const decoded =
      (flags & STORED) === 0 ? decodeLevel(codebook, codes, bytes) : storedOf(codebook, codes, bytes);
    if (!equalBytes(sha256(decoded), hash)) throw new DamageError("hierarchical", "the SHA-256 is wrong");
    return decoded;
  },
};

function decodeLevel(codebook: Uint8Array, codes: Uint8Array, bytes: number): Uint8Array {
  const codebookReader = new ByteReader(codebook, "hierarchical");
  const patterns = readCodebook(codebookReader, bytes);
  const codesReader = new ByteReader(codes, "hierarchical");
  const decoded = readCodes(codesReader, patterns, bytes);
  if (codebookReader.remaining + codesReader.remaining > 0) {
    throw new DamageError("hierarchical", "bytes follow the codebook or the codes");
  }
  return decoded;
}

function storedOf(codebook: Uint8Array, codes: Uint8Array, bytes: number): Uint8Array {
  if (codebook.length > 0) throw new DamageError("hierarchical", "stored bytes have a codebook");
  return exactly(codes, bytes, "hierarchical");
}
