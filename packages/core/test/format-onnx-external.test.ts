import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeFileSystem } from "../src/files/node.ts";
import { checkPlan } from "../src/format/check-plan.ts";
import type { FormatPlan } from "../src/format/format.ts";
import { planInputs } from "../src/format/inputs.ts";
import { onnx } from "../src/format/onnx/plan.ts";
import { bufferSource, type PlanPart } from "../src/model/plan.ts";
import {
  type Bytes,
  dataType,
  dims,
  entry,
  graphModel,
  initializer,
  int,
  len,
  name,
} from "./format-onnx-writer.ts";

/** Fields of a uint8 tensor in another file. */
function external(text: string, length: number, ...keys: [string, string][]): Bytes {
  const entries = keys.map(([key, value]) => entry(13, key, value));
  return initializer(name(text), dims(length), dataType(2), int(14, 1), ...entries);
}

const plan = (...fields: Bytes[]): Promise<FormatPlan> =>
  onnx.plan(bufferSource("folder/m.onnx", graphModel(...fields)));

/** Parts of a companion, checked. */
function partsOf(found: FormatPlan, location: string, bytes: number): readonly PlanPart[] {
  const parts = found.companionParts!.get(location)!(bytes);
  checkPlan(location, bytes, parts);
  return parts;
}

const at = (offset: number, length?: number): [string, string][] => [
  ["location", "w.bin"],
  ["offset", String(offset)],
  ...(length === undefined ? [] : ([["length", String(length)]] as [string, string][])),
];

describe("external data", () => {
  it("becomes parts of the file that it lies in", async () => {
    const found = await plan(
      external("b", 4, ...at(12)),
      external("a", 6, ["length", "6"], ["location", "./w.bin"], ["checksum", "da39a3ee"]),
      external("empty", 0, ...at(14)),
      external("other", 1, ["location", "sub/x"]),
      initializer(name("text"), dims(1), dataType(8), int(14, 1), entry(13, "location", "strings")),
    );
    expect(found.companions).toEqual(["strings", "sub/x", "w.bin"]);
    expect(found.parts.filter(({ kind }) => kind === "tensor")).toEqual([]);
    expect(partsOf(found, "w.bin", 20)).toMatchObject([
      { kind: "tensor", name: "a", shape: [6], offset: 0, bytes: 6, metadata: { checksum: "da39a3ee" } },
      { kind: "literal", offset: 6, bytes: 6 },
      { kind: "tensor", name: "b", offset: 12, bytes: 4 },
      // Within b, so behind it.
      { kind: "tensor", name: "empty", offset: 16, bytes: 0 },
      { kind: "literal", offset: 16, bytes: 4 },
    ]);
    expect(partsOf(found, "sub/x", 1)).toMatchObject([{ name: "other", offset: 0, bytes: 1 }]);
    expect(partsOf(found, "strings", 3)).toEqual([{ kind: "literal", offset: 0, bytes: 3 }]);
  });

  it("with the same bytes under several names is one part", async () => {
    const fields = [external("a", 6, ...at(2)), external("b", 6, ...at(2, 6))];
    const more = Array.from({ length: 20 }, (_, index) => external(`c${index}`, 6, ...at(2)));
    const [, part] = partsOf(await plan(...fields, ...more), "w.bin", 8);
    expect(part).toMatchObject({
      name: "a",
      metadata: {
        aliases: [{ name: "b", dtype: "uint8", shape: [6] }, ...new Array(15).fill({})],
        alias_count: 21,
      },
    });
  });

  it("that overlaps, or lies beyond the file, is refused", async () => {
    const overlapping = await plan(external("a", 6, ...at(0)), external("b", 6, ...at(5)));
    expect(() => partsOf(overlapping, "w.bin", 20)).toThrow(
      /tensor "b": its bytes begin at 5, but "a" ends at 6/,
    );
    const found = await plan(external("a", 6, ...at(15)));
    expect(() => partsOf(found, "w.bin", 20)).toThrow(
      /its 6 bytes at 15 reach beyond the 20 bytes of "w.bin"/,
    );
    const far = await plan(external("a", 0, ...at(21)));
    expect(() => partsOf(far, "w.bin", 20)).toThrow(/reach beyond/);
    expect(() => partsOf(far, "w.bin", 21)).not.toThrow();
  });

  const rules: Record<string, readonly [rule: string, ...keys: [string, string][]]> = {
    "no location": ["location"],
    "an empty location": ["location", ["location", ""]],
    "the folder above": ["location", ["location", "../w.bin"]],
    "a way up in the middle": ["location", ["location", "a/../../w.bin"]],
    "an absolute path": ["location", ["location", "/etc/passwd"]],
    "a backslash": ["location", ["location", "a\\w.bin"]],
    "a drive letter": ["location", ["location", "C:w.bin"]],
    "a scheme": ["location", ["location", "file:///etc/passwd"]],
    "a control character": ["location", ["location", "w\u0000.bin"]],
    "a device": ["location", ["location", "sub/NUL.bin"]],
    "a stream of a file": ["location", ["location", "sub/w.bin:x"]],
    "an address in memory": ["location", ["location", "*/_ORT_MEM_ADDR_/*"]],
    "the model itself": ["location", ["location", "./m.onnx"]],
    "a location that is too long": ["location", ["location", "x".repeat(70_000)]],
    "a location twice": ["external-data", ["location", "a"], ["location", "b"]],
    "an offset twice": ["external-data", ["location", "a"], ["offset", "1"], ["offset", "2"]],
    "a negative offset": ["external-data", ["location", "a"], ["offset", "-1"]],
    "an offset over 2^53": ["external-data", ["location", "a"], ["offset", "9007199254740992"]],
    "a length that is no number": ["external-data", ["location", "a"], ["length", "4 "]],
    "a length that does not fit": ["size-mismatch", ["location", "a"], ["length", "3"]],
  };

  it.each(Object.entries(rules))("%s is refused", async (_, [rule, ...keys]) => {
    await expect(plan(external("t", 4, ...keys))).rejects.toMatchObject({
      tag: "invalid-file",
      rule,
      tensor: "t",
    });
  });

  it("is ignored where the data is in the model", async () => {
    const found = await plan(
      initializer(dims(1), dataType(2), len(9, "x"), int(14, 0), entry(13, "location", "/etc/passwd")),
    );
    expect(found.companions).toBeUndefined();
  });
});

