/**
 * `where`: conditions on metadata, compiled to SQL with parameters.
 *
 * Values compare by their JSON type: the string "3" is not the number 3, true is not 1. So each comparison has two halves: the value
 * (`json_extract`, which an index may hold) and its type (`json_type`). Operands go in as JSON text, so that both sides are read by
 * the same parser (a bound double and the same number in JSON text differ above 2^53). Strings order by code point.
 *
 * `ne` is the exact opposite of `eq`: it holds where the field is missing, too; add `exists: true` if it should not.
 */
import { LimitError, UsageError } from "@tensorcask/codec";
import { jsonPath, valueExpression } from "./metadata-index.ts";
import type { Where } from "./rows.ts";
import type { SqlValue } from "./sqlite.ts";

/** More conditions than any person writes; SQLite's parser has limits of its own behind it. */
const MAX_WHERE_FIELDS = 32;
/** One `in` list is one parameter, so this only bounds the work a row. */
const MAX_IN_VALUES = 10_000;

/** A condition and the values of its `?`, in order. */
export interface Condition {
  readonly sql: string;
  readonly parameters: readonly SqlValue[];
}

/** The part of a condition that an index on the path answers alone. `inOrder`: it finds rows in the order of their ids. */
export interface Lookup extends Condition {
  readonly inOrder: boolean;
}

/** One field's condition. `value` is the SQL of the value at the path, as its index has it. */
export interface FieldCondition extends Condition {
  readonly path: string;
  readonly value: string;
  readonly lookup?: Lookup;
}

type Scalar = null | boolean | number | string;

const comparisons = { gt: ">", gte: ">=", lt: "<", lte: "<=" } as const;
const known = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "exists", "contains"] as const;
type Operator = (typeof known)[number];

interface OperatorCondition extends Condition {
  readonly lookup?: Lookup;
}

interface Field {
  /** What errors call it. */
  readonly label: string;
  /** SQL of the value and of its JSON type. */
  readonly value: string;
  readonly type: string;
  /** SQL arguments of json_each over it. */
  readonly source: string;
}

function isScalar(value: unknown): value is Scalar {
  return (
    value === null ||
    typeof value === "string" ||
    typeof value === "boolean" ||
    (typeof value === "number" && Number.isFinite(value))
  );
}

function scalar(field: Field, operator: Operator, value: unknown): Scalar {
  if (!isScalar(value)) {
    throw new UsageError(field.label, `${operator} wants a string, a finite number, a boolean or null`);
  }
  return value;
}

/** The JSON types that a value of this one may have in SQLite's words. */
function typesOf(value: Scalar): string {
  if (value === null) {
    return "= 'null'";
  }
  switch (typeof value) {
    case "string":
      return "= 'text'";
    case "number":
      return "IN ('integer', 'real')";
    default:
      return value ? "= 'true'" : "= 'false'";
  }
}

function equals(field: Field, value: Scalar): OperatorCondition {
  // JSON true, false and null are told by their type alone; the index holds 1, 0 and nothing for them.
  if (value === null) {
    return { sql: `${field.type} = 'null'`, parameters: [] };
  }
  const lookup = {
    sql: `${field.value} = json_extract(?, '$')`,
    parameters: [JSON.stringify(value)],
    inOrder: true,
  };
  return { sql: `${lookup.sql} AND ${field.type} ${typesOf(value)}`, parameters: lookup.parameters, lookup };
}

function isIn(field: Field, values: unknown): OperatorCondition {
  if (!Array.isArray(values)) {
    throw new UsageError(field.label, "in wants an array");
  }
  if (values.length > MAX_IN_VALUES) {
    throw new LimitError("values of one `in`", values.length, MAX_IN_VALUES, field.label);
  }
  const list = values.map((value) => scalar(field, "in", value));
  const groups = new Map<string, Scalar[]>();
  for (const value of list) {
    const types = typesOf(value);
    groups.set(types, [...(groups.get(types) ?? []), value]);
  }
  const parts: string[] = [];
  const parameters: SqlValue[] = [];
  const value = `${field.value} IN (SELECT value FROM json_each(?))`;
  for (const [types, members] of groups) {
    if (members[0] === null) {
      parts.push(`${field.type} = 'null'`);
    } else {
      parts.push(`${value} AND ${field.type} ${types}`);
      parameters.push(JSON.stringify(members));
    }
  }
  if (parts.length === 1) {
    // Of one type: no OR, so an index on the value serves it.
    const lookup = parameters.length === 0 ? {} : { lookup: { sql: value, parameters, inOrder: false } };
    return { sql: parts[0]!, parameters, ...lookup };
  }
  return { sql: parts.length === 0 ? "0" : parts.map((each) => `(${each})`).join(" OR "), parameters };
}

