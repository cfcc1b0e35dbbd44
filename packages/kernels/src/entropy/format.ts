/**
 * The format of entropy-coded blocks. A block holds 1 to 131,072 elements of W bytes and describes itself; its length and the length of
 * what it decodes to are known to who stores it. Numbers are little-endian.
 *
 *   0  u8   method
 *   1  ...  method STORED: the bytes as they are, of any number. Others go on:
 *   1  u8   W: 1, 2, 4 or 8
 *   2  u32  n, the number of elements
 *   6  ...  body
 *
 * PLANES     W streams: byte 0 of all elements, byte 1, ...
 *
 * EXCHANGED  the same for words (W = 2, 4, 8) in which the top bits of the two upper bytes have changed places, so that the
 *            uppermost byte of floats holds exponent bits and the sign lies below:  s eeeeeee e mmmmmmm -> e eeeeeee s mmmmmmm.
 *            With W = 4 the two lower planes are a halves section, which comes first; then the streams of planes 2 and 3.
 *
 * JOINT      bfloat16 (W = 2) or float32 (W = 4)
 *              u8      base
 *              stream  n symbols: exponent - base in the upper 6 bits (0 for exponent 0), the two top bits of the mantissa below
 *              rests   48 bytes for every 64 elements begun: sign << 5 | the next 5 bits of the mantissa, of 6 bits each.
 *                      Byte i of 16 bytes k = 0, 1, 2 has the rest of element 16 k + i in its lower 6 bits, and in its upper
 *                      2 bits the bits 2 k .. 2 k + 1 of the rest of element 48 + i
 *              W = 4:  halves section
 *
 * HALF       float16 (W = 2), for ladders, whose symbols should be few
 *              stream  n exponents, of 5 bits
 *              bytes   n lower bytes
 *              rests   48 bytes for every 128 elements begun: sign << 2 | the two top bits of the mantissa, of 3 bits each. Those of elements
 *                      32 k + i and 32 k + 16 + i (i < 16) are the lower and upper half of 6 bits, of which 64 lie in 48 bytes as above
 *
 * Halves section: the lower halves of float32 words
 *   u8  0: n words of 2 bytes;  1: two streams, of byte 0 and of byte 1
 *
 * Stream: one byte symbol for each of n elements
 *   u8  mode
 *   u24 length of what follows
 *   STORED    n bytes
 *   CONSTANT  1 byte, which all symbols are
 *   RANS      see rans-stream.ts
 *   LADDER    see ladder-stream.ts
 *
 * Every limit follows from the number of elements: a damaged block cannot make a decoder use more memory than a whole one.
 */

/** What the first byte of a block says. */
export const METHOD = { stored: 0, planes: 1, exchanged: 2, joint: 3, half: 4 } as const;

/** How a stream is coded. */
export const MODE = { stored: 0, constant: 1, rans: 2, ladder: 3 } as const;

/** The most elements of a block. More would not fit the kernels' memory; fewer bits of tables per element would not pay any more. */
export const BLOCK_ELEMENTS_LIMIT = 131072;

/** Bytes before the body of a block that is not stored. */
export const HEADER_BYTES = 6;

/** Bytes before the body of a stream. */
export const STREAM_HEADER_BYTES = 4;

/** Bytes of the section of rests of `count` elements in method JOINT; in method HALF, of twice as many. */
export function restBytes(count: number): number {
  return 48 * Math.ceil(count / 64);
}

/** Room that an encoder needs for a block of `bytes` bytes; the block itself is at most one byte longer than its content. */
export function encodedLimit(bytes: number): number {
  return bytes + 256;
}
