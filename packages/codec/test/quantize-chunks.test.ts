/** A store cuts `values` by `ValuesGeometry`, codes chunk by chunk, and decodes any chunk alone. */
import { beforeAll, describe, expect, it } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { ElementGeometry } from "../src/chunk/geometry.ts";
import { ValuesGeometry } from "../src/chunk/values-geometry.ts";
import { UsageError } from "../src/errors/errors.ts";
import { dequantizer, quantizerOf, quantizers } from "../src/quantize/registry.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { bytesOf } from "../src/tensor/typed-array.ts";
import { normalWeights, quantize } from "./quantized.ts";

beforeAll(ready);

const float32 = dtypeOf("float32");

describe.each(quantizers.map(({ id }) => id))("%s in chunks", (id) => {
  it.each([
    [[5, 640], 64],
    [[5, 640], 640],
    [[40, 77], 192],
    [[3, 11, 131], 128],
    [[4099], 320],
  ])("of %j, at most %d elements", (shape, chunkElements) => {
    const elements = shape.reduce((product, length) => product * length, 1);
    const weights = normalWeights(elements, 1);
    const whole = quantize(id, "float32", shape, weights);
    expect(whole.refused).toBeUndefined();
    const quantizer = quantizerOf(id);
    const parameters = quantizer.parse({});
    const scan = quantizer.begin({ dtype: float32, shape }, parameters);
    scan.push(bytesOf(weights), 0);
    const plan = scan.finish();
    if ("refused" in plan) throw new Error(plan.refused);
    const geometry = new ValuesGeometry(plan.arrays[0]!, shape, chunkElements);
    const decode = dequantizer(id, parameters, { dtype: float32, shape }, plan.side);
    let next = 0;
    for (let chunk = 0; chunk < geometry.chunkCount; chunk++) {
      const first = geometry.first(chunk);
      const count = geometry.count(chunk);
      expect(first).toBe(next);
      next += count;
      expect([geometry.chunkOf(first), geometry.chunkOf(next - 1)]).toEqual([chunk, chunk]);
      const values = plan.encode(bytesOf(weights.subarray(first, next)), first);
      const { start, end } = geometry.byteRange(chunk);
      expect(values).toEqual(whole.values.subarray(start, end));
      const decoded = decode(values, first);
      expect(decoded).toHaveLength(4 * count);
      expect([...new Float32Array(decoded.slice().buffer)]).toEqual(whole.decoded.slice(first, next));
    }
    expect(next).toBe(elements);
    expect(() => geometry.chunkOf(elements + 256)).toThrow(UsageError);
  });
});

it("cuts what is no blocks as the tensor itself", () => {
  const own = new ElementGeometry(float32, [300, 1000], 4096);
  const geometry = new ValuesGeometry({ dtype: dtypeOf("int8"), shape: [300, 1000] }, [300, 1000], 4096);
  expect(geometry.chunkCount).toBe(own.chunkCount);
  for (let chunk = 0; chunk < own.chunkCount; chunk++) {
    expect([geometry.first(chunk), geometry.count(chunk)]).toEqual([own.first(chunk), own.count(chunk)]);
  }
});
