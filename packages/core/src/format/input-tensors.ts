/**
 * The tensors of files, one after the other, under different names: what `convert` and `put` take from files of any format that is read.
 */
import { InvalidFileError, UsageError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { nodeFileSystem } from "../files/node.ts";
import { type FilePlan, OPAQUE_FORMAT, type OpenSource } from "../model/plan.ts";
import type { Skipped } from "./directory.ts";
import { type FileTensor, tensorsOfFile } from "./file-tensors.ts";
import { planInputs } from "./inputs.ts";
import { safetensorsIndex } from "./safetensors/shards.ts";
import { quote } from "./strict-json.ts";

/** Files that are held open at a time: a writer may go back and forth between shards. */
const MAX_OPEN_FILES = 16;

export interface InputTensorsOptions {
  /** Name tensors `file#tensor`. Default: as in their files, where two of one name are refused. */
  readonly prefix?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Tensors of files. To be closed. */
export interface InputTensors {
  /** File by file. Elements of one tensor at a time may be read. */
  readonly tensors: readonly FileTensor[];
  /** The files that they are in. */
  readonly plans: readonly FilePlan[];
  /** Inputs without tensors, with the reason. */
  readonly skipped: readonly Skipped[];
  close(): Promise<void>;
}

/**
 * Plans files and gives their tensors. Inputs are paths (files, indexes of sharded models, folders) and plans.
 *
 * @throws UsageError when two tensors have one name; `InvalidFileError` naming file, tensor and rule (`format`: there is no file whose tensors can be
 * read); `NotFoundError`, `LimitError`, `StorageError`, `CancelledError`
 */
export async function inputTensors(
  inputs: readonly (string | FilePlan)[],
  options: InputTensorsOptions = {},
  files: FileSystem = nodeFileSystem,
): Promise<InputTensors> {
  const { plans, skipped } = await plansWithTensors(files, inputs, options.signal);
  const sources = new OpenSources();
  const tensors = namedTensors(plans, sources, options.prefix === true);
  return { tensors, plans, skipped, close: () => sources.close() };
}

async function plansWithTensors(
  files: FileSystem,
  inputs: readonly (string | FilePlan)[],
  signal: AbortSignal | undefined,
): Promise<Pick<InputTensors, "plans" | "skipped">> {
  const paths = inputs.filter((input) => typeof input === "string");
  const given = inputs.filter((input) => typeof input !== "string");
  const found = await planInputs(files, paths, signal === undefined ? {} : { signal });
  const all = [...found.files, ...given];
  const others = all.filter(({ format }) => format === OPAQUE_FORMAT);
  const plans = all.filter(({ format }) => format !== OPAQUE_FORMAT && format !== safetensorsIndex.id);
  const reasons = new Map(found.keptOpaque.map(({ path, reason }) => [path, reason]));
  if (plans.length === 0) {
    const [first] = others;
    if (first === undefined) throw new UsageError("inputs", "there is no file");
    throw new InvalidFileError(
      first.path,
      "format",
      reasons.get(first.path) ?? "it is of no format whose tensors are read",
    );
  }
  const skipped = others.map(({ path }) => ({ path, reason: reasons.get(path) ?? "no tensors" }));
  return { plans, skipped: [...found.skipped, ...skipped] };
}

/** All tensors, under the names that they get. Throws `UsageError` when two have one name. */
function namedTensors(plans: readonly FilePlan[], sources: OpenSources, prefix: boolean): FileTensor[] {
  const holders = new Map<string, string>();
  const tensors: FileTensor[] = [];
  for (const plan of plans) {
    for (const tensor of tensorsOfFile(plan, () => sources.open(plan))) {
      const name = prefix ? `${plan.path}#${tensor.name}` : tensor.name;
      const holder = holders.get(name);
      if (holder !== undefined) {
        throw new UsageError(
          "inputs",
          `${holder} and ${plan.path} both have a tensor ${quote(name)}; --prefix names them file#tensor`,
        );
      }
      holders.set(name, plan.path);
      tensors.push({ ...tensor, name });
    }
  }
  return tensors;
}

/** Opens files as their tensors are asked for, one tensor at a time. */
class OpenSources {
  readonly #open = new Map<FilePlan, OpenSource>();

  async open(plan: FilePlan): Promise<OpenSource> {
    const source = this.#open.get(plan) ?? (await plan.source());
    // The one used last goes to the end; the first one is let go.
    this.#open.delete(plan);
    this.#open.set(plan, source);
    const [oldest] = this.#open;
    if (oldest !== undefined && this.#open.size > MAX_OPEN_FILES) {
      this.#open.delete(oldest[0]);
      await oldest[1].close();
    }
    return source;
  }

  async close(): Promise<void> {
    for (const source of this.#open.values()) await source.close();
    this.#open.clear();
  }
}
