/** Real files in pieces: the chunks that they are stored in, and their tensors. */
import { readFileSync } from "node:fs";
import { bufferSource, planSource } from "@tensorcask/core";
import { type Chunk, chunksOfStream } from "@tensorcask/samples";

/** The chunks of a file, as imports cut it. */
export async function chunksOfFile(path: string): Promise<readonly Chunk[]> {
  return (await chunksOfStream([readFileSync(path)], { name: path })).chunks;
}

/** The tensors of a file: their bytes. A file of no known format is one run of bytes. */
export async function tensorsOfFile(path: string): Promise<Uint8Array[]> {
  const bytes = readFileSync(path);
  const { plan } = await planSource(bufferSource(path, bytes), path, true);
  return plan.parts
    .filter((part) => part.bytes > 0)
    .map(({ offset, bytes: length }) => bytes.subarray(offset, offset + length));
}
