/**
 * Fields of an operation as CBOR has them: a list without names. `Fields` hands them out one after the other
 * and checks what each one is, so that an entry which is not what it should be is a `DamageError`, never a
 * wrong value. The functions below it check on the way in.
 *
 * Missing optional fields are null, and trailing ones are left out. JSON that users hand in is kept as JSON
 * text: the order of its keys stays, and reading it back is the engine's own parser.
 */
import { DamageError, isJsonObject, UsageError } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";

/** What a field can be in CBOR. */
export type Field = null | boolean | number | string | Uint8Array | readonly Field[];

/**
 * Reads fields in order. Every method throws `DamageError` naming `where` when the next field is something
 * else.
 */
export class Fields {
  readonly #fields: readonly unknown[];
  readonly where: string;
  #next = 0;

  constructor(fields: readonly unknown[], where: string) {
    this.#fields = fields;
    this.where = where;
  }

  /** A whole number that is not negative. */
  integer(): number {
    const value = this.next();
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    return this.#wrong("a whole number");
  }

  /** Any number, NaN and infinities among them. */
  number(): number {
    const value = this.next();
    return typeof value === "number" ? value : this.#wrong("a number");
  }

  text(): string {
    const value = this.next();
    return typeof value === "string" ? value : this.#wrong("text");
  }

  /** Bytes; `count` of them, where it is given. */
  bytes(count?: number): Uint8Array {
    const value = this.next();
    if (value instanceof Uint8Array && (count === undefined || value.length === count)) return value;
    return this.#wrong(count === undefined ? "bytes" : `${count} bytes`);
  }

  flag(): boolean {
    const value = this.next();
    return typeof value === "boolean" ? value : this.#wrong("true or false");
  }

  list(): readonly unknown[] {
    const value = this.next();
    return Array.isArray(value) ? (value as readonly unknown[]) : this.#wrong("a list");
  }

  /** The fields of a nested list. */
  nested(): Fields {
    return new Fields(this.list(), this.where);
  }

  json(): JsonObject {
    return this.#object(this.text());
  }

  /** Undefined when the next field is null or the list has ended; else what `read` makes of it. */
  optional<T>(read: (fields: Fields) => T): T | undefined {
    const value = this.#fields[this.#next];
    if (value !== null && value !== undefined) return read(this);
    this.#next++;
    return undefined;
  }

  /** The next field, whatever it is. */
  next(): unknown {
    return this.#fields[this.#next++];
  }

  /** How many fields are left. */
  get left(): number {
    return Math.max(0, this.#fields.length - this.#next);
  }

  /** Whether all fields have been read. */
  get atEnd(): boolean {
    return this.left === 0;
  }

  /** Checks that nothing is left. */
  end(): void {
    if (!this.atEnd)
      throw new DamageError(this.where, "an operation has fields that this version does not know");
  }

  #object(text: string): JsonObject {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new DamageError(this.where, "JSON in an entry is not JSON", { cause: error });
    }
    return isJsonObject(value) ? value : this.#wrong("a JSON object");
  }

  #wrong(expected: string): never {
    throw new DamageError(this.where, `field ${this.#next} of an operation is not ${expected}`);
  }
}

/** Fields without the nulls at their end. */
export function trimmed(fields: readonly (Field | undefined)[]): Field[] {
  let length = fields.length;
  while (length > 0 && (fields[length - 1] === undefined || fields[length - 1] === null)) length--;
  return Array.from({ length }, (_, index) => fields[index] ?? null);
}

/** Checks text on its way in: half a surrogate pair would come back as something else. */
export function checkText(text: string, field: string): string {
  if (!text.isWellFormed())
    throw new UsageError(field, `${field} has half a surrogate pair: ${JSON.stringify(text)}`);
  return text;
}

/** Checks a whole number on its way in. */
export function checkInteger(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new UsageError(field, `${field} is not a whole number from 0: ${value}`);
  }
  return value;
}

/** JSON text of an object; `field` names it in errors. */
export function jsonText(value: JsonObject, field: string): string {
  if (!isJsonObject(value)) throw new UsageError(field, `${field} is not a JSON object`);
  return JSON.stringify(value);
}
