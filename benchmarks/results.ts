/**
 * RESULTS.md: a section for each benchmark, with when, on what and by which command it was measured, and its tables. A run replaces the sections of the
 * benchmarks that it ran and leaves the others.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { type Benchmark, type Table, tableLines } from "./benchmark.ts";

const HEAD = [
  "# Measured results",
  "",
  "Written by `pnpm bench`; what each benchmark does is said at the top of its file. Every benchmark compares what comes back with what went in, and a difference ends the run. Sizes are exact; times come",
  "from the machine that a section names, so look at the ratios between lines of one table. Differences below 10 % are noise. MB are 1,000,000 bytes,",
  "MiB 1,048,576.",
].join("\n");

const SECTION = /^## (\S+)$/;

/** The machine in one line. */
export function machine(): string {
  const model = cpus()[0]?.model.trim() || "unknown processor";
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${availableParallelism()} cores (${model}), ${memory} GiB of memory, ${process.platform} ${process.arch}, Node ${process.versions.node}`;
}

/** The lines of a benchmark's section. */
export function section(
  benchmark: Benchmark,
  tables: readonly Table[],
  command: string,
  date: string,
): string {
  const blocks = tables.map((table) => ["```", ...tableLines(table), "```"].join("\n"));
  const facts = `${date}; ${machine()}; \`${command}\``;
  return [`## ${benchmark.name}`, "", facts, "", blocks.join("\n\n")].join("\n");
}

/** Sections of an existing file, by name. */
function sectionsOf(text: string): Map<string, string> {
  const sections = new Map<string, string>();
  let name: string | undefined;
  let lines: string[] = [];
  const end = (): void => {
    if (name !== undefined) sections.set(name, lines.join("\n").trimEnd());
  };
  for (const line of text.split("\n")) {
    const found = SECTION.exec(line);
    if (found !== null) {
      end();
      name = found[1];
      lines = [];
    }
    lines.push(line);
  }
  end();
  return sections;
}

/** Writes the sections into the file, in the order given by `order`; sections of other benchmarks stay. */
export function writeResults(
  path: string,
  fresh: ReadonlyMap<string, string>,
  order: readonly string[],
): void {
  const sections = existsSync(path) ? sectionsOf(readFileSync(path, "utf8")) : new Map<string, string>();
  for (const [name, text] of fresh) sections.set(name, text);
  const known = order.flatMap((name) => sections.get(name) ?? []);
  writeFileSync(path, `${[HEAD, ...known].join("\n\n")}\n`);
}
