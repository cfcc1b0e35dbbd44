/**
 * `decompress`: what `compress` made, back as it was.
 */
import type { Command } from "commander";
import { STANDARD } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import { CommandUsageError } from "../failure.ts";
import { runStream, type StreamCommandOptions } from "../stream-command.ts";
import { EXTENSION } from "./compress.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Decompresses what `compress` made. Every chunk is checked before it is written, the SHA-256 of the whole at the end; a file appears\n" +
        "only when all of it is right. Into a pipe bytes go at once: there, only exit status 0 says that they are the whole file.",
    )
    .argument("<file>", "what to decompress; - for standard input")
    .option(
      "-o, --out <path>",
      `where to write; - for standard output (default: <file> without ${EXTENSION})`,
    )
    .option("--force", "write a file that exists anew")
    .action(async (input: string, options: StreamCommandOptions, self: Command) => {
      const context = open(self);
      const output = options.out ?? defaultOutput(input);
      const { decompressStream } = await import("@tensorcask/core");
      await runStream(context, {
        input,
        output,
        force: options.force,
        stream: decompressStream,
        verb: "Decompressed",
        notes: [],
        facts: {},
      });
    });
  addExamples(command, [
    ["tensorcask decompress model.safetensors.tcz", "to model.safetensors"],
    ["tensorcask decompress m.tcz -o copy.safetensors", "to another name"],
    ["tensorcask decompress m.tcz -o - | sha256sum", "into a pipe"],
  ]);
};

function defaultOutput(input: string): string {
  if (input === STANDARD) return STANDARD;
  if (input.endsWith(EXTENSION) && input.length > EXTENSION.length) return input.slice(0, -EXTENSION.length);
  throw new CommandUsageError("out", `${input} does not end in ${EXTENSION}; say where to write with -o`);
}
