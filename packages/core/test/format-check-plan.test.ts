/** What a plan must keep before it is stored; a parser that breaks it is stopped. */
import { type DTypeName, dtypeOf, InvalidFileError } from "@tensorcask/codec";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPlan } from "../src/format/check-plan.ts";
import { planSource } from "../src/format/inputs.ts";
import { formats } from "../src/format/registry.ts";
import type { JsonObject } from "../src/model/entry.ts";
import { bufferSource, type DerivedTensor, type PartLayout, type PlanPart } from "../src/model/plan.ts";
import { anyFile, sampleFile } from "./plan-samples.ts";

interface TensorOptions {
  readonly name?: string;
  readonly dtype?: DTypeName;
  readonly shape?: readonly number[];
  readonly bytes?: number;
  readonly offset?: number;
  readonly layout?: PartLayout;
  readonly metadata?: JsonObject;
}

const tensor = ({ dtype = "uint8", ...rest }: TensorOptions = {}): Extract<PlanPart, { kind: "tensor" }> => ({
  kind: "tensor",
  name: "a",
  shape: [4],
  offset: 0,
  bytes: 4,
  dtype: dtypeOf(dtype),
  ...rest,
});
const literal = (offset: number, bytes: number): PlanPart => ({ kind: "literal", offset, bytes });
const derived = (options: TensorOptions = {}): DerivedTensor => ({
  ...tensor(options),
  elements: async function* () {},
});

function refusal(
  bytes: number,
  parts: readonly PlanPart[],
  tensors: readonly DerivedTensor[] = [],
): InvalidFileError {
  try {
    checkPlan("the file", bytes, parts, tensors);
  } catch (error) {
    expect(error).toBeInstanceOf(InvalidFileError);
    return error as InvalidFileError;
  }
  throw new Error("the plan is taken");
}

describe("the check of plans", () => {
  it("takes what covers the file (property)", () => {
    fc.assert(
      fc.property(anyFile("a"), ({ plan: { bytes, parts, derived: tensors } }) =>
        checkPlan("a", bytes, parts, tensors),
      ),
      { numRuns: 200 },
    );
    checkPlan("empty", 0, []);
    checkPlan("none", 0, [tensor({ shape: [0], bytes: 0 }), tensor({ name: "b", shape: [3, 0], bytes: 0 })]);
  });

  it.each<[string, string, number, readonly PlanPart[]]>([
    ["a hole at the start", "parts", 5, [tensor({ offset: 1 })]],
    ["a hole between", "parts", 9, [literal(0, 4), tensor({ offset: 5 })]],
    ["an overlap", "parts", 7, [literal(0, 4), tensor({ offset: 3 })]],
    ["a part behind the file", "parts", 7, [literal(0, 4), tensor({ offset: 4 })]],
    ["an end before the file's", "parts", 9, [literal(0, 4), tensor({ offset: 4 })]],
    ["nothing at all", "parts", 1, []],
    ["a negative length", "parts", 0, [literal(0, 4), literal(4, -4)]],
    ["half a byte", "parts", 1, [literal(0, 0.5), literal(0.5, 0.5)]],
    ["a length that is none", "parts", 1, [literal(0, Number.NaN)]],
    ["bytes that do not fit", "size", 4, [tensor({ dtype: "float32" })]],
    ["too many packed bytes", "size", 4, [tensor({ dtype: "int4", shape: [6] })]],
    ["a negative axis", "shape", 4, [tensor({ shape: [-4] })]],
    ["half an axis", "shape", 4, [tensor({ shape: [0.5, 8] })]],
    ["more elements than can be", "shape", 4, [tensor({ shape: [2 ** 40, 2 ** 40] })]],
    ["a name twice", "name", 8, [tensor(), tensor({ offset: 4 })]],
    ["half a surrogate pair", "name", 4, [tensor({ name: "\ud800" })]],
    [
      "order of packed elements",
      "layout",
      4,
      [tensor({ dtype: "int4", shape: [8], layout: { columnMajor: true } })],
    ],
    ["metadata that is no JSON", "metadata", 4, [tensor({ metadata: { a: Number.NaN } })]],
    ["metadata without end", "metadata", 4, [tensor({ metadata: { a: "x".repeat(2 ** 20) } })]],
  ])("refuses %s (%s)", (_, rule, bytes, parts) => {
    expect(refusal(bytes, parts)).toMatchObject({ file: "the file", rule });
  });

  it("holds derived tensors to the same, and to the names of the parts", () => {
    expect(refusal(4, [tensor()], [derived()])).toMatchObject({ rule: "name", tensor: "a" });
    expect(refusal(0, [], [derived(), derived()])).toMatchObject({ rule: "name" });
    expect(refusal(0, [], [derived({ bytes: 5 })])).toMatchObject({ rule: "size", tensor: "a" });
    expect(refusal(0, [], [derived({ metadata: { a: Number.POSITIVE_INFINITY } })])).toMatchObject({
      rule: "metadata",
    });
    checkPlan("the file", 4, [tensor()], [derived({ name: "b" })]);
  });

  it("is cheap for many parts", () => {
    const parts = Array.from({ length: 100_000 }, (_, index) =>
      tensor({ name: `t${index}`, offset: 4 * index }),
    );
    const started = performance.now();
    checkPlan("many", 400_000, parts);
    expect(performance.now() - started).toBeLessThan(1000);
  });

  it("stands between formats and the store", async () => {
    const { plan, bytes } = sampleFile("x", [{ kind: "literal", bytes: new Uint8Array(10) }]);
    const fake = {
      id: "fake",
      matches: (name: string) =>
        name === "named" ? ("name" as const) : name === "like" ? ("content" as const) : undefined,
      plan: async () => ({ parts: plan.parts.slice(1) }),
    };
    (formats as (typeof fake)[]).unshift(fake);
    try {
      await expect(planSource(bufferSource("x", bytes), "named")).rejects.toMatchObject({ rule: "parts" });
      expect(await planSource(bufferSource("x", bytes), "like")).toMatchObject({
        format: "opaque",
        broken: { rule: "parts" },
      });
    } finally {
      (formats as (typeof fake)[]).shift();
    }
  });
});
