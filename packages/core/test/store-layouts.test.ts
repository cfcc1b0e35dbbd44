/** Both directions of layouts by themselves, against moving one element after the other. */
import { type DType, dtypeOf } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canBeLaidOut, layoutCode } from "../src/model/part-layout.ts";
import { bufferSource, type DerivedTensor } from "../src/model/plan.ts";
import { DerivedBytes } from "../src/store/derived-bytes.ts";
import { laidOutBytes } from "../src/store/laid-out-bytes.ts";
import { LayoutBlocks } from "../src/store/layout-blocks.ts";
import { reverseAxes, swapByteOrder } from "../src/store/reverse-axes.ts";
import { readStrided } from "../src/store/strided-read.ts";
import { bytesInMemory, type ReadBytes } from "../src/store/tensor-bytes.ts";
import { inPieces, laidOut } from "./plan-samples.ts";
import { failureOf, noise, sameBytes } from "./store-harness.ts";

const bySize = new Map<number, DType>(
  (["uint8", "bfloat16", "float32", "float64", "complex128"] as const).map((name) => [
    dtypeOf(name).bits / 8,
    dtypeOf(name),
  ]),
);
const elementBytes = fc.constantFrom(...bySize.keys());
const shape = fc.array(fc.oneof(fc.integer({ min: 1, max: 5 }), fc.constantFrom(31, 32, 33, 70)), {
  maxLength: 5,
});
const countOf = (axes: readonly number[]): number => axes.reduce((product, length) => product * length, 1);
const smallShape = shape.filter((axes) => countOf(axes) <= 20_000);

