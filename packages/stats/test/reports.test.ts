import { describe, expect, it } from "vitest";
import { datasetReport, quantizationLine } from "../src/dataset-report.ts";
import {
  differencesLine,
  importLine,
  importReport,
  importTotal,
  importTotalLine,
  LISTED_MAX,
  sharedLine,
} from "../src/import-report.ts";
import { formatRatioParts, lossyBytesSaved, ratioParts } from "../src/ratio.ts";
import { datasetTable, spaceRows, storeReport } from "../src/store-report.ts";
import { datasetStats, importResult, storeStats } from "./fixtures.ts";

const lossy = datasetStats({
  name: "images",
  preset: "balanced",
  lossless: false,
  originalBytes: 4_000_000,
  amortizedBytes: 1_000_000,
  ratio: 4,
  layers: [
    { name: "quantize", bytesBefore: 4_000_000, bytesAfter: 2_000_000 },
    { name: "codec", bytesBefore: 2_000_000, bytesAfter: 1_000_000 },
  ],
  quantization: { tensors: 10, worstMaxAbsolute: 0.00123456, worstSnrDb: 40.25, meanSnrDb: 65.1, refused: 1 },
});

describe("ratios", () => {
  it("shows lossy and lossless parts beside their product", () => {
    const parts = ratioParts(lossy.ratio, lossy.originalBytes, lossyBytesSaved(lossy.layers));
    expect(parts).toEqual({ total: 4, lossy: 2, lossless: 2 });
    expect(formatRatioParts(parts)).toBe("4.000 = 2.000 lossy x 2.000 lossless");
  });

  it("is one number without a lossy layer, and none of nothing", () => {
    expect(formatRatioParts(ratioParts(1.5, 300, 0))).toBe("1.500");
    expect(formatRatioParts(ratioParts(null, 0, 0))).toBe("-");
    expect(formatRatioParts(ratioParts(null, 300, 100))).toBe("-");
    expect(ratioParts(2, 100, 100)).toEqual({ total: 2, lossy: 1, lossless: 2 });
  });
});

describe("dataset report", () => {
  it("of a lossless dataset", () => {
    expect(datasetReport(datasetStats())).toEqual([
      "llm",
      "  preset      lossless",
      "  data        lossless",
      "  holds       39 records, 3 files, version 2",
      "  original    1.78 MB",
      "  stored      1.20 MB (its part of what it shares included)",
      "  ratio       1.481",
      "  exclusive   900 kB (freed if it went)",
      "  shared      600 kB with other datasets",
      "  standalone  1.50 MB (if it were alone)",
      "  history     0 B in kept old versions",
      "",
      "  layer              before    after   saved  ratio  bits/byte",
      "  dedupe  lossless  1.78 MB  1.70 MB   4.3 %  1.045      7.654",
      "  codec   lossless  1.70 MB  1.20 MB  29.4 %  1.417      5.403",
      "",
      "  codec        chunks   before    after  ratio  bits/byte",
      "  planes+zstd      20  1.70 MB  1.20 MB  1.417      5.646",
      "  raw               2    500 B    600 B  0.833      9.600",
    ]);
  });

  it("of a lossy dataset names the errors and both parts of the ratio", () => {
    const lines = datasetReport(lossy).join("\n");
    expect(lines).toContain("preset      balanced\n  data        lossy\n");
    expect(lines).toContain("4.000 = 2.000 lossy x 2.000 lossless");
    expect(lines).toContain("worst error 0.00123, SNR 40.3 dB at worst, 65.1 dB on average");
    expect(lines).toContain("1 tensor refused by the quantizer, stored exactly");
    expect(lines).toMatch(/quantize +lossy/);
  });

  it("of an empty dataset", () => {
    const empty = datasetStats({ originalBytes: 0, amortizedBytes: 0, ratio: null, layers: [], codecs: [] });
    expect(datasetReport(empty).join("\n")).toContain("ratio       -");
  });

  it("says what was refused even when nothing was quantized", () => {
    const quantization = { tensors: 0, worstMaxAbsolute: 0, worstSnrDb: null, meanSnrDb: null, refused: 2 };
    expect(quantizationLine({ quantization })).toBe("2 tensors refused by the quantizer, stored exactly");
    expect(quantizationLine(datasetStats())).toBeUndefined();
  });

  it("escapes control characters in names", () => {
    expect(datasetReport(datasetStats({ name: "a\u001b[2J" }))[0]).toBe("a\\u001b[2J");
  });
});

describe("store report", () => {
  it("gives every byte of the directory a name", () => {
    const stats = storeStats();
    const rows = spaceRows(stats);
    expect(rows.reduce((sum, row) => sum + row.bytes, 0)).toBe(stats.directoryBytes);
    expect(rows.map((row) => row.name)).toEqual([
      "datasets",
      "kept old versions",
      "unreferenced (gc frees it)",
      "journal",
      "catalog",
      "packHeaders",
      "lock",
      "residual",
    ]);
  });

  it("prints facts, space and datasets", () => {
    expect(storeReport(storeStats({ datasets: [datasetStats(), lossy] }))).toEqual([
      "zoo",
      "  preset    lossless",
      "  holds     2 datasets, 38 distinct tensors, 22 chunks",
      "  original  1.78 MB",
      "  on disk   1.50 MB, everything counted",
      "  ratio     1.185",
      "",
      "  on disk                       bytes   of all",
      "  datasets                    2.20 MB  146.7 %",
      "  kept old versions               0 B    0.0 %",
      "  unreferenced (gc frees it)   100 kB    6.7 %",
      "  journal                     50.0 kB    3.3 %",
      "  catalog                      140 kB    9.3 %",
      "  pack headers                10.0 kB    0.7 %",
      "  residual                        0 B    0.0 %",
      "",
      "dataset  preset    data      records  files  version  original   stored  exclusive  ratio",
      "llm      lossless  lossless       39      3        2   1.78 MB  1.20 MB     900 kB  1.481",
      "images   balanced  lossy          39      3        2   4.00 MB  1.00 MB     900 kB  4.000 = 2.000 lossy x 2.000 lossless",
    ]);
  });

  it("of an empty store has no dataset table", () => {
    const lines = storeReport(storeStats({ datasets: [], ratio: null, originalBytes: 0 }));
    expect(lines.join("\n")).toContain("0 datasets");
    expect(lines.at(-1)).toContain("residual");
    expect(datasetTable([])).toHaveLength(1);
  });
});

