/**
 * `diff`: what two datasets, or two versions, have in common, tensor by tensor.
 */
import type { DiffSummary, TensorDiff } from "@tensorcask/core";
import { diffCells, diffColumns, diffLines, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";

interface DiffCommandOptions {
  readonly values?: boolean;
}

/** Tensors that one table lays out together, as in `ls`. */
const TABLE_ROWS = 5000;

export const define: Define = (command, open) => {
  command
    .description(
      "Compares B with A, each a dataset, or one version of it as dataset@3 or dataset@tag. Says of each tensor whether it is identical,\n" +
        "a difference (same shape, other values), changed (other shape or kind), new or gone; what is stored as a difference to\n" +
        "the other, and at what size; and how many bytes are in both. --values also says how far the values moved.",
    )
    .argument("<A>")
    .argument("<B>")
    .option("--values", "read differing tensors, and measure the change: relative L2 norm, largest, how many")
    .action(async (a: string, b: string, options: DiffCommandOptions, self: Command) => {
      const context = open(self);
      const values = options.values === true;
      await context.withStore("read", async (store) => {
        await context.longCall(async (call) => {
          const run = store.diff(a, b, { ...call, values });
          await (context.json ? printJson(run, context) : printTables(run, values, context));
        });
      });
    });
  addExamples(command, [
    ["tensorcask diff llm/base llm/tuned", "two datasets"],
    ["tensorcask diff llm@v1 llm --values", "a tag and now, with how far the values moved"],
    ["tensorcask diff llm@3 llm@4 --json", "two versions, as JSON"],
  ]);
};

type Diff = AsyncGenerator<TensorDiff, DiffSummary, void>;

async function printTables(run: Diff, values: boolean, context: CommandContext): Promise<void> {
  let rows: string[][] = [];
  let tables = 0;
  const flush = async (): Promise<void> => {
    if (rows.length === 0) return;
    await context.printLines(renderTable(diffColumns(values), rows, { titles: tables === 0 }));
    tables += 1;
    rows = [];
  };
  for (;;) {
    const next = await run.next();
    if (next.done === true) {
      await flush();
      await context.printLines([...(tables > 0 ? [""] : []), ...diffLines(next.value)]);
      return;
    }
    rows.push(diffCells(next.value, values));
    if (rows.length < TABLE_ROWS) continue;
    await flush();
    if (!context.stdout.open) return;
  }
}

/** `{ tensors: [...], summary }`, tensor by tensor. */
async function printJson(run: Diff, context: CommandContext): Promise<void> {
  let summary: DiffSummary | undefined;
  const tensors = async function* (): AsyncGenerator<TensorDiff> {
    summary = yield* run;
  };
  await context.printJsonList({}, "tensors", tensors(), () => ({ summary }));
}
