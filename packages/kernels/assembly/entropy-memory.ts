// The memory of the entropy module. All offsets are fixed and nothing grows: a block has at most MAX_ELEMENTS elements of at
// most 8 bytes, so every region has its largest size from the start.
//
//   1024     +----------------+
//            | rans-memory.ts |
//            | SQUEEZE        |  256 x 8 bytes: indices of the set bits of a byte (ladder encoder)
//            | OPEN           |  256 x 8 bytes: the inverse (ladder decoder)
//            | COUNTS         |  histograms of a sample: 2 x 1024 + 256 counters
//            | FREQUENCIES    |  256 x u16, sum 4096
//            | MEMBERS        |  bitmap of the symbols that have a frequency: byte s & 15 of half s >> 7, bit (s >> 4) & 7
//            | STATES         |  32 x u32 rANS states
//            | ENCODE         |  256 x 8 bytes: reciprocal f32 | frequency u16 | first slot u16
//            | DECODE         |  4096 x u32: symbol | frequency << 8 | slot within the symbol << 20
//            +----------------+
//   40 KiB   | WORDS          |  elements of a block, little-endian
//            | PLANES         |  8 byte planes, PLANE_STEP apart
//            | REST           |  packed bits and halves that are stored as they are
//            | ESCAPES        |  escaped symbols of a plane
//            | RUNGS          |  two buffers of the ladder, PLANE_STEP apart
//            | BLOCK          |  encoding: coded streams; decoding: the block read, and OVERRUN bytes behind it
//            +----------------+
//
// Damaged blocks: decoders read their streams without a check per read. A stream is at most BLOCK_BYTES away from BLOCK's start, and
// no decoder can move its read position by more than OVERRUN bytes in a block, so every read stays within this memory; the
// position is compared with the stream's end afterwards. Writes go to positions that depend on the element count alone.
import { SPREAD } from "./rans-memory";

export { CONSTANTS } from "./rans-memory";

export const MAX_ELEMENTS: usize = 131072;

export const SQUEEZE: usize = SPREAD + 256;
export const OPEN: usize = SQUEEZE + 2048;
export const COUNTS: usize = OPEN + 2048;
export const FREQUENCIES: usize = COUNTS + 9216;
export const MEMBERS: usize = FREQUENCIES + 512;
export const STATES: usize = MEMBERS + 32;
export const ENCODE: usize = STATES + 128;
export const DECODE: usize = ENCODE + 2048;

// Vector loops run past the last element by up to 127 elements; regions leave room for it.
export const WORDS: usize = 40960;
export const PLANE_STEP: usize = MAX_ELEMENTS + 192;
export const PLANES: usize = WORDS + 8 * (MAX_ELEMENTS + 128);
export const REST: usize = PLANES + 8 * PLANE_STEP;
export const ESCAPES: usize = REST + 3 * PLANE_STEP;
export const RUNGS: usize = ESCAPES + PLANE_STEP;
export const BLOCK: usize = RUNGS + 2 * PLANE_STEP;
export const BLOCK_BYTES: usize = 8 * MAX_ELEMENTS + 4096;
export const OVERRUN: usize = 2 * MAX_ELEMENTS + 4096;
export const END: usize = BLOCK + BLOCK_BYTES + OVERRUN;
