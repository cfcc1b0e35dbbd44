import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { chooseQuantizer, keepsBudget, type MeasuredQuantizer } from "../src/preset/choose-quantizer.ts";
import { matchesGlob } from "../src/preset/glob.ts";
import { bitsPerWeightOf, parsePreset, presetToJson } from "../src/preset/preset.ts";
import {
  checkPatterns,
  parseQuantizerPolicy,
  quantizerPolicyToJson,
} from "../src/preset/quantizer-policy.ts";
import type { QuantizationError } from "../src/quantize/error-statistics.ts";
import { type DTypeName, dtypeOf } from "../src/tensor/dtype.ts";

const error = (snrDb: number): QuantizationError => ({
  maxAbsolute: 1,
  rmse: 10 ** (-snrDb / 20),
  snrDb,
  cosine: 1,
});

const tensor = (name: string | undefined, dtype: DTypeName = "float32", shape = [64, 64]) => ({
  name,
  dtype: dtypeOf(dtype),
  shape,
});

/** Asks again and again, with `snrDb` by quantizer as what was measured; the ids in the order in which they were asked for. */
function settle(policy: object, snrDb: { readonly [id: string]: number | undefined }) {
  const parsed = parseQuantizerPolicy(policy);
  const measured: MeasuredQuantizer[] = [];
  for (;;) {
    const choice = chooseQuantizer(parsed, tensor("w"), measured);
    if (choice.choice !== "measure") return { choice, asked: measured.map(({ quantizer }) => quantizer.id) };
    const found = snrDb[choice.quantizer.id];
    measured.push({
      quantizer: choice.quantizer,
      outcome: found === undefined ? { refused: "no" } : { error: error(found), bitsPerWeight: 4 },
    });
  }
}

describe("matchesGlob", () => {
  test.each([
    ["*", "", true],
    ["", "", true],
    ["", "a", false],
    ["model.*.mlp.*", "model.layers.0.mlp.up.weight", true],
    ["*norm*", "model.norm", true],
    ["*norm", "model.norm.weight", false],
    ["layer?.w", "layer7.w", true],
    ["layer?.w", "layer.w", false],
    ["a.b", "axb", false],
    ["a*b*c", "a1b2b3c", true],
    ["*.weight", "weight", false],
    ["[a]", "a", false],
  ])("%j, %j: %s", (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
  });

  test("is what a regular expression says (property)", () => {
    const letter = fc.constantFrom("a", "b", "*", "?", ".");
    fc.assert(
      fc.property(
        fc.string({ unit: letter, maxLength: 8 }),
        fc.string({ unit: letter, maxLength: 12 }),
        (pattern, name) => {
          const source = pattern.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".");
          expect(matchesGlob(pattern, name)).toBe(new RegExp(`^${source}$`, "s").test(name));
        },
      ),
    );
  });

  test("does not take exponential time", () => {
    expect(matchesGlob("*a".repeat(100), "a".repeat(99))).toBe(false);
  });
});

