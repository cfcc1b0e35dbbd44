/** Statistics of invented stores, small enough to check by hand. */
import type { DatasetStats, ImportResult, StoreStats } from "@tensorcask/core";

export function datasetStats(change: Partial<DatasetStats> = {}): DatasetStats {
  return {
    name: "llm",
    preset: "lossless",
    lossless: true,
    records: 39,
    files: 3,
    version: 2,
    originalBytes: 1_776_834,
    storedBytes: 1_200_000,
    exclusiveBytes: 900_000,
    sharedBytes: 600_000,
    amortizedBytes: 1_200_000,
    standaloneBytes: 1_500_000,
    historyBytes: 0,
    ratio: 1_776_834 / 1_200_000,
    layers: [
      { name: "dedupe", bytesBefore: 1_776_834, bytesAfter: 1_700_000 },
      { name: "codec", bytesBefore: 1_700_000, bytesAfter: 1_200_000 },
    ],
    codecs: [
      { chain: "raw", chunks: 2, bytesBefore: 500, bytesAfter: 600 },
      { chain: "planes+zstd", chunks: 20, bytesBefore: 1_699_500, bytesAfter: 1_199_400 },
    ],
    quantization: { tensors: 0, worstMaxAbsolute: 0, worstSnrDb: null, meanSnrDb: null, refused: 0 },
    ...change,
  };
}

export function storeStats(change: Partial<StoreStats> = {}): StoreStats {
  const datasets = change.datasets ?? [datasetStats()];
  return {
    directory: "zoo",
    originalBytes: 1_776_834,
    storedBytes: 1_300_000,
    directoryBytes: 1_500_000,
    unreferencedBytes: 100_000,
    overheads: { journal: 50_000, catalog: 140_000, packHeaders: 10_000, lock: 0 },
    residualBytes: 0,
    ratio: 1_776_834 / 1_500_000,
    preset: "lossless",
    chunks: 22,
    tensors: 38,
    datasets,
    ...change,
  };
}

export function importResult(change: Partial<ImportResult> = {}): ImportResult {
  return {
    dataset: "llm",
    preset: "lossless",
    lossless: true,
    files: 3,
    tensors: 39,
    originalBytes: 1_776_834,
    storedBytes: 1_200_000,
    newBytes: 1_100_000,
    ratio: 1_776_834 / 1_200_000,
    seconds: 0.5,
    tensorsShared: 0,
    bytesShared: 0,
    chunksShared: 0,
    quantized: 0,
    lossyBytesSaved: 0,
    notes: [],
    skipped: [],
    version: 1,
    ...change,
  };
}
