/** What a sample says about a block: how many bits its parts would take, and which way of coding is the smallest. Pure. */

/** A plane whose symbols take more bits than this is stored: coding it would cost time and save next to nothing. */
export const WORTHWHILE_BITS: number = 7.85;

/** Exponents 1 to 63 above the base have symbols. */
const EXPONENTS = 63;

/** So many exponents above the largest one of the sample are kept free. Below there is more room: small values have no end. */
const HEADROOM = 4;

/** c * log2(c), for the counts that samples have. */
const COUNT_LOGARITHMS = Float64Array.from({ length: 4096 }, (_, count) =>
  count > 0 ? count * Math.log2(count) : 0,
);

/**
 * Order-0 entropy in bits a symbol, estimated from the counts of a sample. A sample looks more regular than what it was taken from;
 * the last term makes up for it (Miller and Madow).
 */
export function entropyBits(counts: Uint32Array): number {
  let total = 0;
  let kinds = 0;
  let sum = 0;
  for (let s = 0; s < counts.length; s++) {
    const count = counts[s]!;
    if (count === 0) continue;
    total += count;
    kinds++;
    sum += count < COUNT_LOGARITHMS.length ? COUNT_LOGARITHMS[count]! : count * Math.log2(count);
  }
  if (kinds <= 1) return 0;
  return Math.log2(total) - sum / total + ((kinds - 1) / (2 * total)) * Math.LOG2E;
}

/** A plan for coding bfloat16 words jointly: the base of the exponents and the counts of the symbols. */
export interface JointPlan {
  readonly base: number;
  readonly counts: Uint32Array;
}

/**
 * Decides whether exponent and top mantissa bits are coded jointly.
 *
 * @param exponents 1024 counts of exponent << 2 | two top mantissa bits.
 * @param lower 256 counts of sign << 7 | mantissa.
 * @returns the plan, or undefined when the exponents spread too far or separate planes come out smaller.
 */
export function jointPlan(exponents: Uint32Array, lower: Uint32Array): JointPlan | undefined {
  const upper = new Uint32Array(256);
  let least = -1;
  let most = 0;
  for (let e = 0; e < 256; e++) {
    const at = 4 * e;
    const count = exponents[at]! + exponents[at + 1]! + exponents[at + 2]! + exponents[at + 3]!;
    upper[e] = count;
    if (count === 0 || e === 0) continue;
    if (least < 0) least = e;
    most = e;
  }
  if (least < 0 || most - least >= EXPONENTS) return undefined;
  const free = EXPONENTS - (most - least + 1);
  const base = Math.max(0, Math.min(255, most + Math.min(HEADROOM, free)) - EXPONENTS);
  const counts = new Uint32Array(256);
  for (let k = 0; k < 4; k++) counts[k] = exponents[k]!;
  for (let e = Math.max(1, base + 1); e <= Math.min(255, base + EXPONENTS); e++) {
    for (let k = 0; k < 4; k++) counts[4 * (e - base) + k] = exponents[4 * e + k]!;
  }
  const joint = entropyBits(counts) + 6;
  const lowerBits = entropyBits(lower);
  const separate = entropyBits(upper) + (lowerBits > WORTHWHILE_BITS ? 8 : lowerBits);
  return joint <= separate ? { base, counts } : undefined;
}

/** Groups of 16 elements in the sample that rANS plans with: enough for tables of the some 50 symbols of joint coding. */
export const SAMPLE_GROUPS: number = 512;

/** The same for tables of byte planes, which may have 256 symbols. */
export const PLANE_SAMPLE_GROUPS: number = 2048;

/** The same for ladders, which only need to know which symbols are common. */
export const LADDER_SAMPLE_GROUPS: number = 192;

/**
 * Distance in elements between the groups of 16 that are sampled. An odd number of groups, so that rows whose length is a power of two are
 * not met in the same columns again and again.
 */
export function sampleStep(count: number, groups: number): number {
  return 16 * (Math.floor(count / 16 / groups) | 1);
}
