import { join } from "node:path";
import { byteLength, type DTypeName, dtypeOf, type TensorData, toFloat32 } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DiffOptions, DiffSummary, Store, TensorDiff } from "../src/index.ts";
import { SMALL } from "./maintenance-fixture.ts";
import { codeRecordAgainst, tuned } from "./sibling-fixture.ts";
import {
  bytesOf,
  examplesData,
  failureOf,
  floats,
  newStore,
  randomTensor,
  sameBytes,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

interface Compared {
  readonly tensors: readonly TensorDiff[];
  readonly summary: DiffSummary;
}

async function compared(store: Store, a: string, b: string, options?: DiffOptions): Promise<Compared> {
  const tensors: TensorDiff[] = [];
  const run = store.diff(a, b, options);
  for (;;) {
    const next = await run.next();
    if (next.done === true) return { tensors, summary: next.value };
    tensors.push(next.value);
  }
}

/** A record of the model: where it is and what it holds. */
interface Kept {
  readonly file: string | undefined;
  readonly name: string;
  readonly tensor: TensorData;
}

const dtypes: readonly DTypeName[] = [
  "float32",
  "bfloat16",
  "float16",
  "float64",
  "int32",
  "float8_e4m3fn",
  "uint8",
];
const shapes = [[0], [3], [7, 5], [3000], [2, 1100]];

/** Counterexamples should name a tensor, not print it. */
interface Named {
  readonly file: string | undefined;
  readonly name: string;
  readonly dtype: number;
  readonly shape: number;
  readonly seed: number;
}

function keptOf({ file, name, dtype, shape, seed }: Named): Kept {
  const tensor = randomTensor(dtypes[dtype]!, shapes[shape]!, seed);
  // Without NaN and infinities: those have a test of their own.
  const bytes = bytesOf(tensor);
  if (dtypeOf(tensor.dtype).kind === "float")
    for (const [at, byte] of bytes.entries()) bytes[at] = byte & 0x3f;
  return { file, name, tensor };
}

const datasetOf = fc.uniqueArray(
  fc.record({
    file: fc.constantFrom(undefined, "a.safetensors", "b.safetensors"),
    name: fc.constantFrom("w", "v", "u"),
    dtype: fc.nat(dtypes.length - 1),
    shape: fc.nat(shapes.length - 1),
    seed: fc.nat(2),
  }),
  { selector: ({ file, name }) => `${file}#${name}`, maxLength: 7 },
);

async function fill(store: Store, dataset: string, records: readonly Kept[], folder: string): Promise<void> {
  const kept = await store.createDataset(dataset);
  for (const path of new Set(records.map(({ file }) => file))) {
    const own = records.filter(({ file }) => file === path);
    if (path === undefined) for (const { name, tensor } of own) await kept.insert(tensor, { name });
    else {
      const tensors = Object.fromEntries(own.map(({ name, tensor }) => [name, tensor]));
      await store.importFile(writeSafetensors(join(folder, path), tensors), { dataset });
    }
  }
}

const addressOf = ({ file, name }: Kept): string => (file === undefined ? name : `${file}#${name}`);

/** Pairs of all records, found by looking at every two of them. */
function naivePairs(a: readonly Kept[], b: readonly Kept[]): [Kept | undefined, Kept | undefined][] {
  const pairs: [Kept | undefined, Kept | undefined][] = [];
  const restA = new Set(a);
  const restB = new Set(b);
  const pair = (one: Kept, other: Kept): void => {
    pairs.push([one, other]);
    restA.delete(one);
    restB.delete(other);
  };
  for (const one of a)
    for (const other of b) if (one.file === other.file && one.name === other.name) pair(one, other);
  for (const name of ["w", "v", "u"]) {
    const [one, ...moreA] = [...restA].filter((each) => each.name === name);
    const [other, ...moreB] = [...restB].filter((each) => each.name === name);
    if (one !== undefined && other !== undefined && moreA.length + moreB.length === 0) pair(one, other);
  }
  for (const one of restA) pairs.push([one, undefined]);
  for (const other of restB) pairs.push([undefined, other]);
  return pairs;
}

function numbersOf({ dtype, shape, data }: TensorData): number[] {
  const type = dtypeOf(dtype);
  if (type.name === "float64" || type.name === "int32") return Array.from(data as Float64Array, Number);
  const elements = shape.reduce((product, axis) => product * axis, 1);
  return [...toFloat32(type, bytesOf({ data }), elements)];
}

/** Equal but for rounding. */
function about(expected: number): number {
  const isAbout = (found: unknown): boolean =>
    typeof found === "number" && Math.abs(found / expected - 1) < 1e-9;
  return expect.toSatisfy(isAbout, `about ${expected}`) as number;
}

/** What is expected of a pair: status, and of differences the values. */
function naiveDiff(a: TensorData, b: TensorData): Partial<TensorDiff> {
  const shape = a.shape.join() === b.shape.join();
  const sameDtype = a.dtype === b.dtype;
  if (shape && sameDtype && sameBytes(bytesOf(a), bytesOf(b)))
    return { status: "identical", values: undefined };
  if (!shape) return { status: "changed", values: undefined };
  const left = numbersOf(a);
  const right = numbersOf(b);
  const changes = left.map((value, index) => right[index]! - value);
  const norm = Math.hypot(...left);
  const changed = sameDtype
    ? changes.filter(
        (change, index) => change !== 0 || Object.is(left[index], -0) !== Object.is(right[index], -0),
      )
    : changes.filter((change) => change !== 0);
  const distance = Math.hypot(...changes);
  return {
    status: "difference",
    values: {
      elements: left.length,
      changed: changed.length,
      changedFraction: left.length === 0 ? 0 : changed.length / left.length,
      relativeL2: distance === 0 ? 0 : norm === 0 ? null : about(distance / norm),
      maxAbsolute: changes.reduce((most, change) => Math.max(most, Math.abs(change)), 0),
      nonFinite: 0,
    },
  };
}

describe("diff", () => {
  test("is what a comparison of every two records finds", async () => {
    await fc.assert(
      fc.asyncProperty(datasetOf, datasetOf, async (namedA, namedB) => {
        const a = namedA.map(keptOf);
        const b = namedB.map(keptOf);
        const folder = temporaryDirectory();
        const store = await newStore(":memory:", SMALL);
        await fill(store, "a", a, folder);
        await fill(store, "b", b, folder);
        const { tensors, summary } = await compared(store, "a", "b", { values: true });
        const key = (one: string | undefined, other: string | undefined): string => `${one} -> ${other}`;
        const found = new Map(tensors.map((each) => [key(each.a?.address, each.b?.address), each]));
        const pairs = naivePairs(a, b);
        expect(new Set(found.keys())).toEqual(
          new Set(pairs.map(([one, other]) => key(one && addressOf(one), other && addressOf(other)))),
        );
        expect(tensors).toHaveLength(pairs.length);
        for (const [one, other] of pairs) {
          const each = found.get(key(one && addressOf(one), other && addressOf(other)))!;
          if (one === undefined) expect(each.status).toBe("new");
          else if (other === undefined) expect(each.status).toBe("gone");
          else expect(each).toMatchObject(naiveDiff(one.tensor, other.tensor));
          for (const [side, kept] of [
            [each.a, one],
            [each.b, other],
          ] as const) {
            expect(side?.shape).toEqual(kept?.tensor.shape);
            expect(side?.bytes).toBe(kept && byteLength(dtypeOf(kept.tensor.dtype), kept.tensor.shape));
          }
        }
        expect(Object.values(summary.counts).reduce((sum, { tensors }) => sum + tensors, 0)).toBe(
          pairs.length,
        );
        // The reverse is the mirror image.
        const back = await compared(store, "b", "a");
        expect(back.summary.sharedBytes).toBe(summary.sharedBytes);
        expect(back.summary.onlyABytes).toBe(summary.onlyBBytes);
        expect(back.summary.counts.new.tensors).toBe(summary.counts.gone.tensors);
        expect(back.summary.counts.difference.tensors).toBe(summary.counts.difference.tensors);
        const { standaloneBytes: aBytes } = await store.stats("a");
        const { standaloneBytes: bBytes } = await store.stats("b");
        if (summary.differenceBytes === 0 && summary.otherBytes === 0) {
          expect(summary.sharedBytes + summary.onlyABytes).toBe(aBytes);
          expect(summary.sharedBytes + summary.onlyBBytes).toBe(bBytes);
        }
        await store.close();
      }),
      { numRuns: 60 },
    );
  });

  test("of versions and tags, also where names hold @", async () => {
    const store = await newStore(":memory:", SMALL);
    const dataset = await store.createDataset("a@1");
    await dataset.insert(floats([10], 1), { name: "kept" });
    const id = await dataset.insert(floats([10], 2));
    await dataset.tag("v@1");
    await dataset.insert(floats([10], 3), { name: "kept", replace: true });
    await dataset.insert(floats([10], 4), { name: "more" });
    const statuses = async (a: string, b: string): Promise<(string | undefined)[][]> =>
      (await compared(store, a, b)).tensors.map(({ status, a, b }) => [status, (b ?? a)?.address]);
    expect(await statuses("a@1@v@1", "a@1")).toEqual([
      ["difference", "kept"],
      ["identical", id],
      ["new", "more"],
    ]);
    expect(await statuses("a@1", "a@1@1")).toEqual(
      expect.arrayContaining([
        ["difference", "kept"],
        ["gone", "more"],
      ]),
    );
    const { summary } = await compared(store, "a@1@1", "a@1@v@1");
    expect(summary.a).toEqual({ dataset: "a@1", version: 1 });
    expect(summary.b).toEqual({ dataset: "a@1", version: 2 });
    expect(await failureOf(compared(store, "a", "a@1"))).toMatchObject({ tag: "not-found", missing: "a" });
    expect(await failureOf(compared(store, "a@1@nope", "a@1"))).toMatchObject({ missing: "nope" });
    expect(await failureOf(compared(store, "a@1@77", "a@1"))).toMatchObject({ tag: "version-expired" });
    expect(await failureOf(compared(store, "a@1", "a@1", { value: true } as DiffOptions))).toMatchObject({
      tag: "usage",
      field: "value",
    });
    expect((await compared(store, "a@1", "a@1")).summary.counts.identical.tensors).toBe(3);
  });

  test("counts what is stored as a difference to the other, and what to a third", async () => {
    const store = await newStore(":memory:", SMALL);
    for (const name of ["a", "b", "c"]) {
      const tensor = floats([3000], 1);
      const dataset = await store.createDataset(name);
      await dataset.insert(name === "a" ? tensor : tuned(tensor, name.charCodeAt(0)), { name: "w" });
    }
    await codeRecordAgainst(store, ["b", "w"], ["a", "w"]);
    await codeRecordAgainst(store, ["c", "w"], ["a", "w"]);
    const { tensors, summary } = await compared(store, "a", "b");
    const [{ b: side, differenceRawBytes, differenceBytes }] = tensors as [TensorDiff];
    expect(differenceRawBytes).toBe(12_000);
    expect(differenceBytes).toBe(side!.storedBytes);
    expect(summary).toMatchObject({ differenceRawBytes, differenceBytes, sharedBytes: 0, otherBytes: 0 });
    expect(summary.onlyBBytes).toBe(differenceBytes);
    expect((await compared(store, "b", "a")).tensors[0]).toMatchObject({
      differenceRawBytes,
      differenceBytes,
    });
    const apart = await compared(store, "b", "c");
    expect(apart.tensors[0]).toMatchObject({ status: "difference", differenceBytes: 0 });
    expect(apart.summary).toMatchObject({ differenceBytes: 0, otherBytes: summary.onlyABytes });
    expect(await compared(store, "b", "c", { values: true })).toMatchObject({
      tensors: [{ values: { elements: 3000, nonFinite: 0 } }],
    });
  });

  test("the first rows of a tensor that grew are shared, and blocks are compared by their values", async () => {
    const store = await newStore(":memory:", SMALL);
    const a = await store.createDataset("a");
    const b = await store.createDataset("b");
    const rows = floats([40, 100], 1);
    await a.insert({ ...rows, shape: [30, 100], data: rows.data.slice(0, 3000) }, { name: "rows" });
    await b.insert(rows, { name: "rows" });
    const codes = new Uint8Array(34 * 8);
    // Blocks of scale 1.0: values are the signed bytes.
    for (let block = 0; block < 8; block++) codes.set([0x00, 0x3c, 0xff, 2, 3], block * 34);
    await a.insert({ dtype: "ggml_q8_0", shape: [4, 2], data: codes }, { name: "blocks" });
    const values = new Float32Array(256);
    for (let block = 0; block < 8; block++) values.set([-1, 2, 4], block * 32);
    await b.insert({ dtype: "float32", shape: [4, 64], data: values }, { name: "blocks" });
    await a.insert({ dtype: "complex64", shape: [2], data: Float32Array.of(3, 4, 0, 0) }, { name: "z" });
    await b.insert({ dtype: "complex64", shape: [2], data: Float32Array.of(3, 4, 0, 5) }, { name: "z" });
    const { tensors } = await compared(store, "a", "b", { values: true });
    expect(tensors[0]).toMatchObject({ status: "changed", sharedBytes: 12_000, values: undefined });
    expect(tensors[1]).toMatchObject({
      status: "difference",
      values: { elements: 256, changed: 8, maxAbsolute: 1 },
    });
    expect(tensors[1]!.values!.relativeL2).toBeCloseTo(Math.sqrt(1 / 14), 12);
    expect(tensors[2]!.values).toEqual({
      elements: 2,
      changed: 1,
      changedFraction: 0.5,
      relativeL2: 1,
      maxAbsolute: 5,
      nonFinite: 0,
    });
  });

  test("elements of half a byte, and 64-bit integers", async () => {
    const store = await newStore(":memory:", SMALL);
    const a = await store.createDataset("a");
    const b = await store.createDataset("b");
    const nibbles = new Uint8Array(1500).fill(0x21);
    await a.insert({ dtype: "int4", shape: [2999], data: nibbles.with(1499, 1) }, { name: "nibbles" });
    await b.insert(
      { dtype: "int4", shape: [2999], data: nibbles.with(700, 0xf1).with(1499, 2) },
      { name: "nibbles" },
    );
    const large = 2n ** 62n;
    await a.insert({ dtype: "int64", shape: [2], data: BigInt64Array.of(large, 5n) }, { name: "large" });
    await b.insert({ dtype: "int64", shape: [2], data: BigInt64Array.of(large + 1n, 5n) }, { name: "large" });
    const [first, second] = (await compared(store, "a", "b", { values: true })).tensors;
    expect(first!.values).toMatchObject({ elements: 2999, changed: 2, maxAbsolute: 3 });
    expect(first!.values!.relativeL2).toBeCloseTo(Math.sqrt(10 / (1500 + 4 * 1499)), 12);
    expect(second!.values).toMatchObject({ changed: 1, relativeL2: 0, maxAbsolute: 0 });
  });

  test("infinities, NaN and zeros", async () => {
    const store = await newStore(":memory:", SMALL);
    const inf = Number.POSITIVE_INFINITY;
    const pairs: Record<string, readonly [readonly number[], readonly number[]]> = {
      odd: [
        [inf, Number.NaN, 1, -0, 2],
        [inf, Number.NaN, inf, 0, 4],
      ],
      zero: [
        [0, 0],
        [0, 1],
      ],
    };
    for (const [name, sides] of Object.entries(pairs)) {
      for (const [index, dataset] of ["a", "b"].entries()) {
        const found = (await store.dataset(dataset)) ?? (await store.createDataset(dataset));
        const data = Float32Array.from(sides[index]!);
        await found.insert({ dtype: "float32", shape: [data.length], data }, { name });
      }
    }
    const { tensors } = await compared(store, "a", "b", { values: true });
    expect(tensors.map(({ values }) => values)).toEqual([
      { elements: 5, changed: 3, changedFraction: 0.6, relativeL2: 1, maxAbsolute: 2, nonFinite: 3 },
      { elements: 2, changed: 1, changedFraction: 0.5, relativeL2: null, maxAbsolute: 1, nonFinite: 0 },
    ]);
  });

  test("a name that many files have is matched within its file only", async () => {
    const store = await newStore(":memory:", SMALL);
    const folder = temporaryDirectory();
    const paths = Array.from({ length: 40 }, (_, index) =>
      writeSafetensors(join(folder, `f${index}.safetensors`), { w: floats([4], index) }),
    );
    await store.importFile(paths, { dataset: "a" });
    await store.importFile(paths.slice(1), { dataset: "b" });
    await store.importFile(writeSafetensors(join(folder, "g.safetensors"), { w: floats([4], 99) }), {
      dataset: "b",
    });
    const { summary } = await compared(store, "a", "b");
    expect(summary.counts).toMatchObject({
      identical: { tensors: 39 },
      difference: { tensors: 0 },
      gone: { tensors: 1, bytes: 16 },
      new: { tensors: 1, bytes: 16 },
    });
    expect(summary.filesIdentical).toBe(39);
    expect(summary.files).toEqual([
      { path: "f0.safetensors", status: "gone", bytesA: expect.any(Number), bytesB: undefined },
      { path: "g.safetensors", status: "new", bytesA: undefined, bytesB: expect.any(Number) },
    ]);
  });

  test("reports, can be cancelled, and says which version expired under it", async () => {
    const store = await newStore(":memory:");
    for (const [seed, name] of ["base", "ft-full"].entries()) {
      await store.importFile(join(examplesData, name), { dataset: name });
      await (await store.dataset(name))!.insert(floats([10], seed), { name: "more" });
    }
    const reported: number[] = [];
    const { summary } = await compared(store, "base", "ft-full", {
      values: true,
      onProgress: ({ phase, done, total }) => {
        expect(phase).toBe("diff");
        expect(done).toBeLessThanOrEqual(total);
        reported.push(done);
      },
    });
    expect(reported).toEqual([...reported].sort((a, b) => a - b));
    expect(reported.at(-1)).toBe(
      Object.values(summary.counts).reduce((sum, { bytes }) => sum + 2 * bytes, 0),
    );
    expect(summary.counts.difference.tensors).toBeGreaterThan(30);
    expect(summary.differenceBytes).toBeGreaterThan(0);
    const controller = new AbortController();
    const signal = controller.signal;
    const cancelled = compared(store, "base", "ft-full", {
      values: true,
      signal,
      onProgress: () => controller.abort(),
    });
    expect(await failureOf(cancelled)).toMatchObject({ tag: "cancelled" });
    const run = store.diff("base@1", "ft-full", { values: true });
    await run.next();
    await store.gc();
    await expect(
      (async () => {
        for await (const _ of run);
      })(),
    ).rejects.toMatchObject({ tag: "version-expired", dataset: "base", version: 1 });
  });
});
