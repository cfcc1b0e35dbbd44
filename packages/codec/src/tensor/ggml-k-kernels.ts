/**
 * Values of ggml's super-blocks of 256. `d` and `dmin` are float16:
 *
 *     q4_k   | d | dmin | 12 bytes: 8 x 6-bit scale, 8 x 6-bit m | 128 bytes q |              value = q x (d x scale) - dmin x m
 *            scale and m are for 32 elements each; 32 bytes of q hold 64 elements: the first 32 in the lower halves
 *     q6_k   | 128 bytes: lower 4 bits of q | 64 bytes: upper 2 bits | 16 x i8 scale | d |    value = (q - 32) x (d x scale)
 *            scales are for 16 elements each
 *
 * Products of d, a scale and q have at most 25 bits: exact in a double, and rounded once when they are written, as in ggml.
 */

const SUPER_BLOCK = 256;

/** Byte i: the scale of the i-th run of 32 elements of a q4_k block whose 12 bytes begin at `at`; i + 8: its m. */
export function readScalesQ4K(bytes: Uint8Array, at: number, out: Uint8Array): void {
  for (let run = 0; run < 4; run++) {
    const low = bytes[at + run]!;
    const lowMin = bytes[at + run + 4]!;
    const high = bytes[at + run + 8]!;
    out[run] = low & 63;
    out[run + 4] = (high & 15) | ((low >> 6) << 4);
    out[run + 8] = lowMin & 63;
    out[run + 12] = (high >> 4) | ((lowMin >> 6) << 4);
  }
}

export function dequantizeQ4K(
  bytes: Uint8Array,
  count: number,
  halves: Float32Array,
  out: Float32Array,
): void {
  const scales = new Uint8Array(16);
  for (let block = 0, at = 0, to = 0; block < count; block++) {
    const d = halves[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const dmin = halves[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    readScalesQ4K(bytes, at + 4, scales);
    at += 16;
    for (let pair = 0; pair < 8; pair += 2, to += 32) {
      const lower = d * scales[pair]!;
      const upper = d * scales[pair + 1]!;
      const lowerMin = dmin * scales[pair + 8]!;
      const upperMin = dmin * scales[pair + 9]!;
      for (const end = at + 32; at < end; at++, to++) {
        const both = bytes[at]!;
        out[to] = (both & 15) * lower - lowerMin;
        out[to + 32] = (both >> 4) * upper - upperMin;
      }
    }
  }
}

export function dequantizeQ6K(
  bytes: Uint8Array,
  count: number,
  halves: Float32Array,
  out: Float32Array,
): void {
  const scales = new Float64Array(16);
  for (let block = 0, at = 0, to = 0; block < count; block++, at += 210) {
    const d = halves[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let run = 0; run < 16; run++) scales[run] = d * ((bytes[at + 192 + run]! << 24) >> 24);
    for (let half = 0; half < SUPER_BLOCK; half += 128, to += 128) {
      const low = at + (half >> 1);
      const high = at + 128 + (half >> 2);
      for (let index = 0; index < 32; index++) {
        const run = (half >> 4) + (index >> 4);
        const upper = bytes[high + index]!;
        const first = bytes[low + index]!;
        const second = bytes[low + index + 32]!;
        out[to + index] = (((first & 15) | ((upper & 3) << 4)) - 32) * scales[run]!;
        out[to + index + 32] = (((second & 15) | ((upper & 12) << 2)) - 32) * scales[run + 2]!;
        out[to + index + 64] = (((first >> 4) | (upper & 48)) - 32) * scales[run + 4]!;
        out[to + index + 96] = (((second >> 4) | ((upper & 192) >> 2)) - 32) * scales[run + 6]!;
      }
    }
  }
}