describe("chooseQuantizer", () => {
  const policy = parseQuantizerPolicy({
    minElements: 100,
    rules: [
      { names: ["*embed*", "*norm*"], quantizer: "bf16" },
      {
        names: ["*.attn.*"],
        dtypes: ["float32", "float64"],
        quantizer: { id: "int8", granularity: "tensor" },
      },
      { names: ["*.mlp.*"], quantizer: "q4_0" },
      { minElements: 10_000, quantizer: "none" },
    ],
  });

  test.each([
    ["tok_embed", "float32", [64, 64], "bf16", "rule 1"],
    ["tok_embed", "bfloat16", [64, 64], undefined, "rule 1: bf16 makes bfloat16 no smaller"],
    ["h.0.attn.q", "float64", [64, 64], "int8", "rule 2"],
    ["h.0.attn.q", "float16", [64, 64], "fp8_e5m2", "no rule"],
    ["h.0.mlp.up", "float16", [64, 64], "q4_0", "rule 3"],
    ["other", "float32", [100, 100], undefined, "rule 4"],
    ["other", "float32", [99, 100], "fp8_e5m2", "no rule"],
    [undefined, "float32", [64, 64], "fp8_e5m2", "no rule"],
    ["h.0.mlp.up", "float32", [99], undefined, "99 elements, fewer than 100"],
  ] as const)("%s of %s %j: %s (%s)", (name, dtype, shape, id, reason) => {
    const fallback = { id: "fp8_e5m2", parameters: { granularity: "tensor" } };
    const choice = chooseQuantizer(policy, tensor(name, dtype, [...shape]), [], fallback);
    expect(choice).toMatchObject(id === undefined ? { choice: "none", reason } : { choice: "use", reason });
    if (choice.choice === "use") expect(choice.quantizer.id).toBe(id);
  });

  test("without a fallback, what no rule decides is stored without loss", () => {
    expect(chooseQuantizer(policy, tensor("other"))).toEqual({ choice: "none", reason: "no rule" });
  });

  test("measures the cheapest candidate first, and takes the first that keeps the budget", () => {
    const candidates = ["bf16", "q8_0", "nf4", "q6_k"];
    const within = (budget: object) =>
      settle({ budget, candidates }, { nf4: 20.7, q6_k: 35, q8_0: 45.4, bf16: 55 });
    expect(within({ minSnrDb: 20 })).toEqual({
      asked: ["nf4"],
      choice: {
        choice: "use",
        quantizer: { id: "nf4", parameters: {} },
        reason: "no rule, at least 20 dB: 20.7 dB at 4.00 bits",
      },
    });
    expect(within({ minSnrDb: 40 }).asked).toEqual(["nf4", "q6_k", "q8_0"]);
    expect(within({ maxRelativeError: 0.01 }).choice).toMatchObject({ quantizer: { id: "q8_0" } });
    expect(within({ maxRelativeError: 0.0178 }).choice).toMatchObject({ quantizer: { id: "q6_k" } });
    expect(within({ minSnrDb: 60 }).choice).toEqual({
      choice: "none",
      reason: "no rule, at least 60 dB: none of 4 quantizers keeps it",
    });
  });

  test("passes over what refuses the tensor", () => {
    expect(settle({ budget: { minSnrDb: 20 }, candidates: ["nf4", "int8"] }, { int8: 42 })).toMatchObject({
      asked: ["nf4", "int8"],
      choice: { quantizer: { id: "int8" } },
    });
  });

  test("leaves out candidates that make the dtype no smaller", () => {
    const parsed = parseQuantizerPolicy({ budget: { minSnrDb: 20 }, candidates: ["bf16", "prune"] });
    const choice = chooseQuantizer(parsed, tensor("w", "bfloat16"));
    expect(choice).toMatchObject({ choice: "measure", quantizer: { id: "prune" } });
  });

  test("goes from 4 bits to 16 by default", () => {
    const { asked } = settle({ budget: { minSnrDb: 300 } }, { bf16: 55 });
    const bits = asked.map((id) => bitsPerWeightOf(parsePreset("p", { quantizer: id, codec: "none" }))!);
    expect(bits).toEqual([...bits].sort((one, other) => one - other));
    expect(asked).toContain("nf4-dq");
    expect(asked.at(-1)).toBe("fp16");
  });

  test("a budget is kept by no error, whatever the signal", () => {
    const none = { maxAbsolute: 0, rmse: 0, snrDb: null, cosine: null };
    expect(keepsBudget(none, { minSnrDb: 300 })).toBe(true);
    expect(keepsBudget({ ...none, rmse: 1 }, { minSnrDb: 1 })).toBe(false);
    expect(keepsBudget(error(40.01), { maxRelativeError: 0.01 })).toBe(true);
    expect(keepsBudget(error(39.99), { maxRelativeError: 0.01 })).toBe(false);
  });
});

describe("checkPatterns", () => {
  const policy = parseQuantizerPolicy({
    rules: [
      { names: ["*.mlp.*", "*.mpl.*"], quantizer: "q4_0" },
      { names: ["head"], quantizer: "bf16" },
    ],
  });

  test("names the patterns that no tensor fits", () => {
    expect(() => checkPatterns(policy, ["h.0.mlp.up"])).toThrow(
      'policy.rules: no tensor has a name that fits "*.mpl.*", "head"',
    );
    expect(() => checkPatterns(policy, ["h.mlp.x", "h.mpl.x", "head"])).not.toThrow();
  });
});

