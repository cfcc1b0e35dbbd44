/**
 * `import`: files and directories into a dataset, or every subfolder into a dataset of its own.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { ImportResult, Store } from "@tensorcask/core";
import { importLine, importReport, importTotal, importTotalLine, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { STANDARD } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError, exitStatus, failureJson, failureOf, isCancellation } from "../failure.ts";
import { requirePaths } from "../input-paths.ts";
import { withSpooledInput } from "../spool.ts";

interface ImportCommandOptions {
  readonly dataset?: string;
  readonly preset?: string;
  readonly each?: boolean;
  readonly name?: string;
  readonly opaque?: boolean;
  readonly siblings?: boolean;
  readonly parent?: string;
}

/** A folder that becomes a dataset. */
interface Folder {
  readonly path: string;
  readonly dataset: string;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Imports files, sharded models (their index file) and whole directories. What the store has already is not stored again.\n" +
        "An import lands as a whole or not at all; one that was interrupted resumes when it is run again.",
    )
    .argument("<path...>", "files or directories; - with --name for standard input")
    .option("--dataset <name>", "the dataset, `name` or `namespace/name`; created when it is not there")
    .option("--preset <name>", "preset of a new dataset; for one that exists, of this import only")
    .option(
      "--each",
      "make one dataset of each subfolder, named after it (within the namespace --dataset, if given)",
    )
    .option(
      "--opaque",
      "keep files that are not valid in their format as plain bytes instead of refusing them",
    )
    .option("--name <name>", "name of the file that standard input (-) is, with its extension")
    .option(
      "--parent <name>",
      "a dataset that these files were made from: where no tensor is found to be alike, the one of the same name there is tried",
    )
    .option("--no-siblings", "do not store tensors as differences to ones that they resemble")
    .action(async (paths: string[], options: ImportCommandOptions, self: Command) => {
      const context = open(self);
      context.outcome.afterInterruption = "run it again: it resumes";
      if (paths.includes(STANDARD) || options.name !== undefined) {
        await importPiped(paths, options, context);
        return;
      }
      await (options.each ? importEach(paths, options, context) : importOne(paths, options, context));
    });
  addExamples(command, [
    ["tensorcask import model.safetensors --dataset llm", "one file"],
    ["tensorcask import model/ --dataset acme/llm", "a folder, with its relative paths"],
    ["tensorcask import a.safetensors b.json --dataset llm --preset fast", "several files, with a preset"],
    ["tensorcask import tuned.safetensors --dataset tuned --parent base", "a fine-tune of the dataset base"],
    ["tensorcask import models/ --each", "models/base -> base, models/tuned -> tuned"],
  ]);
};

function importInto(
  store: Store,
  context: CommandContext,
  paths: string[],
  dataset: string,
  { preset, opaque, siblings, parent }: ImportCommandOptions,
): Promise<ImportResult> {
  return context.longCall((call) =>
    store.importFile(paths, {
      ...call,
      dataset,
      ...(preset === undefined ? {} : { preset }),
      ...(opaque === undefined ? {} : { opaque }),
      ...(siblings === undefined ? {} : { siblings }),
      ...(parent === undefined ? {} : { parent }),
    }),
  );
}

async function importOne(
  paths: string[],
  options: ImportCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { dataset } = options;
  if (dataset === undefined) {
    throw new CommandUsageError(
      "dataset",
      "into which dataset? give --dataset NAME (or --each for one per subfolder)",
    );
  }
  await requirePaths(paths);
  await context.withStore("create", async (store) => {
    const result = await importInto(store, context, paths, dataset, options);
    await context.print(result, () => importReport(result));
  });
}

/** Imports standard input as a file. */
async function importPiped(
  paths: readonly string[],
  options: ImportCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { name } = options;
  if (paths.length !== 1 || paths[0] !== STANDARD || options.each) {
    throw new CommandUsageError("path", "standard input (-) is imported by itself, with --name");
  }
  if (name === undefined || name === "" || name !== basename(name)) {
    throw new CommandUsageError("name", "a file needs a name; give --name x.npy, without folders");
  }
  context.requireDirectory();
  await withSpooledInput(context, name, (path) => importOne([path], options, context));
}

/** The subfolders of the given directories, each with the dataset it becomes, and what lies beside them. */
async function subfolders(
  paths: readonly string[],
  namespace: string | undefined,
): Promise<{ readonly folders: readonly Folder[]; readonly others: readonly string[] }> {
  const folders: Folder[] = [];
  const others: string[] = [];
  for (const path of paths) {
    const entries = await readdir(path, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const full = join(path, entry.name);
      // Hidden folders (.git, .cache) are not models.
      if (!entry.name.startsWith(".") && (await stat(full)).isDirectory()) {
        folders.push({
          path: full,
          dataset: namespace === undefined ? entry.name : `${namespace}/${entry.name}`,
        });
      } else {
        others.push(full);
      }
    }
  }
  const names = new Map<string, string>();
  for (const { path, dataset } of folders) {
    const other = names.get(dataset);
    if (other !== undefined) {
      throw new CommandUsageError("path", `${other} and ${path} would both become the dataset ${dataset}`);
    }
    names.set(dataset, path);
  }
  if (folders.length === 0) {
    throw new CommandUsageError(
      "path",
      `no subfolders in ${paths.map((path) => basename(resolve(path))).join(", ")}; leave --each out to import it whole`,
    );
  }
  return { folders, others };
}

/** Imports folder after folder. One that fails does not stop the others; the command fails at the end. */
async function importEach(
  paths: string[],
  options: ImportCommandOptions,
  context: CommandContext,
): Promise<void> {
  await requirePaths(paths);
  const { folders, others } = await subfolders(paths, options.dataset);
  await context.withStore("create", async (store) => {
    const startedMs = performance.now();
    const imports: ImportResult[] = [];
    const failed: { readonly path: string; readonly dataset: string; readonly error: unknown }[] = [];
    for (const { path, dataset } of folders) {
      context.signal.throwIfAborted();
      try {
        const result = await importInto(store, context, [path], dataset, options);
        imports.push(result);
        if (!context.json) {
          await context.printLines([importLine(result)]);
        }
      } catch (error) {
        if (isCancellation(error)) {
          throw error;
        }
        const failure = failureOf(error);
        failed.push({ path, dataset, ...(failureJson(failure) as { readonly error: unknown }) });
        if (!context.json) {
          await context.host.stderr.write(`error: ${printable(dataset)}: ${failure.message}\n`);
        }
      }
    }
    if (failed.length > 0) {
      context.outcome.status = exitStatus.failed;
    }
    const total = importTotal(imports, (performance.now() - startedMs) / 1000);
    await context.print({ imports, failed, notImported: others, total }, () => [
      ...others.map((path) => `not imported, since it is not a subfolder: ${printable(path)}`),
      importTotalLine(total),
      ...(failed.length > 0 ? [`${failed.length} of ${folders.length} folders failed`] : []),
    ]);
  });
}
