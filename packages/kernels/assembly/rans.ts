// Range ANS of a plane of byte symbols under one table: 32 states, four in each of eight vectors, which take turns: symbol i belongs to
// state i mod 32. The arithmetic is in rans-states.ts.
import { BLOCK, CONSTANTS, DECODE, ENCODE, FREQUENCIES, MEMBERS, OVERRUN, STATES } from "./entropy-memory";
import {
  emit, fillSlots, fits, isLow, LOW_12, LOW_16, LOW_8, LOWEST_STATE, pop, prepareStates, push, ranges, reciprocals, refill,
  ROUNDER, SLOT_OFFSET, storeEntry, symbols, taken,
} from "./rans-states";
import { swizzle } from "./relaxed";

const NIBBLE: usize = CONSTANTS + 96;
const BITS: usize = CONSTANTS + 112;

export function prepareRans(): void {
  prepareStates();
  v128.store(NIBBLE, i8x16.splat(15));
  for (let i: usize = 0; i < 16; i++) store<u8>(BITS + i, <u8>(<u32>1 << (<u32>i & 7)));
}

// Tables for encoding from FREQUENCIES. `escape` is the symbol that stands for those without a frequency: they get its entry. It is
// no member itself, since where the plane has it, it must be escaped too. 256 when every symbol has a frequency.
export function buildEncode(escape: u32): void {
  v128.store(MEMBERS, i8x16.splat(0));
  v128.store(MEMBERS, i8x16.splat(0), 16);
  let first: u32 = 0;
  for (let s: u32 = 0; s < 256; s++) {
    const f = <u32>load<u16>(FREQUENCIES + (s << 1));
    if (!f) continue;
    storeEntry(ENCODE + (s << 3), f, first);
    first += f;
    if (s == escape) continue;
    const member = MEMBERS + (s & 15) + ((s >> 7) << 4);
    store<u8>(member, <u8>(<u32>load<u8>(member) | (<u32>1 << ((s >> 4) & 7))));
  }
  if (escape > 255) return;
  const stand = load<u64>(ENCODE + (escape << 3));
  for (let s: u32 = 0; s < 256; s++) if (!load<u16>(FREQUENCIES + (s << 1))) store<u64>(ENCODE + (s << 3), stand);
}

// Copies the symbols of a plane that have no frequency to `list`; returns how many there are. The encoder codes the escape symbol in
// their place, since their entries are its entry.
export function collectEscapes(plane: usize, count: usize, list: usize): usize {
  const low = v128.load(MEMBERS), high = v128.load(MEMBERS, 16), nibble = v128.load(NIBBLE), bits = v128.load(BITS);
  let to = list;
  for (let i: usize = 0; i < count; i += 16) {
    const s = v128.load(plane + i);
    const column = v128.and(s, nibble);
    const rows = v128.bitselect(swizzle(high, column), swizzle(low, column), i8x16.lt_s(s, i8x16.splat(0)));
    const bit = swizzle(bits, v128.and(i16x8.shr_u(s, 4), nibble));
    const missing = <u32>i8x16.bitmask(i8x16.eq(v128.and(rows, bit), i8x16.splat(0)));
    if (missing) to = copyChosen(missing, plane + i, count - i, to);
  }
  return to - list;
}

// The same for tables that have all symbols from `first` to `last`, and no other.
export function collectOutside(plane: usize, count: usize, first: u32, last: u32, list: usize): usize {
  const start = i8x16.splat(<i8>first), span = i8x16.splat(<i8>(last - first)), zero = i8x16.splat(0);
  let to = list;
  for (let i: usize = 0; i < count; i += 64) {
    const a = beyond(v128.load(plane + i), start, span), b = beyond(v128.load(plane + i, 16), start, span);
    const c = beyond(v128.load(plane + i, 32), start, span), d = beyond(v128.load(plane + i, 48), start, span);
    if (!v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) continue;
    for (let k = i; k < min(i + 64, count); k += 16) {
      const inside = i8x16.eq(beyond(v128.load(plane + k), start, span), zero);
      to = copyChosen(<u32>i8x16.bitmask(inside) ^ 0xffff, plane + k, count - k, to);
    }
  }
  return to - list;
}

@inline function beyond(s: v128, start: v128, span: v128): v128 {
  return i8x16.sub_sat_u(i8x16.sub(s, start), span);
}

// Appends to `to` the bytes at `from` whose bits are set in `chosen`, if they are among the first `count`.
function copyChosen(chosen: u32, from: usize, count: usize, to: usize): usize {
  if (count < 16) chosen &= (<u32>1 << <u32>count) - 1;
  for (; chosen; chosen &= chosen - 1) store<u8>(to++, load<u8>(from + ctz(chosen)));
  return to;
}

