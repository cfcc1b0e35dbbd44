/**
 * Many small records: how fast they go in, how long a read and an indexed query take, how fast the store opens afterwards, and how many bytes each
 * takes. The peer is SQLite as one would use it for this: a table of names, JSON and blobs with an index on a JSON field, synced at
 * every commit.
 */

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type InsertItem, openStore, type Store } from "@tensorcask/core";
import { randomWords } from "@tensorcask/samples";
import { formatCount } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { tensorcask } from "./command.ts";
import { storeBytes } from "./scratch.ts";
import { collectGarbage, median, milliseconds, quantile, seconds } from "./timing.ts";

const SMALL_COUNT = 100_000;
const LARGE_COUNT = 1_000_000;
const ELEMENTS = 64;
const RECORD_BYTES = 4 * ELEMENTS;
const BATCH = 5000;
const GROUPS = 1000;
const READS = 2000;
const QUERIES = 500;
const PAGE = 100;
const REOPENS = 7;
const SINGLE_INSERTS = 200;

interface Row {
  readonly name: string;
  readonly metadata: { readonly group: number; readonly score: number };
  readonly data: Float32Array;
}

/** The records, by number: the same ones for every contender. */
function rowOf(index: number): Row {
  const random = randomWords(index + 1);
  const data = new Float32Array(ELEMENTS);
  for (let at = 0; at < ELEMENTS; at++) data[at] = random() / 2 ** 31 - 1;
  return { name: nameOf(index), metadata: { group: index % GROUPS, score: (index * 7919) % 100_003 }, data };
}

function nameOf(index: number): string {
  return `r${String(index).padStart(9, "0")}`;
}

function itemOf(row: Row): InsertItem {
  return {
    name: row.name,
    metadata: row.metadata,
    tensor: { dtype: "float32", shape: [ELEMENTS], data: row.data },
  };
}

/** One way to keep records. */
interface Keeper {
  insert(rows: readonly Row[]): Promise<void>;
  get(name: string): Promise<Uint8Array>;
  /** Names of at most 100 records of a group. */
  group(group: number): Promise<number>;
}

/** Puts everything in; gives the seconds of the inserts alone, without the time that making the data takes. */
async function fill(keeper: Keeper, first: number, count: number, batch: number): Promise<number> {
  let taken = 0;
  for (let at = first; at < first + count; at += batch) {
    const rows = Array.from({ length: Math.min(batch, first + count - at) }, (_, index) => rowOf(at + index));
    taken += await seconds(() => keeper.insert(rows));
  }
  return taken;
}

async function latencies(
  count: number,
  calls: number,
  seed: number,
  call: (index: number) => Promise<void>,
): Promise<number[]> {
  const random = randomWords(seed);
  const next = (): number => Math.floor((random() / 2 ** 32) * count);
  for (let warmup = 0; warmup < calls / 10; warmup++) await call(next());
  collectGarbage();
  const taken: number[] = [];
  for (let done = 0; done < calls; done++) {
    const index = next();
    taken.push(await seconds(() => call(index)));
  }
  return taken;
}

async function check(keeper: Keeper, count: number): Promise<void> {
  for (let index = 0; index < count; index += Math.ceil(count / 500)) {
    const expected = new Uint8Array(rowOf(index).data.buffer);
    if (Buffer.compare(await keeper.get(nameOf(index)), expected) !== 0)
      throw new Error(`record ${index} came back changed`);
  }
  const found = await keeper.group(1);
  const expected = Math.min(PAGE, Math.ceil((count - 1) / GROUPS));
  if (found !== expected) throw new Error(`group 1 has ${found} records, not ${expected}`);
}

