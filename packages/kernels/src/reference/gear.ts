/** Content-defined cutting, byte by byte, over a whole stream at once. */
import { type CutSizes, cutLimits } from "../gear.ts";
import { GEAR_SEED } from "../modules.ts";

/** The gear table: 256 outputs of splitmix64. */
export function gearTable(seed: bigint = GEAR_SEED): BigUint64Array {
  const table = new BigUint64Array(256);
  let state = seed;
  for (let i = 0; i < 256; i++) {
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    table[i] = z ^ (z >> 31n);
  }
  return table;
}

/** Ends of the chunks of `bytes`: at every possible length the hash of the last 64 bytes is held against the limit. */
export function cutEnds(bytes: Uint8Array, sizes: CutSizes): number[] {
  const { hard, easy } = cutLimits(sizes);
  const table = gearTable();
  const ends: number[] = [];
  let start = 0;
  let hash = 0n;
  for (let i = 0; i < bytes.length; i++) {
    // Left to itself, the shift drops every byte after 64 steps, so the hash need not start anew with a chunk.
    hash = BigInt.asUintN(64, (hash << 1n) + table[bytes[i]!]!);
    const length = i + 1 - start;
    if (length < sizes.minimumBytes) continue;
    if (hash < (length < sizes.averageBytes ? hard : easy) || length === sizes.maximumBytes) {
      ends.push(i + 1);
      start = i + 1;
    }
  }
  if (start < bytes.length) ends.push(bytes.length);
  return ends;
}
