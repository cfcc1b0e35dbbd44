/**
 * Encoder of difference blocks, element by element: one that makes other choices than the kernels' (every group has its own level, every
 * class its own table, orders and precisions are what the caller says), so that decoders meet more of the format.
 */
import type { WordLayout } from "../entropy/encode.ts";
import {
  bucketOf,
  CLASSES,
  classOf,
  differenceOf,
  EQUAL,
  expectedWeight,
  firstSlots,
  frequenciesOf,
  GROUP,
  lowestOf,
  openBits,
  wordAt,
} from "./sibling-model.ts";

/** What an encoder is free to choose. */
export interface Choices {
  /** Precision of distances: 2, or 3 for 2 bytes. */
  readonly precision: number;
  /** Precision of weights, 0 to 3, and the orders of codes, 0 to 3. */
  readonly weightPrecision: number;
  readonly order: number;
  /** The level of a group that is not equal, 1 to 511. */
  readonly level: (group: number) => number;
}

class Bits {
  readonly bits: number[] = [];

  put(value: number, count: number): void {
    for (let k = 0; k < count; k++) this.bits.push(Math.floor(value / 2 ** k) % 2);
  }

  code(value: number, order: number): void {
    const q = Math.floor(value / 2 ** order) + 1;
    const more = Math.floor(Math.log2(q));
    this.put(2 ** more, more + 1);
    this.put(q - 2 ** more, more);
    this.put(value % 2 ** order, order);
  }

  difference(value: number, order: number): void {
    this.code(value >= 0 ? 2 * value : -2 * value - 1, order);
  }

  bytes(): number[] {
    const bytes: number[] = new Array(Math.ceil(this.bits.length / 8)).fill(0);
    this.bits.forEach((bit, k) => {
      bytes[k >> 3]! += bit << (k & 7);
    });
    return bytes;
  }
}

/** A block that decodes to `words`, however large. */
export function encodeDifference(
  words: Uint8Array,
  sibling: Uint8Array,
  layout: WordLayout,
  { precision, weightPrecision, order, level }: Choices,
): Uint8Array {
  const width = layout.elementBytes;
  const count = words.length / width;
  const levels = Array.from({ length: Math.ceil(count / GROUP) }, (_, group) => {
    const [start, end] = [group * GROUP * width, (group + 1) * GROUP * width];
    const isEqual = words.subarray(start, end).every((byte, k) => byte === sibling[start + k]);
    return isEqual ? EQUAL : level(group);
  });

  const elements: { k: number; symbol: number }[] = [];
  const raw = new Bits();
  const counts = Array.from({ length: CLASSES }, () => new Array<number>(256).fill(0));
  levels.forEach((level, group) => {
    const end = Math.min(GROUP * (group + 1), 32 * Math.ceil(count / 32));
    if (level === EQUAL) return;
    for (let i = GROUP * group; i < end; i++) {
      const own = wordAt(sibling, width, i);
      const difference = differenceOf(wordAt(words, width, i), own, width);
      const distance = Math.abs(difference);
      const bucket = bucketOf(distance, precision);
      raw.put(distance - lowestOf(bucket, precision), openBits(bucket, precision));
      const k = classOf(level, own, layout);
      const symbol = bucket + (difference < 0 ? 128 : 0);
      counts[k]![symbol]!++;
      elements.push({ k, symbol });
    }
  });
  if (elements.length === 0) return Uint8Array.of(0);

  const header = new Bits();
  writeLevels(header, levels, order);
  header.put(2 ** (CLASSES - 1) - 1, CLASSES - 1);
  const tables = counts.map((ofClass) => {
    const frequencies = writeTable(header, ofClass, precision, weightPrecision, order);
    return { frequencies, firsts: firstSlots(frequencies) };
  });

  const rawBytes = raw.bytes();
  const states = Array.from(
    { length: 32 },
    (_, k) => 2 ** 16 + (rawBytes[2 * k] ?? 0) + 256 * (rawBytes[2 * k + 1] ?? 0),
  );
  const coded: number[] = [];
  for (let n = elements.length - 1; n >= 0; n--) {
    const { k, symbol } = elements[n]!;
    const frequency = tables[k]!.frequencies[symbol]!;
    let state = states[n % 32]!;
    if (state >= frequency * 2 ** 19) {
      coded.unshift(state % 256, Math.floor(state / 256) % 256);
      state = Math.floor(state / 2 ** 16);
    }
    states[n % 32] = Math.floor(state / frequency) * 4096 + (state % frequency) + tables[k]!.firsts[symbol]!;
  }
  const length = coded.length;
  return Uint8Array.from([
    ...[1, precision, length % 256, Math.floor(length / 256) % 256, Math.floor(length / 65536)],
    ...header.bytes(),
    ...states.flatMap((state) => [0, 1, 2, 3].map((k) => Math.floor(state / 256 ** k) % 256)),
    ...coded,
    ...rawBytes.slice(64),
  ]);
}

function writeLevels(bits: Bits, levels: readonly number[], order: number): void {
  bits.put(order, 3);
  bits.put(order, 3);
  let last = 0;
  for (let group = 0; group < levels.length; ) {
    const level = levels[group]!;
    let end = group;
    while (levels[end] === level) end++;
    bits.difference(level === EQUAL ? 0 : level - last, order);
    bits.code(end - group - 1, order);
    if (level !== EQUAL) last = level;
    group = end;
  }
}

/** Writes a table and returns its frequencies. A class without elements gets a table of one symbol. */
function writeTable(
  bits: Bits,
  counts: readonly number[],
  precision: number,
  r: number,
  order: number,
): number[] {
  const total = Math.max(
    4096,
    counts.reduce((sum, count) => sum + count),
  );
  const weights = counts.map((count) =>
    count === 0 ? 0 : lowestOf(bucketOf(Math.max(1, Math.round((4096 * count) / total)), r), r),
  );
  if (!weights.some((weight) => weight > 0)) weights[0] = 1;
  bits.put(r, 2);
  for (const sign of [0, 128]) {
    const first = sign === 0 ? 0 : 1;
    const end = weights.findLastIndex((weight, s) => s >= sign && s < sign + 128 && weight > 0) - sign + 1;
    bits.put(Math.max(0, end - first), 7);
    bits.put(order, 2);
    let expected = sign === 0 ? 0 : weights[1]!;
    for (let y = first; y < end; y++) {
      if (y > first) expected = expectedWeight(weights[sign + y - 1]!, y, precision);
      bits.difference(bucketOf(weights[sign + y]!, r) - bucketOf(expected, r), order);
    }
  }
  return frequenciesOf(weights);
}
