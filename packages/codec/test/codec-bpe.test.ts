import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { toHex } from "../src/bytes/hex.ts";
import { ByteReader } from "../src/bytes/reader.ts";
import { ready } from "../src/bytes/ready.ts";
import { bpe } from "../src/codec/bpe.ts";
import { codeLengths, decodePrefix, encodePrefix } from "../src/codec/prefix-code.ts";
import { zstd } from "../src/codec/zstd.ts";
import { DamageError, TensorcaskError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { anyMutation, mutated, noise, random } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";

beforeAll(() => ready());

function encode(input: Uint8Array, dtype = "uint8", parameters = {}): Uint8Array {
  return bpe.encode(input, { dtype: dtypeOf(dtype) }, bpe.parse(parameters));
}

function decode(payload: Uint8Array, bytes: number): Uint8Array {
  return bpe.decode(payload, { dtype: dtypeOf("uint8"), bytes });
}

function expectBack(input: Uint8Array, dtype?: string, parameters?: object): Uint8Array {
  const coded = encode(input, dtype, parameters);
  expect(Buffer.compare(decode(coded, input.length), input)).toBe(0);
  return coded;
}

const WORDS = "tensor store chunk frame pack journal catalog of the and is to a in that it with as for".split(
  " ",
);

/** Words in the order of a source with a memory of one: phrases come again, as in text. */
function text(bytes: number, seed: number): Uint8Array {
  const next = random(seed);
  let written = "";
  let word = 0;
  while (written.length < bytes) {
    word = next() < 0.6 ? (word * 7 + 3) % WORDS.length : Math.floor(next() ** 2 * WORDS.length);
    written += `${WORDS[word]}${next() < 0.1 ? ", " : " "}`;
  }
  return new TextEncoder().encode(written.slice(0, bytes));
}

/** Numbers of tokens, some much commoner than others, now and then the label that losses ignore. */
function tokenData(count: number, vocabulary: number, seed: number): number[] {
  const next = random(seed);
  return Array.from({ length: count }, () =>
    next() < 0.02 ? -100 : Math.floor(next() ** 4 * vocabulary) * 37,
  );
}

describe("sizes", () => {
  test("text: alone smaller than zstd -3", () => {
    const input = text(200_000, 1);
    const coded = expectBack(input);
    expect(coded.length).toBeLessThan(zstd.encode(input, { dtype: dtypeOf("uint8") }, { level: 3 }).length);
  });

  test("token data is taken by elements, whatever their width", () => {
    const tokens = tokenData(30_000, 2000, 2);
    const wide = expectBack(new Uint8Array(BigInt64Array.from(tokens, BigInt).buffer), "int64");
    const narrow = expectBack(new Uint8Array(Int32Array.from(tokens).buffer), "int32");
    expect(wide[0]! & 15).toBe(8);
    expect(narrow[0]! & 15).toBe(4);
    expect(Math.abs(wide.length - narrow.length)).toBeLessThan(100);
    const bytes = expectBack(new Uint8Array(Int32Array.from(tokens).buffer), "uint8");
    expect(narrow.length).toBeLessThan(bytes.length * 0.9);
  });

  test("noise is stored, constants shrink to tokens of many values", () => {
    const input = noise(100_000, 1);
    expect(expectBack(input).length).toBe(input.length + 1);
    expect(expectBack(new Uint8Array(100_000)).length).toBeLessThan(400);
    expect(toHex(encode(new Uint8Array(0)))).toBe("ff");
  });
});

describe("format", () => {
  test("golden bytes, packed", () => {
    const input = new TextEncoder().encode("abababababababababababababababab");
    expect(toHex(expectBack(input))).toBe("01026100002001aaaaaaaa");
  });

  test("golden bytes, rounds and a prefix code", () => {
    const sentence = "the cat, the hat, the bat, the rat; the mat, the cat, the hat, the bat ";
    const parts = [
      // form and width of values; 11 values: a space, a comma, a semicolon, a b c e h m r t
      "11 0b 20 0b 0e 25 00 00 01 02 04 04 01",
      // five rounds; the first has ", ", "at" and "he", the second "the" and "at, "
      "05 03 0100 020a 0406 02 0a0d 020b 01 0e00 01 0f10 01 0010",
      // 77 ids; the code lengths of 19 tokens; four streams, three of 8 bytes
      "4d 06053330440003002604 08 08 08 bf0962fb6e30413d 2688edbbc104f50c 04b17d3798a09e01 416cdf0d26a81f",
    ];
    expect(toHex(expectBack(new TextEncoder().encode(sentence.repeat(4))))).toBe(
      parts.join("").replaceAll(" ", ""),
    );
  });

  test("ids of whole bytes", () => {
    const input = text(50_000, 4);
    const one = expectBack(input, "uint8", { ids: "whole", maxTokens: 256 });
    const two = expectBack(input, "uint8", { ids: "whole" });
    expect([one[0]! >> 4, two[0]! >> 4]).toEqual([0, 0]);
    expect(encode(input).length).toBeLessThan(Math.min(one.length, two.length));
  });

  test("parameters", () => {
    expect(bpe.parse({})).toEqual({ maxTokens: 65_536, ids: "smallest" });
    expect(bpe.parse({ valueBytes: 2 })).toEqual({ valueBytes: 2, maxTokens: 65_536, ids: "smallest" });
    expect(() => bpe.parse({ valueBytes: 3 })).toThrow(/valueBytes is 3/);
    expect(() => bpe.parse({ maxTokens: 70_000 })).toThrow(/maxTokens is 70000/);
    expect(() => bpe.parse({ ids: "u8" })).toThrow(/ids is "u8"/);
  });
});

describe("round trips", () => {
  test("values of any width, at the edges of what is taken by elements", () => {
    expectBack(new Uint8Array(BigInt64Array.of(2n ** 31n - 1n, -(2n ** 31n), 5n, 5n, 5n).buffer), "int64");
    expectBack(new Uint8Array(BigInt64Array.of(2n ** 31n, 5n, 2n ** 63n - 1n).buffer), "int64");
    expectBack(new Uint8Array(Uint32Array.of(0, 2 ** 32 - 1, 2 ** 31).buffer), "uint32");
    expectBack(new Uint8Array(Uint16Array.from({ length: 60_000 }, (_, index) => index).buffer), "uint16");
    expectBack(new Uint8Array(Uint32Array.from({ length: 40_000 }, (_, index) => index).buffer), "uint32");
    expectBack(
      new Uint8Array(Uint32Array.from({ length: 32_768 }, (_, index) => index * 9).buffer),
      "uint32",
    );
    expectBack(new Uint8Array(Int32Array.from(tokenData(99, 9, 1)).buffer, 0, 395), "int32");
  });

  test("repetition of every kind, from a few symbols", () => {
    const anyText = fc.array(
      fc.tuple(fc.uint8Array({ max: 3, maxLength: 20 }), fc.integer({ min: 1, max: 60 })),
    );
    fc.assert(
      fc.property(anyText, fc.constantFrom(1, 2, 4, 8), fc.nat(3), (parts, valueBytes, tail) => {
        const pieces = parts.flatMap(([piece, times]) => new Array<Uint8Array>(times).fill(piece));
        const input = new Uint8Array(Buffer.concat([...pieces, noise(tail, 1)]));
        expectBack(input, "uint8", { valueBytes });
      }),
      { numRuns: 80 },
    );
  });

  test("what a sample learnt, on data longer than the sample", () => {
    const input = new Uint8Array(Buffer.concat([text(150_000, 6), noise(30_000, 2), text(90_000, 7)]));
    expectBack(input);
    expectBack(input, "uint8", { maxTokens: 300 });
    expectBack(input, "uint16");
  });
});

describe("damage", () => {
  test("stays within the declared length", () => {
    const inputs = [text(6000, 3), new Uint8Array(Int32Array.from(tokenData(1500, 50, 3)).buffer)];
    for (const [index, input] of inputs.entries()) {
      for (const ids of ["smallest", "whole"]) {
        const coded = encode(input, index === 0 ? "uint8" : "int32", { ids });
        fc.assert(
          fc.property(fc.array(anyMutation, { minLength: 1, maxLength: 3 }), (mutations) => {
            const damaged = mutations.reduce(mutated, coded);
            expectContained(() => decode(damaged, input.length), input.length);
          }),
          { numRuns: 150 },
        );
        for (let bytes = 0; bytes < coded.length; bytes += 7) {
          expect(() => decode(coded.subarray(0, bytes), input.length)).toThrow(TensorcaskError);
        }
      }
    }
  });

  test("a token is no longer than 255 bytes, however often it is doubled", () => {
    // One value, then rounds that each pair the last token with itself.
    const rounds = Array.from({ length: 100 }, (_, index) => [1, index, index]).flat();
    const payload = Uint8Array.of(0x01, 1, 7, 100, ...rounds, 1, 8, 100);
    expect(() => decode(payload, 2 ** 24)).toThrow(/more than 255 bytes/);
  });
});

describe("prefix codes", () => {
  const roundTrip = (symbols: Uint16Array, symbolCount: number): Uint8Array => {
    const counts = new Uint32Array(symbolCount);
    for (const symbol of symbols) counts[symbol]!++;
    const coded = encodePrefix(symbols, codeLengths(counts));
    expect(decodePrefix(new ByteReader(coded, "test"), symbolCount, symbols.length, "test")).toEqual(symbols);
    return coded;
  };

  test("any symbols in any number", () => {
    const anySymbols = fc.tuple(
      fc.integer({ min: 1, max: 4000 }),
      fc.array(fc.nat(65_535), { maxLength: 300 }),
    );
    fc.assert(
      fc.property(anySymbols, ([symbolCount, drawn]) => {
        roundTrip(
          Uint16Array.from(drawn, (symbol) => symbol % symbolCount),
          symbolCount,
        );
      }),
    );
  });

  test("codes stay within 15 bits, and most symbols fit", () => {
    // Counts like Fibonacci's numbers give the longest codes.
    const fibonacci = [1, 1];
    while (fibonacci.length < 40) fibonacci.push(fibonacci.at(-1)! + fibonacci.at(-2)!);
    const lengths = codeLengths(Uint32Array.from(fibonacci));
    expect(Math.max(...lengths)).toBe(15);
    expect(lengths.reduce((sum, length) => sum + 2 ** -length, 0)).toBeLessThanOrEqual(1);
    roundTrip(
      Uint16Array.from({ length: 16_384 * 3 }, (_, index) => index % 16_384),
      16_384,
    );
    const skewed = Uint16Array.from({ length: 60_000 }, (_, index) => (index % 4 ? 0 : (index * 7) % 16_384));
    roundTrip(skewed, 16_384);
  });

  test("too many codes are refused", () => {
    const coded = roundTrip(Uint16Array.of(0, 1, 2, 3, 0, 1, 2, 3), 4);
    coded[0] = 0x11;
    coded[1] = 0x11;
    expect(() => decodePrefix(new ByteReader(coded, "test"), 4, 8, "test")).toThrow(DamageError);
  });
});
