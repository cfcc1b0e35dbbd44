/**
 * `get`: a tensor, or a slice of it, on the terminal, in a pipe or in a file.
 */
import type { SliceSpec, TensorData } from "@tensorcask/codec";
import type { ReadOptions, RecordInfo } from "@tensorcask/core";
import { formatBytes, printable, renderFacts } from "@tensorcask/stats";
import { type Command, Option } from "commander";
import { STANDARD, writeOutput } from "../byte-files.ts";
import { addExamples, type Define } from "../command.ts";
import type { CommandContext, Readable } from "../context.ts";
import { CommandUsageError } from "../failure.ts";
import { parseRows, parseVersion } from "../option-values.ts";
import { type OutputFormat, outputFormat, outputFormats } from "../output-format.ts";
import type { Shown } from "../preview.ts";
import { recordJson, shapeText, storedLine } from "../record-text.ts";

interface GetCommandOptions {
  readonly slice?: string;
  readonly rows?: readonly number[];
  readonly out?: string;
  readonly format?: OutputFormat;
  readonly dtype?: "float32" | "float16";
  readonly version?: number | string;
  readonly print?: boolean;
}

/** Most elements that `--json` prints: their text takes about 20 MB, which is what one JSON string should hold at most. */
const JSON_ELEMENTS_MAX = 1_000_000;

/** A preview of a tensor up to this size reads it whole; of a larger one only what is shown. */
const PREVIEW_WHOLE_BYTES = 2 ** 20;

export const define: Define = (command, open) => {
  command
    .description(
      "Prints a tensor on a terminal; writes its raw elements (row-major, little-endian) into a pipe, or what --format or --out say.\n" +
        "A slice reads only the chunks it touches.",
    )
    .argument("<dataset>")
    .argument("<tensor>", "name, [file#]tensor, or id")
    .option("--slice <slice>", "as in Python: '0:10,:', '-1', '::2,3'; an integer drops its axis")
    .option("--rows <rows>", "these rows of axis 0, in this order: 5,17,99", parseRows)
    .option("--out <path>", "write to x.npy, x.npz, x.safetensors, or raw to x.bin; - for standard output")
    .addOption(
      new Option("--format <format>", "write this format, into a pipe unless --out names a file").choices([
        ...outputFormats,
      ]),
    )
    .addOption(
      new Option("--as, --dtype <dtype>", "convert floats, and blocks to floats").choices([
        "float32",
        "float16",
      ]),
    )
    .option("--version <v>", "a version's number or tag", parseVersion)
    .option("--print", "print the preview in a pipe too")
    .action(async (name: string, address: string, options: GetCommandOptions, self: Command) => {
      const context = open(self);
      if (options.slice !== undefined && options.rows !== undefined) {
        throw new CommandUsageError("rows", "--slice and --rows do not go together");
      }
      const output = outputOf(options, context);
      await context.withStore("read", async (store) => {
        const readable = await context.readable(store, name, options.version);
        const record = await readable.info(address);
        if (record === undefined) {
          const { NotFoundError } = await import("@tensorcask/codec");
          throw new NotFoundError("tensor", address, `tensorcask ls ${name} lists what there is`);
        }
        const selection = new Selection(readable, record, options, context.signal);
        if (output !== undefined) {
          await write(selection, output, context);
        } else if (context.json) {
          await printValues(selection, context);
        } else {
          await printPreview(name, selection, context);
        }
      });
    });
  addExamples(command, [
    ["tensorcask get llm model.embed_tokens.weight", "look at it"],
    ["tensorcask get llm model.safetensors#lm_head.weight --slice '0:10,:'", "the first ten rows"],
    ["tensorcask get llm lm_head.weight --rows 5,17 --json", "two rows as JSON"],
    ["tensorcask get llm lm_head.weight --out head.npy --as float32", "into a file"],
    ["tensorcask get llm lm_head.weight --format safetensors > head.safetensors", "into a pipe"],
    ["tensorcask get llm lm_head.weight --as float32 > head.f32", "raw floats"],
  ]);
};

