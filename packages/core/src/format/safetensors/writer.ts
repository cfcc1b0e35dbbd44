/**
 * Writes new safetensors files, as the reference implementation does: tensors in descending order of
 * its dtype list (which sorts by size, so that every tensor is aligned to its elements), then by name;
 * `__metadata__` first, padded with spaces to a multiple of 8. The same tensors give the same bytes as safetensors
 * 0.8 writes, but for the order of several metadata keys: there it varies from run to run, here they are sorted.
 */
import { type DType, LimitError, UsageError } from "@tensorcask/codec";
import { exactElements, type TensorWriter } from "../writer.ts";
import { LENGTH_BYTES, MAX_HEADER_BYTES, type SafetensorsTensor } from "./header.ts";

/** The data begins at a multiple of this, in bytes. */
const ALIGNMENT = 8;

/** The format's dtypes in the order of the reference implementation's list; files hold them from last to first. */
const dtypeOrder: readonly string[] =
  "BOOL F4 F6_E2M3 F6_E3M2 U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F8_E4M3FNUZ F8_E5M2FNUZ I16 U16 F16 BF16 I32 U32 F32 C64 F64 I64 U64".split(
    " ",
  );

/** A tensor to be written: name, dtype and shape. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/**
 * The layout of a file to be written: the header, then the tensors' bytes in the order of `tensors`. Offsets and
 * sizes in bytes.
 */
export interface SafetensorsLayout<T extends TensorToWrite = TensorToWrite> {
  /** Everything before the data, length included. */
  readonly header: Uint8Array;
  readonly tensors: readonly (SafetensorsTensor & { readonly source: T })[];
  /** Size of the whole file. */
  readonly bytes: number;
}

/**
 * Lays out a safetensors file. Pure: the caller writes `header`, then the bytes of each tensor in the order given
 * back (row-major, little-endian). `source` of each is the object handed in. Throws `UsageError` for what the
 * format cannot hold (int4, uint4, complex128; sub-byte tensors that end within a byte; names twice,
 * `__metadata__`, half surrogate pairs) and `LimitError` for a header over 100,000,000 bytes.
 */
export function layoutSafetensors<T extends TensorToWrite>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsLayout<T> {
  const names = new Set<string>();
  const ordered = tensors.map((source) => {
    const { name, dtype } = source;
    checkText("name", name, name);
    if (name === "__metadata__") throw unwritable(name, "the name is taken by the file's metadata");
    if (names.has(name)) throw unwritable(name, "the name appears twice");
    names.add(name);
    const rank = dtype.safetensors === undefined ? -1 : dtypeOrder.indexOf(dtype.safetensors);
    if (rank < 0) throw unwritable(name, `safetensors has no code for ${dtype.name}; ${remedyFor(dtype)}`);
    return { source, rank, sortKey: Buffer.from(name), bytes: bytesOf(source) };
  });
  ordered.sort((a, b) => b.rank - a.rank || Buffer.compare(a.sortKey, b.sortKey));

  const entries: string[] = [];
  const head = metadataEntry(metadata);
  if (head !== undefined) entries.push(head);
  let dataBytes = 0;
  for (const { source, bytes } of ordered) {
    const offsets = `[${dataBytes},${dataBytes + bytes}]`;
    const fields = `"dtype":"${source.dtype.safetensors}","shape":[${source.shape.join(",")}],"data_offsets":${offsets}`;
    entries.push(`${JSON.stringify(source.name)}:{${fields}}`);
    dataBytes += bytes;
  }
  if (!Number.isSafeInteger(dataBytes)) {
    throw new LimitError("bytes of a file", dataBytes, Number.MAX_SAFE_INTEGER);
  }
  const header = encodeHeader(`{${entries.join(",")}}`);

  let offset = header.length;
  const placed = ordered.map(({ source, bytes }) => {
    const { name, dtype, shape } = source;
    const tensor = { name, dtype, shape, offset, bytes, source };
    offset += bytes;
    return tensor;
  });
  return { header, tensors: placed, bytes: header.length + dataBytes };
}

/** Writes tensors in the order of `layoutSafetensors`. */
export const safetensorsWriter: TensorWriter = {
  id: "safetensors",
  extensions: [".safetensors"],
  keepsMetadata: true,
  async write(tensors, metadata, sink) {
    const layout = layoutSafetensors([...tensors], metadata);
    await sink(layout.header);
    for (const { source, bytes } of layout.tensors) {
      for await (const piece of exactElements(source, bytes)) await sink(piece);
    }
  },
};

function metadataEntry(metadata: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(metadata).map(([key, value]) => {
    if (typeof value !== "string") {
      throw new UsageError(
        "metadata",
        `safetensors metadata holds strings only; ${JSON.stringify(key)} is none`,
      );
    }
    checkText("metadata", key, key);
    checkText("metadata", value, key);
    return { sortKey: Buffer.from(key), text: `${JSON.stringify(key)}:${JSON.stringify(value)}` };
  });
  if (pairs.length === 0) return undefined;
  pairs.sort((a, b) => Buffer.compare(a.sortKey, b.sortKey));
  return `"__metadata__":{${pairs.map((pair) => pair.text).join(",")}}`;
}

/** Length, JSON and padding. */
function encodeHeader(json: string): Uint8Array {
  const jsonBytes = Buffer.byteLength(json);
  const paddedBytes = Math.ceil(jsonBytes / ALIGNMENT) * ALIGNMENT;
  if (paddedBytes > MAX_HEADER_BYTES) {
    throw new LimitError("bytes of a safetensors header", paddedBytes, MAX_HEADER_BYTES);
  }
  const header = new Uint8Array(LENGTH_BYTES + paddedBytes).fill(0x20, LENGTH_BYTES + jsonBytes);
  new DataView(header.buffer).setBigUint64(0, BigInt(paddedBytes), true);
  new TextEncoder().encodeInto(json, header.subarray(LENGTH_BYTES));
  return header;
}

/** Size of a tensor in bytes; must be whole. */
function bytesOf({ name, dtype, shape }: TensorToWrite): number {
  const bad = shape.find((dimension) => !Number.isSafeInteger(dimension) || dimension < 0);
  if (bad !== undefined) throw unwritable(name, `its dimension ${bad} is not a size`);
  let bits = dtype.bits;
  // Every step is checked: readers multiply in this order too, and a zero comes too late for [2^50, 2^50, 0].
  for (const dimension of shape) {
    bits *= dimension;
    if (!Number.isSafeInteger(bits)) throw unwritable(name, "its size in bits is over 2^53 - 1");
  }
  if (bits % 8 !== 0) throw unwritable(name, `its elements of ${dtype.bits} bits do not fill whole bytes`);
  return bits / 8;
}

function checkText(field: string, text: string, name: string): void {
  if (!text.isWellFormed()) {
    throw new UsageError(
      field,
      `${JSON.stringify(name)} has half of a surrogate pair, which UTF-8 cannot hold`,
    );
  }
}

/** What to do with a tensor that the format has no code for. */
function remedyFor({ kind }: DType): string {
  if (kind === "block") return "convert it to float32 (--dtype float32)";
  if (kind === "complex") return "write .npz or .npy";
  return "only the file that it came in can hold it, which export gives back";
}

function unwritable(name: string, reason: string): UsageError {
  return new UsageError(
    "tensors",
    `tensor ${JSON.stringify(name)} cannot be written as safetensors: ${reason}`,
  );
}
