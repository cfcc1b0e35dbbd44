// bfloat16 words, and the upper halves of float32 words, split into what has a skewed distribution and what has not:
//
//   word      s eeeeeeee mm mmmmm        sign, exponent, mantissa
//   symbol    xxxxxx mm                  x = exponent - base, 0 for exponent 0; the two top bits of the mantissa
//   rest      s mmmmm                    6 bits, stored
//
// The top bits of the mantissa depend on the exponent (a bell curve inside each binade), so one table over both is smaller than
// tables of their own. Exponents in use must be 0 or in base + 1 .. base + 63; zero has a place of its own.
//
// The rests of 64 elements take 48 bytes: of four vectors of 16, the first three stay where they are, two bits of each byte of the
// fourth fill the tops of the three.
import { CONSTANTS } from "./entropy-memory";
import { interleaveHigh16, interleaveHigh8, interleaveLow16, interleaveLow8 } from "./interleave";

const JOINT_CONSTANTS: usize = CONSTANTS + 128;
const LOW_BYTE: usize = JOINT_CONSTANTS;
const THREE: usize = JOINT_CONSTANTS + 16;
const LOW_5: usize = JOINT_CONSTANTS + 32;
const BIT_5: usize = JOINT_CONSTANTS + 48;
const TOP_2: usize = JOINT_CONSTANTS + 64;
const LOW_6: usize = JOINT_CONSTANTS + 80;
const TOP_1: usize = JOINT_CONSTANTS + 96;
const ONE: usize = JOINT_CONSTANTS + 112;

export function prepareJoint(): void {
  v128.store(LOW_BYTE, i16x8.splat(0xff));
  v128.store(THREE, i8x16.splat(3));
  v128.store(LOW_5, i8x16.splat(31));
  v128.store(BIT_5, i8x16.splat(32));
  v128.store(TOP_2, i8x16.splat(<i8>0xc0));
  v128.store(LOW_6, i8x16.splat(63));
  v128.store(TOP_1, i8x16.splat(<i8>0x80));
  v128.store(ONE, i8x16.splat(1));
}

// Splits `count` words of `width` bytes (2 or 4; count a multiple of 64) into symbols, rests and, for 4 bytes, low halves. Returns
// whether all exponents are in use under `base`; if not, what was written is of no use.
@inline function split(width: i32, words: usize, count: usize, base: u32, symbols: usize, rests: usize, halves: usize): bool {
  const lowByte = v128.load(LOW_BYTE), three = v128.load(THREE), low5 = v128.load(LOW_5), bit5 = v128.load(BIT_5), top2 = v128.load(TOP_2), one = v128.load(ONE);
  const zero = i8x16.splat(0), bases = i8x16.splat(<i8>base);
  // Exponent e is in use when e - 1 (0 becomes 255) is at least base, and e - base at most 63.
  let least = i8x16.splat(-1), most = zero;
  for (const end = symbols + count; symbols < end; symbols += 64, rests += 48) {
    let rest0 = zero, rest1 = zero, rest2 = zero, rest3 = zero;
    for (let part: usize = 0; part < 64; part += 16) {
      let a: v128, b: v128;
      if (width == 2) {
        a = v128.load(words);
        b = v128.load(words, 16);
        words += 32;
      } else {
        const w0 = v128.load(words), w1 = v128.load(words, 16), w2 = v128.load(words, 32), w3 = v128.load(words, 48);
        words += 64;
        v128.store(halves, lowHalves(w0, w1));
        v128.store(halves, lowHalves(w2, w3), 16);
        halves += 32;
        a = highHalves(w0, w1);
        b = highHalves(w2, w3);
      }
      const low = i8x16.narrow_i16x8_u(v128.and(a, lowByte), v128.and(b, lowByte));
      const high = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
      const e = i8x16.sub(i8x16.add(high, high), i8x16.lt_s(low, zero));
      const x = i8x16.sub_sat_u(e, bases);
      least = i8x16.min_u(least, i8x16.sub(e, one));
      most = i8x16.max_u(most, x);
      v128.store(symbols + part, v128.or(i16x8.shl(x, 2), v128.and(i16x8.shr_u(low, 5), three)));
      rest0 = rest1;
      rest1 = rest2;
      rest2 = rest3;
      rest3 = v128.or(v128.and(i16x8.shr_u(high, 2), bit5), v128.and(low, low5));
    }
    v128.store(rests, v128.or(rest0, v128.and(i16x8.shl(rest3, 6), top2)));
    v128.store(rests, v128.or(rest1, v128.and(i16x8.shl(rest3, 4), top2)), 16);
    v128.store(rests, v128.or(rest2, v128.and(i16x8.shl(rest3, 2), top2)), 32);
  }
  return !v128.any_true(v128.or(i8x16.lt_u(least, bases), i8x16.gt_u(most, i8x16.splat(63))));
}

