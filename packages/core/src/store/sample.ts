/** Random samples without replacement, repeatable from a seed. */

/** mulberry32: 32 bits of state are enough to pick records, and the sequence is the same everywhere. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` different positions below `total` (all, if there are fewer), rising. Floyd's algorithm: work goes by `count`, not by `total`. */
export function pickOrdinals(
  total: number,
  count: number,
  seed: number = Math.floor(Math.random() * 2 ** 32),
): number[] {
  const random = generator(seed);
  const picked = new Set<number>();
  for (let last = total - Math.min(count, total); last < total; last++) {
    const position = Math.floor(random() * (last + 1));
    picked.add(picked.has(position) ? last : position);
  }
  return [...picked].sort((a, b) => a - b);
}
