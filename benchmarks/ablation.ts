/**
 * What each layer brings on real files: first tensors and chunks that are there already, then codecs, one more at a time, the smallest frame of each
 * chunk counting; beside them what `auto` chooses without trying them all. And what the size of chunks decides: size, index, speed, one row.
 */
import { basename, join } from "node:path";
import { type CodecPolicy, parsePolicy, ready, sha256, toHex } from "@tensorcask/codec";
import { openStore } from "@tensorcask/core";
import { type Chunk, FrameBench, randomWords } from "@tensorcask/samples";
import { formatBytes, formatRatio } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { chunksOfFile, tensorsOfFile } from "./chunks.ts";
import { writeNormalModel } from "./normal.ts";
import { findRealFiles, findRealModels, type RealModel } from "./real-files.ts";
import { storeBytes } from "./scratch.ts";
import { collectGarbage, cpuSeconds, megabytesPerSecond, milliseconds, quantile, seconds } from "./timing.ts";

/** A layer of coding: what its chains give is taken where it is smaller than what the layers before gave. */
interface Layer {
  readonly name: string;
  readonly chains: readonly CodecPolicy[];
}

const zstd = { id: "zstd", level: 3 };

/** A coder of words, told that bytes are words of 2 or 4 bytes. */
function hiddenWords(id: string, more: object = {}): object[] {
  return [2, 4].map((wordBytes) => ({ id, wordBytes, ...more }));
}

const layers: readonly Layer[] = [
  { name: "zstd", chains: [zstd] },
  { name: "planes", chains: ["planes", ["planes", zstd]] },
  { name: "entropy", chains: ["entropy"] },
  // Floats in files that no format takes apart, where all there is are bytes.
  {
    name: "hidden words",
    chains: [...hiddenWords("planes"), ...hiddenWords("entropy", { exponentBits: 8 })],
  },
  { name: "sparse", chains: ["sparse"] },
  { name: "cluster", chains: ["cluster"] },
  {
    name: "delta",
    chains: [
      ["delta", "planes"],
      ["delta", "bitshuffle", zstd],
    ],
  },
  { name: "rle", chains: ["rle", ["rle", zstd]] },
  { name: "bpe", chains: ["bpe"] },
].map(({ name, chains }) => ({ name, chains: chains.map((chain) => parsePolicy(chain)) }));

/** Policies that choose by the data, each for itself. */
const automatic: readonly Layer[] = [
  { name: "auto lossless", chains: [parsePolicy({ auto: "lossless" })] },
  { name: "auto fast", chains: [parsePolicy({ auto: "fast" })] },
];

const SHARING = ["tensor dedupe", "chunk dedupe"] as const;
const columns: readonly string[] = [
  ...SHARING,
  ...layers.map(({ name }) => name),
  ...automatic.map(({ name }) => name),
];

/** What is left of a file behind a layer, and what the layer took. */
interface Step {
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly seconds: number;
}

interface Ablation {
  readonly model: RealModel;
  readonly steps: ReadonlyMap<string, Step>;
}

/** Tensors and chunks of the files before. */
interface Seen {
  readonly tensors: Set<string>;
  readonly chunks: Set<string>;
}

async function ablate(model: RealModel, seen: Seen): Promise<Ablation> {
  const steps = new Map<string, Step>();
  let bytesBefore = model.bytes;
  const put = (name: string, bytesAfter: number, taken: number): void => {
    steps.set(name, { bytesBefore, bytesAfter, seconds: taken });
    bytesBefore = bytesAfter;
  };
  const tensors = await tensorsOfFile(model.path);
  let shared = 0;
  const tensorSeconds = cpuSeconds(() => {
    for (const bytes of tensors) shared += isNew(seen.tensors, sha256(bytes)) ? 0 : bytes.length;
  });
  put("tensor dedupe", model.bytes - shared, tensorSeconds);
  const all = await chunksOfFile(model.path);
  let fresh: Chunk[] = [];
  const chunkSeconds = cpuSeconds(() => {
    for (const { bytes } of all) sha256(bytes);
    fresh = all.filter(({ hash }) => isNew(seen.chunks, hash));
  });
  put(
    "chunk dedupe",
    fresh.reduce((sum, { bytes }) => sum + bytes.length, 0),
    chunkSeconds,
  );
  const left = bytesBefore;
  const bench = new FrameBench(fresh);
  const best = fresh.map(() => Number.POSITIVE_INFINITY);
  for (const { name, chains } of layers) {
    let taken = 0;
    for (const policy of chains) {
      taken += cpuSeconds(() => void bench.encode(policy));
      bench.check(`${model.name} ${name}`);
      for (const [index, length] of bench.lengths.entries()) best[index] = Math.min(best[index]!, length);
    }
    put(
      name,
      best.reduce((sum, length) => sum + length, 0),
      taken,
    );
  }
  for (const { name, chains } of automatic) {
    let bytes = 0;
    const taken = cpuSeconds(() => {
      bytes = bench.encode(chains[0]!);
    });
    bench.check(`${model.name} ${name}`);
    steps.set(name, { bytesBefore: left, bytesAfter: bytes, seconds: taken });
  }
  return { model, steps };
}

