/**
 * Files that tensors are read from one by one: safetensors, or raw elements whose dtype and shape the caller knows.
 */
import { basename, extname } from "node:path";
import {
  type DTypeName,
  dtypeOf,
  type TensorData,
  byteLength as tensorBytes,
  typedArrayOf,
} from "@tensorcask/codec";
import { fileSource, nodeFileSystem, type OpenSource, readSafetensorsHeader } from "@tensorcask/core";
import { CommandUsageError } from "./failure.ts";

/** A tensor in a file. Offset and size in bytes. */
export interface TensorInFile {
  readonly name: string;
  readonly dtype: DTypeName;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

export interface TensorFile {
  readonly tensors: readonly TensorInFile[];
  /** Bytes of all tensors. */
  readonly bytes: number;
  read(tensor: TensorInFile): Promise<TensorData>;
  close(): Promise<void>;
}

/** What must be said of a raw file. */
export interface RawFacts {
  readonly dtype?: string;
  readonly shape?: readonly number[];
}

async function safetensorsTensors(source: OpenSource): Promise<TensorInFile[]> {
  const { tensors } = await readSafetensorsHeader(source);
  return tensors.map(({ name, dtype, shape, offset, bytes }) => ({
    name,
    dtype: dtype.name,
    shape,
    offset,
    bytes,
  }));
}

function rawTensor(source: OpenSource, path: string, { dtype, shape }: Required<RawFacts>): TensorInFile {
  const type = dtypeOf(dtype, "dtype");
  const bytes = tensorBytes(type, shape);
  if (bytes !== source.bytes) {
    throw new CommandUsageError(
      "shape",
      `${path} has ${source.bytes} bytes, but ${type.name} of shape [${shape.join(", ")}] takes ${bytes}`,
    );
  }
  return { name: basename(path, extname(path)), dtype: type.name, shape, offset: 0, bytes };
}

/** Opens a file of tensors. Throws `CommandUsageError`, `InvalidFileError` and `StorageError`. */
export async function openTensorFile(path: string, { dtype, shape }: RawFacts): Promise<TensorFile> {
  const raw = dtype !== undefined && shape !== undefined ? { dtype, shape } : undefined;
  if (raw === undefined && (dtype !== undefined || shape !== undefined)) {
    throw new CommandUsageError("shape", "a raw file needs both --dtype and --shape");
  }
  if (raw === undefined && extname(path).toLowerCase() !== ".safetensors") {
    throw new CommandUsageError(
      "file",
      `${path}: expected a .safetensors file, or raw elements with --dtype and --shape`,
    );
  }
  const source = await fileSource(nodeFileSystem, path);
  try {
    const tensors = raw === undefined ? await safetensorsTensors(source) : [rawTensor(source, path, raw)];
    return {
      tensors,
      bytes: tensors.reduce((sum, tensor) => sum + tensor.bytes, 0),
      async read(tensor) {
        const bytes = new Uint8Array(tensor.bytes);
        await source.read(bytes, tensor.offset);
        return {
          dtype: tensor.dtype,
          shape: tensor.shape,
          data: typedArrayOf(dtypeOf(tensor.dtype), bytes),
        };
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}
