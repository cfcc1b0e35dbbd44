/** sparse and cluster: layouts, what they earn, parameters. What all codecs promise is in codec-round-trip.test.ts. */
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { assignClusters, findClusters } from "../src/codec/clusters.ts";
import { codecOf } from "../src/codec/registry.ts";
import { dtypeOf, dtypes } from "../src/tensor/dtype.ts";
import { anyBytes, anyMutation, mutated, noise, normals, random } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";

beforeAll(() => ready());

const hex = (spaced: string): Uint8Array => fromHex(spaced.replaceAll(" ", ""));
const encode = (id: string, input: Uint8Array, dtype: string, parameters = {}): Uint8Array =>
  codecOf(id).encode(input, { dtype: dtypeOf(dtype) }, codecOf(id).parse(parameters));
const decode = (id: string, coded: Uint8Array, dtype: string, bytes: number): Uint8Array =>
  codecOf(id).decode(coded, { dtype: dtypeOf(dtype), bytes });

describe("golden bytes", () => {
  test.each([
    // 0.0, 1.0, 0.0, -0.0 and an odd byte: the bitmap 1010 is one constant byte, the values are plain.
    ["sparse", "float32", {}, "00000000 0000803f 00000000 00000080 99", "0a 02 ff010a 99 0000803f 00000080"],
    ["sparse", "uint8", {}, "0000000000", "00"],
    ["sparse", "uint8", {}, "0102", "18 0102"],
    ["sparse", "uint8", {}, `${"00".repeat(40)}07${"00".repeat(200)}09`, "10 02 03 0003 28 c801 07 09"],
    [
      "sparse",
      "uint8",
      { elementBytes: 4, skip: 1 },
      "aa 00000000 01000000 00000000 bb",
      "4a 01 ff0102 aa bb 01000000",
    ],
    [
      "sparse",
      "complex128",
      {},
      `${"00".repeat(16)}01${"00".repeat(15)}`,
      `0c 01 ff0102 01${"00".repeat(15)}`,
    ],
    // Two values, -1.0 below 1.0, one bit each.
    [
      "cluster",
      "float32",
      {},
      `0000803f 000080bf 0000803f 0000803f 000080bf ${"0000803f".repeat(5)} 99`,
      "16 01 000080bf 0000803f 0002 ed03 99",
    ],
    ["cluster", "uint8", {}, "05 05 05 05 05 05", "04 00 05"],
    ["cluster", "uint8", {}, "01 02 03", "00 010203"],
    [
      "cluster",
      "int64",
      {},
      "0100000000000000 0200000000000000 0300000000000000 0200000000000000 0200000000000000",
      "17 02 0100000000000000 0200000000000000 0300000000000000 0002 6401",
    ],
  ])("%s of %s %j %s", (id, dtype, parameters, raw, coded) => {
    expect(toHex(encode(id, hex(raw), dtype, parameters))).toBe(coded.replaceAll(" ", ""));
    const bytes = raw.replaceAll(" ", "").length / 2;
    expect(toHex(decode(id, hex(coded), dtype, bytes))).toBe(raw.replaceAll(" ", ""));
  });

  // What encoders only write for longer inputs must stay readable.
  test.each([
    ["centres", "int16", "09 01 6400 e803 0004 00010100 0004 0002010a ff0100", "6400 e903 e703 6900"],
    ["centres of float32", "float32", "2a 00 0000803f 0002 0002 ff0100 ff0100 ff0100", "0000803f 0100803f"],
    [
      "centres of float64",
      "float64",
      "2b 00 0000f03f 0001 03 ff0100 ff0100 ff0100 ff0177 ff0166 ff0155 ff0144",
      "77665544 feffef3f",
    ],
    ["a table per stretch", "uint8", "0c 01 0301 0200 06 01 0003 0a0b0c 0005 0001010000", "0a0b0b 0c0c"],
    ["a table behind a skipped byte", "uint8", "44 00 05 aa", "aa 0505"],
  ])("cluster: %s", (_what, dtype, coded, raw) => {
    const expected = raw.replaceAll(" ", "");
    expect(toHex(decode("cluster", hex(coded), dtype, expected.length / 2))).toBe(expected);
  });
});

