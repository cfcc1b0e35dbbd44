/**
 * `compress`: one file, or a pipe, coded with a lossless preset, without a store.
 */
import { readFile } from "node:fs/promises";
import type { Preset } from "@tensorcask/codec";
import type { Command } from "commander";
import { STANDARD } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import { CommandUsageError } from "../failure.ts";
import { runStream, type StreamCommandOptions } from "../stream-command.ts";

/** Extension of compressed files. */
export const EXTENSION = ".tcz";

interface CompressCommandOptions extends StreamCommandOptions {
  readonly preset: string;
}

export const define: Define = (command, open) => {
  command
    .description(
      "Compresses one file, or standard input, without a store; `decompress` gives it back bit for bit. Tensors of safetensors files are\n" +
        "coded with their types. Memory stays bounded whatever the size. The input is kept.",
    )
    .argument("<file>", "what to compress; - for standard input")
    .option("-o, --out <path>", `where to write; - for standard output (default: <file>${EXTENSION})`)
    .option(
      "--preset <preset>",
      "a built-in lossless preset, or a JSON file as `presets define` takes",
      "lossless",
    )
    .option("--force", "write a file that exists anew")
    .action(async (input: string, options: CompressCommandOptions, self: Command) => {
      const context = open(self);
      const output = options.out ?? (input === STANDARD ? STANDARD : `${input}${EXTENSION}`);
      if (output === STANDARD && context.stdout.isTerminal && options.force !== true) {
        throw new CommandUsageError(
          "out",
          "compressed bytes are nothing for a terminal; give -o FILE, or a pipe (--force writes them)",
        );
      }
      const preset = await presetOf(options.preset);
      const { compressStream } = await import("@tensorcask/core");
      const name = typeof preset === "string" ? preset : preset.name;
      await runStream(context, {
        input,
        output,
        force: options.force,
        stream: (source, call) => compressStream(source, { ...call, preset }),
        verb: "Compressed",
        notes: [`preset ${name}`],
        facts: { preset: name },
      });
    });
  addExamples(command, [
    ["tensorcask compress model.safetensors", "to model.safetensors.tcz"],
    ["tensorcask compress model.safetensors -o m.tcz --preset fast", "faster, larger"],
    ["tensorcask compress - < model.onnx | ssh host 'cat > m.tcz'", "through a pipe"],
  ]);
};

/** The name of a built-in preset as it is, or the preset in a JSON file. */
async function presetOf(text: string): Promise<string | Preset> {
  if (!text.endsWith(".json")) return text;
  const { parsePreset } = await import("@tensorcask/codec");
  let json: unknown;
  try {
    json = JSON.parse(await readFile(text, "utf8"));
  } catch (error) {
    throw new CommandUsageError(
      "preset",
      `--preset ${text}: ${error instanceof Error ? error.message : error}`,
    );
  }
  return parsePreset("custom", json);
}
