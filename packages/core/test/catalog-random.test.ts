/** Random sequences of valid entries: the catalog answers like the naive model at every kept version, counts every byte, and survives a snapshot. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Catalog, type DatasetUsage, type RecordRow } from "../src/catalog/catalog.ts";
import { idsOf } from "../src/model/runs.ts";
import { hexOf, Model, type ModelDataset, type ModelRecord, type Sight, type Step } from "./catalog-model.ts";

const step: fc.Arbitrary<Step> = fc.tuple(fc.nat(15), fc.nat(40), fc.nat(40), fc.nat(40));
/** Half of all runs start with something to work on. */
const beginning: readonly Step[] = [
  [2, 1, 0, 0],
  [0, 2, 3, 1],
  [2, 2, 1, 0],
  [0, 0, 3, 2],
];
const steps = fc
  .tuple(fc.boolean(), fc.array(step, { maxLength: 60, size: "max" }))
  .map(([prepared, rest]) => (prepared ? [...beginning, ...rest] : rest));

function played(list: readonly Step[]): { model: Model; catalog: Catalog } {
  const model = new Model();
  const catalog = Catalog.open(":memory:");
  for (const each of list) {
    model.run(each, catalog);
  }
  return { model, catalog };
}

const byId = (a: ModelRecord, b: ModelRecord): number => Buffer.compare(a.id, b.id);
const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);

function recordOf(record: ModelRecord, sight: Sight): RecordRow {
  const path = sight.files.get(record.file)?.path;
  return { ...record, ...(path === undefined ? {} : { filePath: path }) };
}

function pages(catalog: Catalog, dataset: number, version: number): RecordRow[] {
  const all: RecordRow[] = [];
  for (;;) {
    const page = catalog.page({ dataset, version }, all.at(-1)?.id, 3);
    all.push(...page);
    if (page.length < 3) {
      return all;
    }
  }
}

