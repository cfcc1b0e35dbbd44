/**
 * `export`: a dataset's files, or one of them, back onto the disk; or records as one new file.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { CastTarget, ExportRecordsResult, ExportResult, Where } from "@tensorcask/core";
import {
  formatBytes,
  formatItems,
  formatSeconds,
  formatSpeed,
  printable,
  renderTable,
} from "@tensorcask/stats";
import { type Command, Option } from "commander";
import { STANDARD, writeOutput } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { parseVersion, readJsonObject } from "../option-values.ts";
import { type FileFormat, fileFormats } from "../output-format.ts";

interface ExportCommandOptions {
  readonly out: string;
  readonly as?: FileFormat;
  readonly where?: string;
  readonly tensor?: readonly string[];
  readonly dtype?: CastTarget;
  readonly version?: number | string;
}

/** Options that say which records go into a new file, and how: nothing for files that come back as they were. */
const recordOptions = ["where", "tensor", "dtype"] as const;

/** Files and tensors listed one by one; more are counted. */
const LISTED_MAX = 20;

export const define: Define = (command, open) => {
  command
    .description(
      "Writes files back bit for bit, under their relative paths into the folder PATH. A single file whose extension PATH has goes to PATH itself.\n" +
        "Files with quantized tensors are written dequantized; they are listed as not bit-exact.\n" +
        "With --as, writes the records of the dataset (or of the file), or those that --where and --tensor select, into one new file PATH.",
    )
    .argument("<dataset>")
    .argument("[file]", "one file of the dataset, as `ls --files` names it")
    .requiredOption("--out <path>", "folder or file to write; with --as also - for standard output")
    .addOption(
      new Option("--as <format>", "write records into one new file of this format").choices([...fileFormats]),
    )
    .option("--where <json>", "with --as: only records with this metadata, as `ls` takes it")
    .option("--tensor <name...>", "with --as: only these records, by [file#]tensor or id")
    .addOption(
      new Option("--dtype <dtype>", "with --as: convert floats of other widths, and blocks").choices([
        "float32",
        "float16",
        "bfloat16",
      ]),
    )
    .option("--version <v>", "a version's number or tag", parseVersion)
    .action(async (name: string, file: string | undefined, options: ExportCommandOptions, self: Command) => {
      const context = open(self);
      if (options.as !== undefined) {
        await exportRecords(name, file, options.as, options, context);
        return;
      }
      const odd = recordOptions.find((option) => options[option] !== undefined);
      if (odd !== undefined) {
        throw new CommandUsageError(odd, `--${odd} is for records in a new file; give --as FORMAT too`);
      }
      await context.withStore("read", async (store) => {
        await context.dataset(store, name);
        const version = options.version === undefined ? {} : { version: options.version };
        const result = await context.longCall((call) =>
          file === undefined
            ? store.exportDataset(name, options.out, { ...call, ...version })
            : store.exportFile(name, file, options.out, { ...call, ...version }),
        );
        await context.print({ dataset: name, ...result }, () => exportLines(name, result));
      });
    });
  addExamples(command, [
    ["tensorcask export llm --out copy/", "all files into a folder"],
    ["tensorcask export llm model.safetensors --out x.safetensors", "one file"],
    ["tensorcask export llm --out old/ --version v1", "as they were at a tag"],
    [
      "tensorcask export images --as safetensors --out images.safetensors",
      "all records, with their metadata",
    ],
    [`tensorcask export images --as npz --out cats.npz --where '{"label":3}'`, "some of them"],
    [
      "tensorcask export llm --as npy --tensor lm_head.weight --dtype float32 --out - | wc -c",
      "through a pipe",
    ],
  ]);
};

/** Records as one new file. */
async function exportRecords(
  name: string,
  file: string | undefined,
  format: FileFormat,
  options: ExportCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { out, dtype, tensor, version } = options;
  if (out === STANDARD && (context.json || context.stdout.isTerminal)) {
    throw new CommandUsageError("out", "standard output is a terminal, or taken by --json; name a file");
  }
  if (tensor !== undefined && (options.where !== undefined || file !== undefined)) {
    throw new CommandUsageError("tensor", "--tensor selects by itself; leave --where and the file out");
  }
  const where =
    options.where === undefined ? undefined : ((await readJsonObject(options.where, "--where")) as Where);
  context.outcome.left = "no file was written";
  await context.withStore("read", async (store) => {
    const readable = await context.readable(store, name, version);
    if (out !== STANDARD) await mkdir(dirname(out), { recursive: true });
    const result = await context.longCall((call) =>
      writeOutput(out, context.host, { force: true }, (take) =>
        readable.exportRecords(take, {
          ...call,
          format,
          ...(dtype !== undefined && { as: dtype }),
          ...(where !== undefined && { where }),
          ...(file !== undefined && { file }),
          ...(tensor !== undefined && { names: tensor }),
        }),
      ),
    );
    if (result === undefined || out === STANDARD) return;
    await context.print({ dataset: name, out, ...result }, () => recordLines(name, out, result, dtype));
  });
}

function recordLines(
  dataset: string,
  out: string,
  result: ExportRecordsResult,
  dtype: CastTarget | undefined,
): string[] {
  const { tensors, bytes, seconds, converted, quantized, metadataDropped, format } = result;
  const conversion = converted === 0 ? "" : `, ${formatItems(converted, "tensor")} converted to ${dtype}`;
  return [
    ...(metadataDropped ? [`metadata is left out: ${format} holds none`] : []),
    `Exported ${formatItems(tensors, "record")} of ${printable(dataset)} to ${printable(out)}: ${formatBytes(
      bytes,
    )} in ${formatSeconds(seconds)}, ${formatSpeed(bytes, seconds)}, ${result.exact ? "exact" : "not exact"}${conversion}`,
    ...quantizedLines(quantized),
  ];
}

function exportLines(dataset: string, result: ExportResult): string[] {
  const { files, bytes, seconds, exact, quantized } = result;
  const lines = renderTable(
    [{ title: "" }, { title: "", align: "right" }, { title: "" }],
    files
      .slice(0, LISTED_MAX)
      .map((file) => [file.target, formatBytes(file.bytes), file.exact ? "bit-exact" : "not bit-exact"]),
    { titles: false },
  );
  if (files.length > LISTED_MAX) {
    lines.push(`and ${formatItems(files.length - LISTED_MAX, "more file")}`);
  }
  lines.push(
    `Exported ${formatItems(files.length, "file")} of ${printable(dataset)}: ${formatBytes(bytes)} in ${formatSeconds(
      seconds,
    )}, ${formatSpeed(bytes, seconds)}, ${exact ? "bit-exact" : "not bit-exact"}`,
  );
  return [...lines, ...quantizedLines(quantized)];
}

function quantizedLines(quantized: readonly string[]): string[] {
  if (quantized.length === 0) return [];
  const lines = [
    `${formatItems(quantized.length, "tensor")} stored quantized, written dequantized:`,
    ...quantized.slice(0, LISTED_MAX).map((address) => `  ${printable(address)}`),
  ];
  if (quantized.length > LISTED_MAX) {
    lines.push(`  and ${quantized.length - LISTED_MAX} more (--json lists them all)`);
  }
  return lines;
}
