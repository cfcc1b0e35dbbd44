/**
 * Entropy coding of floats near their bound: 32 interleaved rANS states over joint symbols of exponent and top mantissa bits, tables of its own per
 * block; other words by byte planes. Sources: J. Duda, "Asymmetric numeral systems" (2013); F. Giesen, "Interleaved entropy coders" (2014).
 */
import type { Codec } from "./codec.ts";
import { wordBlockCodec } from "./word-blocks.ts";

export const entropy: Codec = wordBlockCodec("entropy", 6, "rans");
