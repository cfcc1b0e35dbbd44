/** The tensors of a model, in the order in which the file begins them. */
import { InvalidFileError } from "@tensorcask/codec";
import type { Place } from "./place.ts";
import { type SparseRole, TensorMessage } from "./tensor-message.ts";

/**
 * Most `TensorProto` messages of one file. Each takes about a kilobyte of memory while its model is planned; models
 * have thousands, those with hundreds of experts in every layer a hundred thousand.
 */
export const MAX_TENSOR_MESSAGES = 250_000;

/** Collects tensors during a walk. */
export class FoundTensors {
  readonly tensors: TensorMessage[] = [];
  readonly #file: string;
  #messages = 0;

  /** `file` is the name that errors carry. */
  constructor(file: string) {
    this.#file = file;
  }

  /** A new tensor. Its message, or messages, are told to `enter`. */
  add(place: Place, named: Place | undefined, sparse?: SparseRole): TensorMessage {
    const tensor = new TensorMessage(place, named, sparse);
    this.tensors.push(tensor);
    return tensor;
  }

  /** A message of the tensor begins. Throws `InvalidFileError` (rule `count`). */
  enter(tensor: TensorMessage, offset: number, bytes: number): TensorMessage {
    if (++this.#messages > MAX_TENSOR_MESSAGES) {
      const message = `it has more than ${MAX_TENSOR_MESSAGES} tensors (at byte ${offset})`;
      throw new InvalidFileError(this.#file, "count", message);
    }
    tensor.ranges.push({ offset, bytes });
    return tensor;
  }
}
