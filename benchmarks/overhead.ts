/**
 * What the store adds to what it stores, everything on disk counted, as slopes: the difference between a larger and a smaller store, per chunk and
 * per small record. The data is noise, so nothing of it is saved by coding or sharing.
 */
import { openStore, type Store } from "@tensorcask/core";
import { randomWords } from "@tensorcask/samples";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { storeBytes } from "./scratch.ts";

const CHUNK_ELEMENTS = 1024;
const CHUNK_BYTES = 8 * CHUNK_ELEMENTS;
const CHUNKS: readonly [number, number] = [1000, 11_000];
const RECORDS: readonly [number, number] = [4000, 24_000];
const BATCH = 2000;
const ELEMENTS = 64;
const RECORD_BYTES = 4 * ELEMENTS;
const NAME_BYTES = 10;

function noise(bytes: number): Uint8Array {
  const random = randomWords(7);
  const words = new Uint32Array(bytes / 4);
  for (let index = 0; index < words.length; index++) words[index] = random();
  return new Uint8Array(words.buffer);
}

/** The size of a closed store after `fill`. */
async function sizeAfter(setting: Setting, fill: (store: Store) => Promise<void>): Promise<number> {
  const directory = setting.scratch.fresh("overhead-store");
  const store = await openStore(directory, { preset: "none", chunkElements: CHUNK_ELEMENTS });
  await fill(store);
  await store.close();
  const bytes = storeBytes(directory);
  setting.scratch.remove(directory);
  return bytes;
}

async function slope(
  setting: Setting,
  counts: readonly [number, number],
  fill: (store: Store, count: number) => Promise<void>,
): Promise<number> {
  const small = await sizeAfter(setting, (store) => fill(store, counts[0]));
  const large = await sizeAfter(setting, (store) => fill(store, counts[1]));
  return (large - small) / (counts[1] - counts[0]);
}

async function fillChunks(store: Store, count: number): Promise<void> {
  const dataset = await store.createDataset("noise");
  const data = noise(count * CHUNK_BYTES);
  await dataset.insert({ dtype: "float64", shape: [count * CHUNK_ELEMENTS], data }, { name: "noise" });
  const [last] = [count * CHUNK_ELEMENTS - 1];
  const back = await dataset.slice("noise", [[last!, last! + 1]]);
  if (Buffer.compare(back!.bytes(), data.subarray(data.length - 8)) !== 0)
    throw new Error("the noise came back changed");
}

/** Records in batches; `named`: each has a name of ten bytes. */
async function fillRecords(store: Store, count: number, named: boolean): Promise<void> {
  const dataset = await store.createDataset("records");
  const data = noise(count * RECORD_BYTES);
  const of = (index: number): Uint8Array => data.subarray(index * RECORD_BYTES, (index + 1) * RECORD_BYTES);
  for (let first = 0; first < count; first += BATCH) {
    await dataset.insertMany(
      Array.from({ length: BATCH }, (_, index) => ({
        ...(named && { name: `r${String(first + index).padStart(NAME_BYTES - 1, "0")}` }),
        tensor: { dtype: "float32", shape: [ELEMENTS], data: of(first + index) },
      })),
    );
  }
  let index = 0;
  for await (const record of dataset.records()) {
    if (index % 997 === 0 && Buffer.compare((await record.read()).bytes(), of(index)) !== 0) {
      throw new Error(`record ${index} came back changed`);
    }
    index += 1;
  }
  if (index !== count) throw new Error(`${index} records of ${count} came back`);
}

async function measure(setting: Setting): Promise<Table> {
  setting.say("overhead");
  const chunk = await slope(setting, CHUNKS, fillChunks);
  const unnamed = await slope(setting, RECORDS, (store, count) => fillRecords(store, count, false));
  const named = await slope(setting, RECORDS, (store, count) => fillRecords(store, count, true));
  return {
    title: "Bytes on disk beside the data",
    columns: [left("of each"), right("data"), right("on disk"), right("overhead")],
    rows: [
      ["chunk", String(CHUNK_BYTES), chunk.toFixed(1), (chunk - CHUNK_BYTES).toFixed(1)],
      [
        "record without a name",
        String(RECORD_BYTES),
        unnamed.toFixed(1),
        (unnamed - RECORD_BYTES).toFixed(1),
      ],
      [
        `record with a name of ${NAME_BYTES} bytes`,
        String(RECORD_BYTES),
        named.toFixed(1),
        `${(named - RECORD_BYTES).toFixed(1)} (${(named - RECORD_BYTES - 3 * NAME_BYTES).toFixed(1)} beside the name)`,
      ],
    ],
    notes: [
      `slopes between ${CHUNKS.join(" and ")} chunks and between ${RECORDS.join(" and ")} records of ${ELEMENTS} float32 in batches of ${BATCH}; closed stores`,
      "a name stands in three places: the journal, the record's row, the index of names",
    ],
  };
}

export const overhead: Benchmark = {
  name: "overhead",
  description: "bytes on disk per chunk and per small record",
  run: async (setting) => [await measure(setting)],
};
