/** gzip (RFC 1952), levels 1-9. The most portable codec here, and the slowest for what it gives. */
import { gunzip, gzip as platformGzip } from "#platform";
import type { JsonObject } from "../bytes/json.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";

export const gzip: Codec = {
  id: "gzip",
  code: 1,
  kind: "bytes-to-bytes",

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["level"], "gzip");
    return { level: integerParameter(parameters, "level", "gzip", { minimum: 1, maximum: 9, fallback: 6 }) };
  },

  encode(input: Uint8Array, _context: EncodeContext, parameters: JsonObject): Uint8Array {
    return platformGzip(input, parameters.level as number);
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    return exactly(gunzip(input, context.bytes), context.bytes, "gzip");
  },
};
