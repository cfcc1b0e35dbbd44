import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32Range,
  float32ToBfloat16,
  float32ToFloat16,
  kernelsReady,
} from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes, hostileCounts, place, randomBytes } from "./buffers.ts";

beforeAll(kernelsReady);

const every16 = new Uint8Array(Uint16Array.from({ length: 65536 }, (_, i) => i).buffer);

/** float32 patterns where rounding goes wrong first: each 16-bit value, halfway to the next, and one bit either side of both. */
function edges(widened: Uint8Array): Uint8Array {
  const words = new Uint32Array(widened.slice().buffer);
  const half = Uint32Array.from(words, (bits, i) => {
    const next = words[(i + 1) % words.length]!;
    return (bits + ((next - bits) >> 1)) >>> 0;
  });
  const out = new Uint32Array(words.length * 6);
  for (let i = 0; i < words.length; i++) {
    out.set([words[i]! - 1, words[i]!, words[i]! + 1, half[i]! - 1, half[i]!, half[i]! + 1], i * 6);
  }
  return new Uint8Array(out.buffer);
}

describe("16-bit floats", () => {
  test("all 65,536 patterns widen as the reference says and come back", () => {
    expectSameBytes(float16ToFloat32(every16), reference.float16ToFloat32(every16));
    expectSameBytes(bfloat16ToFloat32(every16), reference.bfloat16ToFloat32(every16));
    expectSameBytes(float32ToFloat16(float16ToFloat32(every16)), every16);
    expectSameBytes(float32ToBfloat16(bfloat16ToFloat32(every16)), every16);
  });

  test("agree with the platform's float16", () => {
    const values = new Float32Array(float16ToFloat32(every16).buffer);
    const platform = new Float32Array(new Float16Array(every16.slice().buffer));
    for (let i = 0; i < 65536; i++) if (!Object.is(values[i], platform[i])) throw new Error(`pattern ${i}`);
    const input = randomBytes(400_000, 4);
    const narrowed = new Uint16Array(float32ToFloat16(input).slice().buffer);
    const expected = new Uint16Array(new Float16Array(new Float32Array(input.slice().buffer)).buffer);
    for (let i = 0; i < narrowed.length; i++) {
      const isNan = (expected[i]! & 0x7fff) > 0x7c00;
      if (isNan ? (narrowed[i]! & 0x7fff) <= 0x7c00 : narrowed[i] !== expected[i])
        throw new Error(`value ${i}`);
    }
  });

  test("round to nearest even around every value and every tie", () => {
    const around16 = edges(float16ToFloat32(every16));
    expectSameBytes(float32ToFloat16(around16), reference.float32ToFloat16(around16));
    const aroundBf16 = edges(bfloat16ToFloat32(every16));
    expectSameBytes(float32ToBfloat16(aroundBf16), reference.float32ToBfloat16(aroundBf16));
  });

  test("agree with the reference at hostile sizes and alignments", () => {
    for (const count of hostileCounts) {
      const wide = randomBytes(count * 4, count, count % 7, count % 2 === 0);
      const narrow = wide.subarray(0, count * 2);
      // The reference is slow: of large inputs, the ends.
      const first = Math.max(0, count - 5000);
      const wideEnd = wide.subarray(first * 4);
      const narrowEnd = narrow.subarray(first * 2);
      const what = `${count} elements`;
      expectSameBytes(float32ToFloat16(wide).subarray(first * 2), reference.float32ToFloat16(wideEnd), what);
      expectSameBytes(
        float32ToBfloat16(wide).subarray(first * 2),
        reference.float32ToBfloat16(wideEnd),
        what,
      );
      expectSameBytes(
        float16ToFloat32(narrow).subarray(first * 4),
        reference.float16ToFloat32(narrowEnd),
        what,
      );
      expectSameBytes(
        bfloat16ToFloat32(narrow).subarray(first * 4),
        reference.bfloat16ToFloat32(narrowEnd),
        what,
      );
    }
  });

  test("overflow becomes Infinity, NaN stays NaN", () => {
    const wide = new Uint8Array(new Float32Array([65519.99, 65520, -1e38, Number.NaN]).buffer);
    const float16 = new Uint16Array(float32ToFloat16(wide).buffer);
    expect([...float16.subarray(0, 3)]).toEqual([0x7bff, 0x7c00, 0xfc00]);
    expect(float16[3]! & 0x7fff).toBeGreaterThan(0x7c00);
    const tiny = new Uint8Array(new Uint32Array([0x7f800001, 0xff800001]).buffer);
    expect([...new Uint16Array(float32ToFloat16(tiny).buffer)]).toEqual([0x7c01, 0xfc01]);
    expect([...new Uint16Array(float32ToBfloat16(tiny).buffer)]).toEqual([0x7f81, 0xff81]);
  });

  test("write into a given buffer and refuse what does not fit", () => {
    const out = place(200, 1, true);
    expect(float32ToFloat16(new Uint8Array(400), out)).toBe(out);
    expect(() => float32ToFloat16(new Uint8Array(6))).toThrow(/no multiple of 4/);
    expect(() => float16ToFloat32(new Uint8Array(3))).toThrow(/no multiple of 2/);
    expect(() => float16ToFloat32(new Uint8Array(4), new Uint8Array(7))).toThrow(/the result takes 8/);
  });
});

describe("float32Range", () => {
  test("agrees with the reference", () => {
    for (const count of hostileCounts) {
      const input = randomBytes(count * 4, count, count % 3, count % 2 === 0);
      expect(float32Range(input)).toEqual(reference.float32Range(input));
    }
    fc.assert(
      fc.property(fc.float32Array({ maxLength: 40 }), (values) => {
        const input = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
        expect(float32Range(input)).toEqual(reference.float32Range(input));
      }),
    );
  });

  test("of nothing, of NaN alone, of zeros", () => {
    expect(float32Range(new Uint8Array(0))).toEqual({ minimum: Infinity, maximum: -Infinity, nanCount: 0 });
    const nan = new Uint8Array(new Float32Array(9).fill(Number.NaN).buffer);
    expect(float32Range(nan)).toEqual({ minimum: Infinity, maximum: -Infinity, nanCount: 9 });
    const zeros = new Uint8Array(new Float32Array([-0, 0, -0, -0, -0]).buffer);
    expect(float32Range(zeros)).toEqual({ minimum: 0, maximum: 0, nanCount: 0 });
  });
});
