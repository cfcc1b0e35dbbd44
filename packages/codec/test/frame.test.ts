import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { sha256 } from "../src/bytes/hash.ts";
import { toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { parsePolicy } from "../src/codec/policy.ts";
import { DamageError, LimitError, TensorcaskError, UsageError } from "../src/errors/errors.ts";
import { decodeFrame, encodeFrame, frameOf, verifyFrame } from "../src/frame/frame.ts";
import { MAX_CHUNK_BYTES, MAX_HEADER_BYTES, readFrameHeader } from "../src/frame/header.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { anyBytes, anyMutation, mutated, sampleInputs } from "./codec-samples.ts";

beforeAll(() => ready());

const uint8 = dtypeOf("uint8");
const float32 = dtypeOf("float32");
const policies = ["none", "auto", "gzip", "lz4", "zstd", ["planes", "gzip"]].map((json) => parsePolicy(json));
const frame = (bytes: Uint8Array, dtype = float32, policy = policies[1]!): Uint8Array =>
  encodeFrame({ hash: sha256(bytes), dtype, bytes, policy });

describe("frames", () => {
  test("golden bytes of a raw chunk", () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(toHex(frame(bytes, uint8, policies[0]))).toBe(
      [
        "5446", // magic
        "00", // version
        "00", // flags
        "03000000", // payload bytes
        "03000000", // raw bytes
        "05", // uint8
        "00", // steps
        "0000", // extension bytes
        "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81", // SHA-256
        "bb8261bac2605796",
        "010203",
      ].join(""),
    );
  });

  test("golden bytes of a coded chunk", () => {
    const bytes = new Uint8Array(400).fill(0x11);
    const golden = [
      "5446",
      "00",
      "00",
      "0d000000",
      "90010000",
      "16", // float32
      "01",
      "0300",
      toHex(sha256(bytes)),
      "41a257d884845b19",
      "05", // planes
      "9003", // 400
      "24ff01ff01ff01ff01", // four constant planes, upper halves rotated
      "11112222",
    ].join("");
    expect(toHex(frame(bytes, float32, parsePolicy("planes")))).toBe(golden);
  });

  test.each(sampleInputs())("gives %s back", (_name, bytes) => {
    for (const policy of policies) {
      const hash = sha256(bytes);
      const framed = encodeFrame({ hash, dtype: float32, bytes, policy });
      const header = readFrameHeader(framed, "here");
      expect(header).toMatchObject({
        frameBytes: framed.length,
        rawBytes: bytes.length,
        dtype: float32,
        hash,
      });
      expect(header.chain).toEqual(header.steps.map((step) => step.code));
      expect(framed.length).toBeLessThanOrEqual(bytes.length + 56);
      expect(Buffer.compare(decodeFrame(framed, "here", hash, { verifyHash: true }), bytes)).toBe(0);
    }
  });

  test("any bytes of any dtype come back from anywhere in memory", () => {
    fc.assert(
      fc.property(
        anyBytes(2000),
        fc.constantFrom(...dtypes),
        fc.constantFrom(...policies),
        (bytes, dtype, policy) => {
          const framed = frame(bytes, dtype, policy);
          const shared = new Uint8Array(new SharedArrayBuffer(framed.length + 3), 3);
          shared.set(framed);
          expect(Buffer.compare(decodeFrame(shared, "here"), bytes)).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("every single flipped bit and every truncation is damage", () => {
    const bytes = new Uint8Array(Float32Array.from({ length: 30 }, (_, index) => Math.sin(index)).buffer);
    for (const policy of policies) {
      const framed = frame(bytes, float32, policy);
      for (let bit = 0; bit < framed.length * 8; bit++) {
        framed[bit >> 3]! ^= 1 << (bit & 7);
        expect(() => decodeFrame(framed, "here")).toThrow(DamageError);
        framed[bit >> 3]! ^= 1 << (bit & 7);
      }
      for (let length = 0; length < framed.length; length++) {
        expect(() => decodeFrame(framed.subarray(0, length), "here")).toThrow(DamageError);
      }
      const longer = new Uint8Array(framed.length + 1);
      longer.set(framed);
      expect(() => decodeFrame(longer, "here")).toThrow(/bytes was expected|bytes were expected/);
    }
  });

  test("any mutation is damage", () => {
    fc.assert(
      fc.property(anyBytes(800), fc.constantFrom(...policies), anyMutation, (bytes, policy, mutation) => {
        const framed = frame(bytes, float32, policy);
        const damaged = mutated(framed, mutation);
        fc.pre(Buffer.compare(damaged, framed) !== 0);
        expect(() => decodeFrame(damaged, "pack p at 7")).toThrow(DamageError);
        expect(() => decodeFrame(damaged, "pack p at 7")).toThrow(/^pack p at 7: /);
      }),
      { numRuns: 500 },
    );
  });

  test("headers of any bytes are read or are damage", () => {
    const near = fc
      .tuple(anyBytes(400), fc.array(anyMutation, { maxLength: 3 }))
      .map(([bytes, mutations]) => mutations.reduce(mutated, frame(bytes)));
    fc.assert(
      fc.property(fc.oneof(near, anyBytes(300)), (bytes) => {
        try {
          const header = readFrameHeader(bytes, "here");
          expect(header.rawBytes).toBeLessThanOrEqual(MAX_CHUNK_BYTES);
        } catch (error) {
          expect(error).toBeInstanceOf(DamageError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a header is read from its first bytes alone", () => {
    const framed = frame(new Uint8Array(100_000).map((_, index) => (index * index) >> 7));
    expect(readFrameHeader(framed.subarray(0, MAX_HEADER_BYTES), "here").frameBytes).toBe(framed.length);
    expect(verifyFrame(framed, "here")).toEqual(readFrameHeader(framed, "here"));
  });

  test("a valid frame of another chunk is damage when a chunk was expected", () => {
    const bytes = Uint8Array.of(1, 2, 3);
    expect(() => decodeFrame(frame(bytes), "here", sha256(Uint8Array.of(4)))).toThrow(/holds chunk 039058/);
    const lying = frameOf(new Uint8Array(32), uint8, 3, [], bytes);
    expect(decodeFrame(lying, "here")).toEqual(bytes);
    expect(() => decodeFrame(lying, "here", undefined, { verifyHash: true })).toThrow(/SHA-256/);
  });

  test("a frame with a true checksum over nonsense keeps to our errors", () => {
    const anySteps = fc.array(fc.record({ code: fc.nat(20), inputBytes: fc.nat(3000) }), { maxLength: 8 });
    fc.assert(
      fc.property(anyBytes(500), anySteps, (payload, steps) => {
        const rawBytes = steps[0]?.inputBytes ?? payload.length;
        const hash = new Uint8Array(32);
        const framed = frameOf(hash, float32, rawBytes, steps, payload, hash);
        try {
          const sibling = { hash, bytes: payload };
          expect(decodeFrame(framed, "here", undefined, { sibling }).length).toBe(rawBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(TensorcaskError);
        }
      }),
      { numRuns: 300 },
    );
  });

  test("a raw chunk is read without a copy", () => {
    const framed = frame(Uint8Array.of(9, 8, 7), uint8, policies[0]);
    expect(decodeFrame(framed, "here").buffer).toBe(framed.buffer);
  });

  test("refuses to write what could not be read", () => {
    const hash = new Uint8Array(32);
    expect(() => frameOf(new Uint8Array(31), uint8, 0, [], new Uint8Array(0))).toThrow(UsageError);
    expect(() => frameOf(hash, uint8, 5, [], new Uint8Array(4))).toThrow(UsageError);
    expect(() => frameOf(hash, uint8, MAX_CHUNK_BYTES + 1, [], new Uint8Array(0))).toThrow(LimitError);
    expect(() =>
      frameOf(hash, uint8, 1, new Array(9).fill({ code: 1, inputBytes: 1 }), new Uint8Array(1)),
    ).toThrow(LimitError);
  });
});
