import { DamageError, LockTimeoutError } from "@tensorcask/codec";
import type { ImportResult, LongCallOptions, VerifyResult } from "@tensorcask/core";
import { describe, expect, it } from "vitest";
import { commands } from "../src/registry.ts";
import { run } from "../src/run.ts";
import { fakeHost } from "./fake-host.ts";

const imported: ImportResult = {
  dataset: "llm",
  preset: "lossless",
  lossless: true,
  files: 1,
  tensors: 2,
  originalBytes: 1000,
  derivedTensors: 0,
  derivedBytes: 0,
  storedBytes: 500,
  newBytes: 500,
  ratio: 2,
  seconds: 0.1,
  tensorsShared: 0,
  bytesShared: 0,
  chunksShared: 0,
  chunksAsDifferences: 0,
  differenceRawBytes: 0,
  differenceBytes: 0,
  quantized: 0,
  lossyBytesSaved: 0,
  notes: [],
  skipped: [],
  version: 1,
};

const whole: VerifyResult = {
  ok: true,
  deep: false,
  chunks: 3,
  bytes: 3000,
  files: 1,
  entries: 4,
  problems: [],
  seconds: 0.01,
};

describe("help", () => {
  it("lists every command without loading a store", async () => {
    const host = fakeHost();
    expect(await run(["--help"], host)).toBe(0);
    for (const { name, summary } of commands) {
      expect(host.stdout.text()).toContain(`  ${name} `);
      expect(host.stdout.text().replace(/\s+/g, " ")).toContain(summary);
    }
    expect(host.opened).toEqual([]);
  });

  it.each(commands.map(({ name }) => name))(
    "of %s ends with examples and has the global options",
    async (name) => {
      const host = fakeHost();
      expect(await run([name, "--help"], host)).toBe(0);
      const text = host.stdout.text();
      expect(text).toMatch(new RegExp(`^Usage: tensorcask ${name} `));
      for (const option of [
        "--store <dir>",
        "--json",
        "--memory <size>",
        "--wait <time>",
        "--workers <n>",
        "--help",
      ]) {
        expect(text).toContain(option);
      }
      const [, examples] = text.split("\nExamples:\n");
      expect(examples?.trim().split("\n").length).toBeGreaterThan(0);
      for (const line of examples?.trimEnd().split("\n") ?? []) {
        expect(line).toMatch(/^ {2}(tensorcask|echo) .* # /);
      }
    },
  );

  it("is what `help <command>` prints too, nested commands included", async () => {
    const one = fakeHost();
    const other = fakeHost();
    expect(await run(["help", "presets", "define"], one)).toBe(0);
    expect(await run(["presets", "define", "--help"], other)).toBe(0);
    expect(one.stdout.text()).toBe(other.stdout.text());
    expect(one.stdout.text()).toContain("--store <dir>");
  });

  it("prints the version of the package", async () => {
    const host = fakeHost();
    expect(await run(["--version"], host)).toBe(0);
    expect(host.stdout.text()).toMatch(/^\d+\.\d+\.\d+/);
  });
});

describe("wrong usage is exit status 2", () => {
  it.each([
    [[], "Usage:"],
    [["imprt"], "Did you mean import?"],
    [["help", "nope"], "unknown command 'nope'"],
    [["ls", "--nope"], "unknown option '--nope'"],
    [["ls", "a", "b"], "too many arguments"],
    [["export", "llm"], "required option '--out <path>'"],
    [["ls", "--memory", "lots"], "such as 256MB"],
    [["ls", "--workers", "-1"], "whole number"],
    [["import", "x"], "--dataset NAME"],
    [["get", "llm", "w", "--slice", ":", "--rows", "1"], "do not go together"],
    [["get", "llm", "w", "--out", "x.csv"], "known: .bin, .raw, .npy, .npz, .safetensors"],
    [["get", "llm", "w", "--as", "int8"], "Allowed choices are float32, float16"],
    [["ls", "--files"], "--files needs a dataset"],
    [["ls", "llm", "--files", "--long"], "--long does not go with --files"],
    [["ls", "--where", "{"], "--where is not valid JSON"],
    [["prune"], "give a rule"],
    [["verify", "llm"], "go together"],
    [["verify", "--against", "x"], "go together"],
    [["verify", "llm", "--against", "x", "--deep"], "leave --deep out"],
    [["preset"], "which dataset?"],
    [["preset", "--store-wide", "a", "b"], "takes a preset only"],
    [["preset", "llm", "fast", "--follow"], "does not go with a preset"],
    [["tag", "llm", "--move"], "which tag?"],
    [["tag", "llm", "v1", "--delete", "--move"], "neither --move nor --version"],
    [["set"], "name a dataset"],
    [["set", "llm", "--keep-versions", "1"], "for the whole store"],
    [["set", "llm", "w", "--no-index"], "not for records"],
    [["put", "llm", import.meta.filename, "--dtype", "float32"], "both --dtype and --shape"],
    [["put", "llm", import.meta.filename], "of no format whose tensors are read"],
    [["presets", "nope"], "too many arguments"],
  ])("%j", async (argv, message) => {
    const host = fakeHost();
    expect(await run(argv, host)).toBe(2);
    expect(host.stderr.text()).toContain(message);
    expect(host.stdout.text()).toBe("");
    expect(host.opened).toEqual([]);
  });

  it("asks for the store when none is named", async () => {
    const host = fakeHost({ environment: {} });
    expect(await run(["ls"], host)).toBe(2);
    expect(host.stderr.text()).toBe("error: which store? give --store DIR or set TENSORCASK_STORE\n");
  });

  it("prints JSON on standard output with --json, and nothing else", async () => {
    for (const argv of [
      ["ls", "--nope", "--json"],
      ["--json", "imprt"],
      ["import", "x", "--json"],
    ]) {
      const host = fakeHost();
      expect(await run(argv, host)).toBe(2);
      expect(JSON.parse(host.stdout.text())).toMatchObject({
        error: { tag: "usage", message: expect.any(String) },
      });
      expect(host.stderr.text()).toBe("");
    }
  });
});

describe("the store of a command", () => {
  it("is opened with the options from both sides of the command, and closed", async () => {
    const host = fakeHost({ store: { stats: async () => ({ datasets: [] }), datasets: async () => [] } });
    const argv = [
      "--store",
      "a",
      "--memory",
      "64MB",
      "ls",
      "--store",
      "b",
      "--wait",
      "5s",
      "--workers",
      "0",
      "--json",
    ];
    expect(await run(argv, host)).toBe(0);
    expect(host.opened).toEqual([
      {
        directory: "b",
        options: { create: false, readOnly: true, memoryBytes: 64e6, waitMs: 5000, workers: 0 },
      },
    ]);
    expect(host.closed).toBe(1);
    expect(host.stdout.text()).toBe('{"datasets":[]}\n');
  });

  it("is closed when the command fails; the error says what, without a stack", async () => {
    const store = {
      verify: async () => {
        throw new DamageError("pack 01J", "checksum differs", { tensors: ["llm/w"] });
      },
    };
    const host = fakeHost({ store });
    expect(await run(["verify"], host)).toBe(1);
    expect(host.stderr.text()).toBe("error: pack 01J: checksum differs\ntensors it hits:\n  llm/w\n");
    expect(host.closed).toBe(1);

    const json = fakeHost({ store });
    expect(await run(["verify", "--json"], json)).toBe(1);
    expect(JSON.parse(json.stdout.text())).toEqual({
      error: { tag: "damage", message: "pack 01J: checksum differs", where: "pack 01J", tensors: ["llm/w"] },
    });

    const debug = fakeHost({ store, environment: { TENSORCASK_STORE: "zoo", TENSORCASK_DEBUG: "1" } });
    expect(await run(["verify"], debug)).toBe(1);
    expect(debug.stderr.text()).toContain("    at ");
  });

  it("may be locked by another process", async () => {
    const host = fakeHost({
      store: {
        gc: async () => {
          throw new LockTimeoutError(4711, 60_000);
        },
      },
    });
    expect(await run(["gc", "--json"], host)).toBe(1);
    expect(JSON.parse(host.stdout.text()).error).toMatchObject({ tag: "lock-timeout", holderPid: 4711 });
  });

  it("is missing a dataset", async () => {
    const host = fakeHost({ store: { dataset: async () => undefined } });
    expect(await run(["log", "nope"], host)).toBe(1);
    expect(host.stderr.text()).toBe('error: there is no dataset "nope"; tensorcask ls lists what there is\n');
  });
});

describe("exit statuses of results", () => {
  it("verify: 0 when whole, 1 when damaged", async () => {
    const host = fakeHost({ store: { verify: async () => whole } });
    expect(await run(["verify"], host)).toBe(0);
    expect(host.stdout.text()).toContain("Everything is whole");
    const problems = [{ where: "pack 01J", message: "checksum differs", tensors: ["llm/a", "llm/b"] }];
    const damaged = fakeHost({ store: { verify: async () => ({ ...whole, ok: false, problems }) } });
    expect(await run(["verify", "--deep"], damaged)).toBe(1);
    expect(damaged.stdout.text().split("\n").slice(0, 3)).toEqual([
      "pack 01J: checksum differs",
      "  hits llm/a",
      "  hits llm/b",
    ]);
    expect(damaged.stderr.text()).toBe("");
  });

  it("Ctrl-C: 130, with the store closed", async () => {
    const store = {
      importFile: (_: unknown, { signal }: LongCallOptions) =>
        new Promise((_resolve, reject) => {
          signal?.addEventListener("abort", () =>
            reject(Object.assign(new Error("cancelled"), { tag: "cancelled" })),
          );
          queueMicrotask(() => host.controller.abort("SIGINT"));
        }),
    };
    const host = fakeHost({ store });
    expect(await run(["import", import.meta.filename, "--dataset", "llm"], host)).toBe(130);
    expect(host.stderr.text()).toContain("interrupted (SIGINT)");
    expect(host.stderr.text()).toContain("store is whole");
    expect(host.stdout.text()).toBe("");
    expect(host.closed).toBe(1);
  });

  it("a command that ends well in spite of Ctrl-C ends well", async () => {
    const host = fakeHost({
      store: {
        gc: async () => {
          host.controller.abort("SIGINT");
          return {
            ...whole,
            dryRun: false,
            versions: 0,
            tensors: 0,
            bytesBefore: 5,
            bytesAfter: 3,
            packsRemoved: 0,
          };
        },
      },
    });
    expect(await run(["gc", "--json"], host)).toBe(0);
    expect(JSON.parse(host.stdout.text())).toMatchObject({ bytesBefore: 5 });
  });
});

describe("import --each", () => {
  it("goes on after a folder that fails, and fails at the end", async () => {
    const seen: string[] = [];
    const store = {
      importFile: async (paths: string[], { dataset }: { dataset: string }) => {
        seen.push(dataset);
        if (dataset === "ns/test") {
          throw new DamageError(paths[0] ?? "", "broken");
        }
        return { ...imported, dataset };
      },
    };
    const host = fakeHost({ store });
    const folder = `${import.meta.dirname}/..`;
    expect(await run(["import", folder, "--each", "--dataset", "ns"], host)).toBe(1);
    expect(seen).toContain("ns/src");
    expect(seen).toContain("ns/test");
    expect(host.stdout.text()).toContain(
      "ns/src: 1 file, 2 tensors, 1.00 kB -> 500 B (ratio 2.000, 500 B new), lossless",
    );
    expect(host.stdout.text()).toContain("Total: ");
    expect(host.stdout.text()).toMatch(/not imported, since it is not a subfolder: .*package\.json/);
    expect(host.stderr.text()).toContain("error: ns/test: ");

    const json = fakeHost({ store });
    expect(await run(["import", folder, "--each", "--dataset", "ns", "--json"], json)).toBe(1);
    const result = JSON.parse(json.stdout.text());
    expect(result.failed).toMatchObject([{ dataset: "ns/test", error: { tag: "damage" } }]);
    expect(result.total.files).toBe(result.imports.length);
  });

  it("refuses a directory without subfolders", async () => {
    const host = fakeHost();
    expect(await run(["import", import.meta.dirname, "--each"], host)).toBe(2);
    expect(host.stderr.text()).toContain("no subfolders");
  });
});
