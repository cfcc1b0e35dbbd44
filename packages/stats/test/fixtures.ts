/** Statistics of invented stores, small enough to check by hand. */
import type { DatasetStats, FamilyUsage, ImportResult, StoreStats } from "@tensorcask/core";

export function datasetStats(change: Partial<DatasetStats> = {}): DatasetStats {
  return {
    name: "llm",
    preset: "lossless",
    lossless: true,
    records: 39,
    files: 3,
    version: 2,
    originalBytes: 1_776_834,
    derivedBytes: 0,
    storedBytes: 1_200_000,
    exclusiveBytes: 900_000,
    sharedBytes: 600_000,
    amortizedBytes: 1_200_000,
    standaloneBytes: 1_500_000,
    historyBytes: 0,
    siblingChunks: 0,
    siblingBytes: 0,
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
    families: [],
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
    derivedTensors: 0,
    derivedBytes: 0,
    storedBytes: 1_200_000,
    newBytes: 1_100_000,
    ratio: 1_776_834 / 1_200_000,
    seconds: 0.5,
    tensorsShared: 0,
    bytesShared: 0,
    chunksShared: 0,
    chunksAsDifferences: 0,
    differenceRawBytes: 0,
    differenceBytes: 0,
    quantized: 0,
    lossyBytesSaved: 0,
    notes: [],
    skipped: [],
    version: 1,
    ...change,
  };
}

/** A base, a full fine-tune of it that also leans on the third, and one that is mostly the base. */
export function family(change: Partial<FamilyUsage> = {}): FamilyUsage {
  const member = { rawBytes: 2_000_000, plainBytes: 0, differenceBytes: 0, sharedBytes: 0, keptBytes: 0 };
  const link = {
    differenceChunks: 0,
    differenceRawBytes: 0,
    differenceBytes: 0,
    sharedChunks: 0,
    sharedRawBytes: 0,
    sharedBytes: 0,
  };
  return {
    centre: "llm/base",
    members: [
      { ...member, dataset: "llm/base", plainBytes: 1_400_000 },
      { ...member, dataset: "llm/full", plainBytes: 10_000, differenceBytes: 800_000 },
      { ...member, dataset: "llm/lora", plainBytes: 5_000, differenceBytes: 100_000, sharedBytes: 1_200_000 },
    ],
    links: [
      {
        ...link,
        dataset: "llm/full",
        base: "llm/base",
        differenceChunks: 12,
        differenceRawBytes: 1_600_000,
        differenceBytes: 700_000,
      },
      {
        ...link,
        dataset: "llm/full",
        base: "llm/lora",
        differenceChunks: 2,
        differenceRawBytes: 200_000,
        differenceBytes: 100_000,
      },
      {
        ...link,
        dataset: "llm/lora",
        base: "llm/base",
        differenceChunks: 3,
        differenceRawBytes: 250_000,
        differenceBytes: 100_000,
        sharedChunks: 20,
        sharedRawBytes: 1_700_000,
        sharedBytes: 1_200_000,
      },
    ],
    rawBytes: 6_000_000,
    storedBytes: 2_315_000,
    sharingSavedBytes: 1_200_000,
    differenceChunks: 17,
    differenceRawBytes: 2_050_000,
    differenceBytes: 900_000,
    differenceSavedBytes: 535_000,
    ...change,
  };
}
