/**
 * Speed of importing, importing again, importing under another name, exporting and reading everything, as whole commands and within a
 * process that has the store open, beside zstd -3, gzip -6 and a plain copy of the same file.
 */

import { statSync } from "node:fs";
import { join } from "node:path";
import { type ImportResult, openStore, type Store } from "@tensorcask/core";
import { formatBytes, formatPercent, formatRatio } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { tensorcask } from "./command.ts";
import { type NormalFile, seededModel } from "./normal.ts";
import {
  compressFile,
  copyFile,
  decompressAway,
  decompressFile,
  gzip6,
  type Peer,
  readAway,
  zstd3,
} from "./peers.ts";
import { storeBytes } from "./scratch.ts";
import {
  type Contender,
  collectGarbage,
  median,
  megabytesPerSecond,
  race,
  speedup,
  times,
} from "./timing.ts";

const SMALL_MEBIBYTES = 256;
const LARGE_MEBIBYTES = 1024;
const ROUNDS = 3;

const NAME = "model.safetensors";

/** The steps of one round as whole commands: each begins where the one before ended. */
function commandContenders(setting: Setting, file: NormalFile): Contender[] {
  let store = "";
  let out = "";
  return [
    {
      name: "command: import",
      before: () => {
        setting.scratch.remove(store);
        store = setting.scratch.fresh("command-store");
      },
      run: async () => void (await tensorcask(["import", file.path, "--store", store, "--dataset", "a"])),
    },
    {
      name: "command: import again",
      run: async () => void (await tensorcask(["import", file.path, "--store", store, "--dataset", "a"])),
    },
    {
      name: "command: import as another",
      run: async () => void (await tensorcask(["import", file.path, "--store", store, "--dataset", "b"])),
    },
    {
      name: "command: export",
      before: () => {
        out = join(setting.scratch.fresh("command-export"), NAME);
      },
      run: async () => void (await tensorcask(["export", "a", "--store", store, "--out", out])),
      after: () => {
        requireEqualFiles(out, file.path);
        setting.scratch.remove(join(out, ".."));
      },
    },
  ];
}

/** What the imports of the last round said. */
interface Imports {
  first?: ImportResult;
  again?: ImportResult;
  other?: ImportResult;
}

/** The same within this process, the store open; closing it is part of the first import, where it would be part of a command. */
function processContenders(setting: Setting, file: NormalFile, imports: Imports): Contender[] {
  let directory = "";
  let store: Store | undefined;
  let out = "";
  const opened = (): Store => {
    if (store === undefined) throw new Error("the store is not open");
    return store;
  };
  return [
    {
      name: "import",
      before: async () => {
        await store?.close();
        setting.scratch.remove(directory);
        directory = setting.scratch.fresh("process-store");
        store = await openStore(directory);
        collectGarbage();
      },
      run: async () => {
        imports.first = await opened().importFile(file.path, { dataset: "a" });
      },
    },
    {
      name: "import again",
      run: async () => {
        imports.again = await opened().importFile(file.path, { dataset: "a" });
      },
    },
    {
      name: "import as another",
      run: async () => {
        imports.other = await opened().importFile(file.path, { dataset: "b" });
      },
    },
    {
      name: "export",
      before: () => {
        out = join(setting.scratch.fresh("process-export"), NAME);
      },
      run: async () => void (await opened().exportDataset("a", out)),
      after: () => {
        requireEqualFiles(out, file.path);
        setting.scratch.remove(join(out, ".."));
      },
    },
    {
      name: "read all",
      run: async () => {
        const dataset = (await opened().dataset("a"))!;
        let bytes = 0;
        for await (const record of dataset.records()) bytes += (await record.read()).data.byteLength;
        const expected = file.tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
        if (bytes !== expected) throw new Error(`read ${bytes} bytes of ${expected}`);
      },
    },
    {
      name: "close",
      run: async () => {
        await store?.close();
        store = undefined;
        setting.scratch.remove(directory);
      },
    },
  ];
}

function peerContenders(setting: Setting, file: NormalFile, peer: Peer, rounds: number): Contender[] {
  const packed = setting.scratch.fresh("peer-packed");
  const restored = setting.scratch.fresh("peer-restored");
  return [
    { name: `${peer.name}: compress`, rounds, run: () => compressFile(peer, file.path, packed) },
    {
      name: `${peer.name}: decompress`,
      rounds,
      run: () => decompressFile(peer, packed, restored),
      after: () => {
        requireEqualFiles(restored, file.path);
        setting.scratch.remove(restored);
      },
    },
    { name: `${peer.name}: read all`, rounds, run: async () => void (await decompressAway(peer, packed)) },
  ];
}

