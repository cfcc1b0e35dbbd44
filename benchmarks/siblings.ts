/**
 * Siblings: what the second of two models takes when the store has the first. Real families and seeded pairs, beside what others make of the same two
 * files (sibling-peers.ts), with the targets that the project was given; then stores of variants and copies. Every model is exported again and compared
 * before its size is told.
 */
import { copyFileSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { type ImportResult, openStore, type TensorData } from "@tensorcask/core";
import { formatBytes } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { compressedBytes, zstd19 } from "./peers.ts";
import { storeBytes } from "./scratch.ts";
import { opaquePairs } from "./sibling-files.ts";
import {
  copyPath,
  type ModelPair,
  normals,
  realPairs,
  seededPairs,
  trainedFamily,
  writeSafetensorsFile,
} from "./sibling-pairs.ts";
import { patchBytes, sharedChunksBytes, xorPlanesBytes } from "./sibling-peers.ts";

const SMALL_MEBIBYTES = 4;
const LARGE_MEBIBYTES = 32;
/** Larger files take zstd -19 too long unless `--full` is asked for. */
const PATIENT_BYTES = 4 * 2 ** 20;

/** The family's aim on disk, everything counted; only for the models it was measured on. */
const FAMILY_TARGET_BYTES = 19_950_000;
const FAMILY_BYTES = 45_500_000;

interface Stored {
  /** One a file. */
  readonly results: readonly ImportResult[];
  /** The closed store's directory behind each import, without the reserve. */
  readonly directoryBytes: readonly number[];
}

/** Imports files one after the other, each into a dataset of its own, and compares what comes back. */
async function imported(setting: Setting, paths: readonly string[], siblings = true): Promise<Stored> {
  const directory = setting.scratch.fresh("siblings-store");
  const results: ImportResult[] = [];
  const directoryBytes: number[] = [];
  for (const [index, path] of paths.entries()) {
    const store = await openStore(directory);
    results.push(await store.importFile(path, { dataset: `m${index}`, siblings }));
    await store.close();
    directoryBytes.push(storeBytes(directory));
  }
  const store = await openStore(directory);
  for (const [index, path] of paths.entries()) {
    const out = setting.scratch.fresh("siblings-export");
    await store.exportDataset(`m${index}`, out);
    requireEqualFiles(join(out, basename(path)), path);
    setting.scratch.remove(out);
  }
  await store.close();
  setting.scratch.remove(directory);
  return { results, directoryBytes };
}

const fraction = (value: number | undefined): string => (value === undefined ? "-" : value.toFixed(4));

async function pairsTable(setting: Setting, title: string, pairs: readonly ModelPair[]): Promise<Table> {
  const rows: string[][] = [];
  for (const { name, first, second, target, changedOnly } of pairs) {
    setting.say(`siblings: ${name}`);
    const { results, directoryBytes } = await imported(setting, [first, second]);
    const plain = await imported(setting, [first, second], false);
    const [from, to] = [readFileSync(first), readFileSync(second)];
    const result = results[1]!;
    const bytes = changedOnly === true ? to.length - result.bytesShared : to.length;
    const patient = setting.full || to.length <= PATIENT_BYTES;
    const of = (stored: number | undefined): string =>
      fraction(stored === undefined ? undefined : stored / bytes);
    rows.push([
      name,
      formatBytes(bytes),
      fraction(target),
      of(result.newBytes),
      of(directoryBytes[1]! - directoryBytes[0]!),
      of(plain.results[1]!.newBytes),
      of(xorPlanesBytes(second, from, to, 3)),
      of(patient ? xorPlanesBytes(second, from, to, 19) : undefined),
      of(patchBytes(from, to, patient ? 19 : 3)),
      of(sharedChunksBytes(from, to)),
    ]);
  }
  return {
    title,
    columns: [
      left("pair"),
      right("bytes"),
      right("target"),
      right("ours"),
      right("with directory"),
      right("ours alone"),
      right("XOR, planes, zstd -3"),
      right("XOR, planes, zstd -19"),
      right("zstd --patch-from"),
      right("exact chunks"),
    ],
    rows,
    notes: [
      "fractions of the second file (or of its tensors that changed) that storing it takes when the first is there; each came back equal",
      "ours: frames that it added; with directory: what the closed store grew by; ours alone: frames without siblings",
      "XOR: with the tensor of the same name; a plane, a zstd frame. -: not safetensors, or left out without --full",
      "zstd --patch-from: the first file as dictionary, window of 128 MiB, level 19 (3 for files over 4 MiB without --full)",
      "exact chunks: FastCDC of 64 KiB, those that the first file lacks, each through zstd -3",
    ],
  };
}

async function familyTable(setting: Setting): Promise<Table> {
  const family = trainedFamily();
  setting.say("siblings: the trained family");
  const { results, directoryBytes } = await imported(
    setting,
    family.map(({ path }) => path),
  );
  const raw = family.reduce((sum, { bytes }) => sum + bytes, 0);
  const files = family.map(({ path }) => readFileSync(path));
  const rows: string[][] = [];
  const totals = { zstd: 0, xor: 0 };
  for (const [index, { name, bytes, path }] of family.entries()) {
    const alone = await compressedBytes(zstd19, path);
    const xored = xorPlanesBytes(path, files[index - 1], files[index]!, 3) ?? bytes;
    totals.zstd += alone;
    totals.xor += xored;
    rows.push([
      name,
      formatBytes(bytes),
      formatBytes(results[index]!.newBytes),
      formatBytes(directoryBytes[index]!),
      formatBytes(alone),
      formatBytes(xored),
    ]);
  }
  const frames = results.reduce((sum, { newBytes }) => sum + newBytes, 0);
  rows.push([
    "all",
    formatBytes(raw),
    formatBytes(frames),
    formatBytes(directoryBytes.at(-1)!),
    formatBytes(totals.zstd),
    formatBytes(totals.xor),
  ]);
  const isMeasured = Math.abs(raw - FAMILY_BYTES) < 100_000;
  return {
    title: "The trained family, imported in this order",
    columns: [
      left("model"),
      right("bytes"),
      right("stored"),
      right("directory so far"),
      right("zstd -19"),
      right("XOR, planes, zstd -3"),
    ],
    rows,
    notes: [
      `${(directoryBytes.at(-1)! / 1e6).toFixed(3)} MB on disk, everything counted${
        isMeasured
          ? ` (target: ${(FAMILY_TARGET_BYTES / 1e6).toFixed(2)} MB; the Hub's xet client: 39.5 MB)`
          : ""
      }; of them ${(frames / 1e6).toFixed(3)} MB are frames`,
      "XOR: with the model before it",
    ],
  };
}

const VARIANTS = 100;
const VARIANT_ELEMENTS = 262_144;
const VARIANT_CHANGED = 0.01;
const RUN_ELEMENTS = 64;

/** Variants of one tensor in each of which other elements are new, in runs or one by one. */
function variantsOf(base: Float32Array, runElements: number): TensorData[] {
  const runs = Math.round((VARIANT_CHANGED * base.length) / runElements);
  return Array.from({ length: VARIANTS }, (_, index) => {
    const data = base.slice();
    const fresh = normals(runs * runElements, 1000 + index, 0.02);
    const places = normals(runs, 5000 + index, 1);
    for (let run = 0; run < runs; run++) {
      // The fraction of a normal number, spread out, is as good as uniform.
      const place = Math.floor(Math.abs((places[run]! * 1e4) % 1) * (base.length - runElements));
      data.set(fresh.subarray(run * runElements, (run + 1) * runElements), place);
    }
    return { dtype: "float32", shape: [base.length / 1024, 1024], data };
  });
}

async function variantsTable(setting: Setting): Promise<Table> {
  const base = normals(VARIANT_ELEMENTS, 3, 0.02);
  const bytes = base.byteLength;
  const rows: string[][] = [];
  for (const [name, runElements] of [
    [`in runs of ${RUN_ELEMENTS}`, RUN_ELEMENTS],
    ["at random places", 1],
  ] as const) {
    setting.say(`siblings: ${VARIANTS} variants, ${name}`);
    const directory = setting.scratch.fresh("siblings-variants");
    let store = await openStore(directory);
    await (await store.createDataset("a")).insert({
      dtype: "float32",
      shape: [base.length / 1024, 1024],
      data: base,
    });
    await store.close();
    const before = storeBytes(directory);
    const variants = variantsOf(base, runElements);
    store = await openStore(directory);
    const dataset = (await store.dataset("a"))!;
    for (const [index, tensor] of variants.entries()) await dataset.insert(tensor, { name: `v${index}` });
    for (const [index, { data }] of variants.entries()) {
      const found = (await dataset.get(`v${index}`))!.bytes();
      const expected = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      if (Buffer.compare(found, expected) !== 0) throw new Error(`variant ${index} came back changed`);
    }
    await store.close();
    const each = (storeBytes(directory) - before) / VARIANTS;
    const plainBits = (8 * before) / VARIANT_ELEMENTS;
    const changed = VARIANT_CHANGED;
    const placeBits = -changed * Math.log2(changed) - (1 - changed) * Math.log2(1 - changed);
    const entropyBytes = ((placeBits + changed * plainBits) * VARIANT_ELEMENTS) / 8;
    rows.push([
      name,
      formatBytes(each),
      `${((100 * each) / bytes).toFixed(2)} %`,
      runElements > 1 ? "-" : (each / entropyBytes).toFixed(3),
      runElements > 1 ? "<= 2 % of a copy" : "<= 1.1 x the entropy",
    ]);
    setting.scratch.remove(directory);
  }
  return {
    title: `${VARIANTS} variants of a float32 tensor of ${formatBytes(bytes)}, 1 % of the elements new in each`,
    columns: [
      left("changed"),
      right("a variant"),
      right("of a copy"),
      right("of the entropy"),
      left("target"),
    ],
    rows,
    notes: [
      "directory of the closed store, everything counted; entropy: of the places, and of the new values as they are stored alone",
    ],
  };
}

const COPIES = 5;

async function copiesTable(setting: Setting): Promise<Table> {
  const mebibytes = setting.full ? 128 : 16;
  setting.say("siblings: copies and changed blocks");
  const elements = mebibytes * 2 ** 18;
  const data = normals(elements, 17, 0.02);
  const whole = new Uint8Array(data.buffer);
  const shape = [elements / 1024, 1024];
  const first = copyPath(setting, 0);
  writeSafetensorsFile(first, [{ name: "w", dtype: "float32", shape, bytes: whole }]);
  const copies = Array.from({ length: COPIES - 1 }, (_, index) => copyPath(setting, index + 1));
  for (const path of copies) copyFileSync(first, path);
  const { directoryBytes } = await imported(setting, [first, ...copies]);
  const blocks = Math.round(0.05 * mebibytes);
  const other = whole.slice();
  const fresh = new Uint8Array(normals(blocks * 2 ** 18, 18, 0.02).buffer);
  for (let block = 0; block < blocks; block++) {
    const place = Math.floor((block + 0.5) * (mebibytes / blocks));
    other.set(fresh.subarray(block * 2 ** 20, (block + 1) * 2 ** 20), place * 2 ** 20);
  }
  const changed = copyPath(setting, COPIES);
  writeSafetensorsFile(changed, [{ name: "w", dtype: "float32", shape, bytes: other }]);
  const pair = await imported(setting, [first, changed]);
  const grown = pair.directoryBytes[1]! - pair.directoryBytes[0]!;
  return {
    title: `Copies of a file of ${formatBytes(statSync(first).size)}, and one in which 5 % of the blocks of 1 MiB are new`,
    columns: [left("stored"), right("bytes"), right("ratio"), left("target")],
    rows: [
      ["one", formatBytes(directoryBytes[0]!), "1", ""],
      [
        `${COPIES} copies`,
        formatBytes(directoryBytes.at(-1)!),
        `${(directoryBytes.at(-1)! / directoryBytes[0]!).toFixed(4)} x one`,
        "<= 1.001 x one",
      ],
      [
        "changed blocks",
        formatBytes(grown),
        `${(grown / (blocks * 2 ** 20)).toFixed(3)} x the changed bytes`,
        "<= 1.02 x the changed bytes",
      ],
    ],
  };
}

export const siblings: Benchmark = {
  name: "siblings",
  description:
    "the second of two models when the store has the first, beside XOR, zstd --patch-from and exact chunks",
  async run(setting) {
    const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
    return [
      await familyTable(setting),
      await pairsTable(setting, "Real pairs", realPairs()),
      await pairsTable(setting, `Seeded pairs of ${mebibytes} MiB`, seededPairs(setting, mebibytes)),
      await pairsTable(
        setting,
        `Versions of opaque files of ${mebibytes} MiB`,
        opaquePairs(setting, mebibytes),
      ),
      await variantsTable(setting),
      await copiesTable(setting),
    ];
  },
};
