import type { DiffSummary, TensorDiff } from "@tensorcask/core";
import { describe, expect, it } from "vitest";
import { diffCells, diffColumns, diffLines } from "../src/diff-report.ts";

const side = { address: "m#w", dtype: "bfloat16", shape: [4, 8], bytes: 64, storedBytes: 40 };
const pair: TensorDiff = {
  status: "difference",
  a: side,
  b: { ...side, dtype: "float32", bytes: 128, storedBytes: 50 },
  sharedBytes: 0,
  differenceRawBytes: 128,
  differenceBytes: 50,
  values: {
    elements: 32,
    changed: 8,
    changedFraction: 0.25,
    relativeL2: 0.012345,
    maxAbsolute: 0.5,
    nonFinite: 0,
  },
};

const summary: DiffSummary = {
  a: { dataset: "llm", version: 1 },
  b: { dataset: "llm", version: 3 },
  counts: {
    identical: { tensors: 30, bytes: 1_500_000 },
    difference: { tensors: 8, bytes: 262_000 },
    changed: { tensors: 0, bytes: 0 },
    new: { tensors: 1, bytes: 10 },
    gone: { tensors: 0, bytes: 0 },
  },
  filesIdentical: 2,
  files: [{ path: "model\u001b.safetensors", status: "changed", bytesA: 1, bytesB: 2 }],
  sharedBytes: 990_000,
  onlyABytes: 170_000,
  onlyBBytes: 140_000,
  differenceRawBytes: 262_000,
  differenceBytes: 139_000,
  otherBytes: 5000,
  seconds: 0.5,
};

describe("diff report", () => {
  it("of pairs, with what differs on both sides", () => {
    const cells = diffCells(pair, true);
    expect(cells).toEqual([
      "m#w",
      "difference",
      "bfloat16 -> float32",
      "[4, 8]",
      "128 B",
      "50 B",
      "50 B (39.1 %)",
      "0.0123",
      "0.5",
      "25.0 %",
    ]);
    expect(diffColumns(true)).toHaveLength(cells.length);
    expect(diffCells(pair, false)).toEqual(cells.slice(0, 7));
    expect(diffColumns(false)).toHaveLength(7);
  });

  it("of what is the same, new, gone, and what has no measure", () => {
    const apart = { ...pair, differenceRawBytes: 0, differenceBytes: 0, values: undefined };
    expect(diffCells({ ...apart, status: "identical", b: side }, true).slice(5)).toEqual([
      "40 B",
      "-",
      "0",
      "0",
      "0.0 %",
    ]);
    expect(diffCells({ ...apart, status: "new", a: undefined }, true).slice(0, 3)).toEqual([
      "m#w",
      "new",
      "float32",
    ]);
    expect(diffCells({ ...apart, status: "gone", b: undefined }, true).slice(7)).toEqual(["-", "-", "-"]);
    const zero = { ...pair, values: { ...pair.values!, relativeL2: null } };
    expect(diffCells(zero, true)[7]).toBe("-");
  });

  it("of the sums", () => {
    expect(diffLines(summary)).toEqual([
      "llm@1 -> llm@3, in 0.500 s",
      "  tensors  30 identical (1.50 MB), 8 difference (262 kB), 1 new (10 B)",
      "  files    2 identical, 1 not",
      "  stored   990 kB in both",
      "           170 kB only in llm@1, 140 kB only in llm@3; 262 kB of these in 139 kB, as differences to the other",
      "           5.00 kB of other datasets, which these are differences to",
      "  changed file: model\\u001b.safetensors",
    ]);
    const files = Array.from({ length: 12 }, (_, index) => ({ ...summary.files[0]!, path: `${index}` }));
    expect(diffLines({ ...summary, files }).at(-1)).toBe("  and 2 more files (--json lists them all)");
    const none = { tensors: 0, bytes: 0 };
    const empty = {
      ...summary,
      counts: { identical: none, difference: none, changed: none, new: none, gone: none },
    };
    expect(diffLines({ ...empty, files: [], filesIdentical: 0 })[1]).toBe("  tensors  none");
  });
});
