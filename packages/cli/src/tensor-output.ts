/**
 * Writing a tensor: raw elements (row-major, little-endian), or a file that says dtype and shape.
 */
import { bytesOf, dtypeOf, type TensorData } from "@tensorcask/codec";
import { type JsonObject, recordsMetadata, writeTensors } from "@tensorcask/core";
import type { OutputFormat } from "./output-format.ts";

/** A tensor in pieces: what the whole is, and its elements in order. */
export interface TensorStream {
  /** Name of the tensor in a safetensors or npz file. */
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** That of its record, for formats that keep it. */
  readonly metadata: JsonObject;
  readonly blocks: AsyncIterable<TensorData>;
}

/** Takes the next bytes of an output. */
type Take = (bytes: Uint8Array) => Promise<void>;

/** Writes a tensor. Resolves to the bytes written. Throws `UsageError` for what the format cannot hold. */
export async function writeTensor(format: OutputFormat, tensor: TensorStream, take: Take): Promise<number> {
  if (format === "raw") return writeRaw(tensor.blocks, take);
  const { name, dtype, shape, metadata, blocks } = tensor;
  const elements = async function* (): AsyncGenerator<Uint8Array> {
    for await (const block of blocks) yield bytesOf(block.data);
  };
  const output = { name, dtype: dtypeOf(dtype), shape, elements };
  return writeTensors(take, [output], { format, metadata: recordsMetadata([{ name, metadata }]) });
}

async function writeRaw(blocks: AsyncIterable<TensorData>, take: Take): Promise<number> {
  let written = 0;
  for await (const block of blocks) {
    const bytes = bytesOf(block.data);
    await take(bytes);
    written += bytes.length;
  }
  return written;
}
