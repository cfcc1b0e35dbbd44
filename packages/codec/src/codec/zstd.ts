/** Zstandard (RFC 8878), levels 1-22. Browsers decode it; only Node encodes it. */
import { zstd as platformZstd, unzstd } from "#platform";
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";

export const zstd: Codec = {
  id: "zstd",
  code: 3,
  kind: "bytes-to-bytes",

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["level"], "zstd");
    return { level: integerParameter(parameters, "level", "zstd", { minimum: 1, maximum: 22, fallback: 3 }) };
  },

  encode(input: Uint8Array, _context: EncodeContext, parameters: JsonObject): Uint8Array {
    return platformZstd(input, { level: parameters.level as number });
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    return exactly(unzstd(input, context.bytes), context.bytes, "zstd");
  },
};

let encodes: boolean | undefined;

/** Whether this platform can encode zstd, found out by trying once. */
export function canEncodeZstd(): boolean {
  if (encodes === undefined) {
    try {
      platformZstd(new Uint8Array(0));
      encodes = true;
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      encodes = false;
    }
  }
  return encodes;
}
