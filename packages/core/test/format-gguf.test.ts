import { dtypeOf, InvalidFileError } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPlan } from "../src/format/check-plan.ts";
import type { FormatPlan } from "../src/format/format.ts";
import { MAX_HEADER_BYTES, MAX_TEXT_BYTES } from "../src/format/gguf/cursor.ts";
import { MAX_TENSORS } from "../src/format/gguf/header.ts";
import { MAX_ARRAY_DEPTH, MAX_KEPT_CHARACTERS, MAX_KEYS } from "../src/format/gguf/metadata.ts";
import { gguf } from "../src/format/gguf/plan.ts";
import { formatOf } from "../src/format/registry.ts";
import { bufferSource, type PlanPart, type Source } from "../src/model/plan.ts";
import { type GgufToWrite, type GgufValue, someBytes, writeGguf } from "./format-gguf-writer.ts";

const planBytes = (bytes: Uint8Array): Promise<FormatPlan> => gguf.plan(bufferSource("m.gguf", bytes));

async function planned(file: GgufToWrite): Promise<FormatPlan> {
  const { bytes } = writeGguf(file);
  const plan = await planBytes(bytes);
  checkPlan("m.gguf", bytes.length, plan.parts);
  return plan;
}

async function refusal(file: GgufToWrite | Uint8Array): Promise<InvalidFileError> {
  try {
    await planBytes(file instanceof Uint8Array ? file : writeGguf(file).bytes);
  } catch (error) {
    if (error instanceof InvalidFileError) return error;
    throw error;
  }
  throw new Error("not refused");
}

const tensorParts = ({ parts }: FormatPlan): Extract<PlanPart, { kind: "tensor" }>[] =>
  parts.filter((part) => part.kind === "tensor");

const F32 = 0;
const Q4_0 = 2;
const I8 = 24;

/** A tensor of one byte. */
const one = (name: string): NonNullable<GgufToWrite["tensors"]>[number] => ({
  name,
  type: I8,
  dimensions: [1],
  data: Uint8Array.of(7),
});

describe("recognition", () => {
  it("is by the extension, else by the magic number", () => {
    const { bytes } = writeGguf({});
    expect(formatOf("a.GGUF", new Uint8Array(3))).toEqual({ format: gguf, claim: "name" });
    expect(formatOf("blob", bytes)).toEqual({ format: gguf, claim: "content" });
    expect(formatOf("tiny.bin", Buffer.from("fmgg....")).format.id).toBe("opaque");
  });
});

