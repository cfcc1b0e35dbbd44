import { beforeAll, expect, test } from "vitest";
import { sha256 } from "../src/bytes/hash.ts";
import { ready } from "../src/bytes/ready.ts";
import { parsePolicy } from "../src/codec/policy.ts";
import { DamageError } from "../src/errors/errors.ts";
import { decodeFrame, encodeFrame } from "../src/frame/frame.ts";
import { dtypeOf } from "../src/tensor/dtype.ts";
import { periodic, records } from "./codec-pattern-samples.ts";
import { noise } from "./codec-samples.ts";

beforeAll(() => ready());

const uint8 = dtypeOf("uint8");
const text = new TextEncoder().encode(
  "bytes of a pair, pairs of bytes, a pair of pairs of bytes. ".repeat(40),
);

// Every bit of a frame is covered by its checksum, whatever the codec's payload has of its own.
test.each([
  ["bpe", text],
  [["bpe", "zstd"], text],
  ["pattern251", periodic(251 * 40, noise(251, 1))],
  ["pattern251", periodic(5000, noise(100, 2))],
  ["hierarchical", records(4800, 1)],
])("in a frame, a changed or missing byte of %j is damage", (json, bytes) => {
  const frame = encodeFrame({ hash: sha256(bytes), dtype: uint8, bytes, policy: parsePolicy(json) });
  expect(frame.length).toBeLessThan(bytes.length);
  expect(Buffer.compare(decodeFrame(frame, "test", undefined, { verifyHash: true }), bytes)).toBe(0);
  const step = Math.max(1, Math.floor(frame.length / 400));
  for (let at = 0; at < frame.length; at += step) {
    const changed = frame.slice();
    changed[at]! ^= 1 << (at % 8);
    expect(() => decodeFrame(changed, "test")).toThrow(DamageError);
    expect(() => decodeFrame(frame.subarray(0, at), "test")).toThrow(DamageError);
  }
});
