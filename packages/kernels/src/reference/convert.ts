/** Float conversions by the definition of rounding: the exact value is compared with its two neighbours. */

/** The value of a float of 1 sign, `exponentBits` and `mantissaBits` bits. NaN patterns give NaN. */
function floatValue(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = (bits >>> (exponentBits + mantissaBits)) & 1 ? -1 : 1;
  const exponent = (bits >>> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1)
    return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

/** The 16-bit pattern nearest to a float32 pattern; the even one of two that are equally near. */
function narrow(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = (bits >>> 31) << 15;
  const magnitude = bits & 0x7fffffff;
  const infinity = (2 ** exponentBits - 1) << mantissaBits;
  if (magnitude > 0x7f800000) {
    const payload = (magnitude & 0x7fffff) >>> (23 - mantissaBits);
    return sign | infinity | (payload === 0 ? 1 : payload);
  }
  const value = floatValue(magnitude, 8, 23);
  if (value === Number.POSITIVE_INFINITY) return sign | infinity;
  // Patterns of positive floats are ordered as their values: find the last one not above.
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (floatValue(middle, exponentBits, mantissaBits) <= value) low = middle;
    else high = middle;
  }
  const below = floatValue(low, exponentBits, mantissaBits);
  // Rounding treats Infinity as the number that would follow the largest one.
  const above =
    high === infinity ? 2 ** (2 ** (exponentBits - 1)) : floatValue(high, exponentBits, mantissaBits);
  const down = value - below;
  const up = above - value;
  if (down < up) return sign | low;
  if (up < down) return sign | high;
  return sign | (low % 2 === 0 ? low : high);
}

/** The float32 pattern of a 16-bit pattern. */
function widen(bits: number, exponentBits: number, mantissaBits: number): number {
  const sign = ((bits >>> 15) << 31) >>> 0;
  const mantissa = bits & (2 ** mantissaBits - 1);
  const isSpecial = ((bits >>> mantissaBits) & (2 ** exponentBits - 1)) === 2 ** exponentBits - 1;
  if (isSpecial) return (sign | 0x7f800000 | (mantissa << (23 - mantissaBits))) >>> 0;
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, floatValue(bits & 0x7fff, exponentBits, mantissaBits));
  return (sign | view.getUint32(0)) >>> 0;
}

function narrowAll(input: Uint8Array, exponentBits: number, mantissaBits: number): Uint8Array {
  const out = new Uint8Array(input.length / 2);
  const from = new DataView(input.buffer, input.byteOffset, input.length);
  const to = new DataView(out.buffer);
  for (let i = 0; i < input.length / 4; i++) {
    to.setUint16(2 * i, narrow(from.getUint32(4 * i, true), exponentBits, mantissaBits), true);
  }
  return out;
}

function widenAll(input: Uint8Array, exponentBits: number, mantissaBits: number): Uint8Array {
  const out = new Uint8Array(input.length * 2);
  const from = new DataView(input.buffer, input.byteOffset, input.length);
  const to = new DataView(out.buffer);
  for (let i = 0; i < input.length / 2; i++) {
    to.setUint32(4 * i, widen(from.getUint16(2 * i, true), exponentBits, mantissaBits), true);
  }
  return out;
}

/** See `float32ToFloat16` of the kernels. */
export function float32ToFloat16(input: Uint8Array): Uint8Array {
  return narrowAll(input, 5, 10);
}

/** See `float32ToBfloat16` of the kernels. */
export function float32ToBfloat16(input: Uint8Array): Uint8Array {
  return narrowAll(input, 8, 7);
}

/** See `float16ToFloat32` of the kernels. */
export function float16ToFloat32(input: Uint8Array): Uint8Array {
  return widenAll(input, 5, 10);
}

/** See `bfloat16ToFloat32` of the kernels. */
export function bfloat16ToFloat32(input: Uint8Array): Uint8Array {
  return widenAll(input, 8, 7);
}

/** See `float32Range` of the kernels. */
export function float32Range(input: Uint8Array): { minimum: number; maximum: number; nanCount: number } {
  const from = new DataView(input.buffer, input.byteOffset, input.length);
  let minimum = Number.POSITIVE_INFINITY;
  let maximum = Number.NEGATIVE_INFINITY;
  let nanCount = 0;
  for (let i = 0; i < input.length / 4; i++) {
    const value = from.getFloat32(4 * i, true);
    if (Number.isNaN(value)) nanCount++;
    else {
      minimum = Math.min(minimum, value);
      maximum = Math.max(maximum, value);
    }
  }
  return { minimum: minimum + 0, maximum: maximum + 0, nanCount };
}
