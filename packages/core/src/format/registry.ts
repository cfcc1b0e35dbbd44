/**
 * The file formats. A file belongs to the first format that claims it by name, else to the first that claims it by
 * content; what no format claims is opaque. Adding a format: its folder, and one line here.
 */
import { type Claim, type Format, HEAD_BYTES } from "./format.ts";
import { gguf } from "./gguf/plan.ts";
import { npy } from "./npy/plan.ts";
import { npyWriter } from "./npy/writer.ts";
import { npz } from "./npz/plan.ts";
import { npzWriter } from "./npz/writer.ts";
import { onnx } from "./onnx/plan.ts";
import { opaque } from "./opaque.ts";
import { safetensors } from "./safetensors/plan.ts";
import { safetensorsIndex } from "./safetensors/shards.ts";
import { safetensorsWriter } from "./safetensors/writer.ts";
import { torch } from "./torch/plan.ts";
import type { TensorWriter } from "./writer.ts";

/** All formats; `opaque` takes what is left. */
export const formats: readonly Format[] = [
  safetensors,
  safetensorsIndex,
  gguf,
  onnx,
  npy,
  npz,
  torch,
  opaque,
];

/** The formats that new files can be written in. */
export const writers: readonly TensorWriter[] = [safetensorsWriter, npyWriter, npzWriter];

/** The format of a file, by its name (without folders) and its first bytes. */
export function formatOf(name: string, head: Uint8Array): { readonly format: Format; readonly claim: Claim } {
  const start = head.subarray(0, HEAD_BYTES);
  let byContent: Format = opaque;
  for (const format of formats) {
    const claim = format.matches(name, start);
    if (claim === "name") return { format, claim };
    if (claim === "content" && byContent === opaque) byContent = format;
  }
  return { format: byContent, claim: "content" };
}
