/**
 * `prune`: expires old versions, of one dataset or of all.
 */
import type { PruneOptions, PruneResult } from "@tensorcask/core";
import { formatItems, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { CommandUsageError } from "../failure.ts";
import { parseCount, parseDuration } from "../option-values.ts";

interface PruneCommandOptions {
  readonly keepLast?: number;
  readonly keepTagged?: boolean;
  readonly olderThan?: number;
  readonly dryRun?: boolean;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Expires old versions. What any of the rules keeps is kept; the current version always is. Give at least one rule.\n" +
        "The bytes come back with the next `tensorcask gc`.",
    )
    .argument("[dataset]", "default: all of them")
    .option("--keep-last <n>", "keep the newest n versions", parseCount)
    .option("--keep-tagged", "keep tagged versions")
    .option("--older-than <time>", "expire only versions older than this, such as 30d", parseDuration)
    .option("--dry-run", "only say what would expire")
    .action(async (name: string | undefined, options: PruneCommandOptions, self: Command) => {
      const context = open(self);
      const { keepLast, keepTagged, olderThan, dryRun } = options;
      if (keepLast === undefined && !keepTagged && olderThan === undefined) {
        throw new CommandUsageError(
          "keep-last",
          "give a rule: --keep-last N, --keep-tagged or --older-than 30d",
        );
      }
      const rules: PruneOptions & { dataset?: string } = {
        ...(name === undefined ? {} : { dataset: name }),
        ...(keepLast === undefined ? {} : { keepLast }),
        ...(keepTagged === undefined ? {} : { keepTagged }),
        ...(olderThan === undefined ? {} : { keepWithinMs: olderThan }),
        ...(dryRun === undefined ? {} : { dryRun }),
      };
      await context.withStore("write", async (store) => {
        if (name !== undefined) {
          await context.dataset(store, name);
        }
        const result = await context.longCall((call) => store.prune({ ...call, ...rules }));
        await context.print(result, () => pruneLines(result));
      });
    });
  addExamples(command, [
    ["tensorcask prune --keep-last 5 --keep-tagged", "in all datasets"],
    ["tensorcask prune llm --older-than 30d --dry-run", "what would go"],
    ["tensorcask prune llm --keep-last 1 && tensorcask gc", "and free the bytes"],
  ]);
};

function pruneLines({ datasets, dryRun }: PruneResult): string[] {
  const expired = datasets.reduce((sum, dataset) => sum + dataset.expired.length, 0);
  const what = formatItems(expired, "version");
  const last = dryRun
    ? `${what} would expire (dry run: nothing was changed)`
    : `${what} expired${expired > 0 ? "; the bytes come back with the next tensorcask gc" : ""}`;
  return [
    ...(datasets.length === 0
      ? []
      : renderTable(
          [{ title: "dataset" }, { title: "kept", align: "right" }, { title: "expired", align: "right" }],
          datasets.map((dataset) => [dataset.name, `${dataset.kept.length}`, `${dataset.expired.length}`]),
        )),
    last,
  ];
}
