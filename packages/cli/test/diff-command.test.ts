/** `diff` and the families and pages of `stats`, on a store with the models that come with the project. */
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { data, type Ran, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
  for (const name of ["base", "ft-full", "ft-lora-merged"])
    await ok("import", `${data}/${name}`, "--dataset", `llm/${name}`);
  await ok("tag", "llm/base", "first");
});

afterAll(() => place.remove());

async function ok(...argv: string[]): Promise<Ran> {
  return (await place.inside(...argv)).checked();
}

async function failed(status: number, ...argv: string[]): Promise<string> {
  const result = await place.inside(...argv);
  expect(result.status).toBe(status);
  expect(result.stdout).toBe("");
  return result.stderr;
}

describe("diff", () => {
  it("says of each tensor what it is to the other", async () => {
    const { stdout } = await ok("diff", "llm/base", "llm/ft-lora-merged");
    const lines = stdout.split("\n");
    expect(lines[0]).toMatch(/^tensor +status +dtype +shape +size +stored +as difference$/);
    expect(lines.filter((line) => / identical +bfloat16 /.test(line))).toHaveLength(31);
    const differences = lines.filter((line) => / difference +bfloat16 /.test(line));
    expect(differences).toHaveLength(8);
    for (const line of differences) expect(line).toMatch(/ kB \(\d\d\.\d %\)$/);
    expect(stdout).toContain("llm/base@1 -> llm/ft-lora-merged@1, in ");
    expect(stdout).toContain("  tensors  31 identical (1.51 MB), 8 difference (262 kB)\n");
    expect(stdout).toContain("  files    2 identical, 1 not\n");
    expect(stdout).toContain("  changed file: model.safetensors\n");
  });

  it("measures values when asked to", async () => {
    const { stdout } = await ok("diff", "llm/base@first", "llm/ft-full", "--values");
    expect(stdout).toMatch(/^tensor .* relative L2 +largest change +changed\n/);
    expect(stdout).toMatch(
      /\nmodel\.safetensors#model\.norm\.weight +difference .* 0\.\d+ +0\.\d+ +\d+\.\d %\n/,
    );
  });

  it("prints JSON of one shape", async () => {
    const { json } = await ok("diff", "llm/base", "llm/ft-lora-merged", "--values", "--json");
    const { tensors, summary } = json as {
      tensors: Record<string, unknown>[];
      summary: Record<string, unknown>;
    };
    expect(tensors).toHaveLength(39);
    const changed = tensors.find(({ status }) => status === "difference")!;
    expect(Object.keys(changed)).toEqual([
      "status",
      "a",
      "b",
      "sharedBytes",
      "differenceRawBytes",
      "differenceBytes",
      "values",
    ]);
    expect(Object.keys(changed.a as object)).toEqual(["address", "dtype", "shape", "bytes", "storedBytes"]);
    expect(Object.keys(changed.values as object)).toEqual([
      "elements",
      "changed",
      "changedFraction",
      "relativeL2",
      "maxAbsolute",
      "nonFinite",
    ]);
    expect(summary).toMatchObject({
      a: { dataset: "llm/base", version: 1 },
      counts: { identical: { tensors: 31 }, difference: { tensors: 8 } },
      otherBytes: 0,
    });
    const same = (await ok("diff", "llm/base@1", "llm/base", "--json")).json as {
      tensors: { status: string }[];
    };
    expect(new Set(same.tensors.map(({ status }) => status))).toEqual(new Set(["identical"]));
  });

  it("of empty datasets, and of what is not there", async () => {
    await ok("create", "empty");
    const { stdout } = await ok("diff", "empty", "empty");
    expect(stdout).toMatch(/^empty@0 -> empty@0, in .*\n {2}tensors {2}none\n {2}stored {3}0 B in both\n/);
    expect(await failed(1, "diff", "llm/base", "nope")).toContain('there is no dataset "nope"');
    expect(await failed(1, "diff", "llm/base@nope", "empty")).toContain('there is no tag "nope"');
    expect(await failed(1, "diff", "llm/base@9", "empty")).toContain("version 9");
    expect(await failed(2, "diff", "llm/base")).toContain("B");
  });
});

describe("stats", () => {
  it("shows families", async () => {
    const { stdout } = await ok("stats");
    expect(stdout).toMatch(
      /\nfamily of llm\/base: 3 datasets, 5\.33 MB stored in .*; chunks in common save .*, differences about .*\n/,
    );
    expect(stdout).toMatch(/\n {2}llm\/ft-full +llm\/base +1\.77 MB /);
    const { json } = await ok("stats", "--json");
    expect(json).toMatchObject({ families: [{ centre: "llm/base", members: { length: 3 } }] });
  });

  it("writes a page", async () => {
    const path = place.path("report.html");
    expect((await ok("stats", "--html", path)).stdout).toMatch(/^Wrote .*report\.html: \d+\.\d kB\n$/);
    const page = await readFile(path, "utf8");
    expect(page).toContain("Family of llm/base");
    expect(page.match(/class="link difference"/g)).toHaveLength(3);
    expect(await failed(1, "stats", "--html", path)).toContain("--force");
    const { json } = await ok("stats", "--html", path, "--force", "--json");
    expect(json).toEqual({ html: path, bytes: Buffer.byteLength(await readFile(path)) });
    expect((await ok("stats", "--html", "-")).stdout).toBe(await readFile(path, "utf8"));
  });

  it("refuses what does not go together", async () => {
    expect(await failed(2, "stats", "llm/base", "--html", "x.html")).toContain("leave the dataset out");
    expect(await failed(2, "stats", "--force")).toContain("--html");
    const { status, stdout } = await place.inside("stats", "--html", "-", "--json");
    expect(status).toBe(2);
    expect(stdout).toContain("name a file");
  });
});
