/**
 * PyTorch's zip checkpoints (since 1.6) and TorchScript archives, which add code and constants:
 *
 *     <name>/data.pkl          the object, a pickle; tensors name their storages by key
 *     <name>/data/0, /1, ...   the storages, stored (not compressed) and aligned to 64 bytes
 *     <name>/byteorder         `little` or `big`; not in older ones, which are little-endian
 *     <name>/constants.pkl     TorchScript: a tuple of constants, with storages in <name>/constants/
 *
 * Format: `torch/serialization.py` and `caffe2/serialize/inline_container.cc` of PyTorch.
 */
import { InvalidFileError, type Json, LimitError } from "@tensorcask/codec";
import type { JsonObject } from "../../model/entry.ts";
import { bufferSource, type Source } from "../../model/plan.ts";
import type { FormatPlan } from "../format.ts";
import { type Extent, fileExtent, sequentialExtent, sliceExtent } from "../pickle/extent.ts";
import { MAX_PICKLE_BYTES, PickleInput } from "../pickle/input.ts";
import { readPickle } from "../pickle/machine.ts";
import { placeTensors } from "../pickle/placement.ts";
import { PickleTree } from "../pickle/tree.ts";
import { itemsOf, type PickleValue, type Refuse } from "../pickle/values.ts";
import { quote } from "../strict-json.ts";
import { readZipDirectory, type ZipEntry } from "../zip/directory.ts";
import { entryElements } from "../zip/elements.ts";
import { torchName } from "./names.ts";
import { addObject } from "./objects.ts";
import { storageId, TorchStorage } from "./tensor.ts";

/** Longest `byteorder`: the longer of its two words has 6 bytes. */
const MAX_BYTEORDER_BYTES = 16;

/**
 * Plans a zip checkpoint: directory and pickles are read, no storage. Throws `InvalidFileError` (rules of zip, of
 * pickles and of tensors; `torch-archive` where it is a zip of something else) and `LimitError`.
 */
export async function planZipCheckpoint(source: Source): Promise<FormatPlan> {
  const checkpoint = new ZipCheckpoint(source, await readZipDirectory(source));
  return checkpoint.plan();
}

class ZipCheckpoint {
  readonly #source: Source;
  readonly #members: ReadonlyMap<string, ZipEntry>;
  /** What all names begin with: `archive/`. */
  readonly #prefix: string;
  #bigEndian = false;

  constructor(source: Source, entries: readonly ZipEntry[]) {
    this.#source = source;
    this.#members = new Map(entries.map((entry) => [entry.name, entry]));
    const objects = entries.filter(({ name }) => /^[^/]+\/data\.pkl$/.test(name));
    const [object] = objects;
    if (object === undefined || objects.length > 1 || this.#members.size < entries.length) {
      throw new InvalidFileError(
        source.name,
        "torch-archive",
        objects.length === 1
          ? "two members of the archive have one name"
          : `a PyTorch archive has one member data.pkl in its folder, this one has ${objects.length}`,
      );
    }
    this.#prefix = object.name.slice(0, -"data.pkl".length);
  }

  async plan(): Promise<FormatPlan> {
    this.#bigEndian = await this.#isBigEndian();
    const tree = new PickleTree(this.#source.name);
    const root = addObject(tree, await this.#object("data.pkl", "data/"));
    let constants: Json | undefined;
    if (this.#members.has(`${this.#prefix}constants.pkl`)) {
      constants = tree.add(await this.#object("constants.pkl", "constants/"), "constants");
    }
    const plan = placeTensors(this.#source.name, this.#source.bytes, tree.tensors);
    const metadata = metadataOf(root, constants);
    return metadata === undefined ? plan : { ...plan, metadata };
  }

  async #isBigEndian(): Promise<boolean> {
    const entry = this.#members.get(`${this.#prefix}byteorder`);
    if (entry === undefined) return false;
    const word = Buffer.from(await this.#read(entry, MAX_BYTEORDER_BYTES)).toString("latin1");
    if (word === "big" || word === "little") return word === "big";
    throw new InvalidFileError(
      this.#source.name,
      "byteorder",
      `the member ${quote(entry.name)} says ${quote(word)}, neither little nor big`,
    );
  }

  /** Reads the pickle of a member, whose storages are the members `folder` + key. */
  async #object(name: string, folder: string): Promise<PickleValue> {
    const entry = this.#members.get(this.#prefix + name)!;
    const extent = this.#extentOf(entry);
    // A larger pickle may hold arrays, which are stepped over, so that its checksum is not looked at.
    const pickle =
      extent.offset === undefined || extent.bytes <= MAX_PICKLE_BYTES
        ? bufferSource(this.#source.name, await this.#read(entry, MAX_PICKLE_BYTES))
        : section(this.#source, extent.offset, extent.bytes);
    const input = new PickleInput(pickle, 0, {
      of: ` of ${quote(entry.name)}`,
      extent: (offset, bytes) => sliceExtent(extent, offset, bytes),
    });
    return readPickle(input, {
      global: torchName,
      persistent: (id, refuse) => this.#storage(id, folder, refuse),
    });
  }

  #storage(id: PickleValue, folder: string, refuse: Refuse): TorchStorage {
    const { key, element, count } = storageId(id, itemsOf(id), refuse);
    const storage = new TorchStorage(key, element, count);
    const entry = this.#members.get(`${this.#prefix}${folder}${key}`);
    if (entry === undefined) return storage;
    const bytes = count * element.bytes;
    if (bytes > entry.bytes) {
      throw refuse(
        "storage-size",
        `the storage ${quote(key)} is to have ${bytes} bytes, its member has ${entry.bytes}`,
      );
    }
    storage.extent = sliceExtent(this.#extentOf(entry), 0, bytes);
    storage.bigEndian = this.#bigEndian;
    return storage;
  }

  #extentOf(entry: ZipEntry): Extent {
    if (entry.method === "stored") return fileExtent(entry.dataOffset, entry.bytes);
    return sequentialExtent(entry.bytes, (source) => entryElements(source, entry));
  }

  /** A member in memory. */
  async #read(entry: ZipEntry, maximum: number): Promise<Uint8Array> {
    if (entry.bytes > maximum) {
      throw new LimitError(`bytes of ${quote(entry.name)}`, entry.bytes, maximum, this.#source.name);
    }
    const data = new Uint8Array(entry.bytes);
    let filled = 0;
    for await (const piece of entryElements(this.#source, entry)) {
      data.set(piece, filled);
      filled += piece.length;
    }
    return data;
  }
}

/** A part of a source as a source. */
function section(source: Source, offset: number, bytes: number): Source {
  return { name: source.name, bytes, read: (into, position) => source.read(into, offset + position) };
}

function metadataOf(root: JsonObject | undefined, constants: Json | undefined): JsonObject | undefined {
  if (constants === undefined || (Array.isArray(constants) && constants.length === 0)) return root;
  return Object.fromEntries([...Object.entries(root ?? {}), ["constants", constants]]);
}
