/**
 * `log`: the versions of a dataset, newest first.
 */
import type { VersionInfo } from "@tensorcask/core";
import { renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { parseCount } from "../option-values.ts";

export const define: Define = (command, open) => {
  command
    .description("Lists the versions of a dataset that are still there, newest first, with their tags.")
    .argument("<dataset>")
    .option("--limit <n>", "at most so many", parseCount)
    .action(async (name: string, options: { readonly limit?: number }, self: Command) => {
      const context = open(self);
      await context.withStore("read", async (store) => {
        const dataset = await context.dataset(store, name);
        const all = [...(await dataset.versions())].sort((a, b) => b.version - a.version);
        const versions = options.limit === undefined ? all : all.slice(0, options.limit);
        await context.print(
          { dataset: name, current: dataset.version, versions: versions.map(versionJson) },
          () => (versions.length === 0 ? ["no versions yet"] : versionTable(versions, dataset.version)),
        );
      });
    });
  addExamples(command, [
    ["tensorcask log llm", "all versions"],
    ["tensorcask log llm --limit 1 --json", "the newest one"],
  ]);
};

/** A version as `--json` prints it. */
function versionJson(version: VersionInfo): object {
  const { timeMs, note, tags } = version;
  return { version: version.version, time: new Date(timeMs).toISOString(), timeMs, note: note ?? null, tags };
}

/** Local time, to the second. */
function timeText(timeMs: number): string {
  const time = new Date(timeMs);
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day} ${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}`;
}

function versionTable(versions: readonly VersionInfo[], current: number): string[] {
  return renderTable(
    [{ title: "version", align: "right" }, { title: "time" }, { title: "tags" }, { title: "note" }],
    versions.map((version) => [
      `${version.version}`,
      timeText(version.timeMs),
      [...version.tags, ...(version.version === current ? ["(current)"] : [])].join(", "),
      version.note ?? "",
    ]),
  );
}
