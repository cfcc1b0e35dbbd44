// The escape ladder: a coder for byte symbols of which a few are very common. A rung gives 2-bit codes to three symbols, or 1-bit codes
// to one; all other symbols are escapes (code 0, or bit 1), which are squeezed together and go down to the next rung. What escapes the
// last rung is stored. No bit streams and no tables per block: everything is vectors, so it runs near the speed of memory.
//
//   rung of 2 bits   64 symbols take 16 bytes: byte i has the codes of symbols i, 16 + i, 32 + i, 48 + i, lowest bits first
//   rung of 1 bit    16 symbols take 2 bytes: bit i is set if symbol i escapes
//
// The first rung of floats is done together with splitting words into planes. The upper byte of a word (the upper half of one of
// 4 bytes) has its top bit exchanged with that of the byte below: e eeeeeee s mmmmmmm.
import { CONSTANTS, OPEN, SQUEEZE } from "./entropy-memory";
import { interleaveHigh16, interleaveHigh8, interleaveLow16, interleaveLow8 } from "./interleave";
import { highHalves, lowHalves } from "./joint";
import { swizzle } from "./relaxed";

const LADDER_CONSTANTS: usize = CONSTANTS + 256;
const ONE: usize = LADDER_CONSTANTS;
const TWO: usize = LADDER_CONSTANTS + 16;
const THREE: usize = LADDER_CONSTANTS + 32;
const TOP_BIT: usize = LADDER_CONSTANTS + 48;
const LOW_BYTE: usize = LADDER_CONSTANTS + 64;

export function prepareLadder(): void {
  v128.store(ONE, i8x16.splat(1));
  v128.store(TWO, i8x16.splat(2));
  v128.store(THREE, i8x16.splat(3));
  v128.store(TOP_BIT, i8x16.splat(<i8>0x80));
  v128.store(LOW_BYTE, i16x8.splat(0xff));
  for (let mask: u32 = 0; mask < 256; mask++) {
    let chosen: u32 = 0;
    store<u64>(SQUEEZE + (mask << 3), 0);
    for (let bit: u32 = 0; bit < 8; bit++) {
      const isSet = (mask >> bit) & 1;
      store<u8>(OPEN + (mask << 3) + bit, <u8>(isSet ? chosen : 0x80)); // an index over 127 gives a zero
      if (isSet) store<u8>(SQUEEZE + (mask << 3) + chosen++, <u8>bit);
    }
  }
}

// Appends the bytes of v whose bits are set in the mask; writes up to 16 bytes.
@inline function squeeze(v: v128, mask: u32, to: usize): usize {
  const low = mask & 255, high = mask >> 8;
  v128.store64_lane(to, swizzle(v, v128.load64_zero(low << 3, SQUEEZE)), 0);
  const next = to + popcnt(low);
  const upper = i64x2.shuffle(v, v, 1, 1);
  v128.store64_lane(next, swizzle(upper, v128.load64_zero(high << 3, SQUEEZE)), 0);
  return next + popcnt(high);
}

// The inverse: the next bytes at `from` where bits are set in the mask, zeros elsewhere.
@inline function open(mask: u32, from: usize): v128 {
  const low = mask & 255, high = mask >> 8;
  const a = swizzle(v128.load64_zero(from), v128.load64_zero(low << 3, OPEN));
  const b = swizzle(v128.load64_zero(from + popcnt(low)), v128.load64_zero(high << 3, OPEN));
  return i64x2.shuffle(a, b, 0, 2);
}

@inline function codesOf(e: v128, v1: v128, v2: v128, v3: v128, one: v128, two: v128, three: v128): v128 {
  return v128.or(
    v128.or(v128.and(i8x16.eq(e, v1), one), v128.and(i8x16.eq(e, v2), two)),
    v128.and(i8x16.eq(e, v3), three),
  );
}

