/**
 * The header of a GGUF file, versions 2 and 3 (version 1 had counts of 32 bits; 3 allowed big-endian files).
 *
 *     0   "GGUF" | u32 version | u64 tensors | u64 metadata keys
 *     24  the metadata (metadata.ts)
 *     .   per tensor: u64 length, name | u32 dimensions | u64 each, the fastest first | u32 type | u64 offset
 *     .   zeros up to a multiple of the alignment: here the data begins, and offsets count from here
 *
 * Source: docs/gguf.md of ggml, and its reader (ggml/src/gguf.cpp), which rules where the text leaves room. As it, this reader refuses keys
 * and names that come twice and data that is not aligned; unlike it, it takes tensors in any order with anything between them.
 */
import type { DType } from "@tensorcask/codec";
import type { Json, JsonObject } from "../../model/entry.ts";
import type { Source } from "../../model/plan.ts";
import { GgufCursor } from "./cursor.ts";
import { readMetadata } from "./metadata.ts";
import { removedTypeOf, tensorTypeOf } from "./types.ts";

/** Most dimensions of a tensor: `GGML_MAX_DIMS`, the specification's limit too. */
export const MAX_DIMENSIONS = 4;
/** Most tensors of a file: a hundred times what the largest models have. Their names and shapes are held. */
export const MAX_TENSORS = 1_048_576;
/** Where tensors begin unless `general.alignment` says otherwise: multiples of so many bytes. */
export const DEFAULT_ALIGNMENT = 32;

/** Bytes of a tensor's entry with an empty name and no dimensions. */
const SMALLEST_ENTRY_BYTES = 24;

