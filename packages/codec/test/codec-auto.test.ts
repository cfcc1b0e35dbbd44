/** Which chain `auto: "lossless"` takes for which kind of chunk, and that no single codec would have been better. */
import { beforeAll, describe, expect, test } from "vitest";
import { ready } from "../src/bytes/ready.ts";
import { decodeChunk, encodeChunk, parsePolicy } from "../src/codec/policy.ts";
import { codecOfCode } from "../src/codec/registry.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { type ChunkKind, chunkKinds } from "./codec-kinds.ts";

beforeAll(() => ready());

const auto = parsePolicy("auto");
const kinds = new Map<string, ChunkKind>(chunkKinds().map((kind) => [kind.name, kind]));
/** How much better a single codec may be: half a percent, and what a few bytes' header costs on tiny results. */
const SLACK = 1.005;
const SLACK_BYTES = 16;

test.each([
  ["zeros", ["sparse"], 100_000],
  ["a constant", ["cluster"], 40_000],
  ["float32 weights", ["entropy"], 1.2],
  ["bfloat16 weights", ["entropy"], 1.515],
  ["float16 weights", ["entropy"], 1.18],
  ["bfloat16 in float32", ["entropy"], 3.02],
  ["float16 in float32", ["entropy"], 2.2],
  ["92 % zeros", ["sparse"], 12.2],
  ["half zeros", ["sparse"], 2.2],
  ["99.9 % zeros", ["sparse"], 600],
  ["zeros in blocks", ["sparse"], 12.5],
  ["92 % zeros in opaque bytes", ["sparse"], 12.2],
  ["three values", ["cluster"], 20],
  ["16 values", ["cluster"], 9],
  ["int8 in float32", ["cluster"], 4.2],
  ["int8 in float32, a scale per row", ["cluster"], 2.8],
  ["int8 in float64", ["cluster"], 8.3],
  ["int8 in float32 in opaque bytes", ["cluster"], 4.2],
  ["close to 16 values", ["cluster"], 2],
  ["ascending offsets", ["delta", "planes"], 5.5],
  ["counting int64", ["delta", "planes"], 5000],
  ["a smooth curve", ["delta", "bitshuffle", "zstd"], 4.5],
  ["words in no order", ["bpe"], 9],
  ["text", ["zstd"], 3],
  ["tiled noise", ["pattern251"], 500],
  ["patterns in no order", ["hierarchical"], 15],
  ["token ids", ["bpe"], 8],
  ["weights in opaque bytes", ["entropy"], 1.19],
  ["noise", [], 1],
  ["noise as float32", [], 1],
])("%s: %j, at least %f times smaller", (name, chain, ratio) => {
  const { dtype, bytes } = kinds.get(name)!;
  const coded = encodeChunk(bytes, dtypeOf(dtype), auto);
  expect(coded.steps.map((step) => codecOfCode(step.code)!.id)).toEqual(chain);
  expect(bytes.length / coded.payload.length).toBeGreaterThanOrEqual(ratio);
  const decoded = decodeChunk(coded.payload, coded.steps, bytes.length, dtypeOf(dtype));
  expect(Buffer.compare(decoded, bytes)).toBe(0);
});

describe("no single codec is better by more than half a percent", () => {
  const others = [
    "planes",
    "entropy",
    "ladder",
    "zstd",
    "lz4",
    "rle",
    "sparse",
    "cluster",
    ["bitshuffle", "zstd"],
    ["delta", "planes"],
    ["delta", "bitshuffle", "zstd"],
  ].map((json) => [JSON.stringify(json), parsePolicy(json)] as const);

  test.each([...kinds])("%s", (_name, { dtype, bytes }) => {
    const chosen = encodeChunk(bytes, dtypeOf(dtype), auto).payload.length;
    for (const [name, policy] of others) {
      const fixed = encodeChunk(bytes, dtypeOf(dtype), policy).payload.length;
      expect(chosen, `against ${name}`).toBeLessThanOrEqual(fixed * SLACK + SLACK_BYTES);
    }
  });
});
