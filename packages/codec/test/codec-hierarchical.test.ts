import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256 } from "../src/bytes/hash.ts";
import { toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { hierarchical } from "../src/codec/hierarchical.ts";
import { zstd } from "../src/codec/zstd.ts";
import { DamageError, TensorcaskError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { causalMasks, paddingMasks, periodic, records, tiledBlocks, tiles } from "./codec-pattern-samples.ts";
import { anyBytes, anyMutation, mutated, noise } from "./codec-samples.ts";

beforeAll(() => ready());

const dtype = dtypeOf("uint8");
const encode = (input: Uint8Array, adaptive = true): Uint8Array =>
  hierarchical.encode(input, { dtype }, { adaptive });
const decode = (payload: Uint8Array, bytes: number): Uint8Array =>
  hierarchical.decode(payload, { dtype, bytes });

const CHUNK_BYTES = 524_288;

describe("sizes", () => {
  test.each([
    ["kernels of 36 bytes", () => tiles(CHUNK_BYTES, 36, 64, 1), 1.8],
    ["many kernels of 36 bytes", () => tiles(CHUNK_BYTES, 36, 1000, 2), 1.15],
    ["kernels of 100 bytes", () => tiles(CHUNK_BYTES, 100, 300, 3), 1.1],
    ["blocks of kernels", () => tiledBlocks(CHUNK_BYTES, 5), 4],
    ["padding masks", () => paddingMasks(CHUNK_BYTES, 128, 7), 2],
    ["causal masks of many heads", () => causalMasks(CHUNK_BYTES, 128), 3.5],
    ["records", () => records(CHUNK_BYTES, 9), 1.15],
  ])("%s: smaller than zstd -3", (_name, make, times) => {
    const input = make();
    const coded = encode(input);
    expect(coded.length * times).toBeLessThan(zstd.encode(input, { dtype }, { level: 3 }).length);
    expect(Buffer.compare(decode(coded, input.length), input)).toBe(0);
    expect(Buffer.compare(decode(encode(input, false), input.length), input)).toBe(0);
  });

  test("a codebook that does not pay is not written", () => {
    const input = noise(10_000, 1);
    const coded = encode(input);
    expect(coded.length).toBe(18 + input.length + 32);
    expect(coded[5]).toBe(3);
    expect(encode(new Uint8Array(0)).length).toBe(50);
  });
});

describe("format", () => {
  test("golden bytes", () => {
    const pattern = "0123456789abcdefghijklmnopqrstuvwxyzABCD";
    const input = new TextEncoder().encode(`${pattern.repeat(3)}?`);
    const coded = encode(input);
    const parts = [
      // magic, version, flags; original size; codebook size
      "48504332 00 01 7900000000000000 2e000000",
      // one pattern, of a constant length, its bytes stored
      `01 ff01 28 0028 ${toHex(new TextEncoder().encode(pattern))}`,
      // four symbols in one stream; a byte of runs: one literal; the literals in order
      "04 00 0004 01010100 01 ff01 00 00 ff01 3f",
      toHex(sha256(input)),
    ];
    expect(toHex(coded)).toBe(parts.join("").replaceAll(" ", ""));
    expect(decode(coded, input.length)).toEqual(input);
  });

  test("parameters", () => {
    expect(hierarchical.parse({})).toEqual({ adaptive: true });
    expect(hierarchical.parse({ adaptive: false })).toEqual({ adaptive: false });
    expect(() => hierarchical.parse({ adaptive: 1 })).toThrow(/adaptive is 1/);
    const input = tiles(20_000, 24, 10, 1);
    expect(encode(input)[5]).toBe(1);
    expect(encode(input, false)[5]).toBe(0);
  });
});

describe("round trips", () => {
  test("bytes that look like codes and escapes", () => {
    for (const byte of [0, 1, 0xfe, 0xff]) {
      for (const bytes of [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 250, 251, 252, 1000, 70_000]) {
        const input = new Uint8Array(bytes).fill(byte);
        expect(Buffer.compare(decode(encode(input), bytes), input)).toBe(0);
      }
    }
  });

  test("patterns within patterns, broken up by noise", () => {
    const part = fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40 }));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.boolean(), (parts, adaptive) => {
        const pieces = parts.map(([seed, patternBytes, repetitions]) =>
          seed === 3
            ? noise(patternBytes, repetitions)
            : periodic(patternBytes * repetitions, noise(patternBytes, seed + 1)),
        );
        const input = new Uint8Array(Buffer.concat([...pieces, ...pieces]));
        expect(Buffer.compare(decode(encode(input, adaptive), input.length), input)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("more than 255 patterns, at any offset", () => {
    const memory = new Uint8Array(new SharedArrayBuffer(100_003));
    const input = memory.subarray(3);
    input.set(tiles(100_000, 20, 700, 4));
    const coded = encode(input);
    expect(coded.length).toBeLessThan(30_000);
    expect(Buffer.compare(decode(coded, input.length), input)).toBe(0);
  });
});

describe("damage", () => {
  test("is found, or changes nothing", () => {
    const input = records(12_000, 3);
    const coded = encode(input);
    fc.assert(
      fc.property(fc.array(anyMutation, { minLength: 1, maxLength: 3 }), (mutations) => {
        const damaged = mutations.reduce(mutated, coded);
        try {
          expect(Buffer.compare(decode(damaged, input.length), input)).toBe(0);
        } catch (error) {
          if (!(error instanceof TensorcaskError)) throw error;
        }
      }),
      { numRuns: 300 },
    );
  });

  test("other bytes are never given for another length", () => {
    const coded = encode(tiles(5000, 25, 10, 2));
    for (const bytes of [0, 4999, 5001, 2 ** 30]) expect(() => decode(coded, bytes)).toThrow(DamageError);
    fc.assert(
      fc.property(anyBytes(200), fc.nat(5000), (body, bytes) => {
        const payload = coded.slice(0, 18 + body.length);
        payload.set(body, 18);
        new DataView(payload.buffer).setUint32(6, bytes, true);
        new DataView(payload.buffer).setUint32(14, body.length >> 1, true);
        expect(() => decode(payload, bytes)).toThrow(TensorcaskError);
      }),
    );
  });
});
