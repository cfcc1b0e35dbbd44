import { join } from "node:path";
import {
  type DTypeName,
  dtypeOf,
  ElementGeometry,
  planSlice,
  type SliceSpec,
  sliceBytes,
  UsageError,
} from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nodeFileSystem } from "../src/index.ts";
import {
  bytesOf,
  countingFileSystem,
  expectTensor,
  failureOf,
  floats,
  kinds,
  newStore,
  openTestStore,
  randomTensor,
  sameBytes,
  temporaryDirectory,
} from "./store-harness.ts";

const CHUNK_ELEMENTS = 8192;
/** Header of a frame that is stored raw. */
const FRAME_HEADER = 56;

/** Coordinates of the elements that a slice selects, by the rules of NumPy: slow and plain. */
function naive(shape: readonly number[], spec: SliceSpec): number[] {
  const axes = shape.map((length, axis) => {
    const entry = spec[axis] ?? null;
    if (typeof entry === "number") return [entry < 0 ? entry + length : entry];
    const [start, stop, step = 1] = entry ?? [null, null];
    const bound = (value: number | null, absent: number): number =>
      value === null ? absent : Math.min(length, Math.max(0, value < 0 ? value + length : value));
    const found: number[] = [];
    for (let index = bound(start, 0); index < bound(stop, length); index += step) found.push(index);
    return found;
  });
  return axes.reduce<number[]>(
    (elements, indices, axis) =>
      elements.flatMap((element) => indices.map((index) => element * shape[axis]! + index)),
    [0],
  );
}

describe.each(kinds)("slices (%s)", (kind) => {
  test("of any rank, with negative indices, steps and missing axes", async () => {
    const store = await newStore(kind, { chunkElements: 64 });
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([6, 7, 8, 9], 1), { name: "x" });
    const { data } = floats([6, 7, 8, 9], 1);
    const cases: [SliceSpec, number[]][] = [
      [[], [6, 7, 8, 9]],
      [[0], [7, 8, 9]],
      [[-1, -1, -1, -1], []],
      [
        [null, 2],
        [6, 8, 9],
      ],
      [
        [[1, 3], null, 0],
        [2, 7, 9],
      ],
      [
        [[null, null, 2], [-3, null], [null, -1], 4],
        [3, 3, 7],
      ],
      [
        [null, null, null, [0, 1]],
        [6, 7, 8, 1],
      ],
      [[[4, 100]], [2, 7, 8, 9]],
      [[[4, 2]], [0, 7, 8, 9]],
      [
        [null, [9, 20]],
        [6, 0, 8, 9],
      ],
    ];
    for (const [spec, shape] of cases) {
      const found = (await dataset.slice("x", spec))!;
      expect(found.shape, JSON.stringify(spec)).toEqual(shape);
      expect([...found.data], JSON.stringify(spec)).toEqual(
        naive([6, 7, 8, 9], spec).map((element) => data[element]),
      );
    }
    expect((await dataset.slice("x", [0, 0, 0], { as: "float16" }))!.dtype).toBe("float16");
  });

  test("errors name the axis", async () => {
    const store = await newStore(kind);
    const dataset = await store.createDataset("a");
    await dataset.insert(floats([4, 5]), { name: "x" });
    await dataset.insert(floats([]), { name: "scalar" });
    const wrong: [unknown, string][] = [
      [[4], "axis 0: index 4 is out of range for length 4"],
      [[-5], "axis 0: index -5 is out of range for length 4"],
      [[0, 7], "axis 1: index 7 is out of range for length 5"],
      [[null, [0, 3, 0]], "axis 1: step 0"],
      [[null, [0, 3, -1]], "axis 1: step -1"],
      [[0.5], "axis 0"],
      [[null, "1"], "axis 1"],
      [[null, [1]], "axis 1"],
      [[0, 0, 0], "names 3 axes, the tensor has 2"],
    ];
    for (const [spec, message] of wrong) {
      const failure = await failureOf(dataset.slice("x", spec as SliceSpec));
      expect(failure).toBeInstanceOf(UsageError);
      expect(failure).toMatchObject({ field: "slice" });
      expect(failure.message).toContain(message);
    }
    expect((await dataset.slice("scalar", []))!.shape).toEqual([]);
    expect((await failureOf(dataset.slice("scalar", [0]))).message).toContain("the tensor has 0");
    expect(await failureOf(dataset.gather("scalar", [0]))).toMatchObject({ field: "rows" });
    for (const row of [4, -5, 0.5, Number.NaN]) {
      const failure = await failureOf(dataset.gather("x", [0, row]));
      expect(failure).toMatchObject({ tag: "usage", field: "rows" });
      expect(failure.message).toContain("axis 0");
    }
  });

  test("gather gives rows in the order asked for, again and from the end", async () => {
    const store = await newStore(kind, { chunkElements: 128 });
    const dataset = await store.createDataset("a");
    for (const dtype of ["float32", "int4", "float6_e3m2fn"] as const) {
      const tensor = randomTensor(dtype, [50, 9], 3);
      await dataset.insert(tensor, { name: dtype });
      const rows = [5, 17, 49, -1, 0, 5, 5, -50];
      const found = (await dataset.gather(dtype, rows))!;
      expect(found.shape).toEqual([rows.length, 9]);
      const elements = rows.flatMap((row) =>
        Array.from({ length: 9 }, (_, column) => (row < 0 ? row + 50 : row) * 9 + column),
      );
      const { bits } = dtypeOf(dtype);
      const bitAt = (bytes: Uint8Array, bit: number): number => (bytes[bit >> 3]! >> (bit & 7)) & 1;
      for (const [index, element] of elements.entries()) {
        for (let bit = 0; bit < bits; bit++) {
          expect(bitAt(found.bytes(), index * bits + bit)).toBe(bitAt(bytesOf(tensor), element * bits + bit));
        }
      }
      expect((await dataset.gather(dtype, []))!.shape).toEqual([0, 9]);
    }
    await dataset.insert(floats([5, 0]), { name: "thin" });
    expect((await dataset.gather("thin", [1, 1]))!.shape).toEqual([2, 0]);
  });
});

