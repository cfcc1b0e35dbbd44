import { expect, it } from "vitest";
import { gguf } from "../src/format/gguf/plan.ts";
import { fuzzFormat } from "./format-fuzz.ts";
import { type GgufToWrite, someBytes, writeGguf } from "./format-gguf-writer.ts";

it("100,000 damaged GGUF files are planned or refused", async () => {
  const tensors: GgufToWrite["tensors"] = [
    { name: "token_embd.weight", type: 2, dimensions: [64, 3], data: someBytes(108) },
    { name: "norm", type: 0, dimensions: [4], data: someBytes(16) },
    { name: "empty", type: 30, dimensions: [0, 2], data: new Uint8Array(0) },
  ];
  const metadata: GgufToWrite["metadata"] = [
    ["general.architecture", { type: "string", value: "llama" }],
    ["general.alignment", { type: "uint32", value: 32 }],
    [
      "tokens",
      { type: "array", of: "string", values: Array.from({ length: 70 }, (_, index) => `t${index}`) },
    ],
    ["nested", { type: "array", of: "array", values: [{ of: "uint8", values: [1, 2] }] }],
    ["eps", { type: "float32", value: 1e-5 }],
  ];
  const split: GgufToWrite["metadata"] = [
    ["split.no", { type: "uint16", value: 0 }],
    ["split.count", { type: "uint16", value: 2 }],
    ["split.tensors.count", { type: "int32", value: 5 }],
  ];
  const files: GgufToWrite[] = [
    { version: 2, metadata, tensors },
    { bigEndian: true, metadata, tensors: tensors.slice(1) },
    { metadata: split, tensors, padLast: false },
    {},
  ];
  const report = await fuzzFormat({
    format: gguf,
    seeds: files.map((file) => writeGguf(file).bytes),
    names: "m-00001-of-00002.gguf",
    seed: 3,
  });
  expect(report.planned).toBeGreaterThan(1000);
  expect(report.rules.size).toBeGreaterThan(12);
});
