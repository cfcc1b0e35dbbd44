/**
 * docs/format.md is enough to read a store: the reader in format-spec/, which was written from that page and shares no code with the
 * library, reads what the library writes, and the hex dump on the page.
 */
import { createHash } from "node:crypto";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { zstdCompressSync } from "node:zlib";
import {
  codecOf,
  codecs,
  dtypeOf,
  dtypes,
  ElementGeometry,
  type JsonObject,
  ready,
  siblingCodecs,
  sketch,
} from "@tensorcask/codec";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Dataset, openStore, type Store } from "../src/index.ts";
import { recordIdText } from "../src/store/record-id.ts";
import { bytesOf, chunkLengths, contentLengths, elementBits, keyOf } from "./format-spec/arrays.ts";
import { SpecError, xxHash64 } from "./format-spec/bytes.ts";
import { decodeStep } from "./format-spec/codecs.ts";
import type { SpecTensor } from "./format-spec/operations.ts";
import {
  bfloat16,
  bytesOfArray,
  noise,
  plainWeights,
  samples,
  sampleTypes,
  typedSamples,
  weights,
} from "./format-spec/samples.ts";
import { siblingSamples } from "./format-spec/sibling-samples.ts";
import { sketchOf } from "./format-spec/sketches.ts";
import { SpecStore } from "./format-spec/store.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/format.md"), "utf8");

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tensorcask-format-"));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function withStore(
  options: Parameters<typeof openStore>[1],
  run: (store: Store, dataset: Dataset) => Promise<void>,
): Promise<SpecStore> {
  const store = await openStore(directory, { workers: 0, ...options });
  try {
    await run(store, (await store.dataset("d")) ?? (await store.createDataset("d")));
  } finally {
    await store.close();
  }
  return new SpecStore(directory);
}

