/**
 * Sizes of real models: each file in a store of its own, with the default preset, beside zstd -3, zstd -19 and gzip -6 of the file; and stores that
 * take in a whole family of related models one after the other, where what they have in common is stored once.
 */

import { basename, join } from "node:path";
import { openStore } from "@tensorcask/core";
import { formatBytes, formatRatio } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { findRealModels, type RealModel } from "./data.ts";
import { compressedBytes, gzip6, zstd3, zstd19 } from "./peers.ts";
import { storeBytes } from "./scratch.ts";

interface Sizes {
  readonly model: RealModel;
  /** What the import added to the packs. */
  readonly newBytes: number;
  /** The whole directory, less the reserve. */
  readonly directoryBytes: number;
  readonly zstd3: number;
  readonly zstd19: number;
  readonly gzip6: number;
}

/** Imports models one after the other into one store and checks that they come back; gives what each added, and the whole. */
async function imported(
  setting: Setting,
  models: readonly RealModel[],
): Promise<{ newBytes: number[]; directoryBytes: number }> {
  const directory = setting.scratch.fresh("models-store");
  const store = await openStore(directory);
  const newBytes: number[] = [];
  for (const [index, model] of models.entries()) {
    newBytes.push((await store.importFile(model.path, { dataset: `model-${index}` })).newBytes);
  }
  for (const [index, model] of models.entries()) {
    const out = setting.scratch.fresh("models-export");
    await store.exportDataset(`model-${index}`, out);
    requireEqualFiles(join(out, basename(model.path)), model.path);
    setting.scratch.remove(out);
  }
  await store.close();
  const directoryBytes = storeBytes(directory);
  setting.scratch.remove(directory);
  return { newBytes, directoryBytes };
}

async function sizesOf(setting: Setting, model: RealModel): Promise<Sizes> {
  const { newBytes, directoryBytes } = await imported(setting, [model]);
  return {
    model,
    newBytes: newBytes[0]!,
    directoryBytes,
    zstd3: await compressedBytes(zstd3, model.path),
    zstd19: await compressedBytes(zstd19, model.path),
    gzip6: await compressedBytes(gzip6, model.path),
  };
}

function filesTable(source: string, all: readonly Sizes[]): Table {
  const ratio = (sizes: Sizes, stored: number): string => formatRatio(sizes.model.bytes / stored);
  const worse = all.filter(({ newBytes, zstd19: best }) => newBytes > best).map(({ model }) => model.name);
  const total = (pick: (sizes: Sizes) => number): number => all.reduce((sum, sizes) => sum + pick(sizes), 0);
  const raw = total(({ model }) => model.bytes);
  const totals = [
    "all files",
    formatBytes(raw),
    formatBytes(total(({ newBytes }) => newBytes)),
    formatRatio(raw / total(({ newBytes }) => newBytes)),
    formatRatio(raw / total(({ directoryBytes }) => directoryBytes)),
    formatRatio(raw / total((sizes) => sizes.zstd3)),
    formatRatio(raw / total((sizes) => sizes.zstd19)),
    formatRatio(raw / total((sizes) => sizes.gzip6)),
    formatRatio(total((sizes) => sizes.zstd19) / total(({ newBytes }) => newBytes)),
  ];
  return {
    title: "Ratio of each file, in a fresh store with the preset lossless",
    columns: [
      left("file"),
      right("bytes"),
      right("stored"),
      right("ratio"),
      right("with directory"),
      right("zstd -3"),
      right("zstd -19"),
      right("gzip -6"),
      right("zstd -19 / ours"),
    ],
    rows: [
      ...all.map((sizes) => [
        sizes.model.name,
        formatBytes(sizes.model.bytes),
        formatBytes(sizes.newBytes),
        ratio(sizes, sizes.newBytes),
        ratio(sizes, sizes.directoryBytes),
        ratio(sizes, sizes.zstd3),
        ratio(sizes, sizes.zstd19),
        ratio(sizes, sizes.gzip6),
        formatRatio(sizes.zstd19 / sizes.newBytes),
      ]),
      totals,
    ],
    notes: [
      `weights: ${source}; ${all.length} safetensors files; each came back equal`,
      "stored: what the import added to the packs; with directory: the whole store, journal and catalog included, its reserve left out",
      worse.length === 0
        ? "no file takes more than with zstd -19"
        : `larger than with zstd -19: ${worse.join(", ")}`,
    ],
  };
}

async function familiesTable(setting: Setting, all: readonly Sizes[]): Promise<Table> {
  const rows: string[][] = [];
  for (const [family, members] of Map.groupBy(all, ({ model }) => model.family)) {
    if (members.length < 2) continue;
    setting.say(`models: family ${family}`);
    const sum = (pick: (sizes: Sizes) => number): number =>
      members.reduce((total, sizes) => total + pick(sizes), 0);
    const raw = sum(({ model }) => model.bytes);
    const together = await imported(
      setting,
      members.map(({ model }) => model),
    );
    const stored = together.newBytes.reduce((total, bytes) => total + bytes, 0);
    const apart = sum(({ newBytes }) => newBytes);
    rows.push([
      family,
      String(members.length),
      formatBytes(raw),
      formatBytes(apart),
      formatBytes(stored),
      formatBytes(together.directoryBytes),
      formatRatio(raw / stored),
      formatRatio(raw / sum((sizes) => sizes.zstd19)),
      formatRatio(apart / stored),
    ]);
  }
  return {
    title: "Families of models, imported one after the other into one store",
    columns: [
      left("family"),
      right("files"),
      right("bytes"),
      right("stored apart"),
      right("stored together"),
      right("directory"),
      right("ratio"),
      right("zstd -19"),
      right("apart / together"),
    ],
    rows,
    notes: ["zstd -19: the ratio over all files of the family, each compressed on its own"],
  };
}

export const models: Benchmark = {
  name: "models",
  description: "sizes of real models, alone and as families, beside zstd and gzip",
  async run(setting) {
    const found = findRealModels();
    const all: Sizes[] = [];
    for (const model of found.models) {
      setting.say(`models: ${model.name}`);
      all.push(await sizesOf(setting, model));
    }
    return [filesTable(found.source, all), await familiesTable(setting, all)];
  },
};
