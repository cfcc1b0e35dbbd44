/**
 * Reads little-endian fields from bytes that may be damaged: every read checks what is left, and says where it ran out.
 *
 * varint: unsigned LEB128, 7 bits a byte, least significant first, top bit set on all but the last byte; at most 8 bytes
 * (2^53 - 1 fits), and no needless last byte of zero, so that every number has exactly one encoding.
 */
import { DamageError, LimitError } from "../errors/errors.ts";

/** 2^53 - 1 has 53 bits: eight groups of seven. */
const VARINT_MAX_BYTES = 8;

/** Reads fields one after the other. Throws `DamageError` naming `where` when the bytes run out. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  #offset = 0;

  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  /** Bytes read so far. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#bytes[this.#advance(1)]!;
  }

  u16(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** As a number. Throws `LimitError` over 2^53 - 1. */
  u64(): number {
    const at = this.#advance(8);
    const value = this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
    if (value > Number.MAX_SAFE_INTEGER) {
      throw new LimitError("u64", this.#view.getBigUint64(at, true), Number.MAX_SAFE_INTEGER, this.#where);
    }
    return value;
  }

  /** Unsigned LEB128. Throws `LimitError` over 2^53 - 1. */
  varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 1; count <= VARINT_MAX_BYTES; count++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && count > 1)
          throw new DamageError(this.#where, `a number at ${this.#offset - 1} is padded`);
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      scale *= 128;
    }
    throw new LimitError("varint", value, Number.MAX_SAFE_INTEGER, this.#where);
  }

  /** A view of the next `count` bytes. */
  bytes(count: number): Uint8Array {
    const at = this.#advance(count);
    return this.#bytes.subarray(at, at + count);
  }

  #advance(count: number): number {
    const at = this.#offset;
    if (count > this.#bytes.length - at) {
      throw new DamageError(
        this.#where,
        `ends early: ${count} bytes expected at ${at}, ${this.remaining} are there`,
      );
    }
    this.#offset = at + count;
    return at;
  }
}
