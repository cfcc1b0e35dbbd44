// Content-defined cutting (FastCDC) with a 64-bit gear hash: h = (h << 1) + TABLE[byte]. After 64 bytes a byte has been
// shifted out, so the hash at a position depends on the last 64 bytes alone. A cut is made behind a byte where the top
// bits of the hash are all zero, which is h < limit, one comparison.
//
// Memory:
//
//   0        +--------------+
//            | unused       |
//   2048     +--------------+
//            | TABLE        |  256 x u64, written once by `prepare`
//   4096     +--------------+
//            | CUTS         |  u32 each: ends of chunks within the block, at most BLOCK / 64
//            +--------------+
//            | INPUT        |  BLOCK bytes of the stream
//            +--------------+
//
// What is carried from block to block (bytes in the open chunk, hash) is passed in and read back from exported globals:
// the module itself has no memory of a stream, many cutters share it.

export const BLOCK: usize = 256 * 1024;
export const TABLE: usize = 2048;
export const CUTS: usize = 4096;
export const INPUT: usize = CUTS + BLOCK / 16;
export const WINDOW: usize = 64;

export let openBytes: usize = 0;
export let openHash: u64 = 0;

// splitmix64, the generator of the gear table.
export function prepare(seed: u64): void {
  for (let i: usize = 0; i < 256; i++) {
    seed += 0x9e3779b97f4a7c15;
    let z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    store<u64>(TABLE + (i << 3), z ^ (z >> 31));
  }
}

@inline function gear(at: usize): u64 {
  return load<u64>(TABLE + (<usize>load<u8>(at) << 3));
}

// Hashes [from, to) and returns the address behind the first byte where the hash is below `limit`, or 0 when there is none.
// `hash` goes in and out through openHash.
@inline function seek(from: usize, to: usize, limit: u64): usize {
  let h = openHash;
  let p = from;
  // Four steps at a time: the sums of table entries do not wait for the hash, so the chain is one shift and add per step.
  while (p + 4 <= to) {
    const g0 = gear(p);
    const g1 = gear(p + 1);
    const g2 = gear(p + 2);
    const g3 = gear(p + 3);
    const g01 = (g0 << 1) + g1;
    const h1 = (h << 1) + g0;
    const h2 = (h << 2) + g01;
    const h3 = (h2 << 1) + g2;
    const h4 = (h2 << 2) + ((g2 << 1) + g3);
    if (h1 < limit) return found(h1, p + 1);
    if (h2 < limit) return found(h2, p + 2);
    if (h3 < limit) return found(h3, p + 3);
    if (h4 < limit) return found(h4, p + 4);
    h = h4;
    p += 4;
  }
  while (p < to) {
    h = (h << 1) + gear(p);
    p++;
    if (h < limit) return found(h, p);
  }
  openHash = h;
  return 0;
}

@inline function found(h: u64, p: usize): usize {
  openHash = h;
  return p;
}

// Takes `length` bytes at INPUT; the open chunk holds `open` bytes and `hash` before them. Writes the ends of the chunks that
// end within the block to CUTS, returns their number, leaves the state in openBytes and openHash.
//
// A chunk of n bytes may end by its hash when minimum <= n; below `average` the hash must be under `hard`, from there on
// under `easy`; at `maximum` it ends in any case. minimum > WINDOW, average > minimum, maximum > average.
export function cut(
  length: usize, open: usize, hash: u64,
  minimum: usize, average: usize, maximum: usize, hard: u64, easy: u64,
): usize {
  let cuts: usize = 0;
  let p = INPUT;
  const end = INPUT + length;
  openHash = hash;
  while (p < end) {
    // `open` is the length of the open chunk at p, throughout.
    if (open < minimum - WINDOW) { // too far from the first possible end to matter
      const skipped = min(minimum - WINDOW - open, end - p);
      p += skipped;
      open += skipped;
      openHash = 0;
    }
    if (open < minimum - 1) { // fill the window; no chunk can end here yet
      const warmed = min(minimum - 1 - open, end - p);
      let h = openHash;
      for (const to = p + warmed; p < to; p++) h = (h << 1) + gear(p);
      open += warmed;
      openHash = h;
    }
    let at: usize = 0;
    if (open < average - 1) {
      const to = p + min(average - 1 - open, end - p);
      at = seek(p, to, hard);
      const next = at ? at : to;
      open += next - p;
      p = next;
    }
    if (!at) {
      const to = p + min(maximum - open, end - p);
      at = seek(p, to, easy);
      const next = at ? at : to;
      open += next - p;
      p = next;
      if (open == maximum) at = p;
    }
    if (at) {
      store<u32>(CUTS + (cuts << 2), <u32>(at - INPUT));
      cuts++;
      open = 0;
      openHash = 0;
    }
  }
  openBytes = open;
  return cuts;
}
