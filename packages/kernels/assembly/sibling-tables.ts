// Tables of the classes of a block. A table is written as weights, roughly: numbers that buckets of a precision r begin with (see below), as
// precise as the table is known. Frequencies follow from weights by integer arithmetic.
//
//   for each class but the lowest 1 bit: it has a table of its own (1) or shares the one of the class below (0); then the tables:
//     2 bits   r
//     for the distances d >= 0, and then for d < 0:
//       7 bits   number of buckets of |d|, from bucket 0, for d < 0 from bucket 1
//       2 bits   order of the codes
//       codes    the bucket of each weight, as difference to that of the expected weight: the one before, times 2 where buckets of
//                distances begin to be twice as wide, at most 4096. Before the first of d >= 0: 0, of d < 0: that of d >= 0, bucket 1
//
// Buckets of precision r: numbers below 2^(r + 1) themselves; above, each octave has 2^r of them.
import { orderFor, readBits, readCode, unzigzag, writeBits, writeCode, zigzag } from "./bits";
import { fillSlots } from "./rans-states";
import { CLASSES, COUNTS, DECODE, FREQUENCIES, LOGARITHMS, NO_COUNTS, TABLE_OF, TOTALS, WEIGHTS } from "./sibling-memory";

const TOTAL: u32 = 4096;
const NEGATIVE: usize = 128;

// Bits that a table's header and each of its symbols take, about.
const TABLE_BITS: f32 = 24;
const SYMBOL_BITS: f32 = 5;

// Between classes with more elements there is nothing to gain by sharing.
const SMALL_CLASS: u32 = 4096;

// Tables of more elements are written more precisely.
const ELEMENTS_FOR_2: u32 = 8192;
const ELEMENTS_FOR_3: u32 = 100000;

@inline function openBits(bucket: u32, precision: u32): u32 {
  return max<i32>(<i32>(bucket >> precision) - 1, 0);
}
@inline function bucketOf(value: u32, precision: u32): u32 {
  const open = max<i32>(31 - clz<i32>(value) - <i32>precision, 0);
  return (open << precision) + (value >> open);
}
@inline function nearestBucket(value: u32, precision: u32): u32 {
  const open = max<i32>(31 - clz<i32>(value) - <i32>precision, 0);
  return bucketOf(value + ((<u32>1 << open) >> 1), precision);
}
@inline function lowestOf(bucket: u32, precision: u32): u32 {
  const open = openBits(bucket, precision);
  return (bucket - (open << precision)) << open;
}

// The logarithm of a count, to 12 bits; 0 of 0.
@inline function logarithm(count: u32): f32 {
  const open = max<i32>(20 - clz<i32>(count), 0);
  return load<f32>(LOGARITHMS + (<usize>(count >> open) << 2)) + <f32>open;
}

// Mantissas bit by bit: squaring doubles the logarithm. (Library functions keep tables in this memory, where the map has other things.)
export function prepareTables(): void {
  store<f32>(LOGARITHMS, 0);
  for (let i: u32 = 1; i < 4096; i++) {
    const whole = 31 - clz(i);
    let logarithm = <f64>whole, mantissa = <f64>i / <f64>(1 << whole);
    for (let bit = 0.5; bit > 0.000005; bit /= 2) {
      mantissa *= mantissa;
      if (mantissa < 2) continue;
      mantissa /= 2;
      logarithm += bit;
    }
    store<f32>(LOGARITHMS + (<usize>i << 2), <f32>logarithm);
  }
}

// Bits that the symbols of a class, and of another one, would take under one table, with the table.
function tableBits(counts: usize, others: usize): f32 {
  let total: u32 = 0, bits: f32 = TABLE_BITS;
  for (let s: usize = 0; s < 1024; s += 16) {
    if (!v128.any_true(v128.or(v128.load(counts + s), v128.load(others + s)))) continue;
    for (let k = s; k < s + 16; k += 4) {
      const count = load<u32>(counts + k) + load<u32>(others + k);
      if (!count) continue;
      total += count;
      bits += SYMBOL_BITS - <f32>count * logarithm(count);
    }
  }
  return bits + <f32>total * logarithm(total);
}

