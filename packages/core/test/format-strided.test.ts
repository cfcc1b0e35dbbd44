import { dtypeOf } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fileExtent, latin1Extent, memoryExtent, sequentialExtent } from "../src/format/pickle/extent.ts";
import { placeTensors } from "../src/format/pickle/placement.ts";
import {
  checkStrided,
  elementsOf,
  gather,
  orderOf,
  type StridedTensor,
} from "../src/format/pickle/strided.ts";
import { bufferSource } from "../src/model/plan.ts";
import { ruleOf } from "./format-pickle-cases.ts";

async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece.slice());
  return Buffer.concat(all);
}

/** The elements one by one, in row-major order. */
function reference({ shape, strides, first, dtype }: StridedTensor, storage: Uint8Array): Buffer {
  const size = dtype.bits / 8;
  const count = shape.reduce((product, length) => product * length, 1);
  const out = Buffer.alloc(count * size);
  for (let index = 0; index < count; index++) {
    let rest = index;
    let from = first;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += (rest % shape[axis]!) * strides[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    out.set(storage.subarray(from * size, (from + 1) * size), index * size);
  }
  return out;
}

const numbered = (bytes: number): Uint8Array =>
  new Uint8Array(bytes).map((_, index) => (index * 31) ^ (index >> 8));

/** So that small tensors take several pieces. */
const PIECE_BYTES = 64 * 1024;

describe("strided tensors", () => {
  const axis = fc.record({ length: fc.integer({ min: 0, max: 5 }), stride: fc.integer({ min: 0, max: 12 }) });
  const cases = fc.record({
    axes: fc.array(axis, { maxLength: 5 }),
    first: fc.integer({ min: 0, max: 9 }),
    dtype: fc.constantFrom("uint8", "float16", "float32", "int64", "complex128"),
    isCompressed: fc.boolean(),
  });

  it("are gathered as one by one, whatever their strides", async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ axes, first, dtype, isCompressed }) => {
        const shape = axes.map(({ length }) => length);
        const strides = axes.map(({ stride }) => stride);
        const data = numbered(300 * 16);
        const storage = isCompressed
          ? sequentialExtent(data.length, (source) =>
              fileExtent(0, data.length).stream(source, 0, data.length),
            )
          : fileExtent(0, data.length);
        const tensor = { dtype: dtypeOf(dtype), shape, strides, first, storage, bigEndian: false };
        checkStrided("file", "x", tensor);
        const source = bufferSource("file", data);
        const wanted = reference(tensor, data);
        expect((await collect(gather(source, tensor))).equals(wanted)).toBe(true);
        const { parts, derived } = placeTensors("file", data.length, [{ name: "x", tensor }]);
        const part = parts.find(({ kind }) => kind === "tensor");
        expect(derived?.length === 1).toBe(part === undefined);
        if (derived?.[0] !== undefined) {
          expect((await collect(derived[0].elements(source))).equals(wanted)).toBe(true);
        }
        if (part !== undefined && orderOf(tensor) === "row-major") {
          expect(data.subarray(part.offset, part.offset + part.bytes)).toEqual(new Uint8Array(wanted));
        }
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ["transposed, from a large storage", [300, 400], [1, 301], 1],
    ["channels last", [3, 64, 3, 20, 15], [64 * 3 * 20 * 15, 1, 20 * 15 * 64, 15 * 64, 64], 1],
    ["elements far apart", [1000, 2], [20_000, 10_000], 4],
    ["pieces of one axis", [4, 50_001], [1, 4], 1],
    ["a row repeated", [3, 50_000], [0, 2], 1],
  ] as const)("%s", async (_what, shape, strides, size) => {
    const span = shape.reduce((sum, length, at) => sum + (length - 1) * strides[at]!, 1);
    const data = numbered((span + 7) * size);
    expect(data.length).toBeGreaterThan(PIECE_BYTES);
    const tensor: StridedTensor = {
      dtype: dtypeOf(size === 1 ? "uint8" : "float32"),
      shape,
      strides,
      first: 7,
      storage: fileExtent(0, data.length),
      bigEndian: false,
    };
    checkStrided("file", "x", tensor);
    let read = 0;
    let largest = 0;
    const source = bufferSource("file", data);
    const pieces = gather(
      {
        ...source,
        read(into, position) {
          read += into.length;
          largest = Math.max(largest, into.length);
          return source.read(into, position);
        },
      },
      tensor,
      PIECE_BYTES,
    );
    expect((await collect(pieces)).equals(reference(tensor, data))).toBe(true);
    // Each piece reads forward over the storage at most once; what is far apart is read by itself.
    const bytes = elementsOf(tensor) * size;
    expect(read).toBeLessThanOrEqual(data.length * Math.ceil(bytes / PIECE_BYTES + 1));
    if (strides[1] > 4096) expect(read).toBe(8000);
    expect(largest).toBeLessThanOrEqual(256 * 1024);
  });

  it("are refused where their storage would be read over and over", () => {
    const scattered = (rows: number): Promise<void> => {
      const tensor: StridedTensor = {
        dtype: dtypeOf("uint8"),
        shape: [rows, 60_000, 2],
        strides: [1, 2 * rows, rows],
        first: 0,
        storage: fileExtent(0, rows * 120_000),
        bigEndian: false,
      };
      return Promise.resolve().then(() => checkStrided("file", "x", tensor));
    };
    return Promise.all([
      expect(ruleOf(scattered(60_000))).resolves.toBe("scattered-view"),
      expect(scattered(20_000)).resolves.toBeUndefined(),
    ]);
  });

  it("lie row-major or column-major wherever axes of one element do not matter", () => {
    const order = (shape: readonly number[], strides: readonly number[]): string =>
      orderOf({
        shape,
        strides,
        dtype: dtypeOf("uint8"),
        first: 0,
        storage: fileExtent(0, 99),
        bigEndian: false,
      });
    expect(order([], [])).toBe("row-major");
    expect(order([2, 3], [3, 1])).toBe("row-major");
    expect(order([2, 1, 3], [3, 77, 1])).toBe("row-major");
    expect(order([0, 3], [7, 7])).toBe("row-major");
    expect(order([2, 3], [1, 2])).toBe("column-major");
    expect(order([1, 3], [5, 1])).toBe("row-major");
    expect(order([2, 3], [4, 1])).toBe("scattered");
    expect(order([2, 3], [0, 1])).toBe("scattered");
  });
});

