/** Chunks that are coded against others, in the catalog: what an entry may do to them, whom damage hits, and what they cost. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import type { FrameFacts, Op, TensorFacts } from "../src/model/entry.ts";
import { recordId, sha } from "./catalog-model.ts";

const folder = mkdtempSync(join(tmpdir(), "catalog-siblings-"));
afterAll(() => rmSync(folder, { recursive: true }));

let catalog: Catalog;
beforeEach(() => {
  catalog = Catalog.open(":memory:");
  return () => catalog.close();
});

function apply(ops: readonly Op[], frames: readonly FrameFacts[] = [], target: Catalog = catalog): void {
  const sequence = target.position().sequence + 1;
  const position = { sequence, hash: sha(`${sequence}`), segment: "00000001-00000001.log", offset: sequence };
  target.apply({ sequence, timeMs: 1000 * sequence, ops }, () => frames, position);
}

/** Frames of 100 bytes, back to back; each is a label, and perhaps that of what it is coded against. */
function framesOf(...labels: readonly string[]): FrameFacts[] {
  return labels.map((label, at) => {
    const [own, against] = label.split("<");
    return {
      hash: sha(own!),
      offset: 16 + at * 100,
      frameBytes: 100,
      rawBytes: 256,
      chain: against === undefined ? [5] : [18, 5],
      ...(against !== undefined && { sibling: sha(against).subarray(0, 16) }),
    };
  });
}

const pack: Op = { op: "pack.add", pack: 1, name: "one.pack", tail: true };
const frames = (first: number, count: number): Op => ({
  op: "frames",
  pack: 1,
  offset: 16,
  bytes: 100 * count,
  chunks: [first, count],
});
const damage = (message: RegExp): unknown =>
  expect.objectContaining({ tag: "damage", message: expect.stringMatching(message) });

function tensor(label: string, chunk: number): TensorFacts {
  const values = { role: "values", dtype: 22, shape: [64], place: { runs: [chunk, 1] } } as const;
  return { key: sha(label), dtype: 22, shape: [64], geometry: "elements", arrays: [values] };
}

describe("chunks that are coded against others", () => {
  it("name them by id, whether they come before, behind or earlier", () => {
    apply([pack, frames(1, 3)], framesOf("a", "b<a", "d"));
    apply([frames(4, 2)], framesOf("e<f", "f"));
    apply([frames(6, 1)], framesOf("g<a"));
    const siblings = catalog.chunks([1, 6]).map(({ sibling }) => sibling);
    expect(siblings).toEqual([undefined, 1, undefined, 5, undefined, 1]);
    expect(catalog.resolveChunks([sha("g")])[0]?.sibling).toBe(1);
  });

  it("are refused, and nothing changes, where what they need is missing, themselves, or coded like them", () => {
    apply([pack, frames(1, 2)], framesOf("a", "b<a"));
    const refused: readonly (readonly [readonly Op[], FrameFacts[], RegExp])[] = [
      [[frames(3, 1)], framesOf("c<none"), /entry 2 places chunk 3, which is coded against .* not there/],
      [[frames(3, 1)], framesOf("c<c"), /which is itself/],
      [[frames(3, 1)], framesOf("c<b"), /chunk 2 coded against another one, though others/],
      [[frames(3, 2)], framesOf("c<d", "d<a"), /chunk 4 coded against another one/],
      // A chunk that others are coded against is moved and coded anew.
      [[frames(1, 1)], framesOf("a<b"), /coded against another one/],
      [[{ op: "chunks.drop", chunks: [1, 1] }, frames(3, 1)], framesOf("c<a"), /not there/],
    ];
    for (const [ops, facts, message] of refused) {
      expect(() => apply(ops, facts)).toThrow(damage(message));
      expect(catalog.position().sequence).toBe(1);
      expect(catalog.chunks([1, 2]).map(({ sibling }) => sibling)).toEqual([undefined, 1]);
    }
  });

  it("keep what they need from being dropped", () => {
    apply([pack, frames(1, 3)], framesOf("a", "b<a", "c<a"));
    expect(() => apply([{ op: "chunks.drop", chunks: [1, 1] }])).toThrow(
      damage(/entry 2 drops chunk 1, though chunk 2 is coded against it/),
    );
    apply([{ op: "chunks.drop", chunks: [2, 1] }]);
    expect(() => apply([{ op: "chunks.drop", chunks: [1, 1] }])).toThrow(damage(/chunk 3 is coded/));
    // In one entry the order does not matter.
    apply([{ op: "chunks.drop", chunks: [1, 1, 3, 1] }]);
    expect([...catalog.allChunks()]).toEqual([]);
  });

  it("may be coded by themselves from then on", () => {
    apply([pack, frames(1, 2)], framesOf("a", "b<a"));
    apply([frames(2, 1)], framesOf("b"));
    expect(catalog.chunk(2)?.sibling).toBeUndefined();
    apply([{ op: "chunks.drop", chunks: [1, 1] }]);
    expect(catalog.chunk(2)).toBeDefined();
  });

  it("are hit by damage to what they need, and use it", () => {
    apply(
      [pack, frames(1, 2), { op: "tensors.add", first: 1, tensors: [tensor("t", 1), tensor("u", 2)] }],
      framesOf("a", "b<a"),
    );
    const dataset = (id: number, name: string, record: number): Op[] => [
      {
        op: "dataset.add",
        dataset: id,
        name,
        timeMs: 1,
        preset: null,
        metadata: {},
        schema: null,
        indexed: [],
      },
      { op: "version", dataset: id, version: 1 },
      {
        op: "records.add",
        dataset: id,
        version: 1,
        records: [{ id: recordId(record), file: 0, tensor: id, name: "w" }],
      },
    ];
    apply([...dataset(1, "base", 1), ...dataset(2, "tuned", 2)]);
    expect(catalog.usersOf([1])).toEqual(["base/w", "tuned/w"]);
    expect(catalog.usersOf([2])).toEqual(["tuned/w"]);
    expect(catalog.usage().datasets).toMatchObject([
      { name: "base", exclusiveBytes: 0, sharedBytes: 100, amortizedBytes: 50, siblingChunks: 0 },
      {
        name: "tuned",
        exclusiveBytes: 100,
        sharedBytes: 100,
        amortizedBytes: 150,
        standaloneBytes: 200,
        uniqueRawBytes: 256,
        siblingChunks: 1,
        siblingBytes: 100,
      },
    ]);
    apply([{ op: "dataset.drop", dataset: 1 }]);
    expect(catalog.dead({ now: 0, stagedMs: 0 })).toMatchObject({ tensors: [1, 1], chunks: [] });
    expect(catalog.usage()).toMatchObject({
      unreferencedBytes: 0,
      datasets: [{ name: "tuned", exclusiveBytes: 200, amortizedBytes: 200 }],
    });
    apply([{ op: "dataset.drop", dataset: 2 }]);
    // In the order in which they can be dropped.
    expect(catalog.dead({ now: 0, stagedMs: 0 }).chunks).toEqual([2, 1, 1, 1]);
  });
});

