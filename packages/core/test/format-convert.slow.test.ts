/** Conversions of files that are larger than the memory they may take. The inputs are holes: they take no room on the disk. */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dtypeOf } from "@tensorcask/codec";
import { afterAll, beforeAll, expect, it } from "vitest";
import { layoutSafetensors } from "../src/index.ts";
import { npyOf } from "./format-npy-cases.ts";
import { zipOf } from "./format-zip-cases.ts";

const GIBIBYTE = 2 ** 30;
const MOST_BYTES = 300e6;

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tensorcask-convert-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Report {
  readonly tensors: number;
  readonly bytes: number;
  readonly peakBytes: number;
}

function converted(format: string, ...inputs: string[]): Promise<Report> {
  const child = fork(join(import.meta.dirname, "convert-child.ts"), [format, ...inputs], {
    stdio: "inherit",
  });
  return new Promise((resolve, reject) => {
    let report: Report | undefined;
    child.on("message", (message: Report) => {
      report = message;
    });
    child.on("exit", (code) => {
      if (report === undefined) reject(new Error(`the conversion ended with ${code}`));
      else resolve(report);
    });
  });
}

it("6 GiB of safetensors become an npz (zip64) in bounded memory", async () => {
  const path = join(scratch, "large.safetensors");
  const float32 = dtypeOf("float32");
  const layout = layoutSafetensors([
    { name: "five", dtype: float32, shape: [5 * 256, 1024, 1024] },
    { name: "one", dtype: float32, shape: [256, 1024, 1024] },
  ]);
  writeFileSync(path, layout.header);
  truncateSync(path, layout.bytes);
  const { tensors, bytes, peakBytes } = await converted("npz", path);
  expect(tensors).toBe(2);
  expect(bytes).toBeGreaterThan(6 * GIBIBYTE);
  expect(bytes).toBeLessThan(6 * GIBIBYTE + 4096);
  console.log(`peak memory: ${(peakBytes / 1e6).toFixed(0)} MB`);
  expect(peakBytes).toBeLessThan(MOST_BYTES);
});

it("1 GiB in column-major order, and an inflated array, become safetensors in bounded memory", async () => {
  const fortran = join(scratch, "fortran.npy");
  const header = npyOf("{'descr': '>f4', 'fortran_order': True, 'shape': (16384, 16384), }\n");
  writeFileSync(fortran, header);
  truncateSync(fortran, header.length + GIBIBYTE);
  const array = Buffer.concat([
    npyOf("{'descr': '|u1', 'fortran_order': False, 'shape': (536870912,), }\n"),
    new Uint8Array(GIBIBYTE / 2),
  ]);
  const archive = join(scratch, "deflated.npz");
  writeFileSync(archive, zipOf([{ name: "zeros.npy", data: array, deflated: true }]));
  const { tensors, bytes, peakBytes } = await converted("safetensors", fortran, archive);
  expect(tensors).toBe(2);
  expect(bytes).toBeGreaterThan(1.5 * GIBIBYTE);
  console.log(`peak memory: ${(peakBytes / 1e6).toFixed(0)} MB`);
  expect(peakBytes).toBeLessThan(MOST_BYTES);
});
