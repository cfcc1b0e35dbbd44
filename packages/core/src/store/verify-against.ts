/** Compares the files of a dataset with their originals, byte for byte, without writing anything. */
import { equalBytes, NotFoundError, UsageError } from "@tensorcask/codec";
import type { FileRow } from "../catalog/catalog.ts";
import type { FileSystem, OpenFile } from "../files/file-system.ts";
import { joinInside } from "../files/paths.ts";
import type { StoreContext } from "./context.ts";
import { DatasetView } from "./dataset-view.ts";
import { filesToExport } from "./export-files.ts";
import { eachFileByte } from "./file-bytes.ts";
import { checkSignal, isFinding } from "./problem-list.ts";
import type { LongCallOptions, VerifyAgainstResult } from "./types.ts";

/** Ends the reading of a file at its first difference. */
class Different extends Error {}

type FileProblem = VerifyAgainstResult["problems"][number];

/**
 * Compares each file of a dataset with the one at its path in the folder `original`; where the dataset has one file only, `original` may be that
 * file. Files with quantized tensors cannot be equal and are reported as not exact. Throws `NotFoundError` when there is no such dataset, or nothing to compare.
 */
export async function verifyAgainst(
  context: StoreContext,
  datasetName: string,
  original: string,
  options: LongCallOptions = {},
): Promise<VerifyAgainstResult> {
  const started = performance.now();
  const { catalog, parts } = context;
  const row = catalog.dataset(datasetName);
  if (row === undefined) throw new NotFoundError("dataset", datasetName);
  const view = new DatasetView(context, row.dataset, row.name, row.version);
  const files = filesToExport(view, undefined);
  const status = await parts.userFiles.stat(original);
  if (status === undefined) throw new NotFoundError("file or folder", original);
  if (status.kind === "file" && files.length > 1) {
    throw new UsageError(
      "against",
      `${original} is a file, but ${datasetName} has ${files.length}; give the folder of the originals`,
    );
  }
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const problems: FileProblem[] = [];
  let before = 0;
  for (const file of files) {
    const path = status.kind === "file" ? original : joinInside(original, file.path);
    const report = (bytes: number): void => {
      checkSignal(options);
      options.onProgress?.({ phase: "verify", done: before + bytes, total, item: file.path });
    };
    report(0);
    const message = await compareFile(context, view, file, path, report, options);
    if (message !== undefined) problems.push({ file: file.path, message });
    before += file.bytes;
  }
  return {
    ok: problems.length === 0,
    dataset: row.name,
    files: files.length,
    bytes: total,
    problems,
    seconds: (performance.now() - started) / 1000,
  };
}

/** What is different; undefined when nothing is. */
async function compareFile(
  context: StoreContext,
  view: DatasetView,
  file: FileRow,
  path: string,
  report: (bytes: number) => void,
  options: LongCallOptions,
): Promise<string | undefined> {
  const { userFiles } = context.parts;
  const status = await userFiles.stat(path);
  if (status?.kind !== "file") return `there is no original at ${path}`;
  const quantized = context.catalog
    .tensors(file.parts)
    .filter(({ quantization }) => quantization !== undefined).length;
  if (quantized > 0) return `is not exact: ${quantized} of its tensors are stored quantized`;
  if (status.bytes !== file.bytes) return `has ${file.bytes} bytes, the original has ${status.bytes}`;
  try {
    return await compareBytes(context, view, file, userFiles, path, report, options);
  } catch (error) {
    if (!isFinding(error)) throw error;
    return `cannot be read: ${error.message}`;
  }
}

async function compareBytes(
  context: StoreContext,
  view: DatasetView,
  file: FileRow,
  userFiles: FileSystem,
  path: string,
  report: (bytes: number) => void,
  options: LongCallOptions,
): Promise<string | undefined> {
  const original = await userFiles.open(path, "read");
  try {
    let buffer = new Uint8Array(0);
    await eachFileByte(
      context,
      view,
      file,
      async (bytes, offset) => {
        if (buffer.length < bytes.length) buffer = new Uint8Array(bytes.length);
        await compareRange(original, buffer.subarray(0, bytes.length), bytes, offset);
        report(offset + bytes.length);
      },
      options,
    );
    return undefined;
  } catch (error) {
    if (error instanceof Different) return error.message;
    throw error;
  } finally {
    await original.close();
  }
}

async function compareRange(
  original: OpenFile,
  into: Uint8Array,
  stored: Uint8Array,
  offset: number,
): Promise<void> {
  const count = await original.read(into, offset);
  if (count === stored.length && equalBytes(into, stored)) return;
  let at = 0;
  while (at < count && into[at] === stored[at]) at += 1;
  throw new Different(`differs from its original at byte ${offset + at}`);
}
