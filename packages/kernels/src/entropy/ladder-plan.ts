/** Which rungs a ladder has (see assembly/ladder.ts): the ones that come out smallest for the counts of a sample. Pure. */

/** A rung: three symbols with 2-bit codes, or one with a 1-bit code. */
export type Rung = readonly [number, number, number] | readonly [number];

/** The most rungs. Each passes over what escaped the one before, so more would cost time for next to nothing. */
export const RUNGS_LIMIT = 14;

/** A plan for a ladder. */
export interface LadderPlan {
  readonly rungs: readonly Rung[];
  /** Estimated bits a symbol. */
  readonly bits: number;
}

/**
 * Plans a ladder. Symbols are taken in the order of their counts, so a plan is a sequence of rungs of one or three symbols and a point
 * where the rest is stored; dynamic programming from the rarest symbol upwards finds the best one.
 *
 * @param counts 256 counts, not all zero.
 */
export function ladderPlan(counts: Uint32Array): LadderPlan {
  const order: number[] = [];
  for (let s = 0; s < 256; s++) if (counts[s]! > 0) order.push(s);
  order.sort((a, b) => counts[b]! - counts[a]!);
  const kinds = order.length;
  // bits[r]: the least bits that all symbols from rank r on take; choice[r]: symbols of the rung that begins there, 0 to store.
  const bits = new Float64Array(kinds + 3);
  const choice = new Uint8Array(kinds + 3);
  let below = 0;
  for (let rank = kinds - 1; rank >= 0; rank--) {
    below += counts[order[rank]!]!;
    const stored = 8 * below;
    const three = 2 * below + bits[rank + 3]!;
    const one = below + bits[rank + 1]!;
    const least = Math.min(stored, three, one);
    bits[rank] = least;
    choice[rank] = least === stored ? 0 : least === three ? 3 : 1;
  }
  const rungs: Rung[] = [];
  for (let rank = 0; rank < kinds && choice[rank]! > 0 && rungs.length < RUNGS_LIMIT; rank += choice[rank]!) {
    rungs.push(choice[rank] === 1 ? [order[rank]!] : threeOf(order, rank));
  }
  return { rungs, bits: bits[0]! / below };
}

/** The three symbols from `rank` on; where fewer are left, any others, since a rung's symbols must differ. */
function threeOf(order: readonly number[], rank: number): [number, number, number] {
  const chosen = order.slice(rank, rank + 3);
  for (let s = 0; chosen.length < 3; s++) if (!chosen.includes(s)) chosen.push(s);
  return [chosen[0]!, chosen[1]!, chosen[2]!];
}
