/**
 * A strict pull reader of JSON. `JSON.parse` keeps the last of two equal keys, rounds integers over 2^53 and cannot
 * tell `1` from `1.0`: in file headers each of these hides two readings of one file, so that one program sees other
 * tensors than the next. This reader sees every token, builds no tree (a header of 100 MB holds a million tensors)
 * and refuses, with the rule that is broken:
 *
 *   byte-order-mark   the text starts with EF BB BF
 *   utf-8             the bytes are not UTF-8 (encoded surrogates included)
 *   json              any other break of RFC 8259, or nesting deeper than `MAX_JSON_DEPTH`
 *   nul-padding       NUL bytes behind the value
 *   lone-surrogate    an escape such as `\ud800` without its other half
 *   duplicate-key     a key twice in one object (compared after unescaping)
 *   type              a value of another type than the format wants here
 *   integer           `-1`, `-0`, `1.0`, `1e0` where an unsigned integer belongs
 *   over-u64          an integer of more than 64 bits
 */
import { isUtf8 } from "node:buffer";

/** Rules of JSON that a text can break. */
export type JsonRule =
  | "byte-order-mark"
  | "utf-8"
  | "json"
  | "nul-padding"
  | "lone-surrogate"
  | "duplicate-key"
  | "type"
  | "integer"
  | "over-u64";

/** Arrays and objects inside ignored values may nest this deep (as in serde_json): the reader recurses there. */
export const MAX_JSON_DEPTH = 128;

