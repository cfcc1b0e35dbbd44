/**
 * What formats tensors are written in, named or told by the extension of the file.
 */
import { extname } from "node:path";
import { CommandUsageError } from "./failure.ts";

/** Formats of files that hold tensors with their dtypes and shapes. */
export const fileFormats = ["safetensors", "npz", "npy"] as const;
export type FileFormat = (typeof fileFormats)[number];

/** `raw`: the elements alone, row-major and little-endian. */
export const outputFormats = ["safetensors", "npz", "npy", "raw"] as const;
export type OutputFormat = (typeof outputFormats)[number];

const extensions: Readonly<Record<string, OutputFormat>> = {
  ".bin": "raw",
  ".raw": "raw",
  ".npy": "npy",
  ".npz": "npz",
  ".safetensors": "safetensors",
};

/** The format of an output file, by its extension. Throws `CommandUsageError`. */
export function outputFormat(path: string): OutputFormat {
  const extension = extname(path).toLowerCase();
  const format = Object.hasOwn(extensions, extension) ? extensions[extension] : undefined;
  if (format === undefined) {
    throw new CommandUsageError(
      "out",
      `--out ${path}: the extension says the format; known: ${Object.keys(extensions).join(", ")}; or name it with --format`,
    );
  }
  return format;
}

/** The format of a file of tensors: `named`, else by the extension of the path. Throws `CommandUsageError` naming `option`. */
export function fileFormat(path: string, named: FileFormat | undefined, option: string): FileFormat {
  if (named !== undefined) return named;
  const extension = extname(path).toLowerCase();
  const format = Object.hasOwn(extensions, extension) ? extensions[extension] : undefined;
  if (format !== undefined && format !== "raw") return format;
  throw new CommandUsageError(
    "out",
    `${path === "-" ? "standard output" : path}: which format? name it with ${option} ${fileFormats.join("|")}${
      path === "-" ? "" : ", or by the extension"
    }`,
  );
}
