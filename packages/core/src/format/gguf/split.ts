/**
 * GGUF files that a model is split into, as llama.cpp's gguf-split writes them: `model-00001-of-00003.gguf` and so on. Each shard is a
 * whole GGUF file whose metadata has
 *
 *     split.no             which of them it is, from 0 on
 *     split.count          how many there are
 *     split.tensors.count  how many tensors all of them hold together
 *
 * The first has the model's metadata; importing it brings the others, which are looked for in its own folder only.
 */
import { basename } from "node:path";
import type { JsonObject } from "../../model/entry.ts";
import type { FilePlan } from "../../model/plan.ts";
import type { FormatPlan } from "../format.ts";
import { quote } from "../strict-json.ts";
import { type GgufRule, invalidGguf } from "./cursor.ts";

/** Most shards of a model: ten times what the largest are split into. */
export const MAX_SHARDS = 1024;

/** What the first shard of a set asks of an import. */
export type SplitPlan = Pick<FormatPlan, "companions" | "check">;

/**
 * What a file's metadata asks for: the other shards, if it is the first of several; nothing for any other file. `tensors` are those of the
 * file itself. Throws `InvalidFileError` (rule `split`).
 */
export function planSplit(file: string, metadata: JsonObject, tensors: readonly string[]): SplitPlan {
  const count = splitNumber(file, metadata, "split.count") ?? 1;
  const number = splitNumber(file, metadata, "split.no") ?? 0;
  if (count <= 1 || number !== 0) return {};
  if (count > MAX_SHARDS) {
    throw invalidGguf(file, "split", `split.count is ${count}, the limit is ${MAX_SHARDS}`);
  }
  const [, prefix, named, extension] = /^(.+)-00001-of-(\d{5})(\.gguf)$/is.exec(basename(file)) ?? [];
  if (prefix === undefined || Number(named) !== count) {
    throw invalidGguf(
      file,
      "split",
      `it is the first of ${count} files; its name must end in ${quote(`${shardEnding(0, count)}.gguf`)} for the others to be found: rename it`,
    );
  }
  const shards = Array.from(
    { length: count - 1 },
    (_, index) => prefix + shardEnding(index + 1, count) + extension,
  );
  const expected = splitNumber(file, metadata, "split.tensors.count");
  return {
    companions: shards,
    check: (plans) => checkShards(file, shards, expected, tensors, plans),
  };
}

/** The end of a shard's name, without its extension; `number` counts from 0. */
function shardEnding(number: number, count: number): string {
  const digits = (value: number): string => String(value).padStart(5, "0");
  return `-${digits(number + 1)}-of-${digits(count)}`;
}

/** A `split.*` value; undefined when it is not there. */
function splitNumber(file: string, metadata: JsonObject, key: string): number | undefined {
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw invalidGguf(file, "split", `${key} is ${quote(JSON.stringify(value))}; it must be a count`);
  }
  return value;
}

/** Checks that the other shards are there and belong to the first one. Throws `InvalidFileError` naming the shard. */
function checkShards(
  file: string,
  shards: readonly string[],
  expected: number | undefined,
  own: readonly string[],
  plans: ReadonlyMap<string, FilePlan>,
): void {
  const refuse = (rule: GgufRule, message: string, tensor?: string): Error =>
    invalidGguf(file, rule, message, tensor);
  const names = new Set(own);
  for (const [index, shard] of shards.entries()) {
    const plan = plans.get(shard);
    if (plan === undefined) {
      throw refuse(
        "shard-missing",
        `its file ${quote(shard)} is not there; all ${shards.length + 1} files are needed`,
      );
    }
    if (plan.format !== "gguf") throw refuse("shard-not-gguf", `its file ${quote(shard)} is no GGUF file`);
    const metadata = plan.metadata ?? {};
    if (metadata["split.no"] !== index + 1 || metadata["split.count"] !== shards.length + 1) {
      throw refuse(
        "shard-number",
        `${quote(shard)} should be file ${index + 2} of ${shards.length + 1}, but its split.no (from 0 on) is ${metadata["split.no"]} and its split.count ${metadata["split.count"]}`,
      );
    }
    for (const part of plan.parts) {
      if (part.kind !== "tensor") continue;
      if (names.has(part.name)) {
        throw refuse("shard-duplicate", `it is in ${quote(shard)} and in a file before it`, part.name);
      }
      names.add(part.name);
    }
  }
  if (expected !== undefined && names.size !== expected) {
    throw refuse(
      "shard-tensors",
      `its ${shards.length + 1} files hold ${names.size} tensors, split.tensors.count says ${expected}`,
    );
  }
}