describe("importing a model with external data", () => {
  let root: string;
  beforeAll(() => {
    root = mkdtempSync(join(tmpdir(), "tensorcask-onnx-"));
  });
  afterAll(() => rmSync(root, { recursive: true }));

  let folders = 0;
  function folder(): string {
    const path = join(root, String(folders++));
    mkdirSync(path);
    writeFileSync(join(path, "m.onnx"), graphModel(external("a", 6, ...at(2))));
    return path;
  }
  const input = (path: string) => planInputs(nodeFileSystem, [path]);

  it("brings the other file, with its tensors", async () => {
    const path = folder();
    writeFileSync(join(path, "w.bin"), new Uint8Array(9));
    for (const given of [join(path, "m.onnx"), path]) {
      const { files } = await input(given);
      expect(files.map((file) => file.path)).toEqual(["m.onnx", "w.bin"]);
      expect(files[1]!.parts).toMatchObject([
        { kind: "literal", bytes: 2 },
        { kind: "tensor", name: "a", offset: 2, bytes: 6 },
        { kind: "literal", bytes: 1 },
      ]);
    }
  });

  it("needs the other file, in full", async () => {
    const path = folder();
    await expect(input(join(path, "m.onnx"))).rejects.toMatchObject({
      rule: "external-missing",
      tensor: "a",
    });
    writeFileSync(join(path, "w.bin"), new Uint8Array(7));
    await expect(input(join(path, "m.onnx"))).rejects.toMatchObject({ rule: "missing-bytes", tensor: "a" });
  });

  it("follows no link out of the model's folder", async () => {
    const outside = folder();
    writeFileSync(join(outside, "secret"), new Uint8Array(9));
    const path = folder();
    symlinkSync(join(outside, "secret"), join(path, "w.bin"));
    await expect(input(join(path, "m.onnx"))).rejects.toMatchObject({ rule: "link" });
    await expect(input(path)).rejects.toMatchObject({ rule: "link" });
  });

  it("follows no link to a folder out of the model's folder", async () => {
    const outside = folder();
    writeFileSync(join(outside, "w.bin"), new Uint8Array(9));
    const path = folder();
    writeFileSync(join(path, "m.onnx"), graphModel(external("a", 6, ["location", "sub/w.bin"])));
    symlinkSync(outside, join(path, "sub"));
    await expect(input(join(path, "m.onnx"))).rejects.toMatchObject({ tag: "invalid-file" });
    await expect(input(path)).rejects.toMatchObject({ tag: "invalid-file" });
    rmSync(join(path, "sub"));
    mkdirSync(join(path, "sub"));
    writeFileSync(join(path, "sub/w.bin"), new Uint8Array(9));
    const { files } = await input(path);
    expect(files.map((file) => file.path)).toEqual(["m.onnx", "sub/w.bin"]);
    expect(files[1]!.parts[0]).toMatchObject({ name: "a" });
  });
});
