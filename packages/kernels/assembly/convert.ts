// Conversions between float32 and the two 16-bit floats, rounded to nearest, ties to even, and the range of float32 values.
// All in integer operations on the bit patterns but for the subnormals of float16, which an addition of floats rounds.
//
// Memory:
//
//   0        +--------------+
//            | unused       |
//   1024     +--------------+
//            | WIDE         |  4 * BLOCK bytes: float32
//            +--------------+
//            | NARROW       |  2 * BLOCK bytes: float16 or bfloat16
//            +--------------+
//
// Kernels handle 8 elements at a time, at most BLOCK (a multiple of 8) a call; behind `count` lies left-over data.
//
// NaN: keeps its sign and the top bits of its payload; where none of these is set, the lowest kept bit is set, so that a NaN
// stays one. Widening is exact, so 16 -> 32 -> 16 bits returns every pattern.

export const BLOCK: usize = 32 * 1024;
export const WIDE: usize = 1024;
export const NARROW: usize = WIDE + 4 * BLOCK;

export let minimum: f32 = 0;
export let maximum: f32 = 0;

@inline function toFloat16(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  const sign = i32x4.shr_u(v128.and(bits, i32x4.splat(<i32>0x80000000)), 16);
  // Normal results: move the exponent, add half a unit (less one if the kept bit is even), cut. A carry into the exponent is right.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xfff - (112 << 23))), odd), 13);
  // Subnormal results: at 0.5 the unit of float32 is the smallest float16; the addition rounds to it.
  const half = i32x4.splat(126 << 23);
  const small = i32x4.sub(f32x4.add(magnitude, half), half);
  const isSmall = i32x4.lt_s(magnitude, i32x4.splat(113 << 23));
  let result = v128.bitselect(small, normal, isSmall);
  const isLarge = i32x4.gt_s(magnitude, i32x4.splat((143 << 23) - 1));
  result = v128.bitselect(i32x4.splat(0x7c00), result, isLarge);
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  const payload = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(0x3ff));
  const kept = v128.or(payload, v128.and(i32x4.eq(payload, i32x4.splat(0)), i32x4.splat(1)));
  result = v128.or(result, v128.and(kept, isNan));
  return v128.or(result, sign);
}

@inline function fromFloat16(bits: v128): v128 {
  const magnitude = i32x4.shl(v128.and(bits, i32x4.splat(0x7fff)), 13);
  const sign = i32x4.shl(v128.and(bits, i32x4.splat(0x8000)), 16);
  const exponent = v128.and(magnitude, i32x4.splat(0x7c00 << 13));
  let result = i32x4.add(magnitude, i32x4.splat(112 << 23));
  const isSpecial = i32x4.eq(exponent, i32x4.splat(0x7c00 << 13));
  result = i32x4.add(result, v128.and(isSpecial, i32x4.splat(112 << 23)));
  // Subnormals: give them an exponent, then take the implied one away again.
  const isSmall = i32x4.eq(exponent, i32x4.splat(0));
  const one = i32x4.splat(113 << 23);
  result = v128.bitselect(f32x4.sub(v128.or(magnitude, one), one), result, isSmall);
  return v128.or(result, sign);
}

@inline function toBfloat16(bits: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  const top = i32x4.shr_u(bits, 16);
  const odd = v128.and(top, i32x4.splat(1));
  const rounded = i32x4.shr_u(i32x4.add(i32x4.add(bits, i32x4.splat(0x7fff)), odd), 16);
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000));
  const payload = v128.and(top, i32x4.splat(0x7f));
  const kept = v128.or(top, v128.and(i32x4.eq(payload, i32x4.splat(0)), i32x4.splat(1)));
  return v128.bitselect(kept, rounded, isNan);
}

export function float32ToFloat16(count: usize): void {
  let to = NARROW;
  for (let from = WIDE, end = WIDE + (count << 2); from < end; from += 32, to += 16) {
    v128.store(to, i16x8.narrow_i32x4_u(toFloat16(v128.load(from)), toFloat16(v128.load(from, 16))));
  }
}

export function float32ToBfloat16(count: usize): void {
  let to = NARROW;
  for (let from = WIDE, end = WIDE + (count << 2); from < end; from += 32, to += 16) {
    v128.store(to, i16x8.narrow_i32x4_u(toBfloat16(v128.load(from)), toBfloat16(v128.load(from, 16))));
  }
}

export function float16ToFloat32(count: usize): void {
  let to = WIDE;
  for (let from = NARROW, end = NARROW + (count << 1); from < end; from += 16, to += 32) {
    const bits = v128.load(from);
    v128.store(to, fromFloat16(i32x4.extend_low_i16x8_u(bits)));
    v128.store(to, fromFloat16(i32x4.extend_high_i16x8_u(bits)), 16);
  }
}

export function bfloat16ToFloat32(count: usize): void {
  let to = WIDE;
  for (let from = NARROW, end = NARROW + (count << 1); from < end; from += 16, to += 32) {
    const bits = v128.load(from);
    v128.store(to, i32x4.shl(i32x4.extend_low_i16x8_u(bits), 16));
    v128.store(to, i32x4.shl(i32x4.extend_high_i16x8_u(bits), 16), 16);
  }
}

// Smallest and largest of `count` values at WIDE (in the exported globals), NaN left out; returns how many were NaN.
// pmin(a, b) is b < a ? b : a, so a NaN in b never wins.
export function range(count: usize): usize {
  let low = f32x4.splat(Infinity);
  let high = f32x4.splat(-Infinity);
  let nans = i32x4.splat(0);
  const whole = count & ~3;
  let p = WIDE;
  for (const end = WIDE + (whole << 2); p < end; p += 16) {
    const x = v128.load(p);
    low = f32x4.pmin(low, x);
    high = f32x4.pmax(high, x);
    nans = i32x4.sub(nans, f32x4.ne(x, x));
  }
  let least = min(min(f32x4.extract_lane(low, 0), f32x4.extract_lane(low, 1)), min(f32x4.extract_lane(low, 2), f32x4.extract_lane(low, 3)));
  let most = max(max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)), max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)));
  let missing = <usize>(i32x4.extract_lane(nans, 0) + i32x4.extract_lane(nans, 1) + i32x4.extract_lane(nans, 2) + i32x4.extract_lane(nans, 3));
  for (const end = WIDE + (count << 2); p < end; p += 4) {
    const x = load<f32>(p);
    if (x != x) missing++;
    if (x < least) least = x;
    if (x > most) most = x;
  }
  minimum = least;
  maximum = most;
  return missing;
}
