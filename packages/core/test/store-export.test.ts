import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  CancelledError,
  NotFoundError,
  StorageError,
  UsageError,
  VersionExpiredError,
} from "@tensorcask/codec";
import { describe, expect, test } from "vitest";
import {
  examplesData,
  failureOf,
  filesBelow,
  floats,
  kinds,
  newStore,
  noise,
  sameBytes,
  scalar,
  temporaryDirectory,
  writeSafetensors,
} from "./store-harness.ts";

describe.each(kinds)("exports (%s)", (kind) => {
  test("real models come back bit by bit, whole folders and single files", async () => {
    const store = await newStore(kind);
    const out = join(temporaryDirectory(), "out");
    await store.importFile(examplesData, { dataset: "zoo" });
    const originals = filesBelow(examplesData, "").filter((path) => !path.includes("/."));
    const result = await store.exportDataset("zoo", out);
    expect(result).toMatchObject({ exact: true, quantized: [] });
    expect(result.files).toHaveLength(originals.length);
    expect(result.bytes).toBe(originals.reduce((sum, path) => sum + readFileSync(path).length, 0));
    for (const path of originals)
      expect(sameBytes(readFileSync(path.replace(examplesData, out)), readFileSync(path)), path).toBe(true);
    expect(filesBelow(out, "")).toHaveLength(originals.length);
    const single = join(out, "renamed.safetensors");
    expect((await store.exportFile("zoo", "byte-classifier.safetensors", single)).files[0]!.target).toBe(
      single,
    );
    expect(
      sameBytes(readFileSync(single), readFileSync(join(examplesData, "byte-classifier.safetensors"))),
    ).toBe(true);
  });

  test("one file goes to the path itself when that has its extension, else into the folder", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "a.bin"), noise(50, 1));
    writeFileSync(join(folder, "README"), "read");
    await store.importFile(join(folder, "a.bin"), { dataset: "one" });
    await store.importFile(join(folder, "README"), { dataset: "plain" });
    await store.exportDataset("one", join(folder, "x.bin"));
    await store.exportDataset("one", join(folder, "x.dir"));
    await store.exportDataset("plain", join(folder, "plain"));
    expect(readFileSync(join(folder, "x.bin")).length).toBe(50);
    expect(readdirSync(join(folder, "x.dir"))).toEqual(["a.bin"]);
    expect(readdirSync(join(folder, "plain"))).toEqual(["README"]);
    // Again, over what is there.
    await store.exportDataset("one", join(folder, "x.bin"));
  });

  test("old versions and tags, and what is not there", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const path = writeSafetensors(join(folder, "m.safetensors"), { w: floats([50, 50], 1) });
    const first = readFileSync(path);
    await store.importFile(path, { dataset: "a" });
    const dataset = (await store.dataset("a"))!;
    await dataset.tag("v1");
    writeSafetensors(path, { w: floats([50, 50], 2), b: scalar(1) });
    const second = readFileSync(path);
    await store.importFile(path, { dataset: "a" });
    // A record that was changed by hand does not change the file that it came from.
    await dataset.update("w", { metadata: { note: 1 } });
    const out = join(folder, "out.safetensors");
    for (const [version, bytes] of [
      ["v1", first],
      [1, first],
      [2, second],
      [undefined, second],
    ] as const) {
      await store.exportFile("a", "m.safetensors", out, version === undefined ? {} : { version });
      expect(sameBytes(readFileSync(out), bytes), String(version)).toBe(true);
    }
    expect(await failureOf(store.exportFile("a", "m.safetensors", out, { version: 9 }))).toBeInstanceOf(
      VersionExpiredError,
    );
    expect(await failureOf(store.exportFile("a", "m.safetensors", out, { version: "no" }))).toBeInstanceOf(
      NotFoundError,
    );
    const missing = await failureOf(store.exportFile("a", "n.safetensors", out));
    expect(missing).toMatchObject({ tag: "not-found", kind: "file" });
    expect(missing.message).toContain("m.safetensors");
    expect(await failureOf(store.exportDataset("nope", folder))).toMatchObject({
      tag: "not-found",
      kind: "dataset",
    });
    const records = await store.createDataset("records only");
    await records.insert(scalar(1));
    expect(await failureOf(store.exportDataset("records only", folder))).toBeInstanceOf(NotFoundError);
  });

  test("quantized tensors are written dequantized, and listed", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    const path = writeSafetensors(join(folder, "m.safetensors"), {
      w: floats([60, 60], 1),
      ints: { dtype: "int32", shape: [2], data: new Int32Array([1, 2]) },
    });
    await store.importFile(path, { dataset: "a", preset: "maximum" });
    const dataset = (await store.dataset("a"))!;
    expect((await dataset.files())[0]!.exact).toBe(false);
    const out = join(folder, "out.safetensors");
    const result = await store.exportFile("a", "m.safetensors", out);
    expect(result).toMatchObject({ exact: false, quantized: ["m.safetensors#w"], files: [{ exact: false }] });
    const [original, written] = [readFileSync(path), readFileSync(out)];
    expect(written.length).toBe(original.length);
    expect(sameBytes(written, original)).toBe(false);
    const exported = await newStore(kind);
    await exported.importFile(out, { dataset: "b" });
    const again = (await exported.dataset("b"))!;
    expect((await again.get("w"))!.data).toEqual((await dataset.get("w"))!.data);
    expect((await again.get("ints"))!.data).toEqual(new Int32Array([1, 2]));
  });

  test("a failing or cancelled one leaves no half file", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    writeFileSync(join(folder, "big.bin"), noise(3_000_000, 1));
    await store.importFile(join(folder, "big.bin"), { dataset: "a" });
    const out = join(folder, "out");
    mkdirSync(out);
    writeFileSync(join(out, "big.bin"), "old");
    const controller = new AbortController();
    const cancelled = store.exportDataset("a", out, {
      signal: controller.signal,
      onProgress: ({ done }) => done > 1_000_000 && controller.abort(),
    });
    expect(await failureOf(cancelled)).toBeInstanceOf(CancelledError);
    expect(readdirSync(out)).toEqual(["big.bin"]);
    expect(readFileSync(join(out, "big.bin"), "utf8")).toBe("old");
    expect(await failureOf(store.exportDataset("a", join(out, "big.bin", "below")))).toBeInstanceOf(
      StorageError,
    );
    mkdirSync(join(folder, "taken/big.bin"), { recursive: true });
    expect(await failureOf(store.exportDataset("a", join(folder, "taken")))).toBeInstanceOf(StorageError);
    expect(readdirSync(join(folder, "taken"))).toEqual(["big.bin"]);
  });

  test("nothing is written through links that lead out of the folder", async () => {
    const store = await newStore(kind);
    const folder = temporaryDirectory();
    for (const name of ["in/sub", "out", "elsewhere"]) mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, "in/sub/f.txt"), "content");
    await store.importFile(join(folder, "in"), { dataset: "a" });
    symlinkSync(join(folder, "elsewhere"), join(folder, "out/sub"));
    expect(await failureOf(store.exportDataset("a", join(folder, "out")))).toBeInstanceOf(UsageError);
    expect(readdirSync(join(folder, "elsewhere"))).toEqual([]);
  });
});
