/** Decoder of difference blocks, element by element, written from the format's description (../sibling/format.ts). */
import type { WordLayout } from "../entropy/encode.ts";
import {
  bucketOf,
  CLASSES,
  classOf,
  EQUAL,
  expectedWeight,
  firstSlots,
  frequenciesOf,
  GROUP,
  lowestOf,
  openBits,
  putWord,
  wordAt,
  wordFrom,
} from "./sibling-model.ts";

class Bits {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, byte: number) {
    this.#bytes = bytes;
    this.#at = 8 * byte;
  }

  /** The next bits as a number. */
  take(count: number): number {
    let value = 0;
    for (let k = 0; k < count; k++, this.#at++) {
      const byte = this.#bytes[this.#at >> 3];
      if (byte === undefined) throw new Error("the block is cut off");
      value += ((byte >> (this.#at & 7)) & 1) * 2 ** k;
    }
    return value;
  }

  code(order: number): number {
    let zeros = 0;
    while (this.take(1) === 0) zeros++;
    const q = 2 ** zeros + this.take(zeros);
    return (q - 1) * 2 ** order + this.take(order);
  }

  difference(order: number): number {
    const value = this.code(order);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  /** The number of whole bytes from the start that hold what was taken. */
  get bytesTaken(): number {
    return (this.#at + 7) >> 3;
  }
}

/** See `decodeDifference` of the kernels. */
export function decodeDifference(block: Uint8Array, sibling: Uint8Array, layout: WordLayout): Uint8Array {
  if (block[0] === 0 && block.length === 1) return sibling.slice();
  if (block[0] !== 1) throw new Error(`there is no method ${block[0]}`);
  const precision = block[1]!;
  const width = layout.elementBytes;
  const count = sibling.length / width;
  const header = new Bits(block, 5);
  const levels = readLevels(header, Math.ceil(count / GROUP));
  const tableOf = [0];
  for (let k = 1; k < CLASSES; k++) tableOf.push(tableOf[k - 1]! + header.take(1));
  const tables = Array.from({ length: tableOf[CLASSES - 1]! + 1 }, () => readTable(header, precision));

  // Which elements are coded, and their tables.
  const coded: { element: number; table: (typeof tables)[number] }[] = [];
  levels.forEach((level, group) => {
    const end = Math.min(GROUP * (group + 1), 32 * Math.ceil(count / 32));
    if (level === EQUAL) return;
    for (let i = GROUP * group; i < end; i++) {
      coded.push({ element: i, table: tables[tableOf[classOf(level, wordAt(sibling, width, i), layout)]!]! });
    }
  });

  let at = header.bytesTaken;
  const number = (bytes: number) => {
    at += bytes;
    if (at > block.length) throw new Error("the block is cut off");
    return wordAt(block.subarray(at - bytes), bytes, 0);
  };
  const states = Array.from({ length: 32 }, () => number(4));
  const wordsEnd = at + wordAt(block.subarray(2), 3, 0);
  const symbols = coded.map(({ table }, n) => {
    const state = states[n % 32]!;
    const slot = state % 4096;
    const symbol = table.firsts.findLastIndex((first, s) => first <= slot && table.frequencies[s]! > 0);
    let next = table.frequencies[symbol]! * Math.floor(state / 4096) + slot - table.firsts[symbol]!;
    if (next < 2 ** 15) next = next * 2 ** 16 + number(2);
    states[n % 32] = next;
    return symbol;
  });
  if (at !== wordsEnd) throw new Error("the number of words is wrong");
  if (states.some((state) => state >>> 16 !== 1)) throw new Error("the last states are wrong");
  const held = states.flatMap((state) => [state % 256, Math.floor(state / 256) % 256]);
  const raw = new Bits(Uint8Array.from([...held, ...block.subarray(wordsEnd)]), 0);
  const out = sibling.slice();
  coded.forEach(({ element }, n) => {
    const bucket = symbols[n]! % 128;
    const distance = lowestOf(bucket, precision) + raw.take(openBits(bucket, precision));
    if (element >= count) return;
    const difference = symbols[n]! < 128 ? distance : -distance;
    putWord(out, width, element, wordFrom(difference, wordAt(sibling, width, element), width));
  });
  if (wordsEnd + Math.max(0, raw.bytesTaken - 64) !== block.length) throw new Error("bytes are left over");
  return out;
}

function readLevels(bits: Bits, groups: number): number[] {
  const changeOrder = bits.take(3);
  const lengthOrder = bits.take(3);
  const levels: number[] = [];
  let last = 0;
  while (levels.length < groups) {
    const change = bits.difference(changeOrder);
    const length = bits.code(lengthOrder) + 1;
    const isEqual = change === 0 && levels.at(-1) !== EQUAL;
    if (!isEqual) last += change;
    for (let k = 0; k < length; k++) levels.push(isEqual ? EQUAL : last);
  }
  if (levels.length > groups) throw new Error("there are too many levels");
  return levels;
}

function readTable(bits: Bits, precision: number): { frequencies: number[]; firsts: number[] } {
  const weights: number[] = new Array(256).fill(0);
  const r = bits.take(2);
  for (const sign of [0, 128]) {
    const first = sign === 0 ? 0 : 1;
    const buckets = bits.take(7);
    const order = bits.take(2);
    let expected = sign === 0 ? 0 : weights[1]!;
    for (let y = first; y < first + buckets; y++) {
      if (y > first) expected = expectedWeight(weights[sign + y - 1]!, y, precision);
      weights[sign + y] = lowestOf(bucketOf(expected, r) + bits.difference(order), r);
    }
  }
  const frequencies = frequenciesOf(weights);
  return { frequencies, firsts: firstSlots(frequencies) };
}
