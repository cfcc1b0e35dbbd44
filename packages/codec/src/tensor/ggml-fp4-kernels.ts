/**
 * Values of ggml's blocks of 4-bit floats (e2m1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives). As in q4_0, a byte holds element i in its
 * lower half and the one half a block (nvfp4: half a run) further on in its upper half:
 *
 *     mxfp4   | u8 e | 16 bytes |                           value = e2m1 x 2^(e - 127)      (OCP Microscaling Formats 1.0)
 *     nvfp4   | 4 x e4m3 scale | 4 x 8 bytes |              value = e2m1 x scale, scales for runs of 16 elements
 *
 * Scales of nvfp4 are positive: 0x7f, which is NaN in e4m3, counts as 0, and a sign bit is ignored.
 */

const E2M1 = new Float32Array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6]);
const MXFP4_BYTES = 17;
const NVFP4_BYTES = 36;

export function dequantizeMxfp4(
  bytes: Uint8Array,
  count: number,
  _halves: Float32Array,
  out: Float32Array,
): void {
  for (let block = 0, at = 0, to = 0; block < count; block++, to += 16) {
    const scale = 2 ** (bytes[at]! - 127);
    at += 1;
    for (const end = at + MXFP4_BYTES - 1; at < end; at++, to++) {
      const pair = bytes[at]!;
      out[to] = E2M1[pair & 15]! * scale;
      out[to + 16] = E2M1[pair >> 4]! * scale;
    }
  }
}

export function dequantizeNvfp4(
  bytes: Uint8Array,
  count: number,
  _halves: Float32Array,
  out: Float32Array,
): void {
  for (let block = 0, at = 0, to = 0; block < count; block++, at += NVFP4_BYTES) {
    for (let run = 0; run < 4; run++, to += 8) {
      const scale = unsignedE4M3[bytes[at + run]!]!;
      const from = at + 4 + 8 * run;
      for (let index = from; index < from + 8; index++, to++) {
        const pair = bytes[index]!;
        out[to] = E2M1[pair & 15]! * scale;
        out[to + 8] = E2M1[pair >> 4]! * scale;
      }
    }
  }
}

/** Scales of nvfp4 by their bits. */
const unsignedE4M3: Float32Array = Float32Array.from({ length: 256 }, (_, byte) => {
  if (byte === 0x7f) return 0;
  const bits = byte & 0x7f;
  const exponent = bits >> 3;
  return exponent === 0 ? (bits & 7) * 2 ** -9 : (8 + (bits & 7)) * 2 ** (exponent - 10);
});
