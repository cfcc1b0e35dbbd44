/**
 * Brotli (RFC 7932), qualities 0-11: the smallest that general codecs make of text, at the highest qualities
 * slowly. Only Node has it; nothing that is coded with it can be read in a browser, so that of the
 * automatic policies only the one for archives takes it.
 */
import { brotli as platformBrotli, unbrotli } from "#platform";
import type { JsonObject } from "../bytes/json.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import type { Codec, DecodeContext, EncodeContext } from "./codec.ts";
import { exactly } from "./exactly.ts";
import { integerParameter } from "./parameters.ts";

export const brotli: Codec = {
  id: "brotli",
  code: 4,
  kind: "bytes-to-bytes",

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, ["quality"], "brotli");
    const range = { minimum: 0, maximum: 11, fallback: 5 };
    return { quality: integerParameter(parameters, "quality", "brotli", range) };
  },

  encode(input: Uint8Array, _context: EncodeContext, parameters: JsonObject): Uint8Array {
    return platformBrotli(input, parameters.quality as number);
  },

  decode(input: Uint8Array, context: DecodeContext): Uint8Array {
    return exactly(unbrotli(input, context.bytes), context.bytes, "brotli");
  },
};
