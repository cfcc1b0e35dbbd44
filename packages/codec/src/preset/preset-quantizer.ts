/** A quantizer as presets and policies name it: its id, or `{ id, ...parameters }`, or the parsed form `{ id, parameters }`. */
import { isJsonObject, type Json, type JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { quantizerOf } from "../quantize/registry.ts";

/** A quantizer with its normalised parameters. */
export interface PresetQuantizer {
  readonly id: string;
  readonly parameters: JsonObject;
}

/** Reads one; undefined for nothing, null and "none". Throws `UsageError` naming `field`. */
export function parseQuantizer(json: Json | undefined, field = "quantizer"): PresetQuantizer | undefined {
  if (json === undefined || json === null || json === "none") return undefined;
  if (typeof json !== "string" && !isJsonObject(json)) {
    throw new UsageError(
      field,
      `${field} is ${JSON.stringify(json)}; write its id, or { "id": ..., parameters }`,
    );
  }
  const { id, ...written } = typeof json === "string" ? { id: json } : json;
  if (typeof id !== "string") throw new UsageError(field, `${field}: the id is missing`);
  // { id, parameters } is the parsed form, { id, ...parameters } the written one.
  const parameters = "parameters" in written ? parsedParameters(written, field) : written;
  try {
    return { id, parameters: quantizerOf(id).parse(parameters) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError(field, `${field} ${JSON.stringify(id)}: ${error.message}`, { cause: error });
  }
}

/** The form that `parseQuantizer` takes back. */
export function quantizerToJson({ id, parameters }: PresetQuantizer): Json {
  return { id, ...parameters };
}

function parsedParameters(written: JsonObject, field: string): JsonObject {
  refuseUnknownParameters(written, ["parameters"], field);
  if (!isJsonObject(written.parameters))
    throw new UsageError(field, `${field}: parameters must be an object`);
  return written.parameters;
}
