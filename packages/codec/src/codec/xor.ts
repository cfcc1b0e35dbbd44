/**
 * Each byte XOR the byte of the sibling at its place: zeros wherever both are the same. It saves nothing itself; what follows finds the
 * zeros. For bytes that are numbers of no known kind, and for copies in which little was changed. Behind the sibling's end the bytes
 * stay as they are.
 */
import type { JsonObject } from "../bytes/json.ts";
import { DamageError } from "../errors/errors.ts";
import { refuseUnknownParameters } from "../quantize/parameters.ts";
import { type Codec, type DecodeContext, type EncodeContext, siblingBytesOf } from "./codec.ts";
import { unitsOf } from "./elements.ts";

export const xor: Codec = {
  id: "xor",
  code: 18,
  kind: "array-to-array",
  needsSibling: true,

  parse(parameters: JsonObject): JsonObject {
    refuseUnknownParameters(parameters, [], "xor");
    return {};
  },

  encode: (input: Uint8Array, { sibling }: EncodeContext): Uint8Array =>
    xored(input, siblingBytesOf(sibling?.bytes, "xor")),

  decode(input: Uint8Array, { bytes, sibling, out }: DecodeContext): Uint8Array {
    if (input.length !== bytes) throw new DamageError("xor", `holds ${input.length} bytes of ${bytes}`);
    return xored(input, siblingBytesOf(sibling, "xor"), out);
  },
};

/** `input` XOR `other`, in `out` where that begins at a whole word. */
function xored(input: Uint8Array, other: Uint8Array, out?: Uint8Array): Uint8Array {
  const output = out !== undefined && out.byteOffset % 4 === 0 ? out : new Uint8Array(input.length);
  const shared = Math.min(input.length, other.length);
  const words = shared >> 2;
  const left = unitsOf(input, 4, words);
  const right = unitsOf(other, 4, words);
  const into = unitsOf(output, 4, words);
  for (let index = 0; index < words; index++) into[index] = left[index]! ^ right[index]!;
  for (let index = 4 * words; index < shared; index++) output[index] = input[index]! ^ other[index]!;
  output.set(input.subarray(shared), shared);
  return output;
}
