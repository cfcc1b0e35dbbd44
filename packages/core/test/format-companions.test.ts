/** Files that say what is in other files, with a format made for that: `NAME.own` is JSON that names companions, with their tensors. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { dtypeOf, InvalidFileError } from "@tensorcask/codec";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeFileSystem } from "../src/files/node.ts";
import type { Format } from "../src/format/format.ts";
import { type PlannedInputs, planInputs } from "../src/format/inputs.ts";
import { formats } from "../src/format/registry.ts";
import type { PlanPart } from "../src/model/plan.ts";
import { openTestStore, sameBytes, temporaryDirectory } from "./store-harness.ts";

/** A companion by name: the lengths of the tensors in it, one behind the other. `*` at the end: the rest. */
type Owned = Readonly<Record<string, readonly (number | "*")[]>>;

function partsOf(owner: string, lengths: readonly (number | "*")[], bytes: number): PlanPart[] {
  const parts: PlanPart[] = [];
  let offset = 0;
  for (const [index, length] of lengths.entries()) {
    const count = length === "*" ? bytes - offset : length;
    if (offset + count > bytes)
      throw new InvalidFileError(owner, "external-range", `t${index} lies beyond ${bytes} bytes`);
    parts.push({
      kind: "tensor",
      name: `t${index}`,
      dtype: dtypeOf("uint8"),
      shape: [count],
      offset,
      bytes: count,
    });
    offset += count;
  }
  return parts;
}

const own: Format = {
  id: "own",
  matches: (name) => (name.endsWith(".own") ? "name" : undefined),
  async plan(source) {
    const bytes = new Uint8Array(source.bytes);
    await source.read(bytes, 0);
    const owned = JSON.parse(Buffer.from(bytes).toString()) as Owned;
    return {
      parts: [{ kind: "literal", offset: 0, bytes: source.bytes }],
      companions: Object.keys(owned),
      companionParts: new Map(
        Object.entries(owned).map(([name, lengths]) => [
          name,
          (size: number) => partsOf(source.name, lengths, size),
        ]),
      ),
      check(companions) {
        const missing = Object.keys(owned).find((name) => !companions.has(name));
        if (missing !== undefined) throw new InvalidFileError(source.name, "external-missing", missing);
      },
    };
  },
};

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "tensorcask-companions-"));
  (formats as Format[]).unshift(own);
});
afterAll(() => {
  rmSync(root, { recursive: true });
  (formats as Format[]).splice((formats as Format[]).indexOf(own), 1);
});

let folders = 0;
function folder(files: Readonly<Record<string, Owned | string>>): string {
  const at = join(root, String(folders++));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(at, name)), { recursive: true });
    writeFileSync(join(at, name), typeof content === "string" ? content : JSON.stringify(content));
  }
  return at;
}

const plan = (paths: string | string[], opaque = false): Promise<PlannedInputs> =>
  planInputs(nodeFileSystem, [paths].flat(), { opaque });
const summary = ({ files }: PlannedInputs): Record<string, string> =>
  Object.fromEntries(
    files.map(({ path, format, parts }) => [
      path,
      `${format}: ${parts.map((part) => (part.kind === "tensor" ? `${part.name} ${part.bytes}` : part.bytes)).join()}`,
    ]),
  );

