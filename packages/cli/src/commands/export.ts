/**
 * `export`: a dataset's files, or one of them, back onto the disk.
 */
import type { ExportResult } from "@tensorcask/core";
import {
  formatBytes,
  formatItems,
  formatSeconds,
  formatSpeed,
  printable,
  renderTable,
} from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { parseVersion } from "../option-values.ts";

interface ExportCommandOptions {
  readonly out: string;
  readonly version?: number | string;
}

/** Files and tensors listed one by one; more are counted. */
const LISTED_MAX = 20;

export const define: Define = (command, open) => {
  command
    .description(
      "Writes files back bit for bit, under their relative paths into the folder PATH. A single file whose extension PATH has goes to PATH itself.\n" +
        "Files with quantized tensors are written dequantized; they are listed as not bit-exact.",
    )
    .argument("<dataset>")
    .argument("[file]", "one file of the dataset, as `ls --files` names it")
    .requiredOption("--out <path>", "folder or file to write")
    .option("--version <v>", "a version's number or tag", parseVersion)
    .action(async (name: string, file: string | undefined, options: ExportCommandOptions, self: Command) => {
      const context = open(self);
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
  ]);
};

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
  if (!exact) {
    lines.push(
      `${formatItems(quantized.length, "tensor")} stored quantized, written dequantized:`,
      ...quantized.slice(0, LISTED_MAX).map((address) => `  ${printable(address)}`),
    );
    if (quantized.length > LISTED_MAX) {
      lines.push(`  and ${quantized.length - LISTED_MAX} more (--json lists them all)`);
    }
  }
  return lines;
}
