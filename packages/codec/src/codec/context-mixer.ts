/**
 * Probabilities of a bit from many contexts, mixed by an online-trained neuron in the logistic domain (as in the PAQ coders of M. Mahoney).
 * Integers only, so that every machine computes the same; the products below are exact in doubles.
 *
 *   slot   i32  p - 2^21 in the upper 22 bits (p of 2^22: probability of a 1), in the lower 10 how often the slot was used
 *   input  stretch(p) = 256 ln(p / (1 - p)), from -2047 to 2047, less where the slot is new
 *   mixed  for each of two sets of weights (1 is 65,536): floor(sum of weight x input / 65,536); then the mean of the two
 *   p      squash(mixed), the inverse of stretch
 */
import { type BitCoder, MIN_PROBABILITY } from "./context-coder.ts";

/** 65,536 / (1 + exp(-x / 2)) for x = -16, -15 ... 16. Written out, because exp need not be the same everywhere. */
const LOGISTIC: readonly number[] = [
  22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11_955, 17_625, 24_743, 32_768, 40_793,
  47_911, 53_581, 57_724, 60_565, 62_428, 63_615, 64_357, 64_816, 65_097, 65_269, 65_374, 65_438, 65_476,
  65_500, 65_514,
];

const LIMIT = 2047;
/** squash(x - 2048) in 65,536ths: the table above, linear in between. */
const squashTable = new Int32Array(4096);
for (let x = 0; x < 4096; x++) {
  const part = x & 127;
  squashTable[x] = (LOGISTIC[x >> 7]! * (128 - part) + LOGISTIC[(x >> 7) + 1]! * part + 64) >> 7;
}
/** stretch of p / 4096: the smallest input whose squash reaches p. */
const stretchTable = new Int16Array(4096);
for (let x = -LIMIT, p = 0; p < 4096; p++) {
  while (x < LIMIT && squashTable[x + 2048]! >> 4 < p) x++;
  stretchTable[p] = x;
}

/** Uses that a slot counts up to. */
const COUNT_LIMIT = 1023;
/** By what part of the error a slot moves, in 16,384ths: as the mean of all it has seen would, up to the limit of its input. */
const rates = Int32Array.from({ length: COUNT_LIMIT + 1 }, (_, uses) => Math.floor(32_768 / (2 * uses + 3)));
/** How much a slot's say counts, in 256ths. */
const trust = Int32Array.from({ length: COUNT_LIMIT + 1 }, (_, uses) =>
  Math.floor((256 * (2 * uses + 1)) / (2 * uses + 5)),
);

/** Weights stay below 8, and their products with inputs within 32 bits. */
const WEIGHT_LIMIT = 2 ** 19;

/** A mixer of `inputs` contexts, each with a table of its own. */
export class ContextMixer {
  /** The slot in its table that each input takes for the next bit. */
  readonly slots: Int32Array;
  readonly #table: Int32Array;
  readonly #tableSlots: number;
  readonly #first: Int32Array;
  readonly #second: Int32Array;
  readonly #inputs: Int32Array;
  readonly #countLimit: number;
  readonly #speed: number;

  /** `slots`: length of each table. `first`, `second`: sizes of the sets of weights. */
  constructor(
    inputs: number,
    slots: number,
    first: number,
    second: number,
    countLimit: number,
    speed: number,
  ) {
    this.slots = new Int32Array(inputs);
    this.#table = new Int32Array(inputs * slots);
    this.#tableSlots = slots;
    const weight = Math.floor(65_536 / inputs);
    this.#first = new Int32Array(first * inputs).fill(weight);
    this.#second = new Int32Array(second * inputs).fill(weight);
    this.#inputs = new Int32Array(inputs);
    this.#countLimit = countLimit;
    this.#speed = speed;
  }

  /** How many of the inputs before `end`, in order from `start`, have slots that were used before. */
  known(start: number, end: number): number {
    let input = start;
    while (input < end && (this.#table[input * this.#tableSlots + this.slots[input]!]! & COUNT_LIMIT) > 0)
      input++;
    return input - start;
  }

  /** Codes a bit under the slots that are set, by these sets of weights, and learns from it. */
  code(coder: BitCoder, given: number, firstSet: number, secondSet: number): number {
    const slots = this.slots;
    const table = this.#table;
    const tableSlots = this.#tableSlots;
    const inputs = this.#inputs;
    const first = this.#first;
    const second = this.#second;
    const count = inputs.length;
    const firstAt = firstSet * count;
    const secondAt = secondSet * count;
    let firstSum = 0;
    let secondSum = 0;
    for (let index = 0; index < count; index++) {
      const state = table[index * tableSlots + slots[index]!]!;
      const input = (stretchTable[(state >> 20) + 2048]! * trust[state & COUNT_LIMIT]!) >> 8;
      inputs[index] = input;
      firstSum += Math.imul(first[firstAt + index]!, input);
      secondSum += Math.imul(second[secondAt + index]!, input);
    }
    const one = clamped(Math.floor(firstSum / 65_536));
    const two = clamped(Math.floor(secondSum / 65_536));
    const mixed = squashTable[((one + two) >> 1) + 2048]!;
    const probability = Math.min(Math.max(mixed, MIN_PROBABILITY), 65_536 - MIN_PROBABILITY);
    const bit = coder.code(given, probability);
    const target = bit << 16;
    const firstError = (target - squashTable[one + 2048]!) * this.#speed;
    const secondError = (target - squashTable[two + 2048]!) * this.#speed;
    for (let index = 0; index < count; index++) {
      const input = inputs[index]!;
      first[firstAt + index] = limited(
        first[firstAt + index]! + ((Math.imul(input, firstError) + 0x2_0000) >> 18),
      );
      second[secondAt + index] = limited(
        second[secondAt + index]! + ((Math.imul(input, secondError) + 0x2_0000) >> 18),
      );
      const slot = index * tableSlots + slots[index]!;
      const state = table[slot]!;
      const uses = state & COUNT_LIMIT;
      const p = (state >> 10) + 0x20_0000;
      const part = rates[uses]!;
      const moved = bit === 1 ? p + ((((0x40_0000 - p) >> 7) * part) >> 7) : p - (((p >> 7) * part) >> 7);
      table[slot] = ((moved - 0x20_0000) << 10) | (uses < this.#countLimit ? uses + 1 : uses);
    }
    return bit;
  }
}

function clamped(value: number): number {
  return Math.min(Math.max(value, -LIMIT), LIMIT);
}

function limited(weight: number): number {
  return Math.min(Math.max(weight, -WEIGHT_LIMIT), WEIGHT_LIMIT);
}
