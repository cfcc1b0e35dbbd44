/**
 * Writing a tensor: raw elements (row-major, little-endian) to a stream, or a raw or safetensors file. A file appears under its name
 * only when it is complete.
 */
import { open, rename, unlink } from "node:fs/promises";
import { dtypeOf, type TensorData } from "@tensorcask/codec";
import { layoutSafetensors } from "@tensorcask/core";
import type { Sink } from "./host.ts";
import type { OutputFormat } from "./output-format.ts";

/** A tensor in pieces: what the whole is, and its elements in order. */
export interface TensorStream {
  /** Name of the tensor in a safetensors file. */
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly blocks: AsyncIterable<TensorData>;
}

/** The bytes of a tensor's elements. */
export function elementBytes(tensor: TensorData): Uint8Array {
  const { buffer, byteOffset, byteLength } = tensor.data;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Writes the elements to a stream. Resolves to the bytes written. */
export async function writeRaw(
  blocks: AsyncIterable<TensorData>,
  sink: Pick<Sink, "write">,
): Promise<number> {
  let written = 0;
  for await (const block of blocks) {
    const bytes = elementBytes(block);
    await sink.write(bytes);
    written += bytes.byteLength;
  }
  return written;
}

/** Writes a file beside its final name, then renames it. Resolves to the bytes written. */
export async function writeTensorFile(
  path: string,
  format: OutputFormat,
  tensor: TensorStream,
): Promise<number> {
  const partial = `${path}.${process.pid}.partial`;
  const { name, dtype, shape, blocks } = tensor;
  const header =
    format === "raw" ? undefined : layoutSafetensors([{ name, dtype: dtypeOf(dtype), shape }]).header;
  const file = await open(partial, "w");
  try {
    const sink = {
      open: true,
      async write(data: string | Uint8Array): Promise<void> {
        await file.writeFile(data);
      },
    };
    if (header !== undefined) {
      await sink.write(header);
    }
    const written = (header?.byteLength ?? 0) + (await writeRaw(blocks, sink));
    await file.close();
    await rename(partial, path);
    return written;
  } catch (error) {
    await file.close().catch(() => undefined);
    await unlink(partial).catch(() => undefined);
    throw error;
  }
}