describe("plans", () => {
  it("tensors at their places, with shapes the other way round", async () => {
    const first = someBytes(24, 1);
    const second = someBytes(5, 2);
    const file: GgufToWrite = {
      tensors: [
        { name: "a", type: F32, dimensions: [3, 2], data: first },
        { name: "b", type: I8, dimensions: [5, 1, 1], data: second },
      ],
    };
    const { bytes, dataStart } = writeGguf(file);
    const { parts } = await planBytes(bytes);
    expect(parts).toEqual([
      { kind: "literal", offset: 0, bytes: dataStart },
      { kind: "tensor", name: "a", dtype: dtypeOf("float32"), shape: [2, 3], offset: dataStart, bytes: 24 },
      { kind: "literal", offset: dataStart + 24, bytes: 8 },
      {
        kind: "tensor",
        name: "b",
        dtype: dtypeOf("int8"),
        shape: [1, 1, 5],
        offset: dataStart + 32,
        bytes: 5,
      },
      { kind: "literal", offset: dataStart + 37, bytes: 27 },
    ]);
    expect(bytes.subarray(dataStart, dataStart + 24)).toEqual(first);
  });

  it.each([
    [0, "float32", 1, 4],
    [1, "float16", 1, 2],
    [24, "int8", 1, 1],
    [25, "int16", 1, 2],
    [26, "int32", 1, 4],
    [27, "int64", 1, 8],
    [28, "float64", 1, 8],
    [30, "bfloat16", 1, 2],
    [2, "ggml_q4_0", 32, 18],
    [3, "ggml_q4_1", 32, 20],
    [6, "ggml_q5_0", 32, 22],
    [7, "ggml_q5_1", 32, 24],
    [8, "ggml_q8_0", 32, 34],
    [9, "ggml_q8_1", 32, 36],
    [10, "ggml_q2_k", 256, 84],
    [11, "ggml_q3_k", 256, 110],
    [12, "ggml_q4_k", 256, 144],
    [13, "ggml_q5_k", 256, 176],
    [14, "ggml_q6_k", 256, 210],
    [15, "ggml_q8_k", 256, 292],
    [16, "ggml_iq2_xxs", 256, 66],
    [17, "ggml_iq2_xs", 256, 74],
    [18, "ggml_iq3_xxs", 256, 98],
    [19, "ggml_iq1_s", 256, 50],
    [20, "ggml_iq4_nl", 32, 18],
    [21, "ggml_iq3_s", 256, 110],
    [22, "ggml_iq2_s", 256, 82],
    [23, "ggml_iq4_xs", 256, 136],
    [29, "ggml_iq1_m", 256, 56],
    [34, "ggml_tq1_0", 256, 54],
    [35, "ggml_tq2_0", 256, 66],
    [39, "ggml_mxfp4", 32, 17],
    [40, "ggml_nvfp4", 64, 36],
    [41, "ggml_q1_0", 128, 18],
    [42, "ggml_q2_0", 64, 18],
  ])("type %i is %s: %i values in %i bytes", async (type, dtype, values, size) => {
    const tensor = { name: "t", type, dimensions: [2 * values, 3], data: someBytes(6 * size) };
    const [part] = tensorParts(await planned({ tensors: [tensor] }));
    expect(part).toMatchObject({ dtype: dtypeOf(dtype), shape: [3, 2], bytes: 6 * size });
  });

  it("blocks count as elements; the metadata has the shape in values", async () => {
    const tensor = { name: "w", type: Q4_0, dimensions: [64, 5], data: someBytes(180) };
    const [part] = tensorParts(await planned({ tensors: [tensor] }));
    expect(part).toMatchObject({ shape: [5, 2], metadata: { gguf: { type: "Q4_0", shape: [5, 64] } } });
  });

  it("big-endian files: a layout for plain elements, blocks are refused", async () => {
    const tensors = [
      { name: "f", type: F32, dimensions: [2], data: someBytes(8) },
      { name: "i", type: I8, dimensions: [2], data: someBytes(2) },
    ];
    const metadata: GgufToWrite["metadata"] = [["general.name", { type: "string", value: "big" }]];
    const plan = await planned({ bigEndian: true, tensors, metadata });
    expect(tensorParts(plan).map(({ layout }) => layout)).toEqual([{ bigEndian: true }, { bigEndian: true }]);
    expect(plan.metadata).toEqual({ "general.name": "big" });
    const blocks = {
      bigEndian: true,
      tensors: [{ name: "q", type: Q4_0, dimensions: [32], data: someBytes(18) }],
    };
    expect(await refusal(blocks)).toMatchObject({ rule: "big-endian-blocks", tensor: "q" });
  });

  it("any order of the data, anything between tensors, no padding at the end", async () => {
    const tensors = [
      { ...one("late"), offset: 128 },
      { name: "empty", type: F32, dimensions: [0, 3], data: new Uint8Array(0), offset: 64 },
      { ...one("early"), offset: 0 },
    ];
    const { bytes, dataStart } = writeGguf({ tensors });
    const whole = Buffer.concat([bytes.subarray(0, dataStart), someBytes(129)]);
    const plan = await planBytes(whole);
    checkPlan("m.gguf", whole.length, plan.parts);
    expect(tensorParts(plan).map(({ name }) => name)).toEqual(["early", "empty", "late"]);
    expect(plan.parts.at(-1)).toMatchObject({ name: "late", offset: whole.length - 1 });
  });

  it("the alignment that the file names, without tensors too", async () => {
    const metadata: GgufToWrite["metadata"] = [["general.alignment", { type: "uint32", value: 4096 }]];
    const { bytes } = writeGguf({ metadata, alignment: 4096, tensors: [one("a"), one("b")] });
    const parts = tensorParts(await planBytes(bytes));
    expect(parts.map(({ offset }) => offset)).toEqual([4096, 8192]);
    const empty = writeGguf({ metadata }).bytes;
    expect((await planBytes(empty)).parts).toEqual([{ kind: "literal", offset: 0, bytes: empty.length }]);
  });

  it("any tensors, in either byte order (property)", async () => {
    const tensor = fc.record({
      name: fc.string({ unit: "binary", maxLength: 12 }),
      type: fc.constantFrom(F32, 1, I8, 26, 28),
      dimensions: fc.array(fc.nat(4), { maxLength: 4 }),
    });
    const sizes: { readonly [type: number]: number } = { 0: 4, 1: 2, 24: 1, 26: 4, 28: 8 };
    const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(
        tensors,
        fc.boolean(),
        fc.constantFrom(1, 8, 32, 256),
        async (list, bigEndian, alignment) => {
          const full = list.map((entry, index) => ({
            ...entry,
            data: someBytes(
              entry.dimensions.reduce((bytes, length) => bytes * length, sizes[entry.type]!),
              index,
            ),
          }));
          const metadata: GgufToWrite["metadata"] = [
            ["general.alignment", { type: "uint32", value: alignment }],
          ];
          const file = { bigEndian, alignment, metadata, tensors: full, padLast: false };
          const { bytes } = writeGguf(file);
          const found = tensorParts(await planned(file));
          expect(found).toHaveLength(list.length);
          for (const { name, dimensions, data } of full) {
            const part = found.find((candidate) => candidate.name === name)!;
            expect(part.shape).toEqual(dimensions.toReversed());
            expect(bytes.subarray(part.offset, part.offset + part.bytes)).toEqual(data);
          }
        },
      ),
    );
  });
});

