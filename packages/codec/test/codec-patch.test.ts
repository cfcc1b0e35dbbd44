/** patch: opaque bytes coded by what they copy from another version. What all codecs with siblings keep to is in codec-sibling.test.ts. */
import { zstdCompressSync, constants as zstdConstants } from "node:zlib";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { encodeAgainst } from "../src/codec/auto-sibling.ts";
import { patch } from "../src/codec/patch.ts";
import { copiedBytes, findCopies, LEAST_COPY, Shifts } from "../src/codec/patch-copies.ts";
import { encodeChunk, parsePolicy, policyToJson } from "../src/codec/policy.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { noise, random } from "./codec-samples.ts";

beforeAll(() => ready());

const uint8 = dtypeOf("uint8");

const coded = (input: Uint8Array, other: Uint8Array): Uint8Array =>
  patch.encode(input, { dtype: uint8, sibling: { bytes: other, dtype: uint8 } }, {});
const decoded = (payload: Uint8Array, bytes: number, sibling: Uint8Array): Uint8Array =>
  patch.decode(payload, { dtype: uint8, bytes, sibling });

/** A vocabulary as tokenizers write it: a line for each word, with its number. */
function vocabulary(words: number, seed: number, first = 0): string[] {
  const next = random(seed);
  return Array.from({ length: words }, (_, index) => {
    const letters = Array.from(
      { length: 3 + Math.floor(8 * next()) },
      () => "etaoinshrdlu"[Math.floor(12 * next())],
    );
    return `  "${letters.join("")}": ${first + index},\n`;
  });
}
const bytesOfText = (lines: readonly string[]): Uint8Array => new Uint8Array(Buffer.from(lines.join("")));

/** Machine code, as far as it matters here: noise with addresses in it, every 20 bytes, that lie `moved` further on. */
function program(bytes: number, moved: number): Uint8Array {
  const code = Buffer.from(noise(bytes, 5));
  for (let at = 0; at + 20 <= bytes; at += 20) code.writeUInt32LE(0x40_0000 + (at % 4096) * 16 + moved, at);
  return new Uint8Array(code);
}

const replaced = (bytes: Uint8Array, step: number): Uint8Array =>
  bytes.map((byte, index) => (index % step === 100 ? byte ^ 0x15 : byte));

function withInserts(bytes: Uint8Array, step: number): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += step)
    parts.push(Buffer.from(`<${(at * 7919) % 1000}>`), bytes.subarray(at, at + step));
  return new Uint8Array(Buffer.concat(parts));
}

const words = vocabulary(6000, 3);
const text = bytesOfText(words);
const versions: [string, Uint8Array, Uint8Array][] = [
  ["text, a byte replaced in each 8 KiB", replaced(text, 8192), text],
  ["text, a byte replaced in each 200", replaced(text, 200), text],
  ["text, something inserted every 1000 bytes", withInserts(text, 1000), text],
  ["a vocabulary without some words", bytesOfText(words.filter((_, index) => index % 50 !== 7)), text],
  ["a vocabulary with other numbers", bytesOfText(vocabulary(6000, 3, 3)), text],
  ["a program whose addresses moved", program(100_000, 4096), program(100_000, 0)],
  ["noise, a byte replaced in each 500", replaced(noise(100_000, 9), 500), noise(100_000, 9)],
];

describe("is about as small as zstd with the sibling as its dictionary, and no browser needs to know that", () => {
  test.each(versions)("%s", (_name, input, other) => {
    const payload = coded(input, other);
    expect(Buffer.compare(decoded(payload, input.length, other), input)).toBe(0);
    const dictionary = zstdCompressSync(input, {
      dictionary: other,
      params: { [zstdConstants.ZSTD_c_compressionLevel]: 19 },
    });
    expect(payload.length).toBeLessThan(1.05 * dictionary.length + 20);
  });
});

test("the bytes on disk stay what they are", () => {
  const other = Uint8Array.from({ length: 40 }, (_, index) => 7 * index);
  const input = Uint8Array.from([
    ...other.subarray(0, 12),
    99,
    ...other.subarray(13, 25),
    1,
    2,
    ...other.subarray(25),
    ...other.subarray(3, 13),
    5,
  ]);
  const payload = coded(input, other);
  expect(toHex(payload)).toBe(GOLDEN);
  expect([...decoded(payload, input.length, other)]).toEqual([...input]);
});
const GOLDEN = "00040400040001020004000408080b060400040000074d000463010205";

test("copies follow each other, are no shorter than 4 bytes, and lie in both", () => {
  const piece = fc.record({ from: fc.nat(3000), length: fc.nat(300), own: fc.uint8Array({ maxLength: 20 }) });
  const other = noise(3000, 4);
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      const input = Buffer.concat(
        pieces.flatMap(({ from, length, own }) => [other.subarray(from, from + length), own]),
      );
      const copies = findCopies(input, other);
      let done = 0;
      let copied = 0;
      for (let index = 0; index < copies.count; index++) {
        const [at, from, length] = [copies.at(index), copies.from(index), copies.length(index)];
        expect(at).toBeGreaterThanOrEqual(done);
        expect(length).toBeGreaterThanOrEqual(LEAST_COPY);
        expect(input.subarray(at, at + length).equals(other.subarray(from, from + length))).toBe(true);
        done = at + length;
        copied += length;
      }
      expect(copiedBytes(copies)).toBe(copied);
      // Stretches of noise that are long enough to be told from others are all found.
      const long = pieces.reduce((sum, { from, length }) => {
        const whole = Math.min(length, 3000 - from);
        return sum + (whole >= 24 ? whole - 16 : 0);
      }, 0);
      expect(copied).toBeGreaterThanOrEqual(long);
    }),
    { numRuns: 200 },
  );
});