function isNew(seen: Set<string>, hash: Uint8Array): boolean {
  const key = toHex(hash);
  if (seen.has(key)) return false;
  seen.add(key);
  return true;
}

/** One row per file, one column per layer. */
function matrix(
  title: string,
  all: readonly Ablation[],
  cell: (step: Step, model: RealModel) => string,
  notes: readonly string[] = [],
): Table {
  return {
    title,
    columns: [left("file"), right("bytes"), ...columns.map((name) => right(name))],
    rows: all.map(({ model, steps }) => [
      model.name,
      formatBytes(model.bytes),
      ...columns.map((name) => cell(steps.get(name)!, model)),
    ]),
    notes,
  };
}

/** All files together, one row per layer. */
function totals(source: string, all: readonly Ablation[]): Table {
  const raw = all.reduce((sum, { model }) => sum + model.bytes, 0);
  return {
    title: "All files together, layer by layer",
    columns: [
      ...[left("layer"), right("bytes before"), right("bytes after"), right("saved by it")],
      ...[right("ratio"), right("bits/byte"), right("MB/s of its chains")],
    ],
    rows: columns.map((name) => {
      const sum = (pick: (step: Step) => number): number =>
        all.reduce((total, { steps }) => total + pick(steps.get(name)!), 0);
      const before = sum((step) => step.bytesBefore);
      const after = sum((step) => step.bytesAfter);
      const given = SHARING.some((layer) => layer === name)
        ? before
        : all.reduce((total, { steps }) => total + steps.get("chunk dedupe")!.bytesAfter, 0);
      return [
        ...[
          name,
          formatBytes(before),
          formatBytes(after),
          `${((100 * (before - after)) / before).toFixed(2)} %`,
        ],
        ...[
          formatRatio(raw / after),
          ((8 * after) / raw).toFixed(3),
          megabytesPerSecond(
            given,
            sum((step) => step.seconds),
          ),
        ],
      ];
    }),
    notes: [
      `${source}: ${all.length} files, ${formatBytes(raw)}`,
      "tensor and chunk dedupe: what a file before it in the table, or the file itself, has already is counted as nothing",
      "codecs: each line adds its chains to those above, and each chunk takes its smallest frame, header included; their time is the processor time of the line's own chains, one pass",
      "auto lossless and auto fast: what the presets choose for the same chunks, beside the best of all chains above",
      "every frame was decoded and compared",
    ],
  };
}

const SWEEP_ELEMENTS: readonly number[] = [16, 32, 64, 128, 256, 512, 1024].map((kilo) => kilo * 1024);
const SMALL_MEBIBYTES = 64;
const LARGE_MEBIBYTES = 256;
const ROWS = 300;

