/** What an entry does, what it may not do, and what the catalog says when its file is not as it should be. */

import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import { nameHash } from "../src/catalog/names.ts";
import { Sqlite } from "../src/catalog/sqlite.ts";
import type { FrameFacts, JournalPosition, Op, RecordFacts, TensorFacts } from "../src/model/entry.ts";
import { recordId, sha } from "./catalog-model.ts";

const folder = mkdtempSync(join(tmpdir(), "catalog-apply-"));
afterAll(() => rmSync(folder, { recursive: true }));

let catalog: Catalog;
beforeEach(() => {
  catalog = Catalog.open(":memory:");
  return () => catalog.close();
});

function positionAt(sequence: number): JournalPosition {
  return {
    sequence,
    hash: sha(`entry ${sequence}`),
    segment: "00000001-00000001.log",
    offset: 64 * sequence,
  };
}

function apply(ops: readonly Op[], frames: readonly FrameFacts[] = [], target: Catalog = catalog): void {
  const sequence = target.position().sequence + 1;
  target.apply({ sequence, timeMs: 1000 * sequence, ops }, () => frames, positionAt(sequence));
}

/** `count` frames of 100 bytes each. */
function framesAt(offset: number, count: number, label = "chunk"): FrameFacts[] {
  return Array.from({ length: count }, (_, at) => ({
    hash: sha(`${label} ${at}`),
    offset: offset + at * 100,
    frameBytes: 100,
    rawBytes: 256,
    chain: at % 2 === 0 ? [] : [5, 3],
  }));
}

const pack: Op = { op: "pack.add", pack: 1, name: "one.pack", tail: true };
const twoChunks: Op = { op: "frames", pack: 1, offset: 16, bytes: 200, chunks: [1, 2] };

function tensor(label: string, chunk: number): TensorFacts {
  const values = { role: "values", dtype: 22, shape: [4], place: { runs: [chunk, 1] } } as const;
  return { key: sha(label), dtype: 22, shape: [4], geometry: "elements", arrays: [values] };
}

function dataset(id: number, name: string): Op {
  return {
    op: "dataset.add",
    dataset: id,
    name,
    timeMs: 1,
    preset: null,
    metadata: {},
    schema: null,
    indexed: [],
  };
}

function records(version: number, ids: readonly number[], rest: Partial<RecordFacts> = {}): Op {
  const list = ids.map((id) => ({ id: recordId(id), file: 0, tensor: 1, ...rest }));
  return { op: "records.add", dataset: 1, version, records: list };
}

const version = (number: number): Op => ({ op: "version", dataset: 1, version: number });
const file = (id: number, path: string, parts: readonly number[] = []) =>
  ({ file: id, path, format: "opaque", bytes: 9, sha256: sha(path), parts }) as const;
const damage = (message: RegExp): unknown =>
  expect.objectContaining({ tag: "damage", message: expect.stringMatching(message) });

