/**
 * LZ4 in its frame format, readable by any LZ4 tool. Level 1, the fast compressor, is the only one that the
 * libraries on both platforms have.
 */
import { lz4Compress, lz4Decompress } from "#platform";
import type { JsonObject } from "../bytes/json.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";

export const lz4: Codec = {
  id: "lz4",
  code: 2,
  kind: "bytes-to-bytes",

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["level"], "lz4");
    return { level: integerParameter(parameters, "level", "lz4", { minimum: 1, maximum: 1, fallback: 1 }) };
  },

  encode(input: Uint8Array, _context: EncodeContext, parameters: JsonObject): Uint8Array {
    return lz4Compress(input, parameters.level as number);
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    return exactly(lz4Decompress(input, context.bytes), context.bytes, "lz4");
  },
};
