/** `auto: "fast"` and `auto: "archive"`: what they take, that all comes back, and that an archive is never larger than the default. */
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { codecOfCode } from "../src/codec/registry.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { chunkKinds } from "./codec-kinds.ts";
import { noise, normals, sampleInputs, toBfloat16 } from "./codec-samples.ts";

beforeAll(() => ready());

const fast = parsePolicy({ auto: "fast" });
const lossless = parsePolicy({ auto: "lossless" });
const archive = parsePolicy({ auto: "archive" });

describe("fast", () => {
  const least: Readonly<Record<string, number>> = {
    zeros: 1000,
    "a constant": 1000,
    "float32 weights": 1.19,
    "bfloat16 weights": 1.5,
    "float16 weights": 1.17,
    "bfloat16 in float32": 2.9,
    "weights in opaque bytes": 1.1,
    "three values": 10,
    noise: 1,
    "noise as float32": 1,
  };

  test.each(chunkKinds().map((kind) => [kind.name, kind] as const))("%s", (name, { dtype, bytes }) => {
    const { steps, payload } = encodeChunk(bytes, dtypeOf(dtype), fast);
    expect(steps.map(({ code }) => codecOfCode(code)!.id)).toEqual(
      payload.length < bytes.length ? ["ladder"] : [],
    );
    expect(bytes.length / payload.length).toBeGreaterThanOrEqual(least[name] ?? 1);
    expect(Buffer.compare(decodeChunk(payload, steps, bytes.length, dtypeOf(dtype)), bytes)).toBe(0);
  });

  test("the result may lie in the caller's room", () => {
    const input = toBfloat16(normals(50_000, 0.02, 1));
    const room = new Uint8Array(input.length + 4096);
    const { payload } = encodeChunk(input, dtypeOf("bfloat16"), fast, { out: room });
    expect(payload.buffer).toBe(room.buffer);
  });

  test("opaque bytes hold floats at any place", () => {
    const floats = new Uint8Array(normals(50_000, 0.02, 2).buffer);
    for (const offset of [0, 1, 2, 3]) {
      const bytes = floats.subarray(offset);
      const { steps, payload } = encodeChunk(bytes, dtypeOf("uint8"), fast);
      expect(bytes.length / payload.length).toBeGreaterThan(1.1);
      expect(Buffer.compare(decodeChunk(payload, steps, bytes.length, dtypeOf("uint8")), bytes)).toBe(0);
    }
  });
});

describe("archive", () => {
  const cut = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, 16_384);
  const kinds = chunkKinds().map(({ name, dtype, bytes }) => [name, dtype, cut(bytes)] as const);
  const samples = sampleInputs().map(([name, bytes]) => [name, "float32", bytes] as const);

  test.each([...kinds, ...samples])("%s, never larger than lossless", (_name, dtype, bytes) => {
    const { steps, payload } = encodeChunk(bytes, dtypeOf(dtype), archive);
    const other = encodeChunk(bytes, dtypeOf(dtype), lossless).payload;
    expect(payload.length).toBeLessThanOrEqual(other.length);
    expect(Buffer.compare(decodeChunk(payload, steps, bytes.length, dtypeOf(dtype)), bytes)).toBe(0);
  });

  test("text is smaller by a twentieth than by other coders", () => {
    const text = cut(chunkKinds().find(({ name }) => name === "text")!.bytes);
    const size = encodeChunk(text, dtypeOf("uint8"), archive).payload.length;
    for (const other of [{ id: "zstd", level: 19 }, "bpe", { id: "gzip", level: 9 }]) {
      const fixed = encodeChunk(text, dtypeOf("uint8"), parsePolicy(other)).payload.length;
      expect(size).toBeLessThan(fixed * 0.95);
    }
  });

  test("noise stays raw", () => {
    expect(encodeChunk(noise(50_000, 3), dtypeOf("uint8"), archive).steps).toEqual([]);
  });
});
