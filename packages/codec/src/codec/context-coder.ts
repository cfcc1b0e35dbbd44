/**
 * A binary arithmetic coder: bits with a probability each become a number in [0, 1), written as bytes. M. Mahoney's carryless variant: the
 * interval's ends are 32-bit numbers, and bytes that both ends agree in are written out.
 */
import { DamageError } from "../errors/errors.ts";

/** Probabilities are in 65,536ths that the bit is 1, and never less than this from either end. */
export const MIN_PROBABILITY = 32;

/** Either direction, so that a model is written once: an encoder returns the bit that it is given, a decoder the one that it reads. */
export interface BitCoder {
  code(bit: number, probability: number): number;
}

/** Where an interval of 32-bit numbers is cut: at or below it the bit is 1. */
function cut(low: number, high: number, probability: number): number {
  return low + Math.floor(((high - low) * probability) / 65_536);
}

/** Writes bits. */
export class BitEncoder implements BitCoder {
  #bytes = new Uint8Array(4096);
  #length = 0;
  #low = 0;
  #high = 0xffff_ffff;

  code(bit: number, probability: number): number {
    const middle = cut(this.#low, this.#high, probability);
    if (bit === 1) this.#high = middle;
    else this.#low = middle + 1;
    while (((this.#low ^ this.#high) & 0xff00_0000) === 0) {
      this.#put(this.#high >>> 24);
      this.#low = (this.#low << 8) >>> 0;
      this.#high = ((this.#high << 8) | 0xff) >>> 0;
    }
    return bit;
  }

  /** The bytes. Zeros at the end are left out: a decoder reads zeros behind the end. */
  finish(): Uint8Array {
    // The number in the interval with the most zeros at the end.
    let zeros = 24;
    while (((this.#high >>> zeros) << zeros) >>> 0 < this.#low) zeros -= 8;
    const value = (this.#high >>> zeros) << zeros;
    for (let shift = 24; shift >= 0; shift -= 8) this.#put((value >>> shift) & 0xff);
    let length = this.#length;
    while (length > 0 && this.#bytes[length - 1] === 0) length--;
    return this.#bytes.slice(0, length);
  }

  #put(byte: number): void {
    if (this.#length === this.#bytes.length) {
      const longer = new Uint8Array(2 * this.#bytes.length);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    this.#bytes[this.#length++] = byte;
  }
}

/** Reads bits. Behind the end come zeros, since an encoder leaves those out. */
export class BitDecoder implements BitCoder {
  readonly #bytes: Uint8Array;
  #at = 0;
  #low = 0;
  #high = 0xffff_ffff;
  #value = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let index = 0; index < 4; index++) this.#value = ((this.#value << 8) | this.#next()) >>> 0;
  }

  code(_bit: number, probability: number): number {
    const middle = cut(this.#low, this.#high, probability);
    const bit = this.#value <= middle ? 1 : 0;
    if (bit === 1) this.#high = middle;
    else this.#low = middle + 1;
    while (((this.#low ^ this.#high) & 0xff00_0000) === 0) {
      this.#low = (this.#low << 8) >>> 0;
      this.#high = ((this.#high << 8) | 0xff) >>> 0;
      this.#value = ((this.#value << 8) | this.#next()) >>> 0;
    }
    return bit;
  }

  /** Throws `DamageError` unless what was read is all there was. */
  finish(): void {
    if (this.#at < this.#bytes.length) throw new DamageError("context", "bytes follow the coded bits");
  }

  #next(): number {
    return this.#bytes[this.#at++] ?? 0;
  }
}
