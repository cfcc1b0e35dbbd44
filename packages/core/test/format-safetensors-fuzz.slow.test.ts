import { describe, expect, it } from "vitest";
import { safetensors } from "../src/format/safetensors/plan.ts";
import { safetensorsIndex } from "../src/format/safetensors/shards.ts";
import { fuzzFormat } from "./format-fuzz.ts";
import { entry, fileOf } from "./format-safetensors-cases.ts";

/** The length says that the header ends with the last bracket. */
function withLength(file: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const end = file.lastIndexOf(0x7d) + 1;
  if (end > 8) new DataView(file.buffer).setBigUint64(0, BigInt(end - 8), true);
  return file;
}

describe("safetensors, fuzzed", () => {
  it("100,000 damaged files are planned or refused", async () => {
    const metadata = '"__metadata__":{"format":"pt"}';
    const report = await fuzzFormat({
      format: safetensors,
      seeds: [
        fileOf("{}"),
        fileOf(
          `{${metadata},${entry("a.weight", "F32", "[2,3]", 0, 24)},${entry("b", "BF16", "[]", 24, 26)}}`,
          26,
        ),
        fileOf(`{${entry("packed", "F4", "[3,4]", 0, 6)},${entry("empty", "I64", "[0,7]", 6, 6)}}`, 6),
      ],
      seed: 1,
      repair: withLength,
    });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(12);
  });

  it("100,000 damaged indexes are planned or refused", async () => {
    const index = {
      metadata: { total_size: 26 },
      weight_map: { "a.weight": "m-1.safetensors", b: "m-2.safetensors" },
    };
    const report = await fuzzFormat({
      format: safetensorsIndex,
      seeds: [
        new TextEncoder().encode(JSON.stringify(index)),
        new TextEncoder().encode(JSON.stringify(index, null, 2)),
      ],
      names: "model.safetensors.index.json",
      seed: 2,
    });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(4);
  });
});
