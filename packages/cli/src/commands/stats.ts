/**
 * `stats`: what the store or one dataset costs, where the bytes are, what each layer saves, who leans on whom.
 */
import { datasetReport, formatBytes, htmlReport, printable, storeReport } from "@tensorcask/stats";
import type { Command } from "commander";
import { STANDARD, writeOutput } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";

interface StatsCommandOptions {
  readonly html?: string;
  readonly force?: boolean;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Says what the store costs: every byte of its directory by name, its datasets side by side, and which of them share chunks or\n" +
        "are stored as differences to each other. With a dataset: what it costs alone and shared, what each layer saved (lossy\n" +
        "ones apart), its codecs, and the errors of quantized tensors.",
    )
    .argument("[dataset]")
    .option(
      "--html <file>",
      "write the report over the store as a web page, with pictures; - for standard output",
    )
    .option("--force", "let --html take the place of a file that is there")
    .action(async (name: string | undefined, options: StatsCommandOptions, self: Command) => {
      const context = open(self);
      checkOptions(name, options, context);
      await context.withStore("read", async (store) => {
        if (name !== undefined) {
          const stats = await store.stats(name);
          await context.print(stats, () => datasetReport(stats));
          return;
        }
        const stats = await store.stats();
        if (options.html !== undefined) await writePage(options.html, htmlReport(stats), options, context);
        else await context.print(stats, () => storeReport(stats));
      });
    });
  addExamples(command, [
    ["tensorcask stats", "the store, all datasets, families of similar ones"],
    ["tensorcask stats llm", "one dataset, layer by layer"],
    ["tensorcask stats --json | jq .ratio", "one number"],
    ["tensorcask stats --html report.html", "the same as a page, with a picture of each family"],
  ]);
};

function checkOptions(
  name: string | undefined,
  { html, force }: StatsCommandOptions,
  context: CommandContext,
): void {
  if (html === undefined) {
    if (force === true) throw new CommandUsageError("force", "--force goes with --html");
    return;
  }
  if (name !== undefined)
    throw new CommandUsageError("html", "--html reports on the whole store; leave the dataset out");
  if (html === STANDARD && context.json)
    throw new CommandUsageError("json", "--json prints on standard output, where the page goes; name a file");
}

async function writePage(
  path: string,
  page: string,
  { force }: StatsCommandOptions,
  context: CommandContext,
): Promise<void> {
  const bytes = Buffer.from(page);
  await writeOutput(path, context.host, { force }, (take) => take(bytes));
  if (path === STANDARD) return;
  await context.print({ html: path, bytes: bytes.length }, () => [
    `Wrote ${printable(path)}: ${formatBytes(bytes.length)}`,
  ]);
}
