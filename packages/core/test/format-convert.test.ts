/** Conversions and exported selections as library calls: files under their names or not at all, names, metadata, cancelling. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AlreadyExistsError, CancelledError, dtypeOf, InvalidFileError, UsageError } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import {
  convertFiles,
  inputTensors,
  layoutSafetensors,
  openStore,
  planFile,
  writeTensors,
} from "../src/index.ts";
import { numpyArrays, numpyWritten } from "./format-npy-cases.ts";
import { floats, newStore, randomTensor, sameBytes, temporaryDirectory } from "./store-harness.ts";

const float32 = dtypeOf("float32");

/** A safetensors file whose tensors hold their own numbers. */
function writeModel(path: string, names: readonly string[], metadata: Record<string, string> = {}): void {
  const layout = layoutSafetensors(
    names.map((name) => ({ name, dtype: float32, shape: [1] })),
    metadata,
  );
  const data = new Float32Array(layout.tensors.map((_, index) => index + 1));
  writeFileSync(path, Buffer.concat([layout.header, new Uint8Array(data.buffer)]));
}

describe("files of tensors", () => {
  it("appear under their names when they are complete, in folders that are made", async () => {
    const folder = temporaryDirectory();
    const out = join(folder, "a/b/x.npy");
    const bytes = new Uint8Array(new Float32Array([1, 2]).buffer);
    const tensor = {
      name: "x",
      dtype: float32,
      shape: [2],
      async *elements() {
        expect(readdirSync(join(folder, "a/b"))).toEqual([expect.stringMatching(/^x\.npy\..*\.partial$/)]);
        yield bytes;
      },
    };
    const written = await writeTensors(out, [tensor]);
    expect(readFileSync(out)).toHaveLength(written);
    expect(readdirSync(join(folder, "a/b"))).toEqual(["x.npy"]);
    await expect(writeTensors(out, [tensor])).rejects.toThrow(AlreadyExistsError);
    const broken = {
      ...tensor,
      async *elements() {
        yield bytes;
        throw new Error("broken");
      },
    };
    await expect(writeTensors(out, [broken], { replace: true })).rejects.toThrow("broken");
    expect(readdirSync(join(folder, "a/b"))).toEqual(["x.npy"]);
    expect(readFileSync(out)).toHaveLength(written);
  });

  it("need a format that can be written", async () => {
    await expect(writeTensors("x.pt", [])).rejects.toThrow("the extension of x.pt is none of a format");
    await expect(writeTensors(async () => undefined, [])).rejects.toThrow("which format?");
    await expect(writeTensors("x.npy", [], { format: "onnx" })).rejects.toThrow('"onnx" cannot be written');
  });
});

describe("convertFiles", () => {
  it("keeps the metadata of records under the names that they get", async () => {
    const folder = temporaryDirectory();
    const records = { "tensorcask.records": '{"w":{"label":3}}' };
    writeModel(join(folder, "a.safetensors"), ["w"], { format: "pt", ...records });
    writeModel(join(folder, "b.safetensors"), ["w"], { format: "pt", "tensorcask.records": "not ours" });
    const inputs = [join(folder, "a.safetensors"), join(folder, "b.safetensors")];
    const out = join(folder, "c.safetensors");
    await convertFiles(inputs, out, { prefix: true });
    const { plans, tensors, close } = await inputTensors([out]);
    expect(plans[0]!.metadata).toEqual({
      format: "pt",
      "tensorcask.records": '{"a.safetensors#w":{"label":3}}',
    });
    expect(tensors.map(({ name, metadata }) => [name, metadata])).toEqual([
      ["a.safetensors#w", { label: 3 }],
      ["b.safetensors#w", undefined],
    ]);
    await close();
  });

  it("tells how far it is and stops when it is told to, leaving nothing", async () => {
    const folder = temporaryDirectory();
    writeModel(join(folder, "a.safetensors"), ["a", "b"]);
    const out = join(folder, "a.npz");
    const seen: number[] = [];
    await convertFiles([join(folder, "a.safetensors")], out, {
      onProgress: ({ phase, done, total }) => {
        expect({ phase, total }).toEqual({ phase: "convert", total: 8 });
        seen.push(done);
      },
    });
    expect(seen.at(-1)).toBe(readFileSync(out).length);
    const controller = new AbortController();
    controller.abort();
    const stopped = convertFiles([join(folder, "a.safetensors")], join(folder, "b.npz"), {
      signal: controller.signal,
    });
    await expect(stopped).rejects.toThrow(CancelledError);
    expect(readdirSync(folder).sort()).toEqual(["a.npz", "a.safetensors"]);
  });

  it("goes back and forth between more files than it holds open", async () => {
    const folder = temporaryDirectory();
    // Written in the order of their dtypes: each file is visited twice.
    const inputs = Array.from({ length: 40 }, (_, index) => {
      const path = join(folder, `f${index}.safetensors`);
      const layout = layoutSafetensors([
        { name: `wide${index}`, dtype: float32, shape: [1] },
        { name: `narrow${index}`, dtype: dtypeOf("uint8"), shape: [1] },
      ]);
      writeFileSync(path, Buffer.concat([layout.header, Uint8Array.of(index, 0, 0, 0, 100 + index)]));
      return path;
    });
    const out = join(folder, "all.safetensors");
    expect(await convertFiles(inputs, out)).toMatchObject({ files: 40, tensors: 80 });
    const { tensors, close } = await inputTensors([out]);
    for (const { name, elements } of tensors) {
      const index = Number(name.replace(/\D+/, ""));
      for await (const piece of elements())
        expect(piece[0]).toBe(name.startsWith("wide") ? index : 100 + index);
    }
    await close();
  });

  it("refuses a file that changed since it was planned, and one that only looks like a format", async () => {
    const folder = temporaryDirectory();
    const path = join(folder, "x.npz");
    writeFileSync(path, numpyWritten("npz"));
    const { tensors, close } = await inputTensors([path]);
    writeFileSync(path, numpyWritten("npzCompressed"));
    await expect(tensors[0]!.elements()[Symbol.asyncIterator]().next()).rejects.toThrow("changed");
    await close();
    writeFileSync(path, numpyArrays.v1.subarray(0, 100));
    await expect(planFile(path, "piped")).rejects.toThrow(InvalidFileError);
    await expect(convertFiles([], join(folder, "y.npz"))).rejects.toThrow(UsageError);
  });
});

