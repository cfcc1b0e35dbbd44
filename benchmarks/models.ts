/**
 * Sizes of real models: each file in a store of its own, with the default preset, beside zstd -3, zstd -19 and gzip -6 of the file and byte planes
 * of its tensors with zstd -19; and stores that take in a whole family of related models one after the other, where what they have in common is stored once.
 */

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { constants, zstdCompressSync } from "node:zlib";
import { bufferSource, openStore, planSource } from "@tensorcask/core";
import { type PlaneElementBytes, splitPlanes } from "@tensorcask/kernels";
import { formatBytes, formatRatio } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { compressedBytes, gzip6, zstd3, zstd19 } from "./peers.ts";
import { findRealFiles, findRealModels, type RealModel } from "./real-files.ts";
import { storeBytes } from "./scratch.ts";

/** Configurations and the like are left out of the table. */
const SMALLEST_FILE_BYTES = 65_536;

interface Sizes {
  readonly model: RealModel;
  /** What the import added to the packs. */
  readonly newBytes: number;
  /** The whole directory, less the reserve. */
  readonly directoryBytes: number;
  readonly zstd3: number;
  readonly zstd19: number;
  readonly gzip6: number;
  readonly planes19: number;
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
    planes19: await planesBytes(model.path),
  };
}

/** Byte planes of each tensor of a file, and the rest as it is, in one zstd -19 frame: what ZipNN's recipe comes to, given our reader. */
async function planesBytes(path: string): Promise<number> {
  const file = new Uint8Array(readFileSync(path));
  const { plan } = await planSource(bufferSource(path, file), basename(path), true);
  const split = plan.parts.map((part) => {
    const bytes = file.subarray(part.offset, part.offset + part.bytes);
    const elementBytes = part.kind === "tensor" ? part.dtype.bits / 8 : 1;
    return isPlaned(elementBytes) ? splitPlanes(bytes, elementBytes, false) : bytes;
  });
  return zstdCompressSync(Buffer.concat(split), { params: { [constants.ZSTD_c_compressionLevel]: 19 } })
    .length;
}

function isPlaned(elementBytes: number): elementBytes is PlaneElementBytes {
  return elementBytes === 2 || elementBytes === 4 || elementBytes === 8;
}

function filesTable(source: string, all: readonly Sizes[]): Table {
  const ratio = (sizes: Sizes, stored: number): string => formatRatio(sizes.model.bytes / stored);
  const largerThan = (name: string, pick: (sizes: Sizes) => number): string => {
    const worse = all.filter((sizes) => sizes.newBytes > pick(sizes)).map(({ model }) => model.name);
    return worse.length === 0
      ? `no file takes more than with ${name}`
      : `larger than with ${name}: ${worse.join(", ")}`;
  };
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
    formatRatio(raw / total((sizes) => sizes.planes19)),
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
      right("planes + zstd -19"),
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
        ratio(sizes, sizes.planes19),
        formatRatio(sizes.zstd19 / sizes.newBytes),
      ]),
      totals,
    ],
    notes: [
      `weights: ${source}; ${all.length} files of all formats; each came back equal`,
      "stored: what the import added to the packs; with directory: the whole store, journal and catalog included, its reserve left out",
      largerThan("zstd -19", (sizes) => sizes.zstd19),
      largerThan("byte planes + zstd -19", (sizes) => sizes.planes19),
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
    const found = findRealFiles();
    const all = new Map<string, Sizes>();
    const measured = async (model: RealModel): Promise<Sizes> => {
      const known = all.get(model.path);
      if (known !== undefined) return { ...known, model };
      setting.say(`models: ${model.name}`);
      const sizes = await sizesOf(setting, model);
      all.set(model.path, sizes);
      return sizes;
    };
    const weights = found.models.filter(({ bytes }) => bytes >= SMALLEST_FILE_BYTES);
    const files: Sizes[] = [];
    for (const model of weights) files.push(await measured(model));
    const members: Sizes[] = [];
    for (const model of findRealModels().models) members.push(await measured(model));
    return [filesTable(found.source, files), await familiesTable(setting, members)];
  },
};