/** p50 and p99 of reads and queries. */
async function reading(keeper: Keeper, count: number): Promise<string[]> {
  const gets = await latencies(count, READS, 5, async (index) => void (await keeper.get(nameOf(index))));
  const queries = await latencies(GROUPS, QUERIES, 6, async (index) => void (await keeper.group(index)));
  return [gets, queries].flatMap((taken) => [
    milliseconds(quantile(taken, 0.5)),
    milliseconds(quantile(taken, 0.99)),
  ]);
}

async function storeKeeper(store: Store, way: "insertMany" | "transaction"): Promise<Keeper> {
  const dataset =
    (await store.dataset("records")) ?? (await store.createDataset("records", { indexed: ["group"] }));
  return {
    insert: async (rows) => {
      if (way === "insertMany") {
        await dataset.insertMany(rows.map(itemOf));
        return;
      }
      await store.transaction(async (tx) => {
        const inside = (await tx.dataset("records"))!;
        for (const { tensor, ...options } of rows.map(itemOf)) await inside.insert(tensor, options);
      });
    },
    get: async (name) => (await dataset.get(name))!.bytes(),
    group: async (group) => (await dataset.page({ where: { group }, limit: PAGE })).records.length,
  };
}

function sqliteKeeper(path: string): Keeper & { close(): void } {
  const database = new DatabaseSync(path);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
    CREATE TABLE record (id INTEGER PRIMARY KEY, name TEXT UNIQUE, metadata TEXT NOT NULL, data BLOB NOT NULL);
    CREATE INDEX by_group ON record (json_extract(metadata, '$.group'))`);
  const insert = database.prepare("INSERT INTO record (name, metadata, data) VALUES (?, ?, ?)");
  const get = database.prepare("SELECT data FROM record WHERE name = ?");
  const group = database.prepare(
    "SELECT id, name, metadata FROM record WHERE json_extract(metadata, '$.group') = ? LIMIT ?",
  );
  return {
    insert: async (rows) => {
      database.exec("BEGIN");
      for (const { name, metadata, data } of rows)
        insert.run(name, JSON.stringify(metadata), new Uint8Array(data.buffer));
      database.exec("COMMIT");
    },
    get: async (name) => (get.get(name) as { data: Uint8Array }).data,
    group: async (number) => group.all(number, PAGE).length,
    close: () => database.close(),
  };
}

/** Bytes beside the floats, and beside one copy of the name and the metadata, per record. */
function overheadEach(bytes: number, count: number): string {
  const { name, metadata } = rowOf(count - 1);
  const beside = bytes / count - RECORD_BYTES;
  return `${beside.toFixed(0)} (${(beside - name.length - JSON.stringify(metadata).length).toFixed(0)})`;
}

function perSecond(count: number, taken: number): string {
  return formatCount(Math.round(count / taken));
}

/** Seconds until a store that is closed can answer, in this process: opened, and one record read. */
async function reopenTimes(directory: string, name: string): Promise<{ open: number[]; first: number[] }> {
  const open: number[] = [];
  const first: number[] = [];
  for (let round = -1; round < REOPENS; round++) {
    collectGarbage();
    let store: Store | undefined;
    const opened = await seconds(async () => {
      store = await openStore(directory);
    });
    const read = await seconds(async () => {
      const dataset = await store!.dataset("records");
      if ((await dataset!.get(name)) === undefined) throw new Error(`${name} is gone`);
    });
    await store!.close();
    if (round >= 0) {
      open.push(opened);
      first.push(read);
    }
  }
  return { open, first };
}

async function measure(setting: Setting): Promise<Table[]> {
  const count = setting.full ? LARGE_COUNT : SMALL_COUNT;
  const directory = setting.scratch.fresh("records-store");
  setting.say(`records: ${count} by insertMany`);
  const store = await openStore(directory);
  const many = await storeKeeper(store, "insertMany");
  const insertManyTaken = await fill(many, 0, count, BATCH);
  await check(many, count);
  const ours = await reading(many, count);
  await store.close();
  const ourBytes = storeBytes(directory);
  const { open, first } = await reopenTimes(directory, nameOf(count - 1));
  const commands: number[] = [];
  for (let round = -1; round < 3; round++) {
    const result = await tensorcask(["get", "records", nameOf(round + 1), "--store", directory]);
    if (result.output.length !== RECORD_BYTES) throw new Error(`get wrote ${result.output.length} bytes`);
    if (round >= 0) commands.push(result.seconds);
  }
  setting.scratch.remove(directory);

  const part = count / 5;
  setting.say(`records: ${part} in transactions`);
  const other = setting.scratch.fresh("records-transactions");
  const second = await openStore(other);
  const transactions = await storeKeeper(second, "transaction");
  const transactionsTaken = await fill(transactions, 0, part, BATCH);
  const shortTaken = await fill(transactions, part, part / 10, 100);
  const single = await fill(await storeKeeper(second, "insertMany"), 2 * part, SINGLE_INSERTS, 1);
  await second.close();
  setting.scratch.remove(other);

  setting.say(`records: ${count} in SQLite`);
  const path = setting.scratch.fresh("records.sqlite");
  const sqlite = sqliteKeeper(path);
  const sqliteTaken = await fill(sqlite, 0, count, BATCH);
  await check(sqlite, count);
  const theirs = await reading(sqlite, count);
  const sqliteSingle = await fill(sqlite, count, SINGLE_INSERTS, 1);
  sqlite.close();
  const sqliteBytes = statSync(path).size;
  setting.scratch.remove(path);
  for (const rest of readdirSync(setting.scratch.directory)) {
    if (rest.startsWith("records.sqlite")) setting.scratch.remove(join(setting.scratch.directory, rest));
  }

  return [
    {
      title: `${formatCount(count)} records of ${ELEMENTS} float32, with a name and two metadata fields, one of them indexed`,
      columns: [
        left("store"),
        right("inserts/s"),
        right("get p50 ms"),
        right("p99"),
        right(`query p50 ms`),
        right("p99"),
        right("overhead, bytes"),
      ],
      rows: [
        ["tensorcask", perSecond(count, insertManyTaken), ...ours, overheadEach(ourBytes, count)],
        [
          "SQLite, JSON and blobs",
          perSecond(count, sqliteTaken),
          ...theirs,
          overheadEach(sqliteBytes, count),
        ],
      ],
      notes: [
        `inserts: batches of ${formatCount(BATCH)}, each durable; get: by name, ${formatCount(READS)} random ones; query: the first ${PAGE} records of one of ${GROUPS} groups, by the index, ${QUERIES} times`,
        `overhead: the closed store less ${RECORD_BYTES} bytes each (in parentheses: and less one copy of the name and the JSON, about 38 bytes)`,
      ],
    },
    {
      title: "Ways of inserting, and opening",
      columns: [left("what"), right("inserts/s"), right("ms")],
      rows: [
        [`insertMany, batches of ${formatCount(BATCH)}`, perSecond(count, insertManyTaken), ""],
        [`transactions of ${formatCount(BATCH)} inserts`, perSecond(part, transactionsTaken), ""],
        ["transactions of 100 inserts", perSecond(part / 10, shortTaken), ""],
        ["one by one", perSecond(SINGLE_INSERTS, single), milliseconds(single / SINGLE_INSERTS)],
        [
          "one by one, SQLite",
          perSecond(SINGLE_INSERTS, sqliteSingle),
          milliseconds(sqliteSingle / SINGLE_INSERTS),
        ],
        [`open a store of ${formatCount(count)} records`, "", milliseconds(median(open))],
        ["the first get after that", "", milliseconds(median(first))],
        ["whole command: get", "", milliseconds(median(commands))],
      ],
      notes: [`opening: median of ${REOPENS}, in a process that has opened one before`],
    },
  ];
}

export const records: Benchmark = {
  name: "records",
  description: "many small records: inserts, reads, queries, opening, bytes",
  run: measure,
};
