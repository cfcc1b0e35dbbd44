/**
 * Tensors that are read one by one: of files of any format, or raw elements whose dtype and shape the caller knows.
 */
import { basename, extname } from "node:path";
import { dtypeOf, type TensorData, byteLength as tensorBytes, typedArrayOf } from "@tensorcask/codec";
import {
  type FilePlan,
  type FileTensor,
  fileSource,
  type InputTensors,
  inputTensors,
  nodeFileSystem,
  planFile,
} from "@tensorcask/core";
import { CommandUsageError } from "./failure.ts";

/** Format of a plan whose file is nothing but elements. */
export const RAW_FORMAT = "raw";

/** What must be said of a raw file, and how tensors of others are named. */
export interface TensorFileOptions {
  readonly dtype?: string;
  readonly shape?: readonly number[];
  /** Name tensors `file#tensor`. */
  readonly prefix?: boolean;
}

/** A raw file as one tensor that is all of it. */
async function rawPlan(
  path: string,
  name: string,
  dtype: string,
  shape: readonly number[],
): Promise<FilePlan> {
  const type = dtypeOf(dtype, "dtype");
  const bytes = tensorBytes(type, shape);
  const open = () => fileSource(nodeFileSystem, path, name);
  const source = await open();
  await source.close();
  if (bytes !== source.bytes) {
    throw new CommandUsageError(
      "shape",
      `${name} has ${source.bytes} bytes, but ${type.name} of shape [${shape.join(", ")}] takes ${bytes}`,
    );
  }
  const tensor = { name: basename(name, extname(name)), dtype: type, shape, offset: 0, bytes };
  return { path: name, format: RAW_FORMAT, bytes, parts: [{ kind: "tensor", ...tensor }], source: open };
}

/**
 * Opens a file of tensors. `name` is given where the path is not what the file is called. Throws `CommandUsageError`, `InvalidFileError` and
 * `StorageError`.
 */
export async function openTensorFile(
  path: string,
  { dtype, shape, prefix = false }: TensorFileOptions,
  name?: string,
): Promise<InputTensors> {
  if ((dtype === undefined) !== (shape === undefined)) {
    throw new CommandUsageError("shape", "a raw file needs both --dtype and --shape");
  }
  if (dtype !== undefined && shape !== undefined) {
    return inputTensors([await rawPlan(path, name ?? path, dtype, shape)], { prefix });
  }
  try {
    return await inputTensors([name === undefined ? path : await planFile(path, name)], { prefix });
  } catch (error) {
    const { tag, rule } = error as { readonly tag?: unknown; readonly rule?: unknown };
    if (tag !== "invalid-file" || rule !== "format") throw error;
    throw new CommandUsageError("file", `${(error as Error).message}; raw elements need --dtype and --shape`);
  }
}

/** A tensor, in memory as a whole. */
export async function readTensor(tensor: FileTensor): Promise<TensorData> {
  const bytes = new Uint8Array(tensor.bytes);
  let filled = 0;
  for await (const piece of tensor.elements()) {
    bytes.set(piece, filled);
    filled += piece.length;
  }
  return { dtype: tensor.dtype.name, shape: tensor.shape, data: typedArrayOf(tensor.dtype, bytes) };
}
