/** Section 11 of docs/format.md, Sibling: a block of differences. */
import { type Cursor, must } from "./bytes.ts";

const GROUP_WORDS = 256;
const STATES = 32;

/** The words of a block, from as many of the sibling. */
export function decodeDifferences(
  block: Cursor,
  sibling: Buffer,
  width: number,
  mantissaBits: number,
): Buffer {
  const method = block.u8();
  must(method < 2, `a block of differences of method ${method}`);
  if (method === 0) return sibling;
  const precision = block.u8();
  must(precision === 2 || precision === 3, "a block of differences of another precision");
  const wordBytes = block.uint(3);
  const count = sibling.length / width;
  const bits = new Bits(block);
  const levels = levelsOf(bits, Math.ceil(count / GROUP_WORDS));
  const tableOfClass = [0];
  for (let k = 1; k < 16; k++) tableOfClass.push(tableOfClass[k - 1]! + bits.number(1));
  const slots = Array.from({ length: tableOfClass[15]! + 1 }, () => slotsOf(tableOf(bits, precision)));
  bits.toWholeByte();

  const padded = Math.ceil(count / 32) * 32;
  const top = 2 ** (8 * width - 1);
  const other = Array.from({ length: padded }, (_, index) =>
    index < count ? sibling.readUIntLE(index * width, width) : 0,
  );
  const levelOf = (index: number): number | undefined =>
    levels[Math.floor(Math.min(index, count - 1) / GROUP_WORDS)];
  const coded = other.flatMap((_, index) => (levelOf(index) === undefined ? [] : [index]));

  const states = Array.from({ length: STATES }, () => block.uint(4));
  const end = block.at + wordBytes;
  const symbols = coded.map((index, i) => {
    const exponent = Math.floor((other[index]! % top) / 2 ** mantissaBits);
    const k = Math.min(15, Math.max(0, levelOf(index)! - exponent));
    const state = states[i % STATES]!;
    const { symbol, frequency, below } = slots[tableOfClass[k]!]![state % 4096]!;
    let next = frequency * Math.floor(state / 4096) + (state % 4096) - below;
    if (next < 2 ** 15) next = next * 2 ** 16 + block.uint(2);
    states[i % STATES] = next;
    return symbol;
  });
  must(block.at === end, "there are more or fewer words than symbols take");
  must(
    states.every((state) => Math.floor(state / 65_536) === 1),
    "a state does not end as it began",
  );

  const open = symbols.map((symbol) => openBits(symbol % 128, precision));
  const rawBytes = Math.ceil(open.reduce((sum, one) => sum + one, 0) / 8);
  const inStates = Buffer.from(states.flatMap((state) => [state & 255, (state >> 8) & 255]));
  const raw = Buffer.concat([inStates, block.take(Math.max(0, rawBytes - inStates.length))]);
  let position = 0;
  const out = Buffer.from(sibling);
  coded.forEach((index, i) => {
    let rest = 0;
    for (let bit = 0; bit < open[i]!; bit++, position++)
      rest += ((raw[position >> 3]! >> (position & 7)) & 1) * 2 ** bit;
    const magnitude = lowestOf(symbols[i]! % 128, precision) + rest;
    const d = symbols[i]! >= 128 ? -magnitude : magnitude;
    const word = other[index]!;
    const x = ((((word % top) + d) % (2 * top)) + 2 * top) % (2 * top);
    const isTurned = x >= top;
    const isNegative = word >= top !== isTurned;
    if (index < count)
      out.writeUIntLE((isTurned ? 2 * top - 1 - x : x) + (isNegative ? top : 0), index * width, width);
  });
  return out;
}

/** The level of each group; none for equal ones. */
function levelsOf(bits: Bits, groups: number): (number | undefined)[] {
  const [changeOrder, lengthOrder] = [bits.number(3), bits.number(3)];
  const levels: (number | undefined)[] = [];
  let last = 0;
  let wasEqual = false;
  while (levels.length < groups) {
    const change = bits.code(changeOrder);
    const run = bits.code(lengthOrder) + 1;
    wasEqual = change === 0 && !wasEqual;
    if (!wasEqual) {
      last += signed(change);
      must(last >= 1 && last <= 511, "a level is out of range");
    }
    for (let index = 0; index < run; index++) levels.push(wasEqual ? undefined : last);
  }
  must(levels.length === groups, "a run of levels is too long");
  return levels;
}