// The inverse of `split`.
@inline function join(width: i32, words: usize, count: usize, base: u32, symbols: usize, rests: usize, halves: usize): void {
  const three = v128.load(THREE), low5 = v128.load(LOW_5), bit5 = v128.load(BIT_5), top2 = v128.load(TOP_2), low6 = v128.load(LOW_6), top1 = v128.load(TOP_1);
  const zero = i8x16.splat(0), bases = i8x16.splat(<i8>base);
  for (const end = symbols + count; symbols < end; symbols += 64, rests += 48) {
    let rest0 = v128.load(rests), rest1 = v128.load(rests, 16), rest2 = v128.load(rests, 32);
    let rest3 = v128.or(
      v128.or(i16x8.shr_u(v128.and(rest0, top2), 6), i16x8.shr_u(v128.and(rest1, top2), 4)),
      i16x8.shr_u(v128.and(rest2, top2), 2),
    );
    for (let part: usize = 0; part < 64; part += 16) {
      const symbol = v128.load(symbols + part);
      const x = v128.and(i16x8.shr_u(symbol, 2), low6);
      const e = v128.andnot(i8x16.add(x, bases), i8x16.eq(x, zero));
      const low = v128.or(
        v128.or(v128.and(i16x8.shl(e, 7), top1), i16x8.shl(v128.and(symbol, three), 5)),
        v128.and(rest0, low5),
      );
      const high = v128.or(i16x8.shl(v128.and(rest0, bit5), 2), v128.andnot(i16x8.shr_u(e, 1), top1));
      rest0 = rest1;
      rest1 = rest2;
      rest2 = rest3;
      const a = interleaveLow8(low, high), b = interleaveHigh8(low, high);
      if (width == 2) {
        v128.store(words, a);
        v128.store(words, b, 16);
        words += 32;
      } else {
        const c = v128.load(halves), d = v128.load(halves, 16);
        halves += 32;
        v128.store(words, interleaveLow16(c, a));
        v128.store(words, interleaveHigh16(c, a), 16);
        v128.store(words, interleaveLow16(d, b), 32);
        v128.store(words, interleaveHigh16(d, b), 48);
        words += 64;
      }
    }
  }
}

@inline export function lowHalves(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29);
}
@inline export function highHalves(a: v128, b: v128): v128 {
  return i8x16.shuffle(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}

export function splitJoint2(words: usize, count: usize, base: u32, symbols: usize, rests: usize): bool {
  return split(2, words, count, base, symbols, rests, 0);
}
export function splitJoint4(words: usize, count: usize, base: u32, symbols: usize, rests: usize, halves: usize): bool {
  return split(4, words, count, base, symbols, rests, halves);
}
export function joinJoint2(words: usize, count: usize, base: u32, symbols: usize, rests: usize): void {
  join(2, words, count, base, symbols, rests, 0);
}
export function joinJoint4(words: usize, count: usize, base: u32, symbols: usize, rests: usize, halves: usize): void {
  join(4, words, count, base, symbols, rests, halves);
}
