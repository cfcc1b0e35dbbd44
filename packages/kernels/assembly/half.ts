// float16 words split into exponent, lower byte and what is left:
//
//   word      s eeeee mm mmmmmmmm
//   symbol    eeeee
//   lower     mmmmmmmm
//   rest      s mm              3 bits
//
// The rests of 128 elements take 48 bytes: those of vectors 2k and 2k + 1 of 16 elements make 6 bits each, and of the four vectors of
// these the fourth is spread over the tops of the other three, as in joint.ts.
import { CONSTANTS } from "./entropy-memory";
import { interleaveHigh8, interleaveLow8 } from "./interleave";

const HALF_CONSTANTS: usize = CONSTANTS + 336;
const LOW_BYTE: usize = HALF_CONSTANTS;
const LOW_5: usize = HALF_CONSTANTS + 16;
const LOW_2: usize = HALF_CONSTANTS + 32;
const BIT_2: usize = HALF_CONSTANTS + 48;
const TOP_2: usize = HALF_CONSTANTS + 64;
const LOW_6: usize = HALF_CONSTANTS + 80;
const LOW_3: usize = HALF_CONSTANTS + 96;

export function prepareHalf(): void {
  v128.store(LOW_BYTE, i16x8.splat(0xff));
  v128.store(LOW_5, i8x16.splat(31));
  v128.store(LOW_2, i8x16.splat(3));
  v128.store(BIT_2, i8x16.splat(4));
  v128.store(TOP_2, i8x16.splat(<i8>0xc0));
  v128.store(LOW_6, i8x16.splat(63));
  v128.store(LOW_3, i8x16.splat(7));
}

@inline function restOf(high: v128, low2: v128, bit2: v128): v128 {
  return v128.or(v128.and(high, low2), v128.and(i16x8.shr_u(high, 5), bit2));
}

// Splits `count` words, a multiple of 128.
export function splitHalf(words: usize, count: usize, symbols: usize, lower: usize, rests: usize): void {
  const lowByte = v128.load(LOW_BYTE), low5 = v128.load(LOW_5), low2 = v128.load(LOW_2), bit2 = v128.load(BIT_2), top2 = v128.load(TOP_2);
  const zero = i8x16.splat(0);
  for (const end = symbols + count; symbols < end; symbols += 128, rests += 48) {
    let rest0 = zero, rest1 = zero, rest2 = zero, rest3 = zero;
    for (let part: usize = 0; part < 128; part += 32, words += 64, lower += 32) {
      const a = v128.load(words), b = v128.load(words, 16), c = v128.load(words, 32), d = v128.load(words, 48);
      v128.store(lower, i8x16.narrow_i16x8_u(v128.and(a, lowByte), v128.and(b, lowByte)));
      v128.store(lower, i8x16.narrow_i16x8_u(v128.and(c, lowByte), v128.and(d, lowByte)), 16);
      const high0 = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
      const high1 = i8x16.narrow_i16x8_u(i16x8.shr_u(c, 8), i16x8.shr_u(d, 8));
      v128.store(symbols + part, v128.and(i16x8.shr_u(high0, 2), low5));
      v128.store(symbols + part, v128.and(i16x8.shr_u(high1, 2), low5), 16);
      rest0 = rest1;
      rest1 = rest2;
      rest2 = rest3;
      rest3 = v128.or(restOf(high0, low2, bit2), i16x8.shl(restOf(high1, low2, bit2), 3));
    }
    v128.store(rests, v128.or(rest0, v128.and(i16x8.shl(rest3, 6), top2)));
    v128.store(rests, v128.or(rest1, v128.and(i16x8.shl(rest3, 4), top2)), 16);
    v128.store(rests, v128.or(rest2, v128.and(i16x8.shl(rest3, 2), top2)), 32);
  }
}

// The upper bytes of 16 words.
@inline function upper(symbols: v128, rest: v128, low5: v128, low2: v128, bit2: v128): v128 {
  return v128.or(
    v128.or(i16x8.shl(v128.and(symbols, low5), 2), v128.and(rest, low2)),
    i16x8.shl(v128.and(rest, bit2), 5),
  );
}

// The inverse.
export function joinHalf(words: usize, count: usize, symbols: usize, lower: usize, rests: usize): void {
  const low5 = v128.load(LOW_5), low2 = v128.load(LOW_2), bit2 = v128.load(BIT_2), top2 = v128.load(TOP_2), low6 = v128.load(LOW_6), low3 = v128.load(LOW_3);
  for (const end = symbols + count; symbols < end; symbols += 128, rests += 48) {
    let rest0 = v128.load(rests), rest1 = v128.load(rests, 16), rest2 = v128.load(rests, 32);
    let rest3 = v128.or(
      v128.or(i16x8.shr_u(v128.and(rest0, top2), 6), i16x8.shr_u(v128.and(rest1, top2), 4)),
      i16x8.shr_u(v128.and(rest2, top2), 2),
    );
    for (let part: usize = 0; part < 128; part += 32, words += 64, lower += 32) {
      const both = v128.and(rest0, low6);
      const high0 = upper(v128.load(symbols + part), both, low5, low2, bit2);
      const high1 = upper(v128.load(symbols + part, 16), v128.and(i16x8.shr_u(both, 3), low3), low5, low2, bit2);
      rest0 = rest1;
      rest1 = rest2;
      rest2 = rest3;
      const low0 = v128.load(lower), low1 = v128.load(lower, 16);
      v128.store(words, interleaveLow8(low0, high0));
      v128.store(words, interleaveHigh8(low0, high0), 16);
      v128.store(words, interleaveLow8(low1, high1), 32);
      v128.store(words, interleaveHigh8(low1, high1), 48);
    }
  }
}
