import {
  byteLength,
  bytesOf,
  type DTypeName,
  dtypeOf,
  ready,
  typedArrayOf,
  UsageError,
} from "@tensorcask/codec";
import * as fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type CastTarget, castTensor } from "../src/format/cast.ts";
import type { OutputTensor } from "../src/format/writer.ts";

beforeAll(() => ready());

/** A tensor whose elements come in pieces of `pieceBytes`. */
function tensor(dtype: DTypeName, shape: number[], bytes: Uint8Array, pieceBytes = 5): OutputTensor {
  return {
    name: "t",
    dtype: dtypeOf(dtype),
    shape,
    async *elements() {
      for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
    },
  };
}

async function cast(
  of: OutputTensor,
  to: CastTarget,
): Promise<{ dtype: string; shape: number[]; bytes: Uint8Array }> {
  const { dtype, shape, elements } = castTensor(of, to);
  const pieces: Uint8Array[] = [];
  for await (const piece of elements()) pieces.push(new Uint8Array(piece));
  return { dtype: dtype.name, shape: [...shape], bytes: new Uint8Array(Buffer.concat(pieces)) };
}

async function values(of: OutputTensor): Promise<number[]> {
  const { bytes } = await cast(of, "float32");
  return [...(typedArrayOf(dtypeOf("float32"), bytes) as Float32Array)];
}

const u8 = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

describe("tensors in another float dtype", () => {
  it("floats of every width become float32, wherever the pieces are cut", async () => {
    const halves = bytesOf(new Uint16Array([0x3c00, 0xc000, 0x7c00]));
    const brains = bytesOf(new Uint16Array([0x3f80, 0xc000, 0x3e80]));
    for (let pieceBytes = 1; pieceBytes < 8; pieceBytes++) {
      expect(await values(tensor("float16", [3], halves, pieceBytes))).toEqual([
        1,
        -2,
        Number.POSITIVE_INFINITY,
      ]);
      expect(await values(tensor("bfloat16", [3, 1], brains, pieceBytes))).toEqual([1, -2, 0.25]);
      expect(await values(tensor("float64", [2], bytesOf(new Float64Array([0.1, -4])), pieceBytes))).toEqual([
        Math.fround(0.1),
        -4,
      ]);
      // Five elements of 6 bits in four bytes, the last of them not full: 1, 2, 4, -1 and 1.
      const packed = 8n | (16n << 6n) | (24n << 12n) | (40n << 18n) | (8n << 24n);
      const six = bytesOf(new BigUint64Array([packed])).slice(0, 4);
      expect(await values(tensor("float6_e2m3fn", [5], six, pieceBytes))).toEqual([1, 2, 4, -1, 1]);
      expect(await values(tensor("float4_e2m1fn", [3], u8(0x42, 0x0a), pieceBytes))).toEqual([1, 2, -1]);
    }
    expect(await values(tensor("float8_e8m0fnu", [2], u8(127, 128)))).toEqual([1, 2]);
  });

  it("blocks become their values, the last axis longer", async () => {
    const block = new Uint8Array(34);
    block.set([0, 0x3c]);
    for (let index = 0; index < 32; index++) block[2 + index] = index;
    const both = new Uint8Array([...block, ...block]);
    const found = await cast(tensor("ggml_q8_0", [2, 1], both, 7), "float32");
    expect(found).toMatchObject({ dtype: "float32", shape: [2, 32] });
    const expected = Array.from({ length: 64 }, (_, index) => index % 32);
    expect([...(typedArrayOf(dtypeOf("float32"), found.bytes) as Float32Array)]).toEqual(expected);
    const half = await cast(tensor("ggml_q8_0", [2, 1], both), "float16");
    expect(half.bytes).toHaveLength(byteLength(dtypeOf("float16"), [2, 32]));
  });

  it("integers, truth values and complex numbers stay what they are, and so does what has the dtype already", () => {
    for (const dtype of ["int8", "uint64", "bool", "complex64", "int4", "float16"] as const) {
      const of = tensor(dtype, [2], new Uint8Array(16));
      expect(castTensor(of, "float16")).toBe(of);
    }
    const of = tensor("float64", [1], new Uint8Array(8));
    expect(castTensor(of, undefined)).toBe(of);
  });

  it("refuses blocks without values and other targets, before anything is read", () => {
    expect(() => castTensor(tensor("ggml_iq1_s", [1], new Uint8Array(50)), "float32")).toThrow(
      /ggml_iq1_s cannot be read/,
    );
    expect(() => castTensor(tensor("int8", [1], u8(1)), "int8" as CastTarget)).toThrow(UsageError);
  });

  it("doubles are rounded once to 16 bits", async () => {
    // Just above the middle between two bfloat16 numbers, by less than float32 can tell: rounding twice would give 1.
    const above = 1 + 2 ** -8 + 2 ** -40;
    const brain = await cast(tensor("float64", [2], bytesOf(new Float64Array([above, -above]))), "bfloat16");
    expect([...new Uint16Array(brain.bytes.buffer)]).toEqual([0x3f81, 0xbf81]);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.double(), { maxLength: 20 }), async (doubles) => {
        const bytes = bytesOf(new Float64Array(doubles));
        const found = await cast(tensor("float64", [doubles.length], bytes, 16), "float16");
        // The machine's own float16 arrays round doubles once, too.
        const half = new (
          globalThis as unknown as { Float16Array: new (values: number[]) => ArrayLike<number> }
        ).Float16Array(doubles);
        const own = new Uint16Array((half as unknown as Uint16Array).buffer);
        const isNan = (bits: number): boolean => (bits & 0x7fff) > 0x7c00;
        for (const [index, bits] of [...new Uint16Array(found.bytes.buffer)].entries()) {
          if (!isNan(bits) || !isNan(own[index]!))
            expect([doubles[index], bits]).toEqual([doubles[index], own[index]]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
