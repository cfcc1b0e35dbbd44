/**
 * Features of opaque bytes: what finds the chunk of an earlier version of a file that a new chunk resembles, among all that a store has.
 *
 * A rolling hash goes over 6 KiB at most, the first and the last bytes of the chunk: cuts follow the content, so those of two versions mostly have
 * one end in common. One window of 32 bytes in 64 is taken, by its hash; the others of its bits put it into one of 3 groups. The feature of a
 * group is the window with the largest one. Two chunks agree in each feature with the probability of their resemblance (the share of windows that they have in
 * common, Jaccard's), so chunks that have half of them in common agree in at least one in 7 of 8 cases.
 * Sources: A. Broder, "On the resemblance and containment of documents" (1997); P. Li, A. Owen, C. Zhang, "One permutation hashing" (2012); of
 * super-features (P. Shilane et al., 2012; Y. Zhang et al., "Finesse", 2019) each needs several such features at once, which near copies only have.
 *
 * On disk they are a cache only: other ones find nothing among those of before, and do no harm.
 */
import { mixed } from "../bytes/mixed.ts";

/** Features of a chunk. */
export const FEATURES = 3;
/** Shorter chunks have none: a reference to another chunk would take as much as it saves. */
export const FEATURED_FROM_BYTES = 4096;
/** Bytes at either end that are looked at. */
const END_BYTES = 3072;
/** Bytes that the rolling hash covers. */
const WINDOW_BYTES = 32;
/** Bits of a hash that are 0 in the windows that are taken. */
const TAKEN_SHIFT = 26;

const gears = Int32Array.from({ length: 256 }, (_, byte) => mixed(Math.imul(byte + 1, 0x9e3779b1)));

/** The features of a chunk, signed, one of 0 where a group is empty; undefined for short chunks and those that repeat one byte. */
export function features(bytes: Uint8Array): Int32Array | undefined {
  if (bytes.length < FEATURED_FROM_BYTES) return undefined;
  const windows: Windows = { largest: new Uint32Array(FEATURES), ends: new Uint32Array(FEATURES) };
  const head = Math.min(bytes.length, END_BYTES);
  takeWindows(bytes, 0, head, windows);
  takeWindows(bytes, Math.max(head - WINDOW_BYTES, bytes.length - END_BYTES), bytes.length, windows);
  if (windows.ends.every((end) => end === 0)) return undefined;
  return Int32Array.from(windows.ends, (end) => (end === 0 ? 0 : windowHash(bytes, end)));
}

/** Of each group the largest hash and where its window ends, 0 where there is none. */
interface Windows {
  readonly largest: Uint32Array;
  readonly ends: Uint32Array;
}

function takeWindows(bytes: Uint8Array, start: number, end: number, { largest, ends }: Windows): void {
  let hash = 0;
  let at = start;
  for (const first = Math.min(end, start + WINDOW_BYTES - 1); at < first; at++)
    hash = ((hash << 1) + gears[bytes[at]!]!) | 0;
  for (; at < end; at++) {
    const gear = gears[bytes[at]!]!;
    hash = ((hash << 1) + gear) | 0;
    // A window of the same byte all over has minus its gear: runs of it are in all files.
    if (hash >>> TAKEN_SHIFT !== 0 || hash === -gear) continue;
    const taken = mixed(hash);
    const group = taken % FEATURES;
    if (taken <= largest[group]!) continue;
    largest[group] = taken;
    ends[group] = at + 1;
  }
}

/** The hash of a window by all of its bits: the largest rolling hashes of chunks have too few to tell a million chunks apart. Not 0. */
function windowHash(bytes: Uint8Array, end: number): number {
  let hash = 0;
  for (let at = end - WINDOW_BYTES; at < end; at++) hash = mixed(Math.imul(hash, 0x9e3779b1) + bytes[at]!);
  return hash === 0 ? 1 : hash | 0;
}