describe("parsing", () => {
  test("survives JSON, and is part of a preset", () => {
    const json = {
      quantizer: "nf4",
      codec: "auto",
      policy: {
        minElements: 10,
        rules: [
          { names: ["*"], dtypes: ["F32"], minElements: 5, quantizer: "none" },
          { names: ["b"], budget: { minSnrDb: 10 } },
          { names: ["c"], quantizer: { id: "int8", granularity: "tensor" } },
        ],
        candidates: ["nf4", { id: "prune", sparsity: 0.3 }],
      },
    };
    const preset = parsePreset("mine", json);
    expect(preset.lossless).toBe(false);
    expect(preset.policy!.rules[0]).toEqual({
      names: ["*"],
      dtypes: ["float32"],
      minElements: 5,
      use: "none",
    });
    expect(parsePreset("mine", JSON.parse(JSON.stringify(presetToJson(preset))))).toEqual(preset);
    expect(structuredClone(preset)).toEqual(preset);
    expect(bitsPerWeightOf(preset)).toBeUndefined();
    const plain = parseQuantizerPolicy({ rules: [{ names: ["a"], quantizer: "bf16" }] });
    expect(parseQuantizerPolicy(quantizerPolicyToJson(plain))).toEqual(plain);
  });

  test("loses nothing where every rule stores without loss", () => {
    expect(parsePreset("p", { codec: "none", policy: { rules: [{ quantizer: "none" }] } }).lossless).toBe(
      true,
    );
    expect(parsePreset("p", { codec: "none", policy: { budget: { minSnrDb: 9 } } }).lossless).toBe(false);
  });

  test.each([
    [{ rule: [] }, "rule", /policy has no parameter "rule"; known: minElements, rules, budget, candidates/],
    [
      { rules: [{ name: "a", quantizer: "bf16" }] },
      "name",
      /policy.rules\[0\] has no parameter "name"; known: names/,
    ],
    [{ rules: {} }, "policy.rules", /must be a list/],
    [{ rules: [{ names: ["a"] }] }, "policy.rules[0]", /has neither a quantizer nor a budget/],
    [
      { rules: [{ quantizer: "bf16", budget: { minSnrDb: 1 } }] },
      "policy.rules[0]",
      /has a quantizer and a budget/,
    ],
    [
      { rules: [{ names: [], quantizer: "bf16" }] },
      "policy.rules[0].names",
      /is empty, so that no tensor fits/,
    ],
    [{ rules: [{ names: [""], quantizer: "bf16" }] }, "policy.rules[0].names", /"" is no pattern/],
    [
      { rules: [{ dtypes: ["int32"], quantizer: "bf16" }] },
      "policy.rules[0].dtypes",
      /int32 is never quantized/,
    ],
    [
      { rules: [{ dtypes: ["float31"], quantizer: "bf16" }] },
      "policy.rules[0].dtypes",
      /unknown dtype "float31"/,
    ],
    [{ rules: [{ quantizer: "bf17" }] }, "policy.rules[0].quantizer", /unknown quantizer "bf17"/],
    [
      { rules: [{ quantizer: "bf16" }, { names: ["a"], quantizer: "fp16" }] },
      "policy.rules[0]",
      /no rule behind it is ever used/,
    ],
    [{ budget: { minSnrDb: 20, maxRelativeError: 0.1 } }, "policy.budget", /contradict each other/],
    [{ budget: {} }, "policy.budget", /is empty/],
    [{ budget: { minSnrDb: -3 } }, "policy.budget.minSnrDb", /is -3; it must be a number above 0/],
    [{ budget: { maxRelativeError: 1 } }, "policy.budget.maxRelativeError", /is 1; .* below 1/],
    [{ budget: { maxError: 1 } }, "maxError", /policy.budget has no parameter "maxError"/],
    [{ budget: { minSnrDb: 20 }, candidates: [] }, "policy.candidates", /is empty, but there is a budget/],
    [{ candidates: ["bf16"] }, "policy.candidates", /there is no budget to choose them by/],
    [{ budget: { minSnrDb: 20 }, candidates: ["none"] }, "policy.candidates[0]", /names no quantizer/],
    [{ minElements: -1 }, "policy.minElements", /is -1/],
    ["bf16", "policy", /must be a JSON object/],
  ])("refuses %j", (json, field, message) => {
    const parse = (): unknown => parseQuantizerPolicy(json);
    expect(parse).toThrow(message);
    expect(parse).toThrow(expect.objectContaining({ tag: "usage", field }));
  });

  test("a quantizer and a budget for the same tensors contradict each other", () => {
    const json = { quantizer: "nf4", codec: "none", policy: { budget: { minSnrDb: 20 } } };
    expect(() => parsePreset("p", json)).toThrow(
      /quantizer and policy.budget are both for what no rule decides/,
    );
  });
});