describe("companions", () => {
  const data = "0123456789";

  it("have the parts that their owner tells, found by it or in the same folder", async () => {
    const at = folder({ "m.own": { "w.data": [4, 6] }, "w.data": data, "sub/w.data": data });
    const expected = { "m.own": "own: 16", "w.data": "own-data: t0 4,t1 6" };
    expect(summary(await plan(join(at, "m.own")))).toEqual(expected);
    expect(summary(await plan([join(at, "w.data"), join(at, "m.own")]))).toEqual(expected);
    expect(summary(await plan(at))).toEqual({ ...expected, "sub/w.data": "opaque: 10" });
  });

  it("stay what they are without their owner", async () => {
    const at = folder({ "m.own": { "w.data": [4, 6] }, "w.data": data });
    expect(summary(await plan(join(at, "w.data")))).toEqual({ "w.data": "opaque: 10" });
  });

  it("need not be valid in a format that their name claims: the owner knows better", async () => {
    const at = folder({ "m.own": { "w.safetensors": ["*"] }, "w.safetensors": data });
    expect(summary(await plan(at))).toEqual({ "m.own": "own: 23", "w.safetensors": "own-data: t0 10" });
    await expect(plan(join(at, "w.safetensors"))).rejects.toMatchObject({ file: join(at, "w.safetensors") });
    const kept = await plan(at, true);
    expect(summary(kept)["w.safetensors"]).toBe("own-data: t0 10");
    expect(kept.keptOpaque).toEqual([]);
  });

  it("keep the id of a format that knows them", async () => {
    const at = folder({ "a.own": { "b.own": ["*"] }, "b.own": {} });
    expect(summary(await plan(at))).toEqual({ "a.own": "own: 15", "b.own": "own: t0 2" });
  });

  it.each<[string, readonly (number | "*")[], string]>([
    ["a tensor beyond the end", [4, 7], "external-range"],
    ["parts that do not cover it", [4], "parts"],
  ])("%s is an error; with opaque, the owner is kept as bytes", async (_, lengths, rule) => {
    const at = folder({ "m.own": { "a.data": ["*"], "w.data": lengths }, "a.data": data, "w.data": data });
    const error = await plan(at).catch((caught: unknown) => caught as InvalidFileError);
    expect(error).toMatchObject({ tag: "invalid-file", rule, file: expect.stringContaining("m.own") });
    const kept = await plan(at, true);
    expect(summary(kept)).toMatchObject({ "a.data": "opaque: 10", "w.data": "opaque: 10" });
    expect(kept.files.find(({ path }) => path === "m.own")!.format).toBe("opaque");
    expect(kept.keptOpaque.map(({ path }) => path)).toEqual(["m.own"]);
  });

  it("have one owner: two are named, and with opaque the first has it", async () => {
    const at = folder({ "a.own": { "w.data": [4, 6] }, "b.own": { "w.data": ["*"] }, "w.data": data });
    const error = await plan(at).catch((caught: unknown) => caught as InvalidFileError);
    expect(error).toMatchObject({ rule: "companion", file: join(at, "b.own") });
    expect((error as Error).message).toContain(join(at, "a.own"));
    const kept = await plan(at, true);
    expect(summary(kept)).toMatchObject({ "w.data": "own-data: t0 4,t1 6", "b.own": "opaque: 16" });
  });

  it("what a kept owner would have claimed is free for others", async () => {
    const at = folder({ "a.own": { "w.data": [40] }, "b.own": { "w.data": ["*"] }, "w.data": data });
    expect(summary(await plan(at, true))["w.data"]).toBe("own-data: t0 10");
  });

  it("are looked for in the owner's folder and below, not above", async () => {
    const at = folder({ "in/m.own": { "../w.data": ["*"] }, "w.data": data });
    await expect(plan(join(at, "in/m.own"))).rejects.toMatchObject({ rule: "companion" });
    const deeper = folder({ "m.own": { "sub/w.data": ["*"] }, "sub/w.data": data });
    const planned = await plan(join(deeper, "m.own"));
    expect(planned.files.map(({ path }) => path).sort()).toEqual(["m.own", "sub/w.data"]);
  });

  it.skipIf(process.platform === "win32")("may not lie behind a folder that leads out", async () => {
    const at = folder({ "in/m.own": { "sub/w.data": ["*"] }, "out/w.data": data });
    symlinkSync("../out", join(at, "in/sub"));
    await expect(plan(join(at, "in/m.own"))).rejects.toMatchObject({ rule: "link" });
  });

  it.skipIf(process.platform === "win32")("may not be links that lead out", async () => {
    const at = folder({ "in/m.own": { "w.data": ["*"] }, "w.data": data });
    symlinkSync("../w.data", join(at, "in/w.data"));
    await expect(plan(join(at, "in/m.own"))).rejects.toMatchObject({ rule: "link" });
  });

  it("become records of the file that holds them, and come back exactly", async () => {
    const at = folder({ "m.own": { "w.data": [4, 6] }, "w.data": data });
    const store = await openTestStore(":memory:");
    await store.importFile(join(at, "m.own"), { dataset: "d" });
    const dataset = (await store.dataset("d"))!;
    const found = (await dataset.get("w.data#t1"))!;
    expect(sameBytes(found.bytes(), Buffer.from("456789"))).toBe(true);
    expect(await store.verifyAgainst("d", at)).toMatchObject({ ok: true, files: 2 });
    await store.exportDataset("d", temporaryDirectory());
  });
});
