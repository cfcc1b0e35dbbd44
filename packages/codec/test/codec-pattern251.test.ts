import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { pattern251 } from "../src/codec/pattern251.ts";
import { fillPeriodic, findPeriod, MAX_PERIOD } from "../src/codec/period.ts";
import { zstd } from "../src/codec/zstd.ts";
import { DamageError, LimitError } from "../src/errors/errors.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { periodic } from "./codec-pattern-samples.ts";
import { anyBytes, anyMutation, mutated, noise } from "./codec-samples.ts";
import { expectContained } from "./contained.ts";

beforeAll(() => ready());

const dtype = dtypeOf("uint8");
const encode = (input: Uint8Array): Uint8Array => pattern251.encode(input, { dtype }, {});
const decode = (payload: Uint8Array, bytes: number): Uint8Array =>
  pattern251.decode(payload, { dtype, bytes });

/** Four letters, a length, a payload. */
function published(letters: string, bytes: number, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(8 + payload.length);
  frame.set(new TextEncoder().encode(letters));
  new DataView(frame.buffer).setUint32(4, bytes, true);
  frame.set(payload, 8);
  return frame;
}

describe("frames", () => {
  test("version 1 is the published one: 0xAA, count, pattern", () => {
    const pattern = Uint8Array.from({ length: 251 }, (_, index) => index);
    const coded = encode(periodic(251 * 1000, pattern));
    expect(coded.length).toBe(256);
    expect(toHex(coded.subarray(0, 5))).toBe("aae8030000");
    expect(coded.subarray(5)).toEqual(pattern);
    expect(Buffer.compare(decode(coded, 251_000), periodic(251_000, pattern))).toBe(0);
  });

  test("version 1 exactly when the period is 251 and nothing is left over", () => {
    const pattern = noise(251, 3);
    expect(encode(periodic(251 * 7, pattern))[0]).toBe(0xaa);
    expect(encode(periodic(251 * 7 + 1, pattern))[0]).toBe(0xab);
    expect(encode(periodic(250 * 251, noise(250, 3)))[0]).toBe(0xab);
    expect(encode(new Uint8Array(251 * 7))[0]).toBe(0xab);
    const broken = periodic(251 * 100, pattern);
    broken[251 * 100 - 1]! ^= 1;
    expect(encode(broken)[0]).toBe(0xab);
    expect(encode(periodic(251, pattern))[0]).toBe(0x00);
  });

  test("version 2: golden bytes, with a rest", () => {
    const input = new TextEncoder().encode(`${"abc".repeat(10)}!?`);
    const coded = encode(input);
    expect(toHex(coded)).toBe("ab03001e000000616263213f8ccb6a88cf7124f3");
    expect(decode(coded, input.length)).toEqual(input);
  });

  test("everything else is stored", () => {
    expect(toHex(encode(Uint8Array.of(1, 2, 3)))).toBe("00010203");
    expect(toHex(encode(new Uint8Array(0)))).toBe("00");
    const input = noise(50_000, 4);
    expect(encode(input).length).toBe(input.length + 1);
  });

  test.each([
    ["ZSTD", () => zstd.encode(periodic(500, noise(40, 1)), { dtype }, { level: 3 })],
    ["NONE", () => periodic(500, noise(40, 1))],
    // 40 literals, then 455 bytes from 40 back, then 5 literals.
    [
      "LZ4 ",
      () => {
        const bytes = periodic(500, noise(40, 1));
        return Uint8Array.of(
          0xff,
          25,
          ...bytes.subarray(0, 40),
          40,
          0,
          255,
          181,
          0x50,
          ...bytes.subarray(495),
        );
      },
    ],
  ])("a published %s frame is read", (letters, payload) => {
    const frame = published(letters, 500, payload());
    expect(Buffer.compare(decode(frame, 500), periodic(500, noise(40, 1)))).toBe(0);
    expect(() => decode(frame, 499)).toThrow(DamageError);
    expect(() => decode(published(letters, 499, payload()), 499)).toThrow(DamageError);
    expect(() => decode(published(letters, 501, payload()), 501)).toThrow(DamageError);
    expect(() => decode(frame.subarray(0, frame.length - 1), 500)).toThrow(DamageError);
  });

  test("an empty LZ4 block and an empty stored frame", () => {
    expect(decode(published("LZ4 ", 0, Uint8Array.of(0)), 0).length).toBe(0);
    expect(decode(published("NONE", 0, new Uint8Array(0)), 0).length).toBe(0);
  });
});

