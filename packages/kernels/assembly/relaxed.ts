// Operations that relaxed SIMD does in one instruction where plain SIMD needs several. A module is built twice, with and
// without relaxed SIMD; both give the same results, because the relaxed freedom is never used: shuffle indices are below 16 or at least
// 128 (which select zero in both), masks are all ones or all zeros in a lane, and what is rounded is corrected afterwards.

@inline export function swizzle(bytes: v128, indices: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i8x16.relaxed_swizzle(bytes, indices) : i8x16.swizzle(bytes, indices);
}

// a * b + c, rounded once or twice: for callers whose result does not depend on it.
@inline export function multiplyAdd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

// Lanes of a where the mask is set, of b elsewhere.
@inline export function select32(a: v128, b: v128, mask: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? i32x4.relaxed_laneselect(a, b, mask) : v128.bitselect(a, b, mask);
}