test("what a slice gives is what NumPy would", async () => {
  const store = await newStore(":memory:", { chunkElements: 64 });
  const dataset = await store.createDataset("a");
  let round = 0;
  const entry = (length: number) =>
    fc.oneof(
      fc.constant(null),
      ...(length === 0 ? [] : [fc.integer({ min: -length, max: length - 1 })]),
      fc.tuple(
        fc.option(fc.integer({ min: -length - 2, max: length + 2 })),
        fc.option(fc.integer({ min: -length - 2, max: length + 2 })),
      ),
      fc.tuple(
        fc.option(fc.integer({ min: -length, max: length })),
        fc.constant(null),
        fc.integer({ min: 1, max: 4 }),
      ),
    );
  const shapeAndSpec = fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 4 }).chain((shape) =>
    fc.tuple(
      fc.constant(shape),
      fc.nat(shape.length).chain((axes) => fc.tuple(...shape.slice(0, axes).map(entry))),
    ),
  );
  const dtypes: DTypeName[] = ["float32", "int4", "float6_e2m3fn", "uint8", "complex128"];
  await fc.assert(
    fc.asyncProperty(shapeAndSpec, fc.constantFrom(...dtypes), async ([shape, spec], dtype) => {
      const name = String(round++);
      const tensor = randomTensor(dtype, shape, round);
      await dataset.insert(tensor, { name });
      const found = (await dataset.slice(name, spec as SliceSpec))!;
      const plan = planSlice(shape, spec as SliceSpec);
      expect(found.shape).toEqual(plan.shape);
      expect(sameBytes(found.bytes(), sliceBytes(plan, dtypeOf(dtype), bytesOf(tensor)))).toBe(true);
      if (dtype === "float32") {
        const { data } = tensor as { data: ArrayBufferView } as { data: Float32Array };
        expect([...found.data].map(Object.is.bind(null, 0)).length).toBe(
          naive(shape, spec as SliceSpec).length,
        );
        const wanted = naive(shape, spec as SliceSpec).map((element) => data[element]!);
        expect(wanted.every((value, index) => Object.is(value, found.data[index]))).toBe(true);
      }
      await dataset.delete(name);
    }),
    { numRuns: 150 },
  );
});

