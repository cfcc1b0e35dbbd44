/**
 * What formats tensors are written in, told by the extension of the file.
 */
import { extname } from "node:path";
import { CommandUsageError } from "./failure.ts";

export type OutputFormat = "raw" | "safetensors";

const formats: Readonly<Record<string, OutputFormat>> = {
  ".bin": "raw",
  ".raw": "raw",
  ".safetensors": "safetensors",
};

/** The format of an output file, by its extension. Throws `CommandUsageError`. */
export function outputFormat(path: string): OutputFormat {
  const extension = extname(path).toLowerCase();
  const format = Object.hasOwn(formats, extension) ? formats[extension] : undefined;
  if (format === undefined) {
    throw new CommandUsageError(
      "out",
      `--out ${path}: the extension says the format; known: ${Object.keys(formats).join(", ")}, or - for raw bytes on standard output`,
    );
  }
  return format;
}
