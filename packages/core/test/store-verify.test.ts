import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { dtypeOf, frameOf } from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import { type MemoryFileSystem, memoryFileSystem } from "../src/files/memory.ts";
import { openStore, type Store } from "../src/index.ts";
import { recordIdText } from "../src/store/record-id.ts";
import { contextOf, floats, randomOf, SMALL, temporaryDirectory } from "./maintenance-fixture.ts";

/** A store in memory, and its files to reach into. */
async function sample(): Promise<{ files: MemoryFileSystem; store: Store }> {
  const files = memoryFileSystem();
  const store = await openStore(":memory:", { ...SMALL, fileSystem: files });
  const a = await store.createDataset("a");
  const b = await store.createDataset("models/b", { preset: "int8_only" });
  await a.insert(floats([4, 1000], 1), { name: "large" });
  await a.insert(floats([50], 2), { name: "small" });
  await a.insert({
    dtype: "int64",
    shape: [300],
    data: BigInt64Array.from({ length: 300 }, (_, i) => BigInt(i)),
  });
  await b.insert(floats([40, 100], 3), { name: "quantized" });
  await b.insert(floats([4, 1000], 1), { name: "exact", preset: "none" });
  return { files, store };
}

/** Changes one byte of a file. */
async function flip(files: MemoryFileSystem, path: string, offset: number): Promise<void> {
  const file = await files.open(path, "write");
  const byte = new Uint8Array(1);
  await file.read(byte, offset);
  byte[0]! ^= 0x10;
  await file.write(byte, offset);
  await file.close();
}

