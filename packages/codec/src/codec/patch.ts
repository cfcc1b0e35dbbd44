/**
 * Opaque bytes as stretches that are copied from a sibling, an earlier version of the same file, and the literal bytes between these:
 *
 *   sibling  |####aaaaaaaa####bbbbbbbbbbbb|
 *   chunk    |aaaaaaaa.bbbbbbbbbbbb...|            '.' literal: inserted, or replaced
 *
 * It does what zstd does with a dictionary, and can be decoded where zstd knows none (browsers). After the way of VCDIFF (RFC 3284), with numbers
 * and bytes in streams of their own, each coded the way that suits it.
 *
 *   0  u8       literals: 0 as they are, 1 less the byte of the sibling that is shifted as the copy before (0 where there is none)
 *   .  copies   varint: how many there are
 *   .  4 streams (streams.ts), each behind its length as a varint, but the last one, which has the bytes that are left:
 *        literal bytes before each copy       varints
 *        bytes of each copy, less 4           varints
 *        shift of each copy, varints: 0 to 3 where it is one of the last four different ones (0: that of the copy before), else 4 and
 *        the zigzag number of how much more it is than that of the copy before
 *        literals
 */
import type { JsonObject } from "../bytes/json.ts";
import { ByteReader } from "../bytes/reader.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { dtypeOf } from "../tensor/dtype.ts";
import { type Codec, type DecodeContext, type EncodeContext, siblingBytesOf } from "./codec.ts";
import { type Copies, findCopies, LEAST_COPY, Shifts } from "./patch-copies.ts";
import type { CodedPlane } from "./plane-coding.ts";
import { encodeStream, readStream, smallerStream, writeStream } from "./streams.ts";
import { canEncodeZstd, zstd } from "./zstd.ts";

const bytesType = dtypeOf("uint8");

const AS_THEY_ARE = 0;
const DIFFERENCES = 1;

/** No number in a stream takes more bytes: chunks have at most 16 MiB. */
const MAX_NUMBER_BYTES = 4;

/** Literals up to this length are coded at zstd's highest level that is of use, which takes longer. */
const FEW_LITERALS = 16_384;

export const patch: Codec = {
  id: "patch",
  code: 19,
  kind: "array-to-bytes",
  needsSibling: true,

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, [], "patch");
    return {};
  },

  encode(input: Uint8Array, { sibling }: EncodeContext): Uint8Array {
    const other = siblingBytesOf(sibling?.bytes, "patch");
    return encodePatch(input, other, findCopies(input, other));
  },

  decode(input: Uint8Array, { bytes, sibling, out = new Uint8Array(bytes) }: DecodeContext): Uint8Array {
    const other = siblingBytesOf(sibling, "patch");
    const reader = new ByteReader(input, "patch");
    const mode = reader.u8();
    if (mode !== AS_THEY_ARE && mode !== DIFFERENCES)
      throw new DamageError("patch", `literals of kind ${mode} are not known`);
    const count = reader.varint();
    if (count * LEAST_COPY > bytes)
      throw new DamageError("patch", `${count} copies do not fit in ${bytes} bytes`);
    const inserts = readNumbers(reader, count, "lengths of literals");
    const lengths = readNumbers(reader, count, "lengths of copies");
    const moves = readNumbers(reader, count, "places of copies");
    let literalBytes = bytes;
    for (let index = 0; index < count; index++) literalBytes -= lengths[index]! + LEAST_COPY;
    if (literalBytes < 0) throw new DamageError("patch", `copies are ${-literalBytes} bytes too long`);
    const literals = readStream(reader, literalBytes);
    if (reader.remaining > 0) throw new DamageError("patch", `${reader.remaining} bytes follow the literals`);
    let at = 0;
    let taken = 0;
    const shifts = new Shifts();
    const literal = (length: number): void => {
      const run = literals.subarray(taken, taken + length);
      if (run.length < length) throw new DamageError("patch", "there are not enough literals");
      out.set(run, at);
      if (mode === DIFFERENCES) addSibling(out.subarray(at, at + length), other, at + shifts.at(0));
      at += length;
      taken += length;
    };
    for (let index = 0; index < count; index++) {
      literal(inserts[index]!);
      const move = moves[index]!;
      shifts.use(move < Shifts.KEPT ? shifts.at(move) : shifts.at(0) + unzigzag(move - Shifts.KEPT));
      const from = at + shifts.at(0);
      const length = lengths[index]! + LEAST_COPY;
      if (from < 0 || from + length > other.length)
        throw new DamageError("patch", `copies from ${from} to ${from + length} of ${other.length} bytes`);
      out.set(other.subarray(from, from + length), at);
      at += length;
    }
    literal(literalBytes - taken);
    return out;
  },
};

