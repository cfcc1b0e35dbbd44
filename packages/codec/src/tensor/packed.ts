/**
 * Elements of 4 and 6 bits: packed one after the other, least significant bits first, across byte borders.
 *
 *     4 bits   byte 0: element 1 | element 0
 *     6 bits   byte 0: low 2 of element 1 | element 0;  byte 1: low 4 of element 2 | high 4 of element 1;  byte 2: element 3 | high 2 of element 2
 */

/** One byte per element, for elements [first, first + count) of packed `bytes`. `bits` is 8 or less. */
export function unpackElements(bytes: Uint8Array, bits: number, first: number, count: number): Uint8Array {
  const out = new Uint8Array(count);
  const mask = (1 << bits) - 1;
  // Split so that bit positions of huge tensors stay exact.
  let at = Math.floor(first / 8) * bits + (((first % 8) * bits) >> 3);
  let shift = ((first % 8) * bits) & 7;
  for (let index = 0; index < count; index++) {
    // An element of up to 8 bits touches two bytes at most; past the end there is nothing to take.
    const pair = bytes[at]! | ((bytes[at + 1] ?? 0) << 8);
    out[index] = (pair >> shift) & mask;
    shift += bits;
    at += shift >> 3;
    shift &= 7;
  }
  return out;
}

/** Packs one byte per element into `bits` bits each; unused bits of the last byte are zero. */
export function packElements(elements: Uint8Array, bits: number): Uint8Array {
  const out = new Uint8Array(Math.ceil((elements.length * bits) / 8));
  const mask = (1 << bits) - 1;
  let at = 0;
  let shift = 0;
  for (let index = 0; index < elements.length; index++) {
    const value = (elements[index]! & mask) << shift;
    out[at]! |= value;
    if (shift + bits > 8) out[at + 1]! |= value >> 8;
    shift += bits;
    at += shift >> 3;
    shift &= 7;
  }
  return out;
}
