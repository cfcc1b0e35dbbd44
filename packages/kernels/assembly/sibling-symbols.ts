// Words and their sibling's words to symbols and raw bits. With m a word without its sign:
//
//   difference  d = (signs are the same ? m : ~m) - m of the sibling, modulo 2^bits: positive where the magnitude grows
//   bucket      y = |d| below 2^(p + 1); above, each octave has 2^p buckets. p, the precision, is 2 for 4 bytes, 2 or 3 for 2
//   symbol      y | (d < 0) << 7
//   raw bits    what the bucket leaves open of |d|: n = max(0, (y >> p) - 1) bits
//
// float32(|d|) has the bucket in its upper bits: the exponent and p bits of the mantissa, less a constant.
import {
  BYTES_2, BYTES_4, classes, endOf, LAST_CLASS, levelOf, LOW_15, LOW_31, NEGATIVE_2, NEGATIVE_4, ONES_2, ONES_4, power2, power4, POWERS,
  PRECISION_4,
} from "./sibling-elements";
import { BLOCK, CODES, EQUAL, GROUP, PLANE, RAW, SIBLING, WORDS } from "./sibling-memory";

// Behind the raw bits of pairs.
let rawEnd: usize = 0;

// Codes (class << 8 | symbol), and raw bits of pairs of elements: bits | number << 26, the first element's below. Returns how many
// elements are coded.
@inline function toSymbols2(precision: i32, count: usize, mantissaBits: i32): usize {
  const low15 = v128.load(LOW_15), powers = v128.load(POWERS), bytes = v128.load(BYTES_2), ones = v128.load(ONES_2), last = v128.load(LAST_CLASS);
  const pairOnes = v128.load(ONES_4), negativeBit = v128.load(NEGATIVE_2);
  const itself = i16x8.splat(<i16>((<i32>1 << precision) - 1)), excess = i16x8.splat(<i16>((<i32>127 + precision - 1) << precision));
  let codes = CODES, raws = RAW;
  for (let group: usize = 0; group < count; group += GROUP) {
    if (levelOf(group) == EQUAL) continue;
    const level = i16x8.splat(<i16>levelOf(group));
    for (let i = group << 1, stop = endOf(group, count) << 1; i < stop; i += 16, codes += 16) {
      const a = v128.load(SIBLING + i), b = v128.load(WORDS + i);
      const turned = i16x8.shr_s(v128.xor(a, b), 15), m = v128.and(a, low15);
      const d = i16x8.sub(v128.xor(v128.and(b, low15), turned), m);
      const distance = i16x8.abs(d);
      const low = f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_u(distance)), high = f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_u(distance));
      const upper = i16x8.sub(i16x8.narrow_i32x4_s(i32x4.shr_u(low, 23 - precision), i32x4.shr_u(high, 23 - precision)), excess);
      // `upper` is right from 2^p on, and less than the distance below. A distance of 2^15 is negative here, and keeps `upper`.
      const bucket = i16x8.max_s(upper, i16x8.min_s(distance, itself));
      const n = i16x8.sub_sat_u(i16x8.shr_u(bucket, precision), ones);
      const power = power2(n, powers, bytes);
      const bits = v128.and(distance, i16x8.sub(power, ones));
      const pairs = i32x4.dot_i16x8_s(bits, v128.or(i32x4.shl(power, 16), pairOnes));
      v128.store(raws, v128.or(pairs, i32x4.shl(i32x4.extadd_pairwise_i16x8_u(n), 26)));
      raws += <usize>v128.any_true(n) << 4; // most have none where the sibling is near
      const symbol = v128.or(bucket, v128.and(i16x8.shr_u(d, 8), negativeBit));
      v128.store(codes, v128.or(i16x8.shl(classes(level, i16x8.shr_u(m, mantissaBits), last), 8), symbol));
    }
  }
  rawEnd = raws;
  return (codes - CODES) >> 1;
}
export function symbols2(precision: u32, count: usize, mantissaBits: i32): usize {
  return precision == 3 ? toSymbols2(3, count, mantissaBits) : toSymbols2(2, count, mantissaBits);
}

// The bucket of a distance. What conversion to float32 would round up is cleared first: the 25th bit. A distance of 2^31 is negative
// here, but its float32 has the right bits below the sign.
@inline function bucketOf4(distance: v128, low31: v128): v128 {
  const exact = v128.andnot(distance, i32x4.shr_u(distance, 24));
  const float = v128.and(f32x4.convert_i32x4_s(exact), low31);
  const upper = i32x4.sub(i32x4.shr_u(float, 23 - PRECISION_4), i32x4.splat((127 + PRECISION_4 - 1) << PRECISION_4));
  return i32x4.max_s(upper, i32x4.min_s(distance, i32x4.splat((1 << PRECISION_4) - 1)));
}

