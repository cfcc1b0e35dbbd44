/**
 * Names of datasets and of the files in them. Both come from users, archives and servers, and end up in paths and
 * URLs: what is refused here cannot leave a folder later. Tensor names are not restricted: they are never part of a
 * path.
 */

import { join, resolve, sep } from "node:path";
import { UsageError } from "@tensorcask/codec";

/** Longest part of a name in UTF-8 bytes: what ext4, APFS and NTFS take for one file name. */
export const MAX_NAME_PART_BYTES = 255;
/**
 * Longest path of a file inside a dataset in UTF-8 bytes: with a target folder before it, it must stay under
 * Linux's PATH_MAX of 4,096.
 */
export const MAX_FILE_PATH_BYTES = 3072;

/** First parts that dataset names may not have: the server answers there. */
export const RESERVED_DATASET_PARTS: readonly string[] = ["api", "metrics", "healthz", "readyz", "assets"];

// C0 controls, DEL and C1 controls: they forge log lines and terminal output, and no tool writes them on purpose.
// biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the purpose
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const DRIVE = /^[A-Za-z]:(\/|$)/;
// What Windows cannot have in a file name, or gives a meaning of its own: a colon opens an alternate stream, device
// names ignore extensions.
const WINDOWS_FORBIDDEN = /[<>:"|?*]|[. ]$/;
const WINDOWS_DEVICE = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(\.|$)/i;

/** The reason why one part of a name cannot be kept; undefined when it can. */
function partProblem(part: string): string | undefined {
  if (part === "") return "has an empty part";
  if (part === "." || part === "..") return `has the part ${JSON.stringify(part)}`;
  if (Buffer.byteLength(part) > MAX_NAME_PART_BYTES) {
    return `has a part of ${Buffer.byteLength(part)} bytes, the limit is ${MAX_NAME_PART_BYTES}`;
  }
  return undefined;
}

/** The reason why a name of parts cannot be kept; undefined when it can. */
function nameProblem(name: string): string | undefined {
  if (name === "") return "is empty";
  if (CONTROL.test(name)) return "has a control character";
  if (!name.isWellFormed()) return "has half of a surrogate pair, which UTF-8 cannot hold";
  if (name.includes("\\")) return "has a backslash; separate parts by '/'";
  if (name.startsWith("/")) return "is absolute";
  for (const part of name.split("/")) {
    const problem = partProblem(part);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * Checks the name of a dataset, `name` or `namespace/name`, and gives it back. Throws `UsageError` (field `dataset`
 * unless told otherwise).
 */
export function checkDatasetName(name: string, field = "dataset"): string {
  const problem = typeof name === "string" ? (nameProblem(name) ?? datasetProblem(name)) : "is not a string";
  if (problem !== undefined) {
    throw new UsageError(field, `the dataset name ${JSON.stringify(name)} ${problem}`);
  }
  return name;
}

function datasetProblem(name: string): string | undefined {
  const parts = name.split("/");
  if (parts.length > 2) return "has more than two parts; it is `name` or `namespace/name`";
  if (parts.some((part) => part !== part.trim())) return "has a part that starts or ends with white space";
  const first = parts[0]!;
  if (RESERVED_DATASET_PARTS.includes(first)) {
    return `starts with ${JSON.stringify(first)}, which is reserved (${RESERVED_DATASET_PARTS.join(", ")})`;
  }
  return undefined;
}

/** Why a path cannot name a file inside a dataset; undefined when it can. */
export function filePathProblem(path: string): string | undefined {
  const problem = nameProblem(path);
  if (problem !== undefined) return problem;
  if (DRIVE.test(path)) return "is absolute (it starts with a drive letter)";
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_FILE_PATH_BYTES) return `has ${bytes} bytes, the limit is ${MAX_FILE_PATH_BYTES}`;
  return undefined;
}

/**
 * Checks the path of a file inside a dataset (relative, parts separated by `/`) and gives it back. Throws
 * `UsageError` (field `path` unless told otherwise).
 */
export function checkFilePath(path: string, field = "path"): string {
  const problem = typeof path === "string" ? filePathProblem(path) : "is not a string";
  if (problem !== undefined) {
    throw new UsageError(field, `the file path ${JSON.stringify(path)} ${problem}`);
  }
  return path;
}

/** Why Windows cannot write a path, or reads it as a device, a stream or another name; undefined when it can. */
export function windowsPathProblem(path: string): string | undefined {
  const bad = path.split("/").find((part) => WINDOWS_FORBIDDEN.test(part) || WINDOWS_DEVICE.test(part));
  return bad === undefined
    ? undefined
    : `cannot be written on Windows because of the part ${JSON.stringify(bad)}`;
}

/**
 * Where the file `path` of a dataset lies below `folder` on this machine. The path is checked again (a journal from
 * elsewhere may hold anything) and the result is certain to lie inside the folder. On Windows, names that it would
 * read as a device, a stream or another name are refused. Throws `UsageError`. Links that lie inside the folder
 * already are the caller's business: see `exportTarget`.
 */
export function joinInside(folder: string, path: string, platform: string = process.platform): string {
  checkFilePath(path);
  const problem = platform === "win32" ? windowsPathProblem(path) : undefined;
  if (problem !== undefined) {
    throw new UsageError("path", `the file path ${JSON.stringify(path)} ${problem}`);
  }
  const joined = join(folder, ...path.split("/"));
  const root = resolve(folder);
  const inside = root.endsWith(sep) ? root : root + sep;
  if (!resolve(joined).startsWith(inside)) {
    throw new UsageError("path", `the file path ${JSON.stringify(path)} leaves the folder ${folder}`);
  }
  return joined;
}
