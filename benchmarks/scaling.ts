/**
 * What a second core brings: the same import as a command that may use one core, and two.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { tensorcask } from "./command.ts";
import { seededModel } from "./normal.ts";
import { type Contender, median, megabytesPerSecond, race, speedup, times } from "./timing.ts";

const SMALL_MEBIBYTES = 256;
const LARGE_MEBIBYTES = 1024;
const ROUNDS = 3;

/** The cores that this process may use; undefined where `taskset` or /proc is missing. */
function allowedCores(): number[] | undefined {
  if (spawnSync("taskset", ["--version"]).error !== undefined) return undefined;
  try {
    const list = /^Cpus_allowed_list:\s+(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
    return list.split(",").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index);
    });
  } catch {
    return undefined;
  }
}

function contendersOn(setting: Setting, path: string, label: string, cores: string): Contender[] {
  let store = "";
  let out = "";
  return [
    {
      name: `import, ${label}`,
      before: () => {
        setting.scratch.remove(store);
        store = setting.scratch.fresh("scaling-store");
      },
      run: async () =>
        void (await tensorcask(["import", path, "--store", store, "--dataset", "a"], { cores })),
    },
    {
      name: `export, ${label}`,
      before: () => {
        out = setting.scratch.fresh("scaling-export");
      },
      run: async () => void (await tensorcask(["export", "a", "--store", store, "--out", out], { cores })),
      after: () => {
        requireEqualFiles(join(out, basename(path)), path);
        setting.scratch.remove(out);
      },
    },
  ];
}

async function measure(setting: Setting): Promise<Table> {
  const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
  const title = `One core and two: ${mebibytes} MiB of bfloat16, whole command`;
  const columns = [left("step"), right("seconds"), right("MB/s"), right("two against one")];
  const cores = allowedCores();
  if (cores === undefined || cores.length < 2) {
    const reason = cores === undefined ? "taskset is missing" : "there is only one core";
    return { title, columns, rows: [], notes: [`skipped: ${reason}`] };
  }
  const file = await seededModel(setting, "bfloat16", mebibytes);
  setting.say(`scaling: ${mebibytes} MiB, ${ROUNDS} rounds`);
  const contenders = [
    ...contendersOn(setting, file.path, "one core", String(cores[0])),
    ...contendersOn(setting, file.path, "two cores", `${cores[0]},${cores[1]}`),
  ];
  const taken = await race(contenders, { rounds: ROUNDS });
  const rows = contenders.map(({ name }) => {
    const own = taken.get(name)!.seconds;
    const one = taken.get(name.replace("two cores", "one core"))!.seconds;
    return [
      name,
      median(own).toFixed(2),
      megabytesPerSecond(file.bytes, median(own)),
      one === own ? "" : times(speedup(own, one)),
    ];
  });
  return {
    title,
    columns,
    rows,
    notes: [`medians of ${ROUNDS} rounds; cores set with taskset; every export was compared`],
  };
}

export const scaling: Benchmark = {
  name: "scaling",
  description: "imports and exports on one core and on two",
  run: async (setting) => [await measure(setting)],
};