describe("sizes", () => {
  test("at least 99.97 % of 1 MiB is saved, for any small period", () => {
    for (const period of [1, 2, 7, 64, 251, 255, 256]) {
      const input = periodic(2 ** 20, noise(period, period));
      const coded = encode(input);
      expect(1 - coded.length / input.length).toBeGreaterThan(0.9997);
      expect(Buffer.compare(decode(coded, input.length), input)).toBe(0);
    }
  });

  test("any period comes back, whatever follows, at any offset", () => {
    const anyPeriod = fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: MAX_PERIOD }));
    fc.assert(
      fc.property(anyPeriod, fc.integer({ min: 1, max: 60_000 }), anyBytes(40), fc.nat(3), (...drawn) => {
        const [period, repeated, rest, offset] = drawn;
        const memory = new Uint8Array(offset + repeated + rest.length);
        const input = memory.subarray(offset);
        input.set(periodic(repeated, noise(period, period + repeated)));
        input.set(rest, repeated);
        const coded = encode(input);
        expect(coded.length).toBeLessThanOrEqual(Math.min(input.length + 1, 15 + period + rest.length));
        expect(Buffer.compare(decode(coded, input.length), input)).toBe(0);
      }),
      { numRuns: 120 },
    );
  });
});

describe("periods", () => {
  test("the shortest period that saves most, as a plain search finds it", () => {
    const few = fc.uint8Array({ max: 2, maxLength: 60 });
    fc.assert(
      fc.property(few, (bytes) => {
        let best = 0;
        for (let period = 1; period < bytes.length; period++) {
          let end = period;
          while (end < bytes.length && bytes[end] === bytes[end - period]) end++;
          best = Math.max(best, end - period);
        }
        const found = findPeriod(bytes);
        expect(found === undefined ? 0 : found.bytes - found.period).toBe(best);
      }),
    );
  });

  test("longer ones than the limit are none", () => {
    expect(findPeriod(periodic(40_000, noise(MAX_PERIOD, 1)))).toEqual({ period: MAX_PERIOD, bytes: 40_000 });
    const found = findPeriod(periodic(40_000, noise(MAX_PERIOD + 1, 1)));
    expect(found === undefined || found.bytes - found.period < 16).toBe(true);
  });

  test("a period is followed to the byte that breaks it", () => {
    for (const period of [1, 2, 3, 4, 251, 4094]) {
      for (const at of [16_383, 16_384, 16_385, 16_386, 16_387, 20_001, 29_999]) {
        for (const offset of [0, 1, 2, 3]) {
          const input = new Uint8Array(30_000 + offset).subarray(offset);
          input.set(periodic(30_000, noise(period, 9)));
          input[at]! ^= 0x80;
          expect(findPeriod(input)).toEqual({ period, bytes: at });
        }
      }
    }
  });

  test("filling: any length, and patterns longer than that", () => {
    for (const bytes of [0, 1, 250, 251, 252, 300_000, 1_000_001]) {
      const into = new Uint8Array(bytes);
      fillPeriodic(into, noise(251, 5));
      expect(Buffer.compare(into, periodic(bytes, noise(251, 5)))).toBe(0);
    }
  });
});

describe("damage", () => {
  test("version 2: every changed or missing byte is found", () => {
    const input = periodic(20_000, noise(100, 2));
    const coded = encode(input);
    for (let at = 0; at < coded.length; at++) {
      const changed = coded.slice();
      changed[at]! ^= 1 << (at % 8);
      expect(() => decode(changed, input.length)).toThrow(DamageError);
      expect(() => decode(coded.subarray(0, at), input.length)).toThrow(DamageError);
    }
  });

  test("lengths are held against what was declared, before memory is taken", () => {
    const bomb = new Uint8Array(256).fill(0xff);
    bomb[0] = 0xaa;
    expect(() => decode(bomb, 251)).toThrow(LimitError);
    bomb.set([0xaa, 2, 0, 0, 0]);
    expect(() => decode(bomb, 251)).toThrow(/502 bytes, 251 were declared/);
    expect(() => decode(bomb.subarray(0, 255), 502)).toThrow(DamageError);
    // An LZ4 match of 255 bytes a byte.
    const lz4 = Uint8Array.of(0x1f, 7, 1, 0, ...new Array(60).fill(255), 0, 0x10, 7);
    expect(() => decode(published("LZ4 ", 100, lz4), 100)).toThrow(DamageError);
    expect(() => decode(published("LZ4 ", 100, Uint8Array.of(0x10, 7, 9, 0, 0)), 100)).toThrow(
      /reaches back/,
    );
  });

  test("any mutation stays within the declared length", () => {
    const letters = fc.constantFrom("ZSTD", "LZ4 ", "NONE");
    fc.assert(
      fc.property(
        anyBytes(300),
        letters,
        fc.array(anyMutation, { maxLength: 3 }),
        (payload, four, changes) => {
          const frame = changes.reduce(mutated, published(four, 200, payload));
          expectContained(() => decode(frame, 200), 200);
        },
      ),
    );
  });

  test.each([
    ["", /is empty/],
    ["ac00", /begins with the byte 172/],
    ["ab", /ends early/],
    ["4e4f4e45", /ends early/],
  ])("refuses %j", (hex, message) => {
    expect(() => decode(fromHex(hex), 10)).toThrow(message);
  });
});
