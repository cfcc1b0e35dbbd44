/** brotli on both platforms: Node codes it, browsers refuse it by name. */
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../src/bytes/hex.ts";
import { codecOf } from "../src/codec/registry.ts";
import { DamageError, UsageError } from "../src/errors/errors.ts";
import * as node from "../src/platform/node.ts";
import * as portable from "../src/platform/portable.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { anyBytes } from "./codec-samples.ts";

const brotli = codecOf("brotli");
const dtype = dtypeOf("uint8");
const text = new TextEncoder().encode("a tensor is a tensor is a tensor. ".repeat(40));

describe("brotli", () => {
  test("is read by any brotli decoder, and reads any encoder's stream", () => {
    fc.assert(
      fc.property(anyBytes(2000), fc.integer({ min: 0, max: 11 }), (input, quality) => {
        const coded = brotli.encode(input, { dtype }, brotli.parse({ quality }));
        expect(Buffer.compare(brotliDecompressSync(coded), input)).toBe(0);
        const other = brotliCompressSync(input);
        expect(Buffer.compare(brotli.decode(other, { dtype, bytes: input.length }), input)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("golden bytes decode", () => {
    const decoded = brotli.decode(fromHex("a14800002011168f0402"), { dtype, bytes: 10 });
    expect(toHex(decoded)).toBe("61".repeat(10));
  });

  test("what is not exactly one stream of the declared length is damage", () => {
    const coded = brotli.encode(text, { dtype }, brotli.parse({}));
    expect(coded.length).toBeLessThan(text.length / 10);
    for (const damaged of [
      coded.subarray(1),
      coded.subarray(0, -1),
      Buffer.concat([coded, Buffer.from([0])]),
    ]) {
      expect(() => brotli.decode(damaged, { dtype, bytes: text.length })).toThrow(DamageError);
    }
    expect(() => brotli.decode(coded, { dtype, bytes: text.length - 1 })).toThrow(DamageError);
    expect(() => brotli.decode(coded, { dtype, bytes: text.length + 1 })).toThrow(/declared/);
  });

  test("a bomb stops at the declared length", () => {
    const bomb = node.brotli(new Uint8Array(1 << 26), 9);
    expect(bomb.length).toBeLessThan(1000);
    expect(() => node.unbrotli(bomb, 1000)).toThrow(DamageError);
  });

  test("browsers refuse it by name, with advice", () => {
    expect(() => portable.brotli(text, 5)).toThrow(UsageError);
    expect(() => portable.brotli(text, 5)).toThrow(/browser cannot encode brotli; choose/);
    expect(() => portable.unbrotli(text, 5)).toThrow(/browser cannot decode brotli; let the server/);
  });

  test.each([{ quality: 12 }, { quality: -1 }, { quality: "best" }])("refuses %j", (parameters) => {
    expect(() => brotli.parse(parameters)).toThrow(/quality is/);
  });
});