describe("sketches", () => {
  const sketch = (...hashes: number[]): Uint8Array =>
    new Uint8Array(Uint32Array.from({ length: 8 }, (_, band) => hashes[band] ?? band).buffer);

  it("find tensors that share hashes, nearest and newest first, as long as they are there", () => {
    const tensors = [
      { ...tensor("a", 1), sketch: sketch(11, 12, 13) },
      { ...tensor("b", 1), sketch: sketch(11, 4_000_000_000, 13) },
      { ...tensor("c", 1), sketch: sketch(11, 12, 13) },
      tensor("d", 1),
    ];
    apply([pack, frames(1, 1), { op: "tensors.add", first: 1, tensors }], framesOf("a"));
    expect(catalog.siblingCandidates(sketch(11, 12, 13))).toEqual([
      { tensor: 3, bands: 8 },
      { tensor: 1, bands: 8 },
      { tensor: 2, bands: 7 },
    ]);
    const other = sketch(21, 4_000_000_000, 23, 24, 25, 26, 27, 28);
    expect(catalog.siblingCandidates(other)).toEqual([{ tensor: 2, bands: 1 }]);
    expect(catalog.siblingCandidates(sketch(31, 32, 33, 34, 35, 36, 37, 38))).toEqual([]);
    expect(catalog.siblingCandidates(sketch(11, 12, 13), 1)).toEqual([{ tensor: 3, bands: 8 }]);
    expect(catalog.tensor(2)?.sketch).toEqual(tensors[1]!.sketch);
    expect(catalog.tensor(4)).not.toHaveProperty("sketch");
    apply([{ op: "tensors.drop", tensors: [2, 2] }]);
    expect(catalog.siblingCandidates(other)).toEqual([]);
    expect(catalog.siblingCandidates(sketch(11, 12, 13))).toEqual([{ tensor: 1, bands: 8 }]);
  });

  it("of a large family only the newest are looked at", () => {
    const tensors = Array.from({ length: 1000 }, (_, at) => ({
      ...tensor(`t${at}`, 1),
      sketch: sketch(11, 12),
    }));
    apply([pack, frames(1, 1), { op: "tensors.add", first: 1, tensors }], framesOf("a"));
    const found = catalog.siblingCandidates(sketch(11, 12), 1000);
    expect(found).toHaveLength(256);
    expect(found[0]).toEqual({ tensor: 1000, bands: 8 });
    expect(found.at(-1)).toEqual({ tensor: 745, bands: 8 });
  });
});

describe("bytes of the catalog file", () => {
  /** Bytes that each of 20,000 adds. */
  function slope(name: string, grow: (target: Catalog, at: number) => void): number {
    const path = join(folder, name);
    const target = Catalog.open(path);
    const bytes = (): number => {
      target.checkpoint();
      return statSync(path).size;
    };
    apply([pack, frames(1, 1)], framesOf("base"), target);
    grow(target, 0);
    const before = bytes();
    for (let at = 1; at <= 20; at += 1) grow(target, at);
    const each = (bytes() - before) / 20_000;
    target.close();
    return each;
  }

  it("a chunk that is coded against another one", () => {
    const label = (at: number) => Array.from({ length: 1000 }, (_, index) => `${at} ${index}<base`);
    const each = slope("coded", (target, at) =>
      apply([frames(2 + 1000 * at, 1000)], framesOf(...label(at)), target),
    );
    expect(each).toBeLessThanOrEqual(95);
  });

  it("a tensor with a sketch", () => {
    const grow =
      (sketched: boolean) =>
      (target: Catalog, at: number): void => {
        const tensors = Array.from({ length: 1000 }, (_, index) => ({
          ...tensor(`${at} ${index}`, 1),
          ...(sketched && { sketch: sha(`sketch ${at} ${index}`) }),
        }));
        apply([{ op: "tensors.add", first: 1 + 1000 * at, tensors }], [], target);
      };
    expect(slope("sketched", grow(true)) - slope("unsketched", grow(false))).toBeLessThanOrEqual(160);
  });
});
