/**
 * The escape ladder: the commonest exponents in 2 bits, the others escape to further rungs. Huffman's size at nearly the speed of memory;
 * the layout is drawn in @tensorcask/kernels.
 */
import type { Codec } from "./codec.ts";
import { wordBlockCodec } from "./word-blocks.ts";

export const ladder: Codec = wordBlockCodec("ladder", 7, "ladder");
