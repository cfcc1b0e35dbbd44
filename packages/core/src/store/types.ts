/**
 * The shapes of what goes into and comes out of the store's public calls. No behaviour here.
 */
import type { SliceSpec, TensorData } from "@tensorcask/codec";
import type { FamilyLink, FamilyMember, FamilyUsage, Where, WhereOperators } from "../catalog/catalog.ts";
import type { FileSystem } from "../files/file-system.ts";
import type { JsonObject, QuantizationFacts } from "../model/entry.ts";

/** What long calls report: `done` of `total` (bytes unless said otherwise) in a named phase. */
export interface Progress {
  readonly phase:
    | "plan"
    | "import"
    | "export"
    | "verify"
    | "gc"
    | "rebuild"
    | "recompress"
    | "optimize"
    | "diff"
    | "commit";
  readonly done: number;
  readonly total: number;
  /** What is being worked on: a file, a tensor. */
  readonly item?: string;
}

/** Options of every long call. */
export interface LongCallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

export interface OpenOptions {
  /** The store's preset for datasets without one of their own; kept in the store. Default of a new store: `lossless`. */
  readonly preset?: string;
  /** Create the store when the directory is absent or empty. Default true. */
  readonly create?: boolean;
  /** Only read: no lock, no writes, no repair of a torn tail. */
  readonly readOnly?: boolean;
  /** Memory for buffers, caches and workers, in bytes. Default 256 MiB. */
  readonly memoryBytes?: number;
  /** Worker threads for hashing and coding. Default: the number of cores available. 0: everything in the calling thread. */
  readonly workers?: number;
  /** How long a commit waits for the writer lock, in milliseconds. Default 60,000. */
  readonly waitMs?: number;
  /** Elements per chunk; fixed when the store is created. Default 131,072. */
  readonly chunkElements?: number;
  /** The seam to the disk; tests hand in recording and failing ones. */
  readonly fileSystem?: FileSystem;
}

export interface CreateDatasetOptions {
  readonly preset?: string;
  readonly metadata?: JsonObject;
  readonly schema?: DatasetSchema;
  /** Metadata paths (dotted) to index for `where`. */
  readonly indexed?: readonly string[];
}

/** Rules that every record of a dataset must keep. */
export interface DatasetSchema {
  /** Allowed dtype, or one of several. */
  readonly dtype?: string | readonly string[];
  /** Shape; null stands for any length of that axis. */
  readonly shape?: readonly (number | null)[];
  /** Required metadata: field to JSON type. */
  readonly metadata?: {
    readonly [field: string]: "string" | "number" | "integer" | "boolean" | "array" | "object";
  };
}

export interface InsertOptions {
  readonly name?: string;
  readonly metadata?: JsonObject;
  /** Take the place of a record of the same name instead of failing. */
  readonly replace?: boolean;
  /** A preset for this tensor only. */
  readonly preset?: string;
}

/** One element of `insertMany`. */
export interface InsertItem extends InsertOptions {
  readonly tensor: TensorData;
}

export interface ReadOptions {
  /**
   * Convert floats on the way out: `float32` for values, `float16` for IEEE half bits. Blocks (`ggml_q8_0`, ...) are dequantized, and the
   * last axis of the result counts values; slices and rows are given in blocks all the same.
   */
  readonly as?: "float32" | "float16";
}

export interface RecordFilter {
  readonly where?: Where;
  readonly dtype?: string;
  readonly shape?: readonly number[];
  /** Only records of this imported file; the empty string: only records without a file. */
  readonly file?: string;
  readonly name?: string;
}

export interface PageOptions extends RecordFilter {
  /** At most 10,000; default 100. */
  readonly limit?: number;
  /** `cursor` of the page before. */
  readonly cursor?: string;
}

/** A record as listed: everything but the elements. */
export interface RecordInfo {
  readonly id: string;
  readonly name: string | undefined;
  readonly file: string | undefined;
  readonly metadata: JsonObject;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes of the tensor as given. */
  readonly bytes: number;
  /** How it was quantized; undefined when it is stored exactly. */
  readonly quantization: QuantizationFacts | undefined;
  /** Why a quantizer that the preset asked for was not applied; of a quantized tensor, why its policy chose this one. */
  readonly note: string | undefined;
}

export interface FileInfo {
  readonly path: string;
  readonly format: string;
  readonly bytes: number;
  readonly sha256: string;
  /** False when tensors of it are stored quantized: an export is not bit-exact then. */
  readonly exact: boolean;
}

export interface VersionInfo {
  readonly version: number;
  readonly timeMs: number;
  readonly note: string | undefined;
  readonly tags: readonly string[];
}

export interface ImportOptions extends LongCallOptions {
  /** `name` or `namespace/name`; created when absent. */
  readonly dataset: string;
  /** Preset of the dataset when this import creates it, else for this import only. */
  readonly preset?: string;
  /** Keep files that are not valid in their format as opaque bytes instead of refusing them. */
  readonly opaque?: boolean;
  /**
   * Whether tensors are coded against ones that they resemble, of the store and of this import, where that is smaller; only presets whose codec
   * does so do it (`lossless`, `archive`). Default: true.
   */
  readonly siblings?: boolean;
  /** A dataset that the files were made from: where no tensor is found to be alike, the one of the same name there is tried. */
  readonly parent?: string;
}

