/**
 * Plans: what is in a file, before anything of it is stored. A format reads as little as it can (a header) and says
 * which byte ranges are tensors and which are literal bytes; the store then reads the ranges and keeps them. A plan
 * covers its file without holes, in order, so that writing the parts one after the other gives the file back bit
 * for bit:
 *
 *     0          headerEnd                                   bytes
 *     | literal  | tensor | tensor (0 bytes) | tensor | ...  |
 */
import { type DType, InvalidFileError } from "@tensorcask/codec";
import type { FileSystem } from "../files/file-system.ts";
import type { JsonObject } from "./entry.ts";

/** Bytes that can be read at any position: a file, a buffer, a spooled stream. */
export interface Source {
  /** The name that errors carry. */
  readonly name: string;
  readonly bytes: number;
  /**
   * Fills `into` from `position` on, wholly; bytes that are not there are an `InvalidFileError` with the rule
   * `truncated`.
   */
  read(into: Uint8Array, position: number): Promise<void>;
}

/** A source that holds a file open until it is closed. */
export interface OpenSource extends Source {
  close(): Promise<void>;
}

/**
 * How elements lie in a file where that is not row-major and little-endian. What is stored is always row-major and
 * little-endian, so that a tensor is the same whatever file it comes from; an export lays it out again.
 */
export interface PartLayout {
  /** Every element (of a complex dtype: every component) has its most significant byte first. */
  readonly bigEndian?: boolean;
  /** The first axis varies fastest (Fortran order). */
  readonly columnMajor?: boolean;
}

/** A byte range of a file: the elements of a tensor, or bytes kept as they are. Offsets and sizes in bytes. */
export type PlanPart =
  | {
      readonly kind: "tensor";
      readonly name: string;
      readonly dtype: DType;
      readonly shape: readonly number[];
      readonly offset: number;
      readonly bytes: number;
      /** Absent: row-major, little-endian. */
      readonly layout?: PartLayout;
      /** What the file says about this tensor; becomes the record's metadata. */
      readonly metadata?: JsonObject;
    }
  | { readonly kind: "literal"; readonly offset: number; readonly bytes: number };

/**
 * A tensor of a file whose elements are no byte range of it: packed, compressed, strided, or a second name for bytes
 * that another part holds. It becomes a record, stored (and shared) like any other, beside the file's own bytes,
 * and takes no part in writing the file back.
 */
export interface DerivedTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Bytes of all elements. */
  readonly bytes: number;
  readonly metadata?: JsonObject;
  /**
   * The elements, row-major and little-endian, in pieces of any length that are together exactly `bytes` long; a
   * piece is valid until the next one is asked for. May be called again, for a second pass. Memory is bounded, whatever
   * the file says. Throws `InvalidFileError` where the file does not hold what its plan promised.
   */
  elements(source: Source): AsyncIterable<Uint8Array>;
}

/** One file of an import. */
export interface FilePlan {
  /** Path inside the dataset: relative, parts separated by `/`. */
  readonly path: string;
  /** Id of the format that made the plan. */
  readonly format: string;
  readonly bytes: number;
  /** In order, without holes, from 0 to `bytes`. Tensors of zero bytes are parts too; an empty file has none. */
  readonly parts: readonly PlanPart[];
  /** Tensors that are no byte range of the file. Names are unique over parts and derived tensors. */
  readonly derived?: readonly DerivedTensor[];
  /** What the file says about itself (safetensors: `__metadata__`). */
  readonly metadata?: JsonObject;
  /**
   * Opens the file for reading its parts; an `InvalidFileError` with the rule `changed` when it is not the file
   * that was planned.
   */
  source(): Promise<OpenSource>;
}

/** Id of the format of files that are kept as bytes, whatever they are. */
export const OPAQUE_FORMAT = "opaque";

/** The parts of such a file: one literal; none of an empty file. */
export function opaqueParts(bytes: number): readonly PlanPart[] {
  return bytes === 0 ? [] : [{ kind: "literal", offset: 0, bytes }];
}

/** The same file, kept as bytes. */
export function opaquePlan({ path, bytes, source }: FilePlan): FilePlan {
  return { path, format: OPAQUE_FORMAT, bytes, parts: opaqueParts(bytes), source };
}

/** A file as it was when it was planned. */
export interface FileState {
  readonly bytes: number;
  readonly modifiedMs: number;
}

/**
 * Opens a file as a source. With `planned`, a file of another size or modification time is refused: its parts would
 * be cut in the wrong places. Throws `InvalidFileError` (rules `truncated`, `changed`) and `StorageError`.
 */
export async function fileSource(
  fs: FileSystem,
  path: string,
  name: string = path,
  planned?: FileState,
): Promise<OpenSource> {
  const file = await fs.open(path, "read");
  try {
    const bytes = await file.size();
    const modifiedMs = planned === undefined ? undefined : (await fs.stat(path))?.modifiedMs;
    if (planned !== undefined && (bytes !== planned.bytes || modifiedMs !== planned.modifiedMs)) {
      throw new InvalidFileError(
        name,
        "changed",
        "the file changed while it was being imported; run it again",
      );
    }
    return {
      name,
      bytes,
      async read(into, position) {
        const got = position > bytes ? 0 : await file.read(into, position);
        if (got !== into.length) throw truncated(name, position, into.length, got);
      },
      close: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** A source over bytes in memory, which must not change while it is in use. */
export function bufferSource(name: string, data: Uint8Array): OpenSource {
  return {
    name,
    bytes: data.length,
    async read(into, position) {
      const from = data.subarray(position, position + into.length);
      if (from.length !== into.length) throw truncated(name, position, into.length, from.length);
      into.set(from);
    },
    async close() {},
  };
}

function truncated(name: string, position: number, wanted: number, got: number): InvalidFileError {
  return new InvalidFileError(
    name,
    "truncated",
    `the file ends early: ${wanted} bytes wanted at ${position}, ${got} there`,
  );
}
