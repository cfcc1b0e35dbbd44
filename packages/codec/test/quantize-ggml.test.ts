import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { quantize, range } from "./quantized.ts";

beforeAll(ready);

const f = Math.fround;

/** The two bytes of a number as float16. */
function half(value: number): number[] {
  const view = new DataView(new ArrayBuffer(2));
  view.setFloat16(0, value, true);
  return [view.getUint8(0), view.getUint8(1)];
}

/** C's conversion to an integer. */
const cut = Math.trunc;
const roundf = (value: number): number => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);
const inverse = (scale: number): number => (scale === 0 ? 0 : f(1 / scale));

/** Blocks of 32 values, as the C reference writes them. */
const references: { readonly [id: string]: (x: readonly number[]) => number[] } = {
  q8_0(x) {
    const d = f(Math.max(...x.map(Math.abs)) / 127);
    return [...half(d), ...x.map((value) => roundf(f(value * inverse(d))) & 0xff)];
  },
  q4_0(x) {
    const largest = Math.max(...x.map(Math.abs));
    const d = f((largest === 0 ? 0 : x.find((value) => Math.abs(value) === largest)!) / -8);
    const q = x.map((value) => Math.min(15, cut(f(f(value * inverse(d)) + 8.5))));
    return [...half(d), ...range(16, (index) => q[index]! + 16 * q[index + 16]!)];
  },
  q4_1(x) {
    const least = x.find((value) => value === Math.min(...x))!;
    const d = f(f(Math.max(...x) - least) / 15);
    const q = x.map((value) => Math.min(15, cut(f(f(f(value - least) * inverse(d)) + 0.5))));
    return [...half(d), ...half(least), ...range(16, (index) => q[index]! + 16 * q[index + 16]!)];
  },
};

function blocksOf(id: string, values: readonly number[]): number[] {
  const outcome = quantize(id, "float32", [values.length], values);
  expect(outcome.refused).toBeUndefined();
  return [...outcome.values];
}

/** Zeros, values of steps that make ties, and any others of a size whose scales float16 holds. */
const value = fc.oneof(
  fc.constantFrom(0, -0, 1, -1),
  fc.integer({ min: -255, max: 255 }).map((steps) => steps / 2),
  fc.float({ noNaN: true, min: -1000, max: 1000 }),
);
const block = fc.array(value, { minLength: 32, maxLength: 32 });

describe.each(Object.keys(references))("%s", (id) => {
  it("makes the blocks that ggml makes (property)", () => {
    fc.assert(
      fc.property(fc.array(block, { minLength: 1, maxLength: 4 }), (blocks) => {
        // The largest value keeps the scale within float16 and its inverse finite.
        const all = blocks.map((one) => one.with(5, 1000.5));
        expect(blocksOf(id, all.flat())).toEqual(all.flatMap(references[id]!));
      }),
    );
  });
});

describe("blocks worked out by hand", () => {
  it("q8_0: ties away from zero", () => {
    // d = 127/127 = 1 (0x3c00).
    const values = [127, 0.5, -0.5, 1.5, -1.5, 2.49, -2.51, ...range(25, () => 0)];
    expect(blocksOf("q8_0", values)).toEqual([
      0,
      0x3c,
      127,
      1,
      0xff,
      2,
      0xfe,
      2,
      0xfd,
      ...range(25, () => 0),
    ]);
  });

  it("q4_0: the largest magnitude is -8 steps, ties go up", () => {
    // The largest is 8: d = 8 / -8 = -1 (0xbc00), so q = 8.5 - x, cut off.
    const values = [8, -7, 0.5, -0.5, ...range(12, () => 0), 4, -8, ...range(14, () => 0)];
    const bytes = blocksOf("q4_0", values);
    expect(bytes.slice(0, 6)).toEqual([0, 0xbc, 0x40, 0xff, 0x88, 0x89]);
    expect(bytes.slice(6)).toEqual(range(12, () => 0x88));
  });

  it("q4_1: 15 steps from the smallest value to the largest", () => {
    // d = (14 - -1) / 15 = 1, m = -1 (0xbc00).
    const values = [-1, 14, 0.5, ...range(29, () => 2)];
    expect(blocksOf("q4_1", values).slice(0, 8)).toEqual([0, 0x3c, 0, 0xbc, 0x30, 0x3f, 0x32, 0x33]);
  });
});

/** Numbers that any language makes alike. */
const hashed = (index: number): number =>
  f((((index * 7919) % 1999) - 999) / 1024 + ((index * 31) % 17) / 64);