describe("only the chunks that a slice touches are read", () => {
  const shapes: [string, number[], SliceSpec][] = [
    ["one row of many", [64, 4096], [5]],
    ["the last row", [64, 4096], [-1]],
    ["a range of rows", [64, 4096], [[10, 13]]],
    ["rows far apart", [64, 4096], [[null, null, 20]]],
    ["one element", [64, 4096], [33, 7]],
    ["a row that is longer than a chunk: its end", [4, 50_000], [2, [-3, null]]],
    ["a row that is longer than a chunk: all of it", [4, 50_000], [2]],
    ["a piece across two chunks", [200_000], [[8000, 8400]]],
    ["a matrix of a batch", [20, 64, 128], [7, [0, 64], [0, 128]]],
    ["a corner of each matrix", [6, 128, 128], [null, 0, 0]],
    ["nothing", [64, 4096], [[5, 5]]],
    ["everything", [8, 4096], []],
  ];
  test.each(shapes)("%s", async (_what, shape, spec) => {
    const directory = join(temporaryDirectory(), "store");
    const writer = await openTestStore(directory, { chunkElements: CHUNK_ELEMENTS, preset: "none" });
    await (await writer.createDataset("a")).insert(floats(shape, 2), { name: "x" });
    await writer.close();
    const files = countingFileSystem(nodeFileSystem);
    const store = await openTestStore(directory, { fileSystem: files });
    const dataset = (await store.dataset("a"))!;
    files.reset();
    const found = (await dataset.slice("x", spec))!;
    const elements = naive(shape, spec);
    expect(found.data.length).toBe(elements.length);
    const geometry = new ElementGeometry(dtypeOf("float32"), shape, CHUNK_ELEMENTS);
    const touched = new Set(elements.map((element) => geometry.chunkOf(element)));
    const expected = [...touched].reduce((sum, chunk) => sum + geometry.count(chunk) * 4 + FRAME_HEADER, 0);
    expect(files.packBytes).toBe(expected);
    const [first] = elements;
    if (first !== undefined) expect(found.data[0]).toBe(floats(shape, 2).data[first]);
  });

  test("gather reads its rows only", async () => {
    const directory = join(temporaryDirectory(), "store");
    const writer = await openTestStore(directory, { chunkElements: CHUNK_ELEMENTS, preset: "none" });
    const tensor = floats([100, 8192], 2);
    await (await writer.createDataset("a")).insert(tensor, { name: "embed" });
    await writer.close();
    const files = countingFileSystem(nodeFileSystem);
    const dataset = (await (await openTestStore(directory, { fileSystem: files })).dataset("a"))!;
    const found = (await dataset.gather("embed", [99, 5, 17, 5]))!;
    expect(files.packBytes).toBe(3 * (8192 * 4 + FRAME_HEADER));
    expect(found.data[0]).toBe(tensor.data[99 * 8192]);
    expect(found.data[8192]).toBe(tensor.data[5 * 8192]);
  });

  test("of quantized tensors, too: values of one chunk and the scales", async () => {
    const directory = join(temporaryDirectory(), "store");
    const writer = await openTestStore(directory, { chunkElements: CHUNK_ELEMENTS, preset: "int8_only" });
    await (await writer.createDataset("a")).insert(floats([64, 8192], 2), { name: "x" });
    await writer.close();
    const files = countingFileSystem(nodeFileSystem);
    const dataset = (await (await openTestStore(directory, { fileSystem: files })).dataset("a"))!;
    const row = (await dataset.slice("x", [40]))!;
    expect(files.packBytes).toBeLessThan(8192 + 64 * 4 + 3 * FRAME_HEADER);
    const { data } = floats([64, 8192], 2);
    for (let column = 0; column < 8192; column++)
      expect(Math.abs((row.data[column] as number) - data[40 * 8192 + column]!)).toBeLessThan(0.0041);
  });

  test("of a whole tensor, neighbouring frames are read together", async () => {
    const directory = join(temporaryDirectory(), "store");
    const writer = await openTestStore(directory, { chunkElements: CHUNK_ELEMENTS, preset: "none" });
    const tensor = floats([64, 4096], 2);
    await (await writer.createDataset("a")).insert(tensor, { name: "x" });
    await writer.close();
    const files = countingFileSystem(nodeFileSystem);
    const dataset = (await (await openTestStore(directory, { fileSystem: files })).dataset("a"))!;
    expectTensor(await dataset.get("x"), tensor);
    expect(files.packReads).toBeLessThan(4);
  });
});
