/**
 * How values between two steps are rounded: to the nearest one (ties to even), or stochastically: up with the probability that the value's place
 * between the steps says, so that rounding errors cancel out on average. Randomness comes from a seed and the index of the element alone, so
 * that the result does not depend on how a tensor is cut.
 *
 * Recorded parameters: nothing for nearest-even, `{ rounding: "stochastic", seed }` otherwise.
 */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";
import { choiceParameter } from "./parameters.ts";

/** Names of the parameters that `parseRounding` reads. */
export const ROUNDING_PARAMETERS = ["rounding", "seed"] as const;

const LARGEST_SEED = 0xffffffff;

/** `rounding` and `seed` as they are recorded. Throws `UsageError` naming the parameter. */
export function parseRounding(parameters: JsonObject, what: string): JsonObject {
  const rounding = choiceParameter(parameters, "rounding", what, ["nearest-even", "stochastic"]);
  const { seed } = parameters;
  if (rounding === "nearest-even") {
    if (seed === undefined) return {};
    throw new UsageError(
      "seed",
      `${what}: seed is ${JSON.stringify(seed)}, but only rounding "stochastic" takes one`,
    );
  }
  if (seed === undefined) return { rounding, seed: 0 };
  if (typeof seed === "number" && Number.isInteger(seed) && seed >= 0 && seed <= LARGEST_SEED)
    return { rounding, seed };
  throw new UsageError(
    "seed",
    `${what}: seed is ${JSON.stringify(seed)}; it must be an integer from 0 to ${LARGEST_SEED}`,
  );
}

/** The seed of recorded parameters; undefined where they round to nearest even. */
export function stochasticSeed(parameters: JsonObject): number | undefined {
  return parameters.rounding === "stochastic" ? (parameters.seed as number) : undefined;
}

/** What `randomBits` starts from for a seed. */
export function randomBase(seed: number): number {
  return randomBits(seed ^ 0x9e3779b9, 0);
}

/** 32 random bits, as a signed integer, for an element by its index (the finalizer of MurmurHash3); the same ones again after 2^32 elements. */
export function randomBits(base: number, element: number): number {
  let bits = base ^ Math.imul(element, 0x9e3779b1);
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}

/** A number in [0, 1) for an element; otherwise as `randomBits`. */
export function randomFraction(base: number, element: number): number {
  return (randomBits(base, element) >>> 0) * 2 ** -32;
}