describe("exportRecords", () => {
  it("writes what is stored, by name, selection and version", async () => {
    const store = await newStore();
    const dataset = await store.createDataset("d", { metadata: { source: "tests" } });
    const large = floats([700, 900]);
    await dataset.insert(large, { name: "large", metadata: { kind: "big" } });
    await dataset.insert(randomTensor("bfloat16", [3]), { name: "half" });
    const folder = temporaryDirectory();
    const out = join(folder, "d.safetensors");
    const result = await dataset.exportRecords(out);
    expect(result).toMatchObject({ format: "safetensors", tensors: 2, exact: true, metadataDropped: false });
    const { plans, tensors, close } = await inputTensors([out]);
    expect(plans[0]!.metadata).toEqual({
      "tensorcask.dataset": '{"source":"tests"}',
      "tensorcask.records": '{"large":{"kind":"big"}}',
    });
    const pieces: Buffer[] = [];
    for await (const piece of tensors[0]!.elements()) pieces.push(Buffer.from(piece));
    expect(tensors[0]!.name).toBe("large");
    expect(sameBytes(Buffer.concat(pieces), new Uint8Array(large.data.buffer))).toBe(true);
    await close();

    await dataset.tag("before");
    await dataset.delete("half");
    const sink: Uint8Array[] = [];
    const old = await dataset.at("before").exportRecords(
      async (bytes) => {
        sink.push(bytes.slice());
      },
      { format: "npz", as: "float32" },
    );
    expect(old).toMatchObject({ tensors: 2, converted: 1, exact: false, metadataDropped: true });
    expect(Buffer.concat(sink)).toHaveLength(old.bytes);
    const npy = join(folder, "one.npy");
    await dataset.exportRecords(npy, { where: { kind: "big" } });
    await expect(dataset.exportRecords(npy, { replace: false })).rejects.toThrow(AlreadyExistsError);
    await expect(dataset.exportRecords(npy, { names: ["half"] })).rejects.toThrow('"half"');
    await expect(dataset.exportRecords(npy, { names: ["large"], where: {} })).rejects.toThrow(UsageError);
    await expect(dataset.exportRecords(npy, { As: "float32" } as object)).rejects.toThrow("it is spelled as");
  });

  it("ends a read that is stopped in the middle, and the store goes on", async () => {
    const store = await openStore(":memory:", { workers: 0, chunkElements: 4096 });
    const dataset = await store.createDataset("d");
    const tensor = floats([64, 16_384]);
    await dataset.insert(tensor, { name: "large" });
    const stop = async (): Promise<never> => {
      throw new Error("stop");
    };
    for (let turn = 0; turn < 20; turn++) {
      await expect(dataset.exportRecords(stop, { format: "npy" })).rejects.toThrow("stop");
    }
    expect(sameBytes((await dataset.get("large"))!.bytes(), new Uint8Array(tensor.data.buffer))).toBe(true);
    await store.close();
  });
});
