import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { constants, deflateRawSync } from "node:zlib";
import { dtypeOf, InvalidFileError, UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FormatPlan } from "../src/format/format.ts";
import { npz } from "../src/format/npz/plan.ts";
import { rowMajor, wholeElements } from "../src/format/npz/row-major.ts";
import { npzWriter } from "../src/format/npz/writer.ts";
import { safetensors } from "../src/format/safetensors/plan.ts";
import { safetensorsWriter } from "../src/format/safetensors/writer.ts";
import type { OutputTensor, TensorWriter } from "../src/format/writer.ts";
import { readZipDirectory } from "../src/format/zip/directory.ts";
import { bufferSource } from "../src/model/plan.ts";
import { checkPlan } from "./format-fuzz.ts";
import { npyOf, numpyArrays, numpyWritten } from "./format-npy-cases.ts";
import { zip64Extra, zipOf } from "./format-zip-cases.ts";

async function planOf(file: Uint8Array): Promise<FormatPlan> {
  const plan = await npz.plan(bufferSource("x.npz", file));
  checkPlan(plan, file.length);
  return plan;
}

async function concat(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const copies: Uint8Array[] = [];
  for await (const piece of pieces) copies.push(new Uint8Array(piece));
  return Buffer.concat(copies);
}

/** Tensors of a plan, without their place in the file. */
function tensorsOf({
  parts,
  derived = [],
}: FormatPlan): [name: string, dtype: string, shape: readonly number[]][] {
  const placed = parts.flatMap((part) => (part.kind === "tensor" ? [part] : []));
  return [...placed, ...derived].map(({ name, dtype, shape }) => [name, dtype.name, shape]);
}

const kept = {
  "text.npy": 'its dtype is "<U1": text',
  "obj.npy": "its elements are Python objects, held as a pickle",
};

describe("npz: NumPy's archives", () => {
  it("stored arrays are byte ranges", async () => {
    const file = numpyWritten("npz");
    const plan = await planOf(file);
    expect(tensorsOf(plan)).toEqual([
      ["row", "float32", [2, 3]],
      ["col", "int16", [2, 3]],
      ["é", "float16", []],
    ]);
    expect(plan.derived).toBeUndefined();
    expect(plan.metadata).toEqual({ keptAsBytes: kept });
    const [row, col, half] = plan.parts.flatMap((part) => (part.kind === "tensor" ? [part] : []));
    expect(row!.layout).toBeUndefined();
    expect([...new Float32Array(file.slice(row!.offset, row!.offset + 24).buffer)]).toEqual([
      0, 1, 2, 3, 4, 5,
    ]);
    expect(col!.layout).toEqual({ bigEndian: true, columnMajor: true });
    expect([...file.slice(half!.offset, half!.offset + 2)]).toEqual([0x00, 0x3e]);
  });

  it("deflated arrays are derived, row-major and little-endian", async () => {
    const file = numpyWritten("npzCompressed");
    const plan = await planOf(file);
    expect(tensorsOf(plan).map(([name]) => name)).toEqual(["row", "col", "é", "noise"]);
    expect(plan.parts).toEqual([{ kind: "literal", offset: 0, bytes: file.length }]);
    expect(plan.metadata).toEqual({ keptAsBytes: kept });
    const elements = await Promise.all(
      plan.derived!.map((tensor) => concat(tensor.elements(bufferSource("x.npz", file)))),
    );
    expect([...new Float32Array(new Uint8Array(elements[0]!).buffer)]).toEqual([0, 1, 2, 3, 4, 5]);
    expect([...new Int16Array(new Uint8Array(elements[1]!).buffer)]).toEqual([0, 1, 2, 3, 4, 5]);
    expect(elements[2]!.toString("hex")).toBe("003e");
    const noise = Array.from({ length: 400 }, (_, index) => (index * 2654435761) % 1000003);
    expect([...new Int32Array(new Uint8Array(elements[3]!).buffer)]).toEqual(noise);
    // A second pass gives the same.
    expect(await concat(plan.derived![1]!.elements(bufferSource("x.npz", file)))).toEqual(elements[1]);
  });

  it("the trained classifier's evaluation set", async () => {
    const path = fileURLToPath(new URL("../../../examples/data/byte-classifier-eval.npz", import.meta.url));
    const file = readFileSync(path);
    const plan = await planOf(file);
    expect(tensorsOf(plan)).toEqual([
      ["bytes", "int64", [600, 256]],
      ["labels", "int64", [600]],
    ]);
    const [, bytes, , labels] = plan.parts;
    const hash = (part: { offset: number; bytes: number }): string =>
      createHash("sha256")
        .update(file.subarray(part.offset, part.offset + part.bytes))
        .digest("hex");
    // From NumPy: hashlib.sha256(np.load(path)[name].tobytes())
    expect([hash(bytes!), hash(labels!)]).toEqual([
      "35c35c9c865f7f36705e20701c9c63bd56d30c76799d146a1d8abf8e6a1b5191",
      "0fd028a3cdddc30fe6baa409e9e4a0cbb52f1ec0c570e8dde16679dfdb910e23",
    ]);
  });
});

