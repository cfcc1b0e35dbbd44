/**
 * Periodic data as one period: tiled constants, padding, synthetic tensors. Named after the published codec,
 * which knows the period 251 only; its frame is version 1 here, any other period and any rest are version 2.
 *
 * Version 1, as published: written exactly when the shortest period is 251 and divides the length.
 *
 *     0  u8       0xAA
 *     1  u32      count of repetitions
 *     5  u8[251]  the pattern
 *
 * Version 2:
 *
 *     0  u8   0xAB
 *     1  u16  period, 1-4096
 *     3  u32  periodic bytes: so many repeat the pattern, the last time perhaps not to its end
 *     7  .    the pattern, `period` bytes
 *     .  .    the bytes behind the periodic ones, as they are
 *     .  u64  xxHash64 of everything before
 *
 * Everything else is stored: 0x00 and the bytes. The published system has frames for that case too, which are
 * read (published-frames.ts). Version 1 and stored bytes have no checksum of their own; frames of chunks have.
 */
import { CHECKSUM_BYTES, checksum64, checksum64Of } from "../bytes/checksum.ts";
import { equalBytes } from "../bytes/compare.ts";
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError, LimitError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { fillPeriodic, findPeriod, MAX_PERIOD } from "./period.ts";
import { readPublishedFrame } from "./published-frames.ts";

const STORED = 0x00;
const VERSION_1 = 0xaa;
const VERSION_2 = 0xab;

const PUBLISHED_PERIOD = 251;
const VERSION_1_BYTES = 1 + 4 + PUBLISHED_PERIOD;
/** What version 2 takes beside the pattern and the rest. */
const VERSION_2_OVERHEAD_BYTES = 1 + 2 + 4 + CHECKSUM_BYTES;

/**
 * Most bytes that a period may be repeated to, 1 GiB: a few hundred bytes ask for that much, so no caller's
 * word alone is taken for it. Chunks stay far below.
 */
const MAX_PERIODIC_BYTES = 2 ** 30;

export const pattern251: Codec = {
  id: "pattern251",
  code: 15,
  kind: "bytes-to-bytes",

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, [], "pattern251");
    return {};
  },

  encode(input: Uint8Array, _context: EncodeContext, _parameters: JsonObject): Uint8Array {
    const found = input.length > MAX_PERIODIC_BYTES ? undefined : findPeriod(input);
    if (found === undefined || found.bytes - found.period < VERSION_2_OVERHEAD_BYTES) return stored(input);
    const pattern = input.subarray(0, found.period);
    const isPublished =
      found.period === PUBLISHED_PERIOD &&
      found.bytes === input.length &&
      input.length % PUBLISHED_PERIOD === 0;
    if (isPublished) {
      return new ByteWriter(VERSION_1_BYTES)
        .u8(VERSION_1)
        .u32(input.length / PUBLISHED_PERIOD)
        .bytes(pattern)
        .finish();
    }
    const rest = input.subarray(found.bytes);
    const writer = new ByteWriter(VERSION_2_OVERHEAD_BYTES + found.period + rest.length)
      .u8(VERSION_2)
      .u16(found.period)
      .u32(found.bytes)
      .bytes(pattern)
      .bytes(rest);
    return writer.bytes(checksum64Of(writer.finish())).finish();
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    const magic = input[0];
    if (magic === STORED) return exactly(input.subarray(1), context.bytes, "pattern251");
    if (magic === VERSION_1) return decodeVersion1(input, context.bytes);
    if (magic === VERSION_2) return decodeVersion2(input, context.bytes);
    const published = readPublishedFrame(input, context.bytes);
    if (published !== undefined) return published;
    throw new DamageError("pattern251", magic === undefined ? "is empty" : `begins with the byte ${magic}`);
  },
};

function stored(input: Uint8Array): Uint8Array {
  const output = new Uint8Array(1 + input.length);
  output[0] = STORED;
  output.set(input, 1);
  return output;
}

function decodeVersion1(input: Uint8Array, bytes: number): Uint8Array {
  if (input.length !== VERSION_1_BYTES) {
    throw new DamageError("pattern251", `a frame of version 1 has ${input.length} bytes`);
  }
  const reader = new ByteReader(input, "pattern251");
  reader.u8();
  const repeated = reader.u32() * PUBLISHED_PERIOD;
  checkRepeated(repeated, bytes, 0);
  return repeat(reader.bytes(PUBLISHED_PERIOD), repeated, bytes);
}

function decodeVersion2(input: Uint8Array, bytes: number): Uint8Array {
  const covered = input.length - CHECKSUM_BYTES;
  if (covered < 0) throw new DamageError("pattern251", "ends early");
  const checksum = new Uint8Array(CHECKSUM_BYTES);
  checksum64(input.subarray(0, covered), checksum, 0);
  if (!equalBytes(checksum, input.subarray(covered))) {
    throw new DamageError("pattern251", "the checksum is wrong");
  }
  const reader = new ByteReader(input.subarray(0, covered), "pattern251");
  reader.u8();
  const period = reader.u16();
  if (period < 1 || period > MAX_PERIOD) throw new DamageError("pattern251", `a period of ${period} bytes`);
  const repeated = reader.u32();
  const pattern = reader.bytes(period);
  checkRepeated(repeated, bytes, reader.remaining);
  const output = repeat(pattern, repeated, bytes);
  output.set(reader.bytes(reader.remaining), repeated);
  return output;
}

/** The lengths add up to what was declared, before memory is taken for it. */
function checkRepeated(repeated: number, bytes: number, rest: number): void {
  if (repeated > MAX_PERIODIC_BYTES) {
    throw new LimitError("periodic bytes", repeated, MAX_PERIODIC_BYTES, "pattern251");
  }
  if (repeated + rest !== bytes) {
    throw new DamageError("pattern251", `decoded to ${repeated + rest} bytes, ${bytes} were declared`);
  }
}

function repeat(pattern: Uint8Array, repeated: number, bytes: number): Uint8Array {
  const output = new Uint8Array(bytes);
  fillPeriodic(output.subarray(0, repeated), pattern);
  return output;
}