describe("metadata", () => {
  const metadataOf = async (...metadata: [string, GgufValue][]): Promise<FormatPlan["metadata"]> =>
    (await planned({ metadata, tensors: [one("a")] })).metadata;

  it("has all types of values", async () => {
    expect(
      await metadataOf(
        ["general.architecture", { type: "string", value: "llama" }],
        ["a", { type: "uint8", value: 255 }],
        ["b", { type: "int8", value: -1 }],
        ["c", { type: "uint16", value: 65_535 }],
        ["d", { type: "int16", value: -2 }],
        ["e", { type: "uint32", value: 4_294_967_295 }],
        ["f", { type: "int32", value: -3 }],
        ["g", { type: "float32", value: 0.5 }],
        ["h", { type: "bool", value: 1 }],
        ["i", { type: "uint64", value: 2n ** 63n }],
        ["j", { type: "int64", value: -4n }],
        ["k", { type: "float64", value: Number.NEGATIVE_INFINITY }],
        ["l", { type: "array", of: "string", values: ["en", "de"] }],
        ["m", { type: "array", of: "int32", values: [] }],
        ["__proto__", { type: "array", of: "float64", values: [Number.NaN, 1] }],
      ),
    ).toEqual(
      Object.fromEntries([
        ["general.architecture", "llama"],
        ["a", 255],
        ["b", -1],
        ["c", 65_535],
        ["d", -2],
        ["e", 4_294_967_295],
        ["f", -3],
        ["g", 0.5],
        ["h", true],
        ["i", "9223372036854775808"],
        ["j", -4],
        ["k", "-Infinity"],
        ["l", ["en", "de"]],
        ["m", []],
        ["__proto__", ["NaN", 1]],
      ]),
    );
  });

  it("says only type and length of what is long, nested or no text", async () => {
    const tokens = Array.from({ length: 30_000 }, (_, index) => `token ${index}`);
    expect(
      await metadataOf(
        ["tokens", { type: "array", of: "string", values: tokens }],
        ["scores", { type: "array", of: "float32", values: tokens.map((_, index) => -index) }],
        ["long", { type: "string", value: "x".repeat(MAX_TEXT_BYTES + 1) }],
        ["bytes", { type: "string", value: Uint8Array.of(0xff, 0xfe) }],
        [
          "nested",
          {
            type: "array",
            of: "array",
            values: [
              { of: "string", values: ["a", "b"] },
              { of: "uint16", values: [1, 2, 3] },
            ],
          },
        ],
        ["after", { type: "uint8", value: 3 }],
      ),
    ).toEqual({
      tokens: { type: "string", count: 30_000 },
      scores: { type: "float32", count: 30_000 },
      long: { type: "string", bytes: MAX_TEXT_BYTES + 1 },
      bytes: { type: "string", bytes: 2 },
      nested: { type: "array", count: 2 },
      after: 3,
    });
  });

  it("leaves keys out beyond its limit, and says how many", async () => {
    const value: GgufValue = { type: "string", value: "x".repeat(60_000) };
    const keys = Array.from({ length: 20 }, (_, index): [string, GgufValue] => [`key.${index}`, value]);
    const found = (await metadataOf(...keys, ["split.count", { type: "uint16", value: 1 }]))!;
    expect(JSON.stringify(found).length).toBeLessThan(MAX_KEPT_CHARACTERS + 1000);
    expect(found).toMatchObject({ "tensorcask.omitted": 4, "split.count": 1 });
  });

  it("is read through a window: a header of megabytes is never held", async () => {
    const values = Array.from({ length: 200_000 }, (_, index) => `token number ${index}`);
    const { bytes } = writeGguf({
      metadata: [
        ["tokens", { type: "array", of: "string", values }],
        ["types", { type: "array", of: "int32", values: values.map(() => 1) }],
        ["last", { type: "string", value: "behind" }],
      ],
      tensors: [one("a")],
    });
    let largest = 0;
    let read = 0;
    const buffer = bufferSource("m.gguf", bytes);
    const source: Source = {
      ...buffer,
      async read(into, position) {
        largest = Math.max(largest, into.length);
        read += into.length;
        await buffer.read(into, position);
      },
    };
    const plan = await gguf.plan(source);
    expect(plan.metadata).toMatchObject({ last: "behind" });
    expect(bytes.length).toBeGreaterThan(5_000_000);
    expect(largest).toBeLessThanOrEqual(65_536);
    // Numbers are passed over, strings read once.
    expect(read).toBeLessThan(bytes.length - 700_000);
  });
});

