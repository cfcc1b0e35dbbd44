// The level of a group of 256 elements: the exponent field that float32 has for the mean of |word - sibling|, in the scale in which the
// elements' own exponent fields are exponent fields of float32 too. Level - exponent of an element's sibling is then about how many
// octaves the differences of the group lie above that element's value.
import { orderFor, readBits, readCode, unzigzag, writeBits, writeCode, zigzag } from "./bits";
import { EQUAL, GROUP, LEVEL_LIMIT, LEVELS, SAMPLE, SIBLING, WORDS } from "./sibling-memory";

// Rounds to the nearest octave. What has infinities or NaN gets 255, the highest level.
@inline function levelOf(sum: f32, size: usize): i32 {
  return <i32>((reinterpret<u32>((sum / <f32>size) * <f32>1.41421356) >> 23) & 255);
}

@inline function sumOf(v: v128): f32 {
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1) + f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3);
}

// The first 8 of every 16 elements tell the mean: enough, and half the work. `shift` brings a word's exponent to where float32 has its
// own: 16 for bfloat16, 13 for float16.
export function levels2(count: usize, shift: i32): void {
  const mask = i32x4.splat(<i32>0x80000000 | (0x7fff << shift));
  for (let group: usize = 0; group < count; group += GROUP) {
    const size = min(GROUP, count - group);
    let sum = f32x4.splat(0), different = i32x4.splat(0);
    for (let i = group << 1, stop = (group + size) << 1; i < stop; i += 32) {
      const a = v128.load(SIBLING + i), b = v128.load(WORDS + i);
      different = v128.or(different, v128.or(v128.xor(a, b), v128.xor(v128.load(SIBLING + i, 16), v128.load(WORDS + i, 16))));
      const a0 = v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(a), shift), mask), a1 = v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(a), shift), mask);
      const b0 = v128.and(i32x4.shl(i32x4.extend_low_i16x8_s(b), shift), mask), b1 = v128.and(i32x4.shl(i32x4.extend_high_i16x8_s(b), shift), mask);
      sum = f32x4.add(sum, f32x4.add(f32x4.abs(f32x4.sub(b0, a0)), f32x4.abs(f32x4.sub(b1, a1))));
    }
    const sampled = (size >> 4 << 3) + min<usize>(size & 15, 8);
    store<i16>(LEVELS + (group / GROUP << 1), <i16>(v128.any_true(different) ? levelOf(sumOf(sum), sampled) : EQUAL));
  }
}

export function levels4(count: usize): void {
  for (let group: usize = 0; group < count; group += GROUP) {
    const size = min(GROUP, count - group);
    let sum = f32x4.splat(0), different = i32x4.splat(0);
    for (let i = group << 2, stop = (group + size) << 2; i < stop; i += 32) {
      const a = v128.load(SIBLING + i), b = v128.load(WORDS + i), c = v128.load(SIBLING + i, 16), d = v128.load(WORDS + i, 16);
      different = v128.or(different, v128.or(v128.xor(a, b), v128.xor(c, d)));
      sum = f32x4.add(sum, f32x4.add(f32x4.abs(f32x4.sub(b, a)), f32x4.abs(f32x4.sub(d, c))));
    }
    store<i16>(LEVELS + (group / GROUP << 1), <i16>(v128.any_true(different) ? levelOf(sumOf(sum), size) : EQUAL));
  }
}

// Counts level - exponent + 256 of every 32nd element of groups that differ.
export function sampleLevels(count: usize, width: usize, mantissaBits: u32): void {
  memory.fill(SAMPLE, 0, 4 * 512);
  const exponents = width == 2 ? (<u32>0x7fff >> mantissaBits) : 255;
  const upper = SIBLING + (width == 2 ? 0 : 2), shift = width == 2 ? mantissaBits : 7;
  for (let group: usize = 0; group < count; group += GROUP) {
    const level = <i32>load<i16>(LEVELS + (group / GROUP << 1));
    if (level == EQUAL) continue;
    for (let i = group, stop = min(group + GROUP, count); i < stop; i += 32) {
      const exponent = (<u32>load<u16>(upper + i * width) >> shift) & exponents;
      const counter = SAMPLE + (<usize>(level - <i32>exponent + 256) << 2);
      store<u32>(counter, load<u32>(counter) + 1);
    }
  }
}

// Levels are written as runs of groups of the same level:
//
//   3 bits   order of the codes of changes
//   3 bits   order of the codes of lengths
//   runs     until they cover all groups
//     code     behind a run that is EQUAL: the difference to the last level that was not (0 before any such). Otherwise: 0 for EQUAL,
//              or the difference to the level of the run before (first run: to 0), which is never 0
//     code     length of the run - 1
export function writeLevels(groups: usize): void {
  let runs: u32 = 0, changes: u32 = 0, last: i32 = 0;
  for (let pass = 0, changeOrder: u32 = 0, lengthOrder: u32 = 0; pass < 2; pass++) {
    if (pass) {
      changeOrder = orderFor(changes, runs, 7);
      lengthOrder = orderFor(<u32>groups - runs, runs, 7);
      writeBits(changeOrder, 3);
      writeBits(lengthOrder, 3);
      last = 0;
    }
    for (let group: usize = 0; group < groups; ) {
      const level = <i32>load<i16>(LEVELS + (group << 1)), start = group;
      while (++group < groups && <i32>load<i16>(LEVELS + (group << 1)) == level) {}
      const change: u32 = level == EQUAL ? 0 : zigzag(level - last);
      if (level != EQUAL) last = level;
      if (pass) {
        writeCode(change, changeOrder);
        writeCode(<u32>(group - start - 1), lengthOrder);
      } else {
        runs++;
        changes += change;
      }
    }
  }
}

// Returns whether runs end with the groups, and levels that are not EQUAL lie between 1 and LEVEL_LIMIT.
export function readLevels(groups: usize): bool {
  const changeOrder = readBits(3), lengthOrder = readBits(3);
  let last: i32 = 0, isEqual = false;
  for (let group: usize = 0; group < groups; ) {
    const change = readCode(changeOrder);
    const stop = group + 1 + <usize>readCode(lengthOrder);
    isEqual = !change && !isEqual;
    if (!isEqual) last += unzigzag(change);
    if (stop > groups || (!isEqual && (last < 1 || last > LEVEL_LIMIT))) return false;
    for (; group < stop; group++) store<i16>(LEVELS + (group << 1), <i16>(isEqual ? EQUAL : last));
  }
  return true;
}
