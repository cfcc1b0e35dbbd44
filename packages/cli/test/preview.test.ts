import {
  bytesOf,
  dtypeOf,
  planSlice,
  ready,
  type SliceSpec,
  sliceBytes,
  type TensorData,
  typedArrayOf,
} from "@tensorcask/codec";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { elementJson, elementsOf, elementTexts } from "../src/element-values.ts";
import { readShown, shownBlocks, shownLines, shownOf, shownRanges } from "../src/preview.ts";

beforeAll(() => ready());

function preview(tensor: TensorData): string {
  return shownLines(shownOf(tensor), tensor.dtype).join("\n");
}

function counting(shape: readonly number[]): TensorData {
  const count = shape.reduce((product, length) => product * length, 1);
  return { dtype: "int32", shape, data: Int32Array.from({ length: count }, (_, index) => index) };
}

/** What a store does: a slice as a tensor of its own. */
function sliceOf(tensor: TensorData, spec: SliceSpec): TensorData {
  const plan = planSlice(tensor.shape, spec);
  const dtype = dtypeOf(tensor.dtype);
  return {
    dtype: dtype.name,
    shape: plan.shape,
    data: typedArrayOf(dtype, sliceBytes(plan, dtype, bytesOf(tensor.data))),
  };
}

describe("preview", () => {
  it("of a scalar, an empty tensor and a vector", () => {
    expect(preview(counting([]))).toBe("0");
    expect(preview(counting([0]))).toBe("[]");
    expect(preview(counting([2, 0]))).toBe("[[]\n []]");
    expect(preview(counting([3]))).toBe("[0 1 2]");
  });

  it("of a matrix and a cube", () => {
    expect(preview(counting([2, 2, 6]))).toBe(
      "[[[ 0  1  2  3  4  5]\n  [ 6  7  8  9 10 11]]\n [[12 13 14 15 16 17]\n  [18 19 20 21 22 23]]]",
    );
  });

  it("shows long axes by their ends", () => {
    expect(preview(counting([1001]))).toBe("[   0    1    2 ...  998  999 1000]");
    expect(preview(counting([2, 600]))).toBe(
      "[[   0    1    2 ...  597  598  599]\n [ 600  601  602 ... 1197 1198 1199]]",
    );
    expect(preview(counting([100, 20])).split("\n")).toEqual([
      "[[   0    1    2 ...   17   18   19]",
      " [  20   21   22 ...   37   38   39]",
      " [  40   41   42 ...   57   58   59]",
      " ...",
      " [1940 1941 1942 ... 1957 1958 1959]",
      " [1960 1961 1962 ... 1977 1978 1979]",
      " [1980 1981 1982 ... 1997 1998 1999]]",
    ]);
  });

  it("cuts long rows into lines", () => {
    const lines = preview(counting([1000])).split("\n");
    expect(lines.length).toBeGreaterThan(40);
    expect(lines.every((line) => line.length <= 80)).toBe(true);
    expect(lines.join(" ").match(/\d+/g)).toHaveLength(1000);
  });

  it("reads only the shown ranges", () => {
    expect(shownRanges([2, 1000])).toEqual([
      [[0, 2]],
      [
        [0, 3],
        [997, 1000],
      ],
    ]);
    expect(shownBlocks(shownRanges([1000, 1000]))).toHaveLength(4);
    expect(shownBlocks([])).toEqual([[]]);
  });

  it("shows the same from slices of a stored tensor as from one in memory", async () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(shapes, async (shape) => {
        const tensor = counting(shape);
        const read = await readShown(shape, async (spec) => sliceOf(tensor, spec));
        expect(read).toEqual(shownOf(tensor));
      }),
    );
  });
});

describe("elements", () => {
  it("of every kind of dtype", () => {
    const bits = new Uint16Array([0x3c00, 0xc000]);
    expect(elementsOf({ dtype: "float16", shape: [2], data: bits })).toEqual([1, -2]);
    expect(elementsOf({ dtype: "bfloat16", shape: [1], data: new Uint16Array([0x3f80]) })).toEqual([1]);
    expect(elementsOf({ dtype: "bool", shape: [2], data: new Uint8Array([0, 1]) })).toEqual([false, true]);
    expect(elementsOf({ dtype: "int64", shape: [1], data: new BigInt64Array([-5n]) })).toEqual([-5n]);
    expect(elementsOf({ dtype: "float64", shape: [1], data: new Float64Array([0.1]) })).toEqual([0.1]);
    expect(elementsOf({ dtype: "int4", shape: [3], data: new Uint8Array([0xf1, 0x07]) })).toEqual([1, -1, 7]);
    expect(elementsOf({ dtype: "complex64", shape: [1], data: new Float32Array([1, -2]) })).toEqual([
      [1, -2],
    ]);
    expect(elementsOf({ dtype: "float8_e4m3fn", shape: [1], data: new Uint8Array([0x38]) })).toEqual([1]);
  });

  it("as JSON keep what JSON has no number for", () => {
    expect([Number.NaN, Number.POSITIVE_INFINITY, 0.5, true].map(elementJson)).toEqual([
      "NaN",
      "Infinity",
      0.5,
      true,
    ]);
    expect([5n, 2n ** 60n, -(2n ** 60n)].map(elementJson)).toEqual([
      5,
      "1152921504606846976",
      "-1152921504606846976",
    ]);
    expect(elementJson([1, Number.NaN])).toEqual([1, "NaN"]);
  });

  it("as text: alike and right-aligned", () => {
    expect(elementTexts([1, 2.5, -3], true)).toEqual([" 1.0", " 2.5", "-3.0"]);
    expect(elementTexts([0.123456, 1], true)).toEqual(["0.1235", "1.0000"]);
    expect(elementTexts([1e-6, 1], true)).toEqual(["1.0e-6", "1.0e+0"]);
    expect(elementTexts([1.25e10], true)).toEqual(["1.25e+10"]);
    expect(elementTexts([Number.NaN, Number.NEGATIVE_INFINITY, 0], true)).toEqual([" nan", "-inf", " 0.0"]);
    expect(elementTexts([-0], true)).toEqual(["-0.0"]);
    expect(elementTexts([[1, -2]], false)).toEqual(["1.0-2.0j"]);
    expect(elementTexts([true, false], false)).toEqual([" true", "false"]);
    expect(elementTexts([], true)).toEqual([]);
  });

  it("texts of one print have one width, whatever the floats", () => {
    fc.assert(
      fc.property(fc.array(fc.float(), { minLength: 1 }), (values) => {
        expect(new Set(elementTexts(values, true).map((text) => text.length)).size).toBe(1);
      }),
    );
  });
});
