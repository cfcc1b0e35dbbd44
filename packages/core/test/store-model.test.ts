/** Random operations on a store, and the same ones on a model that keeps a full copy of every version. */

import { join } from "node:path";
import { AlreadyExistsError, NotFoundError, type TensorData, UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import {
  type Dataset,
  type FileSystem,
  type JsonObject,
  memoryFileSystem,
  openStore,
  type Store,
} from "../src/index.ts";
import { bytesOf, expectTensor, floats, randomTensor, temporaryDirectory } from "./store-harness.ts";

interface ModelRecord {
  readonly id: string;
  readonly name: string | undefined;
  readonly metadata: JsonObject;
  readonly tensor: TensorData;
}

interface ModelDataset {
  /** By version; index 0 is the empty beginning. */
  readonly versions: (readonly ModelRecord[])[];
  readonly tags: Map<string, number>;
}

type Step = readonly [kind: number, dataset: number, a: number, b: number, c: number];

const datasetNames = ["a", "b", "n/c"];
const recordNames = ["p", "q", "r", "#s", "t#u"];
const presets = ["none", "fast", "lossless"];

/** Tensors of few kinds, so that equal ones come again; appendable ones among them. */
function tensorOf(a: number, b: number): TensorData {
  const shapes = [[3], [7, 5], [40, 30], [2000], [5, 400], [0, 5]];
  const shape = shapes[a % shapes.length]!;
  return b % 3 === 0 ? floats(shape, b % 5) : randomTensor(b % 3 === 1 ? "int4" : "bfloat16", shape, b % 5);
}

class Run {
  readonly model = new Map<string, ModelDataset>();
  readonly #open: () => Promise<Store>;
  store!: Store;

  constructor(open: () => Promise<Store>) {
    this.#open = open;
  }

  async reopen(): Promise<void> {
    await this.store?.close();
    this.store = await this.#open();
  }

  async #both(name: string): Promise<[Dataset, ModelDataset]> {
    return [(await this.store.dataset(name))!, this.model.get(name)!];
  }

  /** Runs one step on both; what the model refuses the store must refuse in the same way. */
  async step([kind, which, a, b, c]: Step): Promise<void> {
    const name = datasetNames[which % datasetNames.length]!;
    if (!this.model.has(name)) {
      expect(await this.store.dataset(name)).toBeUndefined();
      await this.store.createDataset(name, { preset: presets[c % 3]! });
      this.model.set(name, { versions: [[]], tags: new Map() });
      return;
    }
    const [dataset, model] = await this.#both(name);
    const current = model.versions.at(-1)!;
    const wanted = recordNames[a % recordNames.length]!;
    const named = (find: string) => current.find((record) => record.name === find);
    const record = current.length === 0 ? undefined : current[b % current.length]!;
    const commit = (records: readonly ModelRecord[]) => void model.versions.push(records);
    const replaced = (old: ModelRecord, fresh: ModelRecord) =>
      commit(current.map((one) => (one === old ? fresh : one)));
    switch (kind % 14) {
      case 0:
      case 1: {
        const tensor = tensorOf(a, b);
        const replace = c % 2 === 0;
        const recordName = c % 5 === 0 ? undefined : wanted;
        const metadata = { c, even: c % 2 === 0 };
        const old = recordName === undefined ? undefined : named(recordName);
        const inserting = dataset.insert(tensor, {
          metadata,
          replace,
          ...(recordName !== undefined && { name: recordName }),
        });
        if (old !== undefined && !replace) {
          await expect(inserting).rejects.toBeInstanceOf(AlreadyExistsError);
          return;
        }
        commit([
          ...current.filter((one) => one !== old),
          { id: await inserting, name: recordName, metadata, tensor },
        ]);
        return;
      }
      case 2: {
        const items = Array.from({ length: (a % 4) + 1 }, (_, index) => ({
          tensor: tensorOf(a + index, b + c),
          metadata: { index },
        }));
        const ids = await dataset.insertMany(items, {});
        commit([...current, ...items.map((item, index) => ({ ...item, id: ids[index]!, name: undefined }))]);
        return;
      }
      case 3: {
        if (record === undefined) return;
        await dataset.update(record.id, { metadata: { c: null, added: a } });
        const { c: _gone, ...rest } = record.metadata;
        replaced(record, { ...record, metadata: { ...rest, added: a } });
        return;
      }
      case 4: {
        if (record === undefined) return;
        const tensor = tensorOf(c, a);
        await dataset.update(record.id, { tensor });
        replaced(record, { ...record, tensor });
        return;
      }
      case 5: {
        if (record === undefined) return;
        const taken = named(wanted);
        const renaming = dataset.update(record.id, { name: wanted });
        if (taken !== undefined && taken !== record)
          await expect(renaming).rejects.toBeInstanceOf(AlreadyExistsError);
        else {
          await renaming;
          replaced(record, { ...record, name: wanted });
        }
        return;
      }
      case 6:
        if (record === undefined) {
          expect(await dataset.delete(wanted)).toBe(false);
          return;
        }
        expect(await dataset.delete(record.id)).toBe(true);
        commit(current.filter((one) => one !== record));
        return;
      case 7: {
        if (record === undefined || record.tensor.dtype === "int4") return;
        const { dtype, shape, data } = record.tensor;
        const rows = a % 7;
        const added = randomTensor(dtype, [rows, ...shape.slice(1)], c % 5);
        await dataset.append(record.id, added);
        const joined = Buffer.concat([bytesOf({ data }), bytesOf(added)]);
        replaced(record, {
          ...record,
          tensor: { dtype, shape: [shape[0]! + rows, ...shape.slice(1)], data: new Uint8Array(joined) },
        });
        return;
      }
      case 8: {
        const tag = `tag${a % 3}`;
        const version = b % model.versions.length;
        const tagging = dataset.tag(tag, { version, move: c % 2 === 0 });
        if (version === 0) await expect(tagging).rejects.toBeInstanceOf(Error);
        else if (model.tags.has(tag) && c % 2 !== 0)
          await expect(tagging).rejects.toBeInstanceOf(AlreadyExistsError);
        else {
          await tagging;
          model.tags.set(tag, version);
        }
        return;
      }
      case 9: {
        const tag = `tag${a % 3}`;
        if (c % 2 === 0 && model.tags.has(tag)) {
          expect(await dataset.rollback(tag)).toBe(model.versions.length);
          commit(model.versions[model.tags.get(tag)!]!);
        } else if (c % 2 === 0) {
          await expect(dataset.rollback(tag)).rejects.toBeInstanceOf(NotFoundError);
        } else if (model.versions.length > 1) {
          const version = 1 + (b % (model.versions.length - 1));
          await dataset.rollback(version);
          commit(model.versions[version]!);
        }
        return;
      }
      case 10: {
        const fresh = datasetNames.find((one) => !this.model.has(one));
        if (fresh === undefined) return;
        await this.store.renameDataset(name, fresh);
        this.model.set(fresh, model);
        this.model.delete(name);
        return;
      }
      case 11:
        if (c % 4 !== 0) return;
        await this.store.deleteDataset(name);
        this.model.delete(name);
        return;
      case 12: {
        // A transaction: one update, one delete, two inserts; or nothing at all.
        const target = record;
        const victim = current.find((one) => one !== target);
        const tensor = tensorOf(a, c);
        const fails = c % 3 === 0;
        const ids: string[] = [];
        const running = this.store.transaction(async (tx) => {
          const inside = (await tx.dataset(name))!;
          const writes = [
            inside.insert(tensor, { metadata: { tx: 1 } }),
            inside.insert(tensorOf(b, a), { metadata: { tx: 2 } }),
          ];
          if (target !== undefined) await inside.update(target.id, { metadata: { tx: 3 } });
          if (victim !== undefined) await inside.delete(victim.id);
          ids.push(...(await Promise.all(writes)));
          if (fails) throw new UsageError("test", "gives up");
        });
        if (fails) {
          await expect(running).rejects.toBeInstanceOf(UsageError);
          return;
        }
        await running;
        const kept = current
          .filter((one) => one !== victim)
          .map((one) => (one === target ? { ...one, metadata: { ...one.metadata, tx: 3 } } : one));
        commit([
          ...kept,
          { id: ids[0]!, name: undefined, metadata: { tx: 1 }, tensor },
          { id: ids[1]!, name: undefined, metadata: { tx: 2 }, tensor: tensorOf(b, a) },
        ]);
        return;
      }
      default:
        await this.reopen();
    }
  }

  /** Compares everything; of old versions their lists, of one of them the tensors, too. */
  async compare(deep: number): Promise<void> {
    expect((await this.store.datasets()).map(({ name }) => name)).toEqual([...this.model.keys()].sort());
    for (const name of this.model.keys()) {
      const [dataset, model] = await this.#both(name);
      expect(dataset.version).toBe(model.versions.length - 1);
      expect(Object.fromEntries(await dataset.tags())).toEqual(Object.fromEntries(model.tags));
      for (const [version, records] of model.versions.entries()) {
        if (version === 0 && model.versions.length > 1) continue;
        const view = dataset.at(version);
        const expected = [...records].sort((x, y) => (x.id < y.id ? -1 : 1));
        expect(await view.count()).toBe(expected.length);
        const found = (await view.page({ limit: 1000 })).records;
        expect(found.map(({ id, name: one, metadata }) => ({ id, name: one, metadata }))).toEqual(
          expected.map(({ id, name: one, metadata }) => ({ id, name: one, metadata })),
        );
        if (version !== model.versions.length - 1 && version !== deep % model.versions.length) continue;
        for (const [index, record] of found.entries()) {
          const { tensor, name: one } = expected[index]!;
          expectTensor(await record.read(), tensor);
          if (one !== undefined) expect((await view.info(one))!.id).toBe(record.id);
        }
      }
    }
  }
}

const steps = fc.array(
  fc.tuple(fc.nat(13), fc.nat(2), fc.nat(30), fc.nat(30), fc.nat(30)) as fc.Arbitrary<Step>,
  { minLength: 5, maxLength: 40 },
);

async function runSteps(open: () => Promise<Store>, sequence: readonly Step[]): Promise<void> {
  const run = new Run(open);
  await run.reopen();
  try {
    for (const step of sequence) await run.step(step);
    await run.compare(sequence.length);
    await run.reopen();
    await run.compare(sequence.length + 1);
  } finally {
    await run.store.close();
  }
}

test("in memory: reopening makes the catalog anew from the journal", async () => {
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const fileSystem: FileSystem = memoryFileSystem();
      await runSteps(() => openStore(":memory:", { workers: 0, fileSystem, chunkElements: 512 }), sequence);
    }),
    { numRuns: 60 },
  );
});

test("in a directory", async () => {
  const folder = temporaryDirectory();
  let round = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const directory = join(folder, String(round++));
      await runSteps(() => openStore(directory, { workers: 0, chunkElements: 512 }), sequence);
    }),
    { numRuns: 8 },
  );
});