/** The frequencies of a table. */
function tableOf(bits: Bits, precision: number): number[] {
  const r = bits.number(2);
  const weights = new Array<number>(256).fill(0);
  for (const first of [0, 129]) {
    const [count, order] = [bits.number(7), bits.number(2)];
    for (let symbol = first; symbol < first + count; symbol++) {
      const y = symbol % 128;
      const growth = y === 0 ? 1 : 2 ** (openBits(y, precision) - openBits(y - 1, precision));
      const before = symbol === 0 ? 0 : Math.min(4096, weights[symbol - 1]! * growth);
      const bucket = bucketOf(symbol === 129 ? weights[1]! : before, r) + signed(bits.code(order));
      must(bucket >= 0 && bucket <= bucketOf(4096, r), "a weight is out of range");
      weights[symbol] = lowestOf(bucket, r);
    }
  }
  return frequenciesOf(weights);
}

function frequenciesOf(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight);
  must(total > 0, "a table is empty");
  const only = weights.indexOf(total);
  if (only >= 0) return weights.map((_, symbol) => (symbol === only ? 4095 : symbol === (only ^ 1) ? 1 : 0));
  const frequencies = weights.map((weight) =>
    weight === 0 ? 0 : Math.max(1, Math.floor((8192 * weight + total) / (2 * total))),
  );
  for (;;) {
    const missing = 4096 - frequencies.reduce((sum, frequency) => sum + frequency);
    if (missing === 0) return frequencies;
    const largest = frequencies.indexOf(Math.max(...frequencies));
    const most = Math.max(1, Math.floor(frequencies[largest]! / 16));
    frequencies[largest]! += Math.max(-most, Math.min(most, missing));
  }
}

interface Slot {
  readonly symbol: number;
  readonly frequency: number;
  /** Frequencies of all lower symbols. */
  readonly below: number;
}

function slotsOf(frequencies: readonly number[]): Slot[] {
  const slots: Slot[] = [];
  frequencies.forEach((frequency, symbol) => {
    const below = slots.length;
    for (let index = 0; index < frequency; index++) slots.push({ symbol, frequency, below });
  });
  return slots;
}

function openBits(bucket: number, precision: number): number {
  return Math.max(0, Math.floor(bucket / 2 ** precision) - 1);
}

function lowestOf(bucket: number, precision: number): number {
  const open = openBits(bucket, precision);
  return (bucket - open * 2 ** precision) * 2 ** open;
}

function bucketOf(value: number, precision: number): number {
  let bucket = 0;
  while (lowestOf(bucket + 1, precision) <= value) bucket++;
  return bucket;
}

/** 1: the number that a zigzag code stands for. */
function signed(code: number): number {
  return code % 2 === 0 ? code / 2 : -(code + 1) / 2;
}

/** Bits of bytes, from the least significant on. */
class Bits {
  readonly #from: Cursor;
  #byte = 0;
  #left = 0;

  constructor(from: Cursor) {
    this.#from = from;
  }

  number(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index++) {
      if (this.#left === 0) {
        this.#byte = this.#from.u8();
        this.#left = 8;
      }
      value += (this.#byte & 1) * 2 ** index;
      this.#byte >>= 1;
      this.#left--;
    }
    return value;
  }

  /** Frequencies: a code of an order. */
  code(order: number): number {
    let zeros = 0;
    while (this.number(1) === 0) zeros++;
    must(zeros <= 13, "a code is too long");
    return (2 ** zeros + this.number(zeros) - 1) * 2 ** order + this.number(order);
  }

  toWholeByte(): void {
    must(this.#byte === 0, "bits follow the tables");
    this.#left = 0;
  }
}
