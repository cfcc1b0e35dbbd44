import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { codecs } from "../src/codec/registry.ts";
import { TensorcaskError } from "../src/errors/errors.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { anyBytes, anyMutation, mutated, sampleInputs } from "./codec-samples.ts";

beforeAll(() => ready());

const anyDType = fc.constantFrom(...dtypes);
const dtypeNames = ["uint8", "int4", "bfloat16", "float32", "float64", "int32", "complex64", "complex128"];

describe.each(codecs.map((codec) => [codec.id, codec] as const))("codec %s", (_id, codec) => {
  const parameters = codec.parse({});

  test.each(sampleInputs())("gives %s back", (_name, input) => {
    for (const dtype of dtypeNames.map((name) => dtypeOf(name))) {
      const before = input.slice();
      const coded = codec.encode(input, { dtype }, parameters);
      expect(Buffer.compare(input, before)).toBe(0);
      const decoded = codec.decode(coded, { dtype, bytes: input.length });
      expect(Buffer.compare(decoded, input)).toBe(0);
    }
  });

  test("gives any bytes of any length back", () => {
    fc.assert(
      fc.property(anyBytes(3000), anyDType, (input, dtype) => {
        const coded = codec.encode(input, { dtype }, parameters);
        const decoded = codec.decode(coded, { dtype, bytes: input.length });
        expect(Buffer.compare(decoded, input)).toBe(0);
      }),
      { numRuns: 150 },
    );
  });

  test("keeps to the declared length and its own errors on damaged bytes", () => {
    fc.assert(
      fc.property(
        anyBytes(1500),
        anyDType,
        fc.array(anyMutation, { minLength: 1, maxLength: 4 }),
        (input, dtype, mutations) => {
          const damaged = mutations.reduce(mutated, codec.encode(input, { dtype }, parameters));
          expectContained(() => codec.decode(damaged, { dtype, bytes: input.length }), input.length);
        },
      ),
      { numRuns: 400 },
    );
  });

  test("keeps to the declared length and its own errors on any bytes, and on a wrong declared length", () => {
    fc.assert(
      fc.property(anyBytes(300), anyDType, fc.nat(5000), (input, dtype, bytes) => {
        expectContained(() => codec.decode(input, { dtype, bytes }), bytes);
        const coded = codec.encode(input, { dtype }, parameters);
        expectContained(() => codec.decode(coded, { dtype, bytes }), bytes);
      }),
      { numRuns: 200 },
    );
  });

  test("refuses unknown parameters by name", () => {
    expect(() => codec.parse({ levle: 3 })).toThrow(/levle/);
  });
});

/** The call returns exactly `bytes` bytes or throws an error of ours. */
function expectContained(decode: () => Uint8Array, bytes: number): void {
  let decoded: Uint8Array;
  try {
    decoded = decode();
  } catch (error) {
    if (!(error instanceof TensorcaskError)) throw error;
    return;
  }
  expect(decoded.length).toBe(bytes);
}

describe("policies", () => {
  const policies = [
    "none",
    "auto",
    "gzip",
    "lz4",
    "zstd",
    "planes",
    ["planes", "gzip"],
    ["gzip", "zstd", "lz4"],
  ].map((json) => [JSON.stringify(json), parsePolicy(json)] as const);

  test.each(policies)("%s gives every input back, never larger than raw", (_name, policy) => {
    for (const [, input] of sampleInputs()) {
      for (const dtype of dtypeNames.map((name) => dtypeOf(name))) {
        const { steps, payload } = encodeChunk(input, dtype, policy);
        expect(payload.length).toBeLessThanOrEqual(input.length);
        if (payload.length === input.length) expect(steps).toEqual([]);
        if (steps.length === 0) expect(payload).toBe(input);
        expect(Buffer.compare(decodeChunk(payload, steps, input.length, dtype), input)).toBe(0);
      }
    }
  });

  test("any bytes come back under any policy", () => {
    fc.assert(
      fc.property(anyBytes(2000), anyDType, fc.constantFrom(...policies), (input, dtype, [, policy]) => {
        const { steps, payload } = encodeChunk(input, dtype, policy);
        expect(Buffer.compare(decodeChunk(payload, steps, input.length, dtype), input)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test("damaged payloads and steps never escape the chunk's length", () => {
    const anySteps = fc.array(
      fc.record({
        code: fc.nat(20),
        inputBytes: fc.oneof(fc.nat(4000), fc.integer({ min: 0, max: 2 ** 40 })),
      }),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(anyBytes(600), anySteps, fc.nat(4000), anyDType, (payload, steps, bytes, dtype) => {
        expectContained(() => decodeChunk(payload, steps, bytes, dtype), bytes);
      }),
      { numRuns: 500 },
    );
  });
});