describe("refuses", () => {
  it.each<[rule: string, what: string, file: GgufToWrite, says: RegExp]>([
    ["magic", "other files", { magic: "GGUX" }, /does not begin/],
    ["magic", "the format before it", { magic: "tjgg" }, /GGJT .* convert/],
    ["magic", "a Git LFS pointer", { magic: "vers" }, /git lfs pull/],
    ["version", "version 1", { version: 1 }, /32 bits.*llama\.cpp/],
    ["version", "version 0", { version: 0 }, /version 0/],
    ["version", "version 4", { version: 4 }, /version 4; 2 and 3/],
    ["version", "big-endian version 9", { version: 9, bigEndian: true }, /version 9/],
    ["header-limit", "2^60 tensors", { tensorCount: 2n ** 60n }, new RegExp(`limit is ${MAX_TENSORS}`)],
    ["header-limit", "2^60 keys", { keyCount: 2n ** 60n }, new RegExp(`limit is ${MAX_KEYS}`)],
    ["truncated", "more tensors than the file holds", { tensorCount: 1000n }, /list of tensors at byte 24/],
    ["truncated", "more keys than the file holds", { keyCount: 1n }, /metadata key 0 at byte 24/],
    ["empty-key", "an empty key", { metadata: [["", { type: "bool", value: 1 }]] }, /key 0/],
    [
      "duplicate-key",
      "a key twice",
      {
        metadata: [
          ["a", { type: "bool", value: 1 }],
          ["a", { type: "bool", value: 0 }],
        ],
      },
      /"a" comes twice/,
    ],
    ["duplicate-name", "a name twice", { tensors: [one("a"), one("a")] }, /two tensors/],
    [
      "name-limit",
      "a name of 65,536 bytes",
      { tensors: [one("x".repeat(MAX_TEXT_BYTES + 1))] },
      /limit is 65535/,
    ],
    [
      "name-encoding",
      "a name that is not UTF-8",
      { tensors: [{ ...one(""), name: Uint8Array.of(0xc3) }] },
      /UTF-8/,
    ],
    [
      "value-type",
      "an unknown value type",
      { metadata: [["a", { type: "raw", bytes: Uint8Array.of(13, 0, 0, 0) }]] },
      /"a" has the unknown type 13/,
    ],
    [
      "alignment",
      "an alignment of 0",
      { metadata: [["general.alignment", { type: "uint32", value: 0 }]] },
      /is 0/,
    ],
    ["alignment", "one of 48", { metadata: [["general.alignment", { type: "uint32", value: 48 }]] }, /is 48/],
    [
      "alignment",
      "one of another type",
      { metadata: [["general.alignment", { type: "uint64", value: 32 }]] },
      /type uint64/,
    ],
    ["tensor-type", "unknown types", { tensors: [{ ...one("a"), type: 43 }] }, /type 43 is not known/],
    ["tensor-type", "Q4_2", { tensors: [{ ...one("a"), type: 4 }] }, /Q4_2.*removed/],
    ["tensor-type", "Q4_3", { tensors: [{ ...one("a"), type: 5 }] }, /Q4_3.*removed/],
    ["tensor-type", "Q4_0_4_4", { tensors: [{ ...one("a"), type: 31 }] }, /Q4_0_4_4.*removed/],
    ["tensor-type", "IQ4_NL_8_8", { tensors: [{ ...one("a"), type: 38 }] }, /IQ4_NL_8_8.*removed/],
    [
      "rank-limit",
      "five dimensions",
      { tensors: [{ ...one("a"), dimensions: [1, 1, 1, 1, 1] }] },
      /5 dimensions/,
    ],
    [
      "shape-overflow",
      "dimensions whose product is beyond any file",
      { tensors: [{ ...one("a"), dimensions: [2n ** 32n, 2n ** 32n] }] },
      /2\^53/,
    ],
    [
      "shape-overflow",
      "the same with a zero behind them",
      { tensors: [{ ...one("a"), dimensions: [2n ** 50n, 2n ** 50n, 0n] }] },
      /2\^53/,
    ],
    [
      "shape-overflow",
      "the same with a zero before them",
      { tensors: [{ ...one("a"), dimensions: [0n, 2n ** 63n] }] },
      /2\^53/,
    ],
    [
      "partial-block",
      "half a block",
      { tensors: [{ name: "a", type: Q4_0, dimensions: [48, 2], data: someBytes(54) }] },
      /48 is no multiple of the 32/,
    ],
    [
      "partial-block",
      "a scalar in blocks",
      { tensors: [{ name: "a", type: Q4_0, dimensions: [], data: someBytes(18) }] },
      /dimension 1 is/,
    ],
    ["unaligned", "an offset of 1", { tensors: [{ ...one("a"), offset: 1 }] }, /offset 1 .* 32/],
    [
      "missing-bytes",
      "an offset beyond the file",
      { tensors: [{ ...one("a"), offset: 64 }] },
      /download complete/,
    ],
    [
      "missing-bytes",
      "an offset of 2^60",
      { tensors: [{ ...one("a"), offset: 2n ** 60n }] },
      /1152921504606846976/,
    ],
    [
      "overlap",
      "tensors that share bytes",
      {
        tensors: [
          { ...one("a"), offset: 0 },
          { ...one("b"), offset: 0 },
        ],
      },
      /begin at \d+, but "a" ends at/,
    ],
  ])("%s: %s", async (rule, _what, file, says) => {
    const error = await refusal(file);
    expect(error.rule).toBe(rule);
    expect(error.message).toMatch(says);
    expect(error.file).toBe("m.gguf");
  });

  it("lengths of strings and arrays beyond the file, whatever they would take", async () => {
    const u64 = (value: bigint): number[] => [...new Uint8Array(new BigUint64Array([value]).buffer)];
    const values: [number[], string][] = [
      [[8, 0, 0, 0, ...u64(2n ** 60n)], "truncated"],
      [[8, 0, 0, 0, ...u64(2n ** 64n - 1n)], "truncated"],
      [[9, 0, 0, 0, 0, 0, 0, 0, ...u64(2n ** 60n)], "truncated"],
      [[9, 0, 0, 0, 8, 0, 0, 0, ...u64(2n ** 61n)], "truncated"],
      [[9, 0, 0, 0, 9, 0, 0, 0, ...u64(2n ** 60n)], "truncated"],
      [[9, 0, 0, 0, 12, 0, 0, 0, ...u64(2n ** 61n)], "truncated"],
      [[9, 0, 0, 0, 77, 0, 0, 0, ...u64(1n)], "value-type"],
      [[9, 0, 0, 0], "truncated"],
    ];
    for (const [bytes, rule] of values) {
      const metadata: GgufToWrite["metadata"] = [["key", { type: "raw", bytes: Uint8Array.from(bytes) }]];
      const error = await refusal({ metadata });
      expect(error.rule).toBe(rule);
      expect(error.message).toContain('"key"');
    }
  });

  it("arrays within arrays that are too deep", async () => {
    const nested = (depth: number): GgufValue => ({
      type: "array",
      of: depth === 1 ? "uint8" : "array",
      values: depth === 1 ? [1] : [nested(depth - 1)],
    });
    const at = (depth: number): GgufToWrite => ({ metadata: [["deep", nested(depth)]] });
    expect((await planned(at(MAX_ARRAY_DEPTH))).metadata).toEqual({ deep: { type: "array", count: 1 } });
    expect((await refusal(at(MAX_ARRAY_DEPTH + 1))).rule).toBe("nesting");
    // An array of one array, and so on: type 9, then type and count of each.
    const level = Uint8Array.of(9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0);
    const bytes = Buffer.concat([Buffer.of(9, 0, 0, 0), ...Array.from({ length: 50_000 }, () => level)]);
    expect((await refusal({ metadata: [["deep", { type: "raw", bytes }]] })).rule).toBe("nesting");
  });

  it("a header beyond its limit, without reading it", async () => {
    const { bytes } = writeGguf({ keyCount: 1n });
    const key = Buffer.alloc(8 + 1 + 4 + 8);
    key.writeBigUInt64LE(1n, 0);
    key.write("k", 8);
    key.writeUInt32LE(8, 9);
    key.writeBigUInt64LE(BigInt(MAX_HEADER_BYTES), 13);
    const start = Buffer.concat([bytes, key]);
    let read = 0;
    const source: Source = {
      name: "m.gguf",
      bytes: 2 * MAX_HEADER_BYTES,
      async read(into, position) {
        read += into.length;
        into.fill(0);
        into.set(start.subarray(position, position + into.length));
      },
    };
    await expect(gguf.plan(source)).rejects.toMatchObject({ rule: "header-limit" });
    expect(read).toBeLessThan(200_000);
  });

  it("every truncation (property)", async () => {
    const { bytes } = writeGguf({
      metadata: [
        ["general.name", { type: "string", value: "m" }],
        ["list", { type: "array", of: "string", values: Array.from({ length: 70 }, () => "ab") }],
      ],
      tensors: [one("a"), one("b")],
      padLast: false,
    });
    await fc.assert(
      fc.asyncProperty(fc.nat(bytes.length - 1), async (length) => {
        expect(["truncated", "missing-bytes"]).toContain((await refusal(bytes.slice(0, length))).rule);
      }),
    );
  });
});
