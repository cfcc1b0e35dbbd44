/**
 * Writes .npy files as NumPy does: version 1.0, row-major, little-endian, the header padded so that the elements
 * begin at a multiple of 64 bytes. Same array, same bytes.
 */
import { byteLength, type DType, UsageError } from "@tensorcask/codec";
import { exactElements, type OutputTensor, type TensorWriter } from "../writer.ts";
import { descrOf } from "./descr.ts";
import { MAX_NPY_RANK, NPY_MAGIC } from "./header.ts";

/** The elements begin at a multiple of this, in bytes. */
const ALIGNMENT = 64;
/** Magic, version and the length of version 1. */
const PREFIX_BYTES = 10;
/** NumPy leaves room for the first axis to grow to this many digits, for those who append to a file. */
const GROWTH_DIGITS = 21;

/**
 * The header of an array. Throws `UsageError` for what NumPy has no dtype for (bfloat16, float8, int4, blocks, ...)
 * and for more than 64 dimensions.
 */
export function npyHeader(dtype: DType, shape: readonly number[]): Uint8Array {
  const descr = descrOf(dtype);
  if (descr === undefined) {
    const isInteger = dtype.kind === "int" || dtype.kind === "uint";
    const remedy = isInteger
      ? "only the file that it came in can hold it, which export gives back"
      : "convert it to float32 (--dtype float32)";
    throw new UsageError("dtype", `NumPy has no dtype for ${dtype.name}; ${remedy}`);
  }
  if (shape.length > MAX_NPY_RANK) {
    throw new UsageError("shape", `NumPy has at most ${MAX_NPY_RANK} dimensions, this has ${shape.length}`);
  }
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const growth = shape.length === 0 ? 0 : Math.max(0, GROWTH_DIGITS - String(shape[0]).length);
  const dict = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }${" ".repeat(growth)}`;
  // Space up to the alignment (a whole one if it is reached already, as in NumPy), the last byte of it a line feed.
  const unaligned = PREFIX_BYTES + dict.length + 1;
  const headerBytes = unaligned + ALIGNMENT - (unaligned % ALIGNMENT);
  const header = new Uint8Array(headerBytes).fill(0x20);
  header.set(NPY_MAGIC);
  header.set([1, 0], NPY_MAGIC.length);
  new DataView(header.buffer).setUint16(PREFIX_BYTES - 2, headerBytes - PREFIX_BYTES, true);
  new TextEncoder().encodeInto(dict, header.subarray(PREFIX_BYTES));
  header[headerBytes - 1] = 0x0a;
  return header;
}

/** A tensor as a .npy file: what comes before its elements, and the size of both. Throws as `npyHeader` does. */
export function layoutNpy(tensor: OutputTensor): { readonly header: Uint8Array; readonly bytes: number } {
  try {
    const header = npyHeader(tensor.dtype, tensor.shape);
    return { header, bytes: header.length + byteLength(tensor.dtype, tensor.shape) };
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UsageError("tensors", `tensor ${JSON.stringify(tensor.name)}: ${error.message}`, {
      cause: error,
    });
  }
}

/** The bytes of that file. */
export async function* npyFile(tensor: OutputTensor): AsyncGenerator<Uint8Array> {
  const { header, bytes } = layoutNpy(tensor);
  yield header;
  yield* exactElements(tensor, bytes - header.length);
}

/** Writes one tensor, without its name. */
export const npyWriter: TensorWriter = {
  id: "npy",
  extensions: [".npy"],
  keepsMetadata: false,
  async write(tensors, _, sink) {
    const [tensor, ...others] = tensors;
    if (tensor === undefined || others.length > 0) {
      const found = tensor === undefined ? "there is none" : `there are ${1 + others.length}`;
      throw new UsageError("tensors", `a .npy file holds one tensor, ${found}; write .npz or .safetensors`);
    }
    for await (const piece of npyFile(tensor)) await sink(piece);
  },
};
