/**
 * `create`: an empty dataset, with what shall hold for its records.
 */
import type { CreateDatasetOptions, DatasetSchema } from "@tensorcask/core";
import { printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { collectNames, readJsonObject } from "../option-values.ts";

interface CreateCommandOptions {
  readonly preset?: string;
  readonly metadata?: string;
  readonly schema?: string;
  readonly index?: readonly string[];
}

export const define: Define = (command, open) => {
  command
    .description(
      "Creates an empty dataset. `import` and `put` create datasets by themselves; this one sets preset, metadata and schema.",
    )
    .argument("<dataset>", "`name` or `namespace/name`")
    .option("--preset <name>", "its preset (default: it follows the store's)")
    .option("--metadata <json>", "its metadata: a JSON object, or @file.json")
    .option(
      "--schema <json>",
      "rules for its records: a JSON object with dtype, shape, metadata, or @file.json",
    )
    .option(
      "--index <path>",
      "metadata path to index for --where; several: a,b.c or the option again",
      collectNames,
    )
    .action(async (name: string, options: CreateCommandOptions, self: Command) => {
      const context = open(self);
      const { preset, metadata, schema, index } = options;
      const create: CreateDatasetOptions = {
        ...(preset === undefined ? {} : { preset }),
        ...(metadata === undefined ? {} : { metadata: await readJsonObject(metadata, "--metadata") }),
        ...(schema === undefined
          ? {}
          : { schema: (await readJsonObject(schema, "--schema")) as DatasetSchema }),
        ...(index === undefined ? {} : { indexed: index }),
      };
      await context.withStore("create", async (store) => {
        const dataset = await store.createDataset(name, create);
        const { name: presetName, lossless } = dataset.preset();
        await context.print(
          {
            dataset: dataset.name,
            preset: presetName,
            lossless,
            metadata: dataset.metadata,
            indexed: dataset.indexed,
          },
          () => [
            `Created ${printable(dataset.name)}, preset ${presetName} (${lossless ? "lossless" : "lossy"})`,
          ],
        );
      });
    });
  addExamples(command, [
    ["tensorcask create images --preset balanced", "a dataset with a preset of its own"],
    ["tensorcask create images --index label,info.lang", "indexes for `ls --where`"],
    [`tensorcask create images --schema '{"dtype":"float32","shape":[3,null,null]}'`, "only such tensors"],
  ]);
};
