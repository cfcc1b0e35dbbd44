/** Models larger than memory: 4 GiB in and out within 400 MB, and imports that go on where a killed one stopped. */
import { type ChildProcess, fork, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@tensorcask/core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeLargeModel } from "./large-models.ts";

const MEBIBYTE = 2 ** 20;

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tensorcask-large-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Report {
  readonly newBytes: number;
  readonly originalBytes: number;
  readonly peakBytes: number;
}

function startImport(store: string, model: string, out = ""): ChildProcess {
  return fork(join(import.meta.dirname, "import-child.ts"), [store, model, out], { stdio: "inherit" });
}

function finished(child: ChildProcess): Promise<Report> {
  return new Promise((resolve, reject) => {
    let report: Report | undefined;
    child.on("message", (message: Report | { done: number }) => {
      if ("peakBytes" in message) report = message;
    });
    child.on("exit", (code) => {
      if (report === undefined) reject(new Error(`the import ended with ${code}`));
      else resolve(report);
    });
  });
}

it("imports and exports 4 GiB in less than 400 MB of memory", async () => {
  const model = join(scratch, "model.safetensors");
  writeLargeModel(model, 4096);
  const report = await finished(startImport(join(scratch, "four"), model, join(scratch, "out")));
  console.log(`peak memory: ${(report.peakBytes / 1e6).toFixed(0)} MB`);
  expect(report.peakBytes).toBeLessThan(400e6);
  expect(spawnSync("cmp", [model, join(scratch, "out", "model.safetensors")]).status).toBe(0);
  rmSync(join(scratch, "out"), { recursive: true });
  rmSync(join(scratch, "four"), { recursive: true });
  rmSync(model);
});

it("goes on where a killed import stopped, which left no trace but unreferenced frames", async () => {
  const model = join(scratch, "resumed.safetensors");
  writeLargeModel(model, 768);
  const directory = join(scratch, "resumed");
  const child = startImport(directory, model);
  await new Promise<void>((resolve) => {
    child.on("message", (message: { done?: number }) => {
      // Four packs of nearly 64 MiB are committed ahead of the last entry; by now that has happened at least once.
      if ((message.done ?? 0) > 560 * MEBIBYTE) child.kill("SIGKILL");
    });
    child.on("exit", () => resolve());
  });
  const killed = await openStore(directory);
  expect(await killed.dataset("large")).toBeUndefined();
  const { unreferencedBytes } = await killed.stats();
  expect(unreferencedBytes).toBeGreaterThan(200 * MEBIBYTE);
  await killed.gc();
  expect((await killed.stats()).unreferencedBytes).toBe(unreferencedBytes);
  await killed.close();

  const report = await finished(startImport(directory, model));
  expect(report.newBytes).toBeLessThan(report.originalBytes - 200 * MEBIBYTE);
  const resumed = await openStore(directory);
  expect((await resumed.verify({ deep: true })).problems).toEqual([]);
  expect((await resumed.stats()).unreferencedBytes).toBe(0);
  await resumed.close();
});