describe("the page", () => {
  test("its hex dump is a store, for the independent reader and for the library", async () => {
    const example = join(directory, "example");
    for (const [, kind, path, body] of page.matchAll(/```(json|hexdump) (\S+)\n([\s\S]*?)\n```/g)) {
      const target = join(example, path!);
      mkdirSync(dirname(target), { recursive: true });
      if (kind === "json") {
        writeFileSync(target, `${body}\n`);
        continue;
      }
      const lines = body!.split("\n").map((line) => /^([0-9a-f]{4}) {2}((?:[0-9a-f]{2} ?)+)/.exec(line));
      let bytes = Buffer.alloc(0);
      for (const line of lines) {
        expect(Number.parseInt(line![1]!, 16)).toBe(bytes.length);
        bytes = Buffer.concat([bytes, Buffer.from(line![2]!.replaceAll(" ", ""), "hex")]);
      }
      writeFileSync(target, bytes);
    }
    const raw = new Float32Array([1, 2, 3, 4]);
    const coded = new Float32Array([1, -2, 3, -5, 7, -11, 13, -17]);
    const spec = new SpecStore(example);
    expect(spec.read("pets", "raw")).toEqual(bytesOfArray(raw));
    expect(spec.read("pets", "coded")).toEqual(bytesOfArray(coded));
    expect(spec.records("pets").map(({ metadata }) => metadata)).toEqual([{ label: 3 }, undefined]);

    const store = await openStore(example, { workers: 0 });
    const pets = (await store.dataset("pets"))!;
    expect((await pets.get("raw"))!.data).toEqual(raw);
    expect((await pets.get("coded"))!.data).toEqual(coded);
    expect((await pets.info("raw"))!.metadata).toEqual({ label: 3 });
    await store.close();
  });

  test("names every element type with its code and bits", () => {
    const narrow = page.replaceAll(/ +/g, " ");
    for (const { code, name, bits } of dtypes) {
      expect(narrow).toContain(`| ${code} | ${name} | ${bits} |`);
      expect(elementBits[code]).toBe(bits);
    }
    expect(dtypes.length).toBe(elementBits.length - 1);
  });

  test("its cuts by elements are the library's (property)", () => {
    const axis = fc.oneof(fc.nat(5), fc.nat(300), fc.constantFrom(63, 64, 65, 127, 128, 129));
    const shapes = fc.array(axis, { maxLength: 4 });
    fc.assert(
      fc.property(
        fc.constantFrom(...dtypes),
        shapes,
        fc.constantFrom(64, 128, 192, 1024),
        (dtype, shape, chunkElements) => {
          const geometry = new ElementGeometry(dtype, shape, chunkElements);
          fc.pre(geometry.chunkCount < 5000);
          const lengths = Array.from({ length: geometry.chunkCount }, (_, chunk) => {
            const { start, end } = geometry.byteRange(chunk);
            return end - start;
          });
          expect(chunkLengths(dtype.code, shape, chunkElements)).toEqual(lengths);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("the reader's own xxHash64 is right", () => {
    expect(xxHash64(Buffer.alloc(0)).toString(16)).toBe("ef46db3751d8e999");
    expect(xxHash64(Buffer.from("abc")).toString(16)).toBe("44bc2cf5ad770999");
  });
});

describe("sketches", () => {
  test("are taken as the page says", async () => {
    for (const count of [4095, 4096, 5000, 65_537, 131_072, 140_000]) {
      const values = plainWeights(count, count);
      const whole = values.map((value) => Math.round(1000 * value));
      const cases: [string, ArrayBufferView, ArrayLike<number>][] = [
        ["float32", values, values],
        ["int16", Int16Array.from(whole), whole],
        ["int8", Int8Array.from(whole), Int8Array.from(whole)],
        ["uint8", Uint8Array.from(whole), Uint8Array.from(whole)],
        ["float16", new Float16Array(values), new Float16Array(values)],
        ["float64", Float64Array.from(values), values],
        ["int64", BigInt64Array.from(whole, BigInt), whole],
        [
          "bool",
          Uint8Array.from(whole, (value) => (value > 0 ? 1 : 0)),
          whole.map((value) => (value > 0 ? 1 : 0)),
        ],
      ];
      for (const [type, data, numbers] of cases) {
        const taken = sketch(Uint8Array.from(bytesOfArray(data)), dtypeOf(type));
        expect(taken && [...taken], `${count} ${type}`).toEqual(sketchOf(Array.from(numbers)));
        expect(taken !== undefined).toBe(count >= 4096 && type !== "bool");
      }
    }
  });
});

describe("codecs", () => {
  /** Parameters that change the layout, beside none. */
  const variants: Record<string, readonly JsonObject[]> = {
    bpe: [{ ids: "whole" }],
    sparse: [{ skip: 3 }],
    cluster: [{ skip: 1 }],
    hierarchical: [{ adaptive: false }],
    context: [{ wordBytes: 4, exponentBits: 8, skip: 1 }],
  };
  const cases = [
    ...Object.entries(samples).flatMap(([name, bytes]) => sampleTypes.map((type) => ({ name, bytes, type }))),
    ...Object.entries(typedSamples).map(([name, sample]) => ({ name, ...sample })),
  ];

  test.each(codecs.map((codec) => [codec.id, codec] as const))(
    "%s decodes as the page says",
    async (_id, codec) => {
      await ready();
      expect(page.replaceAll(/ +/g, " ")).toMatch(
        new RegExp(`\\| [^|]*\\b${codec.code}\\b[^|]* \\| [^|]*\\b${codec.id}\\b`),
      );
      // Where a codec takes seconds over a megabyte, shorter samples do, and one type for each kind of words.
      const slow = codec.id === "context";
      const distinct = ["uint8", "bfloat16", "float32", "int64"];
      const read = new Set<string>();
      for (const parameters of [{}, ...(variants[codec.id] ?? [])]) {
        for (const { name, bytes: sample, type } of cases) {
          if (slow && !distinct.includes(type)) continue;
          const bytes = slow ? sample.subarray(0, 10_000) : sample;
          const input = Uint8Array.from(bytes);
          const coded = codec.encode(input, { dtype: dtypeOf(type) }, codec.parse(parameters));
          const payload = `${name} ${Buffer.from(coded).toString("base64")}`;
          if (read.has(payload)) continue;
          read.add(payload);
          const decoded = decodeStep(codec.code, Buffer.from(coded), bytes.length);
          expect(Buffer.compare(decoded, bytes), `${name} as ${type}`).toBe(0);
        }
      }
    },
    120_000,
  );

  test.each(siblingCodecs.map((codec) => [codec.id, codec] as const))(
    "%s decodes as the page says, with its sibling",
    async (_id, codec) => {
      await ready();
      expect(page.replaceAll(/ +/g, " ")).toMatch(
        new RegExp(`\\| [^|]*\\b${codec.code}\\b[^|]* \\| [^|]*\\b${codec.id}\\b`),
      );
      for (const { name, bytes, other, type, otherType } of siblingSamples()) {
        const input = Uint8Array.from(bytes);
        const sibling = { bytes: Uint8Array.from(other), dtype: dtypeOf(otherType) };
        const coded = codec.encode(input, { dtype: dtypeOf(type), sibling }, {});
        const decoded = decodeStep(codec.code, Buffer.from(coded), bytes.length, other);
        expect(Buffer.compare(decoded, bytes), `${name}, ${type} given ${otherType}`).toBe(0);
      }
    },
    120_000,
  );

  test("frames of pattern251 that the library reads and does not write", async () => {
    await ready();
    const bytes = typedSamples.text!.bytes.subarray(0, 3000);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    // A block of literals only: 15, and what is beyond it in bytes.
    const more = bytes.length - 15;
    const literals = Buffer.concat([
      Buffer.of(0xf0, ...new Array<number>(Math.floor(more / 255)).fill(255), more % 255),
      bytes,
    ]);
    const contents = { ZSTD: zstdCompressSync(bytes), "LZ4 ": literals, NONE: bytes };
    for (const [letters, content] of Object.entries(contents)) {
      const frame = Buffer.concat([Buffer.from(letters), length, content]);
      expect(decodeStep(15, frame, bytes.length)).toEqual(bytes);
      const decoded = codecOf("pattern251").decode(frame, { dtype: dtypeOf("uint8"), bytes: bytes.length });
      expect(Buffer.compare(decoded, bytes), letters).toBe(0);
    }
  });
});

describe("stores that the library wrote", () => {
  test("tensors of every element type, raw and by planes", async () => {
    const shapes = [[], [3], [2, 5], [700], [3, 5, 70], [4, 3000]];
    // Blocks hold up to 256 values: so many fewer make as many chunks.
    const blockShapes = [[], [3], [2, 5], [70], [3, 5, 7], [4, 90]];
    const samples = dtypes.flatMap(({ code, name, kind }) =>
      (kind === "block" ? blockShapes : shapes).map((shape, index) => {
        const bytes = bytesOf(code, shape);
        return { name: `${name} ${index}`, dtype: name, shape, data: noise(bytes, code + 100 * index) };
      }),
    );
    const spec = await withStore({ chunkElements: 1024 }, async (store, dataset) => {
      await store.definePreset("planes", { codec: "planes" });
      for (const preset of ["none", "planes"]) {
        const items = samples.map(({ name, ...tensor }) => ({ name: `${preset} ${name}`, preset, tensor }));
        await dataset.insertMany(items);
      }
    });
    for (const { name, data } of samples) {
      for (const preset of ["none", "planes"]) expect(spec.read("d", `${preset} ${name}`)).toEqual(data);
    }
  });

  test("weights under every lossless preset and codec chain", async () => {
    const tensors = {
      float32: { dtype: "float32", shape: [40, 1000], data: weights(40_000, 1) },
      bfloat16: { dtype: "bfloat16", shape: [300, 130], data: bfloat16(weights(39_000, 2)) },
      held: {
        dtype: "float32",
        shape: [9, 999],
        data: new Float32Array(Uint32Array.from(bfloat16(weights(8991, 3)), (half) => half << 16).buffer),
      },
      counts: { dtype: "int32", shape: [5000], data: Int32Array.from({ length: 5000 }, (_, i) => i >> 3) },
      small: { dtype: "float64", shape: [100], data: Float64Array.from({ length: 100 }, (_, i) => i / 7) },
      complex: { dtype: "complex64", shape: [33, 33], data: weights(2178, 4) },
    };
    const codecs = {
      gzip: "gzip",
      lz4: "lz4",
      zstd: "zstd",
      planes: "planes",
      long: ["planes", { id: "zstd", level: 9 }, "gzip"],
      raw: "none",
    };
    const used = new Set<number>();
    // One store each: equal chunks would share the frame of the first.
    for (const preset of [
      "none",
      "fast",
      "lossless",
      "lossless-fast",
      "archive",
      ...Object.keys(codecs).map((id) => `my-${id}`),
    ]) {
      rmSync(directory, { recursive: true, force: true });
      const spec = await withStore({ chunkElements: 8192 }, async (store, dataset) => {
        for (const [id, codec] of Object.entries(codecs)) await store.definePreset(`my-${id}`, { codec });
        const items = Object.entries(tensors).map(([name, tensor]) => ({ name, preset, tensor }));
        await dataset.insertMany(items);
      });
      for (const [name, { data }] of Object.entries(tensors))
        expect(spec.read("d", name), `${preset} ${name}`).toEqual(bytesOfArray(data));
      for (const { steps } of spec.chunks.values()) for (const { code } of steps) used.add(code);
    }
    expect([...used]).toEqual(expect.arrayContaining([1, 2, 3, 5]));
  });

  test("quantized tensors come back as the library gives them back", async () => {
    const huge = new Float64Array([Number.MAX_VALUE, -Number.MAX_VALUE, 1, 0]);
    const tensors: Record<
      string,
      { dtype: string; shape: number[]; data: Float32Array | Float64Array | Uint16Array }
    > = {
      matrix: { dtype: "float32", shape: [50, 400], data: weights(20_000, 5) },
      vector: { dtype: "float32", shape: [3000], data: weights(3000, 6).map((value) => value + 10) },
      doubles: { dtype: "float64", shape: [30, 200], data: Float64Array.from(weights(6000, 7)) },
      halves: { dtype: "bfloat16", shape: [64, 64], data: bfloat16(weights(4096, 8)) },
      extremes: {
        dtype: "float64",
        shape: [128],
        data: Float64Array.from({ length: 128 }, (_, i) => huge[i % 4]!),
      },
    };
    const known = new Map<string, Buffer>();
    const spec = await withStore({ chunkElements: 4096 }, async (store, dataset) => {
      await store.definePreset("whole", { quantizer: { id: "int8", granularity: "tensor" }, codec: "none" });
      for (const preset of ["int8_only", "fp16_only", "maximum", "balanced", "whole"]) {
        for (const [name, tensor] of Object.entries(tensors))
          await dataset.insert(tensor, { name: `${preset} ${name}`, preset });
      }
      for await (const record of dataset.records())
        known.set(record.name!, Buffer.from((await record.read()).bytes()));
    });
    const quantized = [...spec.tensors.values()].filter(({ quantizer }) => quantizer !== undefined);
    expect(quantized.length).toBeGreaterThan(10);
    for (const [name, bytes] of known) expect(Buffer.compare(spec.read("d", name), bytes), name).toBe(0);
    expect([...spec.tensors.values()].filter(({ note }) => note?.includes("float16"))).not.toEqual([]);
  });

  test("imported files, opaque ones cut by content, come back bit by bit", async () => {
    const opaque = noise(900_000, 9);
    const values = bytesOfArray(weights(30_000, 10));
    const header = Buffer.from(
      JSON.stringify({
        w: { dtype: "F32", shape: [300, 100], data_offsets: [0, 120_000] },
        empty: { dtype: "BF16", shape: [0, 4], data_offsets: [120_000, 120_000] },
      }),
    );
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    const files = {
      "model.safetensors": Buffer.concat([length, header, values]),
      "data.bin": opaque,
      "tiny.txt": Buffer.from("a few bytes"),
      "nothing.txt": Buffer.alloc(0),
    };
    const folder = join(directory, "in");
    mkdirSync(folder);
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    directory = join(directory, "store");
    const spec = await withStore({}, async (store) => {
      await store.importFile(folder, { dataset: "files" });
    });
    expect(Object.fromEntries(spec.files("files").map((file) => [file.path, spec.fileBytes(file)]))).toEqual(
      files,
    );
    for (const file of spec.files("files")) {
      expect(file.bytes).toBe(files[file.path as keyof typeof files].length);
      expect(createHash("sha256").update(spec.fileBytes(file)).digest()).toEqual(file.sha256);
    }
    expect(spec.read("files", "w")).toEqual(values);
    expect(spec.read("files", "empty").length).toBe(0);
    expect(contentLengths(opaque).length).toBeGreaterThan(5);
    directory = dirname(directory);
  });

  test("tensor keys follow from the page", async () => {
    const spec = await withStore({ chunkElements: 1024 }, async (_store, dataset) => {
      await dataset.insert({ dtype: "float32", shape: [5000], data: weights(5000, 11) }, { name: "chunks" });
      await dataset.insert({ dtype: "int16", shape: [3, 7], data: new Int16Array(21) }, { name: "small" });
      await dataset.insert({ dtype: "uint8", shape: [0], data: new Uint8Array(0) }, { name: "empty" });
      const tensor = { dtype: "float32", shape: [60, 50], data: weights(3000, 12) };
      await dataset.insert(tensor, { name: "int8", preset: "int8_only" });
      const nan = { dtype: "float32", shape: [1000], data: new Float32Array(1000).fill(Number.NaN) };
      await dataset.insert(nan, { name: "refused", preset: "int8_only" });
    });
    const tensorOf = (name: string): SpecTensor =>
      spec.tensors.get(spec.records("d").find((record) => record.name === name)!.tensor)!;
    for (const name of ["chunks", "small", "empty"]) {
      const { key, dtype, shape, geometry } = tensorOf(name);
      const bytes = spec.read("d", name);
      const lengths =
        bytes.length < 4096 ? (bytes.length === 0 ? [] : [bytes.length]) : chunkLengths(dtype, shape, 1024);
      expect(keyOf(bytes, lengths, { dtype, shape, geometry, chunkElements: 1024 })).toEqual(key);
    }
    const { note, ...refused } = tensorOf("refused");
    expect(
      keyOf(spec.read("d", "refused"), [4000], {
        ...refused,
        chunkElements: 1024,
        quantizer: JSON.stringify({ id: "none", parameters: { note } }),
      }),
    ).toEqual(refused.key);
    const { key, dtype, shape, geometry } = tensorOf("int8");
    const quantizer = '{"id":"int8","parameters":{"granularity":"auto"}}';
    const parts = { dtype, shape, geometry, chunkElements: 1024, quantizer };
    expect(keyOf(bytesOfArray(weights(3000, 12)), chunkLengths(dtype, shape, 1024), parts)).toEqual(key);
  });

  test("versions, tags, renames, deletes and rollbacks", async () => {
    const one = new Float32Array([1]);
    const two = new Float32Array([2]);
    let versions: readonly number[] = [];
    const ids: string[] = [];
    const spec = await withStore({}, async (store, dataset) => {
      await dataset.insert(
        { dtype: "float32", shape: [1], data: one },
        { name: "a", metadata: { x: [1, "é"] } },
      );
      await dataset.tag("first");
      await dataset.update("a", {
        tensor: { dtype: "float32", shape: [1], data: two },
        metadata: { y: null, z: 2 },
      });
      await dataset.insert({ dtype: "float32", shape: [], data: one });
      await dataset.update("a", { name: "b" });
      await dataset.delete("b");
      await dataset.rollback("first");
      versions = (await dataset.versions()).map(({ version }) => version);
      for await (const record of dataset.records()) ids.push(record.id);
      await store.renameDataset("d", "e");
      await (await store.createDataset("gone")).insert({ dtype: "float32", shape: [1], data: one });
      await store.deleteDataset("gone");
      await store.setKeepVersions(3);
    });
    expect([...spec.datasets.values()].map(({ name }) => name)).toEqual(["e"]);
    const { version, tags, versions: kept } = spec.dataset("e");
    expect([...kept.keys()]).toEqual(versions);
    expect(version).toBe(6);
    expect(tags).toEqual(new Map([["first", 1]]));
    expect(spec.settings).toEqual({ keepVersions: 3 });
    expect(spec.records("e").map(({ id }) => recordIdText(Buffer.from(id, "hex")))).toEqual(ids);
    expect(spec.read("e", "a")).toEqual(bytesOfArray(one));
    expect(spec.read("e", "a", 1)).toEqual(bytesOfArray(one));
    expect(spec.read("e", "a", 2)).toEqual(bytesOfArray(two));
    expect(spec.read("e", "b", 4)).toEqual(bytesOfArray(two));
    expect(spec.records("e", 5).map(({ name }) => name)).toEqual([undefined]);
    expect(spec.records("e", 2)[0]!.metadata).toEqual({ x: [1, "é"], z: 2 });
  });

  test("after garbage collection: a snapshot, moved chunks, one chain", async () => {
    const kept = weights(20_000, 13);
    await withStore({ chunkElements: 1024 }, async (_store, dataset) => {
      for (let index = 0; index < 6; index++) {
        const data = index === 3 ? kept : weights(20_000, 20 + index);
        await dataset.insert({ dtype: "float32", shape: [20_000], data }, { name: `t${index}` });
      }
    });
    const before = await withStore({}, async (_store, dataset) => {
      for (const index of [0, 1, 2, 4]) await dataset.delete(`t${index}`);
      await dataset.tag("tagged");
      await dataset.delete("t5");
    });
    const spec = await withStore({}, async (store, dataset) => {
      await store.gc();
      await dataset.insert({ dtype: "uint8", shape: [2], data: Uint8Array.of(1, 2) }, { name: "late" });
    });
    expect(readdirSync(join(directory, "journal")).sort()).toEqual([
      "00000002-00000000.log",
      "00000002-00000001.log",
    ]);
    expect(spec.entries.some(({ final }) => final)).toBe(true);
    expect(spec.read("d", "t3")).toEqual(bytesOfArray(kept));
    expect(spec.read("d", "late")).toEqual(Buffer.of(1, 2));
    expect(spec.records("d").map(({ name }) => name)).toEqual(["t3", "late"]);
    const tagged = spec.dataset("d").tags.get("tagged")!;
    expect(spec.records("d", tagged).map(({ name }) => name)).toEqual(["t3", "t5"]);
    expect(spec.dataset("d").versions.get(tagged)).toEqual(before.dataset("d").versions.get(tagged));
    expect(spec.tensors.size).toBe(3);
  });

  test("the rest of a commit that did not happen is void; damage before the end is not", async () => {
    await withStore({}, async (_store, dataset) => {
      for (const name of ["a", "b"])
        await dataset.insert({ dtype: "uint8", shape: [3], data: Buffer.from(`${name}xy`) }, { name });
    });
    const segment = join(directory, "journal", "00000001-00000001.log");
    const whole = readFileSync(segment);
    const [, first, last] = new SpecStore(directory).entries;
    appendFileSync(segment, whole.subarray(first!.end, first!.end + 60));
    expect(new SpecStore(directory).entries.length).toBe(3);
    writeFileSync(segment, whole.subarray(0, last!.end - 1));
    expect(new SpecStore(directory).records("d").map(({ name }) => name)).toEqual(["a"]);
    const damaged = Buffer.from(whole);
    damaged[first!.end - 40]! ^= 1;
    writeFileSync(segment, damaged);
    expect(() => new SpecStore(directory)).toThrow(SpecError);
    writeFileSync(segment, whole);
    const [pack] = readdirSync(join(directory, "packs"));
    appendFileSync(join(directory, "packs", pack!), noise(100, 1));
    expect(new SpecStore(directory).read("d", "b")).toEqual(Buffer.from("bxy"));
  });
});