describe("entries", () => {
  it("move the position, and a gap is refused without a trace", () => {
    expect(catalog.position()).toEqual({ sequence: 0, hash: new Uint8Array(32), segment: "", offset: 0 });
    apply([pack]);
    expect(catalog.position()).toEqual(positionAt(1));
    for (const sequence of [1, 3]) {
      const entry = { sequence, timeMs: 1, ops: [dataset(1, "d")] };
      expect(() => catalog.apply(entry, () => [], positionAt(sequence))).toThrow(
        damage(/cannot follow entry 1.*rebuild/),
      );
    }
    expect(catalog.position()).toEqual(positionAt(1));
    expect(catalog.dataset("d")).toBeUndefined();
  });

  it("place frames, and refuse frames that do not fit", () => {
    apply([pack]);
    const refused: readonly (readonly [Op, FrameFacts[], RegExp])[] = [
      [twoChunks, framesAt(16, 1), /holds 1 frames from 16, entry 2 names 2/],
      [twoChunks, framesAt(20, 2), /frame at 20, entry 2 expects it at 16/],
      [{ ...twoChunks, bytes: 201 }, framesAt(16, 2), /end at 216, entry 2 says 217/],
      [{ ...twoChunks, pack: 9 }, framesAt(16, 2), /frames in pack 9, which is not there/],
      [{ ...twoChunks, chunks: [1, 1, 1, 1] }, framesAt(16, 2), /contradicts what is stored/],
    ];
    for (const [op, frames, message] of refused) {
      expect(() => apply([op], frames)).toThrow(damage(message));
      expect(catalog.counters().chunk).toBe(1);
    }
    apply([twoChunks], framesAt(16, 2));
    expect(catalog.chunks([2, 1, 1, 1]).map(({ id, offset, chain }) => [id, offset, chain])).toEqual([
      [2, 116, [5, 3]],
      [1, 16, []],
    ]);
    expect(() => catalog.chunks([1, 3])).toThrow(damage(/chunk 3 is missing/));
    expect(catalog.tailPack()).toEqual({ pack: 1, name: "one.pack", tail: true, committedBytes: 216 });
    expect(catalog.resolveChunks([sha("chunk 1"), sha("other")]).map((row) => row?.id)).toEqual([
      2,
      undefined,
    ]);
  });

  it("move chunks only to frames of the same chunk", () => {
    apply([pack, twoChunks], framesAt(16, 2));
    const move: Op[] = [
      { op: "pack.add", pack: 2, name: "two.pack", tail: false },
      { op: "frames", pack: 2, offset: 16, bytes: 200, chunks: [1, 2] },
      { op: "pack.drop", packs: [1] },
    ];
    expect(() => apply(move, framesAt(16, 2, "other"))).toThrow(
      damage(/moves chunk 1 to a frame that holds another/),
    );
    expect(catalog.packs().map((row) => row.name)).toEqual(["one.pack"]);
    apply(move, framesAt(16, 2));
    expect(catalog.chunk(1)).toMatchObject({ pack: "two.pack", offset: 16 });
    apply([{ op: "pack.drop", packs: [2] }]);
    expect(() => catalog.chunk(1)).toThrow(damage(/chunk 1 lies in a pack that is not there/));
  });

  it("take bytes in shared memory", () => {
    const shared = (bytes: Uint8Array): Uint8Array => {
      const copy = new Uint8Array(new SharedArrayBuffer(bytes.length + 3), 3);
      copy.set(bytes);
      return copy;
    };
    const id = shared(recordId(1));
    apply(
      [
        pack,
        twoChunks,
        { op: "tensors.add", first: 1, tensors: [{ ...tensor("t", 1), key: shared(sha("t")) }] },
        dataset(1, "d"),
        version(1),
        { op: "records.add", dataset: 1, version: 1, records: [{ id, file: 0, tensor: 1, name: "n" }] },
      ],
      framesAt(16, 2).map((frame) => ({ ...frame, hash: shared(frame.hash) })),
    );
    expect(catalog.resolveTensors([shared(sha("t"))])).toEqual([1]);
    expect(catalog.resolveChunks([shared(sha("chunk 0"))])[0]?.id).toBe(1);
    expect(catalog.record(1, 1, id)?.name).toBe("n");
    expect(catalog.page({ dataset: 1, version: 1 }, id, 5)).toEqual([]);
    apply([version(2), { op: "records.remove", dataset: 1, version: 2, ids: [id] }]);
    expect(catalog.record(1, 2, id)).toBeUndefined();
    expect(catalog.record(1, 1, id)?.id.constructor).toBe(Uint8Array);
  });

  it("refuse what contradicts the store, and let pass what only is gone already", () => {
    apply([dataset(1, "d"), version(1), records(1, [1])]);
    const refused: readonly (readonly [readonly Op[], RegExp])[] = [
      [[dataset(2, "d")], /contradicts what is stored/],
      [[dataset(1, "e")], /contradicts what is stored/],
      [[version(1)], /contradicts what is stored/],
      [[records(1, [1])], /contradicts what is stored/],
      [[records(2, [2])], /changes version 2 of dataset 1, which is at 1/],
      [[{ op: "version", dataset: 7, version: 1 }], /dataset 7, which is not there/],
      [[records(1, [2], { file: 5 })], /records of file 5, which is not there/],
      [[{ op: "chunk.split" } as unknown as Op], /unknown kind, "chunk.split"/],
    ];
    for (const [ops, message] of refused) {
      expect(() => apply(ops)).toThrow(damage(message));
    }
    apply([
      version(2),
      { op: "records.remove", dataset: 1, version: 2, ids: [recordId(9)] },
      { op: "files.remove", dataset: 1, version: 2, files: [9] },
      { op: "tag.drop", dataset: 1, tag: "none" },
      { op: "preset.drop", name: "none" },
      { op: "chunks.drop", chunks: [5, 2] },
      { op: "dataset.drop", dataset: 9 },
    ]);
    expect(catalog.position().sequence).toBe(2);
  });
});