const MAX_U64 = 2n ** 64n - 1n;
/** Integers of at most this many digits are exact as numbers. */
const SAFE_DIGITS = 15;
/** Digits of 2^64 - 1. */
const U64_DIGITS = 20;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Text as JSON for a message, shortened: names may be as long as a header. */
export function quote(text: string): string {
  return JSON.stringify(text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}...` : text);
}

/** Characters of a name that a message repeats. */
const QUOTED_CHARACTERS = 200;

/** Makes the error of a broken rule. `key` is the key that appears twice. */
export type JsonErrorMaker = (rule: JsonRule, message: string, key?: string) => Error;

/**
 * Reads one JSON text token by token. The caller asks for what the format wants; anything else throws what `error`
 * makes.
 */
export class StrictJson {
  readonly #bytes: Uint8Array;
  readonly #text: Buffer;
  readonly #error: JsonErrorMaker;
  #at = 0;
  /** True behind an opening bracket: no comma comes before the next element. */
  #first = false;

  /** `error` makes the error of a broken rule; it is thrown here. */
  constructor(bytes: Uint8Array, error: JsonErrorMaker) {
    this.#bytes = bytes;
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#error = error;
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
      throw error("byte-order-mark", "the JSON starts with a byte order mark");
    }
    if (!isUtf8(bytes)) throw error("utf-8", "the JSON is not valid UTF-8");
  }

  /** Enters an object; then `nextKey` until it gives undefined. */
  enterObject(what: string): void {
    this.#enter(OPEN_OBJECT, "an object", what);
  }

  /** Enters an array; then `nextElement` until it gives false. */
  enterArray(what: string): void {
    this.#enter(OPEN_ARRAY, "an array", what);
  }

  /**
   * The next key of the object entered last, or undefined behind its end. The caller reads or skips the value
   * before it asks again. `seen` holds the keys of this object so far and is added to.
   */
  nextKey(seen: Set<string>): string | undefined {
    if (this.#closes(CLOSE_OBJECT)) return undefined;
    const key = this.#string("a key");
    if (seen.has(key)) throw this.#error("duplicate-key", `the key ${quote(key)} appears twice`, key);
    seen.add(key);
    this.#space();
    if (this.#bytes[this.#at] !== COLON) throw this.#syntax("':'");
    this.#at++;
    return key;
  }

  /** Whether another element of the array entered last follows. */
  nextElement(): boolean {
    return !this.#closes(CLOSE_ARRAY);
  }

  /** Takes a `null`, if one comes next. */
  takeNull(): boolean {
    this.#space();
    if (this.#bytes[this.#at] !== 0x6e) return false;
    this.#literal("null");
    return true;
  }

  /** A string. `what` names it in errors. */
  string(what: string): string {
    this.#space();
    if (this.#bytes[this.#at] !== QUOTE) throw this.#unexpected("a string", what);
    return this.#string(what);
  }

  /** An unsigned integer of 64 bits, written with digits only: a number up to 2^53 - 1, a bigint beyond. */
  integer(what: string): number | bigint {
    this.#space();
    const bytes = this.#bytes;
    const start = this.#at;
    if (bytes[start] === MINUS) {
      this.#number();
      throw this.#error("integer", `${what} is ${this.#excerpt(start)}, not an unsigned integer`);
    }
    if (!isDigit(bytes[start])) throw this.#unexpected("an unsigned integer", what);
    this.#number();
    let value = 0;
    for (let at = start; at < this.#at; at++) {
      const digit = bytes[at]!;
      if (!isDigit(digit)) {
        throw this.#error(
          "integer",
          `${what} is written as ${this.#excerpt(start)}, not as an unsigned integer`,
        );
      }
      value = value * 10 + (digit - ZERO);
    }
    const digits = this.#at - start;
    if (digits <= SAFE_DIGITS) return value;
    const exact = digits > U64_DIGITS ? MAX_U64 + 1n : BigInt(this.#text.toString("latin1", start, this.#at));
    if (exact > MAX_U64) {
      throw this.#error("over-u64", `${what} is ${this.#excerpt(start)}, more than 64 bits hold`);
    }
    return exact <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(exact) : exact;
  }

  /** Reads over any value, checking it. */
  skipValue(depth = 0): void {
    if (depth > MAX_JSON_DEPTH) throw this.#error("json", `nested deeper than ${MAX_JSON_DEPTH} levels`);
    this.#space();
    const next = this.#bytes[this.#at];
    if (next === OPEN_OBJECT) {
      this.enterObject("object");
      const seen = new Set<string>();
      while (this.nextKey(seen) !== undefined) this.skipValue(depth + 1);
    } else if (next === OPEN_ARRAY) {
      this.enterArray("array");
      while (this.nextElement()) this.skipValue(depth + 1);
    } else if (next === QUOTE) this.#string("string");
    else if (next === 0x74) this.#literal("true");
    else if (next === 0x66) this.#literal("false");
    else if (next === 0x6e) this.#literal("null");
    else this.#number();
  }

  /** Only white space may follow. */
  end(): void {
    this.#space();
    if (this.#at >= this.#bytes.length) return;
    if (this.#bytes[this.#at] === 0)
      throw this.#error("nul-padding", "the JSON is padded with NUL, not with spaces");
    throw this.#syntax("the end of the JSON");
  }

  #enter(bracket: number, kind: string, what: string): void {
    this.#space();
    if (this.#bytes[this.#at] !== bracket) throw this.#unexpected(kind, what);
    this.#at++;
    this.#first = true;
  }

  /** Whether the bracket comes next (and takes it); else takes the comma that separates elements. */
  #closes(bracket: number): boolean {
    this.#space();
    if (this.#bytes[this.#at] === bracket) {
      this.#at++;
      this.#first = false;
      return true;
    }
    if (!this.#first) {
      if (this.#bytes[this.#at] !== COMMA) throw this.#syntax(`',' or '${String.fromCharCode(bracket)}'`);
      this.#at++;
      this.#space();
    }
    this.#first = false;
    return false;
  }

  #space(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (;;) {
      const next = bytes[at];
      if (next !== 0x20 && next !== 0x0a && next !== 0x0d && next !== 0x09) break;
      at++;
    }
    this.#at = at;
  }

  #literal(word: string): void {
    const end = this.#at + word.length;
    if (end > this.#bytes.length || this.#text.toString("latin1", this.#at, end) !== word)
      throw this.#syntax("a value");
    this.#at = end;
  }

  /** Reads over a number of JSON's grammar. */
  #number(): void {
    const bytes = this.#bytes;
    if (bytes[this.#at] === MINUS) this.#at++;
    if (bytes[this.#at] === ZERO) this.#at++;
    else this.#digits("a value");
    if (bytes[this.#at] === POINT) {
      this.#at++;
      this.#digits("a digit");
    }
    if (bytes[this.#at] === 0x65 || bytes[this.#at] === 0x45) {
      this.#at++;
      if (bytes[this.#at] === MINUS || bytes[this.#at] === 0x2b) this.#at++;
      this.#digits("a digit");
    }
  }

  #digits(wanted: string): void {
    if (!isDigit(this.#bytes[this.#at])) throw this.#syntax(wanted);
    while (isDigit(this.#bytes[this.#at])) this.#at++;
  }

  /** Reads a string; the fast path holds no escapes. */
  #string(what: string): string {
    const bytes = this.#bytes;
    if (bytes[this.#at] !== QUOTE) throw this.#syntax(what);
    const start = this.#at + 1;
    let ascii = true;
    for (let at = start; at < bytes.length; at++) {
      const next = bytes[at]!;
      if (next === QUOTE) {
        this.#at = at + 1;
        return ascii ? this.#text.toString("latin1", start, at) : this.#text.toString("utf8", start, at);
      }
      if (next === BACKSLASH) return this.#escapedString(start, at);
      if (next < 0x20) {
        this.#at = at;
        throw this.#syntax("an escape in place of a control character");
      }
      if (next >= 0x80) ascii = false;
    }
    this.#at = bytes.length;
    throw this.#syntax("the closing quote");
  }

  /**
   * A string with escapes: its end is found here, `JSON.parse` (which is strict within one string) unescapes it.
   */
  #escapedString(start: number, firstEscape: number): string {
    const bytes = this.#bytes;
    for (this.#at = firstEscape; bytes[this.#at] !== QUOTE; this.#at++) {
      const next = bytes[this.#at];
      if (next === undefined) throw this.#syntax("the closing quote");
      if (next < 0x20) throw this.#syntax("an escape in place of a control character");
      if (next === BACKSLASH) this.#at++;
    }
    const token = this.#text.toString("utf8", start - 1, this.#at + 1);
    let value: string;
    try {
      value = JSON.parse(token) as string;
    } catch {
      throw this.#error("json", `not valid JSON: ${quote(token)} has an escape that JSON does not know`);
    }
    // The bytes are UTF-8, so half a pair can only come from an escape.
    if (!value.isWellFormed()) {
      throw this.#error("lone-surrogate", `${quote(token)} has an escape that is half of a surrogate pair`);
    }
    this.#at++;
    return value;
  }

  /** A value of another type, or no value at all. */
  #unexpected(wanted: string, what: string): Error {
    const next = this.#bytes[this.#at];
    const isValue = next !== undefined && (isDigit(next) || '"-[{tfn'.includes(String.fromCharCode(next)));
    if (!isValue) return this.#syntax(wanted);
    return this.#error("type", `${what} is not ${wanted}`);
  }

  #syntax(wanted: string): Error {
    const next = this.#bytes[this.#at];
    const found =
      next === undefined
        ? "the end"
        : next > 0x20 && next < 0x7f
          ? JSON.stringify(String.fromCharCode(next))
          : `byte 0x${next.toString(16).padStart(2, "0")}`;
    return this.#error(
      "json",
      `not valid JSON: expected ${wanted}, found ${found} at byte ${this.#at} of the JSON`,
    );
  }

  /** The token from `start` to here, shortened for a message. */
  #excerpt(start: number): string {
    const token = this.#text.toString("latin1", start, Math.min(this.#at, start + 32));
    return this.#at - start > 32 ? `${token}...` : token;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}
