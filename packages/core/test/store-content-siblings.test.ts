/** Versions of opaque files: found by what their chunks have in common, stored as what was edited, and given back. */
import { readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { ContentCutter } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import type { ImportResult, Store } from "../src/index.ts";
import { differencesIn } from "./sibling-samples.ts";
import { noise, openTestStore, randomNumbers, sameBytes, temporaryDirectory } from "./store-harness.ts";

/** Bytes with the chunks that a store cuts them into. */
function chunksOf(bytes: Uint8Array): { start: number; end: number }[] {
  let start = 0;
  return new ContentCutter().push(bytes, true).map((end) => {
    const chunk = { start, end };
    start = end;
    return chunk;
  });
}

/** A tokenizer.json: words and their numbers. */
function tokenizer(words: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const vocabulary: Record<string, number> = {};
  for (let index = 0; index < words; index++) {
    const letters = Array.from(
      { length: 3 + 9 * random() },
      () => "etaoinshrdlucmfwypvbgkqjxz"[(26 * random() * random()) | 0],
    );
    vocabulary[letters.join("") + index.toString(36)] = index;
  }
  return new Uint8Array(
    Buffer.from(JSON.stringify({ version: "1.0", model: { type: "BPE", vocab: vocabulary } }, null, 1)),
  );
}

/** What programs are made of, as far as it matters: instructions that come often, with operands that do not. */
function program(bytes: number, seed: number): Uint8Array {
  const random = randomNumbers(seed);
  const instructions = Array.from({ length: 200 }, () =>
    noise(3 + Math.floor(5 * random()), Math.floor(1e6 * random())),
  );
  const code = Buffer.alloc(bytes);
  for (let at = 0; at < bytes; ) {
    const instruction = instructions[Math.floor(200 * random() * random())]!;
    code.set(instruction.subarray(0, bytes - at), at);
    at += instruction.length;
    if (at + 2 <= bytes) code.writeUInt16LE(Math.floor(65_536 * random() ** 3), at);
    at += 2;
  }
  return new Uint8Array(code);
}

/** One byte replaced in each `step`. */
const scattered = (bytes: Uint8Array, step: number, seed = 1): Uint8Array => {
  const random = randomNumbers(seed);
  const copy = bytes.slice();
  for (let at = 0; at + step <= copy.length; at += step) copy[at + Math.floor(random() * step)]! ^= 0x11;
  return copy;
};

const files: readonly [string, Uint8Array][] = [
  ["tokenizer.json", tokenizer(40_000, 1)],
  ["program", program(700_000, 2)],
  ["noise.bin", noise(700_000, 3)],
];

class Versions {
  readonly directory = join(temporaryDirectory(), "store");
  readonly #folder = temporaryDirectory();
  readonly #contents = new Map<string, Uint8Array>();
  store!: Store;

  static async open(): Promise<Versions> {
    const versions = new Versions();
    versions.store = await openTestStore(versions.directory);
    return versions;
  }

  path(name: string, bytes: Uint8Array): string {
    const path = join(this.#folder, name);
    writeFileSync(path, bytes);
    this.#contents.set(name, bytes);
    return path;
  }

  /** Imports bytes as a file into a dataset of its own, of the same name. */
  add(
    name: string,
    bytes: Uint8Array,
    options: { siblings?: boolean; preset?: string } = {},
  ): Promise<ImportResult> {
    return this.store.importFile(this.path(name, bytes), { dataset: name, ...options });
  }

  async expectExact(dataset: string, names: readonly string[] = [dataset]): Promise<void> {
    const { files: exported, exact } = await this.store.exportDataset(dataset, temporaryDirectory());
    expect(exact).toBe(true);
    expect(exported.map(({ target }) => basename(target)).toSorted()).toEqual([...names].toSorted());
    for (const { target } of exported)
      expect(sameBytes(readFileSync(target), this.#contents.get(basename(target))!), target).toBe(true);
  }
}

describe.each(files)("%s", (_name, bytes) => {
  test("with a byte replaced in each 8 KiB takes what the bytes take", async () => {
    const versions = await Versions.open();
    await versions.add("a", bytes);
    const result = await versions.add("b", scattered(bytes, 8192));
    expect(result.chunksAsDifferences).toBe(chunksOf(scattered(bytes, 8192)).length);
    expect(result.newBytes).toBeLessThan(0.01 * bytes.length);
    expect(differencesIn(versions.directory)).toHaveLength(result.chunksAsDifferences);
    // A third version is coded against the first, which the second is coded against, too.
    const third = await versions.add("c", scattered(scattered(bytes, 8192), 8192, 2));
    expect(third.newBytes).toBeLessThan(0.015 * bytes.length);
    for (const name of ["a", "b", "c"]) await versions.expectExact(name);
  });

  test("without the dataset that it was made from, nothing is missing", async () => {
    const versions = await Versions.open();
    await versions.add("a", bytes);
    await versions.add("b", scattered(bytes, 8192));
    await versions.store.deleteDataset("a");
    await versions.store.gc();
    await versions.expectExact("b");
    expect((await versions.store.verify({ deep: true })).problems).toEqual([]);
    await versions.store.deleteDataset("b");
    await versions.store.gc();
    expect((await versions.store.stats()).chunks).toBe(0);
    await versions.add("a", bytes);
    await versions.expectExact("a");
  });

  test("finds a version that comes with the same import", async () => {
    const versions = await Versions.open();
    const paths = [versions.path("a", bytes), versions.path("b", scattered(bytes, 8192))];
    const result = await versions.store.importFile(paths, { dataset: "both" });
    expect(result.chunksAsDifferences).toBeGreaterThan(0);
    const alone = await Versions.open();
    expect(result.newBytes).toBeLessThan((await alone.add("a", bytes)).newBytes + 0.01 * bytes.length);
    await versions.expectExact("both", ["a", "b"]);
  });

  test("with something inserted at its front shares all chunks but the first", async () => {
    const versions = await Versions.open();
    await versions.add("a", bytes);
    const longer = new Uint8Array(Buffer.concat([Buffer.from("inserted"), bytes]));
    const result = await versions.add("b", longer);
    expect(result.chunksShared).toBe(chunksOf(bytes).length - 1);
    expect(result.chunksAsDifferences).toBe(1);
    expect(result.newBytes).toBeLessThan(300);
    await versions.expectExact("b");
  });
});

test("unrelated files take what they take alone", async () => {
  const [one, other] = [await Versions.open(), await Versions.open()];
  for (const [name, bytes] of files) {
    const result = await one.add(name, bytes);
    expect(result.chunksAsDifferences).toBe(0);
    expect(result.newBytes).toBe((await other.add(name, bytes, { siblings: false })).newBytes);
    await one.expectExact(name);
  }
});

test("a part that has no feature in common is found by the part before it", async () => {
  const versions = await Versions.open();
  const bytes = noise(700_000, 3);
  await versions.add("a", bytes);
  const { start, end } = chunksOf(bytes).find(
    (chunk) => chunk.end - chunk.start > 60_000 && chunk.start > 0,
  )!;
  const edited = bytes.slice();
  edited.set(noise(4000, 91), start);
  edited.set(noise(4000, 92), end - 4100);
  expect(chunksOf(edited)).toEqual(chunksOf(bytes));
  const result = await versions.add("b", edited);
  expect(result.chunksAsDifferences).toBe(1);
  expect(result.newBytes).toBeLessThan(8000 + 400);
  await versions.expectExact("b");
});

test("presets that use no siblings, and imports that are told so, code nothing against others", async () => {
  const [, [, bytes]] = files as [unknown, [string, Uint8Array]];
  for (const options of [{ preset: "fast" }, { siblings: false }]) {
    const versions = await Versions.open();
    await versions.add("a", bytes, options);
    const result = await versions.add("b", scattered(bytes, 8192), options);
    expect(result.chunksAsDifferences).toBe(0);
    await versions.expectExact("b");
  }
});

test("minSaving is asked of every chunk", async () => {
  const versions = await Versions.open();
  const bytes = noise(700_000, 3);
  await versions.store.definePreset("careful", { codec: { auto: "lossless", minSaving: 0.9 } });
  await versions.add("a", bytes, { preset: "careful" });
  // Of each chunk a fifth is new.
  const fresh = noise(700_000, 5);
  const edited = bytes.map((byte, index) => (index % 1000 < 200 ? fresh[index]! : byte));
  expect((await versions.add("b", edited, { preset: "careful" })).chunksAsDifferences).toBe(0);
  expect(
    (await versions.add("c", scattered(bytes, 8192), { preset: "careful" })).chunksAsDifferences,
  ).toBeGreaterThan(0);
  for (const name of ["b", "c"]) await versions.expectExact(name);
});

test("a rebuilt store has lost what finds older versions, and nothing else", async () => {
  const versions = await Versions.open();
  const bytes = noise(300_000, 3);
  await versions.add("a", bytes);
  await versions.add("b", scattered(bytes, 8192));
  await versions.store.rebuild();
  for (const name of ["a", "b"]) await versions.expectExact(name);
  const third = scattered(bytes, 8192, 3);
  expect((await versions.add("c", third)).chunksAsDifferences).toBe(0);
  await versions.expectExact("c");
  // From now on that version is the one that is found.
  const fourth = await versions.add("d", scattered(third, 8192, 4));
  expect(fourth.newBytes).toBeLessThan(0.01 * bytes.length);
  await versions.expectExact("d");
});
