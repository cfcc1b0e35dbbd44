/**
 * The price of each quantizer on normal weights: bits per weight and signal to noise. The figures of the plain ones are those measured elsewhere for plain
 * implementations of the formats; those of the super-blocks come from ggml's search for scales, which is better than a plain one.
 */
import { beforeAll, expect, it } from "vitest";
import type { JsonObject } from "../src/bytes/json.ts";
import { ready } from "../src/bytes/ready.ts";
import { quantizerOf } from "../src/quantize/registry.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { normalWeights, quantize } from "./quantized.ts";

beforeAll(ready);

const ROWS = 512;
const COLUMNS = 1024;
const weights = normalWeights(ROWS * COLUMNS, 1);

/** Quantizer, parameters, bits per weight, dB. */
const facts: readonly (readonly [string, JsonObject, number, number])[] = [
  ["q8_0", {}, 8.5, 45.4],
  ["int8", {}, 8 + 32 / COLUMNS, 42.1],
  ["fp8_e4m3", { granularity: "row" }, 8 + 32 / COLUMNS, 31.6],
  ["fp8_e5m2", { granularity: "row" }, 8 + 32 / COLUMNS, 25.6],
  ["q6_k", {}, 6.5625, 35],
  ["q4_k", {}, 4.5, 22.9],
  ["q4_0", {}, 4.5, 21.3],
  ["q4_1", {}, 5, 22.1],
  ["nf4", {}, 4.5, 20.7],
  ["nf4-dq", {}, 4.127, 20.7],
  ["nvfp4", {}, 4.5, 20.4],
  ["mxfp6", { format: "e3m2" }, 6.25, 25.3],
  ["mxfp6", {}, 6.25, 30.9],
  ["mxfp8", {}, 8.25, 30.6],
  ["mxfp4", {}, 4.25, 18.8],
  ["palette", { colours: 16 }, 4, 20.2],
];

it.each(facts)("%s %j: %f bits per weight, %f dB", (id, parameters, bits, snrDb) => {
  const { plan } = quantize(id, "float32", [ROWS, COLUMNS], weights, { parameters });
  expect(Math.abs(plan!.bitsPerWeight - bits)).toBeLessThan(0.002);
  expect(Math.abs(plan!.error().snrDb! - snrDb)).toBeLessThan(0.2);
  const quantizer = quantizerOf(id);
  const nominal = quantizer.bitsPerWeight(quantizer.parse(parameters), dtypeOf("float32"));
  expect(Math.abs(nominal - bits)).toBeLessThan(0.05);
});