test("the last four shifts are kept, each once", () => {
  const shifts = new Shifts();
  const seen = (): number[] => [0, 1, 2, 3].map((index) => shifts.at(index));
  for (const shift of [5, -3, 5, 8]) shifts.use(shift);
  expect(seen()).toEqual([8, 5, -3, 0]);
  shifts.use(-3);
  expect(seen()).toEqual([-3, 8, 5, 0]);
  shifts.use(11);
  expect(seen()).toEqual([11, -3, 8, 5]);
  expect([shifts.indexOf(8), shifts.indexOf(0)]).toEqual([2, -1]);
});

describe("damage", () => {
  const other = noise(100, 1);
  /** A payload of stored streams. */
  const payload = (
    kind: number,
    numbers: readonly (readonly number[])[],
    literals: readonly number[],
  ): Uint8Array =>
    Uint8Array.from([
      kind,
      numbers[0]!.length,
      ...numbers.flatMap((stream) => [stream.length, 0, stream.length, ...stream]),
      0,
      literals.length,
      ...literals,
    ]);

  test("nothing is wrong with this one", () => {
    const [first, second] = [other.subarray(10, 20), other.subarray(22, 26)];
    // Shift 9 is zigzag 18 more than 0; then the same again.
    const right = payload(
      0,
      [
        [1, 2],
        [6, 0],
        [22, 0],
      ],
      [7, 8, 9],
    );
    expect([...decoded(right, 17, other)]).toEqual([7, ...first, 8, 9, ...second]);
    const less = payload(
      1,
      [
        [1, 2],
        [6, 0],
        [22, 0],
      ],
      [7, 8, 9],
    );
    const sum = [7 + other[0]!, ...first, 8 + other[20]!, 9 + other[21]!, ...second];
    expect([...decoded(less, 17, other)]).toEqual(sum.map((byte) => byte % 256));
  });

  test.each([
    ["literals of kind 2", payload(2, [[1], [6], [22]], [7]), 11],
    [
      "3 copies do not fit",
      payload(
        0,
        [
          [0, 0, 0],
          [0, 0, 0],
          [0, 0, 0],
        ],
        [],
      ),
      11,
    ],
    ["lengths of literals take 5 bytes", Uint8Array.of(0, 1, 5, 0, 5, 1, 1, 1, 1, 1), 11],
    ["lengths of copies are more than 1", payload(0, [[1], [6, 6], [22]], [7]), 11],
    ["copies are 3 bytes too long", payload(0, [[0], [10], [0]], []), 11],
    ["not enough literals", payload(0, [[2], [6], [22]], [7]), 11],
    ["copies from -1 to 9 of 100", payload(0, [[0], [6], [5]], [7]), 11],
    ["copies from 91 to 101 of 100", payload(0, [[0], [6], [186, 1]], [7]), 11],
    ["bytes follow the literals", Uint8Array.from([...payload(0, [[1], [6], [22]], [7]), 1]), 11],
    ["ends early", payload(0, [[1], [6], [22]], [7]).subarray(0, 8), 11],
  ])("%s", (message, damaged, bytes) => {
    expect(() => decoded(damaged, bytes, other)).toThrow(DamageError);
    expect(() => decoded(damaged, bytes, other)).toThrow(message);
  });
});

describe("choosing", () => {
  const against = (input: Uint8Array, other: Uint8Array, minSaving?: number) =>
    encodeAgainst(input, uint8, { bytes: other, dtype: uint8 }, { effort: "lossless", minSaving });

  test.each(versions)("%s is coded so", (_name, input, other) => {
    expect(against(input, other).steps[0]!.code).toBe(patch.code);
  });

  test("unrelated bytes are coded as if there was no sibling", () => {
    for (const [input, other] of [
      [noise(50_000, 1), noise(50_000, 2)],
      [text, noise(50_000, 2)],
      [bytesOfText(vocabulary(100, 1)), Uint8Array.of()],
    ] as const) {
      const plain = encodeChunk(input, uint8, { auto: "lossless" });
      expect(against(input, other)).toEqual(plain);
    }
  });

  test("minSaving: what saves less is coded by itself", () => {
    // A sixth of the chunk is the sibling's.
    const other = noise(60_000, 3);
    const input = new Uint8Array(Buffer.concat([other.subarray(0, 10_000), noise(50_000, 4)]));
    expect(against(input, other).steps[0]?.code).toBe(patch.code);
    expect(against(input, other, 0.1).steps[0]?.code).toBe(patch.code);
    expect(against(input, other, 0.2).steps).toEqual([]);
    const policy = parsePolicy({ auto: "lossless", minSaving: 0.2 });
    expect(encodeChunk(input, uint8, policy, { sibling: { bytes: other, dtype: uint8 } }).steps).toEqual([]);
    expect(parsePolicy(policyToJson(policy))).toEqual(policy);
    expect(policyToJson(parsePolicy({ auto: "archive", minSaving: 0 }))).toEqual({ auto: "archive" });
  });

  test.each([[-0.1], [1], [Number.NaN], ["0.2"], [null]])("minSaving %s is refused", (minSaving) => {
    expect(() => parsePolicy({ auto: "lossless", minSaving })).toThrow(UsageError);
    expect(() => parsePolicy({ auto: "lossless", minSaving })).toThrow(/minSaving is a fraction/);
  });

  test("fast has no use for it", () => {
    expect(() => parsePolicy({ auto: "fast", minSaving: 0.1 })).toThrow(/codes nothing against other chunks/);
  });
});
