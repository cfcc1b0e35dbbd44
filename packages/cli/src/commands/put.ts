/**
 * `put`: the tensors of a file as records, each with a name, without the file itself.
 */
import type { InsertItem } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds, formatSpeed, printable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define } from "../command.ts";
import { CommandUsageError } from "../failure.ts";
import { requirePaths } from "../input-paths.ts";
import { parseShape, readJsonObject } from "../option-values.ts";
import type { TensorFile } from "../tensor-input.ts";

interface PutCommandOptions {
  readonly name?: string;
  readonly metadata?: string;
  readonly replace?: boolean;
  readonly preset?: string;
  readonly dtype?: string;
  readonly shape?: readonly number[];
}

export const define: Define = (command, open) => {
  command
    .description(
      "Inserts the tensors of a safetensors file as records, under their names; or raw elements, with --dtype and --shape. All of them\n" +
        "or none. To keep a file itself, bit for bit, use `import`.",
    )
    .argument("<dataset>", "created when it is not there")
    .argument("<file>", "x.safetensors, or x.bin with --dtype and --shape")
    .option("--name <name>", "name of the record, for a file with one tensor")
    .option("--metadata <json>", "metadata of the records: a JSON object, or @file.json")
    .option("--replace", "take the place of records of the same names")
    .option("--preset <name>", "a preset for these tensors only")
    .option("--dtype <name>", "dtype of a raw file, such as float32 or bfloat16")
    .option("--shape <shape>", "shape of a raw file, such as 3,256,256", parseShape)
    .action(async (name: string, path: string, options: PutCommandOptions, self: Command) => {
      const context = open(self);
      const metadata =
        options.metadata === undefined ? undefined : await readJsonObject(options.metadata, "--metadata");
      await requirePaths([path]);
      const { openTensorFile } = await import("../tensor-input.ts");
      const file = await openTensorFile(path, options);
      try {
        if (options.name !== undefined && file.tensors.length !== 1) {
          const found = formatItems(file.tensors.length, "tensor");
          throw new CommandUsageError("name", `--name is for a file with one tensor; ${path} has ${found}`);
        }
        await context.withStore("create", async (store) => {
          const startedMs = performance.now();
          const dataset = (await store.dataset(name)) ?? (await store.createDataset(name));
          const ids = await context.longCall((call) =>
            dataset.insertMany(items(file, { ...options, metadata }), {
              signal: call.signal ?? context.signal,
            }),
          );
          const seconds = (performance.now() - startedMs) / 1000;
          const records = file.tensors.map((tensor, index) => ({
            id: ids[index] ?? null,
            name: options.name ?? tensor.name,
            dtype: tensor.dtype,
            shape: tensor.shape,
          }));
          const { bytes } = file;
          await context.print({ dataset: name, version: dataset.version, records, bytes, seconds }, () => [
            `Inserted ${formatItems(ids.length, "tensor")} into ${printable(name)}, version ${dataset.version}: ${formatBytes(
              bytes,
            )} in ${formatSeconds(seconds)}, ${formatSpeed(bytes, seconds)}`,
          ]);
        });
      } finally {
        await file.close();
      }
    });
  addExamples(command, [
    ["tensorcask put images cat.safetensors --name cat", "one tensor under a name"],
    [`tensorcask put images cat.safetensors --metadata '{"label":3}'`, "with metadata"],
    ["tensorcask put images x.bin --dtype float32 --shape 3,256,256 --name x", "raw elements"],
    ["tensorcask put images cat.safetensors --replace", "in place of the old record"],
  ]);
};

/** The records to insert, read one by one as the store asks for them. */
async function* items(
  file: TensorFile,
  options: Omit<PutCommandOptions, "metadata"> & { readonly metadata: InsertItem["metadata"] | undefined },
): AsyncGenerator<InsertItem> {
  const { metadata, preset, replace } = options;
  for (const tensor of file.tensors) {
    yield {
      tensor: await file.read(tensor),
      name: options.name ?? tensor.name,
      ...(metadata === undefined ? {} : { metadata }),
      ...(replace === undefined ? {} : { replace }),
      ...(preset === undefined ? {} : { preset }),
    };
  }
}
