/** Section 11 of docs/format.md, Context: probabilities by mixers, and the models of bytes and of floats. */
import { Cursor, must } from "./bytes.ts";

const LOGISTIC = [
  22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743, 32768, 40793, 47911,
  53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514,
];

const { floor, trunc, min, max, abs } = Math;
const within = (value: number, low: number, high: number): number => max(low, min(high, value));
const unsigned = (value: number): number => value >>> 0;
const times32 = (a: number, b: number): number => unsigned(Math.imul(a, b));

function squash(x: number): number {
  const j = floor(x / 128);
  const f = x - 128 * j;
  return floor((LOGISTIC[j + 16]! * (128 - f) + LOGISTIC[j + 17]! * f + 64) / 128);
}

const stretches = Array.from({ length: 4096 }, (_, q) => {
  for (let x = -2047; x <= 2047; x++) if (floor(squash(x) / 16) >= q) return x;
  return 2047;
});

/** Coded bits. */
class Bits {
  readonly #payload: Buffer;
  #at = 0;
  #low = 0;
  #high = 2 ** 32 - 1;
  #value = 0;

  constructor(payload: Buffer) {
    this.#payload = payload;
    for (let index = 0; index < 4; index++) this.#value = this.#value * 256 + this.#byte();
  }

  bit(probability: number): 0 | 1 {
    const middle = this.#low + floor(((this.#high - this.#low) * probability) / 65536);
    const one = this.#value <= middle;
    if (one) this.#high = middle;
    else this.#low = middle + 1;
    while (floor(this.#low / 2 ** 24) === floor(this.#high / 2 ** 24)) {
      this.#low = (this.#low % 2 ** 24) * 256;
      this.#high = (this.#high % 2 ** 24) * 256 + 255;
      this.#value = (this.#value % 2 ** 24) * 256 + this.#byte();
    }
    return one ? 1 : 0;
  }

  end(): void {
    must(this.#at >= this.#payload.length, "bytes follow the coded bits");
  }

  #byte(): number {
    return this.#payload[this.#at++] ?? 0;
  }
}

const trusts = Array.from({ length: 256 }, (_, uses) => floor((256 * (2 * uses + 1)) / (2 * uses + 5)));
const rates = Array.from({ length: 256 }, (_, uses) => floor(32768 / (2 * uses + 3)));
const squashes = Array.from({ length: 4095 }, (_, index) => squash(index - 2047));

/** What a mixer is made of: inputs, slots of each, sets of weights in either list, limit, speed. */
interface MixerSizes {
  readonly inputs: number;
  readonly slots: number;
  readonly sets: readonly [number, number];
  readonly limit: number;
  readonly speed: number;
}

class Mixer {
  readonly #bits: Bits;
  readonly #sizes: MixerSizes;
  readonly #p: Int32Array[];
  readonly #uses: Uint8Array[];
  readonly #weights: readonly [Int32Array, Int32Array];
  readonly #x: number[];

  constructor(bits: Bits, sizes: MixerSizes) {
    const { inputs, slots, sets } = sizes;
    this.#bits = bits;
    this.#sizes = sizes;
    this.#p = Array.from({ length: inputs }, () => new Int32Array(slots).fill(2 ** 21));
    this.#uses = Array.from({ length: inputs }, () => new Uint8Array(slots));
    const first = floor(65536 / inputs);
    this.#weights = [
      new Int32Array(sets[0] * inputs).fill(first),
      new Int32Array(sets[1] * inputs).fill(first),
    ];
    this.#x = new Array<number>(inputs).fill(0);
  }

  uses(input: number, slot: number): number {
    return this.#uses[input]![slot]!;
  }