describe("verify", () => {
  test("finds nothing wrong with a whole store", async () => {
    const { store } = await sample();
    const seen: number[] = [];
    const result = await store.verify({
      deep: true,
      onProgress: ({ phase, done, total }) => {
        expect(phase).toBe("verify");
        seen.push(done / total);
      },
    });
    expect(result).toMatchObject({ ok: true, deep: true, problems: [], files: 0 });
    expect(result.chunks).toBe((await store.stats()).chunks);
    expect(result.bytes).toBe((await store.stats()).storedBytes);
    expect(result.entries).toBeGreaterThan(5);
    expect(seen.at(-1)).toBe(1);
    expect(await store.verify()).toMatchObject({ ok: true, deep: false, chunks: result.chunks });
    await store.close();
  });

  test("finds every flipped byte in a pack, and names the tensors", async () => {
    const { files, store } = await sample();
    const context = await contextOf(store);
    const [pack] = context.catalog.packs();
    const rows = context.catalog.chunksInPack(pack!.pack);
    const path = files.paths().find((each) => each.includes(pack!.name))!;
    const random = randomOf(7);
    const offsets = [0, 5, 12, 15];
    for (const row of rows) {
      // Header fields, extension, payload, the last byte.
      for (const within of [
        0,
        2,
        4,
        8,
        12,
        13,
        14,
        20,
        48,
        57,
        Math.floor(random() * row.frameBytes),
        row.frameBytes - 1,
      ]) {
        if (within < row.frameBytes) offsets.push(row.offset + within);
      }
    }
    expect(offsets.length).toBeGreaterThan(90);
    for (const offset of offsets) {
      await flip(files, path, offset);
      const { ok, problems } = await store.verify();
      expect(ok, `offset ${offset}`).toBe(false);
      const row = rows.find((each) => each.offset <= offset && offset < each.offset + each.frameBytes);
      if (row !== undefined) {
        expect(problems, `offset ${offset}`).toHaveLength(1);
        expect(problems[0]!.where).toBe(`pack ${pack!.name} at ${row.offset}`);
        expect(problems[0]!.tensors.length, `offset ${offset}`).toBeGreaterThan(0);
        expect(problems[0]!.tensors).toEqual(context.catalog.usersOf([row.id], recordIdText));
      }
      await flip(files, path, offset);
    }
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true });
    await store.close();
  });

  test("knows the key of a tensor that a quantizer refused", async () => {
    const store = await openStore(":memory:", SMALL);
    const dataset = await store.createDataset("d", { preset: "int8_only" });
    await dataset.insert(
      { dtype: "float32", shape: [2], data: Float32Array.of(1, Number.NaN) },
      { name: "a" },
    );
    expect((await dataset.info("a"))!.note).toBeDefined();
    expect((await store.verify({ deep: true })).problems).toEqual([]);
    await store.close();
  });

  test("goes on behind damage, deep too", async () => {
    const { files, store } = await sample();
    const context = await contextOf(store);
    const path = files.paths().find((each) => each.endsWith(".pack"))!;
    const [first, second] = context.catalog.chunksInPack(1);
    await flip(files, path, first!.offset + 100);
    await flip(files, path, second!.offset + 100);
    const result = await store.verify({ deep: true });
    expect(result.problems.map(({ where }) => where)).toEqual([
      `pack ${first!.pack} at ${first!.offset}`,
      `pack ${second!.pack} at ${second!.offset}`,
    ]);
    expect(result.problems[0]!.tensors).toEqual(["a/large", "models/b/exact"]);
    expect(result.chunks).toBe((await store.stats()).chunks);
    await store.close();
  });

  test("finds packs that are missing or cut off", async () => {
    const { files, store } = await sample();
    const context = await contextOf(store);
    await (await store.dataset("a"))!.recompress("none");
    const [one, two] = context.catalog.packs();
    const pathOf = (name: string): string => files.paths().find((each) => each.includes(name))!;
    const file = await files.open(pathOf(one!.name), "write");
    const bytes = await file.size();
    await file.truncate(bytes - 10);
    await files.unlink(pathOf(two!.name));
    await context.packs.close();
    const { problems, chunks } = await store.verify({ deep: true });
    expect(chunks).toBe((await store.stats()).chunks);
    expect(problems.filter(({ message }) => message.includes("missing")).length).toBeGreaterThan(3);
    expect(problems.filter(({ message }) => message.includes("ends at")).length).toBe(1);
    await store.close();
  });

  test("finds chunks whose bytes are not what their hash says", async () => {
    const { store } = await sample();
    const context = await contextOf(store);
    const { catalog } = context;
    // A coder that lied: the frame is whole, but it holds other bytes under this chunk's hash.
    const row = catalog.chunk(1)!;
    const wrong = frameOf(row.hash, dtypeOf("float32"), row.rawBytes, [], new Uint8Array(row.rawBytes));
    const writer = await context.packs.create();
    const { offset } = await writer.append([wrong]);
    await writer.seal();
    await context.parts.committer.exclusive(async (exclusive) => {
      const pack = catalog.counters().pack;
      await exclusive.commit(
        [
          { op: "pack.add", pack, name: writer.name, tail: false },
          { op: "frames", pack, offset, bytes: wrong.length, chunks: [1, 1] },
        ],
        () => [{ hash: row.hash, offset, frameBytes: wrong.length, rawBytes: row.rawBytes, chain: [] }],
      );
    });
    expect((await store.verify()).ok).toBe(true);
    const { problems } = await store.verify({ deep: true });
    expect(problems).toHaveLength(1);
    expect(problems[0]!.message).toContain("SHA-256");
    expect(problems[0]!.tensors).toEqual(["a/large", "models/b/exact"]);
    await store.close();
  });

  test("finds a damaged journal, a damaged catalog and a lost marker", async () => {
    const directory = temporaryDirectory();
    const store = await openStore(directory, SMALL);
    const a = await store.createDataset("a");
    for (let index = 0; index < 40; index++) await a.insert(floats([300], index), { name: `x${index}` });
    await store.close();
    const damaged = (change: (directory: string) => void): string => {
      const copy = join(temporaryDirectory(), "copy");
      cpSync(directory, copy, { recursive: true });
      change(copy);
      return copy;
    };
    const whole = await openStore(directory, { ...SMALL, readOnly: true });
    expect(await whole.verify({ deep: true })).toMatchObject({ ok: true });
    await whole.close();

    const unmarked = await openStore(
      damaged(() => undefined),
      SMALL,
    );
    unlinkSync(join(unmarked.directory, "tensorcask.json"));
    expect((await unmarked.verify()).problems).toMatchObject([
      { where: "tensorcask.json", message: "is missing" },
    ]);
    await unmarked.close();

    const journal = await openStore(
      damaged(() => undefined),
      SMALL,
    );
    const segments = join(journal.directory, "journal");
    const segment = join(segments, readdirSync(segments)[0]!);
    const bytes = readFileSync(segment);
    bytes[Math.floor(bytes.length / 2)]! ^= 1;
    writeFileSync(segment, bytes);
    const found = await journal.verify();
    expect(found.ok).toBe(false);
    expect(found.problems[0]!.where).toContain("journal");
    await journal.close();

    const catalog = await openStore(
      damaged((copy) => {
        const path = join(copy, "catalog.sqlite");
        const pages = readFileSync(path);
        // A page in the middle, wiped.
        pages.fill(0x5a, 4096 * 20, 4096 * 21);
        writeFileSync(path, pages);
      }),
      { ...SMALL, readOnly: true },
    );
    const broken = await catalog.verify({ deep: true });
    expect(broken.ok).toBe(false);
    expect(broken.problems.some(({ where }) => where === "catalog")).toBe(true);
    await catalog.close();
  });

  test("can be cancelled", async () => {
    const { store } = await sample();
    await expect(store.verify({ signal: AbortSignal.abort() })).rejects.toMatchObject({ tag: "cancelled" });
    await store.close();
  });
});

