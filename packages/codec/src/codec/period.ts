/**
 * The period of bytes that repeat from their beginning: found on a short prefix, then checked word by word.
 *
 * The failure function of Knuth, Morris and Pratt gives, for every prefix, the longest border (what it both
 * begins and ends with), and a prefix of n bytes with a border of b bytes has the period n - b. Storing such a
 * prefix as its first period saves exactly the border, so the prefix with the longest border is the one to take.
 */

/** Longest period looked for. */
export const MAX_PERIOD = 4096;

/** Four times the longest period: any period's multiple by four, which keeps words aligned, lies within. */
const PREFIX_BYTES = 4 * MAX_PERIOD;
const borders = new Uint16Array(PREFIX_BYTES + 1);

/** The first `bytes` bytes repeat with this period. */
export interface Periodic {
  readonly period: number;
  readonly bytes: number;
}

/**
 * The repetition at the beginning of `bytes` that saves most, with a period of at most `MAX_PERIOD`; undefined
 * when there is none. Takes microseconds where the first 16 KiB do not repeat, else one pass over the data.
 */
export function findPeriod(bytes: Uint8Array): Periodic | undefined {
  const prefix = bytes.subarray(0, PREFIX_BYTES);
  let border = 0;
  let best = 0;
  let bestEnd = 0;
  for (let index = 1; index < prefix.length; index++) {
    const byte = prefix[index];
    while (border > 0 && prefix[border] !== byte) border = borders[border]!;
    if (prefix[border] === byte) border++;
    borders[index + 1] = border;
    if (border > best && index + 1 - border <= MAX_PERIOD) {
      best = border;
      bestEnd = index + 1;
    }
  }
  if (best === 0) return undefined;
  const period = bestEnd - best;
  const end = bestEnd === PREFIX_BYTES ? endOfPeriod(bytes, period) : bestEnd;
  return { period, bytes: end };
}

/** Index of the first byte that breaks the period, which the first `PREFIX_BYTES` bytes are known to keep. */
function endOfPeriod(bytes: Uint8Array, period: number): number {
  // Words compare aligned at a multiple of the period and of four.
  const back = period % 4 === 0 ? period : period % 2 === 0 ? 2 * period : 4 * period;
  const skip = -bytes.byteOffset & 3;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + skip, Math.max(0, bytes.length - skip) >> 2);
  // The word that begins at the end of the prefix, or just before it.
  let word = (PREFIX_BYTES - skip) >> 2;
  for (let earlier = word - back / 4; word < words.length; word++, earlier++) {
    if (words[word] !== words[earlier]) break;
  }
  // In the word that differs, or behind the last one, byte by byte.
  let at = skip + 4 * word;
  while (at < bytes.length && bytes[at] === bytes[at - back]) at++;
  return at;
}

/** Bytes copied at once: few enough to stay in a core's own cache. */
const COPIED_BYTES = 262_144;

/** Fills `into` with repetitions of `pattern`, the last one cut off where it ends. */
export function fillPeriodic(into: Uint8Array, pattern: Uint8Array): void {
  into.set(pattern.subarray(0, into.length));
  let done = pattern.length;
  // Double what is there, then copy whole numbers of periods from the beginning.
  for (; done < into.length && done < COPIED_BYTES; done *= 2) into.copyWithin(done, 0, done);
  for (const bytes = done; done < into.length; done += bytes) into.copyWithin(done, 0, bytes);
}
