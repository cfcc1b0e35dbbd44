/**
 * Plans GGUF files. See `header.ts`: the header with all metadata is one literal, kept bit for bit; every tensor is a part, in the order
 * of the data; what lies between them (padding) and behind the last one is literal.
 *
 * Tensors of block types (`Q4_0`, `Q4_K`, ...) are arrays of blocks: a part's shape counts blocks along its last axis, and its metadata
 * has ggml's type and the shape in values: `{ "gguf": { "type": "Q4_0", "shape": [4096, 4096] } }`.
 */
import { coverWithParts, type TensorPart } from "../cover.ts";
import type { Format } from "../format.ts";
import { type GgufTensor, readGgufHeader } from "./header.ts";
import { planSplit } from "./split.ts";

function tensorPart(tensor: GgufTensor, bigEndian: boolean): TensorPart {
  const { name, type, dtype, shape, offset, bytes } = tensor;
  if (dtype.block !== undefined) {
    const blocks = [...shape.slice(0, -1), shape.at(-1)! / dtype.block.elements];
    return { name, dtype, shape: blocks, offset, bytes, metadata: { gguf: { type, shape: [...shape] } } };
  }
  return { name, dtype, shape, offset, bytes, ...(bigEndian && { layout: { bigEndian } }) };
}

/** GGUF files, by the extension or by the magic number. */
export const gguf: Format = {
  id: "gguf",
  matches(name, head) {
    if (/\.gguf$/i.test(name)) return "name";
    return Buffer.from(head.subarray(0, 4)).toString("latin1") === "GGUF" ? "content" : undefined;
  },
  async plan(source) {
    const { tensors, bigEndian, metadata } = await readGgufHeader(source);
    const parts = tensors.map((tensor) => tensorPart(tensor, bigEndian));
    const names = tensors.map(({ name }) => name);
    return {
      parts: coverWithParts(source.name, parts, source.bytes),
      metadata,
      ...planSplit(source.name, metadata, names),
    };
  },
};
