// Words of 2, 4 or 8 bytes to byte planes and back: `count` words at `words`, plane k at `planes` + k * `step`. With `rotate`
// each word is rotated left by one bit before it is split, right after it is joined. 16 words at a time: both regions must
// have room for `count` rounded up to 16, and what lies behind `count` is left-over data.
import {
  interleaveHigh16, interleaveHigh32, interleaveHigh64, interleaveHigh8,
  interleaveLow16, interleaveLow32, interleaveLow64, interleaveLow8,
} from "./interleave";

export function splitWords2(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  const low = i16x8.splat(0xff);
  for (let out = planes, end = planes + count; out < end; out += 16, words += 32) {
    let a = v128.load(words);
    let b = v128.load(words, 16);
    if (rotate) {
      a = v128.or(i16x8.shl(a, 1), i16x8.shr_u(a, 15));
      b = v128.or(i16x8.shl(b, 1), i16x8.shr_u(b, 15));
    }
    v128.store(out, i8x16.narrow_i16x8_u(v128.and(a, low), v128.and(b, low)));
    v128.store(out + step, i8x16.narrow_i16x8_u(i16x8.shr_u(a, 8), i16x8.shr_u(b, 8)));
  }
}

export function joinWords2(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  for (let from = planes, end = planes + count; from < end; from += 16, words += 32) {
    const low = v128.load(from);
    const high = v128.load(from + step);
    let a = interleaveLow8(low, high);
    let b = interleaveHigh8(low, high);
    if (rotate) {
      a = v128.or(i16x8.shr_u(a, 1), i16x8.shl(a, 15));
      b = v128.or(i16x8.shr_u(b, 1), i16x8.shl(b, 15));
    }
    v128.store(words, a);
    v128.store(words, b, 16);
  }
}

