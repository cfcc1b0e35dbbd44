/** Dataset schemas: rules for dtype, shape and metadata that every record of a dataset must keep. */
import { dtypeOf, dtypeOfCode, isJsonObject, SchemaError, UsageError } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";
import type { DatasetSchema } from "./types.ts";

/** A shape pattern has at most this many axes: numpy's limit. */
const MAX_RANK = 64;

const METADATA_TYPES = ["string", "number", "integer", "boolean", "array", "object"] as const;

const SCHEMA_FIELDS: ReadonlySet<string> = new Set(["dtype", "shape", "metadata"]);

/** Checks a schema that a user hands in and brings it to the form that is kept. Errors name the field. */
export function parseSchema(schema: DatasetSchema): JsonObject {
  if (!isJsonObject(schema as unknown))
    throw new UsageError("schema", "schema must be an object: { dtype?, shape?, metadata? }");
  for (const field of Object.keys(schema)) {
    if (!SCHEMA_FIELDS.has(field)) {
      throw new UsageError(
        `schema.${field}`,
        `a schema has no field ${JSON.stringify(field)}; it has dtype, shape, metadata`,
      );
    }
  }
  const parsed: Record<string, JsonObject[string]> = {};
  if (schema.dtype !== undefined) {
    const names = Array.isArray(schema.dtype) ? schema.dtype : [schema.dtype];
    parsed["dtype"] = names.map((name) => dtypeOf(String(name), "schema.dtype").name);
  }
  if (schema.shape !== undefined) {
    if (!Array.isArray(schema.shape) || schema.shape.length > MAX_RANK) {
      throw new UsageError(
        "schema.shape",
        `schema.shape is a list of at most ${MAX_RANK} lengths; null stands for any`,
      );
    }
    for (const [axis, length] of schema.shape.entries()) {
      if (length !== null && !(Number.isSafeInteger(length) && length >= 0)) {
        throw new UsageError(
          `schema.shape[${axis}]`,
          `schema.shape[${axis}] is ${String(length)}: a length or null is needed`,
        );
      }
    }
    parsed["shape"] = [...schema.shape];
  }
  if (schema.metadata !== undefined) {
    if (!isJsonObject(schema.metadata as unknown))
      throw new UsageError("schema.metadata", "schema.metadata must be an object: field to type");
    for (const [field, type] of Object.entries(schema.metadata)) {
      if (!METADATA_TYPES.includes(type)) {
        throw new UsageError(
          `schema.metadata.${field}`,
          `schema.metadata.${field} is ${JSON.stringify(type)}; it can be ${METADATA_TYPES.join(", ")}`,
        );
      }
    }
    parsed["metadata"] = { ...schema.metadata };
  }
  return parsed;
}

/** Checks a record against the schema of its dataset. Throws `SchemaError` that names the field. */
export function checkRecord(
  schema: JsonObject | null,
  tensor: { readonly dtype: number; readonly shape: readonly number[] },
  metadata: JsonObject | undefined,
  what: string,
): void {
  if (schema === null) return;
  const rules = schema as DatasetSchema;
  const dtype = dtypeOfCode(tensor.dtype)?.name ?? `code ${tensor.dtype}`;
  if (rules.dtype !== undefined && !rules.dtype.includes(dtype)) {
    throw new SchemaError(
      "dtype",
      `${what} has ${dtype}, the dataset takes ${[rules.dtype].flat().join(" or ")}`,
    );
  }
  const { shape } = rules;
  if (shape !== undefined) {
    const fits =
      shape.length === tensor.shape.length &&
      shape.every((length, axis) => length === null || length === tensor.shape[axis]);
    if (!fits) {
      const wanted = shape.map((length) => length ?? "any").join(", ");
      throw new SchemaError(
        "shape",
        `${what} has shape [${tensor.shape.join(", ")}], the dataset takes [${wanted}]`,
      );
    }
  }
  for (const [field, type] of Object.entries(rules.metadata ?? {})) {
    const value = metadata?.[field];
    if (value === undefined)
      throw new SchemaError(`metadata.${field}`, `${what} lacks it; the dataset requires a ${type}`);
    if (!isOfType(value, type)) {
      throw new SchemaError(
        `metadata.${field}`,
        `${what} has ${JSON.stringify(value)}; the dataset requires a ${type}`,
      );
    }
  }
}

function isOfType(value: JsonObject[string], type: string): boolean {
  switch (type) {
    case "integer":
      return Number.isInteger(value);
    case "array":
      return Array.isArray(value);
    case "object":
      return typeof value === "object" && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}
