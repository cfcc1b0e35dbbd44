/** Large generated model files: noise that nothing can share or shrink, so that every byte has to pass through. */
import { closeSync, openSync, writeSync } from "node:fs";

const MEBIBYTE = 2 ** 20;
const BLOCK_BYTES = 16 * MEBIBYTE;

/** Writes a safetensors file of `mebibytes` (a multiple of 64) of bf16 noise in tensors of 64 MiB. */
export function writeLargeModel(path: string, mebibytes: number): void {
  const tensorBytes = 64 * MEBIBYTE;
  const header: Record<string, object> = {};
  for (let index = 0; index < mebibytes / 64; index++) {
    header[`layers.${index}.weight`] = {
      dtype: "BF16",
      shape: [4096, tensorBytes / 2 / 4096],
      data_offsets: [index * tensorBytes, (index + 1) * tensorBytes],
    };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  const file = openSync(path, "w");
  writeSync(file, length);
  writeSync(file, json);
  const words = new Uint32Array(BLOCK_BYTES / 4);
  let state = 2463534242;
  for (let block = 0; block < (mebibytes * MEBIBYTE) / BLOCK_BYTES; block++) {
    for (let index = 0; index < words.length; index++) {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      words[index] = state;
    }
    writeSync(file, words);
  }
  closeSync(file);
}
