/**
 * `optimize`: chooses anew which tensors are stored as differences to which.
 */
import type { OptimizedFamily, OptimizeResult } from "@tensorcask/core";
import { formatBytes, formatItems, formatPercent, formatSeconds, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

/** Families and datasets of one that are named. */
const FAMILIES_NAMED = 20;
const DATASETS_NAMED = 5;

export const define: Define = (command, open) => {
  command
    .description(
      "Chooses anew which tensors are stored as differences to which, over all that resemble each other: the best one of each\n" +
        "family becomes the centre of the others. What a deleted dataset left only because others are differences to it is let go where\n" +
        "that is smaller. No value changes. The old frames are freed by the next `tensorcask gc`.",
    )
    .argument("[dataset]", "only the families that it belongs to")
    .option("--dry-run", "only say what would be gained; takes as long")
    .action(async (name: string | undefined, options: { readonly dryRun?: boolean }, self: Command) => {
      const context = open(self);
      await context.withStore("write", async (store) => {
        if (name !== undefined) await context.dataset(store, name);
        const result = await context.longCall((call) =>
          store.optimize({
            ...call,
            ...(name !== undefined && { dataset: name }),
            ...(options.dryRun !== undefined && { dryRun: options.dryRun }),
          }),
        );
        await context.print(result, () => optimizeLines(result));
      });
    });
  addExamples(command, [
    ["tensorcask optimize --dry-run", "what it would gain"],
    ["tensorcask optimize && tensorcask gc", "do it, and free the old frames"],
    ["tensorcask optimize acme/llm", "only what acme/llm is related to"],
  ]);
};

function optimizeLines(result: OptimizeResult): string[] {
  const { dryRun, families, tensors, tensorsMoved, bytesBefore, bytesAfter, seconds } = result;
  if (families.length === 0) return ["No tensors resemble each other: nothing to choose"];
  if (tensorsMoved === 0)
    return [
      `Nothing to gain: ${formatItems(tensors, "related tensor")} of ${formatBytes(bytesBefore)} ${tensors === 1 ? "is" : "are"} best as ${tensors === 1 ? "it is" : "they are"}`,
    ];
  const gained = families.filter(({ chunksMoved }) => chunksMoved > 0);
  const would = dryRun ? "would be " : "";
  return [
    ...gained.slice(0, FAMILIES_NAMED).map(familyLine),
    ...(gained.length > FAMILIES_NAMED ? [`and ${gained.length - FAMILIES_NAMED} more`] : []),
    `${tensorsMoved} of ${formatItems(tensors, "related tensor")} ${would}coded anew: ${formatBytes(bytesBefore)} -> ${formatBytes(
      bytesAfter,
    )} (${formatPercent(bytesAfter, bytesBefore)} of it) in ${formatSeconds(seconds)}${
      dryRun ? " (dry run: nothing was changed)" : ""
    }`,
    ...(!dryRun ? ["The old frames come back with the next tensorcask gc"] : []),
  ];
}

function familyLine({ datasets, centre, tensorsMoved, bytesBefore, bytesAfter }: OptimizedFamily): string {
  const named = datasets.slice(0, DATASETS_NAMED).map(printable).join(", ");
  const rest = datasets.length > DATASETS_NAMED ? ` and ${datasets.length - DATASETS_NAMED} more` : "";
  const around = centre === null ? "a deleted dataset" : printable(centre);
  return `${named}${rest}: ${formatItems(tensorsMoved, "tensor")}, mostly around ${around}, ${formatBytes(bytesBefore)} -> ${formatBytes(bytesAfter)}`;
}