// Puts the symbols at `list` where the plane has `escape`; returns how many there were. Reads at most `count` of them.
export function patchEscapes(plane: usize, count: usize, escape: u32, list: usize): usize {
  const marker = i8x16.splat(<i8>escape);
  let from = list;
  for (let i: usize = 0; i < count; i += 64) {
    const a = i8x16.eq(v128.load(plane + i), marker), b = i8x16.eq(v128.load(plane + i, 16), marker);
    const c = i8x16.eq(v128.load(plane + i, 32), marker), d = i8x16.eq(v128.load(plane + i, 48), marker);
    if (!v128.any_true(v128.or(v128.or(a, b), v128.or(c, d)))) continue;
    for (let k = i; k < min(i + 64, count); k += 16) {
      let found = <u32>i8x16.bitmask(i8x16.eq(v128.load(plane + k), marker));
      if (count - k < 16) found &= (<u32>1 << <u32>(count - k)) - 1;
      for (; found; found &= found - 1) store<u8>(plane + k + ctz(found), load<u8>(from++));
    }
  }
  return from - list;
}

// The table entries of two symbols.
@inline function entries(at: usize): v128 {
  return v128.load64_lane(<usize>load<u8>(at, 1) << 3, v128.load64_zero(<usize>load<u8>(at) << 3, ENCODE), 1, ENCODE);
}

// Codes the `count` symbols (a multiple of 32) of a plane, beginning with the states in STATES and leaving them there. The words end at
// BLOCK + OVERRUN; returns where they start.
export function ransEncode(plane: usize, count: usize): usize {
  const low16 = v128.load(LOW_16), rounder = v128.load(ROUNDER);
  let x0 = v128.load(STATES), x1 = v128.load(STATES, 16), x2 = v128.load(STATES, 32), x3 = v128.load(STATES, 48);
  let x4 = v128.load(STATES, 64), x5 = v128.load(STATES, 80), x6 = v128.load(STATES, 96), x7 = v128.load(STATES, 112);
  let w = BLOCK + OVERRUN;
  for (let at = plane + count; at > plane;) {
    at -= 32;

    const a7 = entries(at + 28), b7 = entries(at + 30);
    const range7 = ranges(a7, b7), rest7 = v128.and(range7, low16), fits7 = fits(x7, rest7);
    w = emit(w, x7, fits7);
    x7 = push(x7, range7, rest7, fits7, reciprocals(a7, b7), rounder);

    const a6 = entries(at + 24), b6 = entries(at + 26);
    const range6 = ranges(a6, b6), rest6 = v128.and(range6, low16), fits6 = fits(x6, rest6);
    w = emit(w, x6, fits6);
    x6 = push(x6, range6, rest6, fits6, reciprocals(a6, b6), rounder);

    const a5 = entries(at + 20), b5 = entries(at + 22);
    const range5 = ranges(a5, b5), rest5 = v128.and(range5, low16), fits5 = fits(x5, rest5);
    w = emit(w, x5, fits5);
    x5 = push(x5, range5, rest5, fits5, reciprocals(a5, b5), rounder);

    const a4 = entries(at + 16), b4 = entries(at + 18);
    const range4 = ranges(a4, b4), rest4 = v128.and(range4, low16), fits4 = fits(x4, rest4);
    w = emit(w, x4, fits4);
    x4 = push(x4, range4, rest4, fits4, reciprocals(a4, b4), rounder);

    const a3 = entries(at + 12), b3 = entries(at + 14);
    const range3 = ranges(a3, b3), rest3 = v128.and(range3, low16), fits3 = fits(x3, rest3);
    w = emit(w, x3, fits3);
    x3 = push(x3, range3, rest3, fits3, reciprocals(a3, b3), rounder);

    const a2 = entries(at + 8), b2 = entries(at + 10);
    const range2 = ranges(a2, b2), rest2 = v128.and(range2, low16), fits2 = fits(x2, rest2);
    w = emit(w, x2, fits2);
    x2 = push(x2, range2, rest2, fits2, reciprocals(a2, b2), rounder);

    const a1 = entries(at + 4), b1 = entries(at + 6);
    const range1 = ranges(a1, b1), rest1 = v128.and(range1, low16), fits1 = fits(x1, rest1);
    w = emit(w, x1, fits1);
    x1 = push(x1, range1, rest1, fits1, reciprocals(a1, b1), rounder);

    const a0 = entries(at + 0), b0 = entries(at + 2);
    const range0 = ranges(a0, b0), rest0 = v128.and(range0, low16), fits0 = fits(x0, rest0);
    w = emit(w, x0, fits0);
    x0 = push(x0, range0, rest0, fits0, reciprocals(a0, b0), rounder);
  }
  v128.store(STATES, x0, 0);
  v128.store(STATES, x1, 16);
  v128.store(STATES, x2, 32);
  v128.store(STATES, x3, 48);
  v128.store(STATES, x4, 64);
  v128.store(STATES, x5, 80);
  v128.store(STATES, x6, 96);
  v128.store(STATES, x7, 112);
  return w;
}

