import { TensorcaskError } from "@tensorcask/codec";
import { decode as decodeCbor, encode } from "cborg";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  MAX_COLUMN_COUNT,
  MAX_COLUMN_NUMBER,
  packIds,
  packNumbers,
  packRuns,
  packSteps,
  unpackIds,
  unpackNumbers,
  unpackRuns,
  unpackSteps,
} from "../src/journal/columns.ts";
import { decodeEntry, encodeEntry } from "../src/journal/entry-codec.ts";
import { opCodecs } from "../src/journal/op-codecs.ts";
import { ENTRY_OVERHEAD_BYTES } from "../src/journal/segment.ts";
import type { Entry, Op, TensorFacts } from "../src/model/entry.ts";
import { anyEntry, opKinds, recordBatch } from "./journal-entries.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const decode = (bytes: Uint8Array, sequence = 1): Entry => decodeEntry(bytes, sequence, "journal");

/** A random number generator that always gives the same numbers. */
function seeded(): () => number {
  let state = 12_345;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("columns", () => {
  const numbers = fc.array(
    fc.oneof(
      fc.nat(3),
      fc.maxSafeInteger().map((number) => Math.trunc(number / 4)),
    ),
    { maxLength: 60 },
  );

  test("numbers, steps, runs and ids come back as they were (property)", () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const clean = values.map((value) => value + 0);
        expect(unpackNumbers(packNumbers(clean), "t", clean.length)).toEqual(clean);
        const positive = clean.map((value) => Math.abs(value));
        expect(unpackSteps(packSteps(positive), "t", clean.length)).toEqual(positive);
        const even = positive.slice(0, positive.length & ~1).map((value) => Math.floor(value / 4));
        expect(unpackRuns(packRuns(even), "t")).toEqual(even);
      }),
    );
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 10 }), (ids) => {
        const withTwins = ids.flatMap((each) => [each, each]);
        expect(unpackIds(packIds(withTwins), "t")).toEqual(withTwins);
      }),
    );
    expect(unpackSteps(packSteps([MAX_COLUMN_NUMBER, 0, MAX_COLUMN_NUMBER]), "t")).toEqual([
      MAX_COLUMN_NUMBER,
      0,
      MAX_COLUMN_NUMBER,
    ]);
  });

  test("what repeats costs a few bytes in all", () => {
    expect(packNumbers(new Array(100_000).fill(7)).length).toBeLessThanOrEqual(4);
    expect(
      packSteps(Array.from({ length: 100_000 }, (_, index) => 5 + index * 256)).length,
    ).toBeLessThanOrEqual(10);
    expect(hex(packSteps([1, 2, 3, 4, 9, 9]))).toBe("0902040a00");
    expect(hex(packRuns([5, 2, 7, 1]))).toBe("080a040002");
  });

  test("damaged columns are refused, however large they claim to be", () => {
    expect(() => unpackNumbers(packNumbers([1, 2]), "t", 3)).toThrow(/2 numbers instead of 3/);
    expect(() => unpackNumbers(packNumbers([1, 2, 3]), "t", 2)).toThrow(/more than 2/);
    expect(() => unpackNumbers(new Uint8Array([255, 255, 255, 255, 255, 15, 0]), "t")).toThrow(
      `more than ${MAX_COLUMN_COUNT}`,
    );
    expect(() => unpackSteps(packNumbers([-1]), "t")).toThrow(/-1 in a column/);
    expect(() => unpackRuns(packNumbers([1]), "t")).toThrow(/no count/);
    expect(() => unpackIds(new Uint8Array([1, ...new Array(15).fill(0)]), "t")).toThrow(/shares 1 bytes/);
    expect(() => unpackIds(new Uint8Array([0, 1, 2]), "t")).toThrow(/ends early/);
  });

  test("what does not fit is refused on the way in", () => {
    for (const bad of [-1, 0.5, Number.NaN, MAX_COLUMN_NUMBER + 1])
      expect(() => packSteps([bad])).toThrow(/whole number/);
    expect(() => packRuns([1])).toThrow(/pairs/);
    expect(() => packIds([new Uint8Array(15)])).toThrow(/16 bytes/);
  });
});

