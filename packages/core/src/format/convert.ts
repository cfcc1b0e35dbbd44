/**
 * Files of tensors into one file of another format, without a store: exact, tensor by tensor, in bounded memory.
 */
import { byteLength, ready } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import { nodeFileSystem } from "../files/node.ts";
import type { FilePlan } from "../model/plan.ts";
import { type CastTarget, castTensor } from "./cast.ts";
import { inputTensors } from "./input-tensors.ts";
import { metadataText, RECORDS_KEY, recordsMetadata, recordsOf } from "./kept-metadata.ts";
import { type Output, writerFor, writeTensors } from "./output.ts";

/** How far a conversion has got, in bytes of the new file; `total` leaves out its header. */
export interface ConvertProgress {
  readonly phase: "convert";
  readonly done: number;
  readonly total: number;
}

/** Options of `convertFiles`. */
export interface ConvertOptions {
  /** Id of the new file's format: `safetensors`, `npz`, `npy`. Default: by the extension of `out`. */
  readonly format?: string;
  /** Convert floats of other widths, and blocks. Default: every element as it is. */
  readonly as?: CastTarget;
  /** Name tensors `file#tensor`. Default: as in their files, where two of one name are refused. */
  readonly prefix?: boolean;
  /** Take the place of a file that is there. Default: refuse. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: ConvertProgress) => void;
}

/** What a conversion did. */
export interface ConvertResult {
  readonly format: string;
  /** Files whose tensors were taken. */
  readonly files: number;
  readonly tensors: number;
  /** Bytes of the new file. */
  readonly bytes: number;
  /** Tensors that have another dtype now. */
  readonly converted: number;
  /** True when there was metadata, and the new format holds none. */
  readonly metadataDropped: boolean;
  /** Inputs without tensors, with the reason. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  readonly seconds: number;
}

/**
 * Writes the tensors of files into one new file. Inputs are paths (files of any format that is read, indexes of sharded models, folders) and plans.
 * Names and metadata are kept: metadata of files by its names (`file#name` where two files differ), that of tensors as
 * `tensorcask.records`.
 *
 * @throws UsageError when there are no tensors, two have one name, or the format cannot hold one; `InvalidFileError` naming file, tensor and rule;
 * `AlreadyExistsError`, `NotFoundError`, `LimitError`, `StorageError`, `CancelledError`
 * @example
 * await convertFiles(["model.pt"], "model.safetensors");
 */
export async function convertFiles(
  inputs: readonly (string | FilePlan)[],
  out: Output,
  options: ConvertOptions = {},
  files: FileSystem = nodeFileSystem,
): Promise<ConvertResult> {
  const started = performance.now();
  await ready();
  const { as, signal, onProgress } = options;
  const writer = writerFor(out, options.format);
  const input = await inputTensors(inputs, { prefix: options.prefix === true, signal }, files);
  try {
    const { tensors, plans, skipped } = input;
    const outputs = tensors.map((tensor) => castTensor(tensor, as));
    const total = outputs.reduce((sum, { dtype, shape }) => sum + byteLength(dtype, shape), 0);
    const metadata = { ...fileMetadata(plans), ...recordsMetadata(tensors) };
    const bytes = await writeTensors(
      out,
      outputs,
      {
        format: writer.id,
        metadata,
        replace: options.replace === true,
        ...(signal !== undefined && { signal }),
        ...(onProgress !== undefined && {
          onWritten: (done) => onProgress({ phase: "convert", done, total }),
        }),
      },
      files,
    );
    return {
      format: writer.id,
      files: plans.length,
      tensors: tensors.length,
      bytes,
      converted: outputs.filter((output, index) => output !== tensors[index]).length,
      metadataDropped: !writer.keepsMetadata && Object.keys(metadata).length > 0,
      skipped,
      seconds: (performance.now() - started) / 1000,
    };
  } finally {
    await input.close();
  }
}

/** What the files say about themselves, in one. */
function fileMetadata(plans: readonly FilePlan[]): Readonly<Record<string, string>> {
  const merged = new Map<string, string>();
  for (const { path, metadata = {} } of plans) {
    for (const [key, value] of Object.entries(metadata)) {
      const text = metadataText(value);
      // That of tensors is written anew, under their new names.
      if (key === RECORDS_KEY && recordsOf({ [key]: text }) !== undefined) continue;
      const taken = merged.get(key);
      if (taken === undefined) merged.set(key, text);
      else if (taken !== text) merged.set(`${path}#${key}`, text);
    }
  }
  return Object.fromEntries(merged);
}