describe("npz: members", () => {
  const member = (name: string, data: Uint8Array, deflated = false) => ({ name, data, deflated });

  it("is claimed by extension, or by a first member that is an array", async () => {
    expect(npz.matches("a.npz", new Uint8Array(0))).toBe("name");
    expect(npz.matches("a", numpyWritten("npz").subarray(0, 256))).toBe("content");
    expect(npz.matches("a", zipOf([member("data.pkl", numpyArrays.v1)]).subarray(0, 256))).toBeUndefined();
    expect(npz.matches("a", Uint8Array.of(0x50, 0x4b, 3, 4))).toBeUndefined();
  });

  it("keeps members that are no arrays", async () => {
    const file = zipOf([
      member("readme.txt", numpyArrays.v1),
      member("a/b.npy", numpyArrays.v1),
      member("NPY", numpyArrays.v1),
    ]);
    const plan = await planOf(file);
    expect(tensorsOf(plan).map(([name]) => name)).toEqual(["a/b"]);
    expect(plan.metadata).toBeUndefined();
    expect(await planOf(zipOf([]))).toEqual({ parts: [{ kind: "literal", offset: 0, bytes: 22 }] });
  });

  it.each([
    ["cut off", "missing-bytes", numpyArrays.v1.slice(0, -1)],
    ["with bytes behind it", "left-over-bytes", Uint8Array.of(...numpyArrays.v1, 0)],
    ["that is none", "npy-magic", new Uint8Array(200)],
    ["of no bytes", "npy-magic", new Uint8Array(0)],
    ["with code in its header", "npy-header", npyOf("exit()")],
  ])("refuses an array %s, by its name", async (_, rule, data) => {
    for (const deflated of [false, true]) {
      const error = await planOf(zipOf([member("layer.npy", data, deflated)])).catch(
        (caught: unknown) => caught,
      );
      expect(error).toBeInstanceOf(InvalidFileError);
      expect([(error as InvalidFileError).rule, (error as InvalidFileError).tensor]).toEqual([rule, "layer"]);
    }
  });

  it("refuses to turn a deflated array of more than 4 GiB", async () => {
    const header = npyOf("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 268435457)}");
    // The header and some elements, then empty blocks: as many bytes as the declared size needs to be possible.
    const empty = Buffer.alloc(5_000_000, Uint8Array.of(0, 0, 0, 255, 255));
    const begin = Buffer.concat([header, new Uint8Array(1000)]);
    const raw = Buffer.concat([deflateRawSync(begin, { finishFlush: constants.Z_SYNC_FLUSH }), empty]);
    const extra = zip64Extra(header.length + 2 ** 32 + 16);
    const file = zipOf([{ ...member("big.npy", header, true), raw, both: { bytes: 0xffffffff, extra } }]);
    const error = await npz.plan(bufferSource("x", file)).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ rule: "column-major-limit", tensor: "big" });
  });

  it("finds damage when elements are taken", async () => {
    const file = zipOf([{ ...member("a.npy", numpyArrays.v1, true), both: { crc32: 7 } }]);
    const [tensor] = (await planOf(file)).derived!;
    await expect(concat(tensor!.elements(bufferSource("x", file)))).rejects.toMatchObject({
      rule: "zip-checksum",
    });
  });
});

