/**
 * What a pickle is read into: plain data. Nothing of it is ever called; a class of the pickle is a name with the
 * values that it was given.
 *
 *   None, bool, str         null, boolean, string
 *   int, float              number; bigint beyond 2^53
 *   everything else         a PickleInstance
 */
import type { InvalidFileError, Json } from "@tensorcask/codec";
import type { Extent } from "./extent.ts";
import { MAX_RANK, type StridedTensor } from "./strided.ts";

/** A value of a pickle. */
export type PickleValue = null | boolean | number | bigint | string | PickleInstance;

/** Makes the error for what a pickle asks for at the place where it is read. */
export type Refuse = (rule: string, message: string) => InvalidFileError;

/** A value with an identity: it may be changed after it was made, and may be reached by several ways. */
export abstract class PickleInstance {
  /** What it is called in errors. */
  abstract readonly kind: string;

  /** Takes the state that the opcode BUILD hands over. */
  build(_state: PickleValue, refuse: Refuse): void {
    throw refuse("pickle-build", `${this.kind} takes no state`);
  }
}

/** A list, tuple or set. */
export class PickleSequence extends PickleInstance {
  readonly kind: "a list" | "a tuple" | "a set";
  readonly items: PickleValue[];

  constructor(kind: PickleSequence["kind"], items: PickleValue[] = []) {
    super();
    this.kind = kind;
    this.items = items;
  }
}

/** Shared by all that is empty: pickles may hold millions of empty dicts. Never written to. */
const NOTHING: PickleValue[] = [];

/** Keys up to this are looked through one by one. */
const FEW_KEYS = 8;

/** A dict; a key that is set twice keeps its place and has the last value, as in Python. */
export class PickleDict extends PickleInstance {
  readonly kind = "a dict";
  /** What a subclass of dict carries beside its items: the `_metadata` of a PyTorch state_dict. */
  attributes: PickleValue = null;
  #keys: PickleValue[] = NOTHING;
  #values: PickleValue[] = NOTHING;
  /** Places of the keys by identity, once they are too many to be looked through. */
  #places: Map<unknown, number> | undefined;

  get keys(): readonly PickleValue[] {
    return this.#keys;
  }

  get values(): readonly PickleValue[] {
    return this.#values;
  }

  set(key: PickleValue, value: PickleValue): void {
    const identity = identityOf(key);
    const place = this.#placeOf(identity);
    if (place >= 0) {
      this.#values[place] = value;
      return;
    }
    if (this.#keys === NOTHING) {
      this.#keys = [];
      this.#values = [];
    }
    this.#keys.push(key);
    this.#values.push(value);
    if (this.#places !== undefined) this.#places.set(identity, this.#keys.length - 1);
    else if (this.#keys.length > FEW_KEYS) {
      this.#places = new Map(this.#keys.map((held, index) => [identityOf(held), index]));
    }
  }

  get(key: string): PickleValue | undefined {
    return this.#values[this.#placeOf(key)];
  }

  /** Where a key is; -1 when it is not. */
  #placeOf(identity: unknown): number {
    if (this.#places !== undefined) return this.#places.get(identity) ?? -1;
    return this.#keys.findIndex((held) => identityOf(held) === identity);
  }

  override build(state: PickleValue): void {
    this.attributes = state;
  }
}

/** What makes two keys one: their value where they have one, else being the same. (Equal tuples stay apart.) */
function identityOf(key: PickleValue): unknown {
  if (typeof key === "boolean") return Number(key);
  if (key instanceof PickleBytes && key.text !== undefined) return key.isText ? key.text : `\0${key.text}`;
  return key;
}

/** Byte strings up to this are held, too, because they may be names or numbers. */
export const MAX_SHORT_BYTES = 1024;

/** A byte string: where its bytes lie. */
export class PickleBytes extends PickleInstance {
  readonly kind = "a byte string";
  readonly extent: Extent;
  /** The bytes as characters (latin-1), up to `MAX_SHORT_BYTES`. */
  readonly text: string | undefined;
  /** Whether it is a `str` of Python 2, which holds texts as well as bytes. */
  readonly isText: boolean;

  constructor(extent: Extent, text: string | undefined, isText = false) {
    super();
    this.extent = extent;
    this.text = text;
    this.isText = isText;
  }
}

/** A text too long to be held: where its UTF-8 lies. */
export class PickleText extends PickleInstance {
  readonly kind = "a long text";
  readonly extent: Extent;

  constructor(extent: Extent) {
    super();
    this.extent = extent;
  }
}

/** Bytes that the pickle holds as a long text (`_codecs.encode(text, "latin1")`). */
export class PickleLatin1 extends PickleInstance {
  readonly kind = "bytes as text";
  readonly text: Extent;

  constructor(text: Extent) {
    super();
    this.text = text;
  }
}

/** A function or class that the pickle may name. Calling it makes plain data. */
export class PickleFunction extends PickleInstance {
  readonly kind = "a function";
  readonly name: string;
  /** What a call gives; `refuse` makes the error for arguments that it cannot be called with. */
  readonly call: (args: readonly PickleValue[], refuse: Refuse) => PickleValue;

  constructor(name: string, call: PickleFunction["call"]) {
    super();
    this.name = name;
    this.call = call;
  }
}

/** An entry of a table of names. */
export function named(name: string, call: PickleFunction["call"]): [string, PickleFunction] {
  return [name, new PickleFunction(name, call)];
}

/** An object of a class that is known by name only: its attributes. */
export class PickleObject extends PickleInstance {
  readonly kind: string;
  state: PickleValue = null;

  constructor(className: string) {
    super();
    this.kind = className;
  }

  override build(state: PickleValue): void {
    this.state = state;
  }
}

/** A value that is worth its description only: a device, an element type, a number of numpy. */
export class PickleFact extends PickleInstance {
  readonly kind = "a value";
  readonly json: Json;

  constructor(json: Json) {
    super();
    this.json = json;
  }
}

/** A tensor. What its storage is may be known only when the whole file has been looked at. */
export abstract class PickleTensor extends PickleInstance {
  readonly kind = "a tensor";

  /** The tensor, not checked yet; `refuse` makes the error for one that cannot be told. */
  abstract resolve(refuse: Refuse): StridedTensor;
}

/** The items of a tuple or list; undefined for anything else. */
export function itemsOf(value: PickleValue | undefined): readonly PickleValue[] | undefined {
  return value instanceof PickleSequence ? value.items : undefined;
}

/** The text of a `str` of Python 2 or 3; undefined for anything else. */
export function textOf(value: PickleValue | undefined): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof PickleBytes && value.isText ? value.text : undefined;
}

/** The numbers of a shape or the like: a tuple of at most `MAX_RANK`; undefined for anything else. */
export function numbersOf(value: PickleValue | undefined): readonly number[] | undefined {
  const items = itemsOf(value);
  if (items === undefined || items.length > MAX_RANK) return undefined;
  return items.every((item) => typeof item === "number") ? items : undefined;
}

/** A number where it is exact. */
export function narrowed(integer: bigint): number | bigint {
  const number = Number(integer);
  return Number.isSafeInteger(number) ? number : integer;
}

/** A number as JSON; a text where JSON has no such number, or rounds it. */
export function numberJson(value: number | bigint): Json {
  if (typeof value === "bigint") return String(value);
  if (Number.isFinite(value)) return value;
  return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
}
