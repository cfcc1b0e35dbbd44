/**
 * `put`: the tensors of a file, or of a pipe, as records, without the file itself.
 */
import type { FileTensor, InputTensors, InsertItem, JsonObject } from "@tensorcask/core";
import { formatBytes, formatItems, formatSeconds, formatSpeed, printable } from "@tensorcask/stats";
import { type Command, Option } from "commander";
import { STANDARD } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { requirePaths } from "../input-paths.ts";
import { parseShape, readJsonObject } from "../option-values.ts";
import { withSpooledInput } from "../spool.ts";

/** What a pipe may bring, with the extension that claims a file for it. Without it the content decides. */
const inputExtensions = {
  safetensors: ".safetensors",
  npy: ".npy",
  npz: ".npz",
  torch: ".pt",
  gguf: ".gguf",
  onnx: ".onnx",
} as const;

/** What standard input is called where it has no name. */
const PIPE_NAME = "stdin";

interface PutCommandOptions {
  readonly name?: string;
  readonly format?: keyof typeof inputExtensions;
  readonly metadata?: string;
  readonly prefix?: boolean;
  readonly replace?: boolean;
  readonly preset?: string;
  readonly dtype?: string;
  readonly shape?: readonly number[];
}

export const define: Define = (command, open) => {
  command
    .description(
      "Inserts the tensors of a file (safetensors, npy, npz, PyTorch, GGUF, ONNX) or of a pipe as records, under their names and with their\n" +
        "metadata; or raw elements, with --dtype and --shape. All of them or none. To keep a file itself, bit for bit, use `import`.",
    )
    .argument("<dataset>", "created when it is not there")
    .argument("<file>", "a file of tensors, x.bin with --dtype and --shape, or - for standard input")
    .option("--name <name>", "name of the record, for a file with one tensor")
    .addOption(
      new Option("--format <format>", "what standard input is, where its first bytes do not tell").choices(
        Object.keys(inputExtensions),
      ),
    )
    .option("--metadata <json>", "more metadata of the records: a JSON object, or @file.json")
    .option("--prefix", "name records file#tensor, for folders")
    .option("--replace", "take the place of records of the same names")
    .option("--preset <name>", "a preset for these tensors only")
    .option("--dtype <name>", "dtype of a raw file, such as float32 or bfloat16")
    .option("--shape <shape>", "shape of a raw file, such as 3,256,256", parseShape)
    .action(async (name: string, path: string, options: PutCommandOptions, self: Command) => {
      const context = open(self);
      const metadata =
        options.metadata === undefined ? undefined : await readJsonObject(options.metadata, "--metadata");
      const { openTensorFile, RAW_FORMAT } = await import("../tensor-input.ts");
      if (path !== STANDARD) {
        if (options.format !== undefined) {
          throw new CommandUsageError("format", "--format is for standard input; a file has its extension");
        }
        await requirePaths([path]);
        await insert(context, name, await openTensorFile(path, options), { ...options, metadata });
        return;
      }
      context.requireDirectory();
      const pipe = `${PIPE_NAME}${options.format === undefined ? "" : inputExtensions[options.format]}`;
      await withSpooledInput(context, pipe, async (spooled) => {
        const file = await openTensorFile(spooled, options, pipe);
        const isNameless = ["npy", RAW_FORMAT].includes(file.plans[0]?.format ?? "");
        await insert(context, name, file, { ...options, metadata, isNameless });
      });
    });
  addExamples(command, [
    ["tensorcask put images cat.safetensors --name cat", "one tensor under a name"],
    [`tensorcask put images cat.npy --metadata '{"label":3}'`, "with metadata"],
    ["tensorcask put images model.pt", "all tensors of a checkpoint"],
    ["tensorcask put images - --name x < x.npy", "through a pipe"],
    ["tensorcask put images x.bin --dtype float32 --shape 3,256,256 --name x", "raw elements"],
    ["tensorcask put images cat.safetensors --replace", "in place of the old record"],
  ]);
};

type InsertOptions = Omit<PutCommandOptions, "metadata"> & {
  readonly metadata: JsonObject | undefined;
  /** The one tensor has no name of its own: it came through a pipe. */
  readonly isNameless?: boolean;
};

/** Inserts the tensors of a file, closes it and says what it did. */
async function insert(
  context: CommandContext,
  dataset: string,
  file: InputTensors,
  options: InsertOptions,
): Promise<void> {
  try {
    const { tensors } = file;
    if (options.name !== undefined && tensors.length !== 1) {
      const found = formatItems(tensors.length, "tensor");
      throw new CommandUsageError("name", `--name is for a file with one tensor; this one has ${found}`);
    }
    await context.withStore("create", async (store) => {
      const startedMs = performance.now();
      const target = (await store.dataset(dataset)) ?? (await store.createDataset(dataset));
      const ids = await context.longCall(({ signal }) =>
        target.insertMany(items(tensors, options), { signal }),
      );
      const seconds = (performance.now() - startedMs) / 1000;
      const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
      const records = tensors.map((tensor, index) => ({
        id: ids[index] ?? null,
        name: nameOf(tensor, options) ?? null,
        dtype: tensor.dtype.name,
        shape: tensor.shape,
      }));
      const unnamed = records.length === 1 && records[0]?.name === null ? `, id ${records[0].id}` : "";
      const { version } = target;
      await context.print({ dataset, version, records, bytes, seconds }, () => [
        `Inserted ${formatItems(ids.length, "tensor")} into ${printable(dataset)}, version ${version}: ${formatBytes(
          bytes,
        )} in ${formatSeconds(seconds)}, ${formatSpeed(bytes, seconds)}${unnamed}`,
      ]);
    });
  } finally {
    await file.close();
  }
}

/** The name of a record. */
function nameOf(tensor: FileTensor, { name, isNameless }: InsertOptions): string | undefined {
  return name ?? (isNameless === true ? undefined : tensor.name);
}

/** The records to insert, read one by one as the store asks for them. */
async function* items(tensors: readonly FileTensor[], options: InsertOptions): AsyncGenerator<InsertItem> {
  const { readTensor } = await import("../tensor-input.ts");
  const { preset, replace } = options;
  for (const tensor of tensors) {
    const name = nameOf(tensor, options);
    yield {
      tensor: await readTensor(tensor),
      metadata: { ...tensor.metadata, ...options.metadata },
      ...(name === undefined ? {} : { name }),
      ...(replace === undefined ? {} : { replace }),
      ...(preset === undefined ? {} : { preset }),
    };
  }
}