describe("placement", () => {
  it("puts an empty tensor before the one that begins where it lies", () => {
    const at = (first: number, length: number): StridedTensor => ({
      dtype: dtypeOf("uint8"),
      shape: [length],
      strides: [1],
      first: 0,
      storage: fileExtent(first, length),
      bigEndian: false,
    });
    const { parts, derived } = placeTensors("file", 10, [
      { name: "b", tensor: at(2, 4) },
      { name: "within", tensor: at(3, 0) },
      { name: "empty", tensor: at(2, 0) },
      { name: "c", tensor: at(6, 4) },
    ]);
    expect(parts.map((part) => (part.kind === "tensor" ? part.name : part.bytes))).toEqual([
      2,
      "empty",
      "b",
      "c",
    ]);
    expect(derived?.map(({ name }) => name)).toEqual(["within"]);
  });
});

describe("bytes written as text", () => {
  const source = bufferSource("file", new Uint8Array(0));

  it("come back, however the text is cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 40 }),
        fc.integer({ min: 1, max: 9 }),
        async (data, step) => {
          const text = Buffer.from(Buffer.from(data).toString("latin1"));
          const whole = memoryExtent(new Uint8Array(text));
          const cut = {
            ...whole,
            async *stream() {
              for (let at = 0; at < text.length; at += step)
                yield new Uint8Array(text.subarray(at, at + step));
            },
          };
          const extent = latin1Extent(cut, data.length);
          expect(await collect(extent.stream(source, 0, data.length))).toEqual(Buffer.from(data));
          const middle = Math.floor(data.length / 2);
          expect(await collect(extent.stream(source, middle, data.length))).toEqual(
            Buffer.from(data.slice(middle)),
          );
        },
      ),
    );
  });

  it.each([
    ["a character over 255", "Ā", 1, "pickle-text"],
    ["fewer than wanted", "ab", 3, "size-mismatch"],
    ["more than wanted", "abc", 2, "size-mismatch"],
  ])("refused: %s", async (_what, text, bytes, rule) => {
    const extent = latin1Extent(memoryExtent(new Uint8Array(Buffer.from(text))), bytes);
    expect(await ruleOf(collect(extent.stream(source, 0, bytes)))).toBe(rule);
  });
});
