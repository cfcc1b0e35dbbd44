// Range ANS (Duda; Giesen's word-wise form), four states in a vector: the steps of the coders in rans.ts and sibling-rans.ts, which differ in
// where a symbol's table lies. Frequencies sum to 4096.
//
//   decode one symbol:  slot = x & 4095; symbol by slot; x = frequency * (x >> 12) + slot - first slot of the symbol
//                       if x < 2^15: x = x << 16 | next 16-bit word
//   encode:             the inverse, last symbol first: if x >= frequency << 19: emit the low 16 bits, x >>= 16
//                       x = (x / frequency << 12) + x % frequency + first slot
//
// States lie in [2^15, 2^31) between symbols. The decoder takes words in rising lane order, so the encoder, which runs backwards,
// writes downwards in falling order. A symbol emits at most one word: n symbols take at most 2n bytes.
import { CONSTANTS, PACK, SPREAD } from "./rans-memory";
import { multiplyAdd, select32, swizzle } from "./relaxed";

// What loops load, see rans-memory.ts.
export const LOW_16: usize = CONSTANTS;
export const LOWEST_STATE: usize = CONSTANTS + 16;
export const ROUNDER: usize = CONSTANTS + 32;
export const SLOT_OFFSET: usize = CONSTANTS + 48;
export const LOW_12: usize = CONSTANTS + 64;
export const LOW_8: usize = CONSTANTS + 80;

const ROUNDER_BITS: i32 = 0x4b000000; // 2^23 as float32: adding it rounds to an integer, which is then the low 23 bits

export function prepareStates(): void {
  v128.store(LOW_16, i32x4.splat(0xffff));
  v128.store(ROUNDER, i32x4.splat(ROUNDER_BITS));
  v128.store(SLOT_OFFSET, i32x4.splat(4095 << 2));
  v128.store(LOWEST_STATE, i32x4.splat(1 << 15));
  v128.store(LOW_12, i32x4.splat(4095));
  v128.store(LOW_8, i32x4.splat(255));
  for (let mask: usize = 0; mask < 16; mask++) {
    const pack = PACK + ((mask ^ 15) << 4); // indexed by the lanes that stay
    const spread = SPREAD + (mask << 4);
    v128.store(pack, i8x16.splat(<i8>0x80)); // an index over 15 gives a zero
    v128.store(spread, i8x16.splat(<i8>0x80));
    let word: usize = 0;
    const unused: usize = 4 - popcnt(mask);
    for (let lane: usize = 0; lane < 4; lane++) {
      if (!((mask >> lane) & 1)) continue;
      store<u8>(pack + ((unused + word) << 1), <u8>(lane << 2));
      store<u8>(pack + ((unused + word) << 1) + 1, <u8>((lane << 2) + 1));
      store<u8>(spread + (lane << 2), <u8>(word << 1));
      store<u8>(spread + (lane << 2) + 1, <u8>((word << 1) + 1));
      word++;
    }
  }
}

// The entry of a symbol for encoding, 8 bytes: reciprocal f32 | 4096 - frequency u16 | first slot u16. The reciprocal is rounded down by
// 2^-21: the quotient of any state comes out between 0.36 too small and exact, see `push`.
@inline export function storeEntry(entry: usize, frequency: u32, first: u32): void {
  store<f32>(entry, <f32>((1.0 / <f64>frequency) * (1.0 - 4.76837158203125e-7)));
  store<u32>(entry, (4096 - frequency) | (first << 16), 4);
}

// From the entries of four symbols: 4096 - frequency | first slot << 16.
@inline export function ranges(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
@inline export function reciprocals(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
}

// Lanes whose state can take a symbol as it is: x < frequency << 19, which is x + ((4096 - frequency) << 19) < 2^31, no overflow. The
// frequency is at most 4095.
@inline export function fits(x: v128, rest: v128): v128 {
  return i32x4.ge_s(i32x4.add(x, i32x4.shl(rest, 19)), i32x4.splat(0));
}

// Writes the low words of the lanes that do not fit below w.
@inline export function emit(w: usize, x: v128, fitting: v128): usize {
  const stay = i32x4.bitmask(fitting);
  v128.store64_lane(w - 8, swizzle(x, v128.load(<usize>stay << 4, PACK)), 0);
  return w - 8 + <usize>(popcnt(stay) << 1);
}

// Codes four symbols into four states: x -> (q << 12) + x - q * frequency + first with q = x / frequency, which is
// x + q * rest + first with rest = 4096 - frequency. q is under 2^19. As float32, x carries an error of 2^-24, so its product with
// the reciprocal lies between q_exact - 0.36 and q_exact; rounded to nearest that is q or q + 1, and the latter would make
// the remainder negative.
@inline export function push(state: v128, range: v128, rest: v128, fitting: v128, reciprocal: v128, rounder: v128): v128 {
  const x = select32(state, i32x4.shr_u(state, 16), fitting);
  const q = i32x4.sub(multiplyAdd(f32x4.convert_i32x4_s(x), reciprocal, rounder), rounder);
  const sum = i32x4.add(x, i32x4.mul(q, rest));
  const remainder = i32x4.sub(sum, i32x4.shl(q, 12));
  const excess = v128.and(i32x4.shr_s(remainder, 31), rest);
  return i32x4.add(i32x4.sub(sum, excess), i32x4.shr_u(range, 16));
}

// A decoding table, 4096 x u32: symbol | frequency << 8 | slot within the symbol << 20, from 256 frequencies. Vectors of four slots, so a
// symbol may write up to three slots too far, into its successor's, which are written after it; behind the last there is room.
export function fillSlots(frequencies: usize, table: usize): void {
  const step = i32x4.splat(4 << 20);
  let slot = table;
  for (let s: u32 = 0; s < 256; s++) {
    const f = <u32>load<u16>(frequencies + (s << 1));
    let value = i32x4.add(i32x4.splat(<i32>(s | (f << 8))), i32x4(0, 1 << 20, 2 << 20, 3 << 20));
    const next = slot + (f << 2);
    for (; slot < next; slot += 16) {
      v128.store(slot, value);
      value = i32x4.add(value, step);
    }
    slot = next;
  }
}

@inline export function pop(x: v128, t: v128, low12: v128): v128 {
  return i32x4.add(i32x4.mul(v128.and(i32x4.shr_u(t, 8), low12), i32x4.shr_u(x, 12)), i32x4.shr_u(t, 20));
}

// A state of a damaged block may have its top bit set; it counts as low then, which does no harm.
@inline export function isLow(x: v128, lowest: v128): v128 {
  return i32x4.gt_s(lowest, x);
}
@inline export function refill(x: v128, low: v128, p: usize): v128 {
  const words = swizzle(v128.load64_zero(p), v128.load(<usize>i32x4.bitmask(low) << 4, SPREAD));
  return select32(v128.or(i32x4.shl(x, 16), words), x, low);
}
@inline export function taken(low: v128): usize {
  return <usize>(popcnt(i32x4.bitmask(low)) << 1);
}

// Four vectors of table entries to 16 symbols.
@inline export function symbols(t0: v128, t1: v128, t2: v128, t3: v128, low8: v128): v128 {
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_u(v128.and(t0, low8), v128.and(t1, low8)),
    i16x8.narrow_i32x4_u(v128.and(t2, low8), v128.and(t3, low8)),
  );
}
