/** Every registered quantizer is on docs/format.md, and the reader of format-spec/ gets from that page what the library reads. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quantizers } from "@tensorcask/codec";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStore } from "../src/index.ts";
import { chunkLengths, keyOf } from "./format-spec/arrays.ts";
import { knowsQuantizer } from "./format-spec/quantizers.ts";
import { bfloat16, bytesOfArray, weights } from "./format-spec/samples.ts";
import { SpecStore } from "./format-spec/store.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/format.md"), "utf8");

/** Parameters that change what is stored, besides the defaults. */
const variants: Readonly<Record<string, readonly object[]>> = {
  int8: [{ granularity: "tensor" }],
  fp8_e4m3: [{ granularity: "row" }, { rounding: "stochastic", seed: 3 }],
  fp8_e5m2: [{ granularity: "row" }],
  mxfp8: [{ format: "e5m2" }],
  mxfp6: [{ format: "e3m2" }],
  palette: [{ colours: 64 }, { colours: 256, rows: 7 }, { rows: 16 }],
  prune: [{ threshold: 0.01 }],
};

const CHUNK_ELEMENTS = 4096;
const SHAPES: readonly (readonly number[])[] = [[64, 512], [70, 301], [9001]];

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tensorcask-quantizers-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

/** Tensors of every dtype that is quantized, some as large as their numbers get. */
function* tensors(): Generator<{ name: string; dtype: string; shape: readonly number[]; data: object }> {
  for (const [index, shape] of SHAPES.entries()) {
    const count = shape.reduce((product, axis) => product * axis, 1);
    const floats = weights(count, 7 + index);
    const huge = floats.map((value, at) => (at % 50 === 0 ? Math.sign(value) * 3.4e38 : value));
    const half = Uint16Array.from(floats, (_, at) => [0x3c01, 0xb555, 0x0003, 0x8000, 0x7bff][at % 5]!);
    yield { name: `float32 ${index}`, dtype: "float32", shape, data: floats };
    yield { name: `huge ${index}`, dtype: "float32", shape, data: huge };
    yield { name: `float64 ${index}`, dtype: "float64", shape, data: Float64Array.from(floats) };
    yield { name: `bfloat16 ${index}`, dtype: "bfloat16", shape, data: bfloat16(floats) };
    yield { name: `huge bfloat16 ${index}`, dtype: "bfloat16", shape, data: bfloat16(huge) };
    yield { name: `float16 ${index}`, dtype: "float16", shape, data: half };
  }
}

test("the key of a tensor that a policy chose for has the reason in it", async () => {
  const data = weights(6000, 1);
  const store = await openStore(directory, { workers: 0, chunkElements: CHUNK_ELEMENTS });
  try {
    const policy = { rules: [{ names: ["w"], quantizer: "nf4" }] };
    await store.definePreset("mine", { codec: "none", policy });
    const dataset = await store.createDataset("d", { preset: "mine" });
    await dataset.insert({ dtype: "float32", shape: [60, 100], data }, { name: "w" });
  } finally {
    await store.close();
  }
  const [tensor] = [...new SpecStore(directory).tensors.values()];
  const { key, dtype, shape, geometry, note } = tensor!;
  expect(note).toBe("rule 1");
  const quantizer = JSON.stringify({ id: "nf4", note, parameters: tensor!.parameters });
  const parts = { dtype, shape, geometry, chunkElements: CHUNK_ELEMENTS, quantizer };
  expect(keyOf(bytesOfArray(data), chunkLengths(dtype, shape, CHUNK_ELEMENTS), parts)).toEqual(key);
});

describe.each(quantizers.map(({ id }) => [id]))("%s", (id) => {
  test("is on the page, in its table of quantizers, and the reader knows it", () => {
    const [section] = /## 7\. [\s\S]*?\n## 8\./.exec(page)!;
    expect(section).toMatch(new RegExp(`^\\| \`${id}\` `, "m"));
    expect(knowsQuantizer(id)).toBe(true);
  });

  test("tensors come back as the library gives them back", async () => {
    const known = new Map<string, Buffer>();
    const store = await openStore(directory, { workers: 0, chunkElements: CHUNK_ELEMENTS });
    try {
      const dataset = await store.createDataset("d");
      for (const [variant, parameters] of [{}, ...(variants[id] ?? [])].entries()) {
        const preset = `variant-${variant}`;
        await store.definePreset(preset, { quantizer: { id, ...parameters }, codec: "none" });
        for (const { name, dtype, shape, data } of tensors()) {
          await dataset.insert({ dtype, shape, data } as never, { name: `${preset} ${name}`, preset });
        }
      }
      for await (const record of dataset.records())
        known.set(record.name!, Buffer.from((await record.read()).bytes()));
    } finally {
      await store.close();
    }
    const spec = new SpecStore(directory);
    const quantized = [...spec.tensors.values()].filter(({ quantizer }) => quantizer === id);
    expect(quantized.length).toBeGreaterThan(5 * (1 + (variants[id]?.length ?? 0)));
    for (const [name, bytes] of known) expect(Buffer.compare(spec.read("d", name), bytes), name).toBe(0);
  }, 120_000);
});
