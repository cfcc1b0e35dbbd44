/**
 * `verify`: checks what is stored, or compares a dataset with its original files. Finding damage is exit status 1.
 */
import type { VerifyAgainstResult, VerifyResult } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds, formatSpeed, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { CommandUsageError, exitStatus } from "../failure.ts";

interface VerifyCommandOptions {
  readonly deep?: boolean;
  readonly against?: string;
}

/** Problems and tensors listed one by one; more are counted. */
const LISTED_MAX = 20;

export const define: Define = (command, open) => {
  command
    .description(
      "Checks the whole store: journal, catalog, and the checksum of every frame. --deep also decodes every chunk and compares its\n" +
        "SHA-256 and that of every file. With a dataset and --against: compares every byte that an export would write with the originals.",
    )
    .argument("[dataset]", "with --against")
    .option("--deep", "decode everything and compare hashes")
    .option("--against <dir>", "the directory (or file) that the dataset was imported from")
    .action(async (name: string | undefined, options: VerifyCommandOptions, self: Command) => {
      const context = open(self);
      const { against, deep } = options;
      if ((name === undefined) !== (against === undefined)) {
        throw new CommandUsageError(
          "against",
          "a dataset and --against DIR go together; without both the whole store is checked",
        );
      }
      if (against !== undefined && deep) {
        throw new CommandUsageError("deep", "--against compares every byte already; leave --deep out");
      }
      await context.withStore("read", async (store) => {
        if (name !== undefined && against !== undefined) {
          const result = await context.longCall((call) => store.verifyAgainst(name, against, call));
          await context.print(result, () => againstLines(result));
          context.outcome.status = result.ok ? exitStatus.ok : exitStatus.failed;
        } else {
          const result = await context.longCall((call) =>
            store.verify(deep === undefined ? call : { ...call, deep }),
          );
          await context.print(result, () => verifyLines(result));
          context.outcome.status = result.ok ? exitStatus.ok : exitStatus.failed;
        }
      });
    });
  addExamples(command, [
    ["tensorcask verify", "checksums of everything"],
    ["tensorcask verify --deep", "decode everything too"],
    ["tensorcask verify llm --against model/", "compare with the originals, writing nothing"],
  ]);
};

function limited(lines: readonly string[], indent: string): string[] {
  const rest = lines.length - LISTED_MAX;
  const shown = lines.slice(0, LISTED_MAX);
  return rest > 0 ? [...shown, `${indent}and ${rest} more (--json lists them all)`] : shown;
}

function verifyLines(result: VerifyResult): string[] {
  const { ok, deep, chunks, bytes, files, entries, problems, seconds } = result;
  const checked = [
    formatItems(entries, "journal entry", "journal entries"),
    `${formatItems(chunks, "chunk")} (${formatBytes(bytes)})`,
    ...(deep ? [formatItems(files, "file")] : []),
  ].join(", ");
  const how = deep ? "decoded and hashed" : "checksums compared";
  return [
    ...limited(
      problems.flatMap((problem) => [
        `${printable(problem.where)}: ${problem.message}`,
        ...limited(
          problem.tensors.map((tensor) => `  hits ${printable(tensor)}`),
          "  ",
        ),
      ]),
      "",
    ),
    `Checked ${checked}; ${how} in ${formatSeconds(seconds)}, ${formatSpeed(bytes, seconds)}`,
    ok ? "Everything is whole" : `Damaged: ${formatItems(problems.length, "problem")}`,
  ];
}

function againstLines(result: VerifyAgainstResult): string[] {
  const { ok, dataset, files, bytes, problems, seconds } = result;
  return [
    ...limited(
      problems.map((problem) => `${printable(problem.file)}: ${problem.message}`),
      "",
    ),
    `Compared ${formatItems(files, "file")} of ${printable(dataset)}, ${formatBytes(bytes)} in ${formatSeconds(seconds)}, ${formatSpeed(
      bytes,
      seconds,
    )}`,
    ok ? "Every byte is the same" : `Not the same: ${formatItems(problems.length, "problem")}`,
  ];
}
