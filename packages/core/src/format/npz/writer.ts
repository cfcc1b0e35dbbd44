/** Writes .npz files: a zip archive with a .npy file for each tensor, stored, its elements aligned to 64 bytes. */
import { UsageError } from "@tensorcask/codec";
import { layoutNpy, npyFile } from "../npy/writer.ts";
import type { TensorWriter } from "../writer.ts";
import { ZipWriter, zipNameProblem } from "../zip/writer.ts";

/** Writes tensors in the order in which they come. */
export const npzWriter: TensorWriter = {
  id: "npz",
  extensions: [".npz"],
  keepsMetadata: false,
  async write(tensors, _, sink) {
    const names = new Set<string>();
    const members = Array.from(tensors, (tensor) => {
      const name = `${tensor.name}.npy`;
      const problem = names.has(name) ? "its name appears twice" : zipNameProblem(name);
      if (problem !== undefined) {
        throw new UsageError(
          "tensors",
          `tensor ${JSON.stringify(tensor.name)} cannot be written: ${problem}`,
        );
      }
      names.add(name);
      return { name, tensor, bytes: layoutNpy(tensor).bytes };
    });
    const zip = new ZipWriter(sink);
    for (const { name, tensor, bytes } of members) await zip.add(name, bytes, npyFile(tensor));
    await zip.end();
  },
};