// Adds the counts of classes that get no table of their own to those of the class below, and clears them. TOTALS gets the number of
// elements under each table.
function shareTables(): void {
  let below = -1;
  for (let k: i32 = 0; k < <i32>CLASSES; k++) {
    const counts = COUNTS + (<usize>k << 10);
    let sums = i32x4.splat(0);
    for (let s: usize = 0; s < 1024; s += 16) sums = i32x4.add(sums, v128.load(counts + s));
    const total = sumOf(sums);
    store<u32>(TOTALS + (<usize>k << 2), total);
    if (!total) continue;
    if (below < 0 || !isSmallerShared(below, k)) {
      below = k;
      continue;
    }
    const countsBelow = COUNTS + (<usize>below << 10), totalBelow = TOTALS + (<usize>below << 2);
    for (let s: usize = 0; s < 1024; s += 16) {
      v128.store(countsBelow + s, i32x4.add(v128.load(countsBelow + s), v128.load(counts + s)));
      v128.store(counts + s, i32x4.splat(0));
    }
    store<u32>(totalBelow, load<u32>(totalBelow) + total);
    store<u32>(TOTALS + (<usize>k << 2), 0);
  }
}

function isSmallerShared(a: i32, b: i32): bool {
  if (min(load<u32>(TOTALS + (<usize>a << 2)), load<u32>(TOTALS + (<usize>b << 2))) >= SMALL_CLASS) return false;
  const countsA = COUNTS + (<usize>a << 10), countsB = COUNTS + (<usize>b << 10);
  return tableBits(countsA, countsB) <= tableBits(countsA, NO_COUNTS) + tableBits(countsB, NO_COUNTS);
}

// What the weight of bucket y of distances is expected to be after that of y - 1.
@inline function expected(weight: u32, y: u32, precision: u32): u32 {
  return min(weight << (openBits(y, precision) - openBits(y - 1, precision)), TOTAL);
}

// Writes one half of a table, and its weights to WEIGHTS.
function writeHalf(counts: usize, sign: usize, total: u32, r: u32, precision: u32): void {
  const first: u32 = sign ? 1 : 0;
  let stop = first;
  for (let y: u32 = first; y < 128; y++) if (load<u32>(counts + ((sign + y) << 2))) stop = y + 1;
  const scale = total > TOTAL ? <f32>TOTAL / <f32>total : 1;
  let weight: u32 = sign ? load<u16>(WEIGHTS + 2) : 0, sum: u32 = 0;
  for (let y = first; y < stop; y++) {
    const count = load<u32>(counts + ((sign + y) << 2));
    const bucket = count ? nearestBucket(max<u32>(<u32>(<f32>count * scale + 0.5), 1), r) : 0;
    const guess = bucketOf(y > first ? expected(weight, y, precision) : weight, r);
    weight = lowestOf(bucket, r);
    store<u16>(WEIGHTS + ((sign + y) << 1), <u16>weight);
    const code = zigzag(<i32>bucket - <i32>guess);
    store<u16>(WEIGHTS + ((256 + y) << 1), <u16>code);
    sum += code;
  }
  const order = orderFor(sum, stop - first, 3);
  writeBits(stop - first, 7);
  writeBits(order, 2);
  for (let y = first; y < stop; y++) writeCode(load<u16>(WEIGHTS + ((256 + y) << 1)), order);
}

// Reads one half of a table; returns whether its weights are in range.
function readHalf(sign: usize, r: u32, precision: u32): bool {
  const first: u32 = sign ? 1 : 0;
  const stop = first + readBits(7), order = readBits(2), highest = bucketOf(TOTAL, r);
  let weight: u32 = sign ? load<u16>(WEIGHTS + 2) : 0;
  for (let y = first; y < stop; y++) {
    const guess = bucketOf(y > first ? expected(weight, y, precision) : weight, r);
    const bucket = guess + unzigzag(readCode(order));
    if (bucket > highest) return false;
    weight = lowestOf(bucket, r);
    store<u16>(WEIGHTS + ((sign + y) << 1), <u16>weight);
  }
  return true;
}

