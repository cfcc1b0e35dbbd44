/**
 * What `pnpm test` runs: format and lint, types, all fast tests (layers and public surface among them), the demo. `--slow` adds the slow tests.
 * Every step runs even when an earlier one failed. The last line counts: `N passed, N failed`.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = join(import.meta.dirname, "..");
const slow = process.argv.includes("--slow");
const scratch = mkdtempSync(join(tmpdir(), "tensorcask-test-"));

let passed = 0;
let failed = 0;

/** Runs a program of the workspace; true when it exits with 0. */
function run(title: string, program: string, args: readonly string[]): boolean {
  console.log(`\n── ${title}`);
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: "inherit" });
  if (error !== undefined) console.error(error.message);
  return status === 0;
}

function count(ok: boolean): void {
  if (ok) passed += 1;
  else failed += 1;
}

const bin = (name: string): string => join(root, "node_modules", ".bin", name);

/** Runs a project of vitest and adds up its tests. A run that cannot report counts as one failure. */
function runTests(project: string): void {
  const report = join(scratch, `${project}.json`);
  const ok = run(`tests: ${project}`, bin("vitest"), [
    "run",
    "--project",
    project,
    "--reporter=dot",
    "--reporter=json",
    `--outputFile.json=${report}`,
  ]);
  try {
    const counts = JSON.parse(readFileSync(report, "utf8")) as {
      numPassedTests: number;
      numFailedTests: number;
    };
    passed += counts.numPassedTests;
    failed += counts.numFailedTests;
    if (!ok && counts.numFailedTests === 0) failed += 1;
  } catch {
    failed += 1;
  }
}

count(run("format and lint", bin("biome"), ["check", "."]));
count(run("types", bin("tsc"), ["-b"]));
runTests("fast");
if (slow) runTests("slow");
count(run("demo", process.execPath, ["examples/demo.ts"]));
rmSync(scratch, { recursive: true, force: true });
console.log(`\n${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
