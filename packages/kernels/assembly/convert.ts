// Conversions between float32 and the two 16-bit floats, rounded to nearest, ties to even, and the range of float32 values.
// All in integer operations on the bit patterns but for the subnormals of float16, which an addition of floats rounds.
//
// Memory:
//
//   0        +--------------+
//            | CONSTANTS    |  vectors
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

// Constants lie in memory, loaded before a loop: V8 rebuilds a v128.const each time it meets one.
const CONSTANTS: usize = 64;
const MAGNITUDE: usize = CONSTANTS; // all bits but the sign
const REBIAS: usize = CONSTANTS + 16; // exponent of float32 to that of float16, and half a unit less one
const ONE: usize = CONSTANTS + 32;
const HALF: usize = CONSTANTS + 48; // 0.5, where the unit of float32 is the smallest float16
const LEAST_NORMAL: usize = CONSTANTS + 64; // the smallest normal float16, 2^-14
const BEYOND: usize = CONSTANTS + 80; // just below 2^16
const BELOW_HALF: usize = CONSTANTS + 96; // of the unit of bfloat16
const INFINITY_16: usize = CONSTANTS + 112;
const PAYLOAD_16: usize = CONSTANTS + 128;
const EXPONENT_16: usize = CONSTANTS + 144; // exponent bits of float16, shifted to where float32 has its mantissa
const BIAS: usize = CONSTANTS + 160; // difference of the biases
const SIGN: usize = CONSTANTS + 176;
const LOW_15: usize = CONSTANTS + 192;

export function prepare(): void {
  v128.store(MAGNITUDE, i32x4.splat(0x7fffffff));
  v128.store(REBIAS, i32x4.splat(0xfff - (112 << 23)));
  v128.store(ONE, i32x4.splat(1));
  v128.store(HALF, i32x4.splat(126 << 23));
  v128.store(LEAST_NORMAL, i32x4.splat(113 << 23));
  v128.store(BEYOND, i32x4.splat((143 << 23) - 1));
  v128.store(BELOW_HALF, i32x4.splat(0x7fff));
  v128.store(INFINITY_16, i32x4.splat(0x7c00));
  v128.store(PAYLOAD_16, i32x4.splat(0x3ff));
  v128.store(EXPONENT_16, i32x4.splat(0x7c00 << 13));
  v128.store(BIAS, i32x4.splat(112 << 23));
  v128.store(SIGN, i32x4.splat(<i32>0x80000000));
  v128.store(LOW_15, i32x4.splat(0x7fff << 13));
}

@inline function toFloat16(
  bits: v128, magnitudes: v128, rebias: v128, one: v128, half: v128, leastNormal: v128, beyond: v128, infinity16: v128,
): v128 {
  const magnitude = v128.and(bits, magnitudes);
  // Normal results: move the exponent, add half a unit (less one if the kept bit is even), cut. A carry into the exponent is right.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), one);
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, rebias), odd), 13);
  // Subnormal results: adding 0.5 rounds to a multiple of the smallest float16.
  const small = i32x4.sub(f32x4.add(magnitude, half), half);
  const result = v128.bitselect(small, normal, i32x4.gt_s(leastNormal, magnitude));
  const bounded = v128.bitselect(infinity16, result, i32x4.gt_s(magnitude, beyond));
  return v128.or(bounded, i32x4.shl(i32x4.shr_u(bits, 31), 15));
}

// What makes NaN of the infinities that `toFloat16` has made of them; zero elsewhere.
@inline function payloadOf(bits: v128): v128 {
  const isNan = f32x4.ne(bits, bits);
  const payload = v128.and(i32x4.shr_u(bits, 13), v128.load(PAYLOAD_16));
  const none = i32x4.eq(payload, i32x4.splat(0));
  return v128.and(v128.or(payload, v128.and(none, v128.load(ONE))), isNan);
}