// Loads 16 symbols. For words (width 2, 4) splits them: lower bytes go to `lower`, lower halves to `halves`. Width 1: bytes.
@inline function take(width: i32, words: usize, lower: usize, halves: usize, lowByte: v128, topBit: v128): v128 {
  if (width == 1) return v128.load(words);
  let a: v128, b: v128;
  if (width == 2) {
    a = v128.load(words);
    b = v128.load(words, 16);
  } else {
    const w0 = v128.load(words), w1 = v128.load(words, 16), w2 = v128.load(words, 32), w3 = v128.load(words, 48);
    v128.store(halves, lowHalves(w0, w1));
    v128.store(halves, lowHalves(w2, w3), 16);
    a = highHalves(w0, w1);
    b = highHalves(w2, w3);
  }
  const low = i8x16.narrow_i16x8_u(v128.and(a, lowByte), v128.and(b, lowByte));
  const high = i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8));
  const difference = v128.and(v128.xor(low, high), topBit);
  v128.store(lower, v128.xor(low, difference));
  return v128.xor(high, difference);
}

// Stores 16 symbols, or the words that they are the upper bytes of.
@inline function put(width: i32, e: v128, words: usize, lower: usize, halves: usize, topBit: v128): void {
  if (width == 1) {
    v128.store(words, e);
    return;
  }
  const m = v128.load(lower);
  const difference = v128.and(v128.xor(e, m), topBit);
  const low = v128.xor(m, difference), high = v128.xor(e, difference);
  const a = interleaveLow8(low, high), b = interleaveHigh8(low, high);
  if (width == 2) {
    v128.store(words, a);
    v128.store(words, b, 16);
    return;
  }
  const c = v128.load(halves), d = v128.load(halves, 16);
  v128.store(words, interleaveLow16(c, a));
  v128.store(words, interleaveHigh16(c, a), 16);
  v128.store(words, interleaveLow16(d, b), 32);
  v128.store(words, interleaveHigh16(d, b), 48);
}

// A rung of 2 bits over `count` symbols (a multiple of 64), whose codes are 1, 2, 3 for the symbols `first`, `second`, `third`. Returns
// the number of escapes.
@inline function down2(
  width: i32, words: usize, count: usize, lower: usize, halves: usize, codes: usize, escapes: usize,
  first: u32, second: u32, third: u32,
): usize {
  const v1 = i8x16.splat(<i8>first), v2 = i8x16.splat(<i8>second), v3 = i8x16.splat(<i8>third), zero = i8x16.splat(0);
  const one = v128.load(ONE), two = v128.load(TWO), three = v128.load(THREE), lowByte = v128.load(LOW_BYTE), topBit = v128.load(TOP_BIT);
  let to = escapes;
  for (const end = codes + (count >> 2); codes < end; codes += 16) {
    const e0 = take(width, words, lower, halves, lowByte, topBit);
    const c0 = codesOf(e0, v1, v2, v3, one, two, three);
    to = squeeze(e0, <u32>i8x16.bitmask(i8x16.eq(c0, zero)), to);
    const e1 = take(width, words + 16 * width, lower + 16, halves + 32, lowByte, topBit);
    const c1 = codesOf(e1, v1, v2, v3, one, two, three);
    to = squeeze(e1, <u32>i8x16.bitmask(i8x16.eq(c1, zero)), to);
    const e2 = take(width, words + 32 * width, lower + 32, halves + 64, lowByte, topBit);
    const c2 = codesOf(e2, v1, v2, v3, one, two, three);
    to = squeeze(e2, <u32>i8x16.bitmask(i8x16.eq(c2, zero)), to);
    const e3 = take(width, words + 48 * width, lower + 48, halves + 96, lowByte, topBit);
    const c3 = codesOf(e3, v1, v2, v3, one, two, three);
    to = squeeze(e3, <u32>i8x16.bitmask(i8x16.eq(c3, zero)), to);
    v128.store(codes, v128.or(v128.or(c0, i16x8.shl(c1, 2)), v128.or(i16x8.shl(c2, 4), i16x8.shl(c3, 6))));
    words += 64 * width;
    lower += 64;
    halves += 128;
  }
  return to - escapes;
}

