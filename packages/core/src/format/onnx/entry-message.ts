/** A `StringStringEntryProto`: a key and a value. */
import type { MessageVisitor, Step } from "./walk.ts";
import { MAX_TEXT_BYTES } from "./wire.ts";

const KEY = 1;
const VALUE = 2;

/** Hands over key and value; the value is undefined when one of them is too long to be read. */
export class EntryMessage implements MessageVisitor {
  readonly #take: (key: string, value: string | undefined) => void;
  #key = "";
  #value = "";
  #whole = true;

  constructor(take: (key: string, value: string | undefined) => void) {
    this.#take = take;
  }

  bytes(field: number, _offset: number, bytes: number): Step {
    if (field !== KEY && field !== VALUE) return undefined;
    if (bytes <= MAX_TEXT_BYTES) return "text";
    this.#whole = false;
    return undefined;
  }

  text(field: number, text: string): void {
    if (field === KEY) this.#key = text;
    else this.#value = text;
  }

  end(): void {
    this.#take(this.#key, this.#whole ? this.#value : undefined);
  }
}
