import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { InvalidFileError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import type { FormatPlan } from "../src/format/format.ts";
import { gguf } from "../src/format/gguf/plan.ts";
import { MAX_SHARDS } from "../src/format/gguf/split.ts";
import { bufferSource, type FilePlan } from "../src/model/plan.ts";
import { type GgufToWrite, type GgufValue, writeGguf } from "./format-gguf-writer.ts";
import { failureOf, newStore, temporaryDirectory } from "./store-harness.ts";

interface Shard {
  readonly number: number;
  readonly count: number;
  readonly tensors: readonly string[];
  readonly total?: number;
}

/** A shard with these tensors of a byte each. */
function shardBytes({ number, count, tensors, total }: Shard): Uint8Array {
  const metadata: [string, GgufValue][] = [
    ["split.no", { type: "uint16", value: number }],
    ["split.count", { type: "uint16", value: count }],
  ];
  if (total !== undefined) metadata.push(["split.tensors.count", { type: "int32", value: total }]);
  const list: GgufToWrite["tensors"] = tensors.map((name, index) => ({
    name,
    type: 24,
    dimensions: [1],
    data: Uint8Array.of(index),
  }));
  return writeGguf({ metadata, tensors: list }).bytes;
}

const nameOf = (number: number, count: number): string =>
  `m-${String(number + 1).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`;

const planFile = (name: string, bytes: Uint8Array): Promise<FormatPlan> =>
  gguf.plan(bufferSource(name, bytes));

async function planOf(shard: Shard, name = nameOf(shard.number, shard.count)): Promise<[string, FilePlan]> {
  const bytes = shardBytes(shard);
  const { parts, metadata } = await planFile(name, bytes);
  return [
    name,
    {
      path: name,
      format: "gguf",
      bytes: bytes.length,
      parts,
      ...(metadata !== undefined && { metadata }),
      source: async () => bufferSource(name, bytes),
    },
  ];
}

const firstOf = (shard: Partial<Shard> = {}): Promise<FormatPlan> =>
  planFile(
    "dir/m-00001-of-00003.gguf",
    shardBytes({ number: 0, count: 3, tensors: ["a"], total: 4, ...shard }),
  );

function refusal(run: () => unknown): { rule: string; message: string } {
  try {
    run();
  } catch (error) {
    if (error instanceof InvalidFileError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("split files", () => {
  it("the first names the others; they name nobody", async () => {
    expect((await firstOf()).companions).toEqual(["m-00002-of-00003.gguf", "m-00003-of-00003.gguf"]);
    const second = await planFile("x", shardBytes({ number: 1, count: 3, tensors: [] }));
    const alone = await planFile("x", shardBytes({ number: 0, count: 1, tensors: [] }));
    for (const plan of [second, alone]) {
      expect(plan.companions).toBeUndefined();
      expect(plan.check).toBeUndefined();
    }
  });

  it("must be named as they count", async () => {
    const bytes = shardBytes({ number: 0, count: 3, tensors: [] });
    for (const name of ["m.gguf", "m-00001-of-00004.gguf", "m-00002-of-00003.gguf", "-00001-of-00003.gguf"]) {
      await expect(planFile(name, bytes)).rejects.toThrow(/-00001-of-00003\.gguf" for the others.*rename/);
    }
    expect((await planFile("M-00001-OF-00003.GGUF", bytes)).companions?.[0]).toBe("M-00002-of-00003.GGUF");
    const many = shardBytes({ number: 0, count: MAX_SHARDS + 1, tensors: [] });
    await expect(planFile("m.gguf", many)).rejects.toMatchObject({ rule: "split" });
    const metadata: GgufToWrite["metadata"] = [["split.count", { type: "string", value: "3" }]];
    await expect(planFile("m.gguf", writeGguf({ metadata }).bytes)).rejects.toThrow(
      /split\.count is .*a count/,
    );
  });

  it("are checked against each other", async () => {
    const first = await firstOf();
    const second = await planOf({ number: 1, count: 3, tensors: ["b", "c"] });
    const third = await planOf({ number: 2, count: 3, tensors: ["d"] });
    first.check!(new Map([second, third]));

    const refused = (...plans: [string, FilePlan][]): { rule: string; message: string } =>
      refusal(() => first.check!(new Map(plans)));
    expect(refused(second)).toMatchObject({ rule: "shard-missing" });
    expect(refused(second).message).toContain('"m-00003-of-00003.gguf" is not there');
    const opaque: [string, FilePlan] = [third[0], { ...third[1], format: "opaque", parts: [] }];
    expect(refused(second, opaque).rule).toBe("shard-not-gguf");
    const other = await planOf({ number: 2, count: 4, tensors: ["d"] }, third[0]);
    expect(refused(second, other).rule).toBe("shard-number");
    const swapped = await planOf({ number: 1, count: 3, tensors: ["d"] }, third[0]);
    expect(refused(second, swapped).rule).toBe("shard-number");
    const twice = await planOf({ number: 2, count: 3, tensors: ["a"] });
    expect(refused(second, twice)).toMatchObject({ rule: "shard-duplicate", tensor: "a" });
    const more = await planOf({ number: 2, count: 3, tensors: ["d", "e"] });
    expect(refused(second, more)).toMatchObject({ rule: "shard-tensors" });
    // Without the count of tensors, nothing says how many there are.
    const free = await planFile(nameOf(0, 3), shardBytes({ number: 0, count: 3, tensors: ["a"] }));
    free.check!(new Map([second, more]));
  });

  it("are imported with the first, and refused where one is missing", async () => {
    const folder = temporaryDirectory();
    const write = (shard: Shard): string => {
      const path = join(folder, nameOf(shard.number, shard.count));
      writeFileSync(path, shardBytes(shard));
      return path;
    };
    const first = write({ number: 0, count: 2, tensors: ["a"], total: 3 });
    const store = await newStore(":memory:");
    const error = await failureOf(store.importFile(first, { dataset: "m" }));
    expect(error).toMatchObject({ tag: "invalid-file", rule: "shard-missing" });
    expect(String(error)).toContain("m-00002-of-00002.gguf");
    write({ number: 1, count: 2, tensors: ["b", "c"] });
    await store.importFile(first, { dataset: "m" });
    const dataset = (await store.dataset("m"))!;
    expect((await dataset.files()).map(({ path, format }) => [path, format])).toEqual([
      ["m-00001-of-00002.gguf", "gguf"],
      ["m-00002-of-00002.gguf", "gguf"],
    ]);
    expect(await dataset.count()).toBe(3);
  });
});
