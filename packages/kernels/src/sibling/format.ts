/**
 * The format of difference blocks: a block of 1 to 131,072 floats, given those of a sibling at the same places. The block knows neither
 * its number of elements nor their layout: who stores it does. Numbers are little-endian.
 *
 *   0  u8   method. EQUAL: all elements are the sibling's, and the block ends here. CODED goes on:
 *   1  u8   precision p of the buckets of differences: 2 or 3
 *   2  u24  bytes of the words
 *   5  ...  levels and tables, see assembly/sibling-levels.ts and sibling-tables.ts; zeros up to a whole byte
 *      128  32 x u32, the states that decoding starts with
 *      ...  words
 *      ...  raw bits, without their first 64 bytes
 *
 * Elements come in groups of 256; the last one may have fewer. Those of groups whose level is EQUAL are the sibling's. All others are coded,
 * and the last group is filled up to a multiple of 32 with elements 0 whose siblings are 0. A coded element has
 *
 *   class    level of its group - exponent field of its sibling, but at least 0 and at most 15. Its symbol is coded with the class's table
 *   symbol   bucket of the difference | sign of the difference << 7, see assembly/sibling-symbols.ts; coded with rANS, the n-th coded symbol
 *            in state n mod 32, see assembly/rans-states.ts
 *   raw bits what the bucket leaves open, elements in order, least significant bits first; zeros up to a whole byte
 *
 * Coding starts, and decoding ends, with states that hold the first 64 bytes of the raw bits: state k is 2^16 + byte 2 k + 256 * byte
 * 2 k + 1 (0 where there are fewer).
 */

/** What the first byte of a block says. */
export const METHOD = { equal: 0, coded: 1 } as const;

/** The level of a group without differences; others lie between 1 and LEVEL_LIMIT. */
export const EQUAL: number = -1;
export const LEVEL_LIMIT: number = 511;

/** Elements that share a level. */
export const GROUP: number = 256;

export const CLASSES: number = 16;

/** Bytes before levels and tables, of the states, and of raw bits that the states hold. */
export const HEADER_BYTES: number = 5;
export const STATES_BYTES: number = 128;
export const HELD_BYTES: number = 64;