describe("verify against originals", () => {
  /** Writes a safetensors file of these float32 tensors. */
  function writeModel(path: string, tensors: Readonly<Record<string, Float32Array>>): void {
    const entries = Object.entries(tensors);
    let at = 0;
    const header: Record<string, unknown> = {};
    for (const [name, data] of entries) {
      header[name] = { dtype: "F32", shape: [data.length], data_offsets: [at, at + data.byteLength] };
      at += data.byteLength;
    }
    const text = Buffer.from(JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    const parts = entries.map(([, data]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.concat([length, text, ...parts]));
  }

  async function imported() {
    const folder = join(temporaryDirectory(), "originals");
    writeModel(join(folder, "one.safetensors"), {
      x: floats([3000], 1).data as Float32Array,
      y: floats([20], 2).data as Float32Array,
    });
    writeModel(join(folder, "sub", "two.safetensors"), { z: floats([5000], 3).data as Float32Array });
    writeFileSync(join(folder, "notes.txt"), "not a tensor in sight ".repeat(2000));
    const store = await openStore(":memory:", SMALL);
    await store.importFile(folder, { dataset: "m" });
    return { folder, store };
  }

  test("finds that everything is the same, and what is not", async () => {
    const { folder, store } = await imported();
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, files: 3 });
    expect(await store.verifyAgainst("m", folder)).toMatchObject({
      ok: true,
      files: 3,
      problems: [],
      dataset: "m",
    });
    const one = join(folder, "one.safetensors");
    const bytes = readFileSync(one);
    bytes[9000]! ^= 1;
    writeFileSync(one, bytes);
    truncateSync(join(folder, "notes.txt"), 100);
    unlinkSync(join(folder, "sub", "two.safetensors"));
    const { ok, problems } = await store.verifyAgainst("m", folder);
    expect(ok).toBe(false);
    expect(problems.map(({ file }) => file).sort()).toEqual([
      "notes.txt",
      "one.safetensors",
      "sub/two.safetensors",
    ]);
    const messages = problems.map(({ message }) => message).join("\n");
    expect(messages).toContain("differs from its original at byte 9000");
    expect(messages).toContain("the original has 100");
    expect(messages).toContain("there is no original");
    await store.close();
  });

  test("takes a path to a single file, and refuses what it cannot compare", async () => {
    const { folder, store } = await imported();
    const one = join(folder, "one.safetensors");
    await store.importFile(one, { dataset: "single" });
    expect(await store.verifyAgainst("single", one)).toMatchObject({ ok: true, files: 1 });
    await expect(store.verifyAgainst("m", one)).rejects.toMatchObject({ tag: "usage" });
    await expect(store.verifyAgainst("nothing", folder)).rejects.toMatchObject({ tag: "not-found" });
    await expect(store.verifyAgainst("m", join(folder, "nowhere"))).rejects.toMatchObject({
      tag: "not-found",
    });
    await store.createDataset("records");
    await expect(store.verifyAgainst("records", folder)).rejects.toMatchObject({ tag: "not-found" });
    await store.close();
  });

  test("says that quantized files are not exact", async () => {
    const { folder, store } = await imported();
    await store.importFile(join(folder, "one.safetensors"), { dataset: "q", preset: "maximum" });
    const { ok, problems } = await store.verifyAgainst("q", folder);
    expect(ok).toBe(false);
    expect(problems).toEqual([
      { file: "one.safetensors", message: "is not exact: 2 of its tensors are stored quantized" },
    ]);
    // The other files of the store are checked, this one cannot be.
    expect(await store.verify({ deep: true })).toMatchObject({ ok: true, files: 3 });
    await store.close();
  });

  test("names the file whose bytes cannot be had", async () => {
    const { folder, store } = await imported();
    const context = await contextOf(store);
    const files = context.parts.files as MemoryFileSystem;
    const [row] = context.catalog.chunksInPack(1);
    await flip(files, files.paths().find((each) => each.endsWith(".pack"))!, row!.offset + 70);
    const { problems } = await store.verify({ deep: true });
    expect(problems).toHaveLength(2);
    expect(problems[1]!.message).toContain("cannot be read");
    expect((await store.verifyAgainst("m", folder)).problems).toHaveLength(1);
    await store.close();
  });
});