/** Where a tensor is written, and how. */
interface TensorOutput {
  readonly path: string;
  readonly format: OutputFormat;
}

/** What is to be written; undefined when the tensor is to be printed. Throws `CommandUsageError`. */
function outputOf(
  { out, format, print }: GetCommandOptions,
  { json, stdout }: CommandContext,
): TensorOutput | undefined {
  if (out !== undefined && out !== STANDARD) return { path: out, format: format ?? outputFormat(out) };
  const isAsked = out !== undefined || format !== undefined;
  if (!isAsked && (json || stdout.isTerminal || print === true)) return undefined;
  if (json) {
    throw new CommandUsageError(
      "json",
      "--json prints on standard output, where the tensor goes; write it to a file",
    );
  }
  if (out === undefined && stdout.isTerminal) {
    throw new CommandUsageError(
      "out",
      "a tensor's bytes are nothing for a terminal; give --out FILE, or a pipe",
    );
  }
  return { path: STANDARD, format: format ?? "raw" };
}

/** What of a record is asked for, read as needed. */
class Selection {
  readonly record: RecordInfo;
  readonly #readable: Readable;
  readonly #options: GetCommandOptions;
  readonly #signal: AbortSignal;
  #part: TensorData | undefined;

  constructor(readable: Readable, record: RecordInfo, options: GetCommandOptions, signal: AbortSignal) {
    this.#readable = readable;
    this.record = record;
    this.#options = options;
    this.#signal = signal;
  }

  /** True when the whole tensor is asked for. */
  get whole(): boolean {
    return this.#options.slice === undefined && this.#options.rows === undefined;
  }

  /** Shape of the whole tensor as it is read: of blocks that are converted, that of their values. */
  async shape(): Promise<readonly number[]> {
    if (this.#options.dtype === undefined) return this.record.shape;
    const { dequantizedShape, dtypeOf } = await import("@tensorcask/codec");
    return dequantizedShape(dtypeOf(this.record.dtype), this.record.shape);
  }

  /** A part of the whole tensor as it is read, by ranges on all axes of `shape()`. */
  async range(spec: SliceSpec): Promise<TensorData> {
    const { dtypeOf } = await import("@tensorcask/codec");
    const dtype = dtypeOf(this.record.dtype);
    if (dtype.block === undefined || this.#options.dtype === undefined) return this.slice(spec);
    const { sliceValues } = await import("../block-values.ts");
    return sliceValues(dtype, spec, (blocks) => this.slice(blocks));
  }

  /** One slice of the whole tensor. */
  async slice(spec: SliceSpec): Promise<TensorData> {
    this.#signal.throwIfAborted();
    return this.#there(await this.#readable.slice(this.record.id, spec, this.#readOptions()));
  }

  /** The selection as one tensor. */
  async tensor(): Promise<TensorData> {
    this.#part ??= await this.#read();
    return this.#part;
  }

  async #read(): Promise<TensorData> {
    const { slice, rows } = this.#options;
    const { id } = this.record;
    if (rows !== undefined) {
      return this.#there(await this.#readable.gather(id, rows, this.#readOptions()));
    }
    if (slice === undefined) {
      return this.#there(await this.#readable.get(id, this.#readOptions()));
    }
    const { parseSlice } = await import("@tensorcask/codec");
    return this.#there(await this.#readable.slice(id, parseSlice(slice), this.#readOptions()));
  }

  /** The elements in order, block by block; a slice is one block. */
  async *blocks(): AsyncGenerator<TensorData> {
    const { dtypeOf } = await import("@tensorcask/codec");
    const { tensorBlocks } = await import("../tensor-blocks.ts");
    if (!this.whole) {
      yield await this.tensor();
      return;
    }
    const { bits, block } = dtypeOf(this.record.dtype);
    // What is read of blocks as floats is larger than they are.
    const readBits = block !== undefined && this.#options.dtype !== undefined ? block.elements * 32 : bits;
    for (const spec of tensorBlocks(this.record.shape, readBits)) {
      yield spec.length === 0 ? await this.tensor() : await this.slice(spec);
    }
  }

  #readOptions(): ReadOptions {
    return this.#options.dtype === undefined ? {} : { as: this.#options.dtype };
  }