/** One tensor. `offset` counts from the start of the file; offset and size in bytes. */
export interface GgufTensor {
  readonly name: string;
  /** ggml's name of the type, such as `Q4_0`. */
  readonly type: string;
  readonly dtype: DType;
  /** Row-major (GGUF lists dimensions the other way round), in values. */
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** What a header says. */
export interface GgufHeader {
  readonly version: number;
  readonly bigEndian: boolean;
  /** In the order of the list; within the file, but two of them may overlap. */
  readonly tensors: readonly GgufTensor[];
  readonly metadata: JsonObject;
}

/** Reads and checks the header of a source, never the data. Throws `InvalidFileError` naming tensor and rule. */
export async function readGgufHeader(source: Source): Promise<GgufHeader> {
  const cursor = new GgufCursor(source);
  const version = await readVersion(cursor);
  await cursor.need(16, "the counts of tensors and metadata");
  const tensorCount = cursor.u64();
  const keyCount = cursor.u64();
  if (tensorCount > MAX_TENSORS) {
    throw cursor.invalid("header-limit", `it has ${tensorCount} tensors, the limit is ${MAX_TENSORS}`);
  }
  const { metadata, alignment: own } = await readMetadata(cursor, keyCount);
  const alignment = own === undefined ? DEFAULT_ALIGNMENT : checkAlignment(cursor, own.type, own.value);
  cursor.check(tensorCount * BigInt(SMALLEST_ENTRY_BYTES), "the list of tensors");
  const entries: GgufTensor[] = [];
  const names = new Set<string>();
  for (let index = 0; index < Number(tensorCount); index++) {
    const entry = await readEntry(cursor, index, alignment);
    if (names.has(entry.name)) {
      throw cursor.invalid("duplicate-name", "two tensors have this name", entry.name);
    }
    names.add(entry.name);
    entries.push(entry);
  }
  const dataStart =
    entries.length === 0 ? cursor.position : Math.ceil(cursor.position / alignment) * alignment;
  if (dataStart > source.bytes) {
    throw cursor.invalid(
      "truncated",
      `its data would begin at byte ${dataStart}, the file ends after ${source.bytes}; is the download complete?`,
    );
  }
  const tensors = entries.map((entry) => placed(cursor, entry, dataStart, source.bytes));
  return { version, bigEndian: !cursor.littleEndian, tensors, metadata };
}

/** Older formats of the same authors, by their first four bytes. */
const olderFormats: ReadonlyMap<string, string> = new Map([
  ["lmgg", "GGML"],
  ["fmgg", "GGMF"],
  ["tjgg", "GGJT"],
]);

/** Reads magic and version; sets the cursor's byte order by how the version reads. */
async function readVersion(cursor: GgufCursor): Promise<number> {
  await cursor.need(8, "the magic number and the version");
  const magic = cursor.text(4) ?? "";
  if (magic !== "GGUF") {
    const older = olderFormats.get(magic);
    const pointer = magic === "vers" ? " (it looks like a Git LFS pointer: run `git lfs pull` first)" : "";
    throw cursor.invalid(
      "magic",
      older === undefined
        ? `it does not begin with "GGUF"${pointer}`
        : `it is a ${older} file, the format before GGUF; convert it with llama.cpp's convert_llama_ggml_to_gguf.py`,
    );
  }
  let version = cursor.u32();
  // A small number with its bytes the other way round.
  if (version !== 0 && (version & 0xffff) === 0) {
    cursor.setBigEndian();
    version = ((version >>> 24) | ((version >>> 8) & 0xff00)) >>> 0;
  }
  if (version === 1) {
    throw cursor.invalid(
      "version",
      "it has version 1, whose counts have 32 bits; write it again with llama.cpp (llama-quantize with type COPY) to get version 3",
    );
  }
  if (version !== 2 && version !== 3) {
    throw cursor.invalid("version", `it has version ${version}; 2 and 3 can be read`);
  }
  return version;
}

function checkAlignment(cursor: GgufCursor, type: string, value: Json): number {
  if (type !== "uint32" || typeof value !== "number") {
    throw cursor.invalid("alignment", `general.alignment is of type ${type}; it must be uint32`);
  }
  if (value === 0 || (value & (value - 1)) !== 0) {
    throw cursor.invalid("alignment", `general.alignment is ${value}; it must be a power of two`);
  }
  return value;
}

/** Reads a tensor as listed: its offset counts from where the data begins. */
async function readEntry(cursor: GgufCursor, index: number, alignment: number): Promise<GgufTensor> {
  const name = await cursor.name(`the name of tensor ${index}`);
  const what = `the entry of tensor ${index}`;
  await cursor.need(4, what);
  const rank = cursor.u32();
  if (rank > MAX_DIMENSIONS) {
    throw cursor.invalid("rank-limit", `it has ${rank} dimensions, the limit is ${MAX_DIMENSIONS}`, name);
  }
  await cursor.need(8 * rank + 12, what);
  const dimensions = Array.from({ length: rank }, () => cursor.u64());
  const number = cursor.u32();
  const type = tensorTypeOf(number);
  if (type === undefined) {
    const removed = removedTypeOf(number);
    const reason =
      removed === undefined
        ? `its type ${number} is not known to this version`
        : `its type ${number} (${removed}) has been removed from ggml; quantize the model again`;
    throw cursor.invalid("tensor-type", reason, name);
  }
  const { dtype } = type;
  if (dtype.block !== undefined && !cursor.littleEndian) {
    throw cursor.invalid(
      "big-endian-blocks",
      `it holds ${type.name} blocks in a big-endian file, which are not read; convert it with llama.cpp's gguf_convert_endian.py`,
      name,
    );
  }
  const bytes = bytesOf(cursor, name, dtype, dimensions);
  const offset = cursor.u64();
  if (offset % BigInt(alignment) !== 0n) {
    throw cursor.invalid(
      "unaligned",
      `its offset ${offset} is no multiple of the alignment ${alignment}`,
      name,
    );
  }
  if (offset > Number.MAX_SAFE_INTEGER) {
    throw cursor.invalid("missing-bytes", `its data would begin at byte ${offset} of the data`, name);
  }
  return {
    name,
    type: type.name,
    dtype,
    shape: dimensions.map(Number).reverse(),
    offset: Number(offset),
    bytes,
  };
}

/** Bytes of a tensor; dimensions and their product are exact numbers behind it. */
function bytesOf(cursor: GgufCursor, name: string, dtype: DType, dimensions: readonly bigint[]): number {
  const inBlock = BigInt(dtype.block?.elements ?? 1);
  const fastest = dimensions[0] ?? 1n;
  if (fastest % inBlock !== 0n) {
    throw cursor.invalid(
      "partial-block",
      `its fastest dimension ${fastest} is no multiple of the ${inBlock} values of a ${dtype.name} block`,
      name,
    );
  }
  let bytes = BigInt(dtype.bits / 8);
  // Every step is checked: a zero comes too late for [2^50, 2^50, 0].
  for (const [axis, dimension] of dimensions.entries()) {
    bytes *= axis === 0 ? dimension / inBlock : dimension;
    if (bytes > Number.MAX_SAFE_INTEGER || dimension > Number.MAX_SAFE_INTEGER) {
      const shape = dimensions.toReversed().join(", ");
      throw cursor.invalid("shape-overflow", `its shape [${shape}] takes over 2^53 - 1 bytes`, name);
    }
  }
  return Number(bytes);
}

/** The tensor at its place in the file. */
function placed(cursor: GgufCursor, entry: GgufTensor, dataStart: number, fileBytes: number): GgufTensor {
  const offset = dataStart + entry.offset;
  if (offset + entry.bytes > fileBytes) {
    throw cursor.invalid(
      "missing-bytes",
      `its ${entry.bytes} bytes begin at byte ${offset}, the file ends after ${fileBytes}; is the download complete?`,
      entry.name,
    );
  }
  return { ...entry, offset };
}
