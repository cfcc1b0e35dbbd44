/** The length of varints (reader.ts says what they are), for those who lay out what they have not written yet. */

/** Bytes of a number as a varint. */
export function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}
