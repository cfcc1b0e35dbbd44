/**
 * `rm`: deletes a dataset with its history, or records or files of its current version; says when the bytes come back.
 */
import type { Dataset, Store } from "@tensorcask/core";
import { formatBytes, formatItems, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";

interface RemoveCommandOptions {
  readonly file?: readonly string[];
}

export const define: Define = (command, open) => {
  command
    .description(
      "Deletes a dataset and all its versions; with tensors or --file, only these, in a new version of the dataset.\n" +
        "`tensorcask gc` gives the bytes back. Versions that are tagged or kept hold on to theirs.",
    )
    .argument("<dataset>")
    .argument("[tensor...]", "records to delete: names, [file#]tensor or ids")
    .option(
      "--file <path>",
      "a file to delete with its records; several: the option again",
      (path: string, before: string[] = []) => [...before, path],
    )
    .action(async (name: string, tensors: string[], options: RemoveCommandOptions, self: Command) => {
      const context = open(self);
      await context.withStore("write", async (store) => {
        const files = options.file ?? [];
        await (tensors.length + files.length === 0
          ? removeDataset(store, name, context)
          : removeParts(store, await context.dataset(store, name), tensors, files, context));
      });
    });
  addExamples(command, [
    ["tensorcask rm llm", "a dataset and its history"],
    ["tensorcask rm images cat dog", "two records"],
    ["tensorcask rm llm --file tokenizer.json", "a file"],
  ]);
};

async function removeDataset(store: Store, name: string, context: CommandContext): Promise<void> {
  const dataset = await context.dataset(store, name);
  const stats = await store.stats(name);
  const versions = (await dataset.versions()).length;
  await store.deleteDataset(name);
  const bytesFreedByGc = stats.exclusiveBytes + stats.historyBytes;
  await context.print(
    { removed: "dataset", dataset: name, records: stats.records, versions, bytesFreedByGc },
    () => [
      `Deleted ${printable(name)}: ${formatItems(stats.records, "record")}, ${formatItems(stats.files, "file")}, ${formatItems(
        versions,
        "version",
      )}`,
      bytesFreedByGc > 0
        ? `About ${formatBytes(bytesFreedByGc)} become free; tensorcask gc gives them back, from packs that are mostly free then`
        : "No bytes were its own: gc frees nothing for it",
    ],
  );
}

async function removeParts(
  store: Store,
  dataset: Dataset,
  tensors: readonly string[],
  files: readonly string[],
  context: CommandContext,
): Promise<void> {
  const { NotFoundError } = await import("@tensorcask/codec");
  const ids: string[] = [];
  for (const address of tensors) {
    const record = await dataset.info(address);
    if (record === undefined) {
      throw new NotFoundError("tensor", address, `nothing was deleted from ${JSON.stringify(dataset.name)}`);
    }
    ids.push(record.id);
  }
  const known = new Set((await dataset.files()).map((file) => file.path));
  const missing = files.find((path) => !known.has(path));
  if (missing !== undefined) {
    throw new NotFoundError("file", missing, `nothing was deleted from ${JSON.stringify(dataset.name)}`);
  }
  if (ids.length > 0) {
    // One version for all of them, and none if one was changed meanwhile.
    await store.transaction(async (transaction) => {
      const inTransaction = await transaction.dataset(dataset.name);
      for (const id of ids) {
        await inTransaction?.delete(id);
      }
    });
  }
  for (const path of files) {
    await dataset.deleteFile(path);
  }
  await context.print(
    { removed: "parts", dataset: dataset.name, tensors, files, version: dataset.version },
    () => [
      `Deleted ${[
        ...(tensors.length > 0 ? [formatItems(tensors.length, "record")] : []),
        ...(files.length > 0 ? [formatItems(files.length, "file")] : []),
      ].join(" and ")} of ${printable(dataset.name)}, version ${dataset.version}`,
      "Their bytes come back with tensorcask gc, once no kept or tagged version has them (see tensorcask log and prune)",
    ],
  );
}
