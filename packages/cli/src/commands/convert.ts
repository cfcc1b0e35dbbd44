/**
 * `convert`: tensors of files of any format that is read, in one new file, without a store.
 */
import { basename } from "node:path";
import type { CastTarget, ConvertResult, FilePlan } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds, formatSpeed, printable } from "@tensorcask/stats";
import { type Command, Option } from "commander";
import { STANDARD, writeOutput } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { requirePaths } from "../input-paths.ts";
import { type FileFormat, fileFormat, fileFormats } from "../output-format.ts";
import { withSpooledInput } from "../spool.ts";
import { refuseSameFile } from "../stream-command.ts";

interface ConvertCommandOptions {
  readonly to?: FileFormat;
  readonly dtype?: CastTarget;
  readonly prefix?: boolean;
  readonly name?: string;
  readonly force?: boolean;
}

/** Inputs without tensors that are listed; more are counted. */
const LISTED_MAX = 10;

/** What standard input is called where it has no name. */
const PIPE_NAME = "stdin";

export const define: Define = (command, open) => {
  command
    .description(
      "Writes the tensors of files (safetensors and their indexes, npy, npz, PyTorch, GGUF, ONNX, folders of them) into one new file, without a\n" +
        "store. Elements stay as they are, bit for bit, unless --dtype says otherwise; names are kept, metadata where the format has room for it.",
    )
    .usage("[options] <input...> <output>")
    .argument(
      "<paths...>",
      "what to read, then what to write: x.safetensors, x.npz, x.npy; - for standard input and output",
    )
    .addOption(
      new Option("--to <format>", "format of the output (default: by its extension)").choices([
        ...fileFormats,
      ]),
    )
    .addOption(
      new Option("--dtype <dtype>", "convert floats of other widths, and blocks of GGUF").choices([
        "float32",
        "float16",
        "bfloat16",
      ]),
    )
    .option("--prefix", "name tensors file#tensor")
    .option("--name <name>", "what standard input is called, with its extension")
    .option("--force", "write a file that exists anew")
    .action(async (paths: string[], options: ConvertCommandOptions, self: Command) => {
      const context = open(self);
      const output = paths.at(-1);
      const inputs = paths.slice(0, -1);
      if (output === undefined || inputs.length === 0) {
        throw new CommandUsageError("paths", "convert takes what to read, then what to write");
      }
      const format = fileFormat(output, options.to, "--to");
      checkStandardStreams(inputs, output, options, context);
      context.outcome.left = "no file was written";
      await requirePaths(inputs.filter((input) => input !== STANDARD));
      for (const input of inputs) await refuseSameFile(input, output);
      await withPlans(inputs, options, context, async (plans) => {
        await convert(plans, inputs, output, format, options, context);
      });
    });
  addExamples(command, [
    ["tensorcask convert model.pt model.safetensors", "a PyTorch checkpoint"],
    ["tensorcask convert model.safetensors.index.json model.safetensors", "shards into one file"],
    ["tensorcask convert model.gguf model.npz --dtype float32", "blocks as floats"],
    ["tensorcask convert x.npy y.npy both.npz", "several files into one"],
    ["tensorcask convert - - --to npz < x.safetensors | wc -c", "through a pipe"],
  ]);
};

/** Throws `CommandUsageError` for what cannot go through standard input or output. */
function checkStandardStreams(
  inputs: readonly string[],
  output: string,
  { name, force }: ConvertCommandOptions,
  { json, stdout }: CommandContext,
): void {
  const piped = inputs.filter((input) => input === STANDARD).length;
  if (piped > 1) throw new CommandUsageError("paths", "there is one standard input; give - once");
  if (name !== undefined && (piped === 0 || name === "" || name !== basename(name))) {
    throw new CommandUsageError("name", "--name says what standard input (-) is called, such as x.npy");
  }
  if (output !== STANDARD) return;
  if (json) {
    throw new CommandUsageError(
      "json",
      "--json prints on standard output, where the bytes go; write them to a file",
    );
  }
  if (stdout.isTerminal && force !== true) {
    throw new CommandUsageError(
      "out",
      "a file's bytes are nothing for a terminal; name a file, or a pipe (--force writes them)",
    );
  }
}

/** Runs with the inputs, standard input in a file of its own. */
async function withPlans(
  inputs: readonly string[],
  { name = PIPE_NAME }: ConvertCommandOptions,
  context: CommandContext,
  run: (plans: readonly (string | FilePlan)[]) => Promise<void>,
): Promise<void> {
  if (!inputs.includes(STANDARD)) {
    await run(inputs);
    return;
  }
  await withSpooledInput(context, name, async (path) => {
    const { planFile } = await import("@tensorcask/core");
    const plan = await planFile(path, name);
    await run(inputs.map((input) => (input === STANDARD ? plan : input)));
  });
}

async function convert(
  plans: readonly (string | FilePlan)[],
  inputs: readonly string[],
  output: string,
  format: FileFormat,
  options: ConvertCommandOptions,
  context: CommandContext,
): Promise<void> {
  const { convertFiles } = await import("@tensorcask/core");
  const { dtype, prefix, force } = options;
  const result = await context.longCall((call) =>
    writeOutput(output, context.host, { force }, (take) =>
      convertFiles(plans, take, {
        ...call,
        format,
        ...(dtype !== undefined && { as: dtype }),
        ...(prefix !== undefined && { prefix }),
      }),
    ),
  );
  if (result === undefined || output === STANDARD) return;
  await context.print({ inputs, output, ...result }, () => resultLines(output, result, dtype));
}

function resultLines(output: string, result: ConvertResult, dtype: CastTarget | undefined): string[] {
  const { files, tensors, bytes, converted, metadataDropped, skipped, seconds, format } = result;
  const lines = skipped
    .slice(0, LISTED_MAX)
    .map(({ path, reason }) => `not converted: ${printable(path)} (${reason})`);
  if (skipped.length > LISTED_MAX) {
    lines.push(`and ${skipped.length - LISTED_MAX} more files not converted (--json lists them all)`);
  }
  if (metadataDropped) lines.push(`metadata is left out: ${format} holds none`);
  const conversion =
    converted === 0 ? "exact" : `${formatItems(converted, "tensor")} converted to ${dtype ?? ""}`;
  lines.push(
    `Converted ${formatItems(files, "file")} to ${printable(output)}: ${formatItems(tensors, "tensor")}, ${formatBytes(
      bytes,
    )} in ${formatSeconds(seconds)}, ${formatSpeed(bytes, seconds)}, ${conversion}`,
  );
  return lines;
}