describe("import report", () => {
  it("of a first import", () => {
    expect(importReport(importResult())).toEqual([
      "Imported 3 files with 39 tensors into llm, version 1",
      "  original  1.78 MB",
      "  stored    1.20 MB; the store grew by 1.10 MB",
      "  ratio     1.481",
      "  preset    lossless (lossless: every byte comes back)",
      "  time      0.500 s, 3.55 MB/s",
    ]);
  });

  it("names tensors that are kept beside their files", () => {
    const lines = importReport(importResult({ derivedTensors: 2, derivedBytes: 1_200_000 }));
    expect(lines[2]).toBe("  derived   2 tensors kept beside their files' bytes (1.20 MB)");
    expect(importReport(importResult({ derivedTensors: 1, derivedBytes: 8 }))[2]).toBe(
      "  derived   1 tensor kept beside its file's bytes (8 B)",
    );
  });

  it("splits the ratio over all bytes that a quantizer saw", () => {
    const change = { originalBytes: 1000, derivedBytes: 3000, lossyBytesSaved: 2000, ratio: 0.5 };
    const lines = importReport(importResult({ ...change, derivedTensors: 1, lossless: false }));
    expect(lines.join("\n")).toContain("0.500 = 2.000 lossy x 0.250 lossless");
    const layers = [{ name: "quantize", bytesBefore: 4000, bytesAfter: 2000 }];
    const stats = datasetStats({ originalBytes: 1000, derivedBytes: 3000, ratio: 0.5, layers });
    expect(datasetReport(stats).join("\n")).toContain("0.500 = 2.000 lossy x 0.250 lossless");
    expect(datasetTable([stats]).join("\n")).toContain("0.500 = 2.000 lossy x 0.250 lossless");
    const store = storeStats({ datasets: [stats], originalBytes: 1000, ratio: 0.5 });
    expect(storeReport(store).join("\n")).toContain("0.500 = 2.000 lossy x 0.250 lossless");
  });

  it("says what was shared", () => {
    expect(sharedLine(importResult())).toBeUndefined();
    expect(sharedLine(importResult({ tensorsShared: 1, bytesShared: 2000 }))).toBe(
      "1 tensor (2.00 kB), in the store already",
    );
    expect(sharedLine(importResult({ chunksShared: 3 }))).toBe("3 chunks, in the store already");
    expect(sharedLine(importResult({ tensorsShared: 2, bytesShared: 10, chunksShared: 1 }))).toBe(
      "2 tensors (10 B) and 1 more chunk, in the store already",
    );
  });

  it("says what is stored as differences", () => {
    expect(differencesLine(importResult())).toBeUndefined();
    const change = { chunksAsDifferences: 12, differenceRawBytes: 6_000_000, differenceBytes: 2_100_000 };
    const line = "6.00 MB in 2.10 MB (12 chunks), as differences to tensors that are alike";
    expect(differencesLine(importResult(change))).toBe(line);
    expect(importReport(importResult(change))).toContain(`  differences  ${line}`);
  });

  it("of a lossy import says so, and lists notes and skipped paths up to a limit", () => {
    const notes = Array.from({ length: LISTED_MAX + 2 }, (_, index) => ({
      tensor: `t${index}`,
      note: "holds NaN",
    }));
    const lines = importReport(
      importResult({
        preset: "maximum",
        lossless: false,
        quantized: 7,
        originalBytes: 4_000_000,
        storedBytes: 1_000_000,
        ratio: 4,
        lossyBytesSaved: 2_000_000,
        notes,
        skipped: [{ path: ".DS_Store", reason: "system file" }],
      }),
    );
    expect(lines).toContain("  preset    maximum (lossy: 7 tensors quantized)");
    expect(lines).toContain("  t0: holds NaN");
    expect(lines).toContain("  and 2 more tensors (--json lists them all)");
    expect(lines).toContain("  .DS_Store: system file");
    expect(lines).toContain("  ratio     4.000 = 2.000 lossy x 2.000 lossless");
  });

  it("in one line, and a total of several", () => {
    expect(importLine(importResult())).toBe(
      "llm: 3 files, 39 tensors, 1.78 MB -> 1.20 MB (ratio 1.481, 1.10 MB new), lossless, 3.55 MB/s",
    );
    const total = importTotal([importResult(), importResult({ dataset: "b", newBytes: 0 })], 2);
    expect(total).toMatchObject({
      datasets: 2,
      files: 6,
      tensors: 78,
      originalBytes: 3_553_668,
      newBytes: 1_100_000,
    });
    expect(importTotalLine(total)).toBe(
      "Total: 2 datasets, 6 files, 78 tensors, 3.55 MB added 1.10 MB to the store (ratio 3.231), 2.00 s, 1.78 MB/s",
    );
    expect(importTotal([importResult({ newBytes: 0 })], 0).ratio).toBeNull();
  });
});
