/**
 * `mv`: renames a dataset, or a record within one.
 */
import { printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

export const define: Define = (command, open) => {
  command
    .description("Renames a dataset; with a tensor in between, a record of it.")
    .argument("<dataset>")
    .argument("<from or to>", "the dataset's new name, or the tensor to rename")
    .argument("[to]", "the tensor's new name")
    .action(async (name: string, second: string, to: string | undefined, _options: object, self: Command) => {
      const context = open(self);
      await context.withStore("write", async (store) => {
        if (to === undefined) {
          await store.renameDataset(name, second);
          await context.print({ from: name, to: second }, () => [
            `${printable(name)} is now ${printable(second)}`,
          ]);
          return;
        }
        const dataset = await context.dataset(store, name);
        await dataset.update(second, { name: to });
        await context.print({ dataset: name, from: second, to }, () => [
          `${printable(second)} in ${printable(name)} is now ${printable(to)}`,
        ]);
      });
    });
  addExamples(command, [
    ["tensorcask mv llm acme/llm", "rename a dataset"],
    ["tensorcask mv images cat kitten", "rename a record"],
  ]);
};
