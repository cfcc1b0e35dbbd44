import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_JSON_DEPTH, StrictJson } from "../src/format/strict-json.ts";

class Refused extends Error {
  readonly rule: string;
  constructor(rule: string, message: string) {
    super(message);
    this.rule = rule;
  }
}

const reader = (text: string | Uint8Array): StrictJson =>
  new StrictJson(
    typeof text === "string" ? new TextEncoder().encode(text) : text,
    (rule, message) => new Refused(rule, message),
  );

/** The rule that a text breaks; undefined for a valid one. */
function ruleOf(text: string | Uint8Array): string | undefined {
  try {
    const json = reader(text);
    json.skipValue();
    json.end();
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error.rule;
    throw error;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const pieces = fc.constantFrom(
  ...'{ } [ ] , : " \\ - + 0 1 9 . e E null true false \\u0041 \\n \\q \t \0 é \u007f'.split(" "),
  " ",
  "\n",
  '"a"',
  "-0.5e+3",
);

describe("strict JSON", () => {
  it("takes every JSON value", () => {
    fc.assert(fc.property(fc.json({ maxDepth: 20 }), (text) => ruleOf(text) === undefined));
  });

  it("takes and refuses what JSON.parse does, beside duplicates and lone surrogates", () => {
    const broken = fc.oneof(
      fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")),
      fc
        .tuple(fc.json({ maxDepth: 3 }), fc.nat(), pieces)
        .map(
          ([text, at, piece]) =>
            text.slice(0, at % (text.length + 1)) + piece + text.slice(at % (text.length + 1)),
        ),
      fc
        .tuple(fc.json({ maxDepth: 3 }), fc.nat(), fc.nat(3))
        .map(
          ([text, at, count]) =>
            text.slice(0, at % (text.length + 1)) + text.slice((at % (text.length + 1)) + count),
        ),
    );
    fc.assert(
      fc.property(broken, (text) => {
        if (!text.isWellFormed()) return;
        const rule = ruleOf(text);
        if (rule === "duplicate-key" || rule === "lone-surrogate") return;
        expect(rule === undefined).toBe(parses(text));
      }),
      { numRuns: 3000 },
    );
  });

  it("reads strings as JSON.parse does, at any offset of a shared buffer", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(9), fc.boolean(), (value, offset, isAscii) => {
        let token = JSON.stringify(value);
        if (isAscii)
          token = token.replace(
            /[^\0-\x7f]/g,
            (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
          );
        const bytes = new TextEncoder().encode(token);
        const shared = new Uint8Array(new SharedArrayBuffer(bytes.length + offset), offset);
        shared.set(bytes);
        const json = reader(shared);
        expect(json.string("it")).toBe(value);
        json.end();
      }),
    );
  });

  it("reads unsigned integers exactly", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (value) => {
        const read = reader(String(value)).integer("it");
        expect(BigInt(read)).toBe(value);
        expect(typeof read).toBe(value <= BigInt(Number.MAX_SAFE_INTEGER) ? "number" : "bigint");
      }),
    );
    for (const [text, rule] of [
      ["18446744073709551616", "over-u64"],
      ["1.0", "integer"],
      ["1e0", "integer"],
      ["1E2", "integer"],
      ["-0", "integer"],
      ["-1", "integer"],
      ["1.", "json"],
      ["-", "json"],
      ["+1", "json"],
      ["", "json"],
      ["NaN", "json"],
      ['"1"', "type"],
      ["null", "type"],
      ["[1]", "type"],
    ] as const) {
      let caught: unknown;
      try {
        reader(text).integer("it");
      } catch (error) {
        caught = error;
      }
      expect((caught as Refused).rule, text).toBe(rule);
    }
    // "01" ends behind the zero; what follows is no comma.
    const json = reader("01");
    expect(json.integer("it")).toBe(0);
    expect(() => json.end()).toThrow(/expected the end/);
  });

  it("names the rule", () => {
    const cases: [string, string][] = [
      ["\ufeff{}", "byte-order-mark"],
      ["{}\0", "nul-padding"],
      ['{"a":1,"a":2}', "duplicate-key"],
      ['{"a":1,"\\u0061":2}', "duplicate-key"],
      ['[{"a":{"b":1,"b":2}}]', "duplicate-key"],
      ['"\\ud800"', "lone-surrogate"],
      ['"\\ud800x\\udc00"', "lone-surrogate"],
      ['"\\udc00"', "lone-surrogate"],
      ['"\\ud83d\\u0041"', "lone-surrogate"],
      ["", "json"],
      ["nul", "json"],
      ["[".repeat(1_000_000), "json"],
    ];
    for (const [text, rule] of cases) expect(ruleOf(text), text.slice(0, 20)).toBe(rule);
    expect(ruleOf(Uint8Array.of(0x22, 0xed, 0xa0, 0x80, 0x22))).toBe("utf-8");
    expect(ruleOf(Uint8Array.of(0x22, 0xc0, 0xaf, 0x22))).toBe("utf-8");
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect(ruleOf(nested(MAX_JSON_DEPTH))).toBeUndefined();
    expect(ruleOf(nested(MAX_JSON_DEPTH + 2))).toBe("json");
  });
});
