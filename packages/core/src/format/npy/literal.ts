/**
 * Reads the few Python literals that a .npy header is made of: strings without escapes, `True` and `False`,
 * non-negative decimal integers, brackets. Nothing is evaluated; whatever else stands there is refused, with its
 * place.
 */
import type { InvalidFileError } from "@tensorcask/codec";
import { quote } from "../strict-json.ts";

/** Makes the error of a broken rule; `remedy` is what its user can do. */
export type NpyErrorMaker = (rule: string, message: string, remedy?: string) => InvalidFileError;

/** The next token, and the space before it. Integers as Python writes them: no leading zeros, no underscores. */
const TOKEN =
  /[ \t\r\n]*(?:'([^'\\\n]*)'|"([^"\\\n]*)"|(True|False)\b|(0|[1-9][0-9]*)(L?)(?!\w)|([{}()[\]:,]))/y;
const SPACE_TO_END = /[ \t\r\n]*$/y;

/** Reads literals one after the other. The caller asks for what the format wants; anything else is an error. */
export class LiteralReader {
  readonly #text: string;
  readonly #offset: number;
  readonly #takesLong: boolean;
  readonly #error: NpyErrorMaker;
  #at = 0;

  /** `bytes` lie at `offset` of the file. `takesLong`: integers may end with `L`, as in Python 2. */
  constructor(bytes: Uint8Array, offset: number, takesLong: boolean, error: NpyErrorMaker) {
    this.#text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    this.#offset = offset;
    this.#takesLong = takesLong;
    this.#error = error;
  }

  /** Takes a bracket, colon or comma if it comes next. */
  takes(sign: string): boolean {
    const match = this.#match();
    if (match?.[6] !== sign) return false;
    this.#at += match[0].length;
    return true;
  }

  /** Takes a bracket, colon or comma that must come next. */
  take(sign: string): void {
    if (!this.takes(sign)) throw this.#unexpected(`'${sign}'`);
  }

  string(what: string): string {
    const match = this.#match();
    const text = match?.[1] ?? match?.[2];
    if (match === undefined || text === undefined) throw this.#unexpected(`${what} (a string)`);
    this.#at += match[0].length;
    return text;
  }

  boolean(what: string): boolean {
    const match = this.#match();
    if (match?.[3] === undefined) throw this.#unexpected(`${what} (True or False)`);
    this.#at += match[0].length;
    return match[3] === "True";
  }

  integer(what: string): number {
    const match = this.#match();
    const digits = match?.[4];
    if (match === undefined || digits === undefined || (match[5] !== "" && !this.#takesLong)) {
      throw this.#unexpected(`${what} (a whole number)`);
    }
    this.#at += match[0].length;
    const value = Number(digits);
    if (!Number.isSafeInteger(value)) {
      throw this.#error("dimension-limit", `its dimension ${quote(digits)} is over 2^53 - 1`);
    }
    return value;
  }

  /** Behind the last literal there is only space. */
  end(): void {
    SPACE_TO_END.lastIndex = this.#at;
    if (!SPACE_TO_END.test(this.#text)) throw this.#unexpected("the end");
  }

  #match(): RegExpExecArray | undefined {
    TOKEN.lastIndex = this.#at;
    return TOKEN.exec(this.#text) ?? undefined;
  }

  #unexpected(wanted: string): Error {
    const rest = this.#text.slice(this.#at).trimStart();
    const at = this.#offset + this.#text.length - rest.length;
    return this.#error(
      "npy-header",
      `its header has ${quote(rest.slice(0, 20))} at ${at}, where ${wanted} should stand`,
    );
  }
}
