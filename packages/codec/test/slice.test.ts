import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { UsageError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { packElements, unpackElements } from "../src/tensor/packed.ts";
import { elementCount, stridesOf } from "../src/tensor/shape.ts";
import {
  forEachRun,
  parseSlice,
  planSlice,
  RunCursor,
  type SliceSpec,
  sliceBytes,
} from "../src/tensor/slice.ts";

/** The reference: which indices of an axis an entry selects, one by one, as Python's range does. */
function selected(entry: SliceSpec[number], length: number): number[] {
  if (typeof entry === "number") return [entry < 0 ? entry + length : entry];
  const [from, to, step = 1] = entry ?? [null, null];
  const all = Array.from({ length }, (_, index) => index);
  return all.slice(from ?? 0, to ?? length).filter((_, index) => index % step === 0);
}

/** Source elements of a slice, in order. */
function naive(shape: readonly number[], spec: SliceSpec): { shape: number[]; elements: number[] } {
  const strides = stridesOf(shape);
  let elements = [0];
  const result: number[] = [];
  shape.forEach((length, axis) => {
    const entry = spec[axis] ?? null;
    const indices = selected(entry, length);
    if (typeof entry !== "number") result.push(indices.length);
    elements = elements.flatMap((base) => indices.map((index) => base + index * strides[axis]!));
  });
  return { shape: result, elements };
}

const shapeAndSpec = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 5 }).chain((shape) => {
  const bound = fc.option(fc.integer({ min: -8, max: 8 }));
  const entries = shape.map((length) =>
    fc.oneof(
      { weight: 2, arbitrary: fc.constant(null) },
      { weight: 2, arbitrary: fc.tuple(bound, bound) },
      { weight: 2, arbitrary: fc.tuple(bound, bound, fc.integer({ min: 1, max: 4 })) },
      { weight: length === 0 ? 0 : 2, arbitrary: fc.integer({ min: -length, max: Math.max(0, length - 1) }) },
    ),
  );
  return fc.tuple(
    fc.constant(shape),
    fc.tuple(...entries).chain((spec) => fc.nat(spec.length).map((kept) => spec.slice(0, kept))),
  );
});

