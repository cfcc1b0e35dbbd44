import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../src/errors/errors.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { packElements, unpackElements } from "../src/tensor/packed.ts";
import { byteLength, bytesOfElements, elementCount, stridesOf } from "../src/tensor/shape.ts";
import { arrayNameOf, bytesOf, checkTensor, typedArrayOf } from "../src/tensor/typed-array.ts";

describe("shape", () => {
  it("counts elements and bytes", () => {
    expect(elementCount([])).toBe(1);
    expect(elementCount([3, 4, 5])).toBe(60);
    expect(elementCount([2 ** 40, 0, 2 ** 40])).toBe(0);
    expect(byteLength(dtypeOf("int4"), [3])).toBe(2);
    expect(byteLength(dtypeOf("F6_E2M3"), [3])).toBe(3);
    expect(byteLength(dtypeOf("float32"), [])).toBe(4);
    expect(byteLength(dtypeOf("complex128"), [2, 3])).toBe(96);
    expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
  });

  it("stays exact up to 2^53 - 1, and refuses more", () => {
    expect(bytesOfElements(dtypeOf("int4"), 2 ** 53 - 1)).toBe(2 ** 52);
    expect(() => elementCount([2 ** 30, 2 ** 30])).toThrow(/more than 2\^53/);
    expect(() => byteLength(dtypeOf("float64"), [2 ** 51])).toThrow(UsageError);
  });

  it("names the field and the axis", () => {
    for (const length of [-1, 1.5, Number.NaN, 2 ** 53]) {
      expect(() => elementCount([2, length], "tensors[3].shape")).toThrow(/tensors\[3\]\.shape: axis 1/);
    }
  });
});

describe("packed elements", () => {
  it("are least significant bits first", () => {
    expect(packElements(Uint8Array.of(1, 2, 3), 4)).toEqual(Uint8Array.of(0x21, 0x03));
    expect(packElements(Uint8Array.of(0b000001, 0b100000, 0b111111, 0b000100), 6)).toEqual(
      Uint8Array.of(0b00000001, 0b11111000, 0b00010011),
    );
  });

  it("round-trip from any start", () => {
    fc.assert(
      fc.property(fc.constantFrom(4, 6, 8), fc.uint8Array(), fc.nat(20), (bits, raw, skip) => {
        const elements = raw.map((value) => value & (2 ** bits - 1));
        const first = Math.min(skip, elements.length);
        const packed = packElements(elements, bits);
        expect(packed.length).toBe(Math.ceil((elements.length * bits) / 8));
        expect(unpackElements(packed, bits, first, elements.length - first)).toEqual(
          elements.subarray(first),
        );
      }),
    );
  });
});

describe("typedArrayOf", () => {
  it("is a view of aligned bytes and a copy of others", () => {
    for (const dtype of dtypes) {
      const memory = new Uint8Array(new SharedArrayBuffer(64));
      for (let index = 0; index < 64; index++) memory[index] = index * 7;
      const aligned = typedArrayOf(dtype, memory.subarray(16, 48));
      expect(aligned.buffer).toBe(memory.buffer);
      expect(bytesOf(aligned)).toEqual(memory.subarray(16, 48));
      expect(bytesOf(typedArrayOf(dtype, memory.subarray(17, 49)))).toEqual(memory.subarray(17, 49));
      expect(aligned.constructor.name).toBe(arrayNameOf(dtype));
    }
    expect(() => typedArrayOf(dtypeOf("float32"), new Uint8Array(6))).toThrow(UsageError);
  });
});

describe("checkTensor", () => {
  it("takes the array of the dtype, or its bytes, without copying", () => {
    const data = new Float32Array(new SharedArrayBuffer(28), 4, 6);
    const checked = checkTensor({ dtype: "F32", shape: [2, 3], data });
    expect(checked.dtype.name).toBe("float32");
    expect(checked.bytes.buffer).toBe(data.buffer);
    expect(checked.bytes.byteOffset).toBe(4);
    expect(checkTensor({ dtype: "float32", shape: [], data: new Uint8Array(4) }).bytes.length).toBe(4);
    expect(checkTensor({ dtype: "float32", shape: [1], data: Buffer.alloc(4) }).bytes.length).toBe(4);
    expect(checkTensor({ dtype: "bfloat16", shape: [2], data: new Uint16Array(2) }).bytes.length).toBe(4);
    expect(checkTensor({ dtype: "float16", shape: [2], data: new Float16Array([1, 2]) }).bytes).toEqual(
      Uint8Array.of(0, 0x3c, 0, 0x40),
    );
    expect(checkTensor({ dtype: "uint8", shape: [2], data: new Uint8ClampedArray(2) }).bytes.length).toBe(2);
    expect(checkTensor({ dtype: "int4", shape: [3], data: new Uint8Array(2) }).bytes.length).toBe(2);
    expect(checkTensor({ dtype: "complex64", shape: [3], data: new Float32Array(6) }).bytes.length).toBe(24);
    expect(checkTensor({ dtype: "int64", shape: [0], data: new BigInt64Array(0) }).bytes.length).toBe(0);
  });

  it("names what is wrong", () => {
    const data = new Float32Array(6);
    const field = (tensor: unknown): string => {
      try {
        checkTensor(tensor as Parameters<typeof checkTensor>[0]);
      } catch (error) {
        return `${(error as UsageError).field}|${(error as UsageError).message}`;
      }
      return "accepted";
    };
    expect(field({ dtype: "float3", shape: [6], data })).toMatch(/^dtype\|unknown dtype "float3"/);
    expect(field({ shape: [6], data })).toMatch(/^dtype\|/);
    expect(field(undefined)).toMatch(/^dtype\|/);
    expect(field({ dtype: "float32", shape: 6, data })).toMatch(/^shape\|/);
    expect(field({ dtype: "float32", shape: [-6], data })).toMatch(/^shape\|.*axis 0 is -6/);
    expect(field({ dtype: "float32", shape: [7], data })).toBe(
      "data|data: shape [7] of float32 takes 28 bytes, there are 24",
    );
    expect(field({ dtype: "float64", shape: [3], data })).toBe(
      "data|data: float64 comes in a Float64Array (or a Uint8Array of its bytes), this is a Float32Array",
    );
    expect(field({ dtype: "float32", shape: [6], data: [1, 2, 3, 4, 5, 6] })).toMatch(
      /^data\|data: expected a Float32Array/,
    );
    expect(field({ dtype: "float32", shape: [6], data: new DataView(new ArrayBuffer(24)) })).toMatch(
      /is a DataView/,
    );
  });
});