function compares(field: Field, operator: keyof typeof comparisons, value: unknown): OperatorCondition {
  if (typeof value !== "string" && !(typeof value === "number" && Number.isFinite(value))) {
    throw new UsageError(field.label, `${operator} wants a number or a string`);
  }
  const lookup = {
    sql: `${field.value} ${comparisons[operator]} json_extract(?, '$')`,
    parameters: [JSON.stringify(value)],
    inOrder: false,
  };
  return { sql: `${lookup.sql} AND ${field.type} ${typesOf(value)}`, parameters: lookup.parameters, lookup };
}

function contains(field: Field, value: Scalar): Condition {
  const text = JSON.stringify(value);
  const member = `${field.type} = 'array' AND EXISTS (SELECT 1 FROM json_each(${field.source}) AS m
    WHERE m.type ${typesOf(value)}${value === null ? "" : " AND m.value = json_extract(?, '$')"})`;
  return typeof value === "string"
    ? {
        sql: `(${field.type} = 'text' AND instr(${field.value}, json_extract(?, '$')) > 0) OR (${member})`,
        parameters: [text, text],
      }
    : { sql: member, parameters: value === null ? [] : [text] };
}

function compileOperator(field: Field, operator: Operator, value: unknown): OperatorCondition {
  switch (operator) {
    case "eq":
      return equals(field, scalar(field, operator, value));
    case "ne": {
      const { sql, parameters } = equals(field, scalar(field, operator, value));
      // A missing field makes the comparison NULL, which NOT would keep.
      return { sql: `NOT ifnull(${sql}, 0)`, parameters };
    }
    case "in":
      return isIn(field, value);
    case "exists":
      if (typeof value !== "boolean") {
        throw new UsageError(field.label, "exists wants true or false");
      }
      return { sql: `${field.type} IS ${value ? "NOT " : ""}NULL`, parameters: [] };
    case "contains":
      return contains(field, scalar(field, operator, value));
    default:
      return compares(field, operator, value);
  }
}

function all(conditions: readonly Condition[]): Condition {
  return {
    sql: conditions.map((condition) => `(${condition.sql})`).join(" AND "),
    parameters: conditions.flatMap((condition) => condition.parameters),
  };
}

/** What an index on the path can do for all operators of a field together. */
function lookupOf(conditions: readonly OperatorCondition[]): { lookup?: Lookup } {
  const lookups = conditions.flatMap((condition) => condition.lookup ?? []);
  const equal = lookups.find((lookup) => lookup.inOrder);
  if (equal !== undefined) {
    return { lookup: equal };
  }
  return lookups.length === 0 ? {} : { lookup: { ...all(lookups), inOrder: false } };
}

/**
 * Compiles a `where` over the JSON in `column`, a condition a field.
 *
 * Throws `UsageError` naming the field, for a path, operator or operand that is wrong.
 */
export function compileWhere(where: Where, column: string): FieldCondition[] {
  const entries = Object.entries(where);
  if (entries.length > MAX_WHERE_FIELDS) {
    throw new LimitError("fields of a `where`", entries.length, MAX_WHERE_FIELDS, "where");
  }
  return entries.map(([path, wanted]) => {
    const label = `where.${path}`;
    const sqlPath = jsonPath(path, label);
    const field: Field = {
      label,
      value: valueExpression(column, sqlPath),
      type: `json_type(${column}, '${sqlPath}')`,
      source: `${column}, '${sqlPath}'`,
    };
    if (!isScalar(wanted) && (typeof wanted !== "object" || Array.isArray(wanted))) {
      throw new UsageError(label, "wants a value or operators; for lists there are `in` and `contains`");
    }
    const operators: [string, unknown][] = isScalar(wanted) ? [["eq", wanted]] : Object.entries(wanted);
    if (operators.length === 0) {
      throw new UsageError(label, `names no operator; known: ${known.join(", ")}`);
    }
    const conditions = operators.map(([operator, value]) => {
      if (!known.includes(operator as Operator)) {
        throw new UsageError(
          label,
          `unknown operator ${JSON.stringify(operator)}; known: ${known.join(", ")}`,
        );
      }
      return compileOperator(field, operator as Operator, value);
    });
    return { path, value: field.value, ...all(conditions), ...lookupOf(conditions) };
  });
}
