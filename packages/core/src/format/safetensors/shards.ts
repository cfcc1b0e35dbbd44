/**
 * Sharded models: `model.safetensors.index.json` says in which file each tensor lies.
 *
 *     { "metadata": { "total_size": 123 }, "weight_map": { "lm_head.weight": "model-00002-of-00002.safetensors", ... } }
 *
 * The index comes from strangers and names files: names with folders, schemes or control characters are refused,
 * and shards are looked for in the index's own folder only. The index is kept as opaque bytes; it is read to bring
 * its shards along and to find incomplete sets. (`metadata.total_size` is not checked: writers count shared tensors
 * differently.)
 */
import { InvalidFileError } from "@tensorcask/codec";
import { filePathProblem } from "../../files/paths.ts";
import type { FilePlan } from "../../model/plan.ts";
import type { Format } from "../format.ts";
import { quote, StrictJson } from "../strict-json.ts";

/** Longest index in bytes: it names the same tensors as the headers do, so their limit is its limit. */
export const MAX_INDEX_BYTES = 100_000_000;

/** Tensor names with the names of the files that hold them. */
export type WeightMap = ReadonlyMap<string, string>;

/**
 * Reads the JSON of an index. Throws `InvalidFileError`: rules of JSON, `index-fields` (weight_map is missing or
 * not an object of strings) and `shard-name` (a file name that is refused; the error names the tensor). Pure.
 */
export function parseShardIndex(file: string, bytes: Uint8Array): WeightMap {
  let tensor: string | undefined;
  const error = (rule: string, message: string): InvalidFileError =>
    new InvalidFileError(
      file,
      rule === "type" ? "index-fields" : rule,
      message,
      tensor === undefined ? {} : { tensor },
    );
  const json = new StrictJson(bytes, (rule, message) => error(rule, message));
  const weights = new Map<string, string>();
  const checked = new Set<string>();
  const fields = new Set<string>();
  json.enterObject("the index");
  for (let field = json.nextKey(fields); field !== undefined; field = json.nextKey(fields)) {
    if (field !== "weight_map") {
      json.skipValue();
      continue;
    }
    json.enterObject("weight_map");
    const names = new Set<string>();
    for (let name = json.nextKey(names); name !== undefined; name = json.nextKey(names)) {
      tensor = name;
      const shard = json.string("its file in weight_map");
      if (!checked.has(shard)) {
        const problem = shardNameProblem(shard);
        if (problem !== undefined) throw error("shard-name", `its file ${quote(shard)} ${problem}`);
        checked.add(shard);
      }
      weights.set(name, shard);
      tensor = undefined;
    }
  }
  json.end();
  if (!fields.has("weight_map")) throw error("index-fields", "the index has no weight_map");
  return weights;
}

function shardNameProblem(name: string): string | undefined {
  if (/^[A-Za-z][A-Za-z0-9+.-]*:/.test(name)) return "has a scheme or drive letter";
  const problem = filePathProblem(name);
  if (problem !== undefined) return problem;
  return name.includes("/") ? "is not in the index's own folder" : undefined;
}

/**
 * Checks that every tensor of an index is in its shard, and that the shards hold no tensor that the index does not
 * know there. Throws `InvalidFileError` (rules `shard-missing`, `shard-not-safetensors`, `tensor-missing`,
 * `tensor-unknown`) naming the tensor. Pure.
 */
export function checkShards(file: string, weights: WeightMap, shards: ReadonlyMap<string, FilePlan>): void {
  const tensors = new Map<string, ReadonlySet<string>>();
  for (const [name, shard] of weights) {
    let held = tensors.get(shard);
    if (held === undefined) {
      held = tensorsOf(file, shard, shards.get(shard), name);
      tensors.set(shard, held);
    }
    if (!held.has(name)) {
      throw new InvalidFileError(file, "tensor-missing", `it is not in its file ${quote(shard)}`, {
        tensor: name,
      });
    }
  }
  for (const [shard, held] of tensors) {
    for (const name of held) {
      const listed = weights.get(name);
      if (listed === shard) continue;
      const where = listed === undefined ? "does not list it" : `says that it is in ${quote(listed)}`;
      throw new InvalidFileError(file, "tensor-unknown", `${quote(shard)} holds it, but the index ${where}`, {
        tensor: name,
      });
    }
  }
}

function tensorsOf(
  file: string,
  shard: string,
  plan: FilePlan | undefined,
  tensor: string,
): ReadonlySet<string> {
  if (plan === undefined) {
    throw new InvalidFileError(file, "shard-missing", `its file ${quote(shard)} is not there`, { tensor });
  }
  if (plan.format !== "safetensors") {
    throw new InvalidFileError(
      file,
      "shard-not-safetensors",
      `its file ${quote(shard)} is no safetensors file`,
      { tensor },
    );
  }
  return new Set(plan.parts.flatMap((part) => (part.kind === "tensor" ? [part.name] : [])));
}

/** Indexes of sharded sets, by their name; variants as in `model.safetensors.index.fp16.json` too. */
export const safetensorsIndex: Format = {
  id: "safetensors-index",
  matches(name) {
    return /\.safetensors\.index(\.[^.]+)?\.json$/i.test(name) ? "name" : undefined;
  },
  async plan(source) {
    if (source.bytes > MAX_INDEX_BYTES) {
      throw new InvalidFileError(
        source.name,
        "index-limit",
        `the index has ${source.bytes} bytes, the limit is ${MAX_INDEX_BYTES}`,
      );
    }
    const json = new Uint8Array(source.bytes);
    await source.read(json, 0);
    const weights = parseShardIndex(source.name, json);
    return {
      parts: [{ kind: "literal", offset: 0, bytes: source.bytes }],
      companions: [...new Set(weights.values())].sort(),
      check: (companions) => checkShards(source.name, weights, companions),
    };
  },
};
