/**
 * One row of a large tensor: latency in an open store over random rows, what is read for it, and the time of a whole command; beside reading the
 * row from the original file, which is the floor.
 */

import { open } from "node:fs/promises";
import { openStore } from "@tensorcask/core";
import { randomWords } from "@tensorcask/samples";
import { formatBytes } from "@tensorcask/stats";
import { type Benchmark, left, right, type Setting, type Table } from "./benchmark.ts";
import { tensorcask } from "./command.ts";
import { type NormalFile, ROW_ELEMENTS, writeNormalModel } from "./normal.ts";
import { readCounter } from "./read-counter.ts";
import { collectGarbage, median, milliseconds, quantile, seconds } from "./timing.ts";

const SMALL_MEBIBYTES = 256;
const LARGE_MEBIBYTES = 1024;
const SLICES = 2000;
const WARMUP_SLICES = 200;
const COMMANDS = 5;
const ROW_BYTES = 2 * ROW_ELEMENTS;

interface Latency {
  readonly name: string;
  readonly taken: readonly number[];
  readonly bytes: string;
}

function latencyRow({ name, taken, bytes }: Latency): string[] {
  return [
    name,
    milliseconds(quantile(taken, 0.5)),
    milliseconds(quantile(taken, 0.99)),
    milliseconds(Math.max(...taken)),
    bytes,
  ];
}

/** Times one call per row. */
async function each(rows: readonly number[], read: (row: number) => Promise<void>): Promise<number[]> {
  collectGarbage();
  const taken: number[] = [];
  for (const row of rows) taken.push(await seconds(() => read(row)));
  return taken;
}

function randomRows(count: number, among: number, seed: number): number[] {
  const random = randomWords(seed);
  return Array.from({ length: count }, () => Math.floor((random() / 2 ** 32) * among));
}

async function inOpenStore(directory: string, file: NormalFile): Promise<Latency[]> {
  const [tensor] = file.tensors;
  const { name, offset } = tensor!;
  const among = tensor!.shape[0]!;
  const counter = readCounter();
  const store = await openStore(directory, { fileSystem: counter.fileSystem });
  const dataset = (await store.dataset("a"))!;
  const original = await open(file.path, "r");
  const expected = Buffer.alloc(ROW_BYTES);
  const slice = async (row: number): Promise<Uint8Array> => (await dataset.slice(name, [row]))!.bytes();
  for (const row of randomRows(WARMUP_SLICES, among, 1)) {
    await original.read(expected, 0, ROW_BYTES, offset + row * ROW_BYTES);
    if (expected.compare(await slice(row)) !== 0) throw new Error(`row ${row} came back changed`);
  }
  const rows = randomRows(SLICES, among, 2);
  const { reads, bytes } = counter;
  const stored = await each(rows, async (row) => void (await slice(row)));
  const perSlice = (counter.bytes - bytes) / SLICES;
  const readsPerSlice = (counter.reads - reads) / SLICES;
  const again = await each(
    rows.map(() => rows[0]!),
    async (row) => void (await slice(row)),
  );
  const floor = await each(rows, async (row) => {
    await original.read(expected, 0, ROW_BYTES, offset + row * ROW_BYTES);
  });
  await original.close();
  await store.close();
  return [
    {
      name: "a random row, store open",
      taken: stored,
      bytes: `${formatBytes(perSlice)} in ${readsPerSlice.toFixed(2)} reads`,
    },
    { name: "the same row again", taken: again, bytes: "" },
    { name: "the row from the original file", taken: floor, bytes: formatBytes(ROW_BYTES) },
  ];
}

async function asCommand(directory: string, file: NormalFile): Promise<Latency> {
  const [tensor] = file.tensors;
  const rows = randomRows(COMMANDS + 1, tensor!.shape[0]!, 3);
  const taken: number[] = [];
  for (const row of rows) {
    const result = await tensorcask(["get", "a", tensor!.name, "--slice", String(row), "--store", directory]);
    if (result.output.length !== ROW_BYTES) throw new Error(`get wrote ${result.output.length} bytes`);
    taken.push(result.seconds);
  }
  return { name: "whole command: get a TENSOR --slice ROW", taken: taken.slice(1), bytes: "" };
}

async function measure(setting: Setting): Promise<Table> {
  const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
  setting.say(`slices: generating a tensor of ${mebibytes} MiB`);
  const path = setting.scratch.path("slices.safetensors");
  const file = await writeNormalModel(path, { dtype: "bfloat16", mebibytes, seed: 2, single: true });
  const directory = setting.scratch.fresh("slices-store");
  const store = await openStore(directory);
  await store.importFile(path, { dataset: "a" });
  await store.close();
  const latencies = [...(await inOpenStore(directory, file)), await asCommand(directory, file)];
  setting.scratch.remove(directory);
  setting.scratch.remove(path);
  const empty = median(latencies[0]!.taken);
  return {
    title: `One row (${ROW_ELEMENTS} bfloat16, ${formatBytes(ROW_BYTES)}) of a tensor of ${mebibytes} MiB`,
    columns: [left("what"), right("p50 ms"), right("p99 ms"), right("max ms"), right("read per row")],
    rows: latencies.map(latencyRow),
    notes: [
      `${SLICES} random rows (${COMMANDS} commands), page cache warm; ${(1 / empty).toFixed(0)} rows a second; rows were compared with the file first`,
    ],
  };
}

export const slices: Benchmark = {
  name: "slices",
  description: "latency of one row of a large tensor",
  run: async (setting) => [await measure(setting)],
};
