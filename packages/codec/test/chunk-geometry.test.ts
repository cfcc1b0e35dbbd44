import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isBundled } from "../src/chunk/bundle.ts";
import { DEFAULT_CHUNK_ELEMENTS, ElementGeometry } from "../src/chunk/geometry.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";

const float32 = dtypeOf("float32");
const counts = (geometry: ElementGeometry): number[] =>
  Array.from({ length: geometry.chunkCount }, (_, chunk) => geometry.count(chunk));

describe("ElementGeometry", () => {
  test.each([
    ["scalar", [], 128, [1]],
    ["vector", [300], 128, [128, 128, 44]],
    ["empty", [5, 0], 128, []],
    ["no rows", [0, 7], 128, []],
    ["whole rows", [5, 60], 128, [120, 120, 60]],
    ["a row just fits", [3, 128], 128, [128, 128, 128]],
    ["within rows, by 64", [2, 200], 128, [128, 72, 128, 72]],
    ["within rows, by the innermost axis", [2, 5, 50], 128, [100, 100, 50, 100, 100, 50]],
    ["within rows, innermost too long", [2, 2, 150], 128, [128, 128, 44, 128, 128, 44]],
  ])("%s", (_name, shape, chunkElements, expected) => {
    expect(counts(new ElementGeometry(float32, shape, chunkElements))).toEqual(expected);
  });

  test("sub-byte rows that are no whole bytes are cut flat", () => {
    const geometry = new ElementGeometry(dtypeOf("int4"), [10, 21], 128);
    expect(counts(geometry)).toEqual([128, 82]);
    expect(geometry.byteRange(1)).toEqual({ start: 64, end: 105 });
    expect(new ElementGeometry(dtypeOf("int4"), [3], 128).byteRange(0)).toEqual({ start: 0, end: 2 });
    // 99 elements of 4 bits are no whole bytes, 198 would not fit: by 64 then.
    expect(counts(new ElementGeometry(dtypeOf("int4"), [1, 4, 99], 128))).toEqual([128, 128, 128, 12]);
    expect(counts(new ElementGeometry(dtypeOf("int4"), [1, 8, 33], 128))).toEqual([66, 66, 66, 66]);
  });

  test("chunks cover every element once, at whole bytes, within the limit; chunkOf agrees", () => {
    const anyShape = fc.array(fc.nat(40), { maxLength: 4 });
    fc.assert(
      fc.property(
        fc.constantFrom(...dtypes),
        anyShape,
        fc.integer({ min: 1, max: 6 }),
        (dtype, shape, units) => {
          const geometry = new ElementGeometry(dtype, shape, units * 64);
          let element = 0;
          let bytes = 0;
          let sound = true;
          for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
            const count = geometry.count(chunk);
            const { start, end } = geometry.byteRange(chunk);
            sound &&= geometry.first(chunk) === element && count > 0 && count <= units * 64;
            sound &&= start === bytes && start * 8 === element * dtype.bits;
            sound &&= geometry.chunkOf(element) === chunk && geometry.chunkOf(element + count - 1) === chunk;
            element += count;
            bytes = end;
          }
          expect(sound).toBe(true);
          expect(element).toBe(shape.reduce((product, axis) => product * axis, 1));
          expect(bytes).toBe(geometry.bytes);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("dtypes of whole bytes cut one shape alike", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 4 }), (shape) => {
        expect(counts(new ElementGeometry(float32, shape, 128))).toEqual(
          counts(new ElementGeometry(dtypeOf("bfloat16"), shape, 128)),
        );
      }),
    );
  });

  test("a terabyte tensor costs nothing to ask about", () => {
    const geometry = new ElementGeometry(float32, [1_000_000, 1024, 256]);
    expect(geometry.chunkCount).toBe(2_000_000);
    expect(geometry.count(0)).toBe(DEFAULT_CHUNK_ELEMENTS);
    expect(geometry.chunkOf(262_144 * 999_999 + 131_072)).toBe(1_999_999);
    expect(geometry.byteRange(1_999_999).end).toBe(geometry.bytes);
  });

  test("refuses what makes no sense", () => {
    expect(() => new ElementGeometry(float32, [3], 100)).toThrow(/chunkElements is 100/);
    expect(() => new ElementGeometry(float32, [-1])).toThrow(/axis 0/);
    expect(() => new ElementGeometry(float32, [1.5])).toThrow(/axis 0/);
    expect(() => new ElementGeometry(float32, [2 ** 30, 2 ** 30])).toThrow(/2\^53/);
    expect(() => new ElementGeometry(float32, [2 ** 52])).toThrow(/2\^53 - 1 bytes/);
    const geometry = new ElementGeometry(float32, [10]);
    expect(() => geometry.first(1)).toThrow(/chunk 1/);
    expect(() => geometry.chunkOf(10)).toThrow(/element 10/);
  });

  test("small arrays are bundled, empty ones are not", () => {
    expect([0, 1, 4095, 4096].map(isBundled)).toEqual([false, true, true, false]);
  });
});