@inline function fromFloat16(bits: v128, low15: v128, exponents: v128, bias: v128, leastNormal: v128, sign: v128): v128 {
  const magnitude = v128.and(i32x4.shl(bits, 13), low15);
  const exponent = v128.and(magnitude, exponents);
  const isSpecial = i32x4.eq(exponent, exponents);
  const normal = i32x4.add(i32x4.add(magnitude, bias), v128.and(isSpecial, bias));
  // Subnormals: give them an exponent, then take the implied one away again.
  const small = f32x4.sub(v128.or(magnitude, leastNormal), leastNormal);
  const result = v128.bitselect(small, normal, i32x4.eq(exponent, i32x4.splat(0)));
  return v128.or(result, v128.and(i32x4.shl(bits, 16), sign));
}

// Rounding carries from the mantissa into the exponent, which is right up to Infinity; NaN are put right by `nanToBfloat16`.
@inline function toBfloat16(bits: v128, one: v128, belowHalf: v128): v128 {
  const odd = v128.and(i32x4.shr_u(bits, 16), one);
  return i32x4.shr_u(i32x4.add(i32x4.add(bits, belowHalf), odd), 16);
}

@inline function nanToBfloat16(bits: v128, rounded: v128): v128 {
  const top = i32x4.shr_u(bits, 16);
  const none = i32x4.eq(v128.and(top, i32x4.splat(0x7f)), i32x4.splat(0));
  return v128.bitselect(v128.or(top, v128.and(none, i32x4.splat(1))), rounded, f32x4.ne(bits, bits));
}

export function float32ToFloat16(count: usize): void {
  const magnitudes = v128.load(MAGNITUDE), rebias = v128.load(REBIAS), one = v128.load(ONE), half = v128.load(HALF);
  const leastNormal = v128.load(LEAST_NORMAL), beyond = v128.load(BEYOND), infinity16 = v128.load(INFINITY_16);
  let to = NARROW;
  for (let from = WIDE, end = WIDE + (count << 2); from < end; from += 32, to += 16) {
    const a = v128.load(from), b = v128.load(from, 16);
    let x = toFloat16(a, magnitudes, rebias, one, half, leastNormal, beyond, infinity16);
    let y = toFloat16(b, magnitudes, rebias, one, half, leastNormal, beyond, infinity16);
    if (v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)))) {
      x = v128.or(x, payloadOf(a));
      y = v128.or(y, payloadOf(b));
    }
    v128.store(to, i16x8.narrow_i32x4_u(x, y));
  }
}

export function float32ToBfloat16(count: usize): void {
  const one = v128.load(ONE), belowHalf = v128.load(BELOW_HALF);
  let to = NARROW;
  for (let from = WIDE, end = WIDE + (count << 2); from < end; from += 32, to += 16) {
    const a = v128.load(from), b = v128.load(from, 16);
    let x = toBfloat16(a, one, belowHalf);
    let y = toBfloat16(b, one, belowHalf);
    if (v128.any_true(v128.or(f32x4.ne(a, a), f32x4.ne(b, b)))) {
      x = nanToBfloat16(a, x);
      y = nanToBfloat16(b, y);
    }
    v128.store(to, i16x8.narrow_i32x4_u(x, y));
  }
}

export function float16ToFloat32(count: usize): void {
  const low15 = v128.load(LOW_15), exponents = v128.load(EXPONENT_16), bias = v128.load(BIAS);
  const leastNormal = v128.load(LEAST_NORMAL), sign = v128.load(SIGN);
  let to = WIDE;
  for (let from = NARROW, end = NARROW + (count << 1); from < end; from += 16, to += 32) {
    const bits = v128.load(from);
    v128.store(to, fromFloat16(i32x4.extend_low_i16x8_u(bits), low15, exponents, bias, leastNormal, sign));
    v128.store(to, fromFloat16(i32x4.extend_high_i16x8_u(bits), low15, exponents, bias, leastNormal, sign), 16);
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
