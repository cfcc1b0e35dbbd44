import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { ContentCutter, MAX_CONTENT_CHUNK_BYTES, MIN_CONTENT_CHUNK_BYTES } from "../src/chunk/fastcdc.ts";
import { sourceHash, type TensorKeyParts, tensorKey } from "../src/chunk/tensor-key.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { noise } from "./codec-samples.ts";

beforeAll(() => ready());

describe("tensor keys", () => {
  const parts: TensorKeyParts = {
    sourceHash: new Uint8Array(32).fill(1),
    dtype: dtypeOf("float32"),
    shape: [2, 3],
    geometry: "elements",
    chunkElements: 131_072,
  };

  test("are the SHA-256 of the documented bytes", () => {
    const bytes = Buffer.concat([
      Buffer.from("tensorcask tensor 0\0"),
      Buffer.alloc(32, 1),
      Buffer.from([22, 0, 0, 0, 2, 0, 2, 0, 0, 0]),
      Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]),
    ]);
    expect(toHex(tensorKey(parts))).toBe(createHash("sha256").update(bytes).digest("hex"));
    const quantizer = { id: "int8", parameters: { granularity: "auto", a: 1 } };
    const text = '{"id":"int8","parameters":{"a":1,"granularity":"auto"}}';
    expect(toHex(tensorKey({ ...parts, quantizer }))).toBe(
      createHash("sha256").update(bytes).update(text).digest("hex"),
    );
  });

  test("golden", () => {
    expect(toHex(tensorKey(parts))).toBe("574692fa951c5322b6647faffb57bba1142553061143dfc3004853357a18e556");
    expect(toHex(sourceHash(new Uint8Array(64)))).toBe(
      createHash("sha256").update(Buffer.alloc(64)).digest("hex"),
    );
  });

  test("differ by everything that changes what is stored", () => {
    const keys = [
      parts,
      { ...parts, sourceHash: new Uint8Array(32) },
      { ...parts, dtype: dtypeOf("int32") },
      { ...parts, shape: [3, 2] },
      { ...parts, shape: [6] },
      { ...parts, shape: [] },
      { ...parts, chunkElements: 64 },
      { ...parts, geometry: "content" as const },
      { ...parts, quantizer: { id: "fp16", parameters: {} } },
      { ...parts, quantizer: { id: "fp16", parameters: { granularity: "tensor" } } },
    ].map((one) => toHex(tensorKey(one)));
    expect(new Set(keys).size).toBe(keys.length);
    const byContent = { ...parts, geometry: "content" as const };
    expect(tensorKey({ ...byContent, chunkElements: 1 })).toEqual(tensorKey(byContent));
  });

  test("refuse hashes of a wrong length", () => {
    expect(() => sourceHash(new Uint8Array(33))).toThrow(/SHA-256/);
    expect(() => tensorKey({ ...parts, sourceHash: new Uint8Array(31) })).toThrow(/32 bytes/);
  });
});

describe("content cutting", () => {
  const bytes = noise(600_000, 21);
  let whole: number[];
  beforeAll(() => {
    whole = new ContentCutter().push(bytes, true);
  });

  test("sizes keep to their bounds", () => {
    const sizes = whole.map((end, index) => end - (whole[index - 1] ?? 0));
    expect(whole.at(-1)).toBe(bytes.length);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MAX_CONTENT_CHUNK_BYTES);
    expect(Math.min(...sizes.slice(0, -1))).toBeGreaterThanOrEqual(MIN_CONTENT_CHUNK_BYTES);
  });

  test("cuts do not depend on how the stream is fed", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 8 }),
        (lengths) => {
          const cutter = new ContentCutter();
          const ends: number[] = [];
          let at = 0;
          for (const length of lengths) {
            ends.push(...cutter.push(bytes.subarray(at, at + length), false));
            at = Math.min(bytes.length, at + length);
          }
          ends.push(...cutter.push(bytes.subarray(at), true));
          expect(ends).toEqual(whole);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("an insert moves only the cuts near it", () => {
    const inserted = new Uint8Array(bytes.length + 10);
    inserted.set(bytes.subarray(0, 5000));
    inserted.set(bytes.subarray(5000), 5010);
    const ends = new Set(new ContentCutter().push(inserted, true).map((end) => end - 10));
    expect(whole.filter((end) => ends.has(end)).length).toBeGreaterThan(whole.length / 2);
  });

  test("an empty stream has no chunks", () => {
    expect(new ContentCutter().push(new Uint8Array(0), true)).toEqual([]);
  });
});
