// Quantization of float32: 8-bit integers with a scale, ggml's blocks of 32 (q8_0, q4_0), floats of 4 to 8 bits, and sums over the error.
//
// Memory:
//
//   0        +--------------+
//            | SOURCE       |  4 * BLOCK bytes: float32
//            +--------------+
//            | DECODED      |  4 * BLOCK bytes: float32
//            +--------------+
//            | SCALES       |  4 * BLOCK / 32 bytes: float32, one per block of 32
//            +--------------+
//            | CODES        |  34 * BLOCK / 32 bytes: int8, or blocks
//            +--------------+
//            | RUNS, ...    |  scale-search.ts
//            +--------------+
//
// At most BLOCK elements a call, a multiple of 32. Kernels handle 4 to 32 elements at a time; behind `count` lies left-over data, which
// `errorSums` leaves out. The float16 scales of blocks are written and read by the caller.

export const BLOCK: usize = 32 * 1024;
export const SOURCE: usize = 0;
export const DECODED: usize = SOURCE + 4 * BLOCK;
export const SCALES: usize = DECODED + 4 * BLOCK;
export const CODES: usize = SCALES + BLOCK / 8;

const Q8_0_BYTES: usize = 34;
const Q4_0_BYTES: usize = 18;

export let largestError: f64 = 0;
export let noise: f64 = 0;
export let signal: f64 = 0;
export let energy: f64 = 0;
export let product: f64 = 0;

@inline function upper(pair: v128): v128 {
  return v128.shuffle<i64>(pair, pair, 1, 1);
}

@inline function sumOf(pair: v128): f64 {
  return f64x2.extract_lane(pair, 0) + f64x2.extract_lane(pair, 1);
}

// Sums over `count` elements of SOURCE and DECODED, in doubles: two elements of each kind side by side, then the rest. NaN shows in the sums; pmax
// leaves it out, and is one instruction where max takes seven.
export function errorSums(count: usize): void {
  let mostA = f64x2.splat(0), mostB = mostA, noiseA = mostA, noiseB = mostA, signalA = mostA, signalB = mostA;
  let energyA = mostA, energyB = mostA, productA = mostA, productB = mostA;
  const whole = count & ~3;
  let p = SOURCE;
  for (const end = SOURCE + (whole << 2); p < end; p += 16) {
    const from = v128.load(p), to = v128.load(p, DECODED - SOURCE);
    const fromA = f64x2.promote_low_f32x4(from), toA = f64x2.promote_low_f32x4(to);
    const fromB = f64x2.promote_low_f32x4(upper(from)), toB = f64x2.promote_low_f32x4(upper(to));
    const errorA = f64x2.sub(fromA, toA), errorB = f64x2.sub(fromB, toB);
    mostA = f64x2.pmax(mostA, f64x2.abs(errorA));
    mostB = f64x2.pmax(mostB, f64x2.abs(errorB));
    noiseA = f64x2.add(noiseA, f64x2.mul(errorA, errorA));
    noiseB = f64x2.add(noiseB, f64x2.mul(errorB, errorB));
    signalA = f64x2.add(signalA, f64x2.mul(fromA, fromA));
    signalB = f64x2.add(signalB, f64x2.mul(fromB, fromB));
    energyA = f64x2.add(energyA, f64x2.mul(toA, toA));
    energyB = f64x2.add(energyB, f64x2.mul(toB, toB));
    productA = f64x2.add(productA, f64x2.mul(fromA, toA));
    productB = f64x2.add(productB, f64x2.mul(fromB, toB));
  }
  const most = f64x2.pmax(mostA, mostB);
  largestError = max(f64x2.extract_lane(most, 0), f64x2.extract_lane(most, 1));
  noise = sumOf(f64x2.add(noiseA, noiseB));
  signal = sumOf(f64x2.add(signalA, signalB));
  energy = sumOf(f64x2.add(energyA, energyB));
  product = sumOf(f64x2.add(productA, productB));
  for (const end = SOURCE + (count << 2); p < end; p += 4) {
    const from = <f64>load<f32>(p), to = <f64>load<f32>(p, DECODED - SOURCE);
    const error = from - to;
    largestError = max(largestError, abs(error));
    noise += error * error;
    signal += from * from;
    energy += to * to;
    product += from * to;
  }
}

// Four elements over `scales`, as integers (ties to even), plus `zeros`: divided as doubles, so that each is rounded once. Adding 1.5 x 2^52 rounds
// to an integer, which then is the lower half of the double.
@inline function steps(elements: v128, scales: v128, rounders: v128, zeros: v128): v128 {
  const low = f64x2.add(f64x2.div(f64x2.promote_low_f32x4(elements), scales), rounders);
  const high = f64x2.add(f64x2.div(f64x2.promote_low_f32x4(upper(elements)), scales), rounders);
  return i32x4.add(v128.shuffle<i32>(low, high, 0, 2, 4, 6), zeros);
}

