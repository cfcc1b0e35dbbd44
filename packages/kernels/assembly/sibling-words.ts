// What is left to find the words of a block: the tables of its elements before symbols are decoded; the words from symbols and raw bits
// behind. See sibling-symbols.ts for what they mean.
import {
  BYTES_2, BYTES_4, classes, endOf, FIRST_2, FIRST_4, fourTimes, LAST_CLASS, levelOf, LOW_15, LOW_31, NEXT_2, NEXT_4, ONES_2, ONES_4, power2,
  power4, POWERS, POWERS_DOWN, PRECISION_4,
} from "./sibling-elements";
import { CODES, EQUAL, GROUP, PLANE, SIBLING, TABLE_OF, WORDS } from "./sibling-memory";
import { swizzle } from "./relaxed";

// The tables of all coded elements, from levels and sibling. Returns how many elements are coded.
export function tables2(count: usize, mantissaBits: i32): usize {
  const low15 = v128.load(LOW_15), last = v128.load(LAST_CLASS), tableOf = v128.load(TABLE_OF), first = v128.load(FIRST_2);
  let codes = CODES;
  for (let group: usize = 0; group < count; group += GROUP) {
    if (levelOf(group) == EQUAL) continue;
    const level = i16x8.splat(<i16>levelOf(group));
    for (let i = group << 1, stop = endOf(group, count) << 1; i < stop; i += 16, codes += 16) {
      const m = v128.and(v128.load(SIBLING + i), low15);
      v128.store(codes, swizzle(tableOf, v128.or(classes(level, i16x8.shr_u(m, mantissaBits), last), first)));
    }
  }
  return (codes - CODES) >> 1;
}
export function tables4(count: usize): usize {
  const low31 = v128.load(LOW_31), last = v128.load(LAST_CLASS), tableOf = v128.load(TABLE_OF), first = v128.load(FIRST_2);
  let codes = CODES;
  for (let group: usize = 0; group < count; group += GROUP) {
    if (levelOf(group) == EQUAL) continue;
    const level = i16x8.splat(<i16>levelOf(group));
    for (let i = group << 2, stop = endOf(group, count) << 2; i < stop; i += 32, codes += 16) {
      const m0 = v128.and(v128.load(SIBLING + i), low31), m1 = v128.and(v128.load(SIBLING + i, 16), low31);
      const exponents = i16x8.narrow_i32x4_s(i32x4.shr_u(m0, 23), i32x4.shr_u(m1, 23));
      v128.store(codes, swizzle(tableOf, v128.or(classes(level, exponents, last), first)));
    }
  }
  return (codes - CODES) >> 1;
}

// Sums of the lanes up to each.
@inline function sums2(n: v128): v128 {
  const zero = i16x8.splat(0);
  const two = i16x8.add(n, i8x16.shuffle(zero, n, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29));
  const four = i16x8.add(two, i8x16.shuffle(zero, two, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27));
  return i16x8.add(four, i8x16.shuffle(zero, four, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23));
}
@inline function sums4(n: v128): v128 {
  const zero = i32x4.splat(0);
  const two = i32x4.add(n, i8x16.shuffle(zero, n, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27));
  return i32x4.add(two, i8x16.shuffle(zero, two, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23));
}

// Raw bits of each lane, and what follows them in the bits above. `at` tells where in `bits` they begin: s + 1 bits above the start of byte
// b, for b = at >> 3 and s = at & 7. So byte b goes down by s + 1, and what lies behind it up by 7 - s: by multiplication, the former
// with 8 bits more.
@inline function spread2(bits: v128, at: v128, sevens: v128, firstIndex: v128, nextIndex: v128, powersDown: v128): v128 {
  const byte = i16x8.shr_u(at, 3), power = swizzle(powersDown, v128.or(v128.and(at, sevens), firstIndex));
  const first = swizzle(bits, v128.or(byte, firstIndex)), next = swizzle(bits, i8x16.add(v128.or(byte, i16x8.shl(byte, 8)), nextIndex));
  return v128.or(i16x8.shr_u(i16x8.mul(first, power), 8), i16x8.mul(next, power));
}
@inline function spread4(bits: v128, at: v128, sevens: v128, firstIndex: v128, nextIndex: v128, powersDown: v128): v128 {
  const byte = i32x4.shr_u(at, 3), power = swizzle(powersDown, v128.or(v128.and(at, sevens), firstIndex));
  const first = swizzle(bits, v128.or(byte, firstIndex)), next = swizzle(bits, i8x16.add(fourTimes(byte), nextIndex));
  return v128.or(i32x4.shr_u(i32x4.mul(first, power), 8), i32x4.mul(next, power));
}

