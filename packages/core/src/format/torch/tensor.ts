/** The tensors and storages of a PyTorch pickle. */
import type { DType } from "@tensorcask/codec";
import type { Extent } from "../pickle/extent.ts";
import { sliceExtent } from "../pickle/extent.ts";
import { MAX_RANK, type StridedTensor } from "../pickle/strided.ts";
import {
  numbersOf,
  PickleFact,
  PickleInstance,
  PickleTensor,
  type PickleValue,
  type Refuse,
  textOf,
} from "../pickle/values.ts";
import { type TorchElement, torchTypes } from "./dtypes.ts";

/** A class of storages, as an argument. */
export class TorchStorageType extends PickleInstance {
  readonly kind = "a storage class";
  readonly element: TorchElement;

  constructor(element: TorchElement) {
    super();
    this.element = element;
  }
}

/** An element type, as an argument. */
export class TorchType extends PickleFact {
  readonly name: string;

  constructor(name: string) {
    super(name);
    this.name = name;
  }
}

/** A run of elements that tensors share. Where it lies may be filled in after the pickle was read. */
export class TorchStorage extends PickleInstance {
  readonly kind = "a storage";
  readonly key: string;
  readonly element: TorchElement;
  /** Number of elements. */
  readonly count: number;
  extent: Extent | undefined;
  /** Set by the file's `byteorder`. */
  bigEndian = false;

  constructor(key: string, element: TorchElement, count: number) {
    super();
    this.key = key;
    this.element = element;
    this.count = count;
  }
}

/** A part of a storage, as the oldest checkpoints have them. First element and count in elements. */
export class TorchStorageView extends TorchStorage {
  readonly whole: TorchStorage;
  readonly first: number;

  constructor(whole: TorchStorage, first: number, count: number) {
    super(whole.key, whole.element, count);
    this.whole = whole;
    this.first = first;
  }
}

/** What the persistent id of a storage says. */
export interface StorageId {
  readonly key: string;
  readonly element: TorchElement;
  /** Number of elements. */
  readonly count: number;
  /** Behind the number: what a view of a storage is, or None. */
  readonly view: PickleValue;
}

/** Takes a persistent id apart: `("storage", class, key, location, count[, view])`. */
export function storageId(
  id: PickleValue,
  items: readonly PickleValue[] | undefined,
  refuse: Refuse,
): StorageId {
  const [tag, type, key, , count, view = null] = items ?? [];
  const name = textOf(key);
  if (textOf(tag) !== "storage" || !(type instanceof TorchStorageType) || name === undefined) {
    throw refuse(
      "pickle-persistent-id",
      textOf(tag) === "module"
        ? "it holds the code of a module, which is not read; save its state_dict"
        : `${id instanceof PickleInstance ? id.kind : "a plain value"} is no persistent id of a storage`,
    );
  }
  if (typeof count !== "number" || !Number.isSafeInteger(count) || count < 0) {
    throw refuse("storage-size", `the storage ${JSON.stringify(name)} has no number of elements`);
  }
  return { key: name, element: type.element, count, view };
}

/** A view of a storage with a shape. */
export class TorchTensor extends PickleTensor {
  readonly #storage: TorchStorage;
  readonly #type: TorchType | undefined;
  readonly #first: PickleValue | undefined;
  readonly #shape: PickleValue | undefined;
  readonly #strides: PickleValue | undefined;

  constructor(
    storage: TorchStorage,
    first: PickleValue | undefined,
    shape: PickleValue | undefined,
    strides: PickleValue | undefined,
    type?: TorchType,
  ) {
    super();
    this.#storage = storage;
    this.#first = first;
    this.#shape = shape;
    this.#strides = strides;
    this.#type = type;
  }

  /** PyTorch takes attributes for tensors; they are no elements. */
  override build(): void {}

  override resolve(refuse: Refuse): StridedTensor {
    const shape = numbersOf(this.#shape);
    const strides = numbersOf(this.#strides);
    const first = this.#first;
    if (shape === undefined || strides === undefined || typeof first !== "number") {
      throw refuse(
        "strides",
        `its shape, strides or first element are not numbers, or more than ${MAX_RANK}`,
      );
    }
    return {
      dtype: this.#dtype(refuse),
      shape,
      strides,
      first,
      storage: extentOf(this.#storage, refuse),
      bigEndian: this.#storage.bigEndian,
    };
  }

  #dtype(refuse: Refuse): DType {
    const { element } = this.#storage;
    const name = this.#type?.name ?? element.name;
    const dtype = this.#type === undefined ? element.dtype : torchTypes.get(this.#type.name);
    if (dtype === undefined) {
      throw refuse(
        "dtype",
        `its elements are ${name}, which Tensorcask does not keep as a tensor; dequantize it before saving, or keep the file as bytes`,
      );
    }
    return dtype;
  }
}

function extentOf(storage: TorchStorage, refuse: Refuse): Extent {
  const whole = storage instanceof TorchStorageView ? storage.whole : storage;
  if (whole.extent === undefined) {
    throw refuse(
      "storage-missing",
      `its storage ${JSON.stringify(storage.key.slice(0, 200))} is not in the file`,
    );
  }
  if (!(storage instanceof TorchStorageView)) return whole.extent;
  const { bytes } = storage.element;
  if (!(storage.first + storage.count <= whole.count)) {
    throw refuse("outside-storage", `its part of a storage ends behind the ${whole.count} elements of that`);
  }
  return sliceExtent(whole.extent, storage.first * bytes, storage.count * bytes);
}
