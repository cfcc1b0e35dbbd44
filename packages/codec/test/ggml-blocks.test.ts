import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { ElementGeometry } from "../src/chunk/geometry.ts";
import { UsageError } from "../src/errors/errors.ts";
import { quantizers } from "../src/quantize/registry.ts";
import { type DTypeName, dtypeOf, dtypeOfCode, dtypes } from "../src/tensor/dtype.ts";
import { toFloat32 } from "../src/tensor/float.ts";
import { dequantizeBlocks, dequantizedShape } from "../src/tensor/ggml-dequantize.ts";

beforeAll(ready);

const blocks = dtypes.filter(({ kind }) => kind === "block");

/** The value of float16 bits, by the definition. */
function half(bits: number): number {
  const sign = bits >> 15 === 0 ? 1 : -1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25);
}

/** The value of a 4-bit float. */
function e2m1(bits: number): number {
  return [0, 0.5, 1, 1.5, 2, 3, 4, 6][bits % 8]! * (bits < 8 ? 1 : -1);
}

/** The values of one block as ggml-quants.c computes them: every operation rounded to float32. */
const references: { readonly [name: string]: (block: Uint8Array) => number[] } = {
  ggml_q8_0: (block) =>
    Array.from({ length: 32 }, (_, index) =>
      Math.fround(((block[2 + index]! ^ 0x80) - 0x80) * half(block[0]! + 256 * block[1]!)),
    ),
  ggml_q4_0: (block) =>
    Array.from({ length: 32 }, (_, index) => {
      const pair = block[2 + (index % 16)]!;
      const q = index < 16 ? pair % 16 : Math.floor(pair / 16);
      return Math.fround((q - 8) * half(block[0]! + 256 * block[1]!));
    }),
  ggml_q4_1: (block) =>
    Array.from({ length: 32 }, (_, index) => {
      const pair = block[4 + (index % 16)]!;
      const q = index < 16 ? pair % 16 : Math.floor(pair / 16);
      const product = Math.fround(q * half(block[0]! + 256 * block[1]!));
      return Math.fround(product + half(block[2]! + 256 * block[3]!));
    }),
  ggml_q4_k: (block) =>
    Array.from({ length: 256 }, (_, index) => {
      const run = Math.floor(index / 32);
      const scales = block.subarray(4, 16);
      const [scale, minimum] =
        run < 4
          ? [scales[run]! & 63, scales[run + 4]! & 63]
          : [
              (scales[run + 4]! & 15) + 16 * (scales[run - 4]! >> 6),
              (scales[run + 4]! >> 4) + 16 * (scales[run]! >> 6),
            ];
      const pair = block[16 + 32 * Math.floor(index / 64) + (index % 32)]!;
      const q = run % 2 === 0 ? pair % 16 : Math.floor(pair / 16);
      const d = Math.fround(half(block[0]! + 256 * block[1]!) * scale);
      return Math.fround(Math.fround(d * q) - Math.fround(half(block[2]! + 256 * block[3]!) * minimum));
    }),
  ggml_q6_k: (block) =>
    Array.from({ length: 256 }, (_, index) => {
      const [side, run, place] = [index >> 7, (index >> 5) & 3, index & 31];
      const low = block[64 * side + 32 * (run & 1) + place]!;
      const high = (block[128 + 32 * side + place]! >> (2 * run)) & 3;
      const q = ((run < 2 ? low & 15 : low >> 4) | (high << 4)) - 32;
      const scale = (block[192 + (index >> 4)]! ^ 0x80) - 0x80;
      return Math.fround(Math.fround(half(block[208]! + 256 * block[209]!) * scale) * q);
    }),
  ggml_mxfp4: (block) =>
    Array.from({ length: 32 }, (_, index) => {
      const pair = block[1 + (index % 16)]!;
      return Math.fround(e2m1(index < 16 ? pair % 16 : Math.floor(pair / 16)) * 2 ** (block[0]! - 127));
    }),
  ggml_nvfp4: (block) =>
    Array.from({ length: 64 }, (_, index) => {
      const [run, place] = [index >> 4, index & 15];
      const pair = block[4 + 8 * run + (place & 7)]!;
      const bits = block[run]!;
      const [exponent, mantissa] = [(bits >> 3) & 15, bits & 7];
      const scale = exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7);
      return e2m1(place < 8 ? pair % 16 : Math.floor(pair / 16)) * (bits === 0x7f ? 0 : scale);
    }),
};

