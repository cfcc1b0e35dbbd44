import { InvalidFileError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatOf } from "../src/format/registry.ts";
import { parseSafetensorsHeader } from "../src/format/safetensors/header.ts";
import { planSafetensors } from "../src/format/safetensors/plan.ts";
import {
  checkShards,
  MAX_INDEX_BYTES,
  parseShardIndex,
  safetensorsIndex,
} from "../src/format/safetensors/shards.ts";
import { bufferSource, type FilePlan } from "../src/model/plan.ts";
import { entry } from "./format-safetensors-cases.ts";

const parse = (json: string): Map<string, string> =>
  new Map(parseShardIndex("m.index.json", new TextEncoder().encode(json)));

function refusal(run: () => unknown): { rule: string; tensor: string | undefined } {
  try {
    run();
  } catch (error) {
    if (!(error instanceof InvalidFileError)) throw error;
    return { rule: error.rule, tensor: error.tensor };
  }
  throw new Error("not refused");
}

/** The plan of a shard with these tensors of one byte each. */
function shard(path: string, ...names: string[]): [string, FilePlan] {
  const json = new TextEncoder().encode(
    `{${names.map((name, at) => entry(name, "U8", "[1]", at, at + 1)).join(",")}}`,
  );
  const bytes = 8 + json.length + names.length;
  const { parts } = planSafetensors(parseSafetensorsHeader(path, json, bytes));
  return [
    path,
    {
      path,
      format: "safetensors",
      bytes,
      parts,
      source: async () => bufferSource(path, new Uint8Array(bytes)),
    },
  ];
}

describe("sharded index", () => {
  it("reads the weight map, whatever stands beside it", () => {
    const json =
      '{"metadata":{"total_size":1.5e9,"x":[]},"weight_map":{"a":"1.safetensors","b":"2.safetensors"},"more":null}';
    expect([...parse(json)]).toEqual([
      ["a", "1.safetensors"],
      ["b", "2.safetensors"],
    ]);
    expect(parse('{"weight_map":{}}').size).toBe(0);
    expect([...parse('{"weight_map":{"__proto__":"x","":"y"}}').keys()]).toEqual(["__proto__", ""]);
  });

  it.each([
    "../x",
    "..",
    ".",
    "",
    "/etc/passwd",
    "a/b",
    "./a",
    "\\\\host\\x",
    "C:/x",
    "C:x",
    "c:\\x",
    "http://x/y",
    "file:x",
    "data:,x",
    "hf://a",
    "a\0",
    "a\n",
    "x\u0085",
    "x".repeat(300),
  ])("refuses the shard name %j", (name) => {
    expect(refusal(() => parse(JSON.stringify({ weight_map: { ok: "1.safetensors", t: name } })))).toEqual({
      rule: "shard-name",
      tensor: "t",
    });
  });

  it.each([
    ["{}", "index-fields", undefined],
    ["[]", "index-fields", undefined],
    ['{"weight_map":[]}', "index-fields", undefined],
    ['{"weight_map":null}', "index-fields", undefined],
    ['{"weight_map":{"a":1}}', "index-fields", "a"],
    ['{"weight_map":{"a":"1","a":"2"}}', "duplicate-key", undefined],
    ['{"weight_map":{},"weight_map":{}}', "duplicate-key", undefined],
    ['{"weight_map":{}}x', "json", undefined],
    ["", "json", undefined],
    ["\ufeff{}", "byte-order-mark", undefined],
  ])("refuses %s", (json, rule, tensor) => {
    expect(refusal(() => parse(json))).toEqual({ rule, tensor });
  });

  it("never fails otherwise", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.json().map((value) => `{"weight_map":${value}}`),
        ),
        (json) => {
          try {
            for (const name of parse(json).values()) expect(name).not.toMatch(/[\\/]|^\.{0,2}$/);
          } catch (error) {
            if (!(error instanceof InvalidFileError)) throw error;
          }
        },
      ),
    );
  });

  it("checks tensors against shards", () => {
    const weights = parse('{"weight_map":{"a":"1","b":"2","c":"2"}}');
    const check = (...shards: [string, FilePlan][]): void => checkShards("index", weights, new Map(shards));
    check(shard("1", "a"), shard("2", "b", "c"));
    expect(refusal(() => check(shard("1", "a")))).toEqual({ rule: "shard-missing", tensor: "b" });
    expect(refusal(() => check(shard("1", "a"), shard("2", "b")))).toEqual({
      rule: "tensor-missing",
      tensor: "c",
    });
    expect(refusal(() => check(shard("1", "a", "x"), shard("2", "b", "c")))).toEqual({
      rule: "tensor-unknown",
      tensor: "x",
    });
    expect(refusal(() => check(shard("1", "a", "b"), shard("2", "b", "c")))).toEqual({
      rule: "tensor-unknown",
      tensor: "b",
    });
    const [path, plan] = shard("1", "a");
    expect(refusal(() => check([path, { ...plan, format: "opaque" }]))).toEqual({
      rule: "shard-not-safetensors",
      tensor: "a",
    });
  });

  it("is known by its name and limited in size", async () => {
    const id = (name: string): string => formatOf(name, new Uint8Array(0)).format.id;
    expect(id("model.safetensors.index.json")).toBe("safetensors-index");
    expect(id("diffusion_pytorch_model.safetensors.index.fp16.json")).toBe("safetensors-index");
    expect(id("pytorch_model.bin.index.json")).toBe("opaque");
    const source = { ...bufferSource("x", new Uint8Array(0)), bytes: MAX_INDEX_BYTES + 1 };
    await expect(safetensorsIndex.plan(source)).rejects.toMatchObject({ rule: "index-limit" });
  });
});
