/** `ModelProto`: the file itself. What it says about the model becomes the metadata of the file. */
import type { JsonObject } from "../../model/entry.ts";
import { EntryMessage } from "./entry-message.ts";
import { FoundTensors } from "./found-tensors.ts";
import { FunctionMessage, GraphMessage, TrainingInfoMessage } from "./graph-messages.ts";
import type { MessageVisitor, Step } from "./walk.ts";
import { int64, MAX_TEXT_BYTES } from "./wire.ts";

/**
 * Most characters of metadata as JSON: the store takes a mebibyte. Some exporters keep a whole tokenizer in
 * `metadata_props`; what goes beyond is counted in `metadata_props_omitted` and stays in the bytes of the file.
 */
const MAX_METADATA_CHARACTERS = 512 * 1024;

/** Tensors that stay in the bytes of the file: so many are listed, others are counted only. */
const MAX_LISTED_TENSORS = 100;

/** A tensor of a type that we have no dtype for. */
export interface LiteralTensor {
  readonly name: string;
  /** As ONNX calls it. */
  readonly type: string;
}

const TEXT_FIELDS: Readonly<Record<number, string>> = {
  2: "producer_name",
  3: "producer_version",
  4: "domain",
};

/** Visits a whole file. */
export class ModelMessage implements MessageVisitor {
  readonly found: FoundTensors;
  readonly #graph: GraphMessage;
  readonly #facts: Record<string, string | number> = {};
  readonly #opsets: [string, string | number][] = [];
  readonly #properties: [string, string][] = [];
  #omitted = 0;
  #room = MAX_METADATA_CHARACTERS;
  #functions = 0;
  #trainings = 0;
  /** Whether there was a graph, function or training: without one it is no model. */
  hasContent = false;

  /** `file` is the name that errors carry. */
  constructor(file: string) {
    this.found = new FoundTensors(file);
    this.#graph = new GraphMessage(this.found, undefined);
  }

  varint(field: number, low: number, high: number): void {
    if (field === 1) this.#facts["ir_version"] = integer(low, high);
    else if (field === 5) this.#facts["model_version"] = integer(low, high);
  }

  bytes(field: number, _offset: number, bytes: number): Step {
    switch (field) {
      case 2:
      case 3:
      case 4:
        return bytes <= MAX_TEXT_BYTES ? "text" : undefined;
      case 7:
        this.hasContent = true;
        return this.#graph;
      case 8:
        return new OpsetMessage((domain, version) => {
          if (this.#fits(domain)) this.#opsets.push([domain, version]);
        });
      case 14:
        return new EntryMessage((key, value) => {
          if (value !== undefined && this.#fits(key + value)) this.#properties.push([key, value]);
          else this.#omitted++;
        });
      case 20:
        this.hasContent = true;
        return new TrainingInfoMessage(this.found, this.#trainings++);
      case 25:
        this.hasContent = true;
        return new FunctionMessage(this.found, this.#functions++);
      default:
        return undefined;
    }
  }

  text(field: number, text: string): void {
    if (this.#fits(text)) this.#facts[TEXT_FIELDS[field]!] = text;
  }

  /**
   * Metadata of the file, under the names that the fields have, and the tensors that stay in its bytes, as far as
   * there is room for them.
   */
  metadata(literals: readonly LiteralTensor[]): JsonObject {
    const { name } = this.#graph;
    const listed = literals.slice(0, MAX_LISTED_TENSORS).filter((literal) => this.#fits(literal.name));
    // fromEntries defines properties: a key such as `__proto__` is an entry like any other.
    return {
      ...this.#facts,
      ...(this.#opsets.length > 0 && { opset_import: Object.fromEntries(this.#opsets) }),
      ...(name !== "" && this.#fits(name) && { graph_name: name }),
      ...(this.#properties.length > 0 && { metadata_props: Object.fromEntries(this.#properties) }),
      ...(this.#omitted > 0 && { metadata_props_omitted: this.#omitted }),
      ...(literals.length > 0 && {
        literal_tensors: listed.map(({ name, type }) => ({ name, data_type: type })),
        literal_tensor_count: literals.length,
      }),
    };
  }

  /** Takes room for a text and what surrounds it. */
  #fits(text: string): boolean {
    const characters = JSON.stringify(text).length + ENTRY_CHARACTERS;
    if (characters > this.#room) return false;
    this.#room -= characters;
    return true;
  }
}

/** Room for a number or type, quotes and commas around a text. */
const ENTRY_CHARACTERS = 64;

/** `OperatorSetIdProto`. The empty domain is that of ONNX itself. */
class OpsetMessage implements MessageVisitor {
  readonly #take: (domain: string, version: string | number) => void;
  #domain = "ai.onnx";
  #version: string | number = 0;

  constructor(take: (domain: string, version: string | number) => void) {
    this.#take = take;
  }

  varint(field: number, low: number, high: number): void {
    if (field === 2) this.#version = integer(low, high);
  }

  bytes(field: number, _offset: number, bytes: number): Step {
    return field === 1 && bytes <= MAX_TEXT_BYTES ? "text" : undefined;
  }

  text(_field: number, text: string): void {
    if (text !== "") this.#domain = text;
  }

  end(): void {
    this.#take(this.#domain, this.#version);
  }
}

/** An int64; as text where a number would round it. */
function integer(low: number, high: number): number | string {
  const value = int64(low, high);
  return Number.isSafeInteger(value) ? value : ((BigInt(high | 0) << 32n) | BigInt(low)).toString();
}
