/** sibling, xor and patch: what is coded against another chunk. Frames that name it are in frame-sibling.test.ts. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChain } from "../src/codec/chain.ts";
import { parsePolicy } from "../src/codec/policy.ts";
import { codecOf, codecOfCode, siblingCodecs } from "../src/codec/registry.ts";
import { sibling } from "../src/codec/sibling.ts";
import { areConvertible } from "../src/codec/sibling-words.ts";
import { xor } from "../src/codec/xor.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { type DType, type DTypeName, dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { type FloatTarget, fromFloat32 } from "../src/tensor/float.ts";
import { anyBytes, anyMutation, mutated, noise, normals, sampleInputs, toBfloat16 } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";
import { drifted, weights } from "./sibling-samples.ts";

beforeAll(() => ready());

const uint8 = dtypeOf("uint8");
const float32 = dtypeOf("float32");
const anyDType = fc.constantFrom(...dtypes);

test("on disk they have codes of their own", () => {
  expect(siblingCodecs.map(({ id, code, needsSibling }) => [id, code, needsSibling])).toEqual([
    ["sibling", 10, true],
    ["xor", 18, true],
    ["patch", 19, true],
  ]);
  for (const codec of siblingCodecs) expect(codecOfCode(codec.code)).toBe(codec);
});

test("nobody can ask for them", () => {
  for (const { id } of siblingCodecs) {
    expect(() => codecOf(id)).toThrow(UsageError);
    for (const json of [id, [id, "gzip"], { chain: [{ codec: id, parameters: {} }] }])
      expect(() => parsePolicy(json)).toThrow(`codec "${id}" codes a chunk against another one`);
  }
});

describe.each(siblingCodecs.map((codec) => [codec.id, codec] as const))("codec %s", (_id, codec) => {
  const roundTrip = (input: Uint8Array, dtype: DType, other: Uint8Array, otherType = dtype): Uint8Array => {
    const before = [input.slice(), other.slice()];
    const coded = codec.encode(input, { dtype, sibling: { bytes: other, dtype: otherType } }, {});
    expect(Buffer.compare(input, before[0]!) | Buffer.compare(other, before[1]!)).toBe(0);
    const decoded = codec.decode(coded, { dtype: uint8, bytes: input.length, sibling: other });
    expect(Buffer.compare(decoded, input)).toBe(0);
    return coded;
  };

  test.each(sampleInputs())("gives %s back, whatever the sibling", (_name, input) => {
    for (const name of [
      "uint8",
      "int4",
      "float16",
      "bfloat16",
      "float32",
      "float64",
      "complex64",
      "ggml_q4_0",
    ]) {
      for (const [, other] of sampleInputs()) roundTrip(input, dtypeOf(name), other);
    }
  });

  test("gives any bytes of any length and type back, by any sibling", () => {
    fc.assert(
      fc.property(anyBytes(3000), anyDType, anyBytes(3000), anyDType, (input, dtype, other, otherType) => {
        roundTrip(input, dtype, other, otherType);
      }),
      { numRuns: 300 },
    );
  });

  test("gives chunks of more than one block back, with siblings that end before, at and behind a border", () => {
    const input = toBfloat16(normals(300_001, 0.02, 1));
    const other = toBfloat16(drifted(300_001, 1e-3, 1));
    for (const words of [0, 1, 131_071, 131_072, 131_073, 262_144, 299_999, 300_001])
      roundTrip(input, dtypeOf("bfloat16"), other.subarray(0, 2 * words));
    roundTrip(input.subarray(0, 262_144), dtypeOf("bfloat16"), other);
  });

  test("puts its result where there is room for it", () => {
    const [input, other] = [noise(4000, 1), noise(4000, 2)];
    const coded = codec.encode(input, { dtype: float32, sibling: { bytes: other, dtype: float32 } }, {});
    const out = new Uint8Array(4000);
    expect(codec.decode(coded, { dtype: float32, bytes: 4000, sibling: other, out })).toBe(out);
    expect(Buffer.compare(out, input)).toBe(0);
  });

  test("keeps to the declared length and its own errors, whatever is damaged", () => {
    const mutations = fc.array(anyMutation, { maxLength: 3 });
    const lengths = fc.option(fc.nat(5000), { nil: undefined });
    fc.assert(
      fc.property(
        fc.tuple(anyBytes(1500), anyBytes(1500), anyBytes(1500)),
        anyDType,
        mutations,
        lengths,
        ([input, other, wrong], dtype, damage, length) => {
          const coded = codec.encode(input, { dtype, sibling: { bytes: other, dtype } }, {});
          const damaged = damage.reduce(mutated, coded);
          const bytes = length ?? input.length;
          for (const given of [other, wrong, other.subarray(1), undefined]) {
            expectContained(
              () => codec.decode(damaged, { dtype, bytes, ...(given && { sibling: given }) }),
              bytes,
            );
          }
          expectContained(() => codec.decode(wrong, { dtype, bytes, sibling: other }), bytes);
        },
      ),
      { numRuns: 400 },
    );
  });

  test("without a sibling there is nothing to decode", () => {
    expect(() => codec.decode(new Uint8Array(8), { dtype: uint8, bytes: 8 })).toThrow(DamageError);
    const steps = [{ code: codec.code, inputBytes: 8 }];
    expect(() => decodeChain(new Uint8Array(8), steps, 8, uint8)).toThrow(/not given/);
  });

  test("is the first step or damage", () => {
    const steps = [
      { code: 11, inputBytes: 8 },
      { code: codec.code, inputBytes: 8 },
    ];
    expect(() =>
      decodeChain(new Uint8Array(8), steps, 8, uint8, "here", { sibling: new Uint8Array(8) }),
    ).toThrow(`here: step 2 is ${codec.id}, which can only be the first`);
  });

  test("refuses parameters by name", () => {
    expect(codec.parse({})).toEqual({});
    expect(() => codec.parse({ level: 1 })).toThrow(/level/);
  });
});

test("elements go together with those of their own type, and most floats with each other", () => {
  const names = ["float16", "bfloat16", "float32"];
  for (const from of dtypes) {
    for (const to of dtypes) {
      const isExpected = from === to || (names.includes(from.name) && names.includes(to.name));
      expect(areConvertible(from, to)).toBe(isExpected);
    }
  }
});

test("xor is what its name says", () => {
  const other = Uint8Array.of(1, 2, 3, 4, 5);
  const coded = xor.encode(
    Uint8Array.of(1, 0, 3, 255, 5, 6, 7),
    { dtype: uint8, sibling: { bytes: other, dtype: uint8 } },
    {},
  );
  expect([...coded]).toEqual([0, 2, 0, 251, 0, 6, 7]);
});

describe("sibling", () => {
  const values = weights(50_000, 3);
  const coded = (
    to: DTypeName,
    from: DTypeName,
  ): { input: Uint8Array; other: Uint8Array; payload: Uint8Array } => {
    const [input, other] = [to, from].map((name) => fromFloat32(values, name as FloatTarget)) as [
      Uint8Array,
      Uint8Array,
    ];
    const given = { bytes: other, dtype: dtypeOf(from) };
    return { input, other, payload: sibling.encode(input, { dtype: dtypeOf(to), sibling: given }, {}) };
  };

  test.each([
    ["bfloat16", "float32"],
    ["float16", "float32"],
  ] as const)("a %s copy of a %s master differs from it in nothing", (to, from) => {
    const { input, other, payload } = coded(to, from);
    expect(payload.length).toBeLessThan(200);
    expect([...payload.subarray(0, 2)]).toEqual([dtypeOf(to).code, dtypeOf(from).code]);
    expect(
      Buffer.compare(sibling.decode(payload, { dtype: uint8, bytes: input.length, sibling: other }), input),
    ).toBe(0);
  });

  test.each([
    ["float32", "bfloat16", 2.02],
    ["float32", "float16", 1.65],
    ["float16", "bfloat16", 0.51],
    ["bfloat16", "float16", 0.06],
  ] as const)("%s given %s takes what rounding lost: %d bytes a value", (to, from, bytes) => {
    const { input, other, payload } = coded(to, from);
    expect(payload.length / values.length).toBeLessThan(bytes);
    expect(
      Buffer.compare(sibling.decode(payload, { dtype: uint8, bytes: input.length, sibling: other }), input),
    ).toBe(0);
  });

  test("words of types that do not go together are damage", () => {
    const { input, other, payload } = coded("bfloat16", "float32");
    for (const [at, code] of [
      [0, 0],
      [0, 24],
      [0, 200],
      [1, 0],
      [1, 23],
    ] as const) {
      const damaged = payload.slice();
      damaged[at] = code;
      expect(() => sibling.decode(damaged, { dtype: uint8, bytes: input.length, sibling: other })).toThrow(
        /are not coded so/,
      );
    }
  });

  test("a block of differences behind the sibling's end is damage", () => {
    const { input, other, payload } = coded("bfloat16", "bfloat16");
    expect(() =>
      sibling.decode(payload, { dtype: uint8, bytes: input.length, sibling: other.subarray(0, 0) }),
    ).toThrow(/words that the sibling does not have/);
  });
});
