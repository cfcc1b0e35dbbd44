/**
 * Writes files back: the source bytes of their parts, one after the other. A file is written beside its target and renamed when it is complete, so that
 * a cancelled export leaves no half files. Files with quantized tensors are written dequantized, and the result says so.
 */

import { extname } from "node:path";
import { CancelledError, dtypeOfCode, NotFoundError } from "@tensorcask/codec";
import type { FileRow, StoredTensor } from "../catalog/catalog.ts";
import { exportTarget } from "../files/links.ts";
import { checkFilePath } from "../files/paths.ts";
import { stagingPath } from "../files/staging.ts";
import { BufferedOutput } from "./buffered-output.ts";
import type { StoreContext } from "./context.ts";
import type { DatasetView } from "./dataset-view.ts";
import { eachFileByte } from "./file-bytes.ts";
import type { ExportResult, LongCallOptions } from "./types.ts";

/** Exports files of a view. `out`: a folder, or the file itself when one file is exported and the extensions are equal. */
export async function exportFiles(
  context: StoreContext,
  view: DatasetView,
  files: readonly FileRow[],
  out: string,
  options: LongCallOptions,
): Promise<ExportResult> {
  context.checkOpen();
  const started = performance.now();
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const single = files.length === 1 && extname(out) !== "" && extname(out) === extname(files[0]!.path);
  const written: ExportResult["files"][number][] = [];
  const quantized: string[] = [];
  let before = 0;
  for (const file of files) {
    checkFilePath(file.path);
    const target = single ? out : await exportTarget(out, file.path);
    const lossy = quantizedTensors(context, view, file);
    quantized.push(...lossy);
    await writeFile(context, view, file, target, (bytes) => {
      if (options.signal?.aborted) throw new CancelledError("the export", { cause: options.signal.reason });
      options.onProgress?.({ phase: "export", done: before + bytes, total, item: file.path });
    });
    before += file.bytes;
    written.push({ path: file.path, target, bytes: file.bytes, exact: lossy.length === 0 });
  }
  return {
    files: written,
    bytes: total,
    seconds: (performance.now() - started) / 1000,
    exact: quantized.length === 0,
    quantized,
  };
}

async function writeFile(
  context: StoreContext,
  view: DatasetView,
  file: FileRow,
  target: string,
  report: (bytes: number) => void,
): Promise<void> {
  const { userFiles } = context.parts;
  const slash = target.lastIndexOf("/");
  if (slash > 0) await userFiles.makeDirectory(target.slice(0, slash));
  const staging = stagingPath(target);
  const output = await userFiles.open(staging, "create");
  try {
    const buffered = new BufferedOutput(output);
    await view.guarded(() =>
      eachFileByte(context, view, file, async (bytes, offset) => {
        await buffered.write(bytes);
        report(offset + bytes.length);
      }),
    );
    await buffered.flush();
    await output.close();
    await userFiles.rename(staging, target);
  } catch (error) {
    await output.close().catch(() => undefined);
    await userFiles.unlink(staging);
    throw error;
  }
}

/** `file#tensor` of the tensors of a file that are stored quantized. */
function quantizedTensors(context: StoreContext, view: DatasetView, file: FileRow): string[] {
  const lossy = new Map<number, StoredTensor>();
  for (const tensor of context.catalog.tensors(file.parts))
    if (tensor.quantization !== undefined) lossy.set(tensor.id, tensor);
  if (lossy.size === 0) return [];
  return view
    .recordRows({ file: file.path })
    .filter((row) => lossy.has(row.tensor))
    .map((row) => `${file.path}#${row.name ?? dtypeOfCode(lossy.get(row.tensor)!.dtype)?.name}`);
}

/** The rows of the files to export. Throws `NotFoundError` when there are none of that name, or none at all. */
export function filesToExport(view: DatasetView, path: string | undefined): FileRow[] {
  const rows = view.fileRows();
  if (path === undefined) {
    if (rows.length === 0)
      throw new NotFoundError("file", "", `${view.name} has records only; write them with --as safetensors`);
    return rows;
  }
  const found = rows.filter((row) => row.path === path);
  if (found.length === 0) {
    const some = rows.slice(0, 10).map((row) => row.path);
    throw new NotFoundError("file", path, `${view.name} has ${some.join(", ") || "no files"}`);
  }
  return found;
}
