import { describe, expect, test } from "vitest";
import { UsageError } from "../src/errors/errors.ts";
import { builtinPresets, DEFAULT_PRESET, findBuiltinPreset } from "../src/preset/builtin.ts";
import { parsePreset, presetToJson } from "../src/preset/preset.ts";

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
    ]);
    expect(findBuiltinPreset(DEFAULT_PRESET)?.lossless).toBe(true);
    expect(findBuiltinPreset("Lossless")).toBeUndefined();
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
    [{ codec: "gzip", quantiser: "fp16" }, "quantiser", /no parameter "quantiser"; known: quantizer, codec/],
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
