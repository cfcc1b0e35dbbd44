/**
 * Names the tensors of a pickled object by the way to them, and puts everything else into JSON.
 *
 *   {"model": {"layers": [{"w": <tensor>}]}, "epoch": 3}
 *     ->  model.layers.0.w    and    {"epoch": 3}
 *
 * Pickled objects may hold themselves, or the same object many times over (so that a short pickle unfolds to more
 * than any memory holds). What is found on the way to itself is left out; depth, visits and JSON are limited.
 */
import { InvalidFileError, type Json, LimitError } from "@tensorcask/codec";
import { MAX_PICKLE_BYTES } from "./input.ts";
import { MAX_VALUES } from "./machine.ts";
import { NumpyArray } from "./numpy.ts";
import type { NamedTensor } from "./placement.ts";
import {
  numberJson,
  PickleBytes,
  PickleDict,
  PickleFact,
  PickleFunction,
  PickleInstance,
  PickleObject,
  PickleSequence,
  PickleTensor,
  type PickleValue,
  textOf,
} from "./values.ts";

/** How deep objects may nest. The store takes metadata of 64 levels, and descriptions of values have up to 4. */
const MAX_DEPTH = 60;
/** Longest name of a tensor in UTF-8 bytes; the store's limit. */
const MAX_NAME_BYTES = 4096;
/** Most characters of all names of one file: what a safetensors header, which holds all names, may have. */
const MAX_NAMES_CHARACTERS = 100_000_000;
/** Most tensors of one file: more than pickles within their limits hold, unless they repeat themselves. */
const MAX_TENSORS = 500_000;
/** Characters of JSON kept of one object. The rest is in the file's bytes only. */
const MAX_JSON_CHARACTERS = 256 * 1024;
/** Characters of JSON kept of one file, whose records may have some each: as many as pickles have. */
const MAX_ALL_JSON_CHARACTERS = MAX_PICKLE_BYTES;
/** Items of a tuple that are told where it is a key. */
const MAX_KEY_ITEMS = 16;
/** Colon and comma. */
const JSON_SYNTAX_CHARACTERS = 2;
/** The key that says that something was left out of the JSON. */
const CUT_KEY = "(cut)";

/** An object on the way to what is looked at. */
interface Frame {
  readonly value: PickleInstance;
  /** The name of its tensors up to here; undefined at the root. */
  readonly name: string | undefined;
  readonly keys: readonly PickleValue[] | undefined;
  readonly values: readonly PickleValue[];
  /** Whether it stands for its only value, whose name is its own. */
  readonly isWrapper: boolean;
  /** The key in the frame around it. */
  readonly key: string;
  readonly json: [string, Json][];
  next: number;
  hasTensors: boolean;
}

/** Collects the tensors of pickled objects under unique names. */
export class PickleTree {
  readonly tensors: NamedTensor[] = [];
  readonly #file: string;
  /** How often a name was wanted, and the names that were made from it. */
  readonly #names = new Map<string, number>();
  #visits = 0;
  #characters = 0;
  #allCharacters = 0;
  #nameCharacters = 0;
  #isCut = false;

  constructor(file: string) {
    this.#file = file;
  }

