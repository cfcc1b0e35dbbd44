/**
 * `recompress`: codes the stored chunks of a dataset anew.
 */
import { formatBytes, formatItems, formatPercent, formatSeconds, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Codes the stored chunks of a dataset anew with the codec of a preset. No value changes: quantized tensors stay as they are,\n" +
        "exact ones stay exact. The old frames are freed by the next `tensorcask gc`.",
    )
    .argument("<dataset>")
    .requiredOption("--preset <name>", "the preset whose codec is used")
    .action(async (name: string, options: { readonly preset: string }, self: Command) => {
      const context = open(self);
      await context.withStore("write", async (store) => {
        const dataset = await context.dataset(store, name);
        const result = await context.longCall((call) => dataset.recompress(options.preset, call));
        const { chunks, recoded, bytesBefore, bytesAfter, alsoAffects, seconds } = result;
        await context.print(result, () => [
          `Recoded ${recoded} of ${formatItems(chunks, "chunk")} of ${printable(name)} with ${result.preset}: ${formatBytes(
            bytesBefore,
          )} -> ${formatBytes(bytesAfter)} (${formatPercent(bytesAfter, bytesBefore)} of it) in ${formatSeconds(seconds)}`,
          ...(alsoAffects.length > 0
            ? [
                `These share chunks with it, which were recoded for them too: ${alsoAffects.map(printable).join(", ")}`,
              ]
            : []),
          ...(recoded > 0 ? ["The old frames come back with the next tensorcask gc"] : []),
        ]);
      });
    });
  addExamples(command, [
    ["tensorcask recompress llm --preset none", "fastest to read"],
    ["tensorcask recompress llm --preset lossless && tensorcask gc", "smaller, and the old frames freed"],
  ]);
};
