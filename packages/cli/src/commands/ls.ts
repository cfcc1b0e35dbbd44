/**
 * `ls`: the datasets of a store, or the records or the files of a dataset.
 */
import type { FileInfo, RecordFilter, RecordInfo, Store, Where } from "@tensorcask/core";
import { datasetTable, formatBytes, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext, Readable } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { parseCount, parseShape, parseVersion, readJsonObject } from "../option-values.ts";
import { recordCells, recordColumns, recordJson } from "../record-text.ts";

interface ListCommandOptions {
  readonly files?: boolean;
  readonly long?: boolean;
  readonly where?: string;
  readonly dtype?: string;
  readonly shape?: readonly number[];
  readonly file?: string;
  readonly limit?: number;
  readonly version?: number | string;
}

/** Records that one table lays out together; the next table follows without titles. It bounds the memory that a long list takes. */
const TABLE_ROWS = 5000;

export const define: Define = (command, open) => {
  command
    .description("Lists datasets; with a dataset its records, or with --files the files they came from.")
    .argument("[dataset]")
    .option("--files", "the dataset's files")
    .option("--long", "ids and metadata too")
    .option("--where <json>", `only what has this metadata: '{"label":{"gte":3}}', or @file.json`)
    .option("--dtype <name>", "only records of this dtype")
    .option("--shape <shape>", "only records of this shape, such as 3,256,256", parseShape)
    .option("--file <path>", "only records of this file; '' for those without one")
    .option("--limit <n>", "at most so many records", parseCount)
    .option("--version <v>", "a version's number or tag", parseVersion)
    .action(async (name: string | undefined, options: ListCommandOptions, self: Command) => {
      const context = open(self);
      refuseMismatch(name, options);
      const where =
        options.where === undefined ? undefined : ((await readJsonObject(options.where, "--where")) as Where);
      await context.withStore("read", async (store) => {
        if (name === undefined) {
          await listDatasets(store, where, context);
          return;
        }
        const readable = await context.readable(store, name, options.version);
        await (options.files
          ? listFiles(name, readable, context)
          : listRecords(name, readable, where, options, context));
      });
    });
  addExamples(command, [
    ["tensorcask ls", "datasets"],
    ["tensorcask ls llm", "its records: dtype, shape, size"],
    ["tensorcask ls llm --files", "its files"],
    [`tensorcask ls images --where '{"label":{"in":[3,7]}}' --long`, "by metadata"],
    ["tensorcask ls llm --version v1 --json", "at a tag, as JSON"],
  ]);
};

/** Options that mean nothing for what is listed are refused rather than passed over. */
function refuseMismatch(name: string | undefined, options: ListCommandOptions): void {
  const ofRecords = ["long", "dtype", "shape", "file", "limit"] as const;
  const senseless =
    name === undefined
      ? (["files", "version", ...ofRecords] as const)
      : options.files
        ? (["where", ...ofRecords] as const)
        : [];
  for (const option of senseless) {
    if (options[option] !== undefined) {
      const what = name === undefined ? "needs a dataset" : "does not go with --files";
      throw new CommandUsageError(option, `--${option} ${what}`);
    }
  }
}

async function listDatasets(store: Store, where: Where | undefined, context: CommandContext): Promise<void> {
  const datasets = new Map(
    (await store.datasets(where === undefined ? {} : { where })).map((dataset) => [dataset.name, dataset]),
  );
  const stats = (await store.stats()).datasets.filter((dataset) => datasets.has(dataset.name));
  const listed = (): unknown[] =>
    stats.map((dataset) => ({
      name: dataset.name,
      preset: dataset.preset,
      lossless: dataset.lossless,
      records: dataset.records,
      files: dataset.files,
      version: dataset.version,
      originalBytes: dataset.originalBytes,
      storedBytes: dataset.storedBytes,
      ratio: dataset.ratio,
      metadata: datasets.get(dataset.name)?.metadata ?? {},
    }));
  await context.print({ datasets: context.json ? listed() : [] }, () =>
    stats.length > 0
      ? datasetTable(stats)
      : [where === undefined ? "no datasets yet" : "no dataset has such metadata"],
  );
}

async function listFiles(name: string, readable: Readable, context: CommandContext): Promise<void> {
  const files = await readable.files();
  const row = (file: FileInfo): string[] => [
    file.path,
    file.format,
    formatBytes(file.bytes),
    file.exact ? "bit-exact" : "not bit-exact",
    file.sha256.slice(0, 16),
  ];
  await context.print({ dataset: name, files }, () =>
    files.length === 0
      ? ["no files"]
      : renderTable(
          [
            { title: "file" },
            { title: "format" },
            { title: "size", align: "right" },
            { title: "export" },
            { title: "sha256" },
          ],
          files.map(row),
        ),
  );
}

async function* first<T>(items: AsyncIterable<T>, limit: number): AsyncGenerator<T> {
  let left = limit;
  if (left > 0) {
    for await (const item of items) {
      yield item;
      left -= 1;
      if (left === 0) {
        return;
      }
    }
  }
}

async function* mapped<T, R>(items: AsyncIterable<T>, change: (item: T) => R): AsyncGenerator<R> {
  for await (const item of items) {
    yield change(item);
  }
}

async function listRecords(
  name: string,
  readable: Readable,
  where: Where | undefined,
  options: ListCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { dtype, shape, file, limit, long = false } = options;
  const filter: RecordFilter = {
    ...(where === undefined ? {} : { where }),
    ...(dtype === undefined ? {} : { dtype }),
    ...(shape === undefined ? {} : { shape }),
    ...(file === undefined ? {} : { file }),
  };
  const all: AsyncIterable<RecordInfo> = readable.records(filter);
  const records = limit === undefined ? all : first(all, limit);
  if (context.json) {
    await context.printJsonList({ dataset: name }, "records", mapped(records, recordJson));
    return;
  }
  let rows: string[][] = [];
  let tables = 0;
  const flush = async (): Promise<void> => {
    await context.printLines(renderTable(recordColumns(long), rows, { titles: tables === 0 }));
    tables += 1;
    rows = [];
  };
  for await (const record of records) {
    context.signal.throwIfAborted();
    rows.push(recordCells(record, long));
    if (rows.length === TABLE_ROWS) {
      await flush();
      if (!context.stdout.open) {
        return;
      }
    }
  }
  if (rows.length > 0) {
    await flush();
  } else if (tables === 0) {
    await context.printLines(["no records"]);
  }
}