// SOURCE to int8 at CODES: round(element / scale) + zero, from `least` to 127.
export function toInt8(count: usize, scale: f64, zero: i32, least: i32): void {
  const scales = f64x2.splat(scale), rounders = f64x2.splat(6755399441055744), zeros = i32x4.splat(zero);
  const bottom = i8x16.splat(<i8>least);
  let to = CODES;
  for (let from = SOURCE, end = SOURCE + (count << 2); from < end; from += 64, to += 16) {
    const a = steps(v128.load(from), scales, rounders, zeros), b = steps(v128.load(from, 16), scales, rounders, zeros);
    const c = steps(v128.load(from, 32), scales, rounders, zeros), d = steps(v128.load(from, 48), scales, rounders, zeros);
    const bytes = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
    v128.store(to, i8x16.max_s(bytes, bottom));
  }
}

@inline function scaled(integers: v128, scales: v128): v128 {
  const low = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.convert_low_i32x4_s(integers), scales));
  const high = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.convert_low_i32x4_s(upper(integers)), scales));
  return v128.shuffle<i64>(low, high, 0, 2);
}

// int8 at CODES to DECODED: (q - zero) * scale. A product with a float32 scale is exact in a double, and with a zero of 0 rounded as one of floats.
export function fromInt8(count: usize, scale: f64, zero: i32): void {
  let from = CODES;
  if (zero == 0) {
    const scales = f32x4.splat(<f32>scale);
    for (let to = DECODED, end = DECODED + (count << 2); to < end; to += 32, from += 8) {
      const pairs = v128.load_ext<i8>(from);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(pairs)), scales));
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(pairs)), scales), 16);
    }
    return;
  }
  const scales = f64x2.splat(scale), zeros = i32x4.splat(zero);
  for (let to = DECODED, end = DECODED + (count << 2); to < end; to += 32, from += 8) {
    const pairs = v128.load_ext<i8>(from);
    v128.store(to, scaled(i32x4.sub(i32x4.extend_low_i16x8_s(pairs), zeros), scales));
    v128.store(to, scaled(i32x4.sub(i32x4.extend_high_i16x8_s(pairs), zeros), scales), 16);
  }
}

@inline function largestLane(lanes: v128): f32 {
  return max(
    max(f32x4.extract_lane(lanes, 0), f32x4.extract_lane(lanes, 1)),
    max(f32x4.extract_lane(lanes, 2), f32x4.extract_lane(lanes, 3)),
  );
}

// 1 / scale; 0 for a scale of 0, or so small that its inverse is infinite.
@inline function inverseOf(scale: f32): f32 {
  const inverse: f32 = 1 / scale;
  return abs(inverse) <= f32.MAX_VALUE ? inverse : 0;
}

// C's roundf of `elements * inverses`: half a step goes away from zero. What is cut off is exact, unlike a sum with 0.5.
@inline function roundAway(elements: v128, inverses: v128): v128 {
  const product = f32x4.mul(elements, inverses);
  const magnitude = f32x4.abs(product);
  const whole = f32x4.trunc(magnitude);
  const isUp = f32x4.ge(f32x4.sub(magnitude, whole), f32x4.splat(0.5));
  const integer = i32x4.sub(i32x4.trunc_sat_f32x4_s(whole), isUp);
  const sign = i32x4.shr_s(product, 31);
  return i32x4.sub(v128.xor(integer, sign), sign);
}

// Blocks of q8_0 without their scales, which go to SCALES as float32. `count` elements, a multiple of 32.
export function toQ8_0(count: usize): void {
  let to = CODES + 2, scales = SCALES;
  for (let from = SOURCE, end = SOURCE + (count << 2); from < end; from += 128, to += Q8_0_BYTES, scales += 4) {
    let most = f32x4.abs(v128.load(from));
    for (let p: usize = 16; p < 128; p += 16) most = f32x4.max(most, f32x4.abs(v128.load(from + p)));
    const scale: f32 = largestLane(most) / 127;
    store<f32>(scales, scale);
    const inverses = f32x4.splat(inverseOf(scale));
    for (let half: usize = 0; half < 2; half++) {
      const p = from + (half << 6);
      const a = roundAway(v128.load(p), inverses), b = roundAway(v128.load(p, 16), inverses);
      const c = roundAway(v128.load(p, 32), inverses), d = roundAway(v128.load(p, 48), inverses);
      v128.store(to + (half << 4), i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
    }
  }
}

export function fromQ8_0(count: usize): void {
  let from = CODES + 2, scales = SCALES;
  for (let to = DECODED, end = DECODED + (count << 2); to < end; from += Q8_0_BYTES, scales += 4) {
    const scale = v128.load_splat<f32>(scales);
    for (let p = from, stop = from + 32; p < stop; p += 8, to += 32) {
      const pairs = v128.load_ext<i8>(p);
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(pairs)), scale));
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(pairs)), scale), 16);
    }
  }
}

// The element of largest magnitude of the 32 at `from`, the first one of two that are opposite.
@inline function extremeOf(from: usize): f32 {
  let least = v128.load(from), most = least;
  for (let p: usize = 16; p < 128; p += 16) {
    const x = v128.load(from + p);
    least = f32x4.min(least, x);
    most = f32x4.max(most, x);
  }
  const high = largestLane(most), low = largestLane(f32x4.neg(least));
  if (high > low) return high;
  if (high < low) return -low;
  if (high == 0) return 0;
  let p = from;
  while (abs(load<f32>(p)) != high) p += 4;
  return load<f32>(p);
}

