// Entropy coding of blocks of floats, other words and bytes: see entropy-memory.ts for the memory and its limits, the host's
// block format for what is written. The host plans (which tables, which modes) and hands over work by addresses of this memory.
import { PLANES, PLANE_STEP, WORDS } from "./entropy-memory";
import { prepareHalf } from "./half";
import { prepareJoint } from "./joint";
import { prepareLadder } from "./ladder";
import { prepareRans } from "./rans";
import { joinWords2, joinWords4, joinWords8, splitWords2, splitWords4, splitWords8 } from "./transpose";

export {
  BLOCK, BLOCK_BYTES, COUNTS, ESCAPES, FREQUENCIES, OVERRUN, PLANES, PLANE_STEP, REST, RUNGS, STATES, WORDS,
} from "./entropy-memory";
export { joinHalf, splitHalf } from "./half";
export { joinJoint2, joinJoint4, splitJoint2, splitJoint4 } from "./joint";
export {
  downOne, downThree1, downThree2, downThree4, upOne, upThree1, upThree2, upThree4,
} from "./ladder";
export { buildDecode, buildEncode, collectEscapes, collectOutside, patchEscapes, ransDecode, ransEncode } from "./rans";
export { sampleFloats2, sampleFloats4, sampleHalves, samplePlane } from "./sample";

export function prepare(): void {
  prepareRans();
  prepareHalf();
  prepareJoint();
  prepareLadder();
}

// Words of `width` bytes at WORDS to planes at PLANES and back. A width of 1 needs neither: its plane is its words.
export function split(width: u32, count: usize): void {
  if (width == 2) splitWords2(WORDS, PLANES, PLANE_STEP, count, false);
  else if (width == 4) splitWords4(WORDS, PLANES, PLANE_STEP, count, false);
  else splitWords8(WORDS, PLANES, PLANE_STEP, count, false);
}
export function join(width: u32, count: usize): void {
  if (width == 2) joinWords2(WORDS, PLANES, PLANE_STEP, count, false);
  else if (width == 4) joinWords4(WORDS, PLANES, PLANE_STEP, count, false);
  else joinWords8(WORDS, PLANES, PLANE_STEP, count, false);
}

// The lower halves of 4-byte words, `count` words of 2 bytes at `halves`, to planes 0 and 1 and back.
export function splitHalves(halves: usize, count: usize): void {
  splitWords2(halves, PLANES, PLANE_STEP, count, false);
}
export function joinHalves(halves: usize, count: usize): void {
  joinWords2(halves, PLANES, PLANE_STEP, count, false);
}

// Exchanges the top bits of two planes. On the two upper planes of floats it gathers exponent bits in the upper one: the sign goes
// down, the next exponent (or mantissa) bit comes up. Its own inverse.
export function exchange(upper: usize, lower: usize, count: usize): void {
  const top = i8x16.splat(<i8>0x80);
  for (let i: usize = 0; i < count; i += 16) {
    const a = v128.load(upper + i), b = v128.load(lower + i);
    const difference = v128.and(v128.xor(a, b), top);
    v128.store(upper + i, v128.xor(a, difference));
    v128.store(lower + i, v128.xor(b, difference));
  }
}

// Whether `count` bytes (at least one) are all the same.
export function isConstant(plane: usize, count: usize): bool {
  const first = load<u8>(plane);
  const all = i8x16.splat(<i8>first);
  let i: usize = 0;
  for (; i + 64 <= count; i += 64) {
    const a = v128.xor(v128.load(plane + i), all), b = v128.xor(v128.load(plane + i, 16), all);
    const c = v128.xor(v128.load(plane + i, 32), all), d = v128.xor(v128.load(plane + i, 48), all);
    if (v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) return false;
  }
  for (; i < count; i++) if (load<u8>(plane + i) != first) return false;
  return true;
}
