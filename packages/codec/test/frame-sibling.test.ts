/** Frames that are coded against another chunk: the reference in their header, when one is taken, and what is refused. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256 } from "../src/bytes/hash.ts";
import { toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { parsePolicy, usesSiblings } from "../src/codec/policy.ts";
import { DamageError, TensorcaskError, UsageError } from "../src/errors/errors.ts";
import {
  decodeFrame,
  encodeFrame,
  encodeFrameInto,
  frameOf,
  type SiblingChunk,
  verifyFrame,
} from "../src/frame/frame.ts";
import { MAX_HEADER_BYTES, readFrameHeader } from "../src/frame/header.ts";
import { type DTypeName, dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { fromFloat32 } from "../src/tensor/float.ts";
import { anyBytes, anyMutation, mutated, noise } from "./codec-samples.ts";
import { bytesOf, drifted, patched, scattered, weights } from "./sibling-samples.ts";

beforeAll(() => ready());

const lossless = parsePolicy("auto");
const archive = parsePolicy({ auto: "archive" });
const COUNT = 131_072;

const chunk = (bytes: Uint8Array, dtype: DTypeName): SiblingChunk => ({
  bytes,
  dtype: dtypeOf(dtype),
  hash: sha256(bytes),
});
const framed = (input: SiblingChunk, sibling?: SiblingChunk, policy = lossless): Uint8Array =>
  encodeFrame({ ...input, policy, sibling });

describe("a frame that names a sibling", () => {
  test("golden bytes", () => {
    const base = chunk(noise(4096, 1), "uint8");
    const input = chunk(patched(base.bytes, noise(4096, 2), 100, 3), "uint8");
    const frame = framed(input, base);
    expect(toHex(frame)).toBe(
      [
        "5446", // magic
        "00", // version
        "01", // flags: a sibling
        "0b000000", // payload bytes
        "00100000", // chunk bytes
        "05", // uint8
        "02", // steps
        "1600", // extension bytes
        toHex(input.hash),
        toHex(frame.subarray(48, 56)),
        "128020", // xor, 4096 bytes
        "0d8020", // sparse, 4096 bytes
        toHex(base.hash.subarray(0, 16)),
        "1003030003640000", // sparse: gaps of 100, 0 and 0 before 3 bytes
        toHex(input.bytes.subarray(100, 103).map((byte, index) => byte ^ base.bytes[100 + index]!)),
      ].join(""),
    );
  });

  test("says so in its header, and comes back with the sibling only", () => {
    const [base, other] = [chunk(bytesOf(weights(5000, 1)), "float32"), chunk(noise(20_000, 3), "float32")];
    const input = chunk(bytesOf(drifted(5000, 1e-4, 1)), "float32");
    const frame = framed(input, base);
    const header = readFrameHeader(frame.subarray(0, MAX_HEADER_BYTES), "here");
    expect(header.chain).toEqual([10]);
    expect(header.sibling).toEqual(base.hash.slice(0, 16));
    expect(verifyFrame(frame, "here")).toEqual(header);
    const decoded = decodeFrame(frame, "here", input.hash, { sibling: base, verifyHash: true });
    expect(Buffer.compare(decoded, input.bytes)).toBe(0);
    const named = toHex(base.hash.subarray(0, 16));
    expect(() => decodeFrame(frame, "here", input.hash)).toThrow(DamageError);
    expect(() => decodeFrame(frame, "here", input.hash)).toThrow(
      `here: is coded against chunk ${named}, which is missing`,
    );
    expect(() => decodeFrame(frame, "here", input.hash, { sibling: other })).toThrow(
      `here: is coded against chunk ${named}, not against ${toHex(other.hash)}`,
    );
  });

  test("whose sibling is not what its hash says is found out by the chunk's own hash", () => {
    const base = chunk(bytesOf(weights(5000, 1)), "float32");
    const input = chunk(bytesOf(drifted(5000, 1e-4, 1)), "float32");
    const frame = framed(input, base);
    fc.assert(
      fc.property(anyBytes(30_000), fc.integer({ min: 0, max: 4999 }), (bytes, words) => {
        for (const wrong of [bytes, base.bytes.subarray(0, 4 * words)]) {
          const sibling = { hash: base.hash, bytes: wrong };
          expect(() => decodeFrame(frame, "here", input.hash, { sibling, verifyHash: true })).toThrow(
            TensorcaskError,
          );
        }
      }),
      { numRuns: 50 },
    );
  });

  test("is damage whatever bit is flipped, the reference among them", () => {
    const base = chunk(bytesOf(weights(300, 1)), "float32");
    const input = chunk(bytesOf(drifted(300, 1e-3, 1)), "float32");
    const frame = framed(input, base);
    expect(readFrameHeader(frame, "here").sibling).toBeDefined();
    for (let bit = 0; bit < frame.length * 8; bit++) {
      frame[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decodeFrame(frame, "here", undefined, { sibling: base })).toThrow(DamageError);
      frame[bit >> 3]! ^= 1 << (bit & 7);
    }
    fc.assert(
      fc.property(anyMutation, (mutation) => {
        const damaged = mutated(frame, mutation);
        fc.pre(Buffer.compare(damaged, frame) !== 0);
        expect(() => decodeFrame(damaged, "here", undefined, { sibling: base })).toThrow(DamageError);
      }),
      { numRuns: 200 },
    );
  });

  test("has a first step that needs it, and a frame without it has none", () => {
    const hash = new Uint8Array(32);
    const uint8 = dtypeOf("uint8");
    const xored = [{ code: 18, inputBytes: 3 }];
    expect(() => frameOf(hash, uint8, 3, xored, new Uint8Array(3))).toThrow(UsageError);
    const withSibling = frameOf(hash, uint8, 3, xored, new Uint8Array(3), hash);
    const plain = frameOf(hash, uint8, 3, [{ code: 11, inputBytes: 3 }], new Uint8Array(3), hash);
    expect(readFrameHeader(plain, "here").sibling).toBeUndefined();
    withSibling[56] = 11;
    expect(() => readFrameHeader(withSibling, "here")).toThrow(
      /names a sibling that its first step does not need/,
    );
    plain[56] = 18;
    expect(() => readFrameHeader(plain, "here")).toThrow(/names no sibling, which its first step needs/);
    plain[3] = 2;
    expect(() => readFrameHeader(plain, "here")).toThrow(/flags 2 are unknown/);
  });
});

describe("any frame", () => {
  const policies = ["auto", { auto: "archive" }, { auto: "fast" }, "none", "gzip"].map((json) =>
    parsePolicy(json),
  );

  test("any bytes come back by any sibling, and the frame is hardly longer than without", () => {
    const anyType = fc.constantFrom(...dtypes);
    const changes = fc.array(fc.tuple(fc.nat(1999), fc.nat(255)), { maxLength: 40 });
    fc.assert(
      fc.property(
        fc.tuple(anyBytes(2000), anyBytes(2000), changes, fc.boolean()),
        anyType,
        anyType,
        fc.constantFrom(...policies),
        ([base, unrelated, changed, isRelated], dtype, baseType, policy) => {
          const bytes = isRelated ? base.slice() : unrelated;
          if (isRelated) for (const [at, value] of changed) if (at < bytes.length) bytes[at] = value;
          const input = chunk(bytes, dtype.name);
          const sibling = chunk(base, baseType.name);
          const frame = framed(input, sibling, policy);
          const plain = framed(input, undefined, policy);
          expect(frame.length).toBeLessThanOrEqual(plain.length);
          if (!usesSiblings(policy)) expect(Buffer.compare(frame, plain)).toBe(0);
          const decoded = decodeFrame(frame, "here", input.hash, { sibling, verifyHash: true });
          expect(Buffer.compare(decoded, bytes)).toBe(0);
        },
      ),
      { numRuns: 300 },
    );
  });

  test("is the same written in place", () => {
    const base = weights(COUNT, 5);
    const cases = [drifted(COUNT, 1e-3, 5), patched(base, weights(COUNT, 6), 400, 900), weights(COUNT, 7)];
    for (const values of cases) {
      for (const [dtype, sibling] of [
        ["bfloat16", "bfloat16"],
        ["float32", "bfloat16"],
      ] as const) {
        const input = chunk(fromFloat32(values, dtype), dtype);
        const against = chunk(fromFloat32(base, sibling), sibling);
        const into = new Uint8Array(3 + MAX_HEADER_BYTES + input.bytes.length).fill(0xa5);
        const length = encodeFrameInto({ ...input, policy: lossless, sibling: against }, into, 3);
        expect(Buffer.compare(into.subarray(3, 3 + length), framed(input, against))).toBe(0);
        expect([...into.subarray(0, 3)]).toEqual([0xa5, 0xa5, 0xa5]);
      }
    }
  });
});

describe("what is chosen", () => {
  const base = weights(COUNT, 8);
  const other = weights(COUNT, 9);
  const bytes = noise(COUNT, 10);
  const otherBytes = noise(COUNT, 11);
  const float32 = (values: Float32Array<ArrayBuffer>): SiblingChunk => chunk(bytesOf(values), "float32");
  const rounded = (values: Float32Array): Uint8Array =>
    bytesOf(Int8Array.from(values, (value) => Math.round(value * 1500)));
  /** Input, sibling, code of the first step, and most bytes of the frame. */
  const cases: Record<string, () => readonly [SiblingChunk, SiblingChunk, number, number]> = {
    "float32, moved a little": () => [float32(drifted(COUNT, 1e-3, 8)), float32(base), 10, 2.3 * COUNT],
    "bfloat16, moved a little": () => [
      chunk(fromFloat32(drifted(COUNT, 1e-3, 8), "bfloat16"), "bfloat16"),
      chunk(fromFloat32(base, "bfloat16"), "bfloat16"),
      10,
      0.18 * COUNT,
    ],
    "a bfloat16 copy of float32": () => [
      chunk(fromFloat32(base, "bfloat16"), "bfloat16"),
      float32(base),
      10,
      100,
    ],
    "float32 of which a run was replaced": () => [
      float32(patched(base, other, 400, 1311)),
      float32(base),
      18,
      4800,
    ],
    "float32 of which a hundredth was replaced": () => [
      float32(scattered(base, other, 0.01, 12)),
      float32(base),
      18,
      // 1,311 values of 3.3 bytes, and 1,324 bytes of places.
      1.12 * 5670,
    ],
    "bytes of which a run was replaced": () => [
      chunk(patched(bytes, otherBytes, 400, 1311), "uint8"),
      chunk(bytes, "uint8"),
      19,
      1.1 * 1311,
    ],
    "bytes of which a hundredth was replaced": () => [
      chunk(scattered(bytes, otherBytes, 0.01, 12), "uint8"),
      chunk(bytes, "uint8"),
      18,
      1.15 * (1311 + 1324),
    ],
    "int8, moved a little": () => [
      chunk(rounded(drifted(COUNT, 0.02, 8)), "int8"),
      chunk(rounded(base), "int8"),
      18,
      0.3 * COUNT,
    ],
    "float32 that has nothing to do with it": () => [float32(other), float32(base), 6, 3.32 * COUNT],
    "bytes that have nothing to do with it": () => [
      chunk(otherBytes, "uint8"),
      chunk(bytes, "uint8"),
      0,
      COUNT + 56,
    ],
    "float32 given bytes": () => [float32(other), chunk(bytes, "uint8"), 6, 3.32 * COUNT],
    "rows that come again": () => {
      const row = weights(512, 15);
      const rows = new Float32Array(COUNT).map((_, index) => row[index % 512]!);
      const moved = rows.map((value, index) => value * (1 + (index % 7) * 1e-6));
      return [float32(rows), float32(moved), 5, 2200];
    },
    "a constant": () => [float32(new Float32Array(COUNT).fill(0.5)), float32(base), 14, 100],
  };

  test.each(Object.entries(cases))("for %s", (_name, make) => {
    const [input, sibling, first, most] = make();
    const frame = framed(input, sibling);
    const { chain, sibling: named } = readFrameHeader(frame, "here");
    expect(chain[0] ?? 0).toBe(first);
    expect(named !== undefined).toBe([10, 18, 19].includes(first));
    expect(frame.length).toBeLessThanOrEqual(most);
    expect(frame.length).toBeLessThanOrEqual(framed(input).length);
    const decoded = decodeFrame(frame, "here", input.hash, { sibling, verifyHash: true });
    expect(Buffer.compare(decoded, input.bytes)).toBe(0);
  });

  test("archive is never larger than lossless, with or without a sibling", () => {
    const small = weights(6000, 13);
    for (const values of [
      drifted(6000, 1e-3, 13),
      scattered(small, weights(6000, 14), 0.01, 1),
      weights(6000, 14),
    ]) {
      const input = float32(values);
      const frame = framed(input, float32(small), archive);
      expect(frame.length).toBeLessThanOrEqual(framed(input, float32(small)).length);
      expect(frame.length).toBeLessThanOrEqual(framed(input, undefined, archive).length);
      const decoded = decodeFrame(frame, "here", input.hash, { sibling: float32(small), verifyHash: true });
      expect(Buffer.compare(decoded, input.bytes)).toBe(0);
    }
  });
});
