/**
 * PyTorch's checkpoints before 1.6 (and with `_use_new_zipfile_serialization=False`): pickles one after the other,
 * then the storages.
 *
 *     pickle: the magic number 0x1950a86a20f9469cfc6c
 *     pickle: the version of the protocol, 1001
 *     pickle: facts about the machine (not used: elements are little-endian wherever they were written)
 *     pickle: the object; tensors name their storages by key
 *     pickle: a list of keys
 *     per key, in the order of the list:  i64 number of elements, then the elements
 *
 * Format: `_legacy_save` and `_legacy_load` in `torch/serialization.py` of PyTorch.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import type { FormatPlan } from "../format.ts";
import { fileExtent } from "../pickle/extent.ts";
import { PickleInput } from "../pickle/input.ts";
import { readPickle } from "../pickle/machine.ts";
import { placeTensors } from "../pickle/placement.ts";
import { PickleTree } from "../pickle/tree.ts";
import {
  itemsOf,
  numbersOf,
  PickleSequence,
  type PickleValue,
  type Refuse,
  textOf,
} from "../pickle/values.ts";
import { quote } from "../strict-json.ts";
import { torchName } from "./names.ts";
import { addObject } from "./objects.ts";
import { storageId, TorchStorage, TorchStorageView } from "./tensor.ts";

const MAGIC_NUMBER = 0x1950a86a20f9469cfc6cn;
const PROTOCOL_VERSION = 1001;
/** In front of each storage: the number of its elements. */
const COUNT_BYTES = 8;

/**
 * Plans a legacy checkpoint: its pickles and the lengths of the storages are read. Throws `InvalidFileError` (rules
 * of pickles and tensors, `torch-header`, `storage-list`, `storage-size`, `truncated`) and `LimitError`.
 */
export async function planLegacyCheckpoint(source: Source): Promise<FormatPlan> {
  const input = new PickleInput(source, 0);
  const plain = { global: () => undefined };
  const magic = await readPickle(input, plain);
  const version = await readPickle(input, plain);
  if (magic !== MAGIC_NUMBER || version !== PROTOCOL_VERSION) {
    throw new InvalidFileError(
      source.name,
      "torch-header",
      `its pickles do not begin with PyTorch's magic number and the version ${PROTOCOL_VERSION}`,
    );
  }
  await readPickle(input, plain);
  const storages = new Map<string, TorchStorage>();
  const object = await readPickle(input, {
    global: torchName,
    persistent: (id, refuse) => storageOf(id, storages, refuse),
  });
  const keys = await readPickle(input, plain);
  await placeStorages(source, input.position, keys, storages);

  const tree = new PickleTree(source.name);
  const metadata = addObject(tree, object);
  const plan = placeTensors(source.name, source.bytes, tree.tensors);
  return metadata === undefined ? plan : { ...plan, metadata };
}

/** The storage of a persistent id; the oldest checkpoints name parts of one: `(key, first, count)`. */
function storageOf(id: PickleValue, storages: Map<string, TorchStorage>, refuse: Refuse): TorchStorage {
  const { key, element, count, view } = storageId(id, itemsOf(id), refuse);
  let storage = storages.get(key);
  if (storage === undefined) {
    storage = new TorchStorage(key, element, count);
    storages.set(key, storage);
  } else if (storage.element !== element || storage.count !== count) {
    throw refuse("storage-size", `the storage ${quote(key)} is named with two types or sizes`);
  }
  if (view === null) return storage;
  const [, first, viewed] = itemsOf(view) ?? [];
  const numbers = numbersOf(new PickleSequence("a tuple", [first ?? null, viewed ?? null]));
  if (numbers === undefined || !numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) {
    throw refuse("storage-size", `a part of the storage ${quote(key)} has no place in it`);
  }
  return new TorchStorageView(storage, numbers[0]!, numbers[1]!);
}

/** Finds the storages behind the pickles, in the order of the keys. */
async function placeStorages(
  source: Source,
  begin: number,
  keys: PickleValue,
  storages: ReadonlyMap<string, TorchStorage>,
): Promise<void> {
  const fail = (rule: string, message: string): InvalidFileError =>
    new InvalidFileError(source.name, rule, `at byte ${position}: ${message}`);
  let position = begin;
  const list = itemsOf(keys);
  if (list === undefined) throw fail("storage-list", "the keys of the storages are no list");
  const head = new DataView(new ArrayBuffer(COUNT_BYTES));
  for (const item of list) {
    const key = textOf(item);
    const storage = key === undefined ? undefined : storages.get(key);
    if (key === undefined || storage === undefined || storage.extent !== undefined) {
      throw fail(
        "storage-list",
        `the list of storages names ${quote(key ?? "something")}, which the object does not, or twice`,
      );
    }
    await source.read(new Uint8Array(head.buffer), position);
    const count = head.getBigInt64(0, true);
    if (count !== BigInt(storage.count)) {
      throw fail(
        "storage-size",
        `the storage ${quote(key)} has ${count} elements, the object says ${storage.count}`,
      );
    }
    const bytes = storage.count * storage.element.bytes;
    position += COUNT_BYTES;
    if (bytes > source.bytes - position) {
      throw fail(
        "truncated",
        `${bytes} bytes of the storage ${quote(key)} are to follow, the file ends before`,
      );
    }
    storage.extent = fileExtent(position, bytes);
    position += bytes;
  }
}