export interface ImportResult {
  readonly dataset: string;
  readonly preset: string;
  readonly lossless: boolean;
  readonly files: number;
  readonly tensors: number;
  /** Bytes of the imported files. */
  readonly originalBytes: number;
  /** Of the tensors, those that are no byte range of their file, and so are kept beside its bytes: packed, compressed, strided ones. */
  readonly derivedTensors: number;
  /** Bytes of their elements. What the store has already costs nothing again. */
  readonly derivedBytes: number;
  /**
   * Bytes on disk of the chunks of these files and their tensors (shared ones in full). What chunks of other tensors take that some of these
   * are stored as differences to is not in it.
   */
  readonly storedBytes: number;
  /** What this import added to the store's packs. */
  readonly newBytes: number;
  /** originalBytes / storedBytes; null when nothing is stored. */
  readonly ratio: number | null;
  readonly seconds: number;
  /** Tensors that were in the store already, as a whole. */
  readonly tensorsShared: number;
  /** Source bytes of these. */
  readonly bytesShared: number;
  /** Chunks that were in the store already, beside those of shared tensors. */
  readonly chunksShared: number;
  /** New chunks that are stored as differences to chunks of other tensors, of the store or of this import. */
  readonly chunksAsDifferences: number;
  /** Bytes of these chunks, and of the frames that hold their differences. */
  readonly differenceRawBytes: number;
  readonly differenceBytes: number;
  /** Bytes that quantizing took away, before any coding: what of the ratio is loss. */
  readonly lossyBytesSaved: number;
  /** Tensors that were quantized, and those that a quantizer refused, with the reason. */
  readonly quantized: number;
  readonly notes: readonly { readonly tensor: string; readonly note: string }[];
  /** Input paths that were not imported (system files and the like), with the reason. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[];
  readonly version: number;
}

export interface ExportResult {
  readonly files: readonly {
    readonly path: string;
    readonly target: string;
    readonly bytes: number;
    readonly exact: boolean;
  }[];
  readonly bytes: number;
  readonly seconds: number;
  /** False when quantized tensors were written dequantized; `quantized` lists them as file#tensor. */
  readonly exact: boolean;
  readonly quantized: readonly string[];
}

/** Which records `exportRecords` writes, and how. */
export interface ExportRecordsOptions extends LongCallOptions {
  /** `safetensors`, `npz` or `npy`. Default: by the extension of the file. */
  readonly format?: string;
  /** Convert floats of other widths, and blocks. Default: every element as it is. */
  readonly as?: "float32" | "float16" | "bfloat16";
  /** Only records whose metadata it accepts. */
  readonly where?: Where;
  /** Only records of this imported file; the empty string: only records without a file. */
  readonly file?: string;
  /** Only these records, in this order: `[file#]tensor` or ids. Goes without `where` and `file`. */
  readonly names?: readonly string[];
  /** Take the place of a file that is there. Default true, as in all exports. */
  readonly replace?: boolean;
}

export interface ExportRecordsResult {
  readonly format: string;
  readonly tensors: number;
  /** Bytes of the file. */
  readonly bytes: number;
  /** Tensors that have another dtype in the file. */
  readonly converted: number;
  /** False when tensors were converted, or are stored quantized (`quantized` lists them). */
  readonly exact: boolean;
  readonly quantized: readonly string[];
  /** True when there was metadata, and the format holds none. */
  readonly metadataDropped: boolean;
  readonly seconds: number;
}

export interface VerifyOptions extends LongCallOptions {
  /** Also decode every chunk and compare its SHA-256, and the SHA-256 of every file. */
  readonly deep?: boolean;
}

export interface VerifyProblem {
  /** Pack, journal segment, catalog or file. */
  readonly where: string;
  readonly message: string;
  /** `dataset/[file#]tensor` names it hits. */
  readonly tensors: readonly string[];
}

export interface VerifyResult {
  readonly ok: boolean;
  readonly deep: boolean;
  readonly chunks: number;
  readonly bytes: number;
  readonly files: number;
  readonly entries: number;
  readonly problems: readonly VerifyProblem[];
  readonly seconds: number;
}

export interface VerifyAgainstResult {
  readonly ok: boolean;
  readonly dataset: string;
  readonly files: number;
  readonly bytes: number;
  readonly problems: readonly { readonly file: string; readonly message: string }[];
  readonly seconds: number;
}

export interface GcOptions extends LongCallOptions {
  readonly dryRun?: boolean;
}

export interface GcResult {
  readonly dryRun: boolean;
  /** Versions that expired, over all datasets. */
  readonly versions: number;
  readonly tensors: number;
  readonly chunks: number;
  /** Directory bytes before and after (estimated when dry). */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly packsRewritten: number;
  readonly packsRemoved: number;
  /** Damaged frames that live: they, and their packs, stay where they are. */
  readonly problems: readonly VerifyProblem[];
  readonly seconds: number;
}

/** What prune keeps: a version that any of these keeps is kept; the current one always is. */
export interface PruneOptions extends LongCallOptions {
  readonly keepLast?: number;
  readonly keepTagged?: boolean;
  /** Keep versions younger than this, in milliseconds. */
  readonly keepWithinMs?: number;
  readonly dryRun?: boolean;
}

export interface PruneResult {
  readonly dryRun: boolean;
  readonly datasets: readonly {
    readonly name: string;
    readonly kept: readonly number[];
    readonly expired: readonly number[];
  }[];
}

export interface RebuildResult {
  readonly entries: number;
  readonly chunks: number;
  readonly seconds: number;
}

export interface RecompressResult {
  readonly dataset: string;
  readonly preset: string;
  readonly chunks: number;
  readonly recoded: number;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** Other datasets whose chunks were re-coded with them, since they share them. */
  readonly alsoAffects: readonly string[];
  readonly seconds: number;
}

export interface SwitchPresetResult {
  readonly preset: string;
  readonly lossless: boolean;
  /** Stored tensors that keep the encoding they have. */
  readonly tensorsKept: number;
}

export type { FamilyLink, FamilyMember, FamilyUsage, SliceSpec, TensorData, Where, WhereOperators };
