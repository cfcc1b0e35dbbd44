import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { CHECKSUM_BYTES, checksum64, checksum64Of, checksum64OfParts } from "../src/bytes/checksum.ts";
import { compareBytes, equalBytes } from "../src/bytes/compare.ts";
import { sha256 } from "../src/bytes/hash.ts";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { canonicalJson } from "../src/bytes/json.ts";
import { ByteReader } from "../src/bytes/reader.ts";
import { ready } from "../src/bytes/ready.ts";
import { ByteWriter } from "../src/bytes/writer.ts";
import { DamageError, LimitError, UsageError } from "../src/errors/errors.ts";

describe("checksum64 before ready", () => {
  it("says what to await", () => {
    expect(() => checksum64Of(new Uint8Array(1))).toThrow(/await ready\(\)/);
  });
});

describe("checksum64", () => {
  beforeAll(ready);

  it("is xxHash64 with seed 0, little-endian", () => {
    // Vectors of the xxHash specification's reference implementation.
    expect(toHex(checksum64Of(new Uint8Array(0)))).toBe("99e9d85137db46ef");
    expect(toHex(checksum64Of(new TextEncoder().encode("abc")))).toBe("990977adf52cbc44");
    expect(toHex(checksum64Of(new TextEncoder().encode("a")))).toBe("5b6e8ca9f1c44ed2");
  });

  it("does not depend on offset, kind of memory, or where it is cut", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), fc.nat(8), (data, cut, offset) => {
        const shared = new Uint8Array(new SharedArrayBuffer(data.length + offset), offset);
        shared.set(data);
        const into = new Uint8Array(20).fill(0xee);
        checksum64(shared, into, 5);
        expect(into.subarray(5, 5 + CHECKSUM_BYTES)).toEqual(checksum64Of(data));
        expect([into[4], into[13]]).toEqual([0xee, 0xee]);
        checksum64OfParts([data.subarray(0, cut), data.subarray(cut)], into, 0);
        expect(into.subarray(0, 8)).toEqual(checksum64Of(data));
      }),
    );
  });
});

describe("sha256", () => {
  it("is the platform's", () => {
    expect(toHex(sha256(new TextEncoder().encode("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });
});

describe("hex", () => {
  it("round-trips and refuses other text by field", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
        expect(fromHex(toHex(bytes).toUpperCase())).toEqual(bytes);
      }),
    );
    for (const text of ["0", "0g", "0x12", " 00", "00\n"])
      expect(() => fromHex(text, "hash")).toThrow(/hash: /);
  });
});

describe("compare", () => {
  it("orders like Buffer.compare", () => {
    const bytes = fc.uint8Array({ max: 2, maxLength: 5 });
    fc.assert(
      fc.property(bytes, bytes, (left, right) => {
        expect(Math.sign(compareBytes(left, right))).toBe(Buffer.compare(left, right));
        expect(equalBytes(left, right)).toBe(Buffer.compare(left, right) === 0);
      }),
    );
  });
});

describe("canonicalJson", () => {
  it("sorts keys at every level and is JSON", () => {
    expect(canonicalJson({ b: [1, { d: null, c: "x" }], a: true })).toBe(
      '{"a":true,"b":[1,{"c":"x","d":null}]}',
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value as never);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe("ByteReader and ByteWriter", () => {
  it("write golden bytes", () => {
    const writer = new ByteWriter(1);
    writer.u8(1).u16(0x0203).u32(0xfffefdfc).u64(Number.MAX_SAFE_INTEGER).varint(0).varint(127).varint(300);
    writer.varint(Number.MAX_SAFE_INTEGER).bytes(new Uint8Array([9, 8]));
    expect(toHex(writer.finish())).toBe("010302fcfdfeffffffffffffff1f00007fac02ffffffffffffff0f0908");
  });

  it("round-trip any fields", () => {
    const field = fc.oneof(
      fc.record({ kind: fc.constant("u8" as const), value: fc.integer({ min: 0, max: 0xff }) }),
      fc.record({ kind: fc.constant("u16" as const), value: fc.integer({ min: 0, max: 0xffff }) }),
      fc.record({ kind: fc.constant("u32" as const), value: fc.integer({ min: 0, max: 0xffffffff }) }),
      fc.record({ kind: fc.constantFrom("u64" as const, "varint" as const), value: fc.maxSafeNat() }),
    );
    fc.assert(
      fc.property(fc.array(field), fc.uint8Array(), (fields, tail) => {
        const writer = new ByteWriter();
        for (const { kind, value } of fields) writer[kind](value);
        writer.bytes(tail);
        const reader = new ByteReader(writer.finish(), "test");
        for (const { kind, value } of fields) expect(reader[kind]()).toBe(value);
        expect(reader.remaining).toBe(tail.length);
        expect(reader.offset).toBe(writer.length - tail.length);
        expect(reader.bytes(tail.length)).toEqual(tail);
        expect(() => reader.u8()).toThrow(DamageError);
      }),
    );
  });

  it("name the place and what is missing", () => {
    const reader = new ByteReader(new Uint8Array(3), "frame 7");
    reader.u16();
    expect(() => reader.u32()).toThrow("frame 7: ends early: 4 bytes expected at 2, 1 are there");
    expect(reader.offset).toBe(2);
  });

  it("refuse numbers that do not fit", () => {
    const reader = (text: string): ByteReader => new ByteReader(fromHex(text), "test");
    expect(() => reader("0000000000002000").u64()).toThrow(LimitError);
    expect(() => reader("ffffffffffffff10").varint()).toThrow(LimitError);
    expect(() => reader("ffffffffffffffff01").varint()).toThrow(LimitError);
    expect(() => reader("8000").varint()).toThrow(DamageError);
    expect(() => reader("80").varint()).toThrow(DamageError);
    for (const value of [-1, 256, 1.5, Number.NaN])
      expect(() => new ByteWriter().u8(value)).toThrow(UsageError);
    expect(() => new ByteWriter().u64(2 ** 53)).toThrow(UsageError);
    expect(() => new ByteWriter().varint(-1)).toThrow(UsageError);
  });
});
