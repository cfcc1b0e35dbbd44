/** Byte planes, element by element. Words are handled as bits of a BigInt: the rotation is written as its definition. */

/** See `splitPlanes` of the kernels. */
export function splitPlanes(input: Uint8Array, elementBytes: 2 | 4 | 8, rotate: boolean): Uint8Array {
  const count = input.length / elementBytes;
  const out = new Uint8Array(input.length);
  const bits = elementBytes * 8;
  for (let i = 0; i < count; i++) {
    let word = 0n;
    for (let k = elementBytes - 1; k >= 0; k--) word = (word << 8n) | BigInt(input[i * elementBytes + k]!);
    if (rotate) word = BigInt.asUintN(bits, word << 1n) | (word >> BigInt(bits - 1));
    for (let k = 0; k < elementBytes; k++) out[k * count + i] = Number((word >> BigInt(8 * k)) & 0xffn);
  }
  return out;
}

/** See `joinPlanes` of the kernels. */
export function joinPlanes(input: Uint8Array, elementBytes: 2 | 4 | 8, rotate: boolean): Uint8Array {
  const count = input.length / elementBytes;
  const out = new Uint8Array(input.length);
  const bits = elementBytes * 8;
  for (let i = 0; i < count; i++) {
    let word = 0n;
    for (let k = elementBytes - 1; k >= 0; k--) word = (word << 8n) | BigInt(input[k * count + i]!);
    if (rotate) word = (word >> 1n) | BigInt.asUintN(bits, word << BigInt(bits - 1));
    for (let k = 0; k < elementBytes; k++)
      out[i * elementBytes + k] = Number((word >> BigInt(8 * k)) & 0xffn);
  }
  return out;
}
