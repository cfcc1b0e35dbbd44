/**
 * k-means in one dimension: clusters of sorted numbers are runs of them, so that a round of Lloyd's algorithm needs only the borders
 * between runs, found by bisection, and sums over prefixes. It begins where quantization theory puts the centres for many clusters, as densely
 * as the cube root of the density (Panter and Dite, 1951), and ends when no border moves.
 */

const MAX_ROUNDS = 100;
const DENSITY_CELLS = 2048;

/** At most `count` ascending centres of sorted finite numbers; the numbers themselves where there are no more different ones. */
export function centresOf(sorted: Float32Array, count: number): Float32Array {
  const different = differentValues(sorted, count);
  if (different !== undefined) return different;
  const sums = new Float64Array(sorted.length + 1);
  for (let index = 0; index < sorted.length; index++) sums[index + 1] = sums[index]! + sorted[index]!;
  const centres = firstCentres(sorted, count);
  const borders = new Uint32Array(count + 1);
  borders[count] = sorted.length;
  for (let round = 0; round < MAX_ROUNDS; round++) {
    let moved = false;
    for (let index = 1; index < count; index++) {
      const border = firstAbove(sorted, (centres[index - 1]! + centres[index]!) / 2);
      if (border !== borders[index]) moved = true;
      borders[index] = border;
    }
    if (!moved && round > 0) break;
    for (let index = 0; index < count; index++) {
      const from = borders[index]!;
      const to = borders[index + 1]!;
      // A centre that nothing is near stays where it is, between its neighbours.
      if (to > from) centres[index] = (sums[to]! - sums[from]!) / (to - from);
    }
  }
  return new Float32Array(centres);
}

/** The different numbers; undefined when there are more than `most`. */
function differentValues(sorted: Float32Array, most: number): Float32Array | undefined {
  const found: number[] = [];
  for (let index = 0; index < sorted.length; index++) {
    // 0 and -0 are one.
    if (index > 0 && sorted[index] === sorted[index - 1]) continue;
    if (found.length === most) return undefined;
    found.push(sorted[index]!);
  }
  return Float32Array.from(found);
}

function firstCentres(sorted: Float32Array, count: number): Float64Array {
  const least = sorted[0]!;
  const cell = (sorted.at(-1)! - least) / DENSITY_CELLS;
  const heights = new Float64Array(DENSITY_CELLS);
  for (let index = 0; index < sorted.length; index++) {
    heights[Math.min(DENSITY_CELLS - 1, Math.floor((sorted[index]! - least) / cell))]!++;
  }
  let total = 0;
  for (let index = 0; index < DENSITY_CELLS; index++) {
    heights[index] = Math.cbrt(heights[index]!);
    total += heights[index]!;
  }
  const centres = new Float64Array(count);
  for (let index = 0, at = 0, before = 0; index < count; index++) {
    const wanted = ((index + 0.5) / count) * total;
    while (at < DENSITY_CELLS - 1 && before + heights[at]! < wanted) before += heights[at++]!;
    const within = heights[at] === 0 ? 0 : (wanted - before) / heights[at]!;
    centres[index] = least + (at + within) * cell;
  }
  return centres;
}

/** Index of the first number above `limit`; the length when there is none. */
function firstAbove(sorted: Float32Array, limit: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > limit) high = middle;
    else low = middle + 1;
  }
  return low;
}
