/**
 * `stats`: what the store or one dataset costs, where the bytes are, what each layer saves.
 */
import { datasetReport, storeReport } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Says what the store costs: every byte of its directory by name, and its datasets side by side. With a dataset: what it\n" +
        "costs alone and shared, what each layer saved (lossy ones apart), its codecs, and the errors of quantized tensors.",
    )
    .argument("[dataset]")
    .action(async (name: string | undefined, _options: object, self: Command) => {
      const context = open(self);
      await context.withStore("read", async (store) => {
        if (name === undefined) {
          const stats = await store.stats();
          await context.print(stats, () => storeReport(stats));
        } else {
          const stats = await store.stats(name);
          await context.print(stats, () => datasetReport(stats));
        }
      });
    });
  addExamples(command, [
    ["tensorcask stats", "the store and all datasets"],
    ["tensorcask stats llm", "one dataset, layer by layer"],
    ["tensorcask stats --json | jq .ratio", "one number"],
  ]);
};
