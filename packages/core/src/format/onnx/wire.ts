/**
 * Protobuf's wire format, read from any position of a source through one small buffer. Nothing is parsed that
 * nobody asks for, and payloads are passed over without being read:
 *
 *     | tag: varint, field << 3 | wire type | value                    |
 *     | wire type 0   varint (1 to 10 bytes, 7 bits each, low first)   |
 *     |           1   8 bytes      5   4 bytes                         |
 *     |           2   length: varint, then so many bytes               |
 *     |           3, 4   groups: long deprecated, no ONNX file has them |
 *
 * A read behind a jump takes 256 bytes, each that goes on from there twice as many, up to 64 KiB: the fields between
 * two payloads cost one small read, a long list of nodes costs few large ones.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const LENGTH_DELIMITED = 2;
export const FIXED32 = 5;

/** The longest encoding of 64 bits. */
export const MAX_VARINT_BYTES = 10;
/** Longest text that is read, in bytes: it has to fit into the buffer. */
export const MAX_TEXT_BYTES: number = 64 * 1024;

/** A tag and a length or value: what is read without looking at the buffer again. */
const FIELD_BYTES = 2 * MAX_VARINT_BYTES;
const FIRST_READ_BYTES = 256;
const LAST_READ_BYTES = 64 * 1024;
const BUFFER_BYTES = MAX_TEXT_BYTES + LAST_READ_BYTES;

/** The halves of a varint as an int64; over 2^53 it is rounded. */
export function int64(low: number, high: number): number {
  return (high | 0) * 2 ** 32 + low;
}

/** Reads fields one after the other. What was read last is in the properties. */
export class WireReader {
  readonly #source: Source;
  /** A plain array: what `take` gives out must not be a `Buffer`, whose `slice` does not copy. */
  readonly #buffer: Uint8Array<ArrayBuffer>;
  /** The buffer holds the bytes of the file from here on, so many. */
  #start = 0;
  #held = 0;
  #readBytes = FIRST_READ_BYTES;

  /** Where the next byte lies in the file. May be set. */
  position = 0;
  /** Number and wire type of the last tag. */
  field = 0;
  wireType = 0;
  /** The last varint, as two unsigned halves of 32 bits. */
  low = 0;
  high = 0;

  constructor(source: Source) {
    this.#source = source;
    this.#buffer = new Uint8Array(Math.min(BUFFER_BYTES, source.bytes));
  }

  /** Bytes in the buffer from the position on. */
  get #ahead(): number {
    const ahead = this.#start + this.#held - this.position;
    return this.position >= this.#start && ahead > 0 ? ahead : 0;
  }

  /** Whether `fill` must be called before the next field, or as many bytes, can be read. */
  lacks(wanted: number = FIELD_BYTES): boolean {
    return this.#ahead < wanted && this.#ahead < this.#source.bytes - this.position;
  }

  /**
   * Brings the next bytes into the buffer: enough for one field, or `wanted` (at most `MAX_TEXT_BYTES`), fewer at
   * the end of the file.
   */
  async fill(wanted: number = FIELD_BYTES): Promise<void> {
    const ahead = this.#ahead;
    const left = this.#source.bytes - this.position;
    const needed = Math.min(wanted, left);
    if (ahead >= needed) return;
    const end = this.#start + this.#held;
    const goesOn = this.position >= this.#start && this.position <= end + this.#readBytes;
    this.#readBytes = goesOn ? Math.min(2 * this.#readBytes, LAST_READ_BYTES) : FIRST_READ_BYTES;
    if (ahead > 0) this.#buffer.copyWithin(0, this.#held - ahead, this.#held);
    const bytes = Math.min(Math.max(this.#readBytes, needed - ahead), left - ahead);
    await this.#source.read(this.#buffer.subarray(ahead, ahead + bytes), this.position + ahead);
    this.#start = this.position;
    this.#held = ahead + bytes;
  }

  /** Reads a tag. `end` is the end of the message; as for all below, nothing is read beyond it. */
  tag(end: number): void {
    const at = this.position;
    this.varint(end);
    this.field = this.low >>> 3;
    this.wireType = this.low & 7;
    if (this.high !== 0 || this.field === 0) {
      throw this.invalid("field-number", at, "the field number is none from 1 to 2^29 - 1");
    }
  }

  /** Reads a varint into `low` and `high`; bits beyond 64 are dropped, as in protobuf. */
  varint(end: number): void {
    const buffer = this.#buffer;
    const first = this.position - this.#start;
    const stop = Math.min(end - this.#start, this.#held, first + MAX_VARINT_BYTES);
    let low = 0;
    let high = 0;
    for (let at = first; at < stop; at++) {
      const byte = buffer[at]!;
      const shift = 7 * (at - first);
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.low = low >>> 0;
        this.high = high >>> 0;
        this.position = this.#start + at + 1;
        return;
      }
    }
    if (stop - first === MAX_VARINT_BYTES) {
      throw this.invalid("varint", this.position, "a number goes on for more than 10 bytes");
    }
    throw this.invalid(
      "truncated",
      this.position,
      `a number does not end before ${end}, where its message ends`,
    );
  }

  /** Reads the length in front of a length-delimited value, which must end before its message does. */
  length(end: number): number {
    const at = this.position;
    this.varint(end);
    const length = this.high * 2 ** 32 + this.low;
    if (length > end - this.position) {
      throw this.invalid(
        "truncated",
        at,
        `field ${this.field} would have ${length} bytes, but the message that it belongs to ends at ${end}`,
      );
    }
    return length;
  }

  /** Passes over the value of the last tag. */
  skip(end: number): void {
    switch (this.wireType) {
      case VARINT:
        this.varint(end);
        return;
      case LENGTH_DELIMITED: {
        const length = this.length(end);
        this.position += length;
        return;
      }
      default:
        this.fixed(end);
    }
  }

  /** Passes over a value of 4 or 8 bytes, by the last tag's wire type. Other types do not occur and are refused. */
  fixed(end: number): void {
    const at = this.position;
    if (this.wireType !== FIXED32 && this.wireType !== FIXED64) {
      const what = this.wireType === 3 || this.wireType === 4 ? "a group" : "none that exists";
      throw this.invalid("wire-type", at, `field ${this.field} has wire type ${this.wireType}, ${what}`);
    }
    this.position += this.wireType === FIXED32 ? 4 : 8;
    if (this.position > end) {
      throw this.invalid(
        "truncated",
        at,
        `field ${this.field} does not end before ${end}, where its message ends`,
      );
    }
  }

  /** Text of so many bytes, which `fill` brought into the buffer. What is not UTF-8 becomes U+FFFD. */
  text(bytes: number): string {
    const at = this.position - this.#start;
    this.position += bytes;
    return Buffer.from(this.#buffer.buffer, at, bytes).toString();
  }

  /** The next bytes in the buffer, at most so many; valid until the next `fill`. */
  take(most: number): Uint8Array {
    const at = this.position - this.#start;
    const bytes = Math.min(most, this.#ahead);
    this.position += bytes;
    return this.#buffer.subarray(at, at + bytes);
  }

  /** The error of a broken rule at a place of the file. */
  invalid(rule: string, offset: number, message: string): InvalidFileError {
    return new InvalidFileError(
      this.#source.name,
      rule,
      `at byte ${offset}: ${message}; the file is damaged or no ONNX model`,
    );
  }
}