describe("sparse", () => {
  const thinned = (count: number, density: number): Uint8Array => {
    const next = random(17);
    const values = normals(count, 0.02, 18).map((value) => (next() < density ? value : 0));
    return new Uint8Array(values.buffer);
  };

  test("zeros strewn at random cost their entropy", () => {
    const count = 131_072;
    for (const density of [0.5, 0.08, 0.001]) {
      const input = thinned(count, density);
      const entropyBits = -density * Math.log2(density) - (1 - density) * Math.log2(1 - density);
      const coded = encode("sparse", input, "float32");
      const valueBits = 26.8;
      expect(coded.length * 8).toBeLessThan(count * (entropyBits * 1.08 + density * valueBits) + 2000);
    }
  });

  test("only exact zeros are zero", () => {
    const values = new Float64Array([0, -0, Number.MIN_VALUE, NaN, -0, 0]);
    const input = new Uint8Array(values.buffer);
    expect(toHex(decode("sparse", encode("sparse", input, "float64"), "float64", 48))).toBe(toHex(input));
  });

  test.each([
    ["more values than elements", "02 05 ff0100"],
    ["bits behind the last element", "00 01 ff01ff 01"],
    ["a bitmap with fewer places than values", "08 03 ff0101 010203"],
    ["gaps beyond the end", "10 01 01 0001 7f 01"],
    ["an endless gap", "10 01 05 0005 ffffffff7f 01"],
    ["a width of 32 bytes", "05"],
    ["nothing", ""],
  ])("refuses %s", (_what, coded) => {
    expect(() => decode("sparse", hex(coded), "uint8", 8)).toThrow(/sparse|planes|varint/);
  });
});

describe("cluster", () => {
  test("a palette costs its table and the entropy of the indices, at any width", () => {
    const indices = noise(60_000, 8).map((byte) => byte % 5);
    for (const [dtype, values] of [
      ["uint8", Uint8Array.from(indices, (index) => index * 41)],
      ["int16", Int16Array.from(indices, (index) => index * -999)],
      ["float32", Float32Array.from(indices, (index) => index * 0.1)],
      ["float64", Float64Array.from(indices, (index) => index * 0.1)],
    ] as const) {
      const input = new Uint8Array(values.buffer);
      const coded = encode("cluster", input, dtype);
      expect(coded.length * 8).toBeLessThan(60_000 * 3.001 + 1000);
      expect(Buffer.compare(decode("cluster", coded, dtype, input.length), input)).toBe(0);
    }
  });

  test("256 values fit a table, with 257 another one begins", () => {
    for (const distinct of [2, 16, 17, 255, 256, 257, 1000]) {
      const values = Uint32Array.from({ length: 8192 }, (_, index) =>
        Math.imul((index >> 3) % distinct, 0x9e3779b1),
      );
      const input = new Uint8Array(values.buffer);
      const coded = encode("cluster", input, "uint32");
      expect(coded[0]! & 0x0c, `${distinct} values`).toBe(distinct <= 256 ? 0x04 : 0x0c);
      expect(Buffer.compare(decode("cluster", coded, "uint32", input.length), input)).toBe(0);
    }
  });

  test.each(["float32", "float64", "bfloat16"])("values close to few centres, in %s", (dtype) => {
    const next = random(4);
    const centres = normals(12, 1, 3);
    const near = Float64Array.from(
      { length: 30_000 },
      () => centres[Math.floor(next() * 12)]! * (1 + next() * 1e-4),
    );
    const input =
      dtype === "float64"
        ? new Uint8Array(near.buffer)
        : dtype === "float32"
          ? new Uint8Array(new Float32Array(near).buffer)
          : new Uint8Array(
              Uint16Array.from(
                new Uint32Array(new Float32Array(near.map((value) => value * 16)).buffer),
                (word) => word >>> 8,
              ).buffer,
            );
    const coded = encode("cluster", input, dtype);
    if (dtype !== "bfloat16") expect(coded[0]! & 0x0c).toBe(0x08);
    expect(coded.length).toBeLessThan(input.length * (dtype === "float64" ? 0.85 : 1.001));
    expect(Buffer.compare(decode("cluster", coded, dtype, input.length), input)).toBe(0);
  });

  test("clusters are found where the gaps are, and every value is in the right one", () => {
    const next = random(9);
    const middles = [-2_000_000_000, -5000, 0, 70_000, 2_100_000_000];
    const values = Int32Array.from(
      { length: 5000 },
      () => middles[Math.floor(next() * 5)]! + Math.floor(next() * 300),
    );
    const clusters = findClusters(values);
    expect(clusters.starts.length).toBeGreaterThanOrEqual(5);
    const indices = assignClusters(values, clusters);
    for (const [place, value] of values.entries()) {
      const index = indices[place]!;
      expect(clusters.starts[index]!).toBeLessThanOrEqual(value);
      expect(clusters.starts[index + 1] ?? Infinity).toBeGreaterThan(value);
    }
    expect(findClusters(new Int32Array(1000)).starts.length).toBe(1);
    expect(findClusters(new Int32Array(0)).starts.length).toBe(1);
  });

  test.each([
    ["an index beyond the table", "14 01 0102 0001 01 99"],
    ["a table larger than its words", "0c 00 0101 03 01 0000 0000"],
    ["tables for fewer words than there are", "0c 00 0300 04 01 0001 05 0003 000000"],
    ["centres of bytes", "08 00 05"],
    ["bytes that follow", "04 00 05 99"],
    ["nothing", ""],
  ])("refuses %s", (_what, coded) => {
    expect(() => decode("cluster", hex(coded), "uint8", 8)).toThrow(/cluster/);
  });
});