describe("block dtypes", () => {
  it("have one block as their element, and codes of their own", () => {
    expect(blocks).toHaveLength(27);
    expect(new Set(dtypes.map(({ code }) => code)).size).toBe(dtypes.length);
    expect(dtypeOfCode(26)).toMatchObject({ name: "ggml_q4_0", bits: 144, block: { elements: 32 } });
    expect(dtypeOfCode(30)).toMatchObject({ name: "ggml_q8_0", bits: 272, block: { elements: 32 } });
    expect(dtypeOfCode(34)).toMatchObject({ name: "ggml_q4_k", bits: 1152, block: { elements: 256 } });
    expect(dtypeOfCode(52)).toMatchObject({ name: "ggml_q2_0", bits: 144, block: { elements: 64 } });
    for (const { safetensors } of blocks) expect(safetensors).toBeUndefined();
  });

  it("are taken by no quantizer, and by no conversion of elements", () => {
    for (const dtype of blocks) {
      expect(quantizers.filter((quantizer) => quantizer.accepts(dtype))).toEqual([]);
      expect(() => toFloat32(dtype, new Uint8Array(dtype.bits / 8))).toThrow(UsageError);
    }
  });

  it("are cut by the values in them", () => {
    const q4 = new ElementGeometry(dtypeOf("ggml_q4_0"), [4096, 128]);
    expect([q4.count(0), q4.byteRange(0).end]).toEqual([4096, 73_728]);
    const q6 = new ElementGeometry(dtypeOf("ggml_q6_k"), [10, 16], 64);
    expect([q6.chunkCount, q6.count(0)]).toEqual([160, 1]);
    const wide = new ElementGeometry(dtypeOf("ggml_q8_0"), [3, 9000]);
    expect([wide.chunkCount, wide.count(0), wide.count(2)]).toEqual([9, 4096, 808]);
  });
});

describe("dequantizeBlocks", () => {
  it("reads q8_0: a scale and 32 signed bytes", () => {
    const block = new Uint8Array(34);
    // 0x3800 is 0.5.
    block.set([0x00, 0x38, 0, 1, 127, 128, 255]);
    const values = dequantizeBlocks(dtypeOf("ggml_q8_0"), block);
    expect([...values.subarray(0, 6)]).toEqual([0, 0.5, 63.5, -64, -0.5, 0]);
    expect(values).toHaveLength(32);
  });

  it("reads q4_0: the lower halves of the bytes come first, eight less", () => {
    const block = new Uint8Array(18).fill(0x88);
    // 0xc000 is -2.
    block.set([0x00, 0xc0, 0x0f, 0xf0, 0x91]);
    const values = dequantizeBlocks(dtypeOf("ggml_q4_0"), block);
    expect([...values.subarray(0, 4)]).toEqual([-14, 16, 14, -0]);
    expect([...values.subarray(16, 20)]).toEqual([16, -14, -2, -0]);
  });

  it("reads q4_1: a scale, the smallest value, and distances from it", () => {
    const block = new Uint8Array(20);
    // 0x3c00 is 1, 0xb800 is -0.5.
    block.set([0x00, 0x3c, 0x00, 0xb8, 0xf3]);
    const values = dequantizeBlocks(dtypeOf("ggml_q4_1"), block);
    expect([values[0], values[1], values[16], values[17]]).toEqual([2.5, -0.5, 14.5, -0.5]);
  });

  it.each(Object.keys(references))("reads any %s as ggml does, wherever the bytes lie (property)", (name) => {
    const dtype = dtypeOf(name);
    const size = dtype.bits / 8;
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 0, maxLength: 5 * size, size: "max" }),
        fc.nat(3),
        (raw, offset) => {
          const count = Math.floor(raw.length / size);
          const memory = new Uint8Array(new SharedArrayBuffer(offset + count * size));
          memory.set(raw.subarray(0, count * size), offset);
          const expected = Array.from({ length: count }, (_, block) =>
            references[name]!(raw.subarray(block * size, (block + 1) * size)),
          ).flat();
          expect([...dequantizeBlocks(dtype, memory.subarray(offset))]).toEqual(expected);
        },
      ),
    );
  });

  it("has the shape of the values", () => {
    const q8 = dtypeOf("ggml_q8_0");
    expect(dequantizedShape(q8, [3, 4])).toEqual([3, 128]);
    expect(dequantizedShape(q8, [])).toEqual([32]);
    expect(dequantizedShape(q8, [3, 0])).toEqual([3, 0]);
    expect(dequantizedShape(dtypeOf("ggml_q6_k"), [2])).toEqual([512]);
    expect(dequantizedShape(dtypeOf("float32"), [3, 4])).toEqual([3, 4]);
  });

  it("names a type it cannot read, and those that it can", () => {
    for (const name of ["ggml_q5_k", "float32"] satisfies DTypeName[]) {
      const run = (): unknown => dequantizeBlocks(dtypeOf(name), new Uint8Array(0));
      expect(run).toThrow(UsageError);
      expect(run).toThrow(
        new RegExp(
          `${name} .*ggml_q4_0, ggml_q4_1, ggml_q8_0, ggml_q4_k, ggml_q6_k, ggml_mxfp4, ggml_nvfp4 can`,
        ),
      );
    }
    expect(() => dequantizeBlocks(dtypeOf("ggml_q8_0"), new Uint8Array(35))).toThrow(/35 bytes/);
  });
});