  /**
   * Adds the tensors of `root` and gives back what else it holds; undefined when that is nothing. Names begin with
   * `name`. Throws `InvalidFileError` (rules `nesting`, `name-limit`, those of the tensors) and `LimitError`.
   */
  add(root: PickleValue, name?: string): Json | undefined {
    this.#characters = 0;
    this.#isCut = false;
    const outer: Frame = frameOf(new PickleSequence("a tuple", [root]), name, "", true)!;
    const frames: Frame[] = [outer];
    for (let frame = frames.at(-1); frame !== undefined; frame = frames.at(-1)) {
      if (frame.next === frame.values.length) {
        frames.pop();
        const around = frames.at(-1);
        if (around === undefined) break;
        this.#close(frame, around);
      } else {
        this.#visit(frame, frames);
      }
    }
    const json = outer.json[0]?.[1];
    if (!this.#isCut) return json;
    return Object.fromEntries([...entriesOf(json), [CUT_KEY, true]]);
  }

  /** Adds one tensor. */
  addTensor(tensor: PickleTensor, name: string, metadata?: NamedTensor["metadata"]): void {
    if (name.length > MAX_NAME_BYTES || Buffer.byteLength(name) > MAX_NAME_BYTES) {
      throw new InvalidFileError(
        this.#file,
        "name-limit",
        `the name of a tensor has more than ${MAX_NAME_BYTES} bytes`,
        { tensor: `${name.slice(0, 100)}...` },
      );
    }
    if (this.tensors.length === MAX_TENSORS) {
      throw new LimitError("tensors of a pickle", this.tensors.length + 1, MAX_TENSORS, this.#file);
    }
    const unique = this.#unique(name);
    this.#nameCharacters += unique.length;
    if (this.#nameCharacters > MAX_NAMES_CHARACTERS) {
      throw new LimitError("characters of names", this.#nameCharacters, MAX_NAMES_CHARACTERS, this.#file);
    }
    const found = tensor.resolve(
      (rule, message) => new InvalidFileError(this.#file, rule, message, { tensor: unique }),
    );
    this.tensors.push({ name: unique, tensor: found, ...(metadata === undefined ? {} : { metadata }) });
  }

  #unique(name: string): string {
    let count = this.#names.get(name) ?? 0;
    let unique = name;
    while (this.#names.has(unique)) unique = `${name}#${++count + 1}`;
    this.#names.set(name, count);
    if (unique !== name) this.#names.set(unique, 0);
    return unique;
  }

  #visit(frame: Frame, frames: Frame[]): void {
    if (++this.#visits > MAX_VALUES) {
      throw new LimitError("values that a pickle unfolds to", this.#visits, MAX_VALUES, this.#file);
    }
    const index = frame.next++;
    const value = frame.values[index]!;
    const key = frame.keys === undefined ? String(index) : keyText(frame.keys[index]!);
    const name = frame.isWrapper ? frame.name : frame.name === undefined ? key : `${frame.name}.${key}`;
    if (value instanceof PickleTensor) {
      frame.hasTensors = true;
      this.addTensor(value, name ?? "tensor");
      leaveOut(frame, key);
      return;
    }
    const inner = frameOf(value, name, key, value instanceof NumpyArray);
    if (inner === undefined) {
      const json = leafJson(value);
      // A long text is not looked at where it would not fit.
      const characters =
        typeof json === "string" && json.length > MAX_JSON_CHARACTERS - this.#characters
          ? json.length
          : JSON.stringify(json).length;
      this.#addJson(frame, key, json, characters);
    } else if (frames.some((on) => on.value === value)) {
      leaveOut(frame, key);
    } else {
      if (frames.length > MAX_DEPTH) {
        throw new InvalidFileError(
          this.#file,
          "nesting",
          `objects are nested deeper than ${MAX_DEPTH} levels at ${JSON.stringify(name?.slice(0, 200))}`,
        );
      }
      frames.push(inner);
    }
  }

  /** Adds JSON that takes `characters` more than what it holds, if the limit leaves room. */
  #addJson(frame: Frame, key: string, json: Json, characters: number): void {
    const more = characters + JSON.stringify(key).length + JSON_SYNTAX_CHARACTERS;
    if (
      this.#characters + more > MAX_JSON_CHARACTERS ||
      this.#allCharacters + more > MAX_ALL_JSON_CHARACTERS
    ) {
      this.#isCut = true;
      return;
    }
    this.#characters += more;
    this.#allCharacters += more;
    frame.json.push([key, json]);
  }

  /** Hands the JSON of a finished frame to the one around it. */
  #close(frame: Frame, around: Frame): void {
    if (frame.hasTensors) around.hasTensors = true;
    if (frame.isWrapper) {
      const only = frame.json[0];
      if (only === undefined) leaveOut(around, frame.key);
      else around.json.push([frame.key, only[1]]);
      return;
    }
    const isList = frame.keys === undefined;
    // Where all that it holds is tensors, they say enough.
    if (
      frame.hasTensors &&
      (isList ? frame.json.every(([, json]) => json === null) : frame.json.length === 0)
    ) {
      leaveOut(around, frame.key);
      return;
    }
    const json = isList ? frame.json.map((entry) => entry[1]) : Object.fromEntries(frame.json);
    this.#addJson(around, frame.key, json, 2);
  }
}

/** Takes the place of what is not in the JSON, where places count. */
function leaveOut(frame: Frame, key: string): void {
  if (frame.keys === undefined && !frame.isWrapper) frame.json.push([key, null]);
}

/** What a value holds; undefined when it holds nothing that could be a tensor. */
function frameOf(
  value: PickleValue,
  name: string | undefined,
  key: string,
  isWrapper: boolean,
): Frame | undefined {
  const start = { name, key, isWrapper, next: 0, hasTensors: false };
  if (value instanceof PickleSequence) {
    return { ...start, value, keys: undefined, values: value.items, json: [] };
  }
  if (value instanceof NumpyArray) {
    return { ...start, value, keys: undefined, values: [value.content], json: [] };
  }
  if (value instanceof PickleDict) return { ...start, value, ...membersOf(value), json: [] };
  if (value instanceof PickleObject) {
    const { state } = value;
    const members =
      state instanceof PickleDict
        ? membersOf(state)
        : { keys: state === null ? [] : ["state"], values: state === null ? [] : [state] };
    return { ...start, value, ...members, json: [] };
  }
  return undefined;
}

/** The items of a dict and its attributes behind them. */
function membersOf(dict: PickleDict): Pick<Frame, "keys" | "values"> {
  const { keys, values, attributes } = dict;
  if (!(attributes instanceof PickleDict)) return { keys, values };
  return { keys: [...keys, ...attributes.keys], values: [...values, ...attributes.values] };
}

/** A key of a dict as a part of a name, as Python prints it. */
function keyText(key: PickleValue): string {
  if (typeof key === "string") return key;
  if (key === null) return "None";
  if (typeof key === "boolean") return key ? "True" : "False";
  if (typeof key === "number" || typeof key === "bigint") return String(key);
  if (key instanceof PickleSequence) {
    let text = "";
    for (const item of key.items.slice(0, MAX_KEY_ITEMS)) {
      text += `${text === "" ? "" : ", "}${item instanceof PickleSequence ? "(...)" : keyText(item)}`;
    }
    return `(${text})`;
  }
  if (key instanceof PickleBytes && key.text !== undefined) return key.text;
  if (key instanceof PickleFact) return String(key.json);
  return key instanceof PickleFunction ? key.name : `<${key.kind}>`;
}

/** A value without values in it as JSON. What JSON cannot hold is a text. */
function leafJson(value: PickleValue): Json {
  if (typeof value === "number" || typeof value === "bigint") return numberJson(value);
  if (!(value instanceof PickleInstance)) return value;
  if (value instanceof PickleFact) return value.json;
  if (value instanceof PickleFunction) return value.name;
  if (value instanceof PickleBytes) return textOf(value) ?? { bytes: value.extent.bytes };
  return `<${value.kind}>`;
}

function entriesOf(json: Json | undefined): [string, Json][] {
  if (json === undefined) return [];
  return typeof json === "object" && json !== null && !Array.isArray(json)
    ? Object.entries(json)
    : [["value", json]];
}
