/**
 * Peak resident memory of the command while it imports and exports a large file, read from outside: the kernel's high-water mark of the process.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { formatBytes, formatSeconds } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { requireEqualFiles } from "./bytes-equal.ts";
import { type CommandResult, tensorcask } from "./command.ts";
import { seededModel } from "./normal.ts";
import { megabytesPerSecond } from "./timing.ts";

const SMALL_MEBIBYTES = 512;
const LARGE_MEBIBYTES = 4096;

/** Values of --memory; undefined is the default (256 MiB). */
const budgets: readonly (string | undefined)[] = [undefined, "64MB"];

export const memory: Benchmark = {
  name: "memory",
  description: "peak resident memory of importing and exporting a large file",
  async run(setting) {
    return [await measure(setting)];
  },
};

async function measure(setting: Setting): Promise<Table> {
  const columns = [left("command"), left("--memory"), right("peak"), right("time"), right("MB/s")];
  const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
  const title = `Peak memory for a file of ${mebibytes} MiB`;
  if (!existsSync("/proc/self/status")) {
    return { title, columns, rows: [], notes: ["skipped: this system has no /proc"] };
  }
  const file = await seededModel(setting, "bfloat16", mebibytes);
  const rows: string[][] = [];
  for (const budget of budgets) {
    setting.say(`memory: --memory ${budget ?? "default"}`);
    const given = budget === undefined ? [] : ["--memory", budget];
    const store = setting.scratch.fresh("memory-store");
    const out = join(setting.scratch.fresh("memory-export"), "model.safetensors");
    const row = (name: string, { peakBytes, seconds }: CommandResult): string[] => [
      name,
      budget ?? "default",
      peakBytes === undefined ? "-" : formatBytes(peakBytes),
      formatSeconds(seconds),
      megabytesPerSecond(file.bytes, seconds),
    ];
    const imported = await tensorcask(["import", file.path, "--store", store, "--dataset", "a", ...given], {
      memory: true,
    });
    const exported = await tensorcask(["export", "a", "--store", store, "--out", out, ...given], {
      memory: true,
    });
    requireEqualFiles(out, file.path);
    rows.push(row("import", imported), row("export", exported));
    setting.scratch.remove(store);
    setting.scratch.remove(join(out, ".."));
  }
  // A command that does nearly nothing: what the runtime alone takes.
  const idle = await tensorcask(["presets"], { memory: true });
  rows.push([
    "presets (nothing to do)",
    "default",
    idle.peakBytes === undefined ? "-" : formatBytes(idle.peakBytes),
    formatSeconds(idle.seconds),
    "",
  ]);
  if (setting.full) setting.scratch.remove(file.path);
  return {
    title,
    columns,
    rows,
    notes: [
      "tensorcask import model.safetensors --store DIR --dataset a [--memory SIZE], tensorcask export a --store DIR --out copy/model.safetensors [--memory SIZE]",
      "VmHWM of the process, threads included; the exports were compared with the original",
    ],
  };
}
