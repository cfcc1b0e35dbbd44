/**
 * `rollback`: a new version that equals an old one.
 */
import { printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { parseVersion } from "../option-values.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Appends a version that equals an old one. Nothing is lost: the versions in between stay, and a rollback can be rolled back.",
    )
    .argument("<dataset>")
    .argument("<version>", "a version's number or tag", parseVersion)
    .action(async (name: string, target: number | string, _options: object, self: Command) => {
      const context = open(self);
      await context.withStore("write", async (store) => {
        const dataset = await context.dataset(store, name);
        const version = await dataset.rollback(target);
        await context.print({ dataset: name, version, equals: target }, () => [
          `${printable(name)} is at version ${version}, which equals ${printable(String(target))}`,
        ]);
      });
    });
  addExamples(command, [
    ["tensorcask rollback llm v1", "back to a tag"],
    ["tensorcask rollback llm 3", "back to a version"],
  ]);
};
