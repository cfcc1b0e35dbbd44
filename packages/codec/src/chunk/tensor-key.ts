/**
 * Names of tensors by content, so that a tensor that is stored already is referenced instead of stored again.
 *
 *   source hash = SHA-256 ( SHA-256 of source chunk 0 | of chunk 1 | ... )        one pass, chunks hashed in parallel, append-friendly
 *   tensor key  = SHA-256 ( "tensorcask tensor 0\0" | source hash [32] | dtype code u8 | geometry u8 | chunk elements u32
 *                           | rank u32 | axes u64 each | quantizer as canonical JSON, UTF-8, or nothing )
 *
 * All numbers are little-endian. What changes what is stored is in the key: the same source under another
 * quantizer is another tensor. Geometry is 0 when chunks are cut by elements, 1 when they are cut by content
 * (chunk elements is then 0).
 */
import { SHA256_BYTES, sha256 } from "../bytes/hash.ts";
import { canonicalJson, type JsonObject } from "../bytes/json.ts";
import { ByteWriter } from "../bytes/writer.ts";
import { UsageError } from "../errors/errors.ts";
import type { DType } from "../tensor/dtype.ts";

const PREFIX: Uint8Array = new TextEncoder().encode("tensorcask tensor 0\0");

/** What a tensor key is made of. */
export interface TensorKeyParts {
  /** From `sourceHash`. */
  readonly sourceHash: Uint8Array;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly geometry: "elements" | "content";
  /** Elements per chunk; ignored for geometry `content`. */
  readonly chunkElements: number;
  /** With normalised parameters; absent for tensors stored as they are. */
  readonly quantizer?: { readonly id: string; readonly parameters: JsonObject; readonly note?: string };
}

/**
 * The hash of a tensor's source: SHA-256 over the SHA-256s of its source chunks, back to back in order (32
 * bytes each).
 */
export function sourceHash(chunkHashes: Uint8Array): Uint8Array {
  if (chunkHashes.length % SHA256_BYTES !== 0) {
    throw new UsageError("chunkHashes", `${chunkHashes.length} bytes are no whole number of SHA-256 hashes`);
  }
  return sha256(chunkHashes);
}

/** The key (32 bytes) under which a stored tensor is found again. */
export function tensorKey(parts: TensorKeyParts): Uint8Array {
  if (parts.sourceHash.length !== SHA256_BYTES) {
    throw new UsageError(
      "sourceHash",
      `a source hash has ${SHA256_BYTES} bytes, not ${parts.sourceHash.length}`,
    );
  }
  const byElements = parts.geometry === "elements";
  const writer = new ByteWriter()
    .bytes(PREFIX)
    .bytes(parts.sourceHash)
    .u8(parts.dtype.code)
    .u8(byElements ? 0 : 1)
    .u32(byElements ? parts.chunkElements : 0)
    .u32(parts.shape.length);
  for (const axis of parts.shape) writer.u64(axis);
  if (parts.quantizer !== undefined) {
    const { id, parameters, note } = parts.quantizer;
    const named = { id, parameters, ...(note !== undefined && { note }) };
    writer.bytes(new TextEncoder().encode(canonicalJson(named)));
  }
  return sha256(writer.finish());
}