function copyContenders(setting: Setting, file: NormalFile): Contender[] {
  const copy = setting.scratch.fresh("copy");
  return [
    { name: "copy", run: () => copyFile(file.path, copy), after: () => setting.scratch.remove(copy) },
    { name: "read the file", run: () => readAway(file.path) },
  ];
}

/** One correct round trip, by a whole command, before anything is timed; gives the directory's size too. */
async function checkRoundTrip(setting: Setting, file: NormalFile): Promise<number> {
  const store = setting.scratch.fresh("check-store");
  const out = join(setting.scratch.fresh("check-export"), NAME);
  await tensorcask(["import", file.path, "--store", store, "--dataset", "a"]);
  await tensorcask(["export", "a", "--store", store, "--out", out]);
  requireEqualFiles(out, file.path);
  const bytes = storeBytes(store);
  setting.scratch.remove(store);
  setting.scratch.remove(join(out, ".."));
  return bytes;
}

/** Which peer a step is compared with. */
const rivals: Readonly<Record<string, string>> = {
  "command: import": "zstd -3: compress",
  "command: import again": "zstd -3: compress",
  "command: import as another": "zstd -3: compress",
  "command: export": "zstd -3: decompress",
  import: "zstd -3: compress",
  "import again": "zstd -3: compress",
  "import as another": "zstd -3: compress",
  export: "zstd -3: decompress",
  "read all": "zstd -3: read all",
};

async function measure(setting: Setting, mebibytes: number): Promise<Table> {
  const file = await seededModel(setting, "bfloat16", mebibytes);
  setting.say("import-export: checking");
  const directoryBytes = await checkRoundTrip(setting, file);
  const imports: Imports = {};
  const contenders = [
    ...commandContenders(setting, file),
    ...processContenders(setting, file, imports),
    ...peerContenders(setting, file, zstd3, ROUNDS),
    ...peerContenders(setting, file, gzip6, 1),
    ...copyContenders(setting, file),
  ];
  setting.say(`import-export: ${mebibytes} MiB, ${ROUNDS} rounds`);
  const taken = await race(contenders, { rounds: ROUNDS, warmups: 1 });
  const rows = contenders
    .filter(({ name }) => name !== "close")
    .map(({ name }) => {
      const { seconds: own, cpuSeconds } = taken.get(name)!;
      const rival = rivals[name];
      return [
        name,
        median(own).toFixed(3),
        name.startsWith("command") ? "" : median(cpuSeconds).toFixed(3),
        megabytesPerSecond(file.bytes, median(own)),
        megabytesPerSecond(file.bytes, Math.min(...own)),
        rival === undefined ? "" : times(speedup(own, taken.get(rival)!.seconds)),
      ];
    });
  const { first, again, other } = imports;
  return {
    title: `Import and export of ${mebibytes} MiB of bfloat16 normals`,
    columns: [
      left("step"),
      right("seconds"),
      right("CPU s"),
      right("MB/s"),
      right("best MB/s"),
      right("against zstd -3"),
    ],
    rows,
    notes: [
      "commands: tensorcask import model.safetensors --store DIR --dataset a (again: the same; as another: --dataset b), tensorcask export a --store DIR --out copy/model.safetensors",
      `medians of ${ROUNDS} rounds after one warm-up (gzip: one round); inputs in the page cache; every export and every decompressed file was compared`,
      `ratio ${formatRatio(file.bytes / first!.newBytes)} of the packs, ${formatRatio(file.bytes / directoryBytes)} of the directory; zstd -3 ${formatRatio(
        file.bytes / (await packedBytes(setting, file, zstd3)),
      )}`,
      `store over frames: ${formatPercent(directoryBytes - first!.storedBytes, first!.storedBytes)} (${formatBytes(directoryBytes - first!.storedBytes)})`,
      `imported again it added ${formatBytes(again!.newBytes)}, as another dataset ${formatBytes(other!.newBytes)}`,
    ],
  };
}

async function packedBytes(setting: Setting, file: NormalFile, peer: Peer): Promise<number> {
  const packed = setting.scratch.fresh("packed");
  await compressFile(peer, file.path, packed);
  const { size } = statSync(packed);
  setting.scratch.remove(packed);
  return size;
}

export const importExport: Benchmark = {
  name: "import-export",
  description: "speed of imports, exports and reads, beside zstd, gzip and a copy",
  async run(setting) {
    const tables = [await measure(setting, SMALL_MEBIBYTES)];
    if (setting.full) tables.push(await measure(setting, LARGE_MEBIBYTES));
    return tables;
  },
};
