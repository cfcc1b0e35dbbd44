import { beforeAll, expect, test, vi } from "vitest";
import { fromHex } from "../src/bytes/hex.ts";
import { ready } from "../src/bytes/ready.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { codecOf } from "../src/codec/registry.ts";
import { canEncodeZstd } from "../src/codec/zstd.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { normals, sampleInputs, toBfloat16 } from "./codec-samples.ts";
import { bytesOf, drifted, patched, weights } from "./sibling-samples.ts";

// The codecs as browsers have them: no zstd encoder.
vi.mock("#platform", () => import("../src/platform/portable.ts"));
beforeAll(() => ready());

test("auto does without zstd and gives every input back", () => {
  expect(canEncodeZstd()).toBe(false);
  for (const [name, input] of sampleInputs()) {
    for (const dtype of ["float32", "bfloat16", "uint8"].map((one) => dtypeOf(one))) {
      const { steps, payload } = encodeChunk(input, dtype, parsePolicy("auto"));
      expect(payload.length).toBeLessThanOrEqual(input.length);
      const decoded = decodeChunk(payload, steps, input.length, dtype);
      expect(Buffer.compare(decoded, input), name).toBe(0);
    }
  }
});

test("a sibling is coded against without zstd, too", () => {
  const dtype = dtypeOf("float32");
  const base = weights(40_000, 2);
  const changed = [drifted(40_000, 1e-3, 2), patched(base, weights(40_000, 3), 500, 100), weights(40_000, 4)];
  const sibling = { bytes: bytesOf(base), dtype };
  const firsts = changed.map((values) => {
    const input = bytesOf(values);
    const { steps, payload } = encodeChunk(input, dtype, parsePolicy("auto"), { sibling });
    const options = { sibling: sibling.bytes };
    const decoded = decodeChunk(payload, steps, input.length, dtype, "here", options);
    expect(Buffer.compare(decoded, input)).toBe(0);
    return steps[0]!.code;
  });
  expect(firsts).toEqual([10, 18, 6]);
});

test("weights are coded as well as on Node", () => {
  const input = toBfloat16(normals(30_000, 0.02, 1));
  const { steps, payload } = encodeChunk(input, dtypeOf("bfloat16"), parsePolicy("auto"));
  expect(steps.map((step) => step.code)).toEqual([6]);
  expect(input.length / payload.length).toBeGreaterThan(1.5);
});

test("zstd planes from Node decode", () => {
  const payload = fromHex("01031828b52ffd602c007500003801020304050607010022528b11");
  const decoded = codecOf("planes").decode(payload, { dtype: dtypeOf("uint8"), bytes: 300 });
  expect(decoded).toEqual(Uint8Array.from({ length: 300 }, (_, index) => 1 + (index % 7)));
});

test("zstd itself is refused, with advice", () => {
  const bytes = new Uint8Array(100);
  expect(() => encodeChunk(bytes, dtypeOf("uint8"), parsePolicy("zstd"))).toThrow(
    /browser cannot encode zstd/,
  );
});