// 16 elements at `from` as numbers of 0 to 15, a byte each: element * inverse + 8.5, cut off.
@inline function nibbles(from: usize, inverses: v128, middle: v128): v128 {
  const a = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(v128.load(from), inverses), middle));
  const b = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(v128.load(from, 16), inverses), middle));
  const c = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(v128.load(from, 32), inverses), middle));
  const d = i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.mul(v128.load(from, 48), inverses), middle));
  const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d));
  return i8x16.min_u(bytes, i8x16.splat(15));
}

// As toQ8_0, blocks of q4_0.
export function toQ4_0(count: usize): void {
  const middle = f32x4.splat(8.5);
  let to = CODES + 2, scales = SCALES;
  for (let from = SOURCE, end = SOURCE + (count << 2); from < end; from += 128, to += Q4_0_BYTES, scales += 4) {
    const scale: f32 = extremeOf(from) / -8;
    store<f32>(scales, scale);
    const inverses = f32x4.splat(inverseOf(scale));
    const low = nibbles(from, inverses, middle), high = nibbles(from + 64, inverses, middle);
    v128.store(to, v128.or(low, i8x16.shl(high, 4)));
  }
}

@inline function storeScaled(to: usize, bytes: v128, scale: v128): void {
  const low = i16x8.extend_low_i8x16_s(bytes), high = i16x8.extend_high_i8x16_s(bytes);
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(low)), scale));
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(low)), scale), 16);
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(high)), scale), 32);
  v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(high)), scale), 48);
}

export function fromQ4_0(count: usize): void {
  const middle = i8x16.splat(8);
  let from = CODES + 2, scales = SCALES;
  for (let to = DECODED, end = DECODED + (count << 2); to < end; to += 128, from += Q4_0_BYTES, scales += 4) {
    const scale = v128.load_splat<f32>(scales);
    const pairs = v128.load(from);
    storeScaled(to, i8x16.sub(v128.and(pairs, i8x16.splat(15)), middle), scale);
    storeScaled(to + 64, i8x16.sub(i8x16.shr_u(pairs, 4), middle), scale);
  }
}

// Bits of a smaller float, without its sign. In units of its last place there, a magnitude is n; added to 1.5 x 2^23 such units, it is rounded
// to that integer, which is the difference of the bits. The exponent counts from that of the subnormals, whose unit is the smallest normal's.
@inline function smallFloat(bits: v128, exponents: v128, leastExponent: v128, unit: v128, shift: i32, largest: v128): v128 {
  const magnitude = v128.and(bits, i32x4.splat(0x7fffffff));
  const exponent = i32x4.max_s(v128.and(magnitude, exponents), leastExponent);
  const rounder = i32x4.add(exponent, unit);
  const steps = i32x4.sub(f32x4.add(magnitude, rounder), rounder);
  return i32x4.min_s(i32x4.add(steps, i32x4.shr_u(i32x4.sub(exponent, leastExponent), shift)), largest);
}

// SOURCE to floats of `mantissaBits` at CODES, a byte each, rounded to nearest, ties to even; beyond `largest` (bits) that. `leastExponent` is that
// of the smallest normal, as float32 has it (biased by 127); the sign goes to bit `sign`.
export function toSmallFloat(count: usize, mantissaBits: i32, leastExponent: i32, largest: i32, sign: i32): void {
  const exponents = i32x4.splat(0xff << 23), least = i32x4.splat(leastExponent << 23), most = i32x4.splat(largest);
  const unit = i32x4.splat(((23 - mantissaBits) << 23) | 0x400000), shift = 23 - mantissaBits;
  let to = CODES;
  for (let from = SOURCE, end = SOURCE + (count << 2); from < end; from += 64, to += 16) {
    const a = v128.load(from), b = v128.load(from, 16), c = v128.load(from, 32), d = v128.load(from, 48);
    const low = i16x8.narrow_i32x4_s(
      smallFloat(a, exponents, least, unit, shift, most), smallFloat(b, exponents, least, unit, shift, most),
    );
    const high = i16x8.narrow_i32x4_s(
      smallFloat(c, exponents, least, unit, shift, most), smallFloat(d, exponents, least, unit, shift, most),
    );
    const signs = i8x16.narrow_i16x8_s(
      i16x8.narrow_i32x4_s(i32x4.shr_s(a, 31), i32x4.shr_s(b, 31)),
      i16x8.narrow_i32x4_s(i32x4.shr_s(c, 31), i32x4.shr_s(d, 31)),
    );
    v128.store(to, v128.or(i8x16.narrow_i16x8_u(low, high), v128.and(signs, i8x16.splat(<i8>(<u32>1 << <u32>sign)))));
  }
}

export { fitRuns, fitRunsWithMinima, INTEGERS, RUN_MINIMA, RUN_SCALES, RUNS } from "./scale-search";
