/**
 * What a whole store costs: every byte of its directory under some name, and the datasets side by side.
 */
import type { DatasetStats, StoreStats } from "@tensorcask/core";
import { familiesReport } from "./family-report.ts";
import { formatBytes, formatCount, formatItems, formatPercent } from "./quantity.ts";
import { formatRatioParts, lossyBytesSaved, ratioParts } from "./ratio.ts";
import { type Column, printable, renderFacts, renderTable } from "./table.ts";

export const datasetColumns: readonly Column[] = [
  { title: "dataset" },
  { title: "preset" },
  { title: "data" },
  { title: "records", align: "right" },
  { title: "files", align: "right" },
  { title: "version", align: "right" },
  { title: "original", align: "right" },
  { title: "stored", align: "right" },
  { title: "exclusive", align: "right" },
  // To the left: the ratio of a lossy dataset has its parts behind it.
  { title: "ratio" },
];

export const spaceColumns: readonly Column[] = [
  { title: "on disk" },
  { title: "bytes", align: "right" },
  { title: "of all", align: "right" },
];

/** Cells of `datasetColumns`. */
export function datasetCells(dataset: DatasetStats): string[] {
  return [
    dataset.name,
    dataset.preset,
    dataset.lossless ? "lossless" : "lossy",
    formatCount(dataset.records),
    formatCount(dataset.files),
    String(dataset.version),
    formatBytes(dataset.originalBytes),
    formatBytes(dataset.amortizedBytes),
    formatBytes(dataset.exclusiveBytes),
    formatRatioParts(
      ratioParts(
        dataset.ratio,
        dataset.originalBytes + dataset.derivedBytes,
        lossyBytesSaved(dataset.layers),
      ),
    ),
  ];
}

/** One line per dataset. `stored` is what a dataset costs with its part of what it shares, `exclusive` what deleting it frees. */
export function datasetTable(datasets: readonly DatasetStats[]): string[] {
  return renderTable(datasetColumns, datasets.map(datasetCells));
}

/**
 * Where the bytes of the directory are. The rows add up to `directoryBytes`: what datasets hold, kept history, frames that nothing
 * uses, overheads by name, and the residual, which is zero when the store is at rest.
 */
export function spaceRows(stats: StoreStats): { readonly name: string; readonly bytes: number }[] {
  const history = stats.datasets.reduce((sum, dataset) => sum + dataset.historyBytes, 0);
  const current = stats.datasets.reduce((sum, dataset) => sum + dataset.amortizedBytes, 0);
  return [
    { name: "datasets", bytes: current },
    { name: "kept old versions", bytes: history },
    { name: "unreferenced (gc frees it)", bytes: stats.unreferencedBytes },
    ...Object.entries(stats.overheads).map(([name, bytes]) => ({ name, bytes })),
    { name: "residual", bytes: stats.residualBytes },
  ];
}

/** `packHeaders` -> `pack headers`. */
function spoken(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** Cells of `spaceColumns`. Rows of overheads that are zero are left out; the residual stays, since zero is what it says. */
export function spaceCells(stats: StoreStats): string[][] {
  return spaceRows(stats)
    .filter(({ name, bytes }) => bytes !== 0 || !Object.hasOwn(stats.overheads, name))
    .map(({ name, bytes }) => [spoken(name), formatBytes(bytes), formatPercent(bytes, stats.directoryBytes)]);
}

/** What is said about a store as a whole, as `label, value` pairs. */
export function storeFacts(stats: StoreStats): [label: string, value: string][] {
  const lossyBytes = stats.datasets.reduce((sum, dataset) => sum + lossyBytesSaved(dataset.layers), 0);
  const derivedBytes = stats.datasets.reduce((sum, dataset) => sum + dataset.derivedBytes, 0);
  const parts = ratioParts(stats.ratio, stats.originalBytes + derivedBytes, lossyBytes);
  return [
    ["preset", stats.preset],
    [
      "holds",
      [
        formatItems(stats.datasets.length, "dataset"),
        formatItems(stats.tensors, "distinct tensor"),
        formatItems(stats.chunks, "chunk"),
      ].join(", "),
    ],
    ["original", formatBytes(stats.originalBytes)],
    ["on disk", `${formatBytes(stats.directoryBytes)}, everything counted`],
    ["ratio", formatRatioParts(parts)],
  ];
}

/** Lines of the report over a store. */
export function storeReport(stats: StoreStats): string[] {
  const lines = [
    printable(stats.directory),
    ...renderFacts(storeFacts(stats)),
    "",
    ...renderTable(spaceColumns, spaceCells(stats), { indent: "  " }),
  ];
  if (stats.datasets.length > 0) {
    lines.push("", ...datasetTable(stats.datasets));
  }
  lines.push(...familiesReport(stats.families));
  return lines;
}