describe("axes", () => {
  test("are reversed element by element, and back (property)", () => {
    fc.assert(
      fc.property(smallShape, elementBytes, fc.nat(3), (axes, size, shift) => {
        const count = countOf(axes);
        const stored = noise(count * size, count);
        const dtype = bySize.get(size)!;
        const file = laidOut({ dtype, shape: axes, bytes: stored }, { columnMajor: true });
        const unaligned = new Uint8Array(file.length + shift).subarray(shift);
        unaligned.set(file);
        const into = new Uint8Array(file.length);
        reverseAxes(unaligned, into, axes, size);
        expect(sameBytes(into, stored)).toBe(true);
        const back = new Uint8Array(file.length);
        reverseAxes(stored, back, axes.toReversed(), size);
        expect(sameBytes(back, file)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test("NaNs keep their bits", () => {
    const stored = new Uint8Array(
      new BigUint64Array([0x7ff0000000000001n, 0xfff4dead00000000n, 1n, 2n]).buffer,
    );
    const into = new Uint8Array(32);
    reverseAxes(stored, into, [2, 2], 8);
    expect([...new BigUint64Array(into.buffer)]).toEqual([0x7ff0000000000001n, 1n, 0xfff4dead00000000n, 2n]);
  });
});

describe("byte order", () => {
  test("is that of the components", () => {
    const bytes = Uint8Array.from({ length: 16 }, (_, index) => index);
    const swapped = (component: number): number[] => {
      const copy = bytes.slice();
      swapByteOrder(copy, component);
      return [...copy];
    };
    expect(swapped(1)).toEqual([...bytes]);
    expect(swapped(2).slice(0, 4)).toEqual([1, 0, 3, 2]);
    expect(swapped(4).slice(0, 5)).toEqual([3, 2, 1, 0, 7]);
    expect(swapped(8)).toEqual([7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8]);
  });

  test("in shared memory too, from any offset", () => {
    const shared = new Uint8Array(new SharedArrayBuffer(4099)).subarray(3);
    shared.set(noise(4096, 1));
    swapByteOrder(shared, 4);
    const expected = laidOut(
      { dtype: dtypeOf("int32"), shape: [1024], bytes: noise(4096, 1) },
      { bigEndian: true },
    );
    expect(sameBytes(shared, expected)).toBe(true);
  });
});

test("codes say only what makes a difference", () => {
  const both = { bigEndian: true, columnMajor: true };
  const code = (name: Parameters<typeof dtypeOf>[0], axes: readonly number[], layout = both): number =>
    layoutCode(dtypeOf(name), axes, layout);
  expect(code("float32", [2, 3])).toBe(3);
  expect(code("uint8", [2, 3])).toBe(2);
  expect(code("float32", [1, 3, 1])).toBe(1);
  expect(code("float32", [])).toBe(1);
  expect(code("float32", [2, 0])).toBe(0);
  expect(layoutCode(dtypeOf("float32"), [2, 3], undefined)).toBe(0);
  expect(layoutCode(dtypeOf("float32"), [2, 3], { bigEndian: false })).toBe(0);
  expect(canBeLaidOut(dtypeOf("complex128"))).toBe(true);
  for (const name of ["int4", "float6_e2m3fn", "ggml_q4_0"] as const)
    expect(canBeLaidOut(dtypeOf(name))).toBe(false);
});

test("blocks cover a tensor in order, none too large (property)", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      elementBytes,
      fc.integer({ min: 16, max: 4000 }),
      (axes, size, blockBytes) => {
        const blocks = new LayoutBlocks(axes, size, blockBytes);
        let reached = 0;
        for (let number = 0; number < blocks.count; number++) {
          const { prefix, from, to, first, elements } = blocks.at(number);
          expect(first).toBe(reached);
          expect(elements * size).toBeLessThanOrEqual(blockBytes);
          const row = countOf(axes.slice(prefix.length + 1));
          expect(elements).toBe((to - from) * row);
          const index = [...prefix, from].reduce((sum, i, axis) => sum * axes[axis]! + i, 0);
          expect(first).toBe(index * row);
          reached += elements;
        }
        expect(reached).toBe(countOf(axes));
      },
    ),
    { numRuns: 500 },
  );
});

/** Notes which bytes were read. */
function watched(bytes: Uint8Array): { readonly read: ReadBytes; readonly reads: [number, number][] } {
  const reads: [number, number][] = [];
  return {
    reads,
    read: async (into, offset) => {
      reads.push([offset, offset + into.length]);
      expect(offset + into.length).toBeLessThanOrEqual(bytes.length);
      into.set(bytes.subarray(offset, offset + into.length));
    },
  };
}

describe("strided reads", () => {
  test("pick what lies apart, whatever the gaps (property)", async () => {
    const steps = fc.constantFrom(1, 2, 3, 100, 20_000, 400_000);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(1, 2, 4),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 1, max: 30 }),
        steps,
        steps,
        fc.nat(7),
        async (size, groups, count, innerStep, gap, first) => {
          const outerStep = (count - 1) * innerStep + gap;
          const elements = first + (groups - 1) * outerStep + (count - 1) * innerStep + 1;
          fc.pre(elements * size < 8_000_000);
          const bytes = noise(elements * size, elements);
          const into = new Uint8Array(groups * count * size);
          const { read, reads } = watched(bytes);
          await readStrided(
            read,
            into,
            size,
            first,
            { count: groups, step: outerStep },
            { count, step: innerStep },
          );
          for (let group = 0; group < groups; group++)
            for (let one = 0; one < count; one++) {
              const at = (first + group * outerStep + one * innerStep) * size;
              const to = (group * count + one) * size;
              expect(into.subarray(to, to + size)).toEqual(bytes.subarray(at, at + size));
            }
          for (const [from, to] of reads) expect(to - from).toBeLessThanOrEqual(1024 * 1024);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("close runs come with few reads, distant ones by themselves", async () => {
    const bytes = noise(4_000_000, 1);
    const close = watched(bytes);
    await readStrided(
      close.read,
      new Uint8Array(40_000),
      4,
      0,
      { count: 1000, step: 1000 },
      { count: 10, step: 1 },
    );
    expect(close.reads.length).toBeLessThanOrEqual(4);
    const distant = watched(bytes);
    await readStrided(
      distant.read,
      new Uint8Array(400),
      4,
      0,
      { count: 10, step: 100_000 },
      { count: 10, step: 1 },
    );
    expect(distant.reads.reduce((sum, [from, to]) => sum + to - from, 0)).toBe(400);
  });
});

describe("bytes of a part", () => {
  test("come as they are to be stored; the file is read once in order first (property)", async () => {
    await fc.assert(
      fc.asyncProperty(
        smallShape,
        elementBytes,
        fc.boolean(),
        fc.boolean(),
        fc.integer({ min: 16, max: 5000 }),
        fc.integer({ min: 1, max: 900 }),
        async (axes, size, bigEndian, columnMajor, blockBytes, elementsAtOnce) => {
          const dtype = bySize.get(size)!;
          const stored = noise(countOf(axes) * size, size);
          const file = laidOut({ dtype, shape: axes, bytes: stored }, { bigEndian, columnMajor });
          let position = 0;
          const { again } = bytesInMemory(file);
          const first: ReadBytes = async (into, offset) => {
            expect(offset).toBe(position);
            position += into.length;
            await again(into, offset);
          };
          const layout = layoutCode(dtype, axes, { bigEndian, columnMajor });
          const bytes = laidOutBytes({ first, again }, dtype, axes, layout, blockBytes);
          for (const read of [bytes.first, bytes.again]) {
            const found = new Uint8Array(stored.length);
            const atOnce = elementsAtOnce * size;
            for (let at = 0; at < found.length; at += atOnce) await read(found.subarray(at, at + atOnce), at);
            expect(sameBytes(found, stored)).toBe(true);
            expect(position).toBe(file.length);
          }
        },
      ),
      { numRuns: 150 },
    );
  });
});

describe("derived tensors", () => {
  const source = bufferSource("a.pack", new Uint8Array(0));
  const tensorOf = (given: Uint8Array, promised: number): DerivedTensor => ({
    name: "w",
    dtype: dtypeOf("uint8"),
    shape: [promised],
    bytes: promised,
    elements: () => inPieces(given, [7, 1, 300]),
  });

  test("are read twice from their pieces, and from anywhere", async () => {
    const stored = noise(5000, 3);
    const heard: number[] = [];
    let begun = 0;
    const tensor = tensorOf(stored, 5000);
    const elements = () => {
      begun += 1;
      return inPieces(stored, [1000, 3]);
    };
    const bytes = new DerivedBytes({ ...tensor, elements }, source, (end) => heard.push(end));
    for (const read of [bytes.first, bytes.again]) {
      const found = new Uint8Array(5000);
      for (let at = 0; at < 5000; at += 900) await read(found.subarray(at, at + 900), at);
      expect(sameBytes(found, stored)).toBe(true);
    }
    expect(begun).toBe(2);
    expect(heard.at(-1)).toBe(5000);
    const some = new Uint8Array(10);
    await bytes.again(some, 4000);
    await bytes.again(some, 20);
    expect(sameBytes(some, stored.subarray(20, 30))).toBe(true);
  });

  test.each([
    ["too few", 4999, "gives 4999 bytes only"],
    ["none", 0, "gives 0 bytes only"],
    ["too many", 5001, "gives more bytes than that"],
  ])("%s bytes are an error that names file and tensor", async (_, given, message) => {
    const bytes = new DerivedBytes(tensorOf(noise(given, 1), 5000), source, () => undefined);
    const error = await failureOf(bytes.first(new Uint8Array(5000), 0));
    expect(error).toMatchObject({ tag: "invalid-file", file: "a.pack", tensor: "w", rule: "derived" });
    expect(error.message).toContain(message);
  });

  test("lets go of an iteration that is not at its end", async () => {
    let closed = 0;
    const tensor = tensorOf(noise(10, 1), 10);
    const elements = async function* (): AsyncGenerator<Uint8Array, void, void> {
      try {
        yield* inPieces(noise(10, 1), [4]);
      } finally {
        closed += 1;
      }
    };
    const bytes = new DerivedBytes({ ...tensor, elements }, source, () => undefined);
    await bytes.first(new Uint8Array(5), 0);
    await bytes.close();
    expect(closed).toBe(1);
  });
});
