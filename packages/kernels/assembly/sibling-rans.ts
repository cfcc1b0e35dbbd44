// Range ANS of symbols under 16 tables, one for each class of symbols: 32 states that take turns, see rans.ts. A coded element is class
// << 8 | symbol for the encoder, and a table for the decoder, which looks slots up in that table.
import {
  BLOCK, BLOCK_BYTES, CLASSES, CODES, COUNTS, PARTS, PARTS_STEP, DECODE, ENCODE, FREQUENCIES, OVERRUN, PLANE, STATES,
} from "./sibling-memory";
import {
  emit, fits, isLow, LOW_12, LOW_16, LOW_8, LOWEST_STATE, pop, push, ranges, reciprocals, refill, ROUNDER,
  SLOT_OFFSET, storeEntry, symbols, taken,
} from "./rans-states";

// Counts `coded` codes, a multiple of 32, into COUNTS.
export function countCodes(coded: usize): void {
  memory.fill(PARTS, 0, 8 * PARTS_STEP);
  for (let at: usize = CODES, stop = CODES + (coded << 1), counter: usize; at < stop; at += 16) {
    counter = <usize>load<u16>(at, 0) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 0 * PARTS_STEP) + 1, PARTS + 0 * PARTS_STEP);
    counter = <usize>load<u16>(at, 2) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 1 * PARTS_STEP) + 1, PARTS + 1 * PARTS_STEP);
    counter = <usize>load<u16>(at, 4) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 2 * PARTS_STEP) + 1, PARTS + 2 * PARTS_STEP);
    counter = <usize>load<u16>(at, 6) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 3 * PARTS_STEP) + 1, PARTS + 3 * PARTS_STEP);
    counter = <usize>load<u16>(at, 8) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 4 * PARTS_STEP) + 1, PARTS + 4 * PARTS_STEP);
    counter = <usize>load<u16>(at, 10) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 5 * PARTS_STEP) + 1, PARTS + 5 * PARTS_STEP);
    counter = <usize>load<u16>(at, 12) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 6 * PARTS_STEP) + 1, PARTS + 6 * PARTS_STEP);
    counter = <usize>load<u16>(at, 14) << 1;
    store<u16>(counter, load<u16>(counter, PARTS + 7 * PARTS_STEP) + 1, PARTS + 7 * PARTS_STEP);
  }
  for (let at: usize = 0; at < CLASSES * 512; at += 16) {
    let low = i32x4.splat(0), high = low;
    for (let part: usize = PARTS + at, stop = PARTS + 8 * PARTS_STEP; part < stop; part += PARTS_STEP) {
      const eight = v128.load(part);
      low = i32x4.add(low, i32x4.extend_low_i16x8_u(eight));
      high = i32x4.add(high, i32x4.extend_high_i16x8_u(eight));
    }
    v128.store(COUNTS + (at << 1), low);
    v128.store(COUNTS + (at << 1), high, 16);
  }
}

// The encoding tables of all classes from FREQUENCIES.
export function buildEncode(): void {
  for (let table: usize = 0; table < CLASSES; table++) {
    let first: u32 = 0;
    for (let s: usize = table << 8, stop = s + 256; s < stop; s++) {
      const frequency = <u32>load<u16>(FREQUENCIES + (s << 1));
      if (!frequency) continue;
      storeEntry(ENCODE + (s << 3), frequency, first);
      first += frequency;
    }
  }
}

// The entries of the lower and the upper two of four codes.
@inline function lowEntries(four: u64): v128 {
  return v128.load64_lane(<usize>(four >> 13) & 0x7fff8, v128.load64_zero(<usize>(four << 3) & 0x7fff8, ENCODE), 1, ENCODE);
}
@inline function highEntries(four: u64): v128 {
  return v128.load64_lane(<usize>(four >> 45) & 0x7fff8, v128.load64_zero(<usize>(four >> 29) & 0x7fff8, ENCODE), 1, ENCODE);
}