describe("files", () => {
  it("take their records with them, and come back with the same id", () => {
    apply([
      dataset(1, "d"),
      version(1),
      records(1, [3, 1, 2], { file: 1 }),
      { op: "files.add", dataset: 1, version: 1, files: [file(1, "a", [4, 5, 5, 4])] },
    ]);
    apply([version(2), records(2, [4])]);
    apply([version(3), { op: "files.remove", dataset: 1, version: 3, files: [1] }]);
    expect(catalog.count({ dataset: 1, version: 3 })).toBe(1);
    expect(catalog.count({ dataset: 1, version: 2, file: 1 })).toBe(3);
    expect(catalog.count({ dataset: 1, version: 2, file: 0 })).toBe(1);
    expect(catalog.count({ dataset: 1, version: 2, file: 8 })).toBe(0);
    expect(catalog.file(1, 3, "a")).toBeUndefined();
    expect(catalog.file(1, 2, "a")?.parts).toEqual([4, 5, 5, 4]);
    // A rollback to version 2.
    const back = catalog.changes(1, 3, 2);
    expect([
      back.added.length,
      back.removed.length,
      back.filesAdded.length,
      back.filesRemoved.length,
    ]).toEqual([3, 0, 1, 0]);
    apply([
      version(4),
      { op: "files.add", dataset: 1, version: 4, files: [file(1, "a", [4, 5, 5, 4])] },
      records(4, [1, 2, 3], { file: 1, name: "n" }),
    ]);
    expect(
      catalog.page({ dataset: 1, version: 4, file: 1 }, undefined, 9).map((row) => row.filePath),
    ).toEqual(["a", "a", "a"]);
    expect(catalog.recordsNamed(1, 4, "n", 1).length).toBe(3);
    expect(catalog.changes(1, 2, 4)).toMatchObject({
      filesAdded: [{ added: 4 }],
      filesRemoved: [{ added: 1, removed: 3 }],
    });
    apply([{ op: "expire", dataset: 1, kept: [4] }]);
    expect(catalog.page({ dataset: 1, version: 4, file: 1 }, undefined, 9).length).toBe(3);
    expect(catalog.hasVersion(1, 2)).toBe(false);
  });
});

describe("names", () => {
  it("are told apart where their hashes are not", () => {
    const seen = new Map<number, string>();
    let pair: readonly [string, string] | undefined;
    for (let at = 0; pair === undefined; at += 1) {
      const name = `${at.toString(36)}-${at % 7}`;
      const other = seen.get(nameHash(1, name));
      pair = other === undefined ? undefined : [other, name];
      seen.set(nameHash(1, name), name);
    }
    apply([
      dataset(1, "d"),
      version(1),
      records(1, [1], { name: pair[0] }),
      records(1, [2], { name: pair[1] }),
      records(1, [3], { name: pair[0] }),
    ]);
    expect(catalog.recordsNamed(1, 1, pair[0]).map((row) => row.id)).toEqual([recordId(1), recordId(3)]);
    expect(catalog.recordsNamed(1, 1, pair[1]).map((row) => row.id)).toEqual([recordId(2)]);
  });

  it("list at most 32 records", () => {
    const ids = Array.from({ length: 40 }, (_, at) => at + 1);
    apply([dataset(1, "d"), version(1), records(1, ids, { name: "same" })]);
    expect(catalog.recordsNamed(1, 1, "same").length).toBe(32);
    expect(catalog.count({ dataset: 1, version: 1, name: "same" })).toBe(40);
  });
});

