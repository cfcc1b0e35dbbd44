/** Tensorcask's embedded store. `openStore` is where everything begins. */
import { storeFormats } from "./format/store-formats.ts";
import { open } from "./store/open.ts";
import type { Store } from "./store/store.ts";
import type { OpenOptions } from "./store/types.ts";

/**
 * Opens the store in a directory, or creates it. `":memory:"` keeps everything in memory.
 *
 * @throws StoreOpenError when the directory is something else, newer than this version, or on a network file system
 * @example
 * const store = await openStore("./zoo", { preset: "lossless" });
 * const dataset = await store.createDataset("images");
 * const id = await dataset.insert({ dtype: "float32", shape: [2, 2], data: new Float32Array([1, 2, 3, 4]) }, { name: "cat" });
 * const cat = await dataset.get("cat");
 * await store.close();
 */
export async function openStore(directory: string, options: OpenOptions = {}): Promise<Store> {
  return open(directory, options, storeFormats);
}

export { failingFileSystem } from "./files/failing.ts";
export type { FileSystem, OpenFile } from "./files/file-system.ts";
export { memoryFileSystem } from "./files/memory.ts";
export { nodeFileSystem } from "./files/node.ts";
export { checkDatasetName } from "./files/paths.ts";
export { recordingFileSystem } from "./files/recording.ts";
export { type CastTarget, castTensor } from "./format/cast.ts";
export {
  type ConvertOptions,
  type ConvertProgress,
  type ConvertResult,
  convertFiles,
} from "./format/convert.ts";
export type { FileTensor } from "./format/file-tensors.ts";
export { type InputTensors, type InputTensorsOptions, inputTensors } from "./format/input-tensors.ts";
export { planInputs, planSource } from "./format/inputs.ts";
export { recordsMetadata } from "./format/kept-metadata.ts";
export { type Output, type WriteTensorsOptions, writeTensors } from "./format/output.ts";
export { planFile } from "./format/plan-file.ts";
export { readSafetensorsHeader } from "./format/safetensors/header.ts";
export { layoutSafetensors } from "./format/safetensors/writer.ts";
export type { OutputTensor } from "./format/writer.ts";
export type { Json, JsonObject, QuantizationFacts } from "./model/entry.ts";
export {
  bufferSource,
  type DerivedTensor,
  type FilePlan,
  fileSource,
  type OpenSource,
  type PartLayout,
  type PlanPart,
  type Source,
} from "./model/plan.ts";
export { addressOf } from "./store/address.ts";
export { Dataset } from "./store/dataset.ts";
export { DatasetView } from "./store/dataset-view.ts";
export type * from "./store/diff-types.ts";
export type * from "./store/optimize-types.ts";
export { type RebuildStoreOptions, rebuildStore } from "./store/rebuild.ts";
export type * from "./store/stats-types.ts";
export { type ExportOptions, Store } from "./store/store.ts";
export { StoredRecord } from "./store/stored-record.ts";
export { type StoredArrays, Tensor } from "./store/tensor.ts";
export { Transaction, TransactionDataset } from "./store/transaction.ts";
export type * from "./store/types.ts";
export { compressStream } from "./stream/compress.ts";
export { decompressStream } from "./stream/decompress.ts";
export type { ByteSource } from "./stream/stream-input.ts";
export type {
  CompressOptions,
  StreamOptions,
  StreamProgress,
  StreamResult,
} from "./stream/stream-options.ts";
