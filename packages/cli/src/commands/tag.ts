/**
 * `tag`: names for versions. A tagged version is kept by gc.
 */
import type { Dataset } from "@tensorcask/core";
import { printable, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { parseVersion } from "../option-values.ts";

interface TagCommandOptions {
  readonly version?: number | string;
  readonly move?: boolean;
  readonly delete?: boolean;
}

export const define: Define = (command, open) => {
  command
    .description("Names a version of a dataset; gc keeps tagged versions. Without a tag: lists them.")
    .argument("<dataset>")
    .argument("[tag]", "the name")
    .option("--version <v>", "the version to name, by number or tag (default: the current one)", parseVersion)
    .option("--move", "move a tag that exists already")
    .option("--delete", "delete the tag; the version itself stays until prune or gc")
    .action(async (name: string, tag: string | undefined, options: TagCommandOptions, self: Command) => {
      const context = open(self);
      const changes = options.version !== undefined || options.move === true || options.delete === true;
      if (tag === undefined && changes) {
        throw new CommandUsageError("tag", "which tag? give its name behind the dataset");
      }
      if (options.delete && (options.move || options.version !== undefined)) {
        throw new CommandUsageError("delete", "--delete goes with neither --move nor --version");
      }
      await context.withStore(tag === undefined ? "read" : "write", async (store) => {
        const dataset = await context.dataset(store, name);
        if (tag === undefined) {
          await listTags(dataset, context);
        } else if (options.delete) {
          await deleteTag(dataset, tag, context);
        } else {
          await setTag(dataset, tag, options, context);
        }
      });
    });
  addExamples(command, [
    ["tensorcask tag llm v1", "the current version is v1"],
    ["tensorcask tag llm good --version 3", "an older one"],
    ["tensorcask tag llm latest --move", "move a tag"],
    ["tensorcask tag llm v1 --delete", "delete a tag"],
    ["tensorcask tag llm", "list tags"],
  ]);
};

/** The version that a tag names. Throws `NotFoundError`. */
async function requireTag(dataset: Dataset, tag: string): Promise<number> {
  const version = (await dataset.tags()).get(tag);
  if (version === undefined) {
    const { NotFoundError } = await import("@tensorcask/codec");
    throw new NotFoundError("tag", tag, `in ${JSON.stringify(dataset.name)}`);
  }
  return version;
}

async function setTag(
  dataset: Dataset,
  tag: string,
  { version, move }: TagCommandOptions,
  context: CommandContext,
): Promise<void> {
  const number = typeof version === "string" ? await requireTag(dataset, version) : version;
  await dataset.tag(tag, {
    ...(number === undefined ? {} : { version: number }),
    ...(move === undefined ? {} : { move }),
  });
  const named = await requireTag(dataset, tag);
  await context.print({ dataset: dataset.name, tag, version: named }, () => [
    `${printable(tag)} is version ${named} of ${printable(dataset.name)}`,
  ]);
}

async function deleteTag(dataset: Dataset, tag: string, context: CommandContext): Promise<void> {
  await requireTag(dataset, tag);
  await dataset.deleteTag(tag);
  await context.print({ dataset: dataset.name, deleted: tag }, () => [`Deleted the tag ${printable(tag)}`]);
}

async function listTags(dataset: Dataset, context: CommandContext): Promise<void> {
  const tags = (await dataset.versions()).flatMap(({ version, tags: names }) =>
    names.map((tag) => ({ tag, version })),
  );
  await context.print({ dataset: dataset.name, tags }, () =>
    tags.length === 0
      ? ["no tags"]
      : renderTable(
          [{ title: "tag" }, { title: "version", align: "right" }],
          tags.map(({ tag, version }) => [tag, `${version}`]),
        ),
  );
}