/** The payload of `patch` for these copies. */
export function encodePatch(input: Uint8Array, other: Uint8Array, copies: Copies): Uint8Array {
  const [inserts, lengths, moves] = [new ByteWriter(), new ByteWriter(), new ByteWriter()];
  const literals = new ByteWriter(input.length);
  const differences = new ByteWriter(input.length);
  const shifts = new Shifts();
  let at = 0;
  const literal = (end: number): void => {
    const run = input.subarray(at, end);
    literals.bytes(run);
    differences.bytes(lessSibling(run, other, at + shifts.at(0)));
  };
  for (let index = 0; index < copies.count; index++) {
    const start = copies.at(index);
    inserts.varint(start - at);
    literal(start);
    const length = copies.length(index);
    lengths.varint(length - LEAST_COPY);
    const shift = copies.from(index) - start;
    const recent = shifts.indexOf(shift);
    moves.varint(recent >= 0 ? recent : Shifts.KEPT + zigzag(shift - shifts.at(0)));
    shifts.use(shift);
    at = start + length;
  }
  literal(input.length);
  const plain = coded(literals.finish());
  const less = coded(differences.finish());
  const mode = less.payload.length < plain.payload.length ? DIFFERENCES : AS_THEY_ARE;
  const payload = new ByteWriter().u8(mode).varint(copies.count);
  for (const numbers of [inserts, lengths, moves]) {
    payload.varint(numbers.length);
    writeStream(payload, encodeStream(numbers.finish(), true));
  }
  writeStream(payload, mode === DIFFERENCES ? less : plain);
  return payload.finish();
}

function coded(literals: Uint8Array): CodedPlane {
  const usual = encodeStream(literals, true);
  if (!canEncodeZstd() || literals.length > FEW_LITERALS || literals.length < 16) return usual;
  const payload = zstd.encode(literals, { dtype: bytesType }, { level: 19 });
  return smallerStream(usual, { coder: zstd.code, payload });
}

/** A stream of `count` varints. */
function readNumbers(reader: ByteReader, count: number, what: string): Uint32Array {
  const bytes = reader.varint();
  if (bytes > count * MAX_NUMBER_BYTES) throw new DamageError("patch", `${what} take ${bytes} bytes`);
  const stream = new ByteReader(readStream(reader, bytes), "patch");
  const numbers = new Uint32Array(count);
  for (let index = 0; index < count; index++) {
    const number = stream.varint();
    if (number >= 2 ** 28) throw new DamageError("patch", `${what} are too large`);
    numbers[index] = number;
  }
  if (stream.remaining > 0) throw new DamageError("patch", `${what} are more than ${count}`);
  return numbers;
}

function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function unzigzag(value: number): number {
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}

/** Adds the sibling's bytes from `from` on, where it has some. */
function addSibling(bytes: Uint8Array, other: Uint8Array, from: number): void {
  const end = Math.min(bytes.length, other.length - from);
  for (let index = Math.max(0, -from); index < end; index++) bytes[index]! += other[from + index]!;
}

/** What `addSibling` makes these bytes of. */
function lessSibling(bytes: Uint8Array, other: Uint8Array, from: number): Uint8Array {
  const less = new Uint8Array(bytes);
  const end = Math.min(bytes.length, other.length - from);
  for (let index = Math.max(0, -from); index < end; index++) less[index]! -= other[from + index]!;
  return less;
}