// Words of all groups from sibling, symbols and the raw bits at `bits`; returns the number of raw bits. 8 elements have at most 104 raw
// bits; only damaged blocks have larger buckets, and are kept to that.
@inline function toWords2(precision: i32, count: usize, bits: usize): usize {
  const low15 = v128.load(LOW_15), powers = v128.load(POWERS), bytes = v128.load(BYTES_2), ones = v128.load(ONES_2);
  const powersDown = v128.load(POWERS_DOWN), firstIndex = v128.load(FIRST_2), nextIndex = v128.load(NEXT_2);
  const sevens = i16x8.splat(7), low7 = i16x8.splat(127), most = i16x8.splat(13);
  let symbols = PLANE, position: usize = 7;
  for (let group: usize = 0; group < count; group += GROUP) {
    let i = group << 1;
    const stop = endOf(group, count) << 1;
    if (levelOf(group) == EQUAL) {
      memory.copy(WORDS + i, SIBLING + i, stop - i);
      continue;
    }
    for (; i < stop; i += 16, symbols += 8) {
      const symbol = v128.load8x8_u(symbols), bucket = v128.and(symbol, low7), negative = i16x8.shr_s(i16x8.shl(symbol, 8), 15);
      const n = i16x8.min_s(i16x8.sub_sat_u(i16x8.shr_u(bucket, precision), ones), most), sums = sums2(n);
      const at = i16x8.add(i16x8.sub(sums, n), i16x8.splat(<i16>(position & 7)));
      const raw = spread2(v128.load(bits - 1 + (position >> 3)), at, sevens, firstIndex, nextIndex, powersDown);
      position += <usize>i16x8.extract_lane_u(sums, 7);
      const power = power2(n, powers, bytes), top = i16x8.sub(bucket, i16x8.shl(n, precision));
      const distance = v128.or(i16x8.mul(top, power), v128.and(raw, i16x8.sub(power, ones)));
      const a = v128.load(SIBLING + i);
      const sum = i16x8.add(v128.and(a, low15), i16x8.sub(v128.xor(distance, negative), negative));
      v128.store(WORDS + i, v128.xor(v128.andnot(a, low15), v128.xor(sum, v128.and(i16x8.shr_s(sum, 15), low15))));
    }
  }
  return position - 7;
}
export function words2(precision: u32, count: usize, bits: usize): usize {
  return precision == 3 ? toWords2(3, count, bits) : toWords2(2, count, bits);
}

// The same for 4 bytes: 4 elements have at most 116 raw bits.
export function words4(count: usize, bits: usize): usize {
  const low31 = v128.load(LOW_31), powers = v128.load(POWERS), bytes = v128.load(BYTES_4), ones = v128.load(ONES_4);
  const powersDown = v128.load(POWERS_DOWN), firstIndex = v128.load(FIRST_4), nextIndex = v128.load(NEXT_4);
  const zero = i32x4.splat(0), sevens = i32x4.splat(7), low7 = i32x4.splat(127), most = i32x4.splat(29);
  let symbols = PLANE, position: usize = 7;
  for (let group: usize = 0; group < count; group += GROUP) {
    let i = group << 2;
    const stop = endOf(group, count) << 2;
    if (levelOf(group) == EQUAL) {
      memory.copy(WORDS + i, SIBLING + i, stop - i);
      continue;
    }
    for (; i < stop; i += 16, symbols += 4) {
      const symbol = i32x4.extend_low_i16x8_u(i16x8.extend_low_i8x16_u(v128.load32_zero(symbols)));
      const bucket = v128.and(symbol, low7), negative = i32x4.shr_s(i32x4.shl(symbol, 24), 31);
      const n = i32x4.min_s(i32x4.max_s(i32x4.sub(i32x4.shr_u(bucket, PRECISION_4), ones), zero), most), sums = sums4(n);
      const at = i32x4.add(i32x4.sub(sums, n), i32x4.splat(<i32>(position & 7)));
      const raw = spread4(v128.load(bits - 1 + (position >> 3)), at, sevens, firstIndex, nextIndex, powersDown);
      position += <usize>i32x4.extract_lane(sums, 3);
      const power = power4(n, powers, bytes), top = i32x4.sub(bucket, i32x4.shl(n, PRECISION_4));
      const distance = v128.or(i32x4.mul(top, power), v128.and(raw, i32x4.sub(power, ones)));
      const a = v128.load(SIBLING + i);
      const sum = i32x4.add(v128.and(a, low31), i32x4.sub(v128.xor(distance, negative), negative));
      v128.store(WORDS + i, v128.xor(v128.andnot(a, low31), v128.xor(sum, v128.and(i32x4.shr_s(sum, 31), low31))));
    }
  }
  return position - 7;
}
