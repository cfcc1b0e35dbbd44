import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChain } from "../src/codec/chain.ts";
import { chunkFacts } from "../src/codec/chunk-facts.ts";
import { type CodecPolicy, encodeChunk, parsePolicy, policyToJson } from "../src/codec/policy.ts";
import { codecOf, codecs } from "../src/codec/registry.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { noise, normals, toBfloat16 } from "./codec-samples.ts";

beforeAll(() => ready());

const uint8 = dtypeOf("uint8");
const auto: CodecPolicy = { auto: "lossless" };

describe("reading policies", () => {
  test.each([
    ["none", { chain: [] }],
    ["auto", { auto: "lossless" }],
    [{ auto: "lossless" }, { auto: "lossless" }],
    [{ auto: "fast" }, { auto: "fast" }],
    [{ auto: "archive" }, { auto: "archive" }],
    ["gzip", { chain: [{ codec: "gzip", parameters: { level: 6 } }] }],
    [{ id: "gzip", level: 9 }, { chain: [{ codec: "gzip", parameters: { level: 9 } }] }],
    [{ codec: "zstd", parameters: { level: 7 } }, { chain: [{ codec: "zstd", parameters: { level: 7 } }] }],
    [[], { chain: [] }],
    [
      ["planes", { id: "lz4" }],
      {
        chain: [
          { codec: "planes", parameters: {} },
          { codec: "lz4", parameters: { level: 1 } },
        ],
      },
    ],
  ])("%j", (json, policy) => {
    expect(parsePolicy(json)).toEqual(policy);
    expect(parsePolicy(policyToJson(parsePolicy(json)))).toEqual(policy);
    expect(parsePolicy(policy)).toEqual(policy);
  });

  test.each([
    ["gzipp", /unknown codec "gzipp"; known: none, gzip/],
    [
      ["planes", { id: "gzip", level: 10 }],
      /codec step 2: gzip: level is 10; it must be an integer from 1 to 9/,
    ],
    [["planes", { id: "gzip", lvl: 1 }], /codec step 2: gzip has no parameter "lvl"; known: level/],
    [["gzip", "planes"], /codec step 2: planes \(array-to-bytes\) cannot follow gzip/],
    [["planes", "planes"], /step 2: planes .* cannot follow planes/],
    [{ auto: "fastest" }, /unknown auto "fastest"; known: lossless, fast, archive/],
    [{ auto: "constructor" }, /unknown auto/],
    [{ auto: "lossless", level: 1 }, /no parameter "level"/],
    [{ level: 3 }, /id is missing/],
    [[["gzip"]], /no codec/],
    [3, /no codec/],
    [undefined, /no codec/],
    [{ chain: "gzip" }, /chain must be a list/],
    [{ codec: "gzip", level: 1 }, /no parameter "level"/],
    [new Array(9).fill("gzip"), /at most 8/],
  ])("refuses %j", (json, message) => {
    expect(() => parsePolicy(json)).toThrow(UsageError);
    expect(() => parsePolicy(json)).toThrow(message);
  });

  test("ids and codes are unique, and what is on disk stays", () => {
    expect(codecs.map(({ id, code }) => [id, code])).toEqual([
      ["gzip", 1],
      ["lz4", 2],
      ["zstd", 3],
      ["brotli", 4],
      ["planes", 5],
      ["entropy", 6],
      ["ladder", 7],
      ["bitshuffle", 8],
      ["delta", 9],
      ["rle", 11],
      ["bpe", 12],
      ["sparse", 13],
      ["cluster", 14],
      ["pattern251", 15],
      ["hierarchical", 16],
      ["context", 17],
    ]);
  });
});

