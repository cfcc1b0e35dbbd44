/**
 * JSON metadata in files whose own metadata is strings by name (safetensors' `__metadata__`):
 *
 *     tensorcask.records    {"<tensor>": {<metadata of its record>}, ...}: tensors without metadata are left out
 *     tensorcask.dataset    {<metadata of the dataset>}
 *     any other             a string as it is, anything else as its JSON
 *
 * A file that has `tensorcask.records` gives its tensors their metadata back when it is read. Everyone can write such files, so what is no JSON of
 * that form there is text like any other.
 */
import { isJsonObject, LimitError, TensorcaskError } from "@tensorcask/codec";
import type { Json, JsonObject } from "../model/entry.ts";
import { checkMetadata } from "../store/metadata.ts";

/** Metadata of tensors, by their names. */
export const RECORDS_KEY = "tensorcask.records";
/** Metadata of the dataset that was exported. */
export const DATASET_KEY = "tensorcask.dataset";

/**
 * Longest text of `tensorcask.records`, in characters: what is parsed may take ten times of it in memory. 100,000 tensors with 160 characters
 * each.
 */
const MAX_RECORDS_CHARACTERS = 16 * 1024 * 1024;

/** Deepest nesting that is parsed: twice what metadata may have. Each level costs the parser more than its two characters. */
const MAX_DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** A value as the text that stands for it. */
export function metadataText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The entry of `tensorcask.records`; none when no tensor has metadata. Throws `LimitError` when it is too long to be read back. */
export function recordsMetadata(
  tensors: Iterable<{ readonly name: string; readonly metadata?: JsonObject | undefined }>,
): Readonly<Record<string, string>> {
  const entries: string[] = [];
  let characters = 0;
  for (const { name, metadata } of tensors) {
    if (metadata === undefined || Object.keys(metadata).length === 0) continue;
    const entry = `${JSON.stringify(name)}:${JSON.stringify(metadata)}`;
    characters += entry.length + 1;
    if (characters > MAX_RECORDS_CHARACTERS) {
      throw new LimitError("characters of the metadata of all tensors", characters, MAX_RECORDS_CHARACTERS);
    }
    entries.push(entry);
  }
  return entries.length === 0 ? {} : { [RECORDS_KEY]: `{${entries.join(",")}}` };
}

/** The metadata of tensors in a file's own metadata; undefined when there is none, or none that could have been written here. */
export function recordsOf(
  metadata: Readonly<Record<string, string>> | undefined,
): ReadonlyMap<string, JsonObject> | undefined {
  const text =
    metadata !== undefined && Object.hasOwn(metadata, RECORDS_KEY) ? metadata[RECORDS_KEY] : undefined;
  if (text === undefined || text.length > MAX_RECORDS_CHARACTERS || !isShallow(text)) return undefined;
  try {
    const json: unknown = JSON.parse(text);
    if (!isJsonObject(json)) return undefined;
    return new Map(Object.entries(json).map(([name, record]) => [name, checkMetadata(record)]));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TensorcaskError) return undefined;
    throw error;
  }
}

/** Whether no bracket outside of strings is nested deeper than `MAX_DEPTH`. */
function isShallow(text: string): boolean {
  let depth = 0;
  let isInString = false;
  for (let index = 0; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character === QUOTE) isInString = !isInString;
    else if (isInString) index += character === BACKSLASH ? 1 : 0;
    else if (character === OPEN_LIST || character === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) return false;
    } else if (character === CLOSE_LIST || character === CLOSE_OBJECT) depth--;
  }
  return true;
}