// 256 frequencies from the weights in WEIGHTS: each its share of 4096, rounded, at least 1 for a weight that is not 0; then the largest one
// (the first of them) takes up what is missing or too much, at most a sixteenth of itself at a time. Where only one symbol
// has a weight, its neighbour gets a frequency too, since 4096 is none. Returns false when all weights are 0.
function setFrequencies(frequencies: usize): bool {
  let sums = i32x4.splat(0);
  for (let s: usize = 0; s < 512; s += 16) sums = i32x4.add(sums, i32x4.extadd_pairwise_i16x8_u(v128.load(WEIGHTS + s)));
  const total = sumOf(sums);
  if (!total) return false;
  // The quotients of 2 * 4096 * weight + total and 2 * total: a quarter more keeps them off the integers below.
  const share = 0.5 / <f64>total;
  let left = <i32>TOTAL;
  for (let s: usize = 0; s < 512; s += 16) {
    const eight = v128.load(WEIGHTS + s);
    v128.store(frequencies + s, eight);
    if (!v128.any_true(eight)) continue;
    for (let k = s; k < s + 16; k += 2) {
      const weight = <u32>load<u16>(WEIGHTS + k);
      if (!weight) continue;
      if (weight == total) {
        memory.fill(frequencies, 0, 512);
        store<u16>(frequencies + k, <u16>(TOTAL - 1));
        store<u16>(frequencies + (k ^ 2), 1);
        return true;
      }
      const frequency = max<u32>(<u32>((<f64>(2 * TOTAL * weight + total) + 0.25) * share), 1);
      store<u16>(frequencies + k, <u16>frequency);
      left -= frequency;
    }
  }
  while (left) {
    let largest: usize = 0, most: u32 = 0;
    for (let s: usize = 0; s < 512; s += 2) {
      const frequency = <u32>load<u16>(frequencies + s);
      if (frequency <= most) continue;
      most = frequency;
      largest = s;
    }
    const step = max<i32>(most >> 4, 1), part = max(min(left, step), -step);
    store<u16>(frequencies + largest, <u16>(most + part));
    left -= part;
  }
  return true;
}

@inline function sumOf(v: v128): u32 {
  return i32x4.extract_lane(v, 0) + i32x4.extract_lane(v, 1) + i32x4.extract_lane(v, 2) + i32x4.extract_lane(v, 3);
}

// What the tables make of the counts: bits of all symbols, and raw bits.
export let symbolBits: f64 = 0;
export let rawBits: u32 = 0;

// Writes the tables for COUNTS, and all classes' frequencies to FREQUENCIES. `precision` is that of the buckets of distances.
export function writeTables(precision: u32): void {
  shareTables();
  symbolBits = 0;
  rawBits = 0;
  let hasTable = load<u32>(TOTALS) > 0;
  for (let k: usize = 1; k < CLASSES; k++) {
    const isOwn = load<u32>(TOTALS + (k << 2)) > 0;
    writeBits(u64(isOwn && hasTable), 1); // classes below the first that has elements share its table
    hasTable = hasTable || isOwn;
  }
  let from: usize = 0;
  for (let k: usize = 0; k < CLASSES; k++) {
    const total = load<u32>(TOTALS + (k << 2)), counts = COUNTS + (k << 10), frequencies = FREQUENCIES + (k << 9);
    if (!total) {
      if (from) memory.copy(frequencies, from, 512);
      continue;
    }
    const r: u32 = total < ELEMENTS_FOR_2 ? 1 : total < ELEMENTS_FOR_3 ? 2 : 3;
    memory.fill(WEIGHTS, 0, 512);
    writeBits(r, 2);
    writeHalf(counts, 0, total, r, precision);
    writeHalf(counts, NEGATIVE, total, r, precision);
    setFrequencies(frequencies);
    from = frequencies;
    for (let s: u32 = 0; s < 256; s++) {
      const count = load<u32>(counts + (<usize>s << 2));
      if (!count) continue;
      symbolBits += <f64>(<f32>count * (12 - logarithm(load<u16>(frequencies + (<usize>s << 1)))));
      rawBits += count * openBits(s & 127, precision);
    }
  }
}

// Reads tables and builds what decoding needs; returns whether they are in order.
export function readTables(precision: u32): bool {
  let table: u8 = 0;
  store<u8>(TABLE_OF, 0);
  for (let k: usize = 1; k < CLASSES; k++) {
    table += <u8>readBits(1);
    store<u8>(TABLE_OF + k, table);
  }
  for (let k: usize = 0; k <= <usize>table; k++) {
    memory.fill(WEIGHTS, 0, 512);
    const r = readBits(2);
    if (!readHalf(0, r, precision) || !readHalf(NEGATIVE, r, precision) || !setFrequencies(FREQUENCIES)) return false;
    fillSlots(FREQUENCIES, DECODE + (k << 14));
  }
  return true;
}