// Four words of 4 bytes become four groups of one byte of each word.
@inline function gather4(words: v128): v128 {
  return i8x16.shuffle(words, words, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

@inline function rotateLeft32(words: v128, rotate: bool): v128 {
  return rotate ? v128.or(i32x4.shl(words, 1), i32x4.shr_u(words, 31)) : words;
}

@inline function rotateRight32(words: v128, rotate: bool): v128 {
  return rotate ? v128.or(i32x4.shr_u(words, 1), i32x4.shl(words, 31)) : words;
}

export function splitWords4(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  for (let out = planes, end = planes + count; out < end; out += 16, words += 64) {
    const a = gather4(rotateLeft32(v128.load(words), rotate));
    const b = gather4(rotateLeft32(v128.load(words, 16), rotate));
    const c = gather4(rotateLeft32(v128.load(words, 32), rotate));
    const d = gather4(rotateLeft32(v128.load(words, 48), rotate));
    const ab01 = interleaveLow32(a, b);
    const ab23 = interleaveHigh32(a, b);
    const cd01 = interleaveLow32(c, d);
    const cd23 = interleaveHigh32(c, d);
    v128.store(out, interleaveLow64(ab01, cd01));
    v128.store(out + step, interleaveHigh64(ab01, cd01));
    v128.store(out + 2 * step, interleaveLow64(ab23, cd23));
    v128.store(out + 3 * step, interleaveHigh64(ab23, cd23));
  }
}

export function joinWords4(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  for (let from = planes, end = planes + count; from < end; from += 16, words += 64) {
    const p0 = v128.load(from);
    const p1 = v128.load(from + step);
    const p2 = v128.load(from + 2 * step);
    const p3 = v128.load(from + 3 * step);
    const low0 = interleaveLow8(p0, p1);
    const low1 = interleaveHigh8(p0, p1);
    const high0 = interleaveLow8(p2, p3);
    const high1 = interleaveHigh8(p2, p3);
    v128.store(words, rotateRight32(interleaveLow16(low0, high0), rotate));
    v128.store(words, rotateRight32(interleaveHigh16(low0, high0), rotate), 16);
    v128.store(words, rotateRight32(interleaveLow16(low1, high1), rotate), 32);
    v128.store(words, rotateRight32(interleaveHigh16(low1, high1), rotate), 48);
  }
}

// Two words of 8 bytes become eight pairs: byte k of the first word, byte k of the second.
@inline function gather8(words: v128, rotate: bool): v128 {
  if (rotate) words = v128.or(i64x2.shl(words, 1), i64x2.shr_u(words, 63));
  return i8x16.shuffle(words, words, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
}

export function splitWords8(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  for (let out = planes, end = planes + count; out < end; out += 16, words += 128) {
    const a = gather8(v128.load(words), rotate);
    const b = gather8(v128.load(words, 16), rotate);
    const c = gather8(v128.load(words, 32), rotate);
    const d = gather8(v128.load(words, 48), rotate);
    const e = gather8(v128.load(words, 64), rotate);
    const f = gather8(v128.load(words, 80), rotate);
    const g = gather8(v128.load(words, 96), rotate);
    const h = gather8(v128.load(words, 112), rotate);
    // An 8 x 8 transposition of 16-bit pairs: planes 0-3 come from the low halves, 4-7 from the high ones.
    transpose(out, step, interleaveLow16(a, b), interleaveLow16(c, d), interleaveLow16(e, f), interleaveLow16(g, h));
    transpose(out + 4 * step, step, interleaveHigh16(a, b), interleaveHigh16(c, d), interleaveHigh16(e, f), interleaveHigh16(g, h));
  }
}

@inline function transpose(out: usize, step: usize, ab: v128, cd: v128, ef: v128, gh: v128): void {
  const low0 = interleaveLow32(ab, cd);
  const low1 = interleaveLow32(ef, gh);
  const high0 = interleaveHigh32(ab, cd);
  const high1 = interleaveHigh32(ef, gh);
  v128.store(out, interleaveLow64(low0, low1));
  v128.store(out + step, interleaveHigh64(low0, low1));
  v128.store(out + 2 * step, interleaveLow64(high0, high1));
  v128.store(out + 3 * step, interleaveHigh64(high0, high1));
}

export function joinWords8(words: usize, planes: usize, step: usize, count: usize, rotate: bool): void {
  for (let from = planes, end = planes + count; from < end; from += 16, words += 128) {
    const p0 = v128.load(from);
    const p1 = v128.load(from + step);
    const p2 = v128.load(from + 2 * step);
    const p3 = v128.load(from + 3 * step);
    const p4 = v128.load(from + 4 * step);
    const p5 = v128.load(from + 5 * step);
    const p6 = v128.load(from + 6 * step);
    const p7 = v128.load(from + 7 * step);
    joinEight(words, interleaveLow8(p0, p1), interleaveLow8(p2, p3), interleaveLow8(p4, p5), interleaveLow8(p6, p7), rotate);
    joinEight(words + 64, interleaveHigh8(p0, p1), interleaveHigh8(p2, p3), interleaveHigh8(p4, p5), interleaveHigh8(p6, p7), rotate);
  }
}

// Eight words from their four 16-bit quarters.
@inline function joinEight(words: usize, q0: v128, q1: v128, q2: v128, q3: v128, rotate: bool): void {
  const low0 = interleaveLow16(q0, q1);
  const low1 = interleaveHigh16(q0, q1);
  const high0 = interleaveLow16(q2, q3);
  const high1 = interleaveHigh16(q2, q3);
  v128.store(words, rotateRight64(interleaveLow32(low0, high0), rotate));
  v128.store(words, rotateRight64(interleaveHigh32(low0, high0), rotate), 16);
  v128.store(words, rotateRight64(interleaveLow32(low1, high1), rotate), 32);
  v128.store(words, rotateRight64(interleaveHigh32(low1, high1), rotate), 48);
}

@inline function rotateRight64(words: v128, rotate: bool): v128 {
  return rotate ? v128.or(i64x2.shr_u(words, 1), i64x2.shl(words, 63)) : words;
}
