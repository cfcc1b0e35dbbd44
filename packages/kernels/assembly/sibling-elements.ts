// What the encoder's and the decoder's loops over elements share: see sibling-symbols.ts.
import { CONSTANTS, GROUP, LEVELS } from "./sibling-memory";
import { swizzle } from "./relaxed";

// The precision of the buckets of 4 bytes: more of them would not leave room for the sign in a symbol.
export const PRECISION_4: i32 = 2;

const SIBLING_CONSTANTS: usize = CONSTANTS + 128;
export const LOW_15: usize = SIBLING_CONSTANTS;
export const LOW_31: usize = SIBLING_CONSTANTS + 16;
export const POWERS: usize = SIBLING_CONSTANTS + 32;
export const BYTES_2: usize = SIBLING_CONSTANTS + 48;
export const BYTES_4: usize = SIBLING_CONSTANTS + 64;
export const ONES_2: usize = SIBLING_CONSTANTS + 80;
export const ONES_4: usize = SIBLING_CONSTANTS + 96;
export const LAST_CLASS: usize = SIBLING_CONSTANTS + 112;
export const NEGATIVE_2: usize = SIBLING_CONSTANTS + 128;
export const NEGATIVE_4: usize = SIBLING_CONSTANTS + 144;
export const POWERS_DOWN: usize = SIBLING_CONSTANTS + 160;
export const FIRST_2: usize = SIBLING_CONSTANTS + 176;
export const FIRST_4: usize = SIBLING_CONSTANTS + 192;
export const NEXT_2: usize = SIBLING_CONSTANTS + 208;
export const NEXT_4: usize = SIBLING_CONSTANTS + 224;

export function prepareElements(): void {
  v128.store(LOW_15, i16x8.splat(0x7fff));
  v128.store(LOW_31, i32x4.splat(0x7fffffff));
  for (let i: usize = 0; i < 16; i++) {
    store<u8>(POWERS + i, <u8>(i < 8 ? <u32>1 << <u32>i : 0));
    store<u8>(POWERS_DOWN + i, <u8>(<u32>128 >> <u32>i));
  }
  v128.store(BYTES_2, i16x8.splat(0x0800)); // byte k of a lane looks up n - 8 k
  v128.store(BYTES_4, i32x4.splat(0x18100800));
  v128.store(ONES_2, i16x8.splat(1));
  v128.store(ONES_4, i32x4.splat(1));
  v128.store(LAST_CLASS, i16x8.splat(15));
  v128.store(NEGATIVE_2, i16x8.splat(128));
  v128.store(NEGATIVE_4, i32x4.splat(128));
  v128.store(FIRST_2, i16x8.splat(<i16>0x8000)); // indices of at least 128 select zeros
  v128.store(FIRST_4, i32x4.splat(0x80808000));
  v128.store(NEXT_2, i16x8.splat(0x0201));
  v128.store(NEXT_4, i32x4.splat(0x04030201));
}

// 2^n in lanes of 16 bits, n < 16; of 32 bits, n < 32. Bytes of n - 8 k that are negative or above 7 select zeros.
@inline export function power2(n: v128, powers: v128, bytes: v128): v128 {
  return swizzle(powers, i8x16.sub(v128.or(n, i16x8.shl(n, 8)), bytes));
}
@inline export function power4(n: v128, powers: v128, bytes: v128): v128 {
  return i8x16.swizzle(powers, i8x16.sub(fourTimes(n), bytes)); // indices from 16 to 127 come up: not for relaxed SIMD
}

// The lowest byte of lanes of 32 bits in all of their bytes.
@inline export function fourTimes(n: v128): v128 {
  return i8x16.shuffle(n, n, 0, 0, 0, 0, 4, 4, 4, 4, 8, 8, 8, 8, 12, 12, 12, 12);
}

// The classes of 8 elements from the exponent fields of their siblings: level - exponent, from 0 to 15.
@inline export function classes(level: v128, exponents: v128, last: v128): v128 {
  return i16x8.min_s(i16x8.sub_sat_u(level, exponents), last);
}

// The end of a group: behind the last one, elements up to a multiple of 32 are coded, too.
@inline export function endOf(group: usize, count: usize): usize {
  return min(group + GROUP, (count + 31) & ~31);
}

@inline export function levelOf(group: usize): i32 {
  return <i32>load<i16>(LEVELS + (group / GROUP << 1));
}
