// Byte planes: byte k of every element goes to plane k, plane 0 being the least significant one. With `rotate` each word
// is rotated left by one bit first: the sign drops to bit 0 of plane 0 and the bits below it move up, so that the
// exponent of bfloat16 and float32 (8 bits) fills the top plane exactly.
//
// Memory (all offsets are fixed; the host works in blocks of at most BLOCK bytes of elements):
//
//   0        +----------------------+
//            | unused               |  address 0 stays out of use
//   1024     +----------------------+
//            | WORDS                |  BLOCK bytes: elements, little-endian
//            +----------------------+
//            | PLANES               |  BLOCK bytes: plane k of a call with `count` elements lies at
//            |                      |  PLANES + k * stride, stride = count rounded up to 16
//            +----------------------+
//
// Kernels handle 16 elements at a time. BLOCK divides by 128, so the rounded-up tail stays inside both regions; what the
// tail holds behind `count` elements is left-over data that the host never reads.

import { joinWords2, joinWords4, joinWords8, splitWords2, splitWords4, splitWords8 } from "./transpose";

export const BLOCK: usize = 128 * 1024;
export const WORDS: usize = 1024;
export const PLANES: usize = WORDS + BLOCK;

@inline function stride(count: usize): usize {
  return (count + 15) & ~15;
}

export function split2(count: usize, rotate: bool): void {
  splitWords2(WORDS, PLANES, stride(count), count, rotate);
}
export function split4(count: usize, rotate: bool): void {
  splitWords4(WORDS, PLANES, stride(count), count, rotate);
}
export function split8(count: usize, rotate: bool): void {
  splitWords8(WORDS, PLANES, stride(count), count, rotate);
}
export function join2(count: usize, rotate: bool): void {
  joinWords2(WORDS, PLANES, stride(count), count, rotate);
}
export function join4(count: usize, rotate: bool): void {
  joinWords4(WORDS, PLANES, stride(count), count, rotate);
}
export function join8(count: usize, rotate: bool): void {
  joinWords8(WORDS, PLANES, stride(count), count, rotate);
}
