/**
 * What a PyTorch pickle holds, named. A dataset of Tensorus is a list of tensors and one of metadata, item by item;
 * each pair is a record. Anything else is named by the way to it.
 *
 *   {"tensors": [<tensor>, ...], "metadata": [{"record_id": "...", ...}, ...], "schema": ...}
 */
import { isJsonObject, type Json } from "@tensorcask/codec";
import type { JsonObject } from "../../model/entry.ts";
import type { PickleTree } from "../pickle/tree.ts";
import { itemsOf, PickleDict, PickleTensor, type PickleValue } from "../pickle/values.ts";

/** Adds the tensors of an object to the tree; what else it holds becomes metadata of the file. */
export function addObject(tree: PickleTree, object: PickleValue): JsonObject | undefined {
  const json = addDataset(tree, object) ?? tree.add(object);
  if (json === undefined) return undefined;
  const metadata = isJsonObject(json) ? json : { value: json };
  return Object.keys(metadata).length === 0 ? undefined : metadata;
}

/** Adds the records of a Tensorus dataset; undefined when the object is none. */
function addDataset(tree: PickleTree, object: PickleValue): Json | undefined {
  if (!(object instanceof PickleDict)) return undefined;
  const tensors = itemsOf(object.get("tensors"));
  const metadata = itemsOf(object.get("metadata"));
  if (tensors === undefined || metadata?.length !== tensors.length || tensors.length === 0) return undefined;
  if (!tensors.every((tensor) => tensor instanceof PickleTensor)) return undefined;
  if (!metadata.every((described) => described instanceof PickleDict)) return undefined;
  for (const [index, tensor] of tensors.entries()) {
    const described = metadata[index]!;
    const id = described.get("record_id");
    const name = typeof id === "string" || typeof id === "number" ? String(id) : String(index);
    const json = tree.add(described, name);
    tree.addTensor(tensor, name, isJsonObject(json) ? json : undefined);
  }
  const rest = new PickleDict();
  for (const [index, key] of object.keys.entries()) {
    if (key !== "tensors" && key !== "metadata") rest.set(key, object.values[index]!);
  }
  return tree.add(rest) ?? {};
}
