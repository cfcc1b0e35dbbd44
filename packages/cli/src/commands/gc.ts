/**
 * `gc`: frees what no current, tagged or kept version refers to.
 */
import type { GcResult } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Frees what no current, tagged or kept version refers to, and rewrites packs that are mostly free. Chunks of an import that was\n" +
        "interrupted less than 24 hours ago stay, so that it can resume.",
    )
    .option("--dry-run", "only say what would be freed")
    .action(async (options: { readonly dryRun?: boolean }, self: Command) => {
      const context = open(self);
      const dryRun = options.dryRun === undefined ? {} : { dryRun: options.dryRun };
      await context.withStore("write", async (store) => {
        const result = await context.longCall((call) => store.gc({ ...call, ...dryRun }));
        await context.print(result, () => gcLines(result));
      });
    });
  addExamples(command, [
    ["tensorcask gc --dry-run", "what it would free"],
    ["tensorcask gc", "free it"],
  ]);
};

function gcLines(result: GcResult): string[] {
  const { dryRun, bytesBefore, bytesAfter } = result;
  const freed = Math.max(0, bytesBefore - bytesAfter);
  const would = dryRun ? "would be " : "";
  return [
    `${formatItems(result.versions, "version")} ${would}expired, ${formatItems(result.tensors, "tensor")} and ${formatItems(
      result.chunks,
      "chunk",
    )} ${would}removed`,
    `${formatItems(result.packsRemoved, "pack")} ${would}removed, ${formatItems(result.packsRewritten, "pack")} ${would}rewritten`,
    `${formatBytes(bytesBefore)} -> ${dryRun ? "about " : ""}${formatBytes(bytesAfter)}: ${formatBytes(freed)} ${would}freed${
      dryRun ? " (dry run: nothing was changed)" : ` in ${formatSeconds(result.seconds)}`
    }`,
  ];
}