describe("dropped datasets", () => {
  it("vanish at once and are reaped in slices", () => {
    apply([pack, twoChunks, { op: "tensors.add", first: 1, tensors: [tensor("t", 1)] }], framesAt(16, 2));
    apply([
      dataset(1, "d"),
      version(1),
      records(
        1,
        Array.from({ length: 25 }, (_, at) => at + 1),
        { name: "n" },
      ),
    ]);
    apply([
      { op: "tag.set", dataset: 1, tag: "t", version: 1 },
      version(2),
      { op: "files.add", dataset: 1, version: 2, files: [file(1, "a")] },
    ]);
    expect(catalog.reap(10)).toBe(false);
    apply([{ op: "dataset.drop", dataset: 1 }, dataset(2, "d")]);
    expect(catalog.dataset("d")?.dataset).toBe(2);
    expect(catalog.datasets().length).toBe(1);
    expect([
      catalog.record(1, 2, recordId(1)),
      catalog.recordsNamed(1, 2, "n").length,
      catalog.count({ dataset: 1, version: 2 }),
      catalog.files(1, 2).length,
      catalog.fileById(1),
      catalog.hasVersion(1, 2),
      catalog.versions(1).length,
      catalog.tag(1, "t"),
      catalog.tags(1).length,
      catalog.datasetById(1),
    ]).toEqual([undefined, 0, 0, 0, undefined, false, 0, undefined, 0, undefined]);
    expect(catalog.usage()).toMatchObject({ unreferencedBytes: 200, datasets: [{ name: "d", records: 0 }] });
    expect(catalog.dead({ now: 0, stagedMs: 0 })).toEqual({
      tensors: [1, 1],
      chunks: [1, 2],
      stagedFirsts: [],
    });
    let slices = 1;
    while (catalog.reap(10)) {
      slices += 1;
    }
    expect(slices).toBe(3);
  });
});

describe("usersOf", () => {
  it("names tensors and files that need a chunk", () => {
    const long: TensorFacts = {
      ...tensor("long", 1),
      arrays: [
        { role: "values", dtype: 4, shape: [4], place: { runs: [1, 1] } },
        { role: "scales", dtype: 22, shape: [1], place: { bundle: 2, offset: 0 } },
      ],
    };
    apply(
      [pack, twoChunks, { op: "tensors.add", first: 1, tensors: [tensor("t", 1), long, tensor("u", 2)] }],
      framesAt(16, 2),
    );
    apply([
      dataset(1, "d"),
      version(1),
      { op: "files.add", dataset: 1, version: 1, files: [file(1, "a.bin", [1, 2]), file(2, "b.bin", [1])] },
      records(1, [1], { name: "x" }),
      records(1, [2], { name: "y", tensor: 2, file: 1 }),
      records(1, [3], { tensor: 3 }),
    ]);
    expect(catalog.usersOf([1])).toEqual(["d/x", "d/a.bin#y", "d/b.bin"]);
    expect(catalog.usersOf([2], () => "ID")).toEqual(["d/a.bin#y", "d/ID"]);
    expect(catalog.usersOf([7, 9])).toEqual([]);
  });
});