// Codes `coded` codes, a multiple of 32, beginning with the states in STATES and leaving them there. The words end at BLOCK + BLOCK_BYTES
// + OVERRUN; returns where they start.
export function encode(coded: usize): usize {
  const low16 = v128.load(LOW_16), rounder = v128.load(ROUNDER);
  let x0 = v128.load(STATES), x1 = v128.load(STATES, 16), x2 = v128.load(STATES, 32), x3 = v128.load(STATES, 48);
  let x4 = v128.load(STATES, 64), x5 = v128.load(STATES, 80), x6 = v128.load(STATES, 96), x7 = v128.load(STATES, 112);
  let w = BLOCK + BLOCK_BYTES + OVERRUN;
  for (let at = CODES + (coded << 1); at > CODES;) {
    at -= 64;

    const four7 = load<u64>(at, 56);
    const a7 = lowEntries(four7), b7 = highEntries(four7);
    const range7 = ranges(a7, b7), rest7 = v128.and(range7, low16), fits7 = fits(x7, rest7);
    w = emit(w, x7, fits7);
    x7 = push(x7, range7, rest7, fits7, reciprocals(a7, b7), rounder);

    const four6 = load<u64>(at, 48);
    const a6 = lowEntries(four6), b6 = highEntries(four6);
    const range6 = ranges(a6, b6), rest6 = v128.and(range6, low16), fits6 = fits(x6, rest6);
    w = emit(w, x6, fits6);
    x6 = push(x6, range6, rest6, fits6, reciprocals(a6, b6), rounder);

    const four5 = load<u64>(at, 40);
    const a5 = lowEntries(four5), b5 = highEntries(four5);
    const range5 = ranges(a5, b5), rest5 = v128.and(range5, low16), fits5 = fits(x5, rest5);
    w = emit(w, x5, fits5);
    x5 = push(x5, range5, rest5, fits5, reciprocals(a5, b5), rounder);

    const four4 = load<u64>(at, 32);
    const a4 = lowEntries(four4), b4 = highEntries(four4);
    const range4 = ranges(a4, b4), rest4 = v128.and(range4, low16), fits4 = fits(x4, rest4);
    w = emit(w, x4, fits4);
    x4 = push(x4, range4, rest4, fits4, reciprocals(a4, b4), rounder);

    const four3 = load<u64>(at, 24);
    const a3 = lowEntries(four3), b3 = highEntries(four3);
    const range3 = ranges(a3, b3), rest3 = v128.and(range3, low16), fits3 = fits(x3, rest3);
    w = emit(w, x3, fits3);
    x3 = push(x3, range3, rest3, fits3, reciprocals(a3, b3), rounder);

    const four2 = load<u64>(at, 16);
    const a2 = lowEntries(four2), b2 = highEntries(four2);
    const range2 = ranges(a2, b2), rest2 = v128.and(range2, low16), fits2 = fits(x2, rest2);
    w = emit(w, x2, fits2);
    x2 = push(x2, range2, rest2, fits2, reciprocals(a2, b2), rounder);

    const four1 = load<u64>(at, 8);
    const a1 = lowEntries(four1), b1 = highEntries(four1);
    const range1 = ranges(a1, b1), rest1 = v128.and(range1, low16), fits1 = fits(x1, rest1);
    w = emit(w, x1, fits1);
    x1 = push(x1, range1, rest1, fits1, reciprocals(a1, b1), rounder);

    const four0 = load<u64>(at, 0);
    const a0 = lowEntries(four0), b0 = highEntries(four0);
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

// The table entries of four states, each from its table.
@inline function lookUp(x: v128, tables: usize, slotOffset: v128): v128 {
  const at = v128.or(v128.and(i32x4.shl(x, 2), slotOffset), i32x4.shl(v128.load16x4_u(tables), 14));
  const low = <u64>i64x2.extract_lane(at, 0), high = <u64>i64x2.extract_lane(at, 1);
  let t = v128.load32_zero(<usize>low, DECODE);
  t = v128.load32_lane(<usize>(low >> 32), t, 1, DECODE);
  t = v128.load32_lane(<usize>high, t, 2, DECODE);
  return v128.load32_lane(<usize>(high >> 32), t, 3, DECODE);
}

// Decodes `coded` symbols, a multiple of 32, into PLANE from the words at `words`, starting with the states in STATES, which are left as
// they are after the last one. Returns the position behind the last word taken: at most 2 * coded bytes further.
export function decode(words: usize, coded: usize): usize {
  const slotOffset = v128.load(SLOT_OFFSET), low12 = v128.load(LOW_12), low8 = v128.load(LOW_8), lowest = v128.load(LOWEST_STATE);
  let x0 = v128.load(STATES), x1 = v128.load(STATES, 16), x2 = v128.load(STATES, 32), x3 = v128.load(STATES, 48);
  let x4 = v128.load(STATES, 64), x5 = v128.load(STATES, 80), x6 = v128.load(STATES, 96), x7 = v128.load(STATES, 112);
  let p = words;
  for (let at: usize = PLANE, stop = PLANE + coded, tables: usize = CODES; at < stop; at += 32, tables += 64) {
    const t0 = lookUp(x0, tables, slotOffset);
    x0 = pop(x0, t0, low12);
    const t1 = lookUp(x1, tables + 8, slotOffset);
    x1 = pop(x1, t1, low12);
    const t2 = lookUp(x2, tables + 16, slotOffset);
    x2 = pop(x2, t2, low12);
    const t3 = lookUp(x3, tables + 24, slotOffset);
    x3 = pop(x3, t3, low12);
    v128.store(at, symbols(t0, t1, t2, t3, low8), 0);
    const t4 = lookUp(x4, tables + 32, slotOffset);
    x4 = pop(x4, t4, low12);
    const t5 = lookUp(x5, tables + 40, slotOffset);
    x5 = pop(x5, t5, low12);
    const t6 = lookUp(x6, tables + 48, slotOffset);
    x6 = pop(x6, t6, low12);
    const t7 = lookUp(x7, tables + 56, slotOffset);
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
