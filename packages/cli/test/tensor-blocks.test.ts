import { dtypeOf, planSlice, type SliceSpec, sliceBytes } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { tensorBlocks } from "../src/tensor-blocks.ts";

const shapes = fc.array(fc.integer({ min: 0, max: 7 }), { maxLength: 4 });

describe("tensorBlocks", () => {
  it("is one block when the tensor fits", () => {
    expect([...tensorBlocks([4, 4], 32, 64)]).toEqual([[]]);
    expect([...tensorBlocks([], 32, 1)]).toEqual([[]]);
  });

  it("cuts rows, then within rows", () => {
    expect([...tensorBlocks([5, 4], 8, 8)]).toEqual([[[0, 2]], [[2, 4]], [[4, 5]]]);
    expect([...tensorBlocks([2, 4], 8, 2)]).toEqual([
      [0, [0, 2]],
      [0, [2, 4]],
      [1, [0, 2]],
      [1, [2, 4]],
    ]);
  });

  it("does not cut sub-byte dtypes", () => {
    expect([...tensorBlocks([100, 3], 4, 8)]).toEqual([[]]);
  });

  it("covers any tensor once and in order, in blocks that fit", () => {
    const dtype = dtypeOf("uint16");
    fc.assert(
      fc.property(shapes, fc.integer({ min: 2, max: 40 }), (shape, blockBytes) => {
        const count = shape.reduce((product, length) => product * length, 1);
        const bytes = new Uint8Array(Uint16Array.from({ length: count }, (_, index) => index).buffer);
        const pieces = [...tensorBlocks(shape, 16, blockBytes)].map((spec: SliceSpec) =>
          sliceBytes(planSlice(shape, spec), dtype, bytes),
        );
        expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
        for (const piece of pieces) {
          expect(piece.length).toBeLessThanOrEqual(Math.max(2, blockBytes));
        }
      }),
    );
  });
});