// The decoding table from FREQUENCIES.
export function buildDecode(): void {
  fillSlots(FREQUENCIES, DECODE);
}

// The table entries of four states.
@inline function lookUp(x: v128, slotOffset: v128): v128 {
  const at = v128.and(i32x4.shl(x, 2), slotOffset);
  const low = <u64>i64x2.extract_lane(at, 0), high = <u64>i64x2.extract_lane(at, 1);
  let t = v128.load32_zero(<usize>low, DECODE);
  t = v128.load32_lane(<usize>(low >> 32), t, 1, DECODE);
  t = v128.load32_lane(<usize>high, t, 2, DECODE);
  return v128.load32_lane(<usize>(high >> 32), t, 3, DECODE);
}

// Decodes `count` symbols (a multiple of 32) from the words at `words`, starting with the states in STATES, which are left as they are
// after the last one. Returns the position behind the last word taken: at most 2 * count bytes further.
export function ransDecode(words: usize, plane: usize, count: usize): usize {
  const slotOffset = v128.load(SLOT_OFFSET), low12 = v128.load(LOW_12), low8 = v128.load(LOW_8), lowest = v128.load(LOWEST_STATE);
  let x0 = v128.load(STATES, 0);
  let x1 = v128.load(STATES, 16);
  let x2 = v128.load(STATES, 32);
  let x3 = v128.load(STATES, 48);
  let x4 = v128.load(STATES, 64);
  let x5 = v128.load(STATES, 80);
  let x6 = v128.load(STATES, 96);
  let x7 = v128.load(STATES, 112);
  let p = words;
  for (let at = plane, end = plane + count; at < end; at += 32) {
    const t0 = lookUp(x0, slotOffset);
    x0 = pop(x0, t0, low12);
    const t1 = lookUp(x1, slotOffset);
    x1 = pop(x1, t1, low12);
    const t2 = lookUp(x2, slotOffset);
    x2 = pop(x2, t2, low12);
    const t3 = lookUp(x3, slotOffset);
    x3 = pop(x3, t3, low12);
    v128.store(at, symbols(t0, t1, t2, t3, low8), 0);
    const t4 = lookUp(x4, slotOffset);
    x4 = pop(x4, t4, low12);
    const t5 = lookUp(x5, slotOffset);
    x5 = pop(x5, t5, low12);
    const t6 = lookUp(x6, slotOffset);
    x6 = pop(x6, t6, low12);
    const t7 = lookUp(x7, slotOffset);
    x7 = pop(x7, t7, low12);
    v128.store(at, symbols(t4, t5, t6, t7, low8), 16);
    const low_0 = isLow(x0, lowest);
    x0 = refill(x0, low_0, p);
    p += taken(low_0);
    const low_1 = isLow(x1, lowest);
    x1 = refill(x1, low_1, p);
    p += taken(low_1);
    const low_2 = isLow(x2, lowest);
    x2 = refill(x2, low_2, p);
    p += taken(low_2);
    const low_3 = isLow(x3, lowest);
    x3 = refill(x3, low_3, p);
    p += taken(low_3);
    const low_4 = isLow(x4, lowest);
    x4 = refill(x4, low_4, p);
    p += taken(low_4);
    const low_5 = isLow(x5, lowest);
    x5 = refill(x5, low_5, p);
    p += taken(low_5);
    const low_6 = isLow(x6, lowest);
    x6 = refill(x6, low_6, p);
    p += taken(low_6);
    const low_7 = isLow(x7, lowest);
    x7 = refill(x7, low_7, p);
    p += taken(low_7);
  }
  v128.store(STATES, x0, 0);
  v128.store(STATES, x1, 16);
  v128.store(STATES, x2, 32);
  v128.store(STATES, x3, 48);
  v128.store(STATES, x4, 64);
  v128.store(STATES, x5, 80);
  v128.store(STATES, x6, 96);
  v128.store(STATES, x7, 112);
  return p;
}