/** One chunk size: real models for the sizes, a large tensor for the speeds and one row. */
async function sweepRow(
  setting: Setting,
  models: readonly RealModel[],
  chunkElements: number,
  large: string,
): Promise<string[]> {
  setting.say(`ablation: chunks of ${chunkElements} elements`);
  const directory = setting.scratch.fresh("sweep-store");
  let store = await openStore(directory, { chunkElements });
  let packed = 0;
  for (const [index, { path }] of models.entries()) {
    packed += (await store.importFile(path, { dataset: `model-${index}` })).newBytes;
  }
  for (const [index, { path }] of models.entries()) {
    const out = setting.scratch.fresh("sweep-export");
    await store.exportDataset(`model-${index}`, out);
    requireEqualFiles(join(out, basename(path)), path);
    setting.scratch.remove(out);
  }
  const { chunks } = await store.stats();
  await store.close();
  const whole = storeBytes(directory);
  setting.scratch.remove(directory);
  const raw = models.reduce((sum, { bytes }) => sum + bytes, 0);

  // A cache of a few chunks only, so that a row costs its chunk.
  store = await openStore(directory, { chunkElements, memoryBytes: 32 * 2 ** 20 });
  collectGarbage();
  const { seconds: imported, originalBytes } = await store.importFile(large, { dataset: "large" });
  const out = setting.scratch.fresh("sweep-export");
  const { seconds: exported } = await store.exportDataset("large", out);
  requireEqualFiles(join(out, basename(large)), large);
  setting.scratch.remove(out);
  const dataset = (await store.dataset("large"))!;
  const { value: record } = await dataset.records()[Symbol.asyncIterator]().next();
  const { name, shape } = record!;
  const random = randomWords(5);
  const taken: number[] = [];
  for (let count = 0; count < ROWS; count++) {
    const row = Math.floor((random() / 2 ** 32) * shape[0]!);
    taken.push(await seconds(async () => void (await dataset.slice(name!, [row]))));
  }
  await store.close();
  setting.scratch.remove(directory);
  return [
    ...[String(chunkElements), String(chunks), formatBytes(packed), formatRatio(raw / packed)],
    ...[formatBytes(whole - packed), formatRatio(raw / whole)],
    ...[megabytesPerSecond(originalBytes, imported), megabytesPerSecond(originalBytes, exported)],
    ...[milliseconds(quantile(taken, 0.5)), milliseconds(quantile(taken, 0.99))],
  ];
}

async function sweep(setting: Setting): Promise<Table> {
  const { source, models } = findRealModels();
  const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
  const large = setting.scratch.path("sweep.safetensors");
  await writeNormalModel(large, { dtype: "bfloat16", mebibytes, seed: 4, single: true });
  const rows: string[][] = [];
  for (const chunkElements of SWEEP_ELEMENTS) {
    rows.push(await sweepRow(setting, chosen(setting, models), chunkElements, large));
  }
  setting.scratch.remove(large);
  return {
    title: "Chunk sizes",
    columns: [
      ...[right("elements"), right("chunks"), right("in packs"), right("ratio")],
      ...[right("journal, catalog"), right("ratio, all counted")],
      ...[right("import MB/s"), right("export MB/s"), right("row p50 ms"), right("p99 ms")],
    ],
    rows,
    notes: [
      `sizes: the safetensors files of ${source}${setting.full ? "" : ", one of each family"}, in one store, in the order of their families, preset lossless; the reserve left out`,
      `speeds and rows: one bfloat16 matrix of ${mebibytes} MiB with rows of 4,096, all workers, one run; ${ROWS} random rows with a cache of 4 MiB`,
      "everything that was imported was exported and compared",
    ],
  };
}

/** Smaller files say little about codecs. */
const LEAST_BYTES = 100_000;

/** All files with `--full`, else of each family the smallest that is no trifle. */
function chosen(setting: Setting, models: readonly RealModel[]): RealModel[] {
  if (setting.full) return [...models];
  const families = Map.groupBy(
    models.filter(({ bytes }) => bytes >= LEAST_BYTES),
    ({ family }) => family,
  );
  return [...families.values()].map((members) => members.toSorted((a, b) => a.bytes - b.bytes)[0]!);
}

export const ablation: Benchmark = {
  name: "ablation",
  description: "real files: what each layer saves and costs; a sweep over chunk sizes",
  async run(setting) {
    await ready();
    const { source, models } = findRealFiles();
    const seen: Seen = { tensors: new Set(), chunks: new Set() };
    const all: Ablation[] = [];
    for (const model of chosen(setting, models)) {
      setting.say(`ablation: ${model.name}`);
      all.push(await ablate(model, seen));
    }
    return [
      totals(source, all),
      matrix("Bytes left behind each layer", all, ({ bytesAfter }) => formatBytes(bytesAfter)),
      matrix("Bits per byte of the file behind each layer", all, ({ bytesAfter }, { bytes }) =>
        ((8 * bytesAfter) / bytes).toFixed(3),
      ),
      matrix("Milliseconds of processor time of each layer", all, ({ seconds: taken }) =>
        (taken * 1000).toFixed(0),
      ),
      await sweep(setting),
    ];
  },
};