// Codes, raw bits of each element and their number. Returns how many elements are coded.
export function symbols4(count: usize): usize {
  const low31 = v128.load(LOW_31), powers = v128.load(POWERS), bytes = v128.load(BYTES_4), ones = v128.load(ONES_4), last = v128.load(LAST_CLASS);
  const zero = i32x4.splat(0), negativeBit = v128.load(NEGATIVE_4);
  let codes = CODES, raws = RAW, numbers = PLANE;
  for (let group: usize = 0; group < count; group += GROUP) {
    if (levelOf(group) == EQUAL) continue;
    const level = i16x8.splat(<i16>levelOf(group));
    for (let i = group << 2, stop = endOf(group, count) << 2; i < stop; i += 32, codes += 16, raws += 32, numbers += 8) {
      const a0 = v128.load(SIBLING + i), a1 = v128.load(SIBLING + i, 16), b0 = v128.load(WORDS + i), b1 = v128.load(WORDS + i, 16);
      const m0 = v128.and(a0, low31), m1 = v128.and(a1, low31);
      const d0 = i32x4.sub(v128.xor(v128.and(b0, low31), i32x4.shr_s(v128.xor(a0, b0), 31)), m0);
      const d1 = i32x4.sub(v128.xor(v128.and(b1, low31), i32x4.shr_s(v128.xor(a1, b1), 31)), m1);
      const distance0 = i32x4.abs(d0), distance1 = i32x4.abs(d1);
      const bucket0 = bucketOf4(distance0, low31), bucket1 = bucketOf4(distance1, low31);
      const n0 = i32x4.max_s(i32x4.sub(i32x4.shr_u(bucket0, PRECISION_4), ones), zero);
      const n1 = i32x4.max_s(i32x4.sub(i32x4.shr_u(bucket1, PRECISION_4), ones), zero);
      v128.store(raws, v128.and(distance0, i32x4.sub(power4(n0, powers, bytes), ones)));
      v128.store(raws, v128.and(distance1, i32x4.sub(power4(n1, powers, bytes), ones)), 16);
      const n = i16x8.narrow_i32x4_s(n0, n1);
      v128.store64_lane(numbers, i8x16.narrow_i16x8_u(n, n), 0);
      const symbol0 = v128.or(bucket0, v128.and(i32x4.shr_u(d0, 24), negativeBit));
      const symbol1 = v128.or(bucket1, v128.and(i32x4.shr_u(d1, 24), negativeBit));
      const exponents = i16x8.narrow_i32x4_s(i32x4.shr_u(m0, 23), i32x4.shr_u(m1, 23));
      v128.store(codes, v128.or(i16x8.shl(classes(level, exponents, last), 8), i16x8.narrow_i32x4_s(symbol0, symbol1)));
    }
  }
  return (codes - CODES) >> 1;
}

// Packs the raw bits at BLOCK, least significant bits first; returns their number. The last byte is filled up with zeros. Two pairs of 26
// bits and 7 bits left from before fit 64 bits.
export function packBits2(): usize {
  let to = BLOCK, pending: u64 = 0, count: u64 = 0;
  for (let at: usize = RAW; at < rawEnd; at += 8) {
    const two = load<u64>(at), n = (two >> 26) & 63;
    pending |= ((two & 0x3ffffff) | (((two >> 32) & 0x3ffffff) << n)) << count;
    count += n + (two >> 58);
    store<u64>(to, pending);
    to += <usize>(count >> 3);
    pending >>= count & 56;
    count &= 7;
  }
  return ((to - BLOCK) << 3) + <usize>count;
}
// The same for those of `coded` elements of 4 bytes, of at most 29 bits each.
export function packBits4(coded: usize): usize {
  let to = BLOCK, pending: u64 = 0, count: u64 = 0;
  for (let i: usize = 0; i < coded; i += 2) {
    const n = <u64>load<u8>(PLANE + i), m = n + <u64>load<u8>(PLANE + i, 1);
    const both = <u64>load<u32>(RAW + (i << 2)) | (<u64>load<u32>(RAW + (i << 2), 4) << n);
    store<u64>(to, pending | (both << count));
    const sum = count + m;
    pending = sum < 64 ? pending | (both << count) : both >> 1 >> (63 - count);
    to += <usize>(sum >> 6) << 3;
    count = sum & 63;
  }
  store<u64>(to, pending);
  return ((to - BLOCK) << 3) + <usize>count;
}