function compareVersion(catalog: Catalog, set: ModelDataset, version: number, sight: Sight): void {
  const { dataset } = set.facts;
  const expected = [...sight.records.values()].sort(byId).map((record) => recordOf(record, sight));
  expect(pages(catalog, dataset, version)).toEqual(expected);
  expect(catalog.count({ dataset, version })).toBe(expected.length);
  const odd = expected.flatMap((_, at) => (at % 2 === 1 ? [at] : []));
  expect(catalog.ordinals({ dataset, version }, [...odd, expected.length + 3])).toEqual(
    odd.map((at) => expected[at]!.id),
  );
  for (const record of expected) {
    expect(catalog.record(dataset, version, record.id)).toEqual(record);
    if (record.name !== undefined) {
      const named = expected.filter((other) => other.name === record.name);
      expect(catalog.recordsNamed(dataset, version, record.name)).toEqual(named.slice(0, 32));
      const ofFile = named.filter((other) => other.file === record.file);
      expect(catalog.recordsNamed(dataset, version, record.name, record.file)).toEqual(ofFile);
      expect(
        catalog.page({ dataset, version, name: record.name, file: record.file }, undefined, 100),
      ).toEqual(ofFile);
    }
  }
  const files = [...sight.files.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  const found = catalog.files(dataset, version);
  expect(found.map(({ removed: _, ...file }) => file)).toEqual(files.map((file) => ({ ...file, dataset })));
  for (const file of found) {
    expect(catalog.file(dataset, version, file.path)).toEqual(file);
    expect(catalog.fileById(file.file)).toEqual(file);
  }
}

function compareChanges(catalog: Catalog, set: ModelDataset): void {
  const { dataset } = set.facts;
  const [from, to] = [[...set.sights.keys()][0]!, set.version];
  const [old, current] = [set.sights.get(from)!, set.sights.get(to)!];
  const differing = (a: Sight, b: Sight): string[] =>
    [...a.records].filter(([id, record]) => b.records.get(id)?.added !== record.added).map(([id]) => id);
  const changes = catalog.changes(dataset, from, to);
  expect(changes.added.map((record) => hexOf(record.id)).sort()).toEqual(differing(current, old).sort());
  expect(changes.removed.map((record) => hexOf(record.id)).sort()).toEqual(differing(old, current).sort());
  const missing = (a: Sight, b: Sight): number[] =>
    [...a.files.keys()].filter((file) => !b.files.has(file)).sort();
  expect(changes.filesAdded.map(({ file }) => file).sort()).toEqual(missing(current, old));
  expect(changes.filesRemoved.map(({ file }) => file).sort()).toEqual(missing(old, current));
}

/** Tensors by the hashes that they share with a sketch, then the newest first. */
function candidates(model: Model, sketch: Uint8Array): { tensor: number; bands: number }[] {
  const hashesOf = (bytes: Uint8Array): Set<number> => new Set(new Uint32Array(bytes.slice().buffer));
  const wanted = hashesOf(sketch);
  return [...model.tensors]
    .map(([tensor, facts]) => ({
      tensor,
      bands: [...hashesOf(facts.sketch ?? new Uint8Array(0))].filter((hash) => wanted.has(hash)).length,
    }))
    .filter(({ bands }) => bands > 0)
    .sort((a, b) => b.bands - a.bands || b.tensor - a.tensor);
}

function compareReads(model: Model, catalog: Catalog, staged?: "staged in pieces"): void {
  expect(catalog.position()).toEqual(
    model.sequence === 0
      ? { sequence: 0, hash: new Uint8Array(32), segment: "", offset: 0 }
      : model.position(),
  );
  expect(catalog.counters()).toEqual(model.next);
  expect(catalog.settings()).toEqual(model.settings);
  expect(catalog.presets()).toEqual(
    [...model.presets].map(([name, preset]) => ({ name, preset })).sort(byName),
  );
  expect(catalog.packs()).toEqual(
    [...model.packs].map(([pack, { name, tail, committedBytes }]) => ({ pack, name, tail, committedBytes })),
  );
  const tail = [...model.packs].filter(([, pack]) => pack.tail).at(-1);
  expect(catalog.tailPack()?.pack).toBe(tail?.[0]);
  if (staged === undefined) {
    expect(catalog.staged()).toEqual([...model.staged.values()]);
  }
  const chunks = [...model.chunks].sort(([a], [b]) => a - b);
  const rows = chunks.map(
    ([
      id,
      {
        frame: { sibling: _, ...frame },
        pack,
        base,
      },
    ]) => ({
      id,
      ...frame,
      pack: model.packs.get(pack)!.name,
      ...(base !== undefined && { sibling: base }),
    }),
  );
  expect([...catalog.allChunks()]).toEqual(rows);
  expect(catalog.resolveChunks(rows.map((row) => row.hash))).toEqual(rows);
  expect(catalog.chunks(rows.flatMap((row) => [row.id, 1]))).toEqual(rows);
  for (const [pack, { name }] of model.packs) {
    const inPack = rows.filter((row) => row.pack === name).sort((a, b) => a.offset - b.offset);
    expect(catalog.chunksInPack(pack)).toEqual(inPack);
  }
  const tensors = [...model.tensors].map(([id, facts]) => ({ id, ...facts }));
  expect(catalog.tensors(model.tensors.keys())).toEqual(tensors);
  expect(catalog.resolveTensors(tensors.map((tensor) => tensor.key))).toEqual(
    tensors.map((tensor) => tensor.id),
  );
  for (const { sketch } of tensors) {
    if (sketch === undefined) continue;
    const expected = candidates(model, sketch);
    expect(catalog.siblingCandidates(sketch, 3)).toEqual(expected.slice(0, 3));
    expect(catalog.siblingCandidates(sketch)).toEqual(expected.slice(0, 8));
  }
  const sets = [...model.datasets.values()];
  expect(catalog.datasets()).toEqual(sets.map(({ facts, version }) => ({ ...facts, version })).sort(byName));
  for (const set of sets) {
    const { dataset, name } = set.facts;
    expect(catalog.dataset(name)).toEqual({ ...set.facts, version: set.version });
    expect(catalog.versions(dataset).map(({ version }) => version)).toEqual([...set.sights.keys()]);
    expect(catalog.tags(dataset)).toEqual(
      [...set.tags].map(([tag, version]) => ({ tag, version })).sort((a, b) => (a.tag < b.tag ? -1 : 1)),
    );
    for (const [version, sight] of set.sights) {
      expect(catalog.hasVersion(dataset, version)).toBe(true);
      compareVersion(catalog, set, version, sight);
    }
    if (set.version > 0) {
      compareChanges(catalog, set);
    }
  }
}

/** Everything that the interface shows, to compare two catalogs. */
function dump(model: Model, catalog: Catalog): unknown {
  const staged = catalog.staged().flatMap(({ first, count, timeMs }) =>
    // Ranges may come back in pieces, and without chunks that are gone.
    [...idsOf([first, count])].filter((id) => catalog.chunk(id) !== undefined).map((id) => [id, timeMs]),
  );
  return {
    counters: catalog.counters(),
    settings: catalog.settings(),
    presets: catalog.presets(),
    packs: catalog.packs(),
    staged,
    chunks: [...catalog.allChunks()],
    tensors: catalog.tensors(model.tensors.keys()),
    datasets: catalog.datasets().map((set) => ({
      ...set,
      versions: catalog.versions(set.dataset).map((version) => ({
        ...version,
        files: catalog.files(set.dataset, version.version),
        records: catalog.page({ dataset: set.dataset, version: version.version }, undefined, 1000),
      })),
    })),
    indexed: catalog.indexedPaths(),
    usage: catalog.usage(),
    dead: { ...catalog.dead({ now: 1_100_000, stagedMs: 50_000 }), stagedFirsts: [] },
  };
}

/** Chunks that the current version uses, and those that only kept old ones do. */
function chunkSets(
  model: Model,
  set: ModelDataset,
): { direct: Set<number>; current: Set<number>; history: Set<number> } {
  const of = (sight: Sight): number[] =>
    [
      ...[...sight.records.values()].map((record) => record.tensor),
      ...[...sight.files.values()].flatMap((file) => file.parts),
    ].flatMap((tensor) => model.chunksOf(tensor));
  const direct = new Set(set.version === 0 ? [] : of(set.sights.get(set.version)!));
  const current = model.withBases(direct);
  const all = model.withBases([...set.sights.values()].flatMap(of));
  return { direct, current, history: new Set([...all].filter((chunk) => !current.has(chunk))) };
}

function compareUsage(model: Model, catalog: Catalog): void {
  const usage = catalog.usage();
  const sum = (ids: Iterable<number>, of: (id: number) => number): number =>
    [...ids].reduce((total, id) => total + of(id), 0);
  const frame = (id: number): number => model.chunks.get(id)!.frame.frameBytes;
  const paid = usage.datasets.reduce((total, each) => total + each.amortizedBytes + each.historyBytes, 0);
  expect(paid + usage.unreferencedBytes).toBe(usage.frameBytes);
  expect(usage.frameBytes).toBe(sum(model.chunks.keys(), frame));
  expect([usage.chunks, usage.tensors]).toEqual([model.chunks.size, model.tensors.size]);
  const sets = [...model.datasets.values()].map((set) => ({ set, ...chunkSets(model, set) }));
  const part = (chunk: number, owners: readonly number[], dataset: number): number => {
    const even = Math.floor(frame(chunk) / owners.length);
    return dataset === Math.min(...owners) ? frame(chunk) - even * (owners.length - 1) : even;
  };
  for (const { set, direct, current, history } of sets) {
    const coded = [...direct].filter((chunk) => model.chunks.get(chunk)!.base !== undefined);
    const { dataset } = set.facts;
    const ownersOf = (chunk: number, which: "current" | "history"): number[] =>
      sets.filter((other) => other[which].has(chunk)).map((other) => other.set.facts.dataset);
    const sight = set.sights.get(set.version);
    const alone = [...current].filter(
      (chunk) => ownersOf(chunk, "current").length === 1 && ownersOf(chunk, "history").length === 0,
    );
    const expected: Partial<DatasetUsage> = {
      records: sight?.records.size ?? 0,
      files: sight?.files.size ?? 0,
      siblingChunks: coded.length,
      siblingBytes: sum(coded, frame),
      uniqueRawBytes: sum(direct, (chunk) => model.chunks.get(chunk)!.frame.rawBytes),
      standaloneBytes: sum(current, frame),
      exclusiveBytes: sum(alone, frame),
      sharedBytes: sum(current, frame) - sum(alone, frame),
      amortizedBytes: sum(current, (chunk) => part(chunk, ownersOf(chunk, "current"), dataset)),
      historyBytes: sum(
        [...history].filter((chunk) => ownersOf(chunk, "current").length === 0),
        (chunk) => part(chunk, ownersOf(chunk, "history"), dataset),
      ),
    };
    const found = usage.datasets.find((each) => each.dataset === dataset)!;
    expect(found).toMatchObject(expected);
    expect(sum(found.chains.keys(), (at) => found.chains[at]!.frameBytes)).toBe(found.standaloneBytes);
    expect(sum(found.chains.keys(), (at) => found.chains[at]!.chunks)).toBe(current.size);
  }
}

describe("random entries", () => {
  it("read like the naive model at every kept version", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { model, catalog } = played(list);
        compareReads(model, catalog);
        catalog.close();
      }),
      { numRuns: 60 },
    );
  });

  it("count every byte of every frame once", () => {
    fc.assert(
      fc.property(steps, (list) => {
        const { model, catalog } = played(list);
        compareUsage(model, catalog);
        catalog.close();
      }),
      { numRuns: 60 },
    );
  });

  it("tell gc exactly what nothing needs", () => {
    fc.assert(
      fc.property(steps, fc.nat(20), (list, age) => {
        const { model, catalog } = played(list);
        const now = 1_000_000 + model.sequence * 1000;
        const expected = model.dead(now, age * 1000);
        const dead = catalog.dead({ now, stagedMs: age * 1000 });
        expect([...idsOf(dead.tensors)]).toEqual(expected.tensors);
        expect([...idsOf(dead.chunks)]).toEqual(expected.chunks);
        expect(dead.stagedFirsts).toEqual(expected.stagedFirsts);
        const gone = new Set(expected.chunks);
        for (const { pack, liveBytes } of catalog.packLiveness(dead.chunks)) {
          const live = [...model.chunks].filter(([id, chunk]) => chunk.pack === pack && !gone.has(id));
          expect(liveBytes).toBe(live.reduce((total, [, { frame }]) => total + frame.frameBytes, 0));
        }
        // In this order, one after the other: nothing loses what it is coded against.
        for (const chunk of idsOf(dead.chunks)) {
          model.sequence += 1;
          const ops = [{ op: "chunks.drop", chunks: [chunk, 1] }] as const;
          catalog.apply({ sequence: model.sequence, timeMs: 1, ops }, model.frames, model.position());
        }
        catalog.close();
      }),
      { numRuns: 60 },
    );
  });

  it("come back from a snapshot, and go on from there", () => {
    fc.assert(
      fc.property(steps, fc.array(step, { maxLength: 8 }), (list, more) => {
        const { model, catalog } = played(list);
        while (catalog.reap(1000)) {}
        const copy = Catalog.open(":memory:");
        for (const ops of catalog.snapshotEntries()) {
          const entry = { sequence: model.sequence, timeMs: 5, ops };
          copy.apply(entry, model.frames, model.position(), { snapshot: true });
        }
        expect(dump(model, copy)).toEqual(dump(model, catalog));
        catalog.close();
        if (model.sequence > 0) {
          for (const each of more) {
            model.run(each, copy);
          }
          compareReads(model, copy, "staged in pieces");
          compareUsage(model, copy);
        }
        copy.close();
      }),
      { numRuns: 60 },
    );
  });
});
