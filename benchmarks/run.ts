/**
 * Runs benchmarks: `pnpm bench [name...] [--full] [--scratch DIR] [--out FILE]`. Without names all of them. `--full` takes the sizes of
 * the published figures (about 12 GB of disk); without it everything is small enough for a few minutes.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ablation } from "./ablation.ts";
import { type Benchmark, type Setting, tableLines } from "./benchmark.ts";
import { codecs } from "./codecs.ts";
import { importExport } from "./import-export.ts";
import { kinds } from "./kinds.ts";
import { memory } from "./memory.ts";
import { models } from "./models.ts";
import { overhead } from "./overhead.ts";
import { records } from "./records.ts";
import { machine, section, writeResults } from "./results.ts";
import { scaling } from "./scaling.ts";
import { Scratch } from "./scratch.ts";
import { siblings } from "./siblings.ts";
import { slices } from "./slices.ts";

const benchmarks: readonly Benchmark[] = [
  models,
  siblings,
  ablation,
  codecs,
  kinds,
  importExport,
  slices,
  records,
  scaling,
  memory,
  overhead,
];

const usage = [
  "pnpm bench [name...] [options]",
  "",
  ...benchmarks.map(({ name, description }) => `  ${name.padEnd(14)} ${description}`),
  "",
  "  --full          the sizes of the published figures",
  "  --scratch DIR   where to work; default: the system's directory for temporary files",
  "  --out FILE      where the results go; default: RESULTS.md beside this file",
  "  --no-out        only print",
].join("\n");

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    full: { type: "boolean", default: false },
    scratch: { type: "string" },
    out: { type: "string", default: join(import.meta.dirname, "RESULTS.md") },
    "no-out": { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const unknown = positionals.filter((name) => benchmarks.every((benchmark) => benchmark.name !== name));
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no benchmark ${unknown.join(", ")}\n`);
  console.log(usage);
  process.exitCode = values.help ? 0 : 2;
} else {
  const chosen = benchmarks.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  const command = ["pnpm bench", ...positionals, ...(values.full ? ["--full"] : [])].join(" ");
  const scratch = new Scratch(values.scratch);
  const setting: Setting = { full: values.full, scratch, say: (line) => console.error(`... ${line}`) };
  console.log(`${machine()}\n`);
  try {
    for (const benchmark of chosen) {
      const tables = await benchmark.run(setting);
      for (const table of tables) console.log(`${tableLines(table).join("\n")}\n`);
      const text = section(benchmark, tables, command, new Date().toISOString().slice(0, 10));
      // After each one, so that an interrupted run keeps what it has.
      if (!values["no-out"]) {
        writeResults(
          values.out,
          new Map([[benchmark.name, text]]),
          benchmarks.map(({ name }) => name),
        );
      }
    }
  } finally {
    scratch.close();
  }
}