const variants: readonly [string, object][] = [
  ...[1, 2, 4, 8, 16].map((elementBytes): [string, object] => ["sparse", { elementBytes }]),
  ...[1, 2, 3].map((skip): [string, object] => ["sparse", { elementBytes: 4, skip }]),
  ...[1, 2, 4, 8].map((wordBytes): [string, object] => ["cluster", { wordBytes }]),
  ...[1, 2, 3].map((skip): [string, object] => ["cluster", { wordBytes: 4, skip }]),
];

/** Words near a few centres, long enough for every form of cluster, and with many zeros. */
const anyWords = fc
  .record({
    seed: fc.integer({ min: 1, max: 2 ** 31 }),
    bytes: fc.integer({ min: 1500, max: 9000 }),
    centres: fc.integer({ min: 1, max: 400 }),
    jitter: fc.constantFrom(0, 3, 200, 70_000),
  })
  .map(({ seed, bytes, centres, jitter }) => {
    const next = random(seed);
    const words = new Uint32Array((bytes >> 2) + 1);
    for (let index = 0; index < words.length; index++) {
      if (next() < 0.5) words[index] = Math.imul(Math.floor(next() * centres), 0x9e3779b1) + next() * jitter;
    }
    return new Uint8Array(words.buffer, 0, bytes);
  });

test.each(variants)("%s %j gives any bytes back and contains damage", (id, json) => {
  const codec = codecOf(id);
  const parameters = codec.parse({ ...json });
  fc.assert(
    fc.property(
      fc.oneof(anyBytes(700), anyWords),
      fc.constantFrom(...dtypes),
      anyMutation,
      (input, dtype, mutation) => {
        const coded = codec.encode(input, { dtype }, parameters);
        expect(Buffer.compare(codec.decode(coded, { dtype, bytes: input.length }), input)).toBe(0);
        const damaged = mutated(coded, mutation);
        expectContained(() => codec.decode(damaged, { dtype, bytes: input.length }), input.length);
      },
    ),
    { numRuns: 50 },
  );
});

test("damage in the header and tables of every form is contained", () => {
  const next = random(23);
  const forms = [
    encode(
      "sparse",
      new Uint8Array(normals(3000, 1, 1).map((value) => (value > 1.5 ? value : 0)).buffer),
      "float32",
    ),
    encode(
      "cluster",
      new Uint8Array(Float32Array.from(noise(3000, 2), (byte) => byte % 20).buffer),
      "float32",
    ),
    encode(
      "cluster",
      new Uint8Array(
        Float32Array.from({ length: 3000 }, (_, index) => (index >> 10) * 1000 + (index & 255) / 7).buffer,
      ),
      "float32",
    ),
    encode(
      "cluster",
      new Uint8Array(
        Float32Array.from({ length: 3000 }, () => Math.floor(next() * 4) + 1 + next() * 1e-3).buffer,
      ),
      "float32",
    ),
  ];
  expect(forms.slice(1).map((coded) => coded[0]! & 0x0c)).toEqual([0x04, 0x0c, 0x08]);
  for (const [index, coded] of forms.entries()) {
    for (let at = 0; at < Math.min(coded.length, 60); at++) {
      for (const flip of [1, 2, 8, 0x10, 0x40, 0x80, 0xff]) {
        const damaged = coded.slice();
        damaged[at]! ^= flip;
        expectContained(() => decode(index === 0 ? "sparse" : "cluster", damaged, "float32", 12_000), 12_000);
      }
    }
  }
});

test.each([
  ["sparse", { elementBytes: 3 }, /elementBytes is 3; it must be 1, 2, 4, 8 or 16/],
  ["sparse", { skip: 4 }, /skip is 4/],
  ["cluster", { wordBytes: 16 }, /wordBytes is 16; it must be 1, 2, 4 or 8/],
  ["cluster", { skip: -1 }, /skip is -1/],
])("%s refuses %j", (id, parameters, message) => {
  expect(() => codecOf(id).parse(parameters)).toThrow(message);
});