  /** A record that was there a moment ago may be deleted by another process in between. */
  #there(tensor: TensorData | undefined): TensorData {
    if (tensor === undefined) {
      throw new Error(`the record ${this.record.id} was deleted while it was being read`);
    }
    return tensor;
  }
}

async function write(
  selection: Selection,
  { path, format }: TensorOutput,
  context: CommandContext,
): Promise<void> {
  const { writeTensor } = await import("../tensor-output.ts");
  const { record } = selection;
  const blocks = selection.blocks();
  const first = await blocks.next();
  if (first.done === true) {
    throw new Error(`the record ${record.id} has no blocks`);
  }
  const { dtype } = first.value;
  const shape = selection.whole ? await selection.shape() : first.value.shape;
  const all = async function* (): AsyncGenerator<TensorData> {
    yield first.value;
    yield* blocks;
  };
  const tensor = { name: record.name ?? record.id, dtype, shape, metadata: record.metadata, blocks: all() };
  const bytes = await writeOutput(path, context.host, { force: true }, (take) =>
    writeTensor(format, tensor, take),
  );
  if (path === STANDARD || bytes === undefined) return;
  await context.print({ ...recordJson(record), dtype, shape, out: path, format, bytesWritten: bytes }, () => [
    `Wrote ${printable(record.name ?? record.id)}, ${dtype} ${shapeText(shape)}, to ${path}: ${formatBytes(bytes)}`,
  ]);
}

async function printValues(selection: Selection, context: CommandContext): Promise<void> {
  const { elementCount } = await import("@tensorcask/codec");
  const { elementJson, elementsOf } = await import("../element-values.ts");
  const refuse = (shape: readonly number[]): void => {
    if (elementCount(shape) > JSON_ELEMENTS_MAX) {
      throw new CommandUsageError(
        "json",
        `${elementCount(shape)} elements are too many for JSON (limit ${JSON_ELEMENTS_MAX}); narrow them with --slice, or write them with --out`,
      );
    }
  };
  if (selection.whole) {
    refuse(await selection.shape());
  }
  const tensor = await selection.tensor();
  refuse(tensor.shape);
  await context.printJson({
    ...recordJson(selection.record),
    dtype: tensor.dtype,
    shape: tensor.shape,
    values: elementsOf(tensor).map(elementJson),
  });
}

async function printPreview(dataset: string, selection: Selection, context: CommandContext): Promise<void> {
  const { readShown, shownLines, shownOf } = await import("../preview.ts");
  const { record } = selection;
  let dtype: string = record.dtype;
  let shape = await selection.shape();
  let shown: Shown;
  if (selection.whole && record.bytes > PREVIEW_WHOLE_BYTES) {
    shown = await readShown(shape, async (spec) => {
      const block = await selection.range(spec);
      dtype = block.dtype;
      return block;
    });
  } else {
    const tensor = await selection.tensor();
    ({ dtype, shape } = tensor);
    shown = shownOf(tensor);
  }
  await context.printLines([
    `${printable(dataset)} ${printable(record.name ?? record.id)}`,
    ...renderFacts([
      ["dtype", dtype === record.dtype ? dtype : `${dtype} (stored as ${record.dtype})`],
      ["shape", selection.whole ? shapeText(shape) : `${shapeText(shape)} of ${shapeText(record.shape)}`],
      ["size", formatBytes(record.bytes)],
      ["stored", storedLine(record)],
      ["file", record.file],
      ["id", record.id],
      ["metadata", Object.keys(record.metadata).length > 0 ? JSON.stringify(record.metadata) : undefined],
    ]),
    ...shownLines(shown, dtype),
  ]);
}
