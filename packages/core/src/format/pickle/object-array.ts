/**
 * numpy files of Python objects (`.npy` with the descr `|O`): behind the header lies a pickle, mostly of a dict of
 * arrays. The arrays are byte strings of the pickle, so they are parts of the file.
 */
import { isJsonObject } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import type { FormatPlan } from "../format.ts";
import { PickleInput } from "./input.ts";
import { readPickle } from "./machine.ts";
import { numpyNames } from "./numpy.ts";
import { placeTensors } from "./placement.ts";
import { pythonNames } from "./python.ts";
import { PickleTree } from "./tree.ts";

/**
 * Plans a file whose pickle begins at `offset` (bytes). Tensors have the names of the way to them (`conv1.weights`);
 * the objects of an array with more than one are numbered. What is no tensor becomes the metadata. Throws
 * `InvalidFileError` and `LimitError`; nothing of the pickle is executed.
 */
export async function planObjectArray(source: Source, offset: number): Promise<FormatPlan> {
  const value = await readPickle(new PickleInput(source, offset), {
    global: (name) => pythonNames.get(name) ?? numpyNames.get(name),
  });
  const tree = new PickleTree(source.name);
  const json = tree.add(value);
  const plan = placeTensors(source.name, source.bytes, tree.tensors);
  if (json === undefined) return plan;
  return { ...plan, metadata: isJsonObject(json) ? json : { value: json } };
}
