/**
 * What coders of single elements cannot beat: the order-0 entropy of an input's elements, tables not counted. Between that and a smaller result
 * lies what neighbours and positions tell.
 */
import { dtypeOf } from "@tensorcask/codec";

/** A bound as bytes of the whole input. */
export interface Bound {
  readonly name: string;
  readonly bytes: number;
}

/** Bits of a float that take part in a joint symbol: more would need more samples than an input has. */
const JOINT_BITS = 16;

/**
 * The bounds of an input of 8-, 16- or 32-bit floats: exponents coded at their entropy with sign and mantissa as they are, and exponent and
 * leading mantissa bits coded as one symbol, in all at most 16 bits. Empty for other dtypes.
 */
export function orderZeroBounds(dtype: string, input: Uint8Array): Bound[] {
  const { bits, exponentBits, mantissaBits } = dtypeOf(dtype);
  if (exponentBits === undefined || mantissaBits === undefined || bits > 32) return [];
  const jointBits = Math.min(JOINT_BITS - 1, bits - 1);
  const symbols = (width: number): number => {
    const counts = new Float64Array(2 ** width);
    const words = wordsOf(input, bits);
    const shift = bits - 1 - width;
    const mask = 2 ** width - 1;
    for (let at = 0; at < words.length; at++) counts[(words[at]! >>> shift) & mask]!++;
    const bitsPerElement = entropy(counts, words.length) + bits - width;
    return Math.ceil((bitsPerElement * words.length) / 8);
  };
  return [
    { name: "bound: exponents, order 0", bytes: symbols(exponentBits) },
    {
      name: `bound: exponent + ${jointBits - exponentBits} mantissa bits, order 0`,
      bytes: symbols(jointBits),
    },
  ];
}

function wordsOf(input: Uint8Array, bits: number): Uint8Array | Uint16Array | Uint32Array {
  if (bits <= 8) return input;
  const bytes = input.slice();
  return bits === 16 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
}

/** Order-0 entropy in bits per symbol. */
function entropy(counts: Float64Array, total: number): number {
  let sum = 0;
  for (const count of counts) if (count > 0) sum += count * Math.log2(count);
  return Math.log2(total) - sum / total;
}