describe("the database file", () => {
  let files = 0;
  function fresh(): string {
    files += 1;
    return join(folder, `${files}.sqlite`);
  }

  it("keeps its state, and lets other connections see each entry", () => {
    const path = fresh();
    const writer = Catalog.open(path);
    const reader = Catalog.open(path);
    apply([dataset(1, "d")], [], writer);
    expect(reader.dataset("d")?.dataset).toBe(1);
    reader.read(() => {
      expect(reader.dataset("d")?.version).toBe(0);
      apply([version(1)], [], writer);
      expect(reader.dataset("d")?.version).toBe(0);
    });
    expect(reader.dataset("d")?.version).toBe(1);
    reader.close();
    writer.checkpoint();
    expect(statSync(`${path}-wal`).size).toBe(0);
    writer.close();
    const again = Catalog.open(path, { readOnly: true });
    expect(again.position()).toEqual(positionAt(2));
    expect(() => apply([version(2)], [], again)).toThrow(
      expect.objectContaining({ tag: "storage", code: "EROFS" }),
    );
    again.close();
    expect(() => again.position()).toThrow(expect.objectContaining({ tag: "closed" }));
  });

  it("is emptied before a rebuild", () => {
    const path = fresh();
    const one = Catalog.open(path);
    const other = Catalog.open(path);
    apply(
      [
        { ...(dataset(1, "d") as Extract<Op, { op: "dataset.add" }>), indexed: ["a"] },
        version(1),
        records(1, [1]),
      ],
      [],
      one,
    );
    expect(other.count({ dataset: 1, version: 1 })).toBe(1);
    one.clear();
    expect(other.count({ dataset: 1, version: 1 })).toBe(0);
    expect(other.position().sequence).toBe(0);
    expect(one.counters()).toEqual({ chunk: 1, tensor: 1, pack: 1, dataset: 1, file: 1 });
    apply([dataset(1, "d")], [], other);
    expect(one.dataset("d")?.dataset).toBe(1);
    one.close();
    other.close();
  });

  it("is damage when it is no database, half of one, or another's", () => {
    const noise = fresh();
    writeFileSync(noise, Buffer.alloc(5000, 7));
    expect(() => Catalog.open(noise)).toThrow(damage(/^catalog: .*tensorcask rebuild/));
    const foreign = fresh();
    const database = new Database(foreign);
    database.exec("CREATE TABLE meta (other TEXT)");
    database.close();
    expect(() => Catalog.open(foreign)).toThrow(damage(/no such column/));
    const newer = fresh();
    Catalog.open(newer).close();
    const sqlite = Sqlite.open(newer);
    sqlite.run("UPDATE meta SET value = 4 WHERE key = 'schema'");
    sqlite.close();
    expect(() => Catalog.open(newer)).toThrow(damage(/have layout 4, this program makes layout 3/));
    const torn = fresh();
    const big = Catalog.open(torn);
    apply(
      [
        dataset(1, "d"),
        version(1),
        records(
          1,
          Array.from({ length: 2000 }, (_, at) => at + 1),
          { name: "x".repeat(40) },
        ),
      ],
      [],
      big,
    );
    big.checkpoint();
    big.close();
    const bytes = statSync(torn).size;
    writeFileSync(torn, Buffer.alloc(bytes / 2, 0xee), { flag: "r+" });
    expect(() => Catalog.open(torn)).toThrow(damage(/rebuild/));
  });

  it("is damage, not an empty answer, when pages inside are broken", () => {
    const path = fresh();
    const whole = Catalog.open(path);
    apply(
      [
        dataset(1, "d"),
        version(1),
        records(
          1,
          Array.from({ length: 5000 }, (_, at) => at + 1),
          { name: "x".repeat(40) },
        ),
      ],
      [],
      whole,
    );
    whole.checkpoint();
    whole.close();
    const sqlite = Sqlite.open(path);
    const pages = sqlite.values<number>("SELECT pageno FROM dbstat WHERE name = 'record'");
    sqlite.close();
    const noise = Buffer.alloc(4096, 0xee);
    const database = Catalog.open(path);
    const handle = openSync(path, "r+");
    for (const page of pages) {
      writeSync(handle, noise, 0, noise.length, (page - 1) * noise.length);
    }
    closeSync(handle);
    expect(() => database.count({ dataset: 1, version: 1 })).toThrow(damage(/rebuild/));
    database.close();
  });

  it("names the directory that is missing", () => {
    expect(() => Catalog.open(join(folder, "no", "c.sqlite"))).toThrow(
      expect.objectContaining({ tag: "storage", code: "ENOENT" }),
    );
    expect(() => Catalog.open(join(folder, "none.sqlite"), { readOnly: true })).toThrow(
      expect.objectContaining({ tag: "storage" }),
    );
  });
});
