/**
 * The bytes of a derived tensor, which comes in pieces from front to back: a read that goes back starts a new iteration. However many bytes
 * the format promised, exactly so many must come.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { DerivedTensor, Source } from "../model/plan.ts";
import type { ReadBytes, TensorBytes } from "./tensor-bytes.ts";

export class DerivedBytes implements TensorBytes {
  readonly #tensor: DerivedTensor;
  readonly #source: Source;
  readonly #pass: (end: number) => void;
  #pieces: AsyncIterator<Uint8Array> | undefined;
  #piece: Uint8Array = new Uint8Array(0);
  #position = 0;

  /** `pass` hears how far the first reading has got. */
  constructor(tensor: DerivedTensor, source: Source, pass: (end: number) => void) {
    this.#tensor = tensor;
    this.#source = source;
    this.#pass = pass;
  }

  readonly first: ReadBytes = async (into, offset) => {
    await this.again(into, offset);
    this.#pass(this.#position);
  };

  readonly again: ReadBytes = async (into, offset) => {
    if (offset < this.#position) await this.close();
    await this.#take(undefined, offset - this.#position);
    await this.#take(into, into.length);
    if (this.#position === this.#tensor.bytes) await this.#end();
  };

  /** Lets go of what the iteration holds. The next read starts anew. */
  async close(): Promise<void> {
    const pieces = this.#pieces;
    this.#pieces = undefined;
    this.#piece = new Uint8Array(0);
    this.#position = 0;
    await pieces?.return?.();
  }

  /** Takes the next `count` bytes, into `into` or nowhere. */
  async #take(into: Uint8Array | undefined, count: number): Promise<void> {
    for (let taken = 0; taken < count; ) {
      if (this.#piece.length === 0 && !(await this.#next())) {
        throw this.#wrong(`gives ${this.#position} bytes only`);
      }
      const part = this.#piece.subarray(0, count - taken);
      into?.set(part, taken);
      this.#piece = this.#piece.subarray(part.length);
      this.#position += part.length;
      taken += part.length;
    }
  }

  /** Gets the next piece that is not empty; false at the end. */
  async #next(): Promise<boolean> {
    this.#pieces ??= this.#tensor.elements(this.#source)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#pieces.next();
      if (next.done === true) return false;
      this.#piece = next.value;
      if (this.#piece.length > 0) return true;
    }
  }

  /** The tensor is whole: nothing may follow. */
  async #end(): Promise<void> {
    if (this.#piece.length > 0 || (await this.#next())) throw this.#wrong("gives more bytes than that");
  }

  #wrong(what: string): InvalidFileError {
    const { name, dtype, shape, bytes } = this.#tensor;
    return new InvalidFileError(
      this.#source.name,
      "derived",
      `it is ${dtype.name} of shape [${shape.join(", ")}], ${bytes} bytes, but the file ${what}; import it with --opaque to keep the file without its tensors`,
      { tensor: name },
    );
  }
}
