/** Checks of what callers hand in beside tensors: metadata and names. Everything here ends up in the journal, so it is bounded. */
import { isJsonObject, LimitError, UsageError } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";

/** Metadata describes a tensor; more than this is a tensor or a file of its own. */
const MAX_METADATA_BYTES = 1024 * 1024;

/** Deeper nesting cannot be queried and may exhaust the stack of those who read it. */
const MAX_METADATA_DEPTH = 64;

/** Longest tensor name in UTF-8 bytes: real ones have a few dozen, and names are indexed. */
const MAX_TENSOR_NAME_BYTES = 4096;

/** A private copy of metadata. Throws `UsageError` that names the path of what is not JSON. */
export function checkMetadata(metadata: unknown, field = "metadata"): JsonObject {
  if (!isJsonObject(metadata)) throw new UsageError(field, `${field} must be a JSON object`);
  checkJson(metadata, field, 1);
  const text = JSON.stringify(metadata);
  if (text.length > MAX_METADATA_BYTES)
    throw new LimitError(`${field} bytes`, text.length, MAX_METADATA_BYTES);
  return JSON.parse(text) as JsonObject;
}

function checkJson(value: unknown, path: string, depth: number): void {
  if (depth > MAX_METADATA_DEPTH)
    throw new UsageError(path, `${path} is nested deeper than ${MAX_METADATA_DEPTH} levels`);
  switch (typeof value) {
    case "boolean":
      return;
    case "string":
      if (!value.isWellFormed())
        throw new UsageError(path, `${path} has half of a surrogate pair, which UTF-8 cannot hold`);
      return;
    case "number":
      if (!Number.isFinite(value))
        throw new UsageError(path, `${path} is ${value}, which JSON does not have`);
      return;
    case "object":
      if (value === null) return;
      if (Array.isArray(value)) {
        for (const [index, element] of value.entries()) checkJson(element, `${path}[${index}]`, depth + 1);
        return;
      }
      if (Object.getPrototypeOf(value) === Object.prototype || Object.getPrototypeOf(value) === null) {
        for (const [key, element] of Object.entries(value)) {
          if (!key.isWellFormed())
            throw new UsageError(path, `a key of ${path} has half of a surrogate pair`);
          checkJson(element, `${path}.${key}`, depth + 1);
        }
        return;
      }
  }
  throw new UsageError(path, `${path} is not JSON`);
}

/** Tensor names may hold anything that UTF-8 can, the empty name included. */
export function checkTensorName(name: string | undefined): void {
  if (name === undefined) return;
  if (typeof name !== "string") throw new UsageError("name", "a tensor name is a string");
  if (!name.isWellFormed())
    throw new UsageError("name", `${JSON.stringify(name)} has half of a surrogate pair`);
  if (Buffer.byteLength(name) > MAX_TENSOR_NAME_BYTES) {
    throw new LimitError("tensor name bytes", Buffer.byteLength(name), MAX_TENSOR_NAME_BYTES);
  }
}

const MAX_TAG_LENGTH = 255;

/** Tags are words that can stand for a version number: not numbers themselves. */
export function checkTag(tag: string): void {
  const wrong =
    tag === "" ||
    tag.length > MAX_TAG_LENGTH ||
    /^\d+$/.test(tag) ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
    /[\u0000-\u0020\u007f]/.test(tag) ||
    !tag.isWellFormed();
  if (wrong) {
    throw new UsageError(
      "tag",
      `${JSON.stringify(tag)} cannot be a tag: 1 to ${MAX_TAG_LENGTH} characters, no spaces, not a number`,
    );
  }
}
