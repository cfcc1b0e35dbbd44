/** `where` against a plain evaluation in JavaScript, with and without indexes; and that queries use the indexes that they should. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Catalog, type Where } from "../src/catalog/catalog.ts";
import { checkIndexed, jsonPath } from "../src/catalog/metadata-index.ts";
import { Records } from "../src/catalog/records.ts";
import { Sqlite } from "../src/catalog/sqlite.ts";
import { compileWhere } from "../src/catalog/where.ts";
import type { Entry, Json, JsonObject, Op } from "../src/model/entry.ts";
import { recordId, sha } from "./catalog-model.ts";

type Scalar = null | boolean | number | string;

function applyOps(catalog: Catalog, ops: readonly Op[]): void {
  const sequence = catalog.position().sequence + 1;
  const entry: Entry = { sequence, timeMs: 1000 + sequence, ops };
  catalog.apply(entry, () => [], { sequence, hash: sha("x"), segment: "s", offset: sequence });
}

/** One dataset whose records have these metadata. */
function filled(
  catalog: Catalog,
  metadata: readonly (JsonObject | undefined)[],
  indexed: readonly string[],
): void {
  applyOps(catalog, [
    {
      op: "dataset.add",
      dataset: 1,
      name: "d",
      timeMs: 1,
      preset: null,
      metadata: {},
      schema: null,
      indexed,
    },
    { op: "version", dataset: 1, version: 1 },
    {
      op: "records.add",
      dataset: 1,
      version: 1,
      records: metadata.map((each, at) => ({
        id: recordId(at + 1),
        file: 0,
        tensor: 1,
        ...(each === undefined ? {} : { metadata: each }),
      })),
    },
  ]);
}

function found(catalog: Catalog, where: Where): number[] {
  const rows = catalog.page({ dataset: 1, version: 1, where }, undefined, 10_000);
  expect(catalog.count({ dataset: 1, version: 1, where })).toBe(rows.length);
  const ids = catalog.ordinals({ dataset: 1, version: 1, where }, [...rows.keys()]);
  expect(ids).toEqual(rows.map((row) => row.id));
  return rows.map((row) => new DataView(row.id.buffer, row.id.byteOffset).getUint32(0) - 1);
}

function at(metadata: Json | undefined, path: string): Json | undefined {
  let value = metadata;
  for (const part of path.split(".")) {
    if (value === null || typeof value !== "object" || Array.isArray(value) || !Object.hasOwn(value, part)) {
      return undefined;
    }
    value = (value as JsonObject)[part];
  }
  return value;
}

function less(a: Scalar, b: Json | undefined): boolean | undefined {
  if (typeof a === "number" && typeof b === "number") {
    return a < b;
  }
  return typeof a === "string" && typeof b === "string"
    ? Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
    : undefined;
}

function holds(value: Json | undefined, operator: string, operand: never): boolean {
  switch (operator) {
    case "eq":
      return value === operand;
    case "ne":
      return value !== operand;
    case "gt":
      return less(operand, value) === true;
    case "gte":
      return less(operand, value) === true || value === operand;
    case "lt":
      return typeof value === typeof operand && value !== operand && less(operand, value) === false;
    case "lte":
      return typeof value === typeof operand && less(operand, value) === false;
    case "in":
      return (operand as readonly Json[]).includes(value as Json);
    case "exists":
      return (value !== undefined) === operand;
    default:
      return Array.isArray(value)
        ? value.includes(operand)
        : typeof value === "string" && typeof operand === "string" && value.includes(operand);
  }
}

function matches(metadata: JsonObject | undefined, where: Where): boolean {
  return Object.entries(where).every(([path, wanted]) => {
    const operators =
      typeof wanted === "object" && wanted !== null ? Object.entries(wanted) : [["eq", wanted] as const];
    return operators.every(([operator, operand]) => holds(at(metadata, path), operator, operand as never));
  });
}