describe("planSlice", () => {
  it("selects what a naive reference selects", () => {
    fc.assert(
      fc.property(shapeAndSpec, ([shape, spec]) => {
        const expected = naive(shape, spec);
        const plan = planSlice(shape, spec);
        expect(plan.shape).toEqual(expected.shape);
        expect(plan.elements).toBe(expected.elements.length);
        const elements: number[] = [];
        let runs = 0;
        forEachRun(plan, (start, length) => {
          runs++;
          for (let index = 0; index < length; index++) elements.push(start + index);
        });
        expect(elements).toEqual(expected.elements);
        expect(runs).toBe(plan.runCount);
      }),
      { numRuns: 1000 },
    );
  });

  it("copies what the reference copies, packed elements too", () => {
    fc.assert(
      fc.property(
        shapeAndSpec,
        fc.constantFrom("int4", "float6_e2m3fn", "uint8", "int16", "complex128"),
        ([shape, spec], name) => {
          const dtype = dtypeOf(name);
          const expected = naive(shape, spec).elements;
          const plan = planSlice(shape, spec);
          if (dtype.bits < 8) {
            const all = Uint8Array.from({ length: elementCount(shape) }, (_, index) => index % 13);
            const bytes = sliceBytes(plan, dtype, packElements(all, dtype.bits));
            expect([...unpackElements(bytes, dtype.bits, 0, plan.elements)]).toEqual(
              expected.map((index) => index % 13),
            );
          } else {
            const size = dtype.bits / 8;
            const all = Uint8Array.from({ length: elementCount(shape) * size }, (_, index) => index * 31);
            const wanted = expected.flatMap((element) => [
              ...all.subarray(element * size, (element + 1) * size),
            ]);
            expect([...sliceBytes(plan, dtype, all)]).toEqual(wanted);
          }
        },
      ),
    );
  });

  it("merges what is contiguous into one run", () => {
    const runs = (shape: readonly number[], spec: SliceSpec): readonly number[] => {
      const { first, runLength, runCount } = planSlice(shape, spec);
      return [first, runLength, runCount];
    };
    expect(runs([10, 20, 30], [])).toEqual([0, 6000, 1]);
    expect(runs([10, 20, 30], [[2, 5]])).toEqual([1200, 1800, 1]);
    expect(runs([10, 20, 30], [3, [5, 7]])).toEqual([1950, 60, 1]);
    expect(runs([10, 20, 30], [3, 4, [5, 7]])).toEqual([1925, 2, 1]);
    expect(
      runs(
        [10, 20, 30],
        [
          [2, 5],
          [1, 3],
        ],
      ),
    ).toEqual([1230, 60, 3]);
    expect(runs([10, 20, 30], [null, null, 0])).toEqual([0, 1, 200]);
    expect(runs([10, 20, 30], [[0, 10, 3]])).toEqual([0, 600, 4]);
    expect(runs([1, 20, 1], [null, [3, 6]])).toEqual([3, 3, 1]);
    expect(runs([], [])).toEqual([0, 1, 1]);
    expect(runs([10, 0], [])).toEqual([0, 0, 0]);
  });

  it("plans huge tensors at once", () => {
    const plan = planSlice([2 ** 26, 2 ** 26], [null, [0, 1]]);
    expect(plan.runCount).toBe(2 ** 26);
    const cursor = new RunCursor(plan);
    for (let index = 0; index < 3; index++) cursor.next();
    expect(cursor.start).toBe(2 ** 27);
  });

  it("names the axis that is wrong", () => {
    const message = (spec: unknown): string => {
      try {
        planSlice([4, 5], spec as SliceSpec);
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        return (error as UsageError).message;
      }
      return "accepted";
    };
    expect(message([null, 7])).toBe("axis 1: index 7 is out of range for length 5");
    expect(message([-5])).toBe("axis 0: index -5 is out of range for length 4");
    expect(message([0, 0, 0])).toBe("the slice names 3 axes, the tensor has 2");
    expect(message([[0, 2, 0]])).toBe("axis 0: step 0 is not a positive integer");
    expect(message([null, [0, 2, -1]])).toBe("axis 1: step -1 is not a positive integer");
    expect(message([1.5])).toBe("axis 0: index 1.5 is not an integer");
    expect(message([[0.5, 2]])).toBe("axis 0: 0.5 is not an integer");
    for (const entry of ["1", [1], [1, 2, 3, 4], {}])
      expect(message([entry])).toMatch(/^axis 0: expected null/);
  });
});

describe("parseSlice", () => {
  it.each([
    ["", []],
    ["  ", []],
    ["0:10,:", [[0, 10], null]],
    ["-1", [-1]],
    ["::2", [[null, null, 2]]],
    [":,3", [null, 3]],
    ["::", [null]],
    [" 1 : -2 : 3 , +4", [[1, -2, 3], 4]],
    [":5", [[null, 5]]],
    ["5:", [[5, null]]],
    ["-3::", [[-3, null]]],
  ] as const)("reads %j", (text, spec) => {
    expect(parseSlice(text)).toEqual(spec);
  });

  it.each([
    ["0,", /axis 1: nothing is written/],
    [",0", /axis 0: nothing/],
    ["1:2:3:4", /axis 0: "1:2:3:4" has more/],
    ["0,a", /axis 1: "a" is neither/],
    ["1.5", /axis 0/],
    ["0x1", /axis 0/],
    ["1e3", /axis 0/],
    ["...", /axis 0/],
    ["1 2", /axis 0/],
    ["::0", /step 0/],
    ["::-1", /step -1/],
    ["99999999999999999999", /axis 0/],
  ])("refuses %j", (text, message) => {
    expect(() => parseSlice(text)).toThrow(UsageError);
    expect(() => parseSlice(text)).toThrow(message);
  });
});
