/**
 * The main job, on real weights, in under a minute: what `pnpm demo` runs. The models in `examples/data` are a small language model with a
 * full fine-tune and a merged LoRA fine-tune, and a file-type classifier; all were trained for this project.
 */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { openStore, type Progress, type Store } from "@tensorcask/core";
import { datasetTable, formatBytes, layerTable, renderTable, storeReport } from "@tensorcask/stats";

const data = join(import.meta.dirname, "data");
const scratch = mkdtempSync(join(tmpdir(), "tensorcask-demo-"));

let step = 0;
function explain(text: string): void {
  step += 1;
  console.log(`\n${step}. ${text}\n`);
}

function print(lines: readonly string[]): void {
  for (const line of lines) console.log(`   ${line}`);
}

/** A bar on a terminal, one line per import elsewhere. */
function progressBar(label: string): (progress: Progress) => void {
  if (!process.stderr.isTTY) return () => undefined;
  return ({ phase, done, total }) => {
    const share = total === 0 ? 1 : done / total;
    const bar = "#".repeat(Math.round(share * 30)).padEnd(30, ".");
    process.stderr.write(
      `\r   ${phase === "commit" ? "commit" : "import"} ${label.padEnd(16)} [${bar}] ${Math.floor(share * 100)} %  `,
    );
    if (phase === "commit") process.stderr.write("\r\x1b[K");
  };
}

async function importModels(store: Store): Promise<void> {
  explain(
    "Import a base model and its two fine-tunes: every file is kept bit for bit, what they share is stored once.",
  );
  for (const model of ["base", "ft-full", "ft-lora-merged"]) {
    const result = await store.importFile(join(data, model), {
      dataset: `llm/${model}`,
      onProgress: progressBar(model),
    });
    const shared =
      result.tensorsShared === 0
        ? "nothing shared"
        : `${result.tensorsShared} of ${result.tensors} tensors were there already`;
    print([
      `${result.dataset.padEnd(20)} ${formatBytes(result.originalBytes)} in, ${formatBytes(result.newBytes)} new on disk, ${shared}`,
    ]);
  }
  const { datasets } = await store.stats();
  console.log();
  print(datasetTable(datasets));
}

async function readRow(store: Store): Promise<void> {
  explain("Read one row of one tensor back: only the chunk it lies in is read and decoded.");
  const model = (await store.dataset("llm/ft-lora-merged"))!;
  const started = performance.now();
  const row = (await model.slice("lm_head.weight", [-1, [0, 8]], { as: "float32" }))!;
  const milliseconds = performance.now() - started;
  print([
    `lm_head.weight[-1, 0:8] = ${[...(row.data as Float32Array)].map((value) => value.toFixed(4)).join(", ")}  (${milliseconds.toFixed(2)} ms)`,
  ]);
}

async function comparePresets(store: Store): Promise<void> {
  explain("Store one fp32 tensor of the classifier under every preset: size, error, speed.");
  const models = await store.createDataset("classifier");
  await store.importFile(join(data, "byte-classifier.safetensors"), { dataset: "classifier" });
  const name = "c3.weight";
  const tensor = (await models.get(name))!;
  const source = tensor.data as Float32Array;
  const rows: string[][] = [];
  for (const preset of await store.presets()) {
    // A store of its own for each, so that nothing is shared and the size is its own.
    const other = await openStore(":memory:", { preset: preset.name });
    const dataset = await other.createDataset("one");
    const started = performance.now();
    await dataset.insert(tensor, { name });
    const written = performance.now();
    const back = (await dataset.get(name))!;
    const read = performance.now();
    const stats = await other.stats("one");
    const info = (await dataset.info(name))!;
    await other.close();
    const largest = (back.data as Float32Array).reduce(
      (most, value, index) => Math.max(most, Math.abs(value - source[index]!)),
      0,
    );
    const speed = (milliseconds: number): string =>
      `${(source.byteLength / 1000 / milliseconds).toFixed(0)} MB/s`;
    const snr = info.quantization?.error.snrDb;
    rows.push([
      preset.name,
      preset.lossless ? "exact" : "lossy",
      formatBytes(stats.storedBytes),
      stats.ratio?.toFixed(2) ?? "",
      largest === 0 ? "0" : largest.toExponential(1),
      snr === null || snr === undefined ? "" : `${snr.toFixed(1)} dB`,
      speed(written - started),
      speed(read - written),
    ]);
  }
  print(
    renderTable(
      [
        { title: "preset" },
        { title: "kind" },
        { title: "stored", align: "right" },
        { title: "ratio", align: "right" },
        { title: "largest error", align: "right" },
        { title: "SNR", align: "right" },
        { title: "write", align: "right" },
        { title: "read", align: "right" },
      ],
      rows,
    ),
  );
}

async function switchPreset(store: Store): Promise<void> {
  explain(
    "Switch a dataset's preset at runtime and insert under the new one: old tensors stay as they are and readable.",
  );
  const dataset = (await store.dataset("classifier"))!;
  const before = dataset.preset().name;
  const { preset, tensorsKept } = await dataset.setPreset("maximum");
  const tensor = (await dataset.get("f1.weight"))!;
  await dataset.insert(tensor, { name: "f1.weight, int8", metadata: { from: "f1.weight" } });
  const info = (await dataset.info("f1.weight, int8"))!;
  print([
    `${before} -> ${preset}; ${tensorsKept} stored tensors keep their encoding`,
    `"f1.weight, int8" is stored as ${info.quantization?.quantizer}, ${info.quantization?.bitsPerWeight.toFixed(2)} bits a weight, SNR ${info.quantization?.error.snrDb?.toFixed(1)} dB`,
  ]);
}

async function exportAndCompare(store: Store): Promise<void> {
  explain("Export the fine-tune and compare it with the original file, byte by byte.");
  const out = join(scratch, "exported");
  const { files } = await store.exportDataset("llm/ft-full", out);
  const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
  for (const { path, target, bytes } of files) {
    const same = sha256(target) === sha256(join(data, "ft-full", path));
    print([
      `${path.padEnd(24)} ${formatBytes(bytes).padStart(10)}  ${same ? "byte for byte the original" : "DIFFERS"}`,
    ]);
    if (!same) process.exitCode = 1;
  }
  const check = await store.verify({ deep: true });
  print([
    `verify --deep: ${check.chunks} chunks decoded and hashed, ${check.files} files, ${check.ok ? "no damage" : "DAMAGE"}`,
  ]);
  if (!check.ok) process.exitCode = 1;
}

async function statistics(store: Store): Promise<void> {
  explain("Statistics: what everything occupies, and what each layer saved for one of the fine-tunes.");
  const stats = await store.stats();
  print(storeReport(stats));
  console.log();
  print(layerTable(await store.stats("llm/ft-lora-merged")));
}

console.log(
  `Tensorcask demo: real models in, shared, compressed, read back, out again. The store is in ${relative(process.cwd(), scratch) || scratch}`,
);
const store = await openStore(join(scratch, "store"));
try {
  await importModels(store);
  await readRow(store);
  await comparePresets(store);
  await switchPreset(store);
  await exportAndCompare(store);
  await statistics(store);
} finally {
  await store.close();
  rmSync(scratch, { recursive: true, force: true });
}
