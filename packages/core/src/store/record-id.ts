/**
 * Record ids: ULIDs (github.com/ulid/spec). 48 bits of milliseconds, then 80 random bits; ids made in the same
 * millisecond count up from the first, so that ids rise in the order of insertion and a batch of them packs well.
 * 16 bytes inside, 26 letters of Crockford's base 32 outside.
 */
import { randomFillSync } from "node:crypto";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TEXT_LENGTH = 26;
const ID_BYTES = 16;
const RANDOM_BYTES = 10;

const values = new Int8Array(128).fill(-1);
for (const [value, letter] of [...ALPHABET].entries()) {
  values[letter.charCodeAt(0)] = value;
  values[letter.toLowerCase().charCodeAt(0)] = value;
}

/** Makes ids that rise within one process. */
export class RecordIds {
  #lastMs = -1;
  readonly #last = new Uint8Array(ID_BYTES);

  /** A new id, greater than every one made before by this object. */
  next(nowMs: number = Date.now()): Uint8Array {
    if (nowMs > this.#lastMs) {
      this.#lastMs = nowMs;
      const view = new DataView(this.#last.buffer);
      view.setUint16(0, Math.floor(nowMs / 2 ** 32));
      view.setUint32(2, nowMs >>> 0);
      randomFillSync(this.#last, ID_BYTES - RANDOM_BYTES, RANDOM_BYTES);
      // The top random bit is kept clear, so that counting up cannot overflow into the time.
      this.#last[ID_BYTES - RANDOM_BYTES]! &= 0x7f;
    } else {
      this.#increment();
    }
    return this.#last.slice();
  }

  #increment(): void {
    for (let index = ID_BYTES - 1; index >= 0; index--) {
      const value = (this.#last[index]! + 1) & 0xff;
      this.#last[index] = value;
      if (value !== 0) return;
    }
  }
}

/** 26 letters for 16 bytes. */
export function recordIdText(id: Uint8Array): string {
  let text = "";
  // 130 bits for 128: two zero bits come first.
  let accumulator = 0;
  let bits = 2;
  for (const byte of id) {
    accumulator = (accumulator << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += ALPHABET[(accumulator >>> bits) & 31];
    }
    accumulator &= (1 << bits) - 1;
  }
  return text;
}

/** The 16 bytes of an id's text; undefined when the text is not one (it may be a name then). */
export function parseRecordId(text: string): Uint8Array | undefined {
  if (text.length !== TEXT_LENGTH) return undefined;
  const id = new Uint8Array(ID_BYTES);
  let accumulator = 0;
  let bits = -2;
  let at = 0;
  for (let index = 0; index < TEXT_LENGTH; index++) {
    const code = text.charCodeAt(index);
    const value = code < 128 ? values[code]! : -1;
    if (value < 0 || (index === 0 && value > 7)) return undefined;
    accumulator = ((accumulator << 5) | value) & 0x1fff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      id[at++] = (accumulator >>> bits) & 0xff;
    }
  }
  return id;
}