// The inverse; returns the number of escapes taken, at most `count`.
@inline function up2(
  width: i32, codes: usize, count: usize, escapes: usize, words: usize, lower: usize, halves: usize,
  first: u32, second: u32, third: u32,
): usize {
  const zero = i8x16.splat(0), three = v128.load(THREE), topBit = v128.load(TOP_BIT);
  const symbols = i32x4.replace_lane(zero, 0, (first << 8) | (second << 16) | (third << 24));
  let from = escapes;
  for (const end = codes + (count >> 2); codes < end; codes += 16) {
    const all = v128.load(codes);
    const c0 = v128.and(all, three), m0 = <u32>i8x16.bitmask(i8x16.eq(c0, zero));
    put(width, v128.or(swizzle(symbols, c0), open(m0, from)), words, lower, halves, topBit);
    from += popcnt(m0);
    const c1 = v128.and(i16x8.shr_u(all, 2), three), m1 = <u32>i8x16.bitmask(i8x16.eq(c1, zero));
    put(width, v128.or(swizzle(symbols, c1), open(m1, from)), words + 16 * width, lower + 16, halves + 32, topBit);
    from += popcnt(m1);
    const c2 = v128.and(i16x8.shr_u(all, 4), three), m2 = <u32>i8x16.bitmask(i8x16.eq(c2, zero));
    put(width, v128.or(swizzle(symbols, c2), open(m2, from)), words + 32 * width, lower + 32, halves + 64, topBit);
    from += popcnt(m2);
    const c3 = v128.and(i16x8.shr_u(all, 6), three), m3 = <u32>i8x16.bitmask(i8x16.eq(c3, zero));
    put(width, v128.or(swizzle(symbols, c3), open(m3, from)), words + 48 * width, lower + 48, halves + 96, topBit);
    from += popcnt(m3);
    words += 64 * width;
    lower += 64;
    halves += 128;
  }
  return from - escapes;
}

// A rung of 1 bit over `count` symbols (a multiple of 16); returns the number of escapes.
export function downOne(plane: usize, count: usize, codes: usize, escapes: usize, symbol: u32): usize {
  const v = i8x16.splat(<i8>symbol);
  let to = escapes;
  for (const end = plane + count; plane < end; plane += 16, codes += 2) {
    const e = v128.load(plane);
    const mask = <u32>i8x16.bitmask(i8x16.eq(e, v)) ^ 0xffff;
    store<u16>(codes, <u16>mask);
    to = squeeze(e, mask, to);
  }
  return to - escapes;
}

export function upOne(codes: usize, count: usize, escapes: usize, plane: usize, symbol: u32): usize {
  const v = i8x16.splat(<i8>symbol);
  let from = escapes;
  for (const end = plane + count; plane < end; plane += 16, codes += 2) {
    const mask = <u32>load<u16>(codes);
    const chosen = open(mask, from);
    const low = v128.load64_zero(<usize>(mask & 255) << 3, OPEN), high = v128.load64_zero(<usize>(mask >> 8) << 3, OPEN);
    const others = i8x16.shr_s(i64x2.shuffle(low, high, 0, 2), 7);
    v128.store(plane, v128.or(chosen, v128.and(others, v)));
    from += popcnt(mask);
  }
  return from - escapes;
}

export function downThree1(plane: usize, count: usize, codes: usize, escapes: usize, first: u32, second: u32, third: u32): usize {
  return down2(1, plane, count, 0, 0, codes, escapes, first, second, third);
}
export function downThree2(
  words: usize, count: usize, lower: usize, codes: usize, escapes: usize, first: u32, second: u32, third: u32,
): usize {
  return down2(2, words, count, lower, 0, codes, escapes, first, second, third);
}
export function downThree4(
  words: usize, count: usize, lower: usize, halves: usize, codes: usize, escapes: usize, first: u32, second: u32, third: u32,
): usize {
  return down2(4, words, count, lower, halves, codes, escapes, first, second, third);
}
export function upThree1(codes: usize, count: usize, escapes: usize, plane: usize, first: u32, second: u32, third: u32): usize {
  return up2(1, codes, count, escapes, plane, 0, 0, first, second, third);
}
export function upThree2(
  codes: usize, count: usize, escapes: usize, words: usize, lower: usize, first: u32, second: u32, third: u32,
): usize {
  return up2(2, codes, count, escapes, words, lower, 0, first, second, third);
}
export function upThree4(
  codes: usize, count: usize, escapes: usize, words: usize, lower: usize, halves: usize, first: u32, second: u32, third: u32,
): usize {
  return up2(4, codes, count, escapes, words, lower, halves, first, second, third);
}
