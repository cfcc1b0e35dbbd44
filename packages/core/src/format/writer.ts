/**
 * What a file format is to those that write new files: an object that lays tensors out and gives the bytes to a
 * sink, in order, each tensor's elements read once. (Imported files are not written anew: export puts their parts
 * back.)
 */
import { type DType, UsageError } from "@tensorcask/codec";

/** A tensor to be written. */
export interface OutputTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** The elements, row-major and little-endian, in pieces of any length; a piece is valid until the next. */
  elements(): AsyncIterable<Uint8Array>;
}

/** Takes the next bytes of a file. They may change once the promise is settled. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

/** A format that can be written. */
export interface TensorWriter {
  /** Id of the format that reads these files. */
  readonly id: string;
  /** Extensions of its files, with the dot; the first one is usual. */
  readonly extensions: readonly string[];
  /** Whether its files hold metadata; if not, `write` leaves it out. */
  readonly keepsMetadata: boolean;
  /**
   * Writes a file; the same tensors give the same bytes. Throws `UsageError` naming the tensor and what to do, and
   * `LimitError`, for what the format cannot hold, before anything is written; what `elements` and `sink` throw; and
   * `UsageError` when a tensor's elements are not the bytes that dtype and shape ask for.
   */
  write(
    tensors: Iterable<OutputTensor>,
    metadata: Readonly<Record<string, string>>,
    sink: Sink,
  ): Promise<void>;
}

/** The elements of a tensor, checked to be `bytes` bytes. */
export async function* exactElements(tensor: OutputTensor, bytes: number): AsyncGenerator<Uint8Array> {
  let given = 0;
  for await (const piece of tensor.elements()) {
    given += piece.length;
    if (given > bytes) break;
    yield piece;
  }
  if (given !== bytes) {
    const found = given > bytes ? `more than ${bytes}` : `${given} of ${bytes}`;
    throw new UsageError("elements", `tensor ${JSON.stringify(tensor.name)} gave ${found} bytes`);
  }
}
