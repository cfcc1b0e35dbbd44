/**
 * The messages of ONNX that tensors lie in, as far as the way to them goes:
 *
 *     GraphProto       initializer, sparse_initializer, node
 *     NodeProto        attribute
 *     AttributeProto   t, tensors, sparse_tensor, sparse_tensors; g, graphs (nested graphs)
 *     FunctionProto    node, attribute_proto (defaults of its attributes)
 *     TrainingInfoProto  initialization, algorithm (graphs)
 *
 * A single field that appears twice is merged by protobuf, so `g`, `t` and the like keep their visitor.
 */

import { MAX_RANK } from "../safetensors/header.ts";
import type { FoundTensors } from "./found-tensors.ts";
import { MAX_NAME_BYTES, Place } from "./place.ts";
import type { TensorMessage } from "./tensor-message.ts";
import type { MessageVisitor, Step } from "./walk.ts";
import { int64 } from "./wire.ts";

/** A name is read if the store could take it; else its fallback stands in. */
function nameOf(bytes: number): Step {
  return bytes <= MAX_NAME_BYTES ? "text" : undefined;
}

/** `GraphProto`. */
export class GraphMessage implements MessageVisitor {
  readonly #found: FoundTensors;
  readonly #place: Place | undefined;
  readonly #counts = { nodes: 0, initializers: 0, sparse: 0 };
  /** The graph's own name. */
  name = "";

  /** `place` is undefined for the main graph, whose names have no prefix. */
  constructor(found: FoundTensors, place: Place | undefined) {
    this.#found = found;
    this.#place = place;
  }

  bytes(field: number, offset: number, bytes: number): Step {
    switch (field) {
      case 1:
        return new NodeMessage(this.#found, this.#place, this.#counts.nodes++);
      case 2:
        return nameOf(bytes);
      case 5: {
        const place = new Place(this.#place, "initializer", this.#counts.initializers++);
        return this.#found.enter(this.#found.add(place, place), offset, bytes);
      }
      case 15: {
        const place = new Place(this.#place, "sparse_initializer", this.#counts.sparse++);
        return new SparseTensorMessage(this.#found, place, place);
      }
      default:
        return undefined;
    }
  }

  text(_field: number, text: string): void {
    this.name = text;
  }
}

/** `NodeProto`. */
class NodeMessage implements MessageVisitor {
  readonly #found: FoundTensors;
  readonly #place: Place;
  #attributes = 0;
  #hasOutput = false;

  constructor(found: FoundTensors, outer: Place | undefined, index: number) {
    this.#found = found;
    this.#place = new Place(outer, "node", index);
  }

  bytes(field: number, _offset: number, bytes: number): Step {
    switch (field) {
      case 2:
        return this.#hasOutput ? undefined : nameOf(bytes);
      case 3:
        return nameOf(bytes);
      case 5:
        return new AttributeMessage(this.#found, this.#place, this.#attributes++);
      default:
        return undefined;
    }
  }

  text(field: number, text: string): void {
    if (field === 3) this.#place.name = text;
    else if (text !== "") {
      this.#place.otherName = text;
      this.#hasOutput = true;
    }
  }
}

/** `AttributeProto`. */
class AttributeMessage implements MessageVisitor {
  readonly #found: FoundTensors;
  readonly #place: Place;
  readonly #counts = { tensors: 0, graphs: 0, sparse: 0 };
  #tensor: TensorMessage | undefined;
  #graph: GraphMessage | undefined;
  #sparse: SparseTensorMessage | undefined;

  constructor(found: FoundTensors, outer: Place, index: number) {
    this.#found = found;
    this.#place = new Place(outer, "attribute", index);
  }

  bytes(field: number, offset: number, bytes: number): Step {
    switch (field) {
      case 1:
        return nameOf(bytes);
      case 5:
        this.#tensor ??= this.#found.add(this.#place, undefined);
        return this.#found.enter(this.#tensor, offset, bytes);
      case 6:
        this.#graph ??= new GraphMessage(this.#found, this.#place);
        return this.#graph;
      case 10:
        return this.#found.enter(
          this.#found.add(this.#element(this.#counts.tensors++), undefined),
          offset,
          bytes,
        );
      case 11:
        return new GraphMessage(this.#found, this.#element(this.#counts.graphs++));
      case 22:
        this.#sparse ??= new SparseTensorMessage(this.#found, this.#place, undefined);
        return this.#sparse;
      case 23:
        return new SparseTensorMessage(this.#found, this.#element(this.#counts.sparse++), undefined);
      default:
        return undefined;
    }
  }

  text(_field: number, text: string): void {
    this.#place.name = text;
  }

  #element(index: number): Place {
    return new Place(this.#place, "", index, "");
  }
}

/** `SparseTensorProto`. Its name is that of its values. */
class SparseTensorMessage implements MessageVisitor {
  readonly #found: FoundTensors;
  readonly #place: Place;
  readonly #named: Place | undefined;
  readonly #dims: number[] = [];
  #values: TensorMessage | undefined;
  #indices: TensorMessage | undefined;

  constructor(found: FoundTensors, place: Place, named: Place | undefined) {
    this.#found = found;
    this.#place = place;
    this.#named = named;
  }

  varint(field: number, low: number, high: number): void {
    if (field === 3 && this.#dims.length <= MAX_RANK) this.#dims.push(int64(low, high));
  }

  bytes(field: number, offset: number, bytes: number): Step {
    switch (field) {
      case 1:
        this.#values ??= this.#add("values", this.#named);
        return this.#found.enter(this.#values, offset, bytes);
      case 2:
        this.#indices ??= this.#add("indices", undefined);
        return this.#found.enter(this.#indices, offset, bytes);
      case 3:
        return "varints";
      default:
        return undefined;
    }
  }

  #add(role: "values" | "indices", named: Place | undefined): TensorMessage {
    return this.#found.add(new Place(this.#place, role), named, { role, dims: this.#dims });
  }
}

/** `FunctionProto`. */
export class FunctionMessage implements MessageVisitor {
  readonly #found: FoundTensors;
  readonly #place: Place;
  readonly #counts = { nodes: 0, attributes: 0 };
  #name = "";
  #domain = "";
  #overload = "";

  constructor(found: FoundTensors, index: number) {
    this.#found = found;
    this.#place = new Place(new Place(undefined, "functions"), "", index);
  }

  bytes(field: number, _offset: number, bytes: number): Step {
    switch (field) {
      case 1:
      case 10:
      case 13:
        return nameOf(bytes);
      case 7:
        return new NodeMessage(this.#found, this.#place, this.#counts.nodes++);
      case 11:
        return new AttributeMessage(this.#found, this.#place, this.#counts.attributes++);
      default:
        return undefined;
    }
  }

  text(field: number, text: string): void {
    if (field === 1) this.#name = text;
    else if (field === 10) this.#domain = text;
    else this.#overload = text;
  }

  end(): void {
    if (this.#name === "") return;
    this.#place.name = [this.#domain, this.#name, this.#overload].filter((part) => part !== "").join(".");
  }
}

/** `TrainingInfoProto`. */
export class TrainingInfoMessage implements MessageVisitor {
  readonly #initialization: GraphMessage;
  readonly #algorithm: GraphMessage;

  constructor(found: FoundTensors, index: number) {
    const place = new Place(undefined, "training_info", index);
    this.#initialization = new GraphMessage(found, new Place(place, "initialization"));
    this.#algorithm = new GraphMessage(found, new Place(place, "algorithm"));
  }

  bytes(field: number): Step {
    if (field === 1) return this.#initialization;
    return field === 2 ? this.#algorithm : undefined;
  }
}
