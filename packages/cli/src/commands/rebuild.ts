/**
 * `rebuild`: the catalog anew, from the journal and the packs, which hold everything.
 */
import { formatItems, formatSeconds } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Builds the catalog (the SQLite index) anew from the journal and the packs. Needed only when the catalog is damaged or gone;\n" +
        "no data is lost with it.",
    )
    .action(async (_options: object, self: Command) => {
      const context = open(self);
      const directory = context.requireDirectory();
      const { rebuildStore } = await context.host.engine();
      const { wait } = context.options;
      const waiting = wait === undefined ? {} : { waitMs: wait };
      const result = await context.longCall((call) => rebuildStore(directory, { ...call, ...waiting }));
      await context.print(result, () => [
        `Rebuilt the catalog from ${formatItems(result.entries, "journal entry", "journal entries")} and ${formatItems(
          result.chunks,
          "chunk",
        )} in ${formatSeconds(result.seconds)}`,
      ]);
    });
  addExamples(command, [["tensorcask rebuild && tensorcask verify", "then check"]]);
};