describe("super-blocks, as ggml's C code wrote them", () => {
  it.each([
    [
      "q4_k",
      "96189523fdfff8f9fffdf8facbde78a9b0af9ead9c8b7d7c8b7a69584938473636251605f4e3d2c3b2c1cfbead9e8d9c4958473625160514f3f2e3d2e1d0cfbeaf9ead9c8b7a6b5a7968574938473625d1c0beaf9ead9c8c8b7c6b7a69584938474635241605f4e3d2c1c2b1cfbead9e685a4958473625160514f3f2e1d2c1d0cfbeaf9ead9c8b7a6b5a7968574637266c18f023fdfff6fef9fbf4f59abe46ffd3c2d1c0beaf9ebdac9c8b7c6b7a69584748374635241605f4f3e2d1c2b1cfbe7b6a59483928473625160514f3e2d1c2b1c0bfaf9e8f8e9d8c7b6c5b6a594837f3e2d3c2d1c0bfbeaf9ead9c8b7c6b7a69584749384736251405e4f3e2d1c2b18d7c8b7a69584948574635241504f3f2e1d2c1d0cfbfae9f9ead9c8b7a6b5a69",
    ],
    [
      "q6_k",
      "8cc003377a3e7aade124d81b579b0e42054975b8fc3fe32f6296d094c703478aa167add60c42793f174e84ba70a6ef156e017518b144e78afe9a2dc063d77a1695f8a45013c77ace813de19448ab570b1e52054985b8fc3fe3276296d014c7033075a96ea2dd01467a3f134e73b7eca0086bce22b51860c3278a1d70cd2083e69390a0a0e0e4e4e4253529393d3d094ecacecece829243525353501414242424a3a3a0a0a490d4d4d5d409050909090d090a0a4e0e4e42528393939790e4d4e48b8ebd80949285418b8ea583549086b9e00c6e01b558c46013b75ace611db164087b5f9a0e42853975b8fc2fe3265296d014d2063175aade92dd02367b3f134e83b7680c5fabfe42953880d3277a1d60bdf01064bf1367bb51a5f054a8fc90eb3f935c174288135e89448fb5f03b66216792d014d70b377aaed195d904387caf134e0246994d81cc1054974b94d01467ab5f72b3a3a3a0a0a490d4d4d5d4090509093939090a0a4e4e4e42528393939790a4438342939393909494a4e4e4e5e438353a3a3a3a0e094d4d4c4d415090909090888ba1804b9182ab94558b8db08e82a0c70c",
    ],
  ])("%s", (id, golden) => {
    expect(Buffer.from(blocksOf(id, range(512, hashed))).toString("hex")).toBe(golden);
  });
});

describe.each(["q8_0", "q4_0", "q4_1", "q4_k", "q6_k"])("%s of other shapes", (id) => {
  const dtype = dtypeOf(`ggml_${id}`);
  const size = dtype.block!.elements;

  it("has blocks along the last axis where it is whole blocks, else along all elements", () => {
    const shapeFor = (shape: readonly number[]) =>
      quantize(
        id,
        "float32",
        shape,
        range(
          shape.reduce((a, b) => a * b, 1),
          hashed,
        ),
      ).plan!.arrays;
    expect(shapeFor([3, 2 * size])).toEqual([{ role: "values", dtype, shape: [3, 2] }]);
    expect(shapeFor([4, size / 4, 3])).toEqual([{ role: "values", dtype, shape: [3] }]);
    expect(shapeFor([2 * size - 1])).toEqual([{ role: "values", dtype, shape: [2] }]);
  });

  it("fills the last block up with the last element", () => {
    const rest = size - 7;
    const values = range(size + rest, hashed);
    const filled = [...values, ...range(7, () => values.at(-1)!)];
    const short = quantize(id, "float32", [values.length], values);
    expect(short.values).toEqual(quantize(id, "float32", [filled.length], filled).values);
    expect(short.decoded).toHaveLength(values.length);
    expect(short.plan!.bitsPerWeight).toBeCloseTo((2 * dtype.bits) / values.length, 10);
  });

  it("refuses what its scales cannot hold", () => {
    const of = (value: number) =>
      quantize(
        id,
        "float32",
        [2 * size],
        range(2 * size, (index) => (index === 9 ? value : 0)),
      );
    expect(of(1e9).refused).toMatch(/cannot hold 1000000000: its scale would be beyond float16/);
    expect(of(1e-9).refused).toMatch(/float16 has no scale so small/);
    expect(of(1000).refused).toBeUndefined();
    expect(of(0).decoded.every((one) => one === 0)).toBe(true);
  });
});
