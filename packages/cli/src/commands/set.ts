/**
 * `set`: shows and changes what a dataset or a record says about itself.
 */
import type { Dataset, DatasetSchema } from "@tensorcask/core";
import { printable, renderFacts } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { collectNames, parseCount, readJsonObject } from "../option-values.ts";

interface SetCommandOptions {
  readonly metadata?: string;
  readonly schema?: string | false;
  readonly index?: readonly string[] | false;
  readonly keepVersions?: number;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Changes the metadata, schema and indexes of a dataset, or the metadata of one record of it; without options, shows them.\n" +
        "Metadata is merged: fields that are not named stay, fields set to null go. Without a dataset: settings of the store.",
    )
    .argument("[dataset]")
    .argument("[tensor]", "a record, whose metadata is changed")
    .option("--metadata <json>", "fields to change: a JSON object, or @file.json")
    .option("--schema <json>", "rules for records from now on: a JSON object, or @file.json")
    .option("--no-schema", "no rules any more")
    .option("--index <path>", "all metadata paths to index; several: a,b.c or the option again", collectNames)
    .option("--no-index", "no indexes any more")
    .option(
      "--keep-versions <n>",
      "for the whole store: old versions that gc keeps beside tagged ones",
      parseCount,
    )
    .action(
      async (
        name: string | undefined,
        tensor: string | undefined,
        given: SetCommandOptions,
        self: Command,
      ) => {
        const context = open(self);
        const options = withoutDefaults(given, self);
        if (name === undefined) {
          await setStore(options, context);
        } else if (options.keepVersions !== undefined) {
          throw new CommandUsageError(
            "keep-versions",
            "--keep-versions is for the whole store: leave the dataset out",
          );
        } else if (tensor === undefined) {
          await setDataset(name, options, context);
        } else {
          await setRecord(name, tensor, options, context);
        }
      },
    );
  addExamples(command, [
    ["tensorcask set images", "show metadata, schema, indexes"],
    [`tensorcask set images --metadata '{"source":"camera 3"}'`, "metadata of a dataset"],
    [`tensorcask set images cat --metadata '{"label":3}'`, "metadata of a record"],
    ["tensorcask set images --index label,info.lang", "indexes for `ls --where`"],
    ["tensorcask set --keep-versions 5", "gc keeps the five versions before the current one"],
  ]);
};

/** A pair of `--x` and `--no-x` is `true` in commander when neither was given. */
function withoutDefaults(options: SetCommandOptions, command: Command): SetCommandOptions {
  const given = Object.entries(options).filter(([key]) => command.getOptionValueSource(key) !== "default");
  return Object.fromEntries(given);
}

async function setStore({ keepVersions }: SetCommandOptions, context: CommandContext): Promise<void> {
  if (keepVersions === undefined) {
    throw new CommandUsageError("dataset", "name a dataset, or give --keep-versions for the store");
  }
  await context.withStore("write", (store) => store.setKeepVersions(keepVersions));
  await context.print({ keepVersions }, () => [`gc keeps ${keepVersions} old versions of each dataset`]);
}

async function setDataset(name: string, options: SetCommandOptions, context: CommandContext): Promise<void> {
  const { schema, index } = options;
  const metadata =
    options.metadata === undefined ? undefined : await readJsonObject(options.metadata, "--metadata");
  const rules = typeof schema === "string" ? await readJsonObject(schema, "--schema") : null;
  const changes = metadata !== undefined || schema !== undefined || index !== undefined;
  await context.withStore(changes ? "write" : "read", async (store) => {
    const dataset = await context.dataset(store, name);
    if (metadata !== undefined) {
      await dataset.setMetadata(metadata);
    }
    if (schema !== undefined) {
      await dataset.setSchema(rules as DatasetSchema | null);
    }
    if (index !== undefined) {
      await dataset.setIndexed(index === false ? [] : index);
    }
    await printDataset(await context.dataset(store, name), context);
  });
}

async function printDataset(dataset: Dataset, context: CommandContext): Promise<void> {
  const { name, version, metadata, schema, indexed } = dataset;
  const preset = dataset.preset().name;
  await context.print({ name, version, preset, metadata, schema, indexed }, () => [
    printable(name),
    ...renderFacts([
      ["version", `${version}`],
      ["preset", dataset.ownPreset === null ? `${preset} (the store's)` : preset],
      ["metadata", JSON.stringify(metadata)],
      ["schema", schema === null ? "none" : JSON.stringify(schema)],
      ["indexed", indexed.length === 0 ? "nothing" : indexed.join(", ")],
    ]),
  ]);
}

async function setRecord(
  name: string,
  tensor: string,
  options: SetCommandOptions,
  context: CommandContext,
): Promise<void> {
  if (options.schema !== undefined || options.index !== undefined) {
    throw new CommandUsageError("schema", "--schema and --index are for datasets, not for records");
  }
  const metadata =
    options.metadata === undefined ? undefined : await readJsonObject(options.metadata, "--metadata");
  await context.withStore(metadata === undefined ? "read" : "write", async (store) => {
    const dataset = await context.dataset(store, name);
    if (metadata !== undefined) {
      await dataset.update(tensor, { metadata });
    }
    const record = await dataset.info(tensor);
    if (record === undefined) {
      const { NotFoundError } = await import("@tensorcask/codec");
      throw new NotFoundError("tensor", tensor, `tensorcask ls ${name} lists what there is`);
    }
    await context.print({ dataset: name, tensor, id: record.id, metadata: record.metadata }, () => [
      `${printable(tensor)}: ${JSON.stringify(record.metadata)}`,
    ]);
  });
}