describe("npz: column-major streams", () => {
  /** Row-major elements, the plain way: each element's place from its indexes. */
  function turned(shape: readonly number[], elementBytes: number, columnMajor: Uint8Array): Uint8Array {
    const result = new Uint8Array(columnMajor.length);
    for (let at = 0; at < columnMajor.length / elementBytes; at++) {
      let rest = at;
      let place = 0;
      let stride = columnMajor.length / elementBytes;
      for (const length of shape) {
        stride /= length;
        place += (rest % length) * stride;
        rest = Math.floor(rest / length);
      }
      result.set(columnMajor.subarray(at * elementBytes, (at + 1) * elementBytes), place * elementBytes);
    }
    return result;
  }

  async function* cut(bytes: Uint8Array, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
    let at = 0;
    for (let count = 0; at < bytes.length; count++) {
      const length = lengths[count % lengths.length]!;
      yield bytes.subarray(at, at + length);
      at += length;
    }
  }

  it("are turned for any shape, in slabs and pieces of any size", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 5 }),
        fc.constantFrom(1, 2, 4, 8, 16),
        fc.integer({ min: 16, max: 3000 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
        async (shape, elementBytes, slabBytes, lengths) => {
          const bytes = shape.reduce((product, length) => product * length, elementBytes);
          const data = new Uint8Array(bytes).map((_, index) => (index * 31) ^ (index >> 3));
          const stream = () => wholeElements(cut(data, lengths), elementBytes);
          const result = await concat(rowMajor(shape, elementBytes, stream, slabBytes));
          expect(result.equals(turned(shape, elementBytes, data))).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("of no elements give none", async () => {
    expect((await concat(rowMajor([0, 3], 4, () => cut(new Uint8Array(0), [1])))).length).toBe(0);
    expect((await concat(rowMajor([3, 0], 4, () => cut(new Uint8Array(0), [1])))).length).toBe(0);
  });
});

function output(name: string, dtype: string, shape: readonly number[], bytes: Uint8Array): OutputTensor {
  return {
    name,
    dtype: dtypeOf(dtype),
    shape,
    async *elements() {
      yield bytes.subarray(0, 1);
      yield bytes.subarray(1);
    },
  };
}

async function written(
  writer: TensorWriter,
  tensors: Iterable<OutputTensor>,
  metadata: Record<string, string> = {},
): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  await writer.write(tensors, metadata, async (piece) => {
    pieces.push(new Uint8Array(piece));
  });
  return Buffer.concat(pieces);
}

const outputs = fc.uniqueArray(
  fc
    .record({
      name: fc.string({ unit: "grapheme", maxLength: 20 }).filter((name) => !name.includes("\0")),
      dtype: fc.constantFrom("bool", "int8", "uint16", "float32", "complex128"),
      shape: fc.array(fc.nat(4), { maxLength: 4 }),
      fill: fc.nat(255),
    })
    .map(({ name, dtype, shape, fill }) => {
      const bytes = shape.reduce((product, length) => product * length, dtypeOf(dtype).bits / 8);
      return output(name, dtype, shape, new Uint8Array(bytes).fill(fill));
    }),
  { selector: ({ name }) => name, maxLength: 8 },
);

describe("npz: writer", () => {
  it("writes what the reader reads back, each array aligned, the same bytes each time", async () => {
    await fc.assert(
      fc.asyncProperty(outputs, async (tensors) => {
        const file = await written(npzWriter, tensors);
        expect(file.equals(await written(npzWriter, tensors))).toBe(true);
        const plan = await planOf(file);
        expect(tensorsOf(plan)).toEqual(tensors.map(({ name, dtype, shape }) => [name, dtype.name, shape]));
        const places = plan.parts.flatMap((part) => (part.kind === "tensor" ? [part] : []));
        for (const [index, { offset, bytes }] of places.entries()) {
          expect(offset % 64).toBe(0);
          expect(file.subarray(offset, offset + bytes).equals(await concat(tensors[index]!.elements()))).toBe(
            true,
          );
        }
      }),
      { numRuns: 100 },
    );
  });

  it("writes this archive", async () => {
    const file = await written(npzWriter, [output("a", "int8", [3], Uint8Array.of(1, 2, 3))]);
    // Read by np.load of NumPy 2.4.6 and tested by Info-ZIP's unzip when this was recorded.
    expect(createHash("sha256").update(file).digest("hex")).toBe(
      "395aeb9e0574cd5c50c85270e4fb6e1ab5043662709405c541f49bfaebeb1b77",
    );
    const [entry] = await readZipDirectory(bufferSource("x", file));
    expect(entry).toMatchObject({ name: "a.npy", method: "stored", bytes: 131, dataOffset: 64, flags: 8 });
  });

  it("refuses what an archive cannot hold before it writes", async () => {
    const one = Uint8Array.of(1);
    const good = output("good", "int8", [1], one);
    const refused: [OutputTensor, RegExp][] = [
      [good, /"good".*appears twice/],
      [output("\ud800", "int8", [1], one), /surrogate/],
      [output("a\0", "int8", [1], one), /NUL/],
      [output("a".repeat(65_532), "int8", [1], one), /65535 bytes/],
      [output("half", "bfloat16", [1], one), /"half".*--dtype float32/],
    ];
    for (const [tensor, message] of refused) {
      let pieces = 0;
      const write = npzWriter.write([good, tensor], {}, async () => {
        pieces++;
      });
      await expect(write).rejects.toThrow(UsageError);
      await expect(write).rejects.toThrow(message);
      expect(pieces).toBe(0);
    }
  });
});

describe("safetensors: writer of whole files", () => {
  it("writes what the reader reads back", async () => {
    const tensors = [
      output("b", "float32", [2], Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)),
      output("a", "bfloat16", [1], Uint8Array.of(9, 9)),
    ];
    const file = await written(safetensorsWriter, tensors, { format: "pt" });
    const plan = await safetensors.plan(bufferSource("x", file));
    expect(tensorsOf(plan)).toEqual([
      ["b", "float32", [2]],
      ["a", "bfloat16", [1]],
    ]);
    expect(plan.metadata).toEqual({ format: "pt" });
    expect([...file.subarray(-10)]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 9]);
    await expect(written(safetensorsWriter, [output("a", "int8", [2], Uint8Array.of(1))])).rejects.toThrow(
      "1 of 2",
    );
  });
});
