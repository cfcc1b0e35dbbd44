import { describe, expect, test } from "vitest";
import { UsageError } from "../src/errors/errors.ts";
import { builtinPresets, DEFAULT_PRESET, findBuiltinPreset } from "../src/preset/builtin.ts";
import { bitsPerWeightOf, parsePreset, presetToJson } from "../src/preset/preset.ts";

describe("built-in presets", () => {
  test("are the documented ones", () => {
    const rows = builtinPresets.map(({ name, quantizer, codec, lossless }) => [
      name,
      quantizer?.id,
      codec,
      lossless,
    ]);
    const gzip = (level: number) => ({ chain: [{ codec: "gzip", parameters: { level } }] });
    expect(rows).toEqual([
      ["none", undefined, { chain: [] }, true],
      ["fast", undefined, { chain: [{ codec: "lz4", parameters: { level: 1 } }] }, true],
      ["lossless", undefined, { auto: "lossless" }, true],
      ["lossless-fast", undefined, { auto: "fast" }, true],
      ["archive", undefined, { auto: "archive" }, true],
      ["balanced", "fp16", gzip(6), false],
      ["maximum", "int8", gzip(9), false],
      ["fp16_only", "fp16", { chain: [] }, false],
      ["int8_only", "int8", { chain: [] }, false],
      ["bf16", "bf16", { auto: "lossless" }, false],
      ["fp8", "fp8_e4m3", { auto: "lossless" }, false],
      ["fp8_e5m2", "fp8_e5m2", { auto: "lossless" }, false],
      ["q8_0", "q8_0", { auto: "lossless" }, false],
      ["q6_k", "q6_k", { auto: "lossless" }, false],
      ["q4_1", "q4_1", { auto: "lossless" }, false],
      ["q4_k", "q4_k", { auto: "lossless" }, false],
      ["q4_0", "q4_0", { auto: "lossless" }, false],
      ["nf4", "nf4", { auto: "lossless" }, false],
      ["nf4-dq", "nf4-dq", { auto: "lossless" }, false],
      ["mxfp8", "mxfp8", { auto: "lossless" }, false],
      ["mxfp6", "mxfp6", { auto: "lossless" }, false],
      ["mxfp4", "mxfp4", { auto: "lossless" }, false],
      ["nvfp4", "nvfp4", { auto: "lossless" }, false],
      ["palette", "palette", { auto: "lossless" }, false],
      ["prune", "prune", { chain: [{ codec: "sparse", parameters: { skip: 0 } }] }, false],
    ]);
    expect(findBuiltinPreset(DEFAULT_PRESET)?.lossless).toBe(true);
    expect(findBuiltinPreset("Lossless")).toBeUndefined();
  });

  test("say how many bits a weight takes", () => {
    const bits = Object.fromEntries(builtinPresets.map((preset) => [preset.name, bitsPerWeightOf(preset)]));
    expect(bits).toMatchObject({
      none: undefined,
      lossless: undefined,
      balanced: 16,
      int8_only: 8,
      q8_0: 8.5,
      q6_k: 6.5625,
      q4_k: 4.5,
      q4_1: 5,
      nf4: 4.5,
      mxfp8: 8.25,
      mxfp6: 6.25,
      mxfp4: 4.25,
      nvfp4: 4.5,
      palette: 4,
      prune: 17,
    });
    expect(bits["nf4-dq"]).toBeCloseTo(4.127, 3);
  });

  test("survive JSON and structured cloning", () => {
    for (const preset of builtinPresets) {
      expect(parsePreset(preset.name, JSON.parse(JSON.stringify(presetToJson(preset))))).toEqual(preset);
      expect(structuredClone(preset)).toEqual(preset);
    }
  });
});

describe("custom presets", () => {
  test.each([
    [{ codec: "none" }, { codec: { chain: [] }, lossless: true }],
    [
      { codec: "auto", quantizer: "none" },
      { codec: { auto: "lossless" }, lossless: true },
    ],
    [
      {
        codec: ["planes", { id: "zstd", level: 19 }],
        quantizer: { id: "int8", granularity: "tensor" },
        description: "x",
      },
      { quantizer: { id: "int8", parameters: { granularity: "tensor" } }, lossless: false, description: "x" },
    ],
    [
      { codec: "gzip", quantizer: { id: "int8", parameters: { granularity: "channel" } } },
      { quantizer: { id: "int8", parameters: { granularity: "channel" } } },
    ],
  ])("%j", (json, expected) => {
    const preset = parsePreset("mine", json);
    expect(preset).toMatchObject({ name: "mine", ...expected });
    expect(parsePreset("mine", presetToJson(preset))).toEqual(preset);
  });

  test.each([
    [{}, "codec", /codec is missing/],
    [
      { codec: "gzip", quantiser: "fp16" },
      "quantiser",
      /no parameter "quantiser"; known: quantizer, policy, codec/,
    ],
    [{ codec: "gzip", quantizer: "fp17" }, "quantizer", /unknown quantizer "fp17"/],
    [{ codec: "gzip", quantizer: { id: "int8", bits: 4 } }, "quantizer", /int8 has no parameter "bits"/],
    [{ codec: "gzip", quantizer: { granularity: "tensor" } }, "quantizer", /id is missing/],
    [{ codec: "gzip", quantizer: 8 }, "quantizer", /quantizer is 8/],
    [{ codec: ["planes", "zip"] }, "codec", /codec step 2: unknown codec "zip"/],
    [{ codec: { id: "gzip", level: 0 } }, "level", /codec: gzip: level is 0/],
    [{ codec: "gzip", description: 5 }, "description", /description/],
    ["gzip", "preset", /must be a JSON object/],
  ])("refuses %j", (json, field, message) => {
    expect(() => parsePreset("mine", json)).toThrow(message);
    expect(() => parsePreset("mine", json)).toThrow(expect.objectContaining({ tag: "usage", field }));
  });

  test.each(["", "a b", "a/b", "x".repeat(65)])("refuses the name %j", (name) => {
    expect(() => parsePreset(name, { codec: "none" })).toThrow(UsageError);
  });
});
