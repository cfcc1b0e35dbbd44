/**
 * The metadata of a GGUF file: keys with typed values.
 *
 *     key    | u64 length | UTF-8 |
 *     value  | u32 type | scalar: 1 to 8 bytes
 *                       | string: u64 length, bytes
 *                       | array: u32 type of its elements, u64 count, the elements
 *
 * What is kept of it is small: scalars, texts and short lists. Tokenizers are lists of a hundred thousand strings; of those, and of
 * whatever else is too long, the metadata says type and count only. The file's own bytes keep all of it.
 */
import type { Json, JsonObject } from "../../model/entry.ts";
import { quote } from "../strict-json.ts";
import { type GgufCursor, MAX_TEXT_BYTES } from "./cursor.ts";
import { type ValueType, valueTypeOf } from "./types.ts";

/** Most keys of a file: a thousand times what files have. Keys are compared with each other, and kept. */
export const MAX_KEYS = 65_536;
/** Arrays within arrays: writers make none, the specification allows any. */
export const MAX_ARRAY_DEPTH = 8;
/** Longest list of which the elements are kept. */
export const MAX_KEPT_ELEMENTS = 64;
/** Characters of JSON that are kept of all metadata: they are stored with the file, in journal and catalog. */
export const MAX_KEPT_CHARACTERS = 1_000_000;

/** Key under which metadata says how many of its keys are left out, where there are too many. */
const OMITTED_KEY = "tensorcask.omitted";

/** What a file says about itself. */
export interface GgufMetadata {
  /** By key; bounded, see above. */
  readonly metadata: JsonObject;
  /** `general.alignment` with the name of its type, on which the rest of the header depends; undefined when it is not there. */
  readonly alignment: { readonly type: string; readonly value: Json } | undefined;
}

/** Bytes of the smallest value of a type: what a count of them takes at least. */
function smallestBytes({ name, bytes }: ValueType): number {
  return bytes ?? (name === "string" ? 8 : 12);
}

/** Reads `count` keys with their values. Throws `InvalidFileError` naming key and rule. */
export async function readMetadata(cursor: GgufCursor, count: bigint): Promise<GgufMetadata> {
  if (count > MAX_KEYS) {
    throw cursor.invalid("header-limit", `it has ${count} metadata keys, the limit is ${MAX_KEYS}`);
  }
  const keys = new Set<string>();
  const kept: [string, Json][] = [];
  let alignment: GgufMetadata["alignment"];
  let room = MAX_KEPT_CHARACTERS;
  let omitted = 0;
  for (let index = 0; index < Number(count); index++) {
    const key = await cursor.name(`metadata key ${index}`);
    if (key === "") throw cursor.invalid("empty-key", `metadata key ${index} is empty`);
    if (keys.has(key)) throw cursor.invalid("duplicate-key", `the metadata key ${quote(key)} comes twice`);
    keys.add(key);
    const { type, value } = await readValue(cursor, `the value of ${quote(key)}`);
    if (key === "general.alignment") alignment = { type: type.name, value };
    const characters = key.length + JSON.stringify(value).length;
    // The keys of a split set decide which files belong together.
    if (characters <= room || key.startsWith("split.")) {
      kept.push([key, value]);
      room -= characters;
    } else {
      omitted++;
    }
  }
  if (omitted > 0) kept.push([OMITTED_KEY, omitted]);
  // fromEntries defines properties: a key such as `__proto__` is an entry like any other.
  return { metadata: Object.fromEntries(kept), alignment };
}

async function readValue(cursor: GgufCursor, what: string): Promise<{ type: ValueType; value: Json }> {
  const type = await readType(cursor, what);
  if (type.name === "array") return { type, value: await readArray(cursor, what) };
  return { type, value: await readSingle(cursor, type, what) };
}

async function readType(cursor: GgufCursor, what: string): Promise<ValueType> {
  await cursor.need(4, what);
  const number = cursor.u32();
  const type = valueTypeOf(number);
  if (type === undefined) throw cursor.invalid("value-type", `${what} has the unknown type ${number}`);
  return type;
}

/** A scalar or a string. */
async function readSingle(cursor: GgufCursor, type: ValueType, what: string): Promise<Json> {
  if (type.bytes === undefined) return readString(cursor, what);
  await cursor.need(type.bytes, what);
  switch (type.name) {
    case "uint8":
      return cursor.u8();
    case "int8":
      return cursor.i8();
    case "uint16":
      return cursor.u16();
    case "int16":
      return cursor.i16();
    case "uint32":
      return cursor.u32();
    case "int32":
      return cursor.i32();
    case "float32":
      return numberJson(cursor.f32());
    case "bool":
      return cursor.u8() !== 0;
    case "uint64":
      return integerJson(cursor.u64());
    case "int64":
      return integerJson(cursor.i64());
    default:
      return numberJson(cursor.f64());
  }
}

/** A string; what is too long or not UTF-8 is told by its length. */
async function readString(cursor: GgufCursor, what: string): Promise<Json> {
  await cursor.need(8, what);
  const length = cursor.u64();
  cursor.check(length, what);
  if (length > MAX_TEXT_BYTES) {
    cursor.skip(length, what);
    return { type: "string", bytes: Number(length) };
  }
  await cursor.need(Number(length), what);
  return cursor.text(Number(length)) ?? { type: "string", bytes: Number(length) };
}

/** A short list of scalars or strings; of others, type and count. */
async function readArray(cursor: GgufCursor, what: string): Promise<Json> {
  const { type, count } = await readArrayHead(cursor, what);
  if (type.name === "array" || count > MAX_KEPT_ELEMENTS) {
    await skipElements(cursor, type, count, what, 1);
    return { type: type.name, count };
  }
  const elements: Json[] = [];
  for (let index = 0; index < count; index++) elements.push(await readSingle(cursor, type, what));
  return elements;
}

/** Element type and count of an array, which the rest of the file has room for. */
async function readArrayHead(cursor: GgufCursor, what: string): Promise<{ type: ValueType; count: number }> {
  const type = await readType(cursor, what);
  await cursor.need(8, what);
  const count = cursor.u64();
  cursor.check(count * BigInt(smallestBytes(type)), what);
  return { type, count: Number(count) };
}

/** Passes over the elements of an array that is `depth` arrays deep. */
async function skipElements(
  cursor: GgufCursor,
  type: ValueType,
  count: number,
  what: string,
  depth: number,
): Promise<void> {
  if (depth > MAX_ARRAY_DEPTH) {
    throw cursor.invalid("nesting", `${what} has arrays more than ${MAX_ARRAY_DEPTH} deep`);
  }
  if (type.bytes !== undefined) {
    cursor.skip(count * type.bytes, what);
    return;
  }
  for (let index = 0; index < count; index++) {
    if (type.name === "string") {
      // Most lengths are in the window: waiting for each would take most of the time.
      if (cursor.buffered < 8) await cursor.need(8, what);
      cursor.skip(cursor.u64(), what);
    } else {
      const inner = await readArrayHead(cursor, what);
      await skipElements(cursor, inner.type, inner.count, what, depth + 1);
    }
  }
}

/** JSON has no NaN and no infinities: they are written out. */
function numberJson(value: number): Json {
  return Number.isFinite(value) ? value : String(value);
}

/** Integers that a JSON number would round are written out. */
function integerJson(value: bigint): Json {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : String(value);
}