  bit(slots: readonly number[], firstSet: number, secondSet: number): 0 | 1 {
    const { inputs, limit, speed } = this.#sizes;
    const x = this.#x;
    for (let input = 0; input < inputs; input++) {
      const slot = slots[input]!;
      const stretched = stretches[floor(this.#p[input]![slot]! / 1024)]!;
      x[input] = floor((stretched * trusts[this.#uses[input]![slot]!]!) / 256);
    }
    const one = this.#mixed(0, firstSet);
    const two = this.#mixed(1, secondSet);
    const bit = this.#bits.bit(within(squashes[floor((one + two) / 2) + 2047]!, 32, 65504));
    this.#train(0, firstSet, (65536 * bit - squashes[one + 2047]!) * speed);
    this.#train(1, secondSet, (65536 * bit - squashes[two + 2047]!) * speed);
    for (let input = 0; input < inputs; input++) {
      const slot = slots[input]!;
      const p = this.#p[input]!;
      const uses = this.#uses[input]!;
      const rate = rates[uses[slot]!]!;
      if (bit === 1) p[slot]! += floor((floor((2 ** 22 - p[slot]!) / 128) * rate) / 128);
      else p[slot]! -= floor((floor(p[slot]! / 128) * rate) / 128);
      if (uses[slot]! < limit) uses[slot]!++;
    }
    return bit;
  }

  #mixed(list: 0 | 1, set: number): number {
    const { inputs } = this.#sizes;
    const weights = this.#weights[list];
    let sum = 0;
    for (let input = 0; input < inputs; input++) sum += weights[set * inputs + input]! * this.#x[input]!;
    return within(floor(sum / 65536), -2047, 2047);
  }

  #train(list: 0 | 1, set: number, error: number): void {
    const { inputs } = this.#sizes;
    const weights = this.#weights[list];
    for (let input = 0; input < inputs; input++) {
      const at = set * inputs + input;
      const grown = weights[at]! + floor((this.#x[input]! * error + 131072) / 262144);
      weights[at] = within(grown, -524288, 524288);
    }
  }
}

/** 11, Context. */
export function decodeContext(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const model = cursor.u8();
  if (model === 0) return cursor.take(length);
  must(model === 1 || model === 2, "unknown context model");
  return model === 1 ? decodeBytes(cursor, length) : decodeFloats(cursor, length);
}

function mix(k: number, a: number, c: number): number {
  const y = times32(unsigned(a ^ times32(k, 0x2545f491)), 0x85ebca6b);
  const z = times32((unsigned(y ^ (y >>> 15)) + c) % 2 ** 32, 0xc2b2ae35);
  return unsigned(z ^ (z >>> 13));
}

function decodeBytes(cursor: Cursor, length: number): Buffer {
  const width = cursor.u8();
  must(width > 0, "a width of 0");
  const bits = new Bits(cursor.take(cursor.left));
  const tableBits = within((length === 0 ? 0 : length.toString(2).length) + 3, 16, 20);
  const mixer = new Mixer(bits, { inputs: 10, slots: 2 ** tableBits, sets: [54, 256], limit: 60, speed: 10 });
  const out = Buffer.alloc(length);
  const table = new Map<number, number>();
  let position = 0;
  let matched = 0;
  for (let index = 0; index < length; index++) {
    const before = (distance: number): number => (index >= distance ? out[index - distance]! : 0);
    const recent = (end: number, bytes: number): number => {
      let value = 0;
      for (let at = end - bytes; at < end; at++) value = value * 256 + (at >= 0 ? out[at]! : 0);
      return value;
    };
    const older = (end: number): number => floor(recent(end, 6) / 2 ** 32);
    const [place, above] = [index % width, before(width)];
    const hashes = [
      0,
      mix(1, recent(index, 1), 0),
      mix(2, recent(index, 2), 0),
      mix(3, recent(index, 3), 0),
      mix(4, recent(index, 4), 0),
      mix(5, recent(index, 4), older(index)),
      mix(6, place, above),
      mix(7, place, 256 * above + before(1)),
      mix(8, place, 256 * above + before(2 * width)),
    ];
    let lines: number[] = [];
    let node = 1;
    let half = 1;
    for (let bit = 0; bit < 8; bit++) {
      if (bit % 4 === 0) {
        half = 1;
        lines = hashes.map((hash) => times32((hash + node) % 2 ** 32, 0x9e3779b1) >>> (36 - tableBits));
      }
      const slots = lines.map((line) => 16 * line + half);
      const expected = 256 + out[position]!;
      const follows = matched > 0 && floor(expected / 2 ** (8 - bit)) === node;
      slots.push(follows ? 256 + 2 * min(matched, 31) + (floor(expected / 2 ** (7 - bit)) % 2) : node);
      const lengthClass = matched < 16 ? 1 + floor(matched / 4) : 5 + floor(min(matched, 31) / 8);
      let known = 0;
      while (known < 5 && mixer.uses(known + 1, slots[known + 1]!) > 0) known++;
      const coded = mixer.bit(slots, 6 * (follows ? lengthClass : 0) + known, node);
      node = 2 * node + coded;
      half = 2 * half + coded;
    }
    out[index] = node - 256;
    const next = index + 1;
    if (matched > 0 && out[position] === out[index]) {
      position++;
      matched++;
    } else matched = 0;
    if (next < 6) continue;
    const slot = mix(9, recent(next, 4), older(next)) >>> 16;
    const known = table.get(slot);
    if (matched === 0 && known !== undefined) {
      position = known;
      while (matched < 31 && matched < known && out[known - 1 - matched] === out[index - matched]) matched++;
    }
    table.set(slot, next);
  }
  bits.end();
  return out;
}

const octaves = (value: number): number => {
  const a = max(1, value);
  let k = 0;
  while (2 ** (k + 1) <= a) k++;
  return 8 * k + floor((8 * a) / 2 ** k) - 8;
};
const distance = (d: number): number => within(d + 64, 0, 127);
const difference = (d: number): number => within(d + 7, 0, 15);
const bias = (value: number, magnitude: number): number =>
  min(15, floor((16 * abs(value)) / max(1, magnitude)));

interface Known {
  readonly exponent: number;
  readonly sign: 0 | 1;
  readonly escaped: 0 | 1;
}

function decodeFloats(cursor: Cursor, length: number): Buffer {
  const [wordBytes, skip, exponentBits, zeroBits, modelledBits, top] = Array.from({ length: 6 }, () =>
    cursor.u8(),
  ) as [number, number, number, number, number, number];
  const stride = cursor.uint(4);
  must(wordBytes === 2 || wordBytes === 4, "words of other lengths");
  must(exponentBits === 8 || (exponentBits === 5 && wordBytes === 2), "other exponents");
  const count = floor((length - skip) / wordBytes);
  must(skip < wordBytes && skip <= length && stride <= count, "the words do not fit");
  const rawBits = 8 * wordBytes - 1 - exponentBits - zeroBits - modelledBits;
  must(rawBits >= 0, "too many bits");
  const before = cursor.take(skip);
  const behind = cursor.take(length - skip - count * wordBytes);
  const raw = cursor.take(Math.ceil((count * rawBits) / 8));
  const rawOf = (index: number): number => {
    let value = 0;
    for (let bit = 0; bit < rawBits; bit++) {
      const at = index * rawBits + bit;
      value += ((raw[at >> 3]! >> (at & 7)) & 1) * 2 ** bit;
    }
    return value;
  };
  const bits = new Bits(cursor.take(cursor.left));
  const upper = floatWords(bits, count, { exponentBits, modelledBits, top, stride });
  bits.end();
  const words = Buffer.alloc(count * wordBytes);
  for (const [index, word] of upper.entries()) {
    const whole = (word * 2 ** rawBits + rawOf(index)) * 2 ** zeroBits;
    words.writeUIntLE(whole, index * wordBytes, wordBytes);
  }
  return Buffer.concat([before, words, behind]);
}

interface FloatFields {
  readonly exponentBits: number;
  readonly modelledBits: number;
  readonly top: number;
  readonly stride: number;
}

/** The coded part of all words: sign, exponent, and the modelled bits of the mantissa. */
function floatWords(
  bits: Bits,
  count: number,
  { exponentBits, modelledBits, top, stride }: FloatFields,
): number[] {
  const mixer = (inputs: number, slots: number, sets: readonly [number, number]): Mixer =>
    new Mixer(bits, { inputs, slots, sets, limit: 255, speed: 4 });
  const escapes = mixer(1, 8 + 256, [1, 1]);
  const signs = mixer(4, 256, [1, 16]);
  const steps = mixer(9, 4096, [32, 8]);
  const mantissas = mixer(5, 65536, [32, 8]);
  const lowest = max(0, top - 23);
  let [near, row, all, rowValue] = [2 ** 20, 2 ** 20, 2 ** 20, 0];
  let last: Known = { exponent: top, sign: 0, escaped: 0 };
  let lastButOne = last;
  const columns: { magnitude: number; value: number; word: Known }[] = [];
  const words: number[] = [];
  for (let index = 0; index < count; index++) {
    const column = stride === 0 ? 0 : index % stride;
    const line = stride === 0 ? 0 : floor(index / stride);
    const above = line > 0 ? columns[column]! : { magnitude: row, value: 0, word: lastButOne };
    const up = above.word;
    const product = min(2 ** 30, floor((row * above.magnitude) / max(1, all)));
    const [n, r, c, q] = [near, row, above.magnitude, product].map(octaves) as [
      number,
      number,
      number,
      number,
    ];
    const columnBias = bias(above.value, above.magnitude);
    const columnSign = above.value < 0 ? 1 : 0;

    const escaped = escapes.bit([2 * last.escaped + lastButOne.escaped + 4 * up.escaped], 0, 0);
    const signSlots = [
      4 * last.sign + 2 * up.sign + lastButOne.sign,
      16 * columnSign + columnBias,
      (rowValue < 0 ? 32 : 0) + 2 * bias(rowValue, row) + up.sign,
      4 * difference(up.exponent - last.exponent) + 2 * up.sign + last.sign,
    ];
    const sign = signs.bit(escaped === 1 ? [255, 255, 255, 255] : signSlots, 0, columnBias);

    let exponent = lowest;
    if (escaped === 1) {
      let node = 1;
      for (let bit = 0; bit < exponentBits; bit++) node = 2 * node + escapes.bit([8 + node], 0, 0);
      exponent = node - 2 ** exponentBits;
    } else {
      for (let step = top; step > lowest; step--) {
        const scale = 184 - 8 * (top - step);
        const [fromLast, fromUp] = [difference(step - last.exponent), difference(step - up.exponent)];
        const [fromNear, fromColumn, fromProduct] = [scale - n, scale - c, scale - q].map(distance) as [
          number,
          number,
          number,
        ];
        const agrees = (other: number): number => (other === sign ? 1 : 0);
        const slots = [
          top - step,
          fromNear,
          64 * fromLast + 4 * fromUp + 2 * agrees(up.sign) + agrees(last.sign),
          fromColumn,
          fromProduct,
          32 * floor(fromProduct / 4) + floor(fromNear / 4),
          256 * fromLast + 16 * fromUp + difference(step - lastButOne.exponent),
          distance(scale - r),
          32 * floor(fromColumn / 2) + 2 * columnBias + agrees(columnSign),
        ];
        if (steps.bit(slots, top - step, floor(fromProduct / 16)) === 1) {
          exponent = step;
          break;
        }
      }
    }

    const scale = escaped === 1 ? 0 : 184 - 8 * (top - exponent);
    const scaled = [scale - q, scale - n, scale - r, scale - c].map(distance);
    let node = 1;
    let hash = 256 * sign + exponent + 1;
    for (let bit = 0; bit < modelledBits; bit++) {
      const k = bit < 4 ? node : 16 * bit + (node % 16);
      const first = bit < 4 ? 32 * exponent + 2 * node + sign : hash >>> 16;
      const slots = [first, ...scaled.map((at) => 512 * at + k)];
      const coded = mantissas.bit(slots, min(31, k), floor(scaled[0]! / 16));
      node = 2 * node + coded;
      hash = (times32(hash, 0x2c1b3c6d) + coded + 1) % 2 ** 32;
    }
    const fraction = node - 2 ** modelledBits;
    words.push((sign * 2 ** exponentBits + exponent) * 2 ** modelledBits + fraction);

    const seven = floor((fraction * 128) / 2 ** modelledBits);
    const magnitude = escaped === 1 ? 0 : 256 * floor((256 * (128 + seven)) / 2 ** (top - exponent));
    const value = sign === 1 ? -magnitude : magnitude;
    const rowCount = stride === 0 ? min(index + 6, 64) : min(column + 6, 200);
    near += floor((magnitude - near) / 16);
    row += trunc((magnitude - row) / rowCount);
    rowValue += trunc((value - rowValue) / rowCount);
    all += trunc((magnitude - all) / min(index + 2, 8192));
    const word: Known = { exponent, sign, escaped };
    if (stride > 0) {
      const known = line > 0 ? above.magnitude : row;
      const rows = min(line + 4, 64);
      columns[column] = {
        magnitude: known + trunc((magnitude - known) / rows),
        value: above.value + trunc((value - above.value) / rows),
        word,
      };
    }
    [lastButOne, last] = [last, word];
  }
  return words;
}