const number = fc.oneof(
  fc.constantFrom(0, 1, 3, -1, 2.5, 2 ** 53, 2 ** 60, 2 ** 60 + 1024, 1e300, 5e-324, -(2 ** 63), 1e19),
  fc.integer({ min: -3, max: 3 }),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value)),
);
const text = fc.oneof(
  fc.constantFrom(
    "",
    "3",
    "true",
    "null",
    "[1]",
    '"',
    "'",
    "a",
    "ab",
    "b%_",
    "é",
    "😀",
    "\uffee",
    "\\",
    "?",
    "a\nb",
  ),
  fc.string({ maxLength: 3 }),
);
const scalar: fc.Arbitrary<Scalar> = fc.oneof(number, text, fc.boolean(), fc.constant(null));
const value: fc.Arbitrary<Json> = fc.oneof(
  { weight: 5, arbitrary: scalar },
  { weight: 2, arbitrary: fc.array(scalar, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.record({ lang: scalar }, { requiredKeys: [] }) },
);
const metadata: fc.Arbitrary<JsonObject | undefined> = fc.option(
  fc.record({ label: value, info: value, "a-b_1": value, Label: scalar }, { requiredKeys: [] }),
  { nil: undefined, freq: 6 },
);
const ordered = fc.oneof(number, text);
const operators = fc.oneof(
  fc.record({ eq: scalar }),
  fc.record({ ne: scalar }),
  fc
    .record({ gt: ordered, lte: ordered }, { requiredKeys: [] })
    .filter((each) => Object.keys(each).length > 0),
  fc
    .record({ gte: ordered, lt: ordered }, { requiredKeys: [] })
    .filter((each) => Object.keys(each).length > 0),
  fc.record({ in: fc.array(scalar, { maxLength: 4 }) }),
  fc.record({ in: fc.array(number, { minLength: 1, maxLength: 4 }), exists: fc.constant(true) }),
  fc.record({ exists: fc.boolean() }),
  fc.record({ contains: scalar }),
);
const where = fc.dictionary(
  fc.constantFrom("label", "info", "info.lang", "a-b_1", "Label", "missing"),
  fc.oneof(scalar, operators),
  { minKeys: 1, maxKeys: 2 },
) as fc.Arbitrary<Where>;

describe("where", () => {
  it("finds what a plain evaluation finds, whatever is indexed", () => {
    const indexed = fc.subarray(["label", "Label", "info.lang", "a-b_1"]);
    fc.assert(
      fc.property(
        fc.array(metadata, { maxLength: 25 }),
        fc.array(where, { minLength: 1, maxLength: 5 }),
        indexed,
        (all, wheres, paths) => {
          const catalog = Catalog.open(":memory:");
          filled(catalog, all, paths);
          for (const each of wheres) {
            const expected = [...all.keys()].filter((index) => matches(all[index], each));
            expect(found(catalog, each)).toEqual(expected);
          }
          catalog.close();
        },
      ),
      { numRuns: 150 },
    );
  });

  it("tells JSON types apart", () => {
    const catalog = Catalog.open(":memory:");
    filled(
      catalog,
      [{ x: 3 }, { x: "3" }, { x: true }, { x: 1 }, { x: null }, {}, { x: [3] }, { x: "[3]" }, undefined],
      ["x"],
    );
    const cases: readonly (readonly [Where, number[]])[] = [
      [{ x: 3 }, [0]],
      [{ x: "3" }, [1]],
      [{ x: true }, [2]],
      [{ x: 1 }, [3]],
      [{ x: null }, [4]],
      [{ x: { exists: false } }, [5, 8]],
      [{ x: "[3]" }, [7]],
      [{ x: { contains: 3 } }, [6]],
      [{ x: { contains: "3" } }, [1, 7]],
      [{ x: { in: [3, "3", null] } }, [0, 1, 4]],
      [{ x: { ne: 3 } }, [1, 2, 3, 4, 5, 6, 7, 8]],
      [{ x: { gt: 0 } }, [0, 3]],
      [{ x: { gte: "" } }, [1, 7]],
      [{}, [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ];
    for (const [each, expected] of cases) {
      expect(found(catalog, each)).toEqual(expected);
    }
    catalog.close();
  });

  it("refuses what it does not know, and names it", () => {
    const refused: readonly (readonly [unknown, RegExp])[] = [
      [{ label: { equals: 3 } }, /unknown operator "equals"; known: eq, ne/],
      [{ label: {} }, /names no operator/],
      [{ label: [1] }, /wants a value or operators/],
      [{ "a b": 1 }, /"a b" is not a metadata path/],
      [{ "a'); DROP TABLE record; --": 1 }, /is not a metadata path/],
      [{ "a..b": 1 }, /is not a metadata path/],
      [{ label: { gt: true } }, /gt wants a number or a string/],
      [{ label: { in: 3 } }, /in wants an array/],
      [{ label: { in: [[1]] } }, /in wants a string, a finite number/],
      [{ label: { eq: { a: 1 } } }, /eq wants a string, a finite number/],
      [{ label: Number.NaN }, /unknown|wants/],
      [{ label: { exists: 1 } }, /exists wants true or false/],
    ];
    for (const [each, message] of refused) {
      expect(() => compileWhere(each as Where, "m")).toThrow(message);
    }
    expect(() => compileWhere({ label: { equals: 3 } } as unknown as Where, "m")).toThrow(
      expect.objectContaining({ tag: "usage", field: "where.label" }),
    );
    expect(() => compileWhere({ x: { in: Array.from({ length: 10_001 }, (_, at) => at) } }, "m")).toThrow(
      expect.objectContaining({ tag: "limit" }),
    );
  });

  it("filters datasets by their metadata", () => {
    const catalog = Catalog.open(":memory:");
    const add = (dataset: number, name: string, metadata: JsonObject): Op => ({
      op: "dataset.add",
      dataset,
      name,
      timeMs: 1,
      preset: null,
      metadata,
      schema: null,
      indexed: [],
    });
    applyOps(catalog, [add(1, "b", { kind: "llm" }), add(2, "a", { kind: "llm" }), add(3, "c", {})]);
    expect(catalog.datasets({ kind: "llm" }).map((row) => row.name)).toEqual(["a", "b"]);
    expect(catalog.datasets({ kind: { exists: false } }).map((row) => row.name)).toEqual(["c"]);
    catalog.close();
  });
});

describe("declared paths", () => {
  it("are checked", () => {
    expect(jsonPath("info.lang-1", "f")).toBe('$."info"."lang-1"');
    expect(() => checkIndexed(["a", "a"], "indexed")).toThrow(/twice/);
    expect(() => checkIndexed(["a.'"], "indexed")).toThrow(
      expect.objectContaining({ tag: "usage", field: "indexed" }),
    );
    const many = Array.from({ length: 17 }, (_, index) => `p${index}`);
    expect(() => checkIndexed(many, "indexed")).toThrow(
      expect.objectContaining({ tag: "limit", maximum: 16 }),
    );
  });

  it("never stop an entry: what is no path or one too many has no index", () => {
    const catalog = Catalog.open(":memory:");
    const indexed = [...Array.from({ length: 70 }, (_, index) => `p${index}`), "not a path'"];
    filled(catalog, [{ p1: 1 }, { p69: 1 }], indexed);
    expect(found(catalog, { p1: 1 })).toEqual([0]);
    expect(found(catalog, { p69: { gte: 1 } })).toEqual([1]);
    catalog.close();
  });
});

describe("query plans", () => {
  const folder = mkdtempSync(join(tmpdir(), "catalog-plans-"));
  const path = join(folder, "catalog.sqlite");
  let catalog: Catalog;
  let sqlite: Sqlite;
  let plain: Database.Database;

  beforeAll(() => {
    catalog = Catalog.open(path);
    const all = Array.from({ length: 12_000 }, (_, index) => ({
      label: index % 1000,
      score: index / 2,
      info: { lang: `l${index % 7}` },
    }));
    filled(catalog, all, ["label", "score", "info.lang"]);
    sqlite = Sqlite.open(path);
    plain = new Database(path, { readonly: true });
  });
  afterAll(() => {
    plain.close();
    sqlite.close();
    catalog.close();
    rmSync(folder, { recursive: true });
  });

  function planOf(where: Where): string {
    const plan = new Records(sqlite).plan({ dataset: 1, version: 1, where })!;
    const steps = plain
      .prepare<unknown[], { detail: string }>(
        `EXPLAIN QUERY PLAN SELECT r.id, r.metadata ${plan.sql} AND r.id > ? ORDER BY r.id LIMIT 10`,
      )
      .all(...plan.parameters, new Uint8Array(0));
    return steps.map((step) => step.detail).join("; ");
  }
  const indexOf = (name: string): string => `USING INDEX record@${Buffer.from(name).toString("hex")}`;

  it("take the index of a declared path", () => {
    expect(planOf({ label: 3 })).toContain(indexOf("label"));
    expect(planOf({ label: 3 })).toContain("id>?");
    expect(planOf({ label: 3 })).not.toContain("TEMP B-TREE");
    expect(planOf({ "info.lang": "l1" })).toContain(indexOf("info.lang"));
    expect(planOf({ label: { in: [3, 4] } })).toContain(indexOf("label"));
    expect(planOf({ score: { gte: 5990 } })).toContain(indexOf("score"));
  });

  it("read in order of ids where an index would find too much, or there is none", () => {
    expect(planOf({ score: { gte: 0 } })).toContain("USING PRIMARY KEY");
    expect(planOf({ score: { gte: 0 } })).not.toContain("TEMP B-TREE");
    expect(planOf({ other: 3 })).toContain("USING PRIMARY KEY");
  });

  it("find the same either way", () => {
    expect(catalog.count({ dataset: 1, version: 1, where: { score: { gte: 0 } } })).toBe(12_000);
    expect(catalog.count({ dataset: 1, version: 1, where: { score: { gte: 5990 } } })).toBe(20);
    expect(catalog.count({ dataset: 1, version: 1, where: { label: 3, "info.lang": "l1" } })).toBe(2);
    const ids = catalog.ordinals(
      { dataset: 1, version: 1, where: { score: { gte: 1 } } },
      [0, 0, 5, 11_997, 11_998],
    );
    expect(ids).toEqual([3, 3, 8, 12_000].map(recordId));
  });

  it("drop an index that no dataset declares any more", () => {
    const count = (): unknown =>
      plain.prepare("SELECT count(*) FROM sqlite_master WHERE name LIKE 'record@%'").pluck().get();
    expect(count()).toBe(3);
    expect(catalog.indexedPaths()).toEqual(["info.lang", "label", "score"]);
    applyOps(catalog, [{ op: "dataset.set", dataset: 1, indexed: ["label"] }]);
    expect(count()).toBe(1);
    applyOps(catalog, [{ op: "dataset.drop", dataset: 1 }]);
    expect(count()).toBe(0);
  });
});