describe("chains", () => {
  test("a step that does not pay is not stored, nor one behind it that pays less", () => {
    const text = new TextEncoder().encode("all work and no play ".repeat(200));
    const { steps } = encodeChunk(text, uint8, parsePolicy(["gzip", "lz4", "zstd"]));
    expect(steps).toEqual([{ code: 1, inputBytes: text.length }]);
    const raw = encodeChunk(noise(5000, 1), uint8, parsePolicy(["gzip", "lz4"]));
    expect(raw.steps).toEqual([]);
  });

  test("sizes after each step are known", () => {
    const input = new Uint8Array(normals(4096, 1, 2).map((value) => Math.round(value)).buffer);
    const { steps, payload } = encodeChunk(input, dtypeOf("float32"), parsePolicy(["planes", "gzip"]));
    expect(steps[0]).toEqual({ code: 5, inputBytes: input.length });
    if (steps.length === 2) expect(steps[1]!.inputBytes).toBeGreaterThan(payload.length);
  });

  test("unknown codes, too many steps and wrong lengths are damage", () => {
    const step = { code: 1, inputBytes: 10 };
    expect(() => decodeChain(new Uint8Array(3), [{ code: 200, inputBytes: 10 }], 10, uint8)).toThrow(
      /step 1 has the unknown codec code 200/,
    );
    expect(() => decodeChain(new Uint8Array(3), new Array(9).fill(step), 10, uint8)).toThrow(DamageError);
    expect(() => decodeChain(new Uint8Array(3), [step], 11, uint8)).toThrow(/10 bytes of a chunk of 11/);
    expect(() => decodeChain(new Uint8Array(3), [{ code: 1, inputBytes: 2 ** 26 }], 2 ** 26, uint8)).toThrow(
      /limit/,
    );
    expect(() => decodeChain(new Uint8Array(3), [], 4, uint8)).toThrow(DamageError);
  });

  test("so is a number in the payload that no encoder writes", () => {
    const input = noise(500, 3);
    const codec = codecOf("hierarchical");
    const payload = codec.encode(input, { dtype: uint8 }, codec.parse({}));
    // The length of the input: u64 at 6.
    payload.fill(0xff, 6, 14);
    const steps = [{ code: codec.code, inputBytes: 500 }];
    expect(() => decodeChain(payload, steps, 500, uint8, "pack 1")).toThrow(DamageError);
  });
});

describe("auto: lossless", () => {
  const codes = (bytes: Uint8Array, dtype: string): number[] =>
    encodeChunk(bytes, dtypeOf(dtype), auto).steps.map((step) => step.code);

  test("weights are entropy-coded, noise stays raw", () => {
    expect(codes(toBfloat16(normals(100_000, 0.02, 1)), "bfloat16")).toEqual([6]);
    expect(codes(new Uint8Array(normals(100_000, 0.02, 1).buffer), "float32")).toEqual([6]);
    expect(codes(noise(200_000, 2), "float32")).toEqual([]);
    expect(codes(noise(200_000, 2), "uint8")).toEqual([]);
    expect(codes(new Uint8Array(0), "float32")).toEqual([]);
  });

  test("text becomes zstd", () => {
    const text = readFileSync(fileURLToPath(import.meta.url));
    expect(codes(text, "uint8")).toEqual([3]);
  });

  test("weights inside opaque bytes are found, at any alignment", () => {
    for (const [hidden, input] of [
      [4, new Uint8Array(normals(40_000, 0.02, 4).buffer)],
      [2, toBfloat16(normals(80_000, 0.02, 4))],
    ] as const) {
      for (const offset of [0, 1, 2, 3]) {
        const bytes = input.subarray(offset);
        expect(chunkFacts(bytes, uint8).hiddenWordBytes).toBe(hidden);
        const asNumbers = encodeChunk(input, dtypeOf(hidden === 4 ? "float32" : "bfloat16"), auto).payload
          .length;
        expect(encodeChunk(bytes, uint8, auto).payload.length).toBeLessThan(asNumbers * 1.02);
      }
    }
  });

  test("never loses much to plain zstd or plain planes", () => {
    const inputs: [string, Uint8Array][] = [
      ["float32", new Uint8Array(normals(60_000, 1, 5).map((value) => Math.round(value * 3)).buffer)],
      [
        "float32",
        new Uint8Array(normals(60_000, 1, 6).map((value) => (Math.abs(value) < 1.8 ? 0 : value)).buffer),
      ],
      ["int64", new Uint8Array(BigInt64Array.from({ length: 30_000 }, (_, index) => BigInt(index)).buffer)],
      ["int32", new Uint8Array(Int32Array.from(noise(60_000, 7), (byte) => byte * byte).buffer)],
      ["float16", new Uint8Array(new Float16Array(normals(60_000, 0.02, 8)).buffer)],
      ["uint8", noise(60_000, 9).map((byte) => byte & 0x1f)],
    ];
    for (const [dtype, input] of inputs) {
      const chosen = encodeChunk(input, dtypeOf(dtype), auto).payload.length;
      for (const other of ["zstd", "planes"]) {
        const fixed = encodeChunk(input, dtypeOf(dtype), parsePolicy(other)).payload.length;
        expect(chosen, `${dtype} against ${other}`).toBeLessThan(fixed * 1.02 + 16);
      }
    }
  });
});
