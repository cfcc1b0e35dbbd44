// The memory of the sibling module. All offsets are fixed and nothing grows: a block has at most MAX_ELEMENTS elements of at most 4
// bytes, so every region has its largest size from the start.
//
//   1024     +----------------+
//            | rans-memory.ts |
//            | STATES         |  32 x u32 rANS states
//            | LEVELS         |  a level for each GROUP of 256 elements, i16; EQUAL where both arrays are the same
//            | SAMPLE         |  512 counters of a sample: level - exponent + 256
//            | TABLE_OF       |  16 x u8: the table of each class (decoder)
//            | TOTALS         |  16 x u32: elements under the table that begins with each class (encoder)
//            | WEIGHTS        |  256 x u16, of the table that is written or read; behind them 128 x u16 codes (encoder)
//            | LOGARITHMS     |  4096 x f32: log2(i), 0 for 0
//            | HEADER         |  levels and tables as written (encoder)
//            | FREQUENCIES    |  16 x 256 x u16, sum 4096 for each class (encoder); 256 of one table (decoder)
//            | NO_COUNTS      |  256 x u32 zeros
//            | COUNTS         |  16 x 256 x u32: symbols of each class
//            | PARTS          |  8 x 16 x 256 x u16: the same, of every eighth symbol: counting one again does not wait for the last
//            |                |  time. PARTS_STEP is no multiple of 4096, which would make stores look as if later loads needed them
//            | ENCODE         |  16 x 256 x 8 bytes: see storeEntry
//            | DECODE         |  16 x 4096 x u32: see fillSlots
//            +----------------+
//            | SIBLING        |  elements of the sibling, little-endian
//            | WORDS          |  elements of the block
//            | CODES          |  u16 of each coded element. Encoder: class << 8 | symbol; decoder: table
//            | PLANE          |  u8 of each coded element. Encoder: number of raw bits (4 bytes only); decoder: symbol
//            | RAW            |  encoder: raw bits, u32 of each pair of 2-byte elements that has any, of each 4-byte element
//            | BLOCK          |  encoder: packed raw bits; at the end of what follows, words. Decoder: the block, OVERRUN bytes behind it
//            +----------------+
//
// Coded elements are those of groups that are not equal, the last group filled up to a multiple of 32.
//
// Damaged blocks: the decoder reads its streams without a check per read. A stream starts at most BLOCK_BYTES behind BLOCK; words take at
// most 2 bytes an element, raw bits at most 29 bits, levels and tables at most HEADER_BYTES; so every read stays within OVERRUN;
// positions are compared with the streams' ends afterwards. Writes go to positions that depend on the element count and the levels alone.
import { SPREAD } from "./rans-memory";

export { CONSTANTS } from "./rans-memory";

export const MAX_ELEMENTS: usize = 131072;
export const GROUP: usize = 256;
export const EQUAL: i32 = -1;
export const LEVEL_LIMIT: i32 = 511;
export const CLASSES: usize = 16;

export const STATES: usize = SPREAD + 256;
export const LEVELS: usize = STATES + 128;
export const SAMPLE: usize = LEVELS + 2 * (MAX_ELEMENTS / GROUP);
export const TABLE_OF: usize = SAMPLE + 4 * 512;
export const TOTALS: usize = TABLE_OF + 16;
export const WEIGHTS: usize = TOTALS + 4 * CLASSES;
export const LOGARITHMS: usize = WEIGHTS + 2 * 384;
export const HEADER: usize = LOGARITHMS + 4 * 4096;
export const HEADER_BYTES: usize = 24576;
export const FREQUENCIES: usize = HEADER + HEADER_BYTES;
export const NO_COUNTS: usize = FREQUENCIES + CLASSES * 512;
export const COUNTS: usize = NO_COUNTS + 1024;
export const PARTS: usize = COUNTS + CLASSES * 1024;
export const PARTS_STEP: usize = CLASSES * 512 + 144;
export const ENCODE: usize = PARTS + 8 * PARTS_STEP;
export const DECODE: usize = ENCODE + CLASSES * 2048;

// Vector loops run past the last element by up to 31 elements; regions leave room for it.
export const SIBLING: usize = DECODE + CLASSES * 16384 + 64;
export const WORDS: usize = SIBLING + 4 * (MAX_ELEMENTS + 64);
export const CODES: usize = WORDS + 4 * (MAX_ELEMENTS + 64);
export const PLANE: usize = CODES + 2 * (MAX_ELEMENTS + 64);
export const RAW: usize = PLANE + (MAX_ELEMENTS + 64);
export const BLOCK: usize = RAW + 4 * (MAX_ELEMENTS + 64);
export const BLOCK_BYTES: usize = 4 * MAX_ELEMENTS;
export const OVERRUN: usize = 4 * MAX_ELEMENTS + 64;
export const END: usize = BLOCK + BLOCK_BYTES + OVERRUN;