describe("entries", () => {
  test("any entry comes back as it was, from the same bytes every time (property)", () => {
    expect(opKinds).toBe(Object.keys(opCodecs).length);
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const payload = encodeEntry(entry);
        const back = decode(payload, entry.sequence);
        expect(back).toEqual(entry);
        expect(hex(encodeEntry(back))).toBe(hex(payload));
      }),
      { numRuns: 500 },
    );
  });

  test("golden bytes", () => {
    const id = Uint8Array.from({ length: 16 }, (_, index) => index);
    const key = new Uint8Array(32).fill(0xaa);
    const tensor: TensorFacts = {
      key,
      dtype: 22,
      shape: [64],
      geometry: "elements",
      arrays: [{ role: "values", dtype: 22, shape: [64], place: { bundle: 9, offset: 256 } }],
    };
    const ops: Op[] = [
      { op: "pack.add", pack: 1, name: "P", tail: true },
      { op: "frames", pack: 1, offset: 16, bytes: 300, chunks: [9, 1] },
      {
        op: "tensors.add",
        first: 5,
        tensors: [tensor, { ...tensor, arrays: [{ ...tensor.arrays[0]!, place: { runs: [3, 2] } }] }],
      },
      {
        op: "dataset.add",
        dataset: 2,
        name: "d",
        timeMs: 7,
        preset: null,
        metadata: { b: 1, a: 2 },
        schema: null,
        indexed: [],
      },
      { op: "version", dataset: 2, version: 1 },
      {
        op: "records.add",
        dataset: 2,
        version: 1,
        records: [{ id, file: 0, tensor: 5, name: "n", metadata: { x: 1 } }],
      },
    ];
    expect(hex(encodeEntry({ sequence: 1, timeMs: 1000, ops }))).toBe(
      [
        "87 1903e8", // the time and six operations
        "84 01 01 6150 f5", // pack.add: 1, "P", a tail
        "85 03 01 10 19012c 43041202", // frames: pack 1, [16, 316), one run
        `8a 06 05 5840 ${"aa".repeat(64)}`, // tensors.add: from 5, two keys
        "82 84168118400001 84168118400000", // forms: float32, [64], elements, in a bundle; the same in chunks
        "43040002 420212 43028004", // form of each; bundle 9; offset 256
        "420202 420206 420204", // one run: from 3, 2 chunks
        "88 08 02 6164 07 f6 6d7b2262223a312c2261223a327d f6 80", // dataset.add
        "83 0b 02 01", // version
        "88 0f 02 01 51 00000102030405060708090a0b0c0d0e0f", // records.add: dataset 2, version 1, one id
        "420200 42020a 81616e 81677b2278223a317d", // file, tensor, name, metadata
      ]
        .join("")
        .replaceAll(" ", ""),
    );
  });

  test("layouts of parts: golden bytes, nothing without them, damage where they are none", () => {
    const file = { file: 1, path: "p", format: "f", bytes: 8, sha256: new Uint8Array(32), parts: [4, 5] };
    const encoded = (layouts?: readonly number[]): Uint8Array => {
      const facts = { ...file, ...(layouts !== undefined && { layouts }) };
      return encodeEntry({
        sequence: 1,
        timeMs: 0,
        ops: [{ op: "files.add", dataset: 1, version: 1, files: [facts] }],
      });
    };
    const [without, laidOut] = [encoded(), encoded([0, 3])];
    // Two nulls for the versions, then a byte string: the header of two different numbers, 0 and 3.
    expect(Buffer.from(laidOut).toString("hex").endsWith("f6f643040006")).toBe(true);
    expect(laidOut.length - without.length).toBe(6);
    expect(decodeEntry(laidOut, 1, "j").ops[0]).toMatchObject({ files: [{ ...file, layouts: [0, 3] }] });
    for (const layouts of [[0, 4], [0, -1], [0], [0, 1, 2]])
      expect(() => decodeEntry(encoded(layouts), 1, "j")).toThrow(/^j: (layout|a column has)/);
  });

  test("sketches: golden bytes, nothing without them, damage where they are cut short", () => {
    const tensor = (sketch?: Uint8Array): TensorFacts => ({
      key: new Uint8Array(32).fill(1),
      dtype: 22,
      shape: [2],
      geometry: "elements",
      ...(sketch !== undefined && { sketch }),
      arrays: [{ role: "values", dtype: 22, shape: [2], place: { bundle: 1, offset: 0 } }],
    });
    const encoded = (tensors: readonly TensorFacts[]): Uint8Array =>
      encodeEntry({ sequence: 1, timeMs: 0, ops: [{ op: "tensors.add", first: 1, tensors }] });
    const sketch = Uint8Array.from({ length: 32 }, (_, at) => at + 64);
    const without = encoded([tensor(), tensor()]);
    const tensors = [tensor(), tensor(sketch)];
    const entry = encoded(tensors);
    // Nulls for measures and notes, tensor 1 has one, 32 bytes.
    expect(hex(entry).endsWith(`f6f6f6 420202 5820 ${hex(sketch)}`.replaceAll(" ", ""))).toBe(true);
    expect(entry.length - without.length).toBe(3 + 3 + 34);
    expect(decodeEntry(entry, 1, "j").ops[0]).toEqual({ op: "tensors.add", first: 1, tensors });
    const fields = decodeCbor(entry) as unknown[][];
    fields[1]!.splice(-1, 1, sketch.subarray(1));
    expect(() => decodeEntry(encode(fields), 1, "j")).toThrow(/^j: sketches of tensors are cut short/);
    expect(() => encoded([tensor(sketch.subarray(1))])).toThrow(
      expect.objectContaining({ tag: "usage", field: "sketch" }),
    );
  });

  test("a record of 64 floats costs at most 48 bytes beside its name and metadata", () => {
    const bytesOf = (count: number, named: boolean): number =>
      encodeEntry(recordBatch(count, named, seeded())).length + ENTRY_OVERHEAD_BYTES;
    const perRecord = (bytesOf(1100, false) - bytesOf(100, false)) / 1000;
    expect(perRecord).toBeLessThanOrEqual(36);
    expect(bytesOf(100, false) / 100).toBeLessThanOrEqual(38);
    // Alone in its commit, a record pays for the entry around it.
    expect(bytesOf(1, false)).toBeLessThanOrEqual(230);
    const named = Array.from({ length: 1000 }, (_, index) => `cat-${index}{"label":${index % 10}}`);
    const textBytes = named.reduce((sum, text) => sum + text.length, 0);
    expect((bytesOf(1000, true) - textBytes) / 1000).toBeLessThanOrEqual(40);
  });

  test("the order of keys in metadata stays, and odd keys, too", () => {
    const metadata = JSON.parse('{"b":1,"a":{"__proto__":[1.5,"\\ud800"]},"10":2}');
    const entry: Entry = { sequence: 1, timeMs: 0, ops: [{ op: "settings.set", settings: metadata }] };
    const [op] = decode(encodeEntry(entry)).ops;
    expect(JSON.stringify(op)).toBe(JSON.stringify({ op: "settings.set", settings: metadata }));
  });

  test("decoded bytes do not keep the buffer they were read from", () => {
    const batch = recordBatch(3, false, seeded());
    const payload = Buffer.from(encodeEntry(batch));
    const { ops } = decode(payload, batch.sequence);
    payload.fill(0);
    expect(ops).toEqual(batch.ops);
  });

  test("wrong facts are refused, and the field is named", () => {
    const refused = (op: Op, field: string): void => {
      expect(() => encodeEntry({ sequence: 1, timeMs: 0, ops: [op] })).toThrow(
        expect.objectContaining({ tag: "usage", field }),
      );
    };
    refused({ op: "dataset.drop", dataset: -1 }, "dataset");
    refused({ op: "dataset.drop", dataset: 1.5 }, "dataset");
    refused({ op: "preset.drop", name: "\ud800" }, "name");
    refused({ op: "settings.set", settings: [] as never }, "settings");
    refused({ op: "chunks.drop", chunks: [1] }, "runs");
    refused({ op: "surprise" } as never, "op");
    const tensor: TensorFacts = {
      key: new Uint8Array(31),
      dtype: 1,
      shape: [],
      geometry: "content",
      arrays: [],
    };
    refused({ op: "tensors.add", first: 1, tensors: [tensor] }, "key");
  });

  test("what is not an entry is damage, named after its segment", () => {
    const damaged: readonly unknown[] = [
      1,
      [],
      [0, 7],
      [0, [99]],
      [0, [10]],
      [0, [10, 1, 2]],
      [0, [10, "1"]],
      [0, [1, 1, "p", 1]],
      [0, [19, "[]"]],
      [0, [19, "{"]],
      [0, [6, 1, new Uint8Array(31), [], ...new Array(6).fill(new Uint8Array(0))]],
      [0, [6, 1, new Uint8Array(32), [], new Uint8Array([2, 0]), ...new Array(5).fill(new Uint8Array(0))]],
      [
        0,
        [
          6,
          1,
          new Uint8Array(32),
          [[1, [], 0, 1]],
          new Uint8Array([2, 0]),
          ...new Array(5).fill(new Uint8Array(0)),
        ],
      ],
      [
        0,
        [
          6,
          1,
          new Uint8Array(32),
          [[1, [], 9, 1]],
          new Uint8Array([2, 0]),
          ...new Array(5).fill(new Uint8Array(0)),
        ],
      ],
      [0, [15, 1, 1, new Uint8Array(17), new Uint8Array([2, 0]), new Uint8Array([2, 0]), []]],
    ];
    for (const value of damaged) {
      expect(() => decode(encode(value))).toThrow(
        expect.objectContaining({ tag: "damage", where: "journal" }),
      );
    }
    expect(() => decode(new Uint8Array([0x9f, 0x00, 0xff]))).toThrow(/not CBOR/);
    expect(() => decode(new Uint8Array(0))).toThrow(/not CBOR/);
  });

  test("flipped and missing bytes give an entry or a tagged error, nothing else (property)", () => {
    fc.assert(
      fc.property(
        anyEntry,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (entry, at, flip, cut) => {
          const payload = encodeEntry(entry);
          const place = at % payload.length;
          const changed = cut ? payload.subarray(0, place) : payload.slice();
          if (!cut) changed[place]! ^= flip;
          try {
            decode(changed);
          } catch (error) {
            expect(error).toBeInstanceOf(TensorcaskError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
