/**
 * `preset`: shows or switches the preset of a dataset, or of the store.
 */
import type { Dataset, Store, SwitchPresetResult } from "@tensorcask/core";
import { formatItems, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";

interface PresetCommandOptions {
  readonly storeWide?: boolean;
  readonly follow?: boolean;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Shows the preset of a dataset, or switches it: what is inserted from then on is coded with it. What is stored stays as it is and\n" +
        "readable (`recompress` codes it anew). A dataset without a preset of its own follows the store's.",
    )
    .argument("[dataset]")
    .argument("[preset]", "the preset to switch to")
    .option("--store-wide", "the store's preset instead of a dataset's: `preset --store-wide [preset]`")
    .option("--follow", "give the dataset's own preset up: it follows the store's again")
    .action(
      async (
        first: string | undefined,
        second: string | undefined,
        options: PresetCommandOptions,
        self: Command,
      ) => {
        const context = open(self);
        if (options.storeWide) {
          await storePreset(first, second, options, context);
          return;
        }
        if (first === undefined) {
          throw new CommandUsageError(
            "dataset",
            "which dataset? name one, or give --store-wide for the store's preset",
          );
        }
        if (second !== undefined && options.follow) {
          throw new CommandUsageError("follow", "--follow does not go with a preset");
        }
        const switching = second !== undefined || options.follow === true;
        await context.withStore(switching ? "write" : "read", async (store) => {
          const dataset = await context.dataset(store, first);
          await (switching ? switchDataset(dataset, second ?? null, context) : showDataset(dataset, context));
        });
      },
    );
  addExamples(command, [
    ["tensorcask preset llm", "show it"],
    ["tensorcask preset llm maximum", "switch it"],
    ["tensorcask preset llm --follow", "follow the store's"],
    ["tensorcask preset --store-wide fast", "switch the store's"],
  ]);
};

function loss(lossless: boolean): string {
  return lossless ? "lossless" : "lossy";
}

function switchLine(what: string, result: SwitchPresetResult): string {
  const kept =
    result.tensorsKept === 0
      ? ""
      : `; ${formatItems(result.tensorsKept, "stored tensor keeps", "stored tensors keep")} the encoding they have`;
  return `${what} now has the preset ${result.preset} (${loss(result.lossless)})${kept}`;
}

async function storePreset(
  name: string | undefined,
  excess: string | undefined,
  options: PresetCommandOptions,
  context: CommandContext,
): Promise<void> {
  if (excess !== undefined || options.follow) {
    throw new CommandUsageError(
      "store-wide",
      "--store-wide takes a preset only: tensorcask preset --store-wide fast",
    );
  }
  await context.withStore(name === undefined ? "read" : "create", async (store: Store) => {
    if (name === undefined) {
      const preset = await store.preset();
      await context.print({ preset: preset.name, lossless: preset.lossless }, () => [
        `${preset.name} (${loss(preset.lossless)})`,
      ]);
    } else {
      const result = await store.setPreset(name);
      await context.print(result, () => [switchLine("the store", result)]);
    }
  });
}

async function showDataset(dataset: Dataset, context: CommandContext): Promise<void> {
  const preset = dataset.preset();
  const own = dataset.ownPreset !== null;
  await context.print({ dataset: dataset.name, preset: preset.name, lossless: preset.lossless, own }, () => [
    `${preset.name} (${loss(preset.lossless)}${own ? "" : ", the store's"})`,
  ]);
}

async function switchDataset(dataset: Dataset, name: string | null, context: CommandContext): Promise<void> {
  const result = await dataset.setPreset(name);
  await context.print({ dataset: dataset.name, ...result, own: name !== null }, () => [
    switchLine(printable(dataset.name), result),
  ]);
}
